//! What a client is shown: certificates with their key, and TLS set up with them.

use std::{sync::Arc, time::Duration};

use freehold_primitives::{Digest, UnixSeconds};
use freehold_rpc::CHANNEL_ALPN;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::CertificateDer,
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::key::TlsKey;

/// ALPN name of an authority's question (RFC 8737 §6.2).
pub(super) const CHALLENGE_ALPN: &[u8] = b"acme-tls/1";
/// Certificates begin a little before now, so that slow clocks take them.
const BACKDATED_S: u64 = 3_600;
/// Life of the certificate that answers an authority, in seconds.
const CHALLENGE_LIFE_S: u64 = 86_400;

/// Certificates with their key, set up for each kind of connection.
pub(super) struct Face {
    pub(super) spki_sha256: Digest,
    /// For the app: no ALPN name is chosen, so that HTTP/1.1 and whatever else the app speaks goes through.
    pub(super) app: Arc<ServerConfig>,
    /// For whoever asks for evidence.
    pub(super) channel: Arc<ServerConfig>,
    /// For an authority that asks whether the name leads here.
    pub(super) challenge: Arc<ServerConfig>,
}

impl Face {
    /// A key with its certificates.
    pub(super) fn new(key: &TlsKey, chain: Vec<CertificateDer<'static>>) -> Self {
        let certified = Arc::new(key.certified(chain));
        Self {
            spki_sha256: key.spki_sha256(),
            app: config(&certified, None),
            channel: config(&certified, Some(CHANNEL_ALPN)),
            challenge: config(&certified, Some(CHALLENGE_ALPN)),
        }
    }

    /// A certificate that the key itself signs, for these names and times.
    pub(super) fn self_signed(
        key: &TlsKey,
        names: &[String],
        (now, not_after): (UnixSeconds, UnixSeconds),
    ) -> Result<Self, rcgen::Error> {
        let mut params = params(names, now, not_after)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key.pair())?;
        Ok(Self::new(key, vec![certificate.der().clone()]))
    }

    /// The certificate that shows an authority the digest it asks for (RFC 8737 §3).
    pub(super) fn challenge(name: &str, digest: &[u8], now: UnixSeconds) -> Result<Self, rcgen::Error> {
        let mut rng = rand::rng();
        let key = TlsKey::generate(&mut rng);
        let mut params = params(&[name.to_owned()], now, now.saturating_add(CHALLENGE_LIFE_S))?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key.pair())?;
        Ok(Self::new(&key, vec![certificate.der().clone()]))
    }
}

/// What an authority is asked to certify: these names, for this key. DER.
pub(super) fn signing_request(key: &TlsKey, names: &[String]) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key.pair())?.der().to_vec())
}

fn params(names: &[String], now: UnixSeconds, not_after: UnixSeconds) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.is_ca = IsCa::NoCa;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "freehold instance");
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(BACKDATED_S));
    params.not_after = epoch + Duration::from_secs(not_after);
    Ok(params)
}

fn config(certified: &Arc<CertifiedKey>, alpn: Option<&[u8]>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers the default versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certified))));
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    Arc::new(config)
}
