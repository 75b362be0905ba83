//! From a container and collateral beside it to what a verifier takes: canonical evidence and its documents.

use freehold_primitives::{Blob, Canonical as _, EvidenceBundle, EvidenceKind, TrustRoot, UnixSeconds};
use sha2::{Digest as _, Sha256};
use x509_cert::{Certificate, der::Decode as _};

use super::{Container, Endorsements, Format, GpuEvidence};
use crate::{
    UnverifiedEvidence, canonicalise,
    nitro::{self, NitroCollateralDocument, UnverifiedNitro},
    nvidia::{self, CHAIN_CERTIFICATES, NvidiaCollateral, NvidiaEvidence, UnverifiedNvidia},
    refusal::Refusal,
    snp::{self, SnpCollateralDocument, UnverifiedSnp},
};

/// Evidence in canonical form, and its collateral documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Kind of the evidence.
    pub kind: EvidenceKind,
    /// The evidence.
    pub bytes: Vec<u8>,
    /// Documents, as [`crate::Evidence::collateral`] wants them.
    pub collateral: Vec<Vec<u8>>,
    /// Whether the bytes are as the container gave them.
    pub is_as_given: bool,
    /// The nonce that the container says a GPU was asked to sign.
    pub nonce: Option<[u8; 32]>,
}

impl Container {
    /// Brings the evidence into canonical form and finds its collateral in `beside`: one item, but one for each GPU where
    /// GPUs stand alone. `roots` and `now_unix_s` decide only between several candidates.
    ///
    /// # Errors
    /// Refusals of class invalid; [`Refusal::CollateralMissing`] where a certificate that belongs to the evidence is not
    /// there; [`Refusal::EvidenceKind`] for an event log.
    pub fn prepare(
        &self,
        beside: &Endorsements,
        roots: &[TrustRoot],
        now_unix_s: UnixSeconds,
    ) -> Result<Vec<Prepared>, Refusal> {
        match self {
            Self::Quote { format, quote, endorsements, .. } => {
                let mut all = beside.clone();
                all.extend(endorsements);
                prepare_quote(*format, quote, &all, now_unix_s).map(|one| vec![one])
            }
            Self::Snp { report, certificate } => {
                prepare_snp(report, certificate.as_deref(), beside, (roots, now_unix_s)).map(|one| vec![one])
            }
            Self::Nitro(document) => {
                let bytes = nitro::canonicalise(document)?;
                let collateral = vec![nitro_document(&bytes, beside)];
                let is_as_given = bytes == *document;
                Ok(vec![Prepared { kind: EvidenceKind::Nitro, bytes, collateral, is_as_given, nonce: None }])
            }
            Self::Nvidia(gpus) => gpus.iter().map(|gpu| prepare_gpu(gpu, beside)).collect(),
            Self::Bundle(bytes) => prepare_bundle(bytes, beside, now_unix_s).map(|one| vec![one]),
            Self::TcgLog(_) | Self::RuntimeLog(_) => Err(Refusal::EvidenceKind),
        }
    }
}

fn prepare_quote(
    format: Format,
    quote: &[u8],
    beside: &Endorsements,
    now_unix_s: UnixSeconds,
) -> Result<Prepared, Refusal> {
    let kind = if format == Format::Sgx { EvidenceKind::Sgx } else { EvidenceKind::Tdx };
    let bytes = canonicalise(quote)?;
    let collateral = vec![dcap_document(format, kind, &bytes, beside, now_unix_s)?];
    let is_as_given = bytes == quote;
    Ok(Prepared { kind, bytes, collateral, is_as_given, nonce: None })
}

fn dcap_document(
    format: Format,
    kind: EvidenceKind,
    quote: &[u8],
    beside: &Endorsements,
    now_unix_s: UnixSeconds,
) -> Result<Vec<u8>, Refusal> {
    let outline = UnverifiedEvidence::read(kind, quote)?;
    let chain_at = quote.windows(11).position(|window| window == b"-----BEGIN ").unwrap_or(quote.len());
    let chain = pem::parse_many(&quote[chain_at..]).map_err(|_| Refusal::ChainNotCanonical)?;
    let chain: Vec<Vec<u8>> = chain.into_iter().map(pem::Pem::into_contents).collect();
    Ok(beside.dcap(format, &outline.family().0, &chain, now_unix_s))
}

/// Tries each certificate that may be of the key that signed: the first that verifies, else the first that can be read.
fn prepare_snp(
    report: &[u8],
    certificate: Option<&[u8]>,
    beside: &Endorsements,
    (roots, now_unix_s): (&[TrustRoot], UnixSeconds),
) -> Result<Prepared, Refusal> {
    let candidates: Vec<&[u8]> = match certificate {
        Some(own) => vec![own],
        None => beside.certificates.iter().filter(|der| is_endorsement(der)).map(Vec::as_slice).collect(),
    };
    let mut nearest = Err(Refusal::CollateralMissing);
    for certificate in candidates {
        let prepared = snp::canonicalise(report, certificate).and_then(|bytes| {
            let collateral = snp_document(&bytes, beside, now_unix_s)?;
            let is_as_given = bytes.starts_with(report);
            Ok(Prepared { kind: EvidenceKind::Snp, bytes, collateral: vec![collateral], is_as_given, nonce: None })
        });
        let verifies =
            prepared.as_ref().is_ok_and(|one| snp::claims(&one.bytes, &one.collateral[0], roots, now_unix_s).is_ok());
        if verifies {
            return prepared;
        }
        let is_of_this_chip = prepared.as_ref().is_ok_and(|one| chip_is_named(&one.bytes));
        if nearest.is_err() || is_of_this_chip {
            nearest = prepared;
        }
    }
    // A report that is none is said before a certificate that is missing.
    if nearest == Err(Refusal::CollateralMissing) {
        snp::check_report(report)?;
    }
    nearest
}

