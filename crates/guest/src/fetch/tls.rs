//! TLS towards a server: the web's roots or those that the ask names, and nothing that the host says of time.

use std::{sync::Arc, time::Duration};

use freehold_primitives::UnixSeconds;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, UnixTime},
        time_provider::TimeProvider,
    },
};

use super::error::FetchError;

/// Certified time: the machine's own clock is the host's.
#[derive(Debug)]
struct CertifiedTime(UnixSeconds);

impl TimeProvider for CertifiedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

/// A connector that judges certificates as of a time. It is made for one exchange: nothing is resumed.
pub(crate) fn connector(roots: &[Vec<u8>], judged_at: UnixSeconds) -> Result<TlsConnector, FetchError> {
    let mut store = RootCertStore::empty();
    if roots.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for root in roots {
        let added = store.add(CertificateDer::from(root.clone()));
        added.map_err(|_| FetchError::Ask("one of `roots` is no certificate (DER)"))?;
    }
    let time = Arc::new(CertifiedTime(judged_at));
    let config = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), time)
        .with_safe_default_protocol_versions()
        .expect("ring offers the default versions")
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
