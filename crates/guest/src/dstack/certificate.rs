//! TLS keys with certificates of the app's own authority, whose key hangs on the app's root key: every instance has the
//! same authority, and whoever pins its certificate trusts every instance of the app.
//!
//! RA-TLS: a quote over the certificate's key stands in it, under dstack's object identifiers.

use std::time::Duration;

use freehold_crypto::{KeyKind, app_key, hkdf_sha256, p256_pkcs8, sha512};
use freehold_primitives::UnixSeconds;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

use super::DstackError;

/// Name of the authority's key under the root key.
const AUTHORITY_KEY: &[u8] = b"freehold/dstack tls authority v1";
/// Salt of keys by path, as dstack's.
const SALT: &[u8] = b"RATLS";
/// What is hashed before a public key for the report data of RA-TLS, as dstack's.
const RATLS_PREFIX: &[u8] = b"ratls-cert:";
/// dstack's arc of object identifiers: 1 quote, 2 event log, 3 app id, 4 special usage.
const ARC: [u64; 8] = [1, 3, 6, 1, 4, 1, 62397, 1];
/// Longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 256;
/// Most alternative names, and the longest of them, in bytes.
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 253;
/// Certificates begin a little before now, so that slow clocks take them.
const BACKDATED_S: u64 = 300;
/// How long they last where nothing is asked, and at most.
const LIFE_S: u64 = 365 * 86_400;
const LIFE_S_MAX: u64 = 10 * 366 * 86_400;
/// Latest end of one: the year 2242.
const END_MAX: UnixSeconds = 1 << 33;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) server: bool,
    pub(crate) client: bool,
}

/// What a certificate is to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct CertificateAsk {
    pub(crate) subject: String,
    pub(crate) names: Vec<String>,
    pub(crate) usage: Usage,
    pub(crate) not_before: Option<UnixSeconds>,
    pub(crate) not_after: Option<UnixSeconds>,
    /// Quote and event log of RA-TLS.
    pub(crate) attested: Option<(Vec<u8>, Vec<u8>)>,
    /// The app's id.
    pub(crate) app_id: Option<Vec<u8>>,
}

/// A key pair in the two forms that are needed.
pub(crate) struct TlsKey(KeyPair);

impl TlsKey {
    fn new(secret: &[u8; 32]) -> Result<Self, DstackError> {
        Ok(Self(KeyPair::try_from(p256_pkcs8(secret)?.as_slice())?))
    }

    /// PKCS #8, PEM.
    pub(crate) fn pem(&self) -> String {
        unix(&self.0.serialize_pem())
    }

    /// Public key, DER.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        self.0.public_key_der()
    }
}

/// The app's authority.
pub(crate) struct TlsAuthority {
    secret: Zeroizing<[u8; 32]>,
    key: TlsKey,
    certificate: Certificate,
}

impl TlsAuthority {
    /// The authority of the app with this root key.
    pub(crate) fn new(root: &[u8; 32], app: &str) -> Result<Self, DstackError> {
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&app_key(root, KeyKind::Raw256, AUTHORITY_KEY));
        let key = TlsKey::new(&secret)?;
        let mut params = params(&format!("{app} CA"));
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2075, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key.0)?;
        Ok(Self { secret, key, certificate })
    }

    /// Certificate of the authority, PEM.
    pub(crate) fn pem(&self) -> String {
        unix(&self.certificate.pem())
    }

    /// The key of a path: always the same.
    pub(crate) fn key_of(&self, path: &str) -> Result<TlsKey, DstackError> {
        let mut secret = Zeroizing::new([0; 32]);
        hkdf_sha256(SALT, &*self.secret, &[path.as_bytes()], &mut *secret);
        TlsKey::new(&secret)
    }

    /// A key of 32 random bytes.
    pub(crate) fn fresh_key(random: &[u8; 32]) -> Result<TlsKey, DstackError> {
        TlsKey::new(random)
    }

    /// Certificate of a key, PEM, the authority's behind it.
    pub(crate) fn issue(
        &self,
        key: &TlsKey,
        ask: CertificateAsk,
        now: UnixSeconds,
    ) -> Result<Vec<String>, DstackError> {
        let is_name = |name: &String| (1..=NAME_BYTES_MAX).contains(&name.len());
        if ask.subject.len() > SUBJECT_BYTES_MAX || ask.names.len() > NAMES_MAX || !ask.names.iter().all(is_name) {
            return Err(DstackError::Subject { subject: SUBJECT_BYTES_MAX, names: NAMES_MAX });
        }
        let from = ask.not_before.unwrap_or_else(|| now.saturating_sub(BACKDATED_S));
        let to = ask.not_after.unwrap_or_else(|| from.saturating_add(LIFE_S));
        if to > END_MAX || !(1..=LIFE_S_MAX).contains(&to.saturating_sub(from)) {
            return Err(DstackError::Validity);
        }
        let mut params = CertificateParams::new(ask.names)?;
        // Explicitly no authority would be the default written out, which is no DER.
        params.is_ca = IsCa::NoCa;
        params.distinguished_name = name(&ask.subject);
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(from);
        params.not_after = epoch + Duration::from_secs(to);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if ask.usage.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if ask.usage.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let (quote, log) = ask.attested.map_or((None, None), |(quote, log)| (Some(quote), Some(log)));
        for (tail, content) in [(1, quote), (2, log), (3, ask.app_id)] {
            if let Some(content) = content {
                let oid = [&ARC[..], &[tail]].concat();
                params.custom_extensions.push(CustomExtension::from_oid_content(&oid, octet_string(&content)));
            }
        }
        let certificate = params.signed_by(&key.0, &self.certificate, &self.key.0)?;
        Ok(vec![unix(&certificate.pem()), self.pem()])
    }
}

/// Report data of RA-TLS: SHA-512, whose second half is no zeros, so that it is no statement of a keyset.
pub(crate) fn ratls_report_data(public_der: &[u8]) -> [u8; 64] {
    sha512(&[RATLS_PREFIX, public_der].concat())
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name);
    params
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// DER: bytes behind tag 4 and their length.
fn octet_string(content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![0x04];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let start = bytes.iter().take_while(|&&byte| byte == 0).count();
        out.push(0x80 | (bytes.len() - start) as u8);
        out.extend_from_slice(&bytes[start..]);
    }
    out.extend_from_slice(content);
    out
}

/// PEM with line feeds alone, whatever rcgen writes on this system.
fn unix(text: &str) -> String {
    text.replace('\r', "")
}