/// Whether the certificate behind a report holds the report's chip id.
fn chip_is_named(evidence: &[u8]) -> bool {
    let (report, certificate) = evidence.split_at(snp::SNP_REPORT_BYTES.min(evidence.len()));
    let id = report.get(0x1a0..0x1a8).unwrap_or_default();
    !id.is_empty() && certificate.windows(id.len()).any(|window| window == id)
}

fn is_endorsement(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let name = certificate.tbs_certificate().subject().common_name();
    name.is_ok_and(|name| name.is_some_and(|name| matches!(&*name.value(), "SEV-VCEK" | "SEV-VLEK")))
}

fn snp_document(evidence: &[u8], beside: &Endorsements, now_unix_s: UnixSeconds) -> Result<Vec<u8>, Refusal> {
    let outline = UnverifiedSnp::read(evidence)?;
    let (product, signing_key) = (outline.product(), outline.report().signing_key());
    let fits = |bytes: &&Vec<u8>| {
        SnpCollateralDocument::from_canonical(bytes)
            .is_ok_and(|document| (document.product, document.signing_key) == (product, signing_key))
    };
    if let Some(document) = beside.documents.iter().find(fits) {
        return Ok(document.clone());
    }
    let (_, certificate) = evidence.split_at(snp::SNP_REPORT_BYTES);
    let certificate = Certificate::from_der(certificate).map_err(|_| Refusal::SnpEndorsement)?;
    let intermediate = beside.certificate_of(certificate.tbs_certificate().issuer());
    let intermediate = intermediate.ok_or(Refusal::CollateralMissing)?;
    let issuer = Certificate::from_der(intermediate).map_err(|_| Refusal::CollateralChain)?;
    let list = beside.list_of(issuer.tbs_certificate().issuer(), now_unix_s).cloned().map(Blob);
    let document =
        SnpCollateralDocument { product, signing_key, intermediate: Blob(intermediate.clone()), revocation_list: list };
    Ok(document.to_canonical())
}

/// The document whose first certificate stands in the evidence's chain; empty where there is none.
fn nitro_document(evidence: &[u8], beside: &Endorsements) -> Vec<u8> {
    let Ok(outline) = UnverifiedNitro::read(evidence) else { return Vec::new() };
    let fits = |bytes: &&Vec<u8>| {
        NitroCollateralDocument::from_canonical(bytes).is_ok_and(|document| {
            let first = document.certificates.first();
            first.is_some_and(|first| outline.document().intermediates().contains(&first.0))
        })
    };
    beside.documents.iter().find(fits).cloned().unwrap_or_default()
}

fn prepare_gpu(gpu: &GpuEvidence, beside: &Endorsements) -> Result<Prepared, Refusal> {
    let (bytes, is_as_given, nonce) = match gpu {
        GpuEvidence::Canonical(bytes) => (bytes.clone(), true, None),
        GpuEvidence::Parts { report, chain, nonce } => {
            let beside_it = || beside.chains.iter().find(|chain| certificates_in(chain) == CHAIN_CERTIFICATES);
            let Some(chain) = chain.as_ref().or_else(beside_it) else {
                // A report that is none is said before a chain that is missing.
                return nvidia::check_report(report).and(Err(Refusal::CollateralMissing));
            };
            let bytes = nvidia::canonicalise(report, chain)?;
            let same = NvidiaEvidence::from_canonical(&bytes).is_ok_and(|document| document.report.0 == *report);
            (bytes, same, *nonce)
        }
    };
    let collateral = vec![nvidia_document(&bytes, beside)];
    Ok(Prepared { kind: EvidenceKind::Nvidia, bytes, collateral, is_as_given, nonce })
}

fn certificates_in(pem: &[u8]) -> usize {
    pem::parse_many(pem).map_or(0, |blocks| blocks.len())
}

/// The document of the evidence's provisioner; empty where there is none.
fn nvidia_document(evidence: &[u8], beside: &Endorsements) -> Vec<u8> {
    let Ok(outline) = UnverifiedNvidia::read(evidence) else { return Vec::new() };
    let fits = |bytes: &&Vec<u8>| {
        NvidiaCollateral::from_canonical(bytes).is_ok_and(|document| {
            let first = document.certificates.first();
            first.is_some_and(|first| Sha256::digest(&first.0)[..] == outline.authority().0)
        })
    };
    beside.documents.iter().find(fits).cloned().unwrap_or_default()
}

fn prepare_bundle(bytes: &[u8], beside: &Endorsements, now_unix_s: UnixSeconds) -> Result<Prepared, Refusal> {
    let bundle = EvidenceBundle::from_canonical(bytes).map_err(|_| Refusal::BundleFormat)?;
    let primary = &bundle.primary.0;
    let own = match bundle.primary_kind {
        EvidenceKind::Tdx => dcap_document(Format::Tdx, EvidenceKind::Tdx, primary, beside, now_unix_s)?,
        EvidenceKind::Sgx => dcap_document(Format::Sgx, EvidenceKind::Sgx, primary, beside, now_unix_s)?,
        EvidenceKind::Snp => snp_document(primary, beside, now_unix_s)?,
        EvidenceKind::Nitro => nitro_document(primary, beside),
        EvidenceKind::Nvidia | EvidenceKind::Bundle => return Err(Refusal::BundleFormat),
    };
    let gpus = bundle.gpus.iter().map(|gpu| nvidia_document(&gpu.0, beside));
    let collateral = core::iter::once(own).chain(gpus).collect();
    Ok(Prepared { kind: EvidenceKind::Bundle, bytes: bytes.to_vec(), collateral, is_as_given: true, nonce: None })
}
