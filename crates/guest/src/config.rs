//! What a guest is started with, and which part of it others can hold it to.
//!
//! [`TrustConfig`] is bound: its digest stands in the subject of the keyset and so under every quote. Everything else
//! (paths, the event log) comes from the host and is trusted for nothing.

use std::{collections::BTreeSet, io, path::PathBuf};

use freehold_crypto::{genesis_hash, hash};
use freehold_primitives::{
    Account, AppId, Blob, Canonical, CodecError, Digest, Genesis, NetworkKey, TrustDomain, canonical_struct,
    entries::is_lease_name,
};
use freehold_rpc::{BareHex, EventLogEntry, KeyScope, SOCKET_PATH_BYTES_MAX};
use freehold_verify::ChainTrust;
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod environment;
mod ingress;

#[cfg(test)]
mod tests;

pub use environment::{EnvironmentSocket, VariablePart};
pub use ingress::{AcmeChallenge, AcmeConfig, IngressConfig};

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Most services of an app that have a socket of their own.
const SERVICES_MAX: usize = 64;
/// Most entries of the event log.
const EVENT_LOG_MAX: usize = 64;
/// Shortest and longest lease that a guest asks for, in seconds.
const LEASE_S_RANGE: std::ops::RangeInclusive<u64> = 10..=86_400;

/// Why a configuration is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the guest's configuration {path} cannot be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no configuration.
    #[error("the guest's configuration {path} is malformed: {source}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The genesis is malformed.
    #[error("the genesis in the guest's configuration is malformed: {0}")]
    Genesis(CodecError),
    /// The evidence source does not give evidence of the trust domain.
    #[error(
        "the guest's configuration asks for evidence of `{domain}` from {1}: hardware answers through \
         `configfs`, the emulator through `socket`",
        domain = .0.as_str()
    )]
    EvidenceSource(TrustDomain, &'static str),
    /// A value is outside its range.
    #[error("`{0}` in the guest's configuration is out of range")]
    Value(&'static str),
}

/// The part of the configuration that is bound by the subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustConfig {
    /// The network key: the guest's one root of trust for the chain.
    pub network_key: NetworkKey,
    /// Canonical document of the genesis.
    pub genesis: BareHex,
    /// App that this is an instance of.
    pub app_id: AppId,
    /// Account of the provider that pays.
    pub provider: Account,
    /// Word of the trust domain whose root judges the evidence.
    pub trust_domain: String,
    /// Lease to ask for, in seconds.
    pub lease_s: u64,
}

/// Where the guest takes evidence from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidencePath {
    /// The emulator's socket.
    Socket(PathBuf),
    /// The kernel's reports: `/sys/kernel/config/tsm/report`.
    Configfs(PathBuf),
}

impl EvidencePath {
    /// Whether the source behind it gives evidence of this trust domain.
    fn check(&self, domain: TrustDomain) -> Result<(), ConfigError> {
        match (self, domain) {
            (Self::Socket(_), TrustDomain::Emulated) => Ok(()),
            (Self::Socket(_), _) => Err(ConfigError::EvidenceSource(domain, "a socket")),
            (Self::Configfs(_), TrustDomain::Intel | TrustDomain::Amd) => Ok(()),
            (Self::Configfs(_), _) => Err(ConfigError::EvidenceSource(domain, "configfs")),
        }
    }
}

/// Sockets and directories, given by the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathConfig {
    /// Directory for sealed receipts; one guest at a time.
    pub state_dir: PathBuf,
    /// Socket that the guest serves the local API on.
    pub local_api: PathBuf,
    /// The evidence source.
    pub evidence: EvidencePath,
    /// Socket of the host's relay to a node.
    pub chain: PathBuf,
    /// Socket of the host's control channel.
    pub control: PathBuf,
    /// Socket of the host's gate to the outside, for fetches; without one there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<PathBuf>,
    /// Where the instance takes TLS connections; without it there are none, and the keyset names no TLS key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressConfig>,
    /// Sockets of the app's services, where it has several: each is the local API for one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSocket>,
    /// Sockets that answer with the environment of one service each, and with nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentSocket>,
    /// The disk that state is kept on once the root key is there, in a VM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_disk: Option<StateDiskPaths>,
}

/// Where a VM's state disk is, and who opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateDiskPaths {
    /// The disk.
    pub device: PathBuf,
    /// Socket of PID 1.
    pub asked: PathBuf,
    /// The agent's folder on it, once it is open.
    pub folder: PathBuf,
    /// Size of the file system that is made on a new one, in MiB.
    pub mib: u64,
}

/// How the app's own files are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageCare {
    /// It keeps none that outlive it.
    #[default]
    None,
    /// As they are, for the host to read.
    Clear,
    /// On the state disk of its VM.
    Sealed,
}

/// The local API of one service of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSocket {
    /// Name of the service: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, once each.
    pub name: String,
    /// Its socket.
    pub socket: PathBuf,
}

