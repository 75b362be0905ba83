//! The canonical document of one GPU's evidence (`spec/gpu.md` §1): report and certificates, leaf first.

use freehold_primitives::{Blob, Canonical as _, CodecError, Digest, GpuArchitecture, canonical_struct};
use sha2::{Digest as _, Sha256};

use super::{
    certificate::{self, Certificate},
    report::{Report, SIGNATURE_BYTES},
};
use crate::refusal::Refusal;

/// Longest evidence of one GPU, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 8 * 1024;
/// Certificates of a GPU's chain: leaf (one firmware on one GPU), device, provisioner, model, root. Always as many: were
/// the number open, whoever holds one device's key could put certificates below it and appear as many devices.
pub const CHAIN_CERTIFICATES: usize = 5;
/// Place of the device's certificate in a chain.
pub(crate) const DEVICE: usize = 1;
/// Place of the provisioner's certificate, from which on a chain is shared by many devices.
pub(crate) const PROVISIONER: usize = 2;
/// Place of the model's certificate.
pub(crate) const MODEL: usize = 3;
/// Place of the root.
pub(crate) const ROOT: usize = 4;
/// `subjectAltName` (RFC 5280 §4.2.1.6).
const ALTERNATIVE_NAME: x509_cert::der::oid::ObjectIdentifier =
    x509_cert::der::oid::ObjectIdentifier::new_unwrap("2.5.29.17");

canonical_struct! {
    /// One GPU's evidence. Nothing in it is verified.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NvidiaEvidence {
        /// SPDM request, response and signature, as NVML gives them, with `s` in the lower half.
        pub report: Blob,
        /// Five certificates, DER: leaf, device, provisioner, model, root.
        pub certificates: Vec<Blob>,
    }
}

/// Evidence whose form is canonical.
pub(crate) struct CanonicalEvidence {
    pub(crate) document: NvidiaEvidence,
    pub(crate) chain: [Certificate; CHAIN_CERTIFICATES],
}

impl CanonicalEvidence {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(Refusal::EvidenceTooLong);
        }
        let document = NvidiaEvidence::from_canonical(bytes).map_err(|error| match error {
            CodecError::Truncated => Refusal::EvidenceTruncated,
            CodecError::Trailing => Refusal::EvidenceTrailing,
            _ => Refusal::GpuEvidenceFormat,
        })?;
        let ders: Vec<&[u8]> = document.certificates.iter().map(|certificate| certificate.0.as_slice()).collect();
        let chain = read_chain(&ders)?.try_into().map_err(|_| Refusal::GpuEvidenceFormat)?;
        Ok(Self { document, chain })
    }

    pub(crate) fn report(&self) -> Result<Report<'_>, Refusal> {
        Report::read(&self.document.report.0)
    }
}

/// Reads certificates, the root last; those above must have their signature's `s` in the lower half.
pub(crate) fn read_chain(ders: &[&[u8]]) -> Result<Vec<Certificate>, Refusal> {
    if ders.len() > CHAIN_CERTIFICATES {
        return Err(Refusal::GpuEvidenceFormat);
    }
    let chain = ders.iter().map(|der| Certificate::read(der)).collect::<Result<Vec<_>, _>>()?;
    let below_root = chain.len().saturating_sub(1);
    if chain[..below_root].iter().all(Certificate::is_lower_half) {
        Ok(chain)
    } else {
        Err(Refusal::SignatureNotCanonical)
    }
}

/// Brings what NVML gives, a report and a PEM chain with the leaf first, into the canonical document: signatures in the
/// lower half of `s`. What was signed does not change.
///
/// # Errors
/// Refusals of class invalid where there is no canonical form.
pub fn canonicalise(report: &[u8], chain_pem: &[u8]) -> Result<Vec<u8>, Refusal> {
    if report.len() > EVIDENCE_BYTES_MAX || chain_pem.len() > 2 * EVIDENCE_BYTES_MAX {
        return Err(Refusal::EvidenceTooLong);
    }
    let signature = Report::read_any_half(report)?.signature.normalize_s().to_bytes();
    let report = [&report[..report.len() - SIGNATURE_BYTES], &signature].concat();
    let blocks = pem::parse_many(chain_pem).map_err(|_| Refusal::GpuEvidenceFormat)?;
    let mut certificates = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let last = at + 1 == blocks.len();
        let der = if last { Some(block.contents().to_vec()) } else { certificate::to_lower_half(block.contents()) };
        certificates.push(Blob(der.ok_or(Refusal::GpuCertificate)?));
    }
    let evidence = NvidiaEvidence { report: Blob(report), certificates }.to_canonical();
    CanonicalEvidence::read(&evidence)?;
    Ok(evidence)
}

