//! From what a source gives to what the chain judges: canonical form, and whether it is what was asked for.
//!
//! Nothing is verified here; the chain does that. What is checked is whose fault it would be.

use freehold_attestation::{
    UnverifiedEvidence, canonicalise,
    snp::{self, SNP_REPORT_BYTES, SnpCertificateTable},
};
use freehold_primitives::{EvidenceKind, PlatformFamily, SnpSigningKey, TrustDomain, TrustRoot};

use super::EvidenceError;

/// What the kernel calls the source of Intel TDX quotes; the emulator bears the same name.
pub(crate) const TDX: &str = "tdx_guest";
/// What the kernel calls the source of AMD SEV-SNP reports.
pub(crate) const SNP: &str = "sev_guest";
/// What stands in the names of every certificate that an emulator issues.
const MARK: &[u8] = b"EMULATED";

/// Evidence in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenEvidence {
    /// Its kind.
    pub kind: EvidenceKind,
    /// Platform family that it names, whose collateral judges it; of the CPU where GPUs are beside it.
    pub family: PlatformFamily,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What evidence is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    domain: TrustDomain,
    roots: Vec<Vec<u8>>,
}

impl Wanted {
    /// Evidence of this trust domain, under the roots that a genesis lists for it.
    pub fn new(domain: TrustDomain, roots: &[TrustRoot]) -> Self {
        let of_domain = roots.iter().filter(|root| root.domain == domain);
        Self { domain, roots: of_domain.map(|root| root.certificate.0.clone()).collect() }
    }

    /// Whether it is the emulator's.
    #[cfg(feature = "nvml")]
    pub(super) fn is_emulated(&self) -> bool {
        self.domain == TrustDomain::Emulated
    }

    /// Whether a source of this name can give it.
    pub(super) fn check_provider(&self, provider: &str) -> Result<(), EvidenceError> {
        let right = match self.domain {
            TrustDomain::Intel => provider == TDX,
            TrustDomain::Amd => provider == SNP,
            TrustDomain::Emulated => provider == TDX || provider == SNP,
            TrustDomain::Aws | TrustDomain::Nvidia => false,
        };
        if right {
            Ok(())
        } else {
            Err(EvidenceError::WrongProvider { domain: self.domain, found: provider.to_owned() })
        }
    }

    pub(super) fn canonicalise(
        &self,
        provider: &str,
        outblob: &[u8],
        auxblob: &[u8],
        report_data: &[u8; 64],
    ) -> Result<TakenEvidence, EvidenceError> {
        let (kind, bytes) = match provider {
            TDX => (EvidenceKind::Tdx, canonicalise(outblob)?),
            SNP => (EvidenceKind::Snp, of_snp(outblob, auxblob)?),
            _ => return Err(EvidenceError::WrongProvider { domain: self.domain, found: provider.to_owned() }),
        };
        let outline = UnverifiedEvidence::read(kind, &bytes)?;
        if outline.report_data() != report_data {
            return Err(EvidenceError::ReportData);
        }
        let is_of_domain = match outline.root_certificate() {
            Some(root) => self.roots.contains(root),
            // Of SNP: the root comes with the collateral, but the emulator's certificates say what they are.
            None => {
                let certificate = bytes.get(SNP_REPORT_BYTES..).unwrap_or_default();
                let is_marked = certificate.windows(MARK.len()).any(|part| part == MARK);
                is_marked == (self.domain == TrustDomain::Emulated)
            }
        };
        if !is_of_domain {
            return Err(EvidenceError::WrongDomain(self.domain));
        }
        Ok(TakenEvidence { kind, family: outline.family(), bytes })
    }
}

/// An SNP report and the certificate of the key that signed it, which the host put beside it.
fn of_snp(outblob: &[u8], auxblob: &[u8]) -> Result<Vec<u8>, EvidenceError> {
    let table = SnpCertificateTable::read(auxblob)?;
    let mut refusal = None;
    for key in [SnpSigningKey::Vcek, SnpSigningKey::Vlek] {
        let Some(certificate) = table.endorsement(key) else { continue };
        let evidence = snp::canonicalise(outblob, certificate)?;
        // The report names the kind of its key: the certificate of the other kind does not fit.
        match UnverifiedEvidence::read(EvidenceKind::Snp, &evidence) {
            Ok(_) => return Ok(evidence),
            Err(other) => refusal = Some(other),
        }
    }
    Err(refusal.map_or(
        EvidenceError::Unavailable(
            "the host gave no VCEK or VLEK certificate for the report: it brings one from AMD, or load one into the hypervisor (`snphost import`)",
        ),
        EvidenceError::Form,
    ))
}