/// Configuration of a guest, a JSON file; unknown members are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestConfig {
    /// The bound part.
    pub trust: TrustConfig,
    /// Sockets and directories.
    pub paths: PathConfig,
    /// What keeps the app's process apart, as the host says: `bubblewrap` or `none`.
    pub isolation: String,
    /// How the app's own files are kept, as the host says; in a VM the image says it.
    #[serde(default)]
    pub storage: StorageCare,
    /// Scopes of the keys that the app may ask for, as the host says; in a VM the image says it. All where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<KeyScope>,
    /// Events that extended the runtime registers; a verifier replays them.
    pub event_log: Vec<EventLogEntry>,
}

canonical_struct! {
    /// What the configuration digest covers.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct BoundConfig {
        /// The network key.
        pub network_key: NetworkKey,
        /// Canonical document of the genesis.
        pub genesis: Blob,
        /// App.
        pub app_id: AppId,
        /// Provider.
        pub provider: Account,
        /// Trust domain.
        pub trust_domain: TrustDomain,
        /// Lease to ask for, in seconds.
        pub lease_s: u64,
    }
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) genesis: Genesis,
    pub(crate) chain: ChainTrust,
    pub(crate) app_id: AppId,
    pub(crate) provider: Account,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) lease_s: u64,
    pub(crate) config_digest: Digest,
    pub(crate) isolation: String,
    pub(crate) storage: StorageCare,
    pub(crate) scopes: Vec<KeyScope>,
    pub(crate) event_log: Vec<EventLogEntry>,
    pub(crate) paths: PathConfig,
}

/// Keys of a scope that the app's manifest does not list are not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the app's manifest does not list this scope of keys (freehold.scopes)")]
pub(crate) struct ScopeNotListed;

impl Settings {
    /// Whether the app may ask for keys of a scope.
    pub(crate) fn check_scope(&self, scope: KeyScope) -> Result<(), ScopeNotListed> {
        if self.scopes.is_empty() || self.scopes.contains(&scope) { Ok(()) } else { Err(ScopeNotListed) }
    }
}

impl GuestConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError::Read`], [`ConfigError::Malformed`].
    pub fn read(path: &std::path::Path) -> Result<Self, ConfigError> {
        use std::io::Read as _;
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(CONFIG_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|source| ConfigError::Malformed { path: path.to_owned(), source })
    }

    pub(crate) fn check(self) -> Result<Settings, ConfigError> {
        let Self { trust, paths, isolation, storage, scopes, event_log } = self;
        let genesis = Genesis::from_canonical(&trust.genesis.0).map_err(ConfigError::Genesis)?;
        let trust_domain =
            TrustDomain::from_word(&trust.trust_domain).ok_or(ConfigError::Value("trust.trust_domain"))?;
        if !LEASE_S_RANGE.contains(&trust.lease_s) {
            return Err(ConfigError::Value("trust.lease_s"));
        }
        if event_log.len() > EVENT_LOG_MAX {
            return Err(ConfigError::Value("event_log"));
        }
        paths.evidence.check(trust_domain)?;
        let evidence = match &paths.evidence {
            EvidencePath::Socket(path) => Some(path),
            EvidencePath::Configfs(_) => None,
        };
        let services: BTreeSet<&str> = paths.services.iter().map(|service| service.name.as_str()).collect();
        let is_sound = services.iter().all(|name| is_lease_name(name));
        if !is_sound || services.len() != paths.services.len() || services.len() > SERVICES_MAX {
            return Err(ConfigError::Value("paths.services"));
        }
        let named: BTreeSet<&str> = paths.environments.iter().map(|service| service.name.as_str()).collect();
        if named.len() != paths.environments.len()
            || named.len() > SERVICES_MAX
            || !paths.environments.iter().all(EnvironmentSocket::is_sound)
        {
            return Err(ConfigError::Value("paths.environments"));
        }
        if paths.ingress.as_ref().is_some_and(|ingress| !ingress.is_sound()) {
            return Err(ConfigError::Value("paths.ingress"));
        }
        let sockets = paths.services.iter().map(|service| &service.socket);
        let sockets = sockets.chain(paths.environments.iter().map(|service| &service.socket));
        let given = [&paths.local_api, &paths.chain, &paths.control].into_iter().chain(&paths.egress);
        for socket in given.chain(evidence).chain(sockets) {
            if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
                return Err(ConfigError::Value("paths"));
            }
        }
        let bound = BoundConfig {
            network_key: trust.network_key,
            genesis: Blob(trust.genesis.0),
            app_id: trust.app_id,
            provider: trust.provider,
            trust_domain,
            lease_s: trust.lease_s,
        };
        let chain = ChainTrust {
            network_key: trust.network_key,
            chain_id: genesis.chain_id,
            genesis_hash: genesis_hash(&genesis),
        };
        Ok(Settings {
            genesis,
            chain,
            app_id: trust.app_id,
            provider: trust.provider,
            trust_domain,
            lease_s: trust.lease_s,
            config_digest: hash("freehold guest config", &[&bound.to_canonical()]),
            isolation,
            storage,
            scopes,
            event_log,
            paths,
        })
    }
}