/// Checks the form of a report alone, whichever half its `s` is in.
pub(crate) fn check_report(report: &[u8]) -> Result<(), Refusal> {
    if report.len() > EVIDENCE_BYTES_MAX {
        return Err(Refusal::EvidenceTooLong);
    }
    Report::read_any_half(report).map(|_| ())
}

/// The model and architecture of a chain: the model that NVIDIA's own certificate names (`NVIDIA GH100 Identity`), which
/// the leaf's alternative name must repeat.
pub(crate) fn model(chain: &[Certificate; CHAIN_CERTIFICATES]) -> Result<(String, GpuArchitecture), Refusal> {
    let name = chain[MODEL].common_name().ok_or(Refusal::GpuModel)?;
    let [_, model, "Identity"] = *name.split(' ').collect::<Vec<_>>().as_slice() else {
        return Err(Refusal::GpuModel);
    };
    let architecture = architecture_of(model).ok_or(Refusal::GpuModel)?;
    if device_name(&chain[0]).is_some_and(|name| name == model) {
        Ok((model.to_owned(), architecture))
    } else {
        Err(Refusal::GpuModel)
    }
}

/// The architecture of a model or chip name.
pub(crate) fn architecture_of(model: &str) -> Option<GpuArchitecture> {
    match model.get(..2)? {
        "GH" => Some(GpuArchitecture::Hopper),
        "GB" => Some(GpuArchitecture::Blackwell),
        _ => None,
    }
}

/// The model in a leaf's alternative name: `vendor:model:serial` as another name of DMTF's kind (DSP0274 1.1 §10.6.1).
fn device_name(leaf: &Certificate) -> Option<String> {
    use x509_cert::{
        der::Decode as _,
        ext::pkix::{SubjectAltName, name::GeneralName},
    };
    let names = SubjectAltName::from_der(leaf.extension(ALTERNATIVE_NAME)?).ok()?;
    let [GeneralName::OtherName(other)] = names.0.as_slice() else { return None };
    if other.type_id != x509_cert::der::oid::ObjectIdentifier::new_unwrap("1.3.6.1.4.1.412.274.1") {
        return None;
    }
    let text = core::str::from_utf8(other.value.value()).ok()?;
    let mut parts = text.split(':');
    let (_vendor, model, _serial) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() { None } else { Some(model.to_owned()) }
}

/// SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// What canonical evidence of a GPU *says*, before anything in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedNvidia {
    nonce: [u8; 32],
    platform: Digest,
    architecture: GpuArchitecture,
    authority: Digest,
    root_certificate: Vec<u8>,
    signed_part_digest: Digest,
}

impl UnverifiedNvidia {
    /// Reads evidence in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid, and [`Refusal::GpuModel`].
    pub fn read(evidence: &[u8]) -> Result<Self, Refusal> {
        let evidence = CanonicalEvidence::read(evidence)?;
        let report = evidence.report()?;
        Ok(Self {
            nonce: report.nonce,
            platform: sha256(evidence.chain[DEVICE].key_info()),
            architecture: model(&evidence.chain)?.1,
            authority: sha256(evidence.chain[PROVISIONER].der()),
            root_certificate: evidence.chain[ROOT].der().to_vec(),
            signed_part_digest: sha256(report.signed),
        })
    }

    /// The nonce it claims to answer.
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// SHA-256 of the device identity key it claims to be under.
    pub const fn platform(&self) -> Digest {
        self.platform
    }

    /// The architecture it claims.
    pub const fn architecture(&self) -> GpuArchitecture {
        self.architecture
    }

    /// SHA-256 of its provisioner's certificate: under this key the chain keeps its collateral.
    pub const fn authority(&self) -> Digest {
        self.authority
    }

    /// The root certificate that its chain ends in, DER.
    pub fn root_certificate(&self) -> &[u8] {
        &self.root_certificate
    }

    /// SHA-256 of request and response.
    pub const fn signed_part_digest(&self) -> Digest {
        self.signed_part_digest
    }
}
