//! From what a source gives to what the chain judges: canonical form, and whether it is what was asked for.
//!
//! Nothing is verified here; the chain does that. What is checked is whose fault it would be.

use freehold_attestation::{UnverifiedEvidence, canonicalise};
use freehold_primitives::{EvidenceKind, TrustDomain, TrustRoot};

use super::{CertTable, EvidenceError};

/// What the kernel calls the source of Intel TDX quotes; the emulator bears the same name.
pub(super) const TDX: &str = "tdx_guest";
/// What the kernel calls the source of AMD SEV-SNP reports.
pub(super) const SNP: &str = "sev_guest";
/// Bytes of an SNP attestation report.
const SNP_REPORT_BYTES: usize = 1184;
/// Where the report data stands in it.
const SNP_REPORT_DATA_AT: usize = 0x50;

/// Evidence in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenEvidence {
    /// Its kind.
    pub kind: EvidenceKind,
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
            SNP => (EvidenceKind::Snp, snp(outblob, auxblob, report_data)?),
            _ => return Err(EvidenceError::WrongProvider { domain: self.domain, found: provider.to_owned() }),
        };
        let outline = UnverifiedEvidence::read(kind, &bytes)?;
        if outline.report_data() != report_data {
            return Err(EvidenceError::ReportData);
        }
        if !self.roots.iter().any(|root| root == outline.root_certificate()) {
            return Err(EvidenceError::WrongDomain(self.domain));
        }
        Ok(TakenEvidence { kind, bytes })
    }
}

fn snp(outblob: &[u8], auxblob: &[u8], report_data: &[u8; 64]) -> Result<Vec<u8>, EvidenceError> {
    if outblob.len() != SNP_REPORT_BYTES {
        return Err(EvidenceError::Length(outblob.len()));
    }
    if outblob[SNP_REPORT_DATA_AT..SNP_REPORT_DATA_AT + 64] != *report_data {
        return Err(EvidenceError::ReportData);
    }
    let table = CertTable::read(auxblob)?;
    if table.endorsement().is_none() {
        return Err(EvidenceError::Unavailable(
            "the host gave no VCEK or VLEK certificate beside the report: load it into the hypervisor (`snphost \
             import`)",
        ));
    }
    Err(EvidenceError::Unavailable("this version has no evidence document for SEV-SNP reports"))
}
