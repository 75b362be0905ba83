//! Certificates in a container, for people: whose, by whom, from when to when. Nothing of it is verified.

use freehold_primitives::{Canonical as _, UnixSeconds};
use sha2::{Digest as _, Sha256};
use x509_cert::{Certificate, der::Decode as _};

use super::{Container, GpuEvidence};
use crate::{
    nitro::{self, UnverifiedNitro},
    nvidia::NvidiaEvidence,
};

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateLine {
    /// Subject (RFC 4514).
    pub subject: String,
    /// Issuer (RFC 4514).
    pub issuer: String,
    /// Unix seconds from which it is valid.
    pub not_before: UnixSeconds,
    /// Unix seconds of its last second.
    pub not_after: UnixSeconds,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
}

impl Container {
    /// The certificates in it that can be read, in the order of their chain.
    pub fn certificates(&self) -> Vec<CertificateLine> {
        self.ders().iter().filter_map(|der| line(der)).collect()
    }

    fn ders(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Quote { quote, .. } => in_pem(quote),
            Self::Snp { certificate, .. } => certificate.iter().cloned().collect(),
            Self::Nitro(document) => nitro::canonicalise(document)
                .and_then(|bytes| UnverifiedNitro::read(&bytes))
                .map(|outline| {
                    let above = outline.document().intermediates().iter().cloned();
                    core::iter::once(outline.root_certificate().to_vec()).chain(above).collect()
                })
                .unwrap_or_default(),
            Self::Nvidia(gpus) => gpus.iter().flat_map(of_gpu).collect(),
            Self::Bundle(_) | Self::TcgLog(_) | Self::RuntimeLog(_) => Vec::new(),
        }
    }
}

fn of_gpu(gpu: &GpuEvidence) -> Vec<Vec<u8>> {
    match gpu {
        GpuEvidence::Canonical(bytes) => NvidiaEvidence::from_canonical(bytes)
            .map(|document| document.certificates.into_iter().map(|one| one.0).collect())
            .unwrap_or_default(),
        GpuEvidence::Parts { chain, .. } => chain.as_deref().map(in_pem).unwrap_or_default(),
    }
}

fn in_pem(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some(at) = bytes.windows(11).position(|window| window == b"-----BEGIN ") else { return Vec::new() };
    let end = bytes[at..].iter().position(|byte| *byte == 0).map_or(bytes.len(), |length| at + length);
    pem::parse_many(&bytes[at..end])
        .map(|blocks| blocks.into_iter().map(pem::Pem::into_contents).collect())
        .unwrap_or_default()
}

fn line(der: &[u8]) -> Option<CertificateLine> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs = certificate.tbs_certificate();
    Some(CertificateLine {
        subject: tbs.subject().to_string(),
        issuer: tbs.issuer().to_string(),
        not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
        not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
        sha256: Sha256::digest(der).into(),
    })
}
