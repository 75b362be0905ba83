//! Reaching an instance over TLS that ends inside it (`spec/ingress.md`): the key of the connection is held to the instance's
//! evidence, whatever stands between.
//!
//! Invariant: not one byte of a request is sent before the key that the other side signs with is the one that a quote bound, of
//! an instance that the certified chain knows and its app's policy admits, and that stands in its keyset.

mod error;
mod proxy;

#[cfg(test)]
mod tests;

use std::time::Duration;

use freehold_crypto::sha256;
use freehold_primitives::{AppId, Digest, NetworkKey};
use freehold_rpc::{
    CHANNEL_ALPN, CHANNEL_ANSWER_BYTES_MAX, ChannelAnswer, Endpoint, KeyExpected, NodeClient, app_server_name,
    channel_nonce, instance_server_name, key_connector,
};
use freehold_verify::{UpgradeDemand, VerifiedInstance};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    client::TlsStream,
    rustls::{pki_types::ServerName, server::ParsedCertificate},
};

pub use error::IngressError;
pub use proxy::{Proxy, ProxyEvent};

use crate::{
    instance::{Judge, random_digest, unix_now},
    report::Report,
};

/// Longest wait for a connection and its handshake.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for the evidence: quotes are queued.
const EVIDENCE_WAIT: Duration = Duration::from_secs(45);

/// Whom to reach, and what to trust.
#[derive(Debug, Clone)]
pub struct IngressTarget {
    /// Address of a machine's ingress, `HOST:PORT`.
    pub address: String,
    /// A node's JSON-RPC.
    pub rpc: Endpoint,
    /// The network key.
    pub network_key: NetworkKey,
    /// The app that must be behind it.
    pub app_id: AppId,
    /// The instance that must be; any of the app where none is named.
    pub instance_id: Option<Digest>,
}

/// An instance that may be spoken to, and the key that its connections show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedIngress {
    instance: VerifiedInstance,
    server_name: String,
    spki_sha256: Digest,
    acme_account: Option<String>,
}

impl VerifiedIngress {
    /// The instance.
    pub const fn instance(&self) -> &VerifiedInstance {
        &self.instance
    }

    /// The name that leads to it.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// SHA-256 of the SubjectPublicKeyInfo that its connections show.
    pub const fn spki_sha256(&self) -> Digest {
        self.spki_sha256
    }

    /// Its account at a certificate authority, as it says.
    pub fn acme_account(&self) -> Option<&str> {
        self.acme_account.as_deref()
    }
}

/// A person's side of connections to one app.
#[derive(Debug, Clone)]
pub struct IngressClient {
    target: IngressTarget,
    demand: UpgradeDemand,
    node: NodeClient,
}

impl IngressClient {
    /// Prepares to reach `target`. Nothing is sent yet.
    pub fn new(target: IngressTarget) -> Self {
        let node = NodeClient::new(target.rpc.clone());
        Self { target, demand: UpgradeDemand::default(), node }
    }

    /// Reaches no app that does not keep to this.
    #[must_use]
    pub fn demanding(self, demand: UpgradeDemand) -> Self {
        Self { demand, ..self }
    }

    /// Asks whoever is behind the ingress for evidence over the very connection, and judges it under the certified chain.
    ///
    /// # Errors
    /// Every [`IngressError`]; nothing of a request was sent.
    pub async fn verify(&self) -> Result<VerifiedIngress, IngressError> {
        let IngressTarget { app_id, instance_id, network_key, .. } = &self.target;
        let name = match instance_id {
            Some(instance_id) => instance_server_name(app_id, instance_id),
            None => app_server_name(app_id),
        };
        let random = random_digest()?;
        let asked = timeout(EVIDENCE_WAIT, self.ask(name, &random.0)).await;
        let (spki_sha256, answer) = asked.map_err(|_| IngressError::Timeout("its evidence"))??;
        let acme_account = answer.acme_account.clone();
        let report = Report::of_channel(answer)?;
        if instance_id.is_some_and(|wanted| wanted != report.keyset.subject) {
            return Err(IngressError::OtherInstance(report.keyset.subject));
        }
        let genesis = self.node.genesis().await.map_err(crate::AskError::from)?;
        let judge = Judge { node: &self.node, network_key: *network_key, app_id: Some(*app_id), demand: &self.demand };
        let nonce = channel_nonce(&random.0, &spki_sha256);
        let instance = judge.verify(&genesis, &report, &nonce).await?;
        // The quote bound this key already; the keyset lets others pin it without asking for a quote.
        if !report.keyset.tls_keys.iter().any(|key| key.domain.is_empty() && key.spki_sha256 == spki_sha256) {
            return Err(IngressError::NotInKeyset);
        }
        let server_name = instance_server_name(app_id, &instance.instance_id());
        Ok(VerifiedIngress { instance, server_name, spki_sha256, acme_account })
    }

    /// Connects to a verified instance: what is written goes to it and to nobody else.
    ///
    /// # Errors
    /// [`IngressError::WrongKey`] where somebody else answers, [`IngressError::Ended`] where the lease is over by this machine's clock,
    /// and what the network says.
    pub async fn connect(&self, to: &VerifiedIngress) -> Result<TlsStream<TcpStream>, IngressError> {
        if unix_now() >= to.instance.expires_at() {
            return Err(IngressError::Ended);
        }
        self.handshake(to.server_name.clone(), KeyExpected::Key(to.spki_sha256), None).await
    }

    /// The key that is shown, and the answer that came under it.
    async fn ask(&self, name: String, random: &[u8; 32]) -> Result<(Digest, ChannelAnswer), IngressError> {
        let mut stream = self.handshake(name, KeyExpected::Anybody, Some(CHANNEL_ALPN)).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
        let shown = shown.ok_or(IngressError::NoEvidence)?;
        let spki = ParsedCertificate::try_from(&shown).map_err(|_| IngressError::NoEvidence)?;
        let spki_sha256 = sha256(&spki.subject_public_key_info());
        if stream.get_ref().1.alpn_protocol() != Some(CHANNEL_ALPN) {
            return Err(IngressError::NoEvidence);
        }
        stream.write_all(random).await.map_err(IngressError::Broken)?;
        let mut text = Vec::new();
        let mut bounded = (&mut stream).take(CHANNEL_ANSWER_BYTES_MAX as u64 + 1);
        bounded.read_to_end(&mut text).await.map_err(IngressError::Broken)?;
        if text.len() > CHANNEL_ANSWER_BYTES_MAX {
            return Err(IngressError::NoEvidence);
        }
        let answer = serde_json::from_slice(&text).map_err(|_| IngressError::NoEvidence)?;
        Ok((spki_sha256, answer))
    }

    async fn handshake(
        &self,
        name: String,
        expected: KeyExpected,
        alpn: Option<&[u8]>,
    ) -> Result<TlsStream<TcpStream>, IngressError> {
        let connector = key_connector(expected, alpn);
        let server = ServerName::try_from(name).map_err(|_| IngressError::NoEvidence)?;
        let reach = async {
            let stream = TcpStream::connect(&self.target.address).await;
            let stream = stream.map_err(|error| IngressError::Unreachable(self.target.address.clone(), error))?;
            let _ = stream.set_nodelay(true);
            connector.connect(server, stream).await.map_err(IngressError::of_handshake)
        };
        timeout(CONNECT_WAIT, reach).await.map_err(|_| IngressError::Timeout("the connection"))?
    }
}
