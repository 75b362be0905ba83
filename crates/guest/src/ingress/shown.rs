//! What another instance of the app shows under one of its domains: a chain for the key that all of them have.
//!
//! Invariant: a chain is taken only from who signs the handshake with that key, so from an instance of this app; what it is worth,
//! the authority said to that one. DNS may lead to this very instance, or to one that has nothing newer: then nothing is taken.

use std::{io, path::Path, time::Duration};

use freehold_primitives::Digest;
use freehold_rpc::{KeyExpected, key_connector};
use tokio::{net::UnixStream, time::timeout};
use tokio_rustls::rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};

use super::certificate::{Chain, pem};
use crate::fetch::pass;

/// Connections that are tried for each look: a name's addresses come in any order.
const TRIES: usize = 4;
/// Longest wait for one of them.
const TRY_WAIT: Duration = Duration::from_secs(5);
/// Port of HTTPS.
const HTTPS: u16 = 443;

/// The newest chain for a key that the domains show, valid for all of them; PEM.
pub(super) async fn shown(gate: &Path, domains: &[String], spki_sha256: &Digest) -> Option<(String, Chain)> {
    let mut newest = None::<(String, Chain)>;
    let first = domains.first()?;
    for _ in 0..TRIES {
        // A name that leads nowhere does so again.
        let Ok(Ok(through)) = timeout(TRY_WAIT, pass(gate, &format!("{first}:{HTTPS}"))).await else { break };
        let certificates = timeout(TRY_WAIT, certificates(through, first, spki_sha256)).await;
        let Ok(Ok(certificates)) = certificates else { continue };
        let text = pem(&certificates);
        let Ok(chain) = Chain::read(&text, spki_sha256) else { continue };
        let is_newer = newest.as_ref().is_none_or(|(_, newest)| newest.not_after < chain.not_after);
        if is_newer && covers(&certificates, domains) {
            newest = Some((text, chain));
        }
    }
    newest
}

/// What is shown for a name, by whoever has the key.
async fn certificates(through: UnixStream, name: &str, key: &Digest) -> io::Result<Vec<CertificateDer<'static>>> {
    let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = key_connector(KeyExpected::Key(*key), None).connect(server, through).await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec())
}

/// Whether a chain's own certificate is for all of these names.
fn covers(certificates: &[CertificateDer<'_>], domains: &[String]) -> bool {
    let Some(Ok(own)) = certificates.first().map(ParsedCertificate::try_from) else { return false };
    domains
        .iter()
        .all(|domain| ServerName::try_from(domain.as_str()).is_ok_and(|name| verify_server_name(&own, &name).is_ok()))
}
