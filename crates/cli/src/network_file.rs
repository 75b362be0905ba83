//! The network file: what the operators of a new network agree on before its keys are made (`docs/operations.md`).
//!
//! TOML, made by `genesis combine` from the contributions, the same on every machine: its digest is compared by people.
//! Unknown keys are refused. Not here: keys and shares.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result, bail};
use freehold_primitives::{
    Account, Allocation, Blob, Digest, Ed25519Key, Genesis, KeyCeremony, Membership, Purpose, TrustDomain, TrustRoot,
};
use serde::{Deserialize, Serialize};

/// Name of the network file in a validator's folder.
pub(crate) const NETWORK_FILE: &str = "network.toml";
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One operator's contribution: who the validator is, and where.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contribution {
    /// The validator's identity key.
    pub(crate) identity: Ed25519Key,
    /// Where the other validators reach it.
    pub(crate) address: SocketAddr,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coins {
    account: Account,
    /// Units of 18 decimals.
    units: u64,
}

/// What a new network is, but for its keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkFile {
    pub(crate) chain_id: u64,
    production: bool,
    timestamp_ms: u64,
    epoch_s: u64,
    lease_s: u64,
    pub(crate) validators: Vec<Contribution>,
    #[serde(default)]
    allocations: Vec<Coins>,
}

impl NetworkFile {
    /// A development network of these validators; its roots of trust are the emulator's.
    pub(crate) fn development(chain_id: u64, timestamp_ms: u64, mut validators: Vec<Contribution>) -> Result<Self> {
        validators.sort_by_key(|validator| validator.identity);
        if validators.windows(2).any(|pair| pair[0].identity == pair[1].identity) {
            bail!("two contributions carry one identity: each validator needs its own folder");
        }
        if !matches!(validators.len(), 1 | 4..) {
            bail!("a network has 1 validator, or 4 and more: {} tolerate no more faults than 1", validators.len());
        }
        let units = |allocation: Allocation| {
            let balance = u128::from_be_bytes(allocation.balance[16..].try_into().unwrap_or_default());
            Coins { account: allocation.account, units: u64::try_from(balance / UNIT).unwrap_or(u64::MAX) }
        };
        let allocations = crate::accounts::allocations()?.into_iter().map(units).collect();
        Ok(Self { chain_id, production: false, timestamp_ms, epoch_s: 600, lease_s: 600, validators, allocations })
    }

    /// Reads a network file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        read_toml(path)
    }

    /// The file's text.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    /// The genesis without its keys.
    pub(crate) fn draft(&self) -> Genesis {
        let trust_roots = if self.production {
            freehold_attestation::vendor_roots()
        } else {
            vec![TrustRoot {
                domain: TrustDomain::Emulated,
                certificate: Blob(freehold_emulator::root_certificate(&freehold_emulator::DEVELOPMENT_SEED)),
            }]
        };
        let coins = |coins: &Coins| {
            let mut balance = [0; 32];
            balance[16..].copy_from_slice(&(u128::from(coins.units) * UNIT).to_be_bytes());
            Allocation { account: coins.account, balance }
        };
        Genesis {
            chain_id: self.chain_id,
            purpose: if self.production { Purpose::Production } else { Purpose::Development },
            timestamp_ms: self.timestamp_ms,
            epoch_s: self.epoch_s,
            lease_s: self.lease_s,
            validators: self.validators.iter().map(|validator| validator.identity).collect(),
            consensus_polynomial: Blob(Vec::new()),
            derivation_polynomial: Vec::new(),
            key_ceremony: KeyCeremony::Distributed,
            trust_roots,
            allocations: self.allocations.iter().map(coins).collect(),
            membership: Membership::default(),
        }
    }

    /// Names everything in the file: what operators compare.
    pub(crate) fn digest(&self) -> Digest {
        freehold_crypto::genesis_hash(&self.draft())
    }

    /// Where all validators are.
    pub(crate) fn peers(&self) -> Vec<(Ed25519Key, SocketAddr)> {
        self.validators.iter().map(|validator| (validator.identity, validator.address)).collect()
    }
}

/// Wei in a unit.
const UNIT: u128 = 1_000_000_000_000_000_000;

/// Reads a contribution.
pub(crate) fn read_contribution(path: &Path) -> Result<Contribution> {
    read_toml(path)
}

fn read_toml<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let cannot = || format!("cannot read {}", path.display());
    if fs::metadata(path).with_context(cannot)?.len() > FILE_BYTES_MAX {
        bail!("{} is above {FILE_BYTES_MAX} bytes", path.display());
    }
    let text = fs::read_to_string(path).with_context(cannot)?;
    toml::from_str(&text).with_context(cannot)
}
