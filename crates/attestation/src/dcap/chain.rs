//! PEM certificate chains in their one accepted form, and single certificates.
//!
//! Invariant: `read` accepts a text only if encoding what it read gives the same bytes again, so that nothing can hide
//! between, before or inside the certificates.

use dcap_qvl::{config::EcdsaSigEncoder as _, signature::DerSigEncoder};
use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::EndEntityCert;
use x509_cert::{
    Certificate,
    der::{
        Decode as _, Encode as _, Tag,
        asn1::{Any, BitString, UintRef},
    },
};

use super::fault;
use crate::{refusal::Refusal, scalar::P256};

/// The only signature algorithm of Intel's attestation certificates.
pub(crate) const ALGORITHM: &dyn SignatureVerificationAlgorithm = webpki::rustcrypto::ECDSA_P256_SHA256;

/// Exactly `N` certificates in canonical PEM: 64 columns, LF, nothing else. `None` for anything else.
pub(crate) fn read<const N: usize>(text: &[u8]) -> Option<[Vec<u8>; N]> {
    let blocks = pem::parse_many(text).ok()?;
    let encoded: String = blocks.iter().map(encode).collect();
    if encoded.as_bytes() != text || blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
        return None;
    }
    let certificates: Vec<Vec<u8>> = blocks.into_iter().map(Pem::into_contents).collect();
    certificates.try_into().ok()
}

fn encode(block: &Pem) -> String {
    pem::encode_config(block, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// PEM of one certificate in the accepted form.
pub(crate) fn write(der: Vec<u8>) -> String {
    encode(&Pem::new("CERTIFICATE", der))
}

/// Whether a certificate's own signature has its `s` in the lower half. `None` where it is no ECDSA-P256 certificate.
pub(crate) fn is_lower_half(der: &[u8]) -> Option<bool> {
    let certificate = Certificate::from_der(der).ok()?;
    let [_, s] = signature_of(&certificate)?;
    Some(P256.is_lower_half(&s))
}

/// The same certificate with `s` of its signature in the lower half; what was signed does not change.
pub(crate) fn to_lower_half(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(der).ok()?;
    let [r, mut s] = signature_of(&certificate)?;
    if P256.is_lower_half(&s) {
        return Some(der.to_vec());
    }
    P256.negate(&mut s)?;
    let signature = DerSigEncoder::encode_ecdsa_sig(&r, &s).ok()?;
    let mut fields = certificate.tbs_certificate().to_der().ok()?;
    fields.extend(certificate.signature_algorithm().to_der().ok()?);
    fields.extend(BitString::from_bytes(&signature).ok()?.to_der().ok()?);
    Any::new(Tag::Sequence, fields).ok()?.to_der().ok()
}

/// `r` and `s` of a certificate's signature, big-endian.
fn signature_of(certificate: &Certificate) -> Option<[[u8; 32]; 2]> {
    let integers = Vec::<UintRef<'_>>::from_der(certificate.signature().as_bytes()?).ok()?;
    let [r, s] = integers.as_slice() else { return None };
    let wide = |integer: &UintRef<'_>| {
        let mut bytes = [0; 32];
        let from = bytes.len().checked_sub(integer.as_bytes().len())?;
        bytes[from..].copy_from_slice(integer.as_bytes());
        Some(bytes)
    };
    Some([wide(r)?, wide(s)?])
}

/// A certificate that was read twice over: by `webpki`, which judges it, and by `x509-cert`, for its dates.
pub(crate) struct Parsed<'a> {
    pub(crate) webpki: EndEntityCert<'a>,
    x509: Certificate,
}

impl<'a> Parsed<'a> {
    pub(crate) fn new(der: &'a CertificateDer<'a>) -> Result<Self, Refusal> {
        let webpki = EndEntityCert::try_from(der).map_err(|_| Refusal::CollateralChain)?;
        let x509 = Certificate::from_der(der).map_err(|_| Refusal::CollateralChain)?;
        Ok(Self { webpki, x509 })
    }

    /// Last second of validity.
    pub(crate) fn not_after(&self) -> u64 {
        self.x509.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// Checks the validity period.
    pub(crate) fn check_dates(&self, now: UnixTime) -> Result<(), Refusal> {
        let not_before = self.x509.tbs_certificate().validity().not_before.to_unix_duration().as_secs();
        if now.as_secs() < not_before {
            return Err(Refusal::CertificateNotYetValid);
        }
        if now.as_secs() > self.not_after() { Err(Refusal::CertificateExpired) } else { Ok(()) }
    }

    /// Checks that `issuer` issued this certificate: name and signature.
    pub(crate) fn check_issued_by(&self, issuer: &Self) -> Result<(), Refusal> {
        if self.webpki.issuer() != issuer.webpki.subject() {
            return Err(Refusal::CertificateChain);
        }
        let signed = self.x509.tbs_certificate().to_der().map_err(|_| Refusal::CollateralChain)?;
        let signature = self.x509.signature().as_bytes().ok_or(Refusal::CollateralChain)?;
        issuer.webpki.verify_signature(ALGORITHM, &signed, signature).map_err(|_| Refusal::CertificateChain)
    }

    /// Checks that the bytes are signed by this certificate's key; `signature` is `r ‖ s`.
    pub(crate) fn check_signed(&self, bytes: &[u8], signature: &[u8; 64]) -> Result<(), Refusal> {
        let (r, s) = signature.split_at(32);
        let der = DerSigEncoder::encode_ecdsa_sig(r, s).map_err(|_| Refusal::CollateralSignature)?;
        self.webpki.verify_signature(ALGORITHM, bytes, &der).map_err(|_| Refusal::CollateralSignature)
    }

    /// Checks that this is an end-entity certificate issued directly by `anchor`, valid now and not revoked.
    pub(crate) fn check_signer(
        &self,
        anchor: &rustls_pki_types::TrustAnchor<'_>,
        root_crl: &webpki::CertRevocationList<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let lists = [root_crl];
        let revocation = webpki::RevocationOptionsBuilder::new(&lists)
            .map_err(|_| Refusal::RevocationUnknown)?
            .with_depth(webpki::RevocationCheckDepth::Chain)
            .with_status_policy(webpki::UnknownStatusPolicy::Deny)
            .with_expiration_policy(webpki::ExpirationPolicy::Enforce)
            .build();
        let anchors = [anchor.clone()];
        self.webpki
            .verify_for_usage(&[ALGORITHM], &anchors, &[], now, webpki::KeyUsage::server_auth(), Some(revocation), None)
            .map(|_| ())
            .map_err(|error| fault::of_certificate(&error))
    }
}
