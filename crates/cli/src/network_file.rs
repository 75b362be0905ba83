//! The network file: what the operators of a new network agree on before its keys are made (`docs/operations.md`).
//!
//! TOML, made by `genesis combine` from the contributions, the same on every machine: its digest is compared by people.
//! Unknown keys are refused. Not here: keys and shares.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result, bail};
use freehold_primitives::{
    Account, Allocation, AppId, Blob, Digest, Diversity, Ed25519Key, Genesis, KeyCeremony, Membership, Purpose, Seat,
    TrustDomain, TrustRoot,
};
use serde::{Deserialize, Serialize};

use crate::accounts::{BOND_UNITS, UNIT, seat, word};

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
    /// The account that owns its seat; in a network for production each must be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<Account>,
}

/// Terms, and who may validate later.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Payloads in a term.
    term_blocks: u64,
    /// Least bond, in units of 18 decimals; each of the first validators has it from the start.
    bond_units: u64,
    /// Terms that a bond stays after its validator left.
    unbond_terms: u32,
    /// Terms that a validator stays away at least which failed at its duties.
    jail_terms: u32,
    /// Whether one operator or one vendor of TEEs may hold a threshold of the shares.
    one_may_hold_a_threshold: bool,
    /// The app whose instances may become validators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app: Option<AppId>,
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
    membership: Rules,
    pub(crate) validators: Vec<Contribution>,
    #[serde(default)]
    allocations: Vec<Coins>,
}

impl NetworkFile {
    /// A development network of these validators; its roots of trust are the emulator's.
    pub(crate) fn development(
        chain_id: u64,
        timestamp_ms: u64,
        mut validators: Vec<Contribution>,
        term_blocks: u64,
        app: Option<AppId>,
    ) -> Result<Self> {
        validators.sort_by_key(|validator| validator.identity);
        if validators.windows(2).any(|pair| pair[0].identity == pair[1].identity) {
            bail!("two contributions carry one identity: each validator needs its own folder");
        }
        if !matches!(validators.len(), 1 | 4..) {
            bail!("a network has 1 validator, or 4 and more: {} tolerate no more faults than 1", validators.len());
        }
        for (index, validator) in (0..).zip(&mut validators) {
            validator.account = Some(validator.account.map_or_else(|| Ok(seat(index)?.account()), anyhow::Ok)?);
        }
        let membership = Rules {
            term_blocks,
            bond_units: BOND_UNITS,
            unbond_terms: 2,
            jail_terms: 1,
            one_may_hold_a_threshold: true,
            app,
        };
        let units = |allocation: Allocation| {
            let balance = u128::from_be_bytes(allocation.balance[16..].try_into().unwrap_or_default());
            Coins { account: allocation.account, units: u64::try_from(balance / UNIT).unwrap_or(u64::MAX) }
        };
        let allocations = crate::accounts::allocations()?.into_iter().map(units).collect();
        let (production, epoch_s, lease_s) = (false, 600, 600);
        Ok(Self { chain_id, production, timestamp_ms, epoch_s, lease_s, membership, validators, allocations })
    }

    /// Reads a network file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file: Self = read_toml(path)?;
        if let Some(nobodys) = file.validators.iter().find(|validator| validator.account.is_none()) {
            bail!("{}: validator {} has no `account` that owns its seat", path.display(), nobodys.identity);
        }
        Ok(file)
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
        let coins =
            |coins: &Coins| Allocation { account: coins.account, balance: word(u128::from(coins.units) * UNIT) };
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
            membership: self.membership(),
        }
    }

    fn membership(&self) -> Membership {
        let rules = &self.membership;
        let bond_min = word(u128::from(rules.bond_units) * UNIT);
        let seat = |validator: &Contribution| Seat {
            account: validator.account.unwrap_or_default(),
            bond: bond_min,
            address: validator.address.to_string(),
        };
        Membership {
            term_blocks: rules.term_blocks,
            seats: self.validators.iter().map(seat).collect(),
            bond_min,
            unbond_terms: rules.unbond_terms,
            jail_terms: rules.jail_terms,
            diversity: if rules.one_may_hold_a_threshold { Diversity::Waived } else { Diversity::Required },
            app: rules.app,
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
