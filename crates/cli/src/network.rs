//! The development network of a data directory: made on first use, resumed after.

use std::{net::SocketAddr, path::Path};

use anyhow::{Result, bail};
use freehold_emulator::{DEVELOPMENT_SEED, SnpPlatform};
use freehold_host::EmulatedTee;
use freehold_node::{Clock, Network, NetworkConfig, NewNetwork, create_network, read_genesis};
use freehold_primitives::{Blob, Diversity, Genesis, Membership, Purpose, SnpProduct, TrustDomain, TrustRoot};
use rand::{rand_core::UnwrapErr, rngs::SysRng};

use crate::accounts;

/// Length of a term of a new network, in payloads: ten minutes where every second has one, two where it is busy.
pub(crate) const TERM_BLOCKS: u64 = 600;

/// What a network must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) chain_id: u64,
    pub(crate) validators: u32,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// Length of a term, in payloads.
    pub(crate) term_blocks: u64,
    /// Which emulated machines the genesis admits beside those of Intel.
    pub(crate) tee: EmulatedTee,
    /// Whether it admits hardware.
    pub(crate) vendor_roots: bool,
}

impl Wanted {
    /// A development network whose apps run on emulated TDX.
    pub(crate) const fn development(chain_id: u64, validators: u32) -> Self {
        let (purpose, tee) = (Purpose::Development, EmulatedTee::Tdx);
        Self { chain_id, validators, purpose, term_blocks: TERM_BLOCKS, tee, vendor_roots: false }
    }
}

/// Whether a genesis was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Made,
    Resumed,
}

/// Reads the network of a folder, or makes it.
pub(crate) fn open_or_make(folder: &Path, wanted: Wanted) -> Result<(Genesis, Origin)> {
    if let Some(genesis) = read_genesis(folder)? {
        if genesis.chain_id != wanted.chain_id {
            bail!(
                "{} holds the chain {}, not {}: choose another --data-dir, or --chain-id {}",
                folder.display(),
                genesis.chain_id,
                wanted.chain_id,
                genesis.chain_id
            );
        }
        if genesis.validators.len() != wanted.validators as usize {
            bail!(
                "{} holds a network of {} validators, not {}: choose another --data-dir, or --validators {}",
                folder.display(),
                genesis.validators.len(),
                wanted.validators,
                genesis.validators.len()
            );
        }
        if wanted.purpose == Purpose::DevelopmentTraces && !genesis.has_dev_traces() {
            bail!(
                "{} holds a network without traces of confidential frames, which its genesis decides: choose another \
                 --data-dir for --dev-traces",
                folder.display()
            );
        }
        let is_of_vendor = |root: &TrustRoot| root.domain != TrustDomain::Emulated;
        if wanted.vendor_roots && !genesis.trust_roots.iter().any(is_of_vendor) {
            bail!(
                "{} holds a network that admits no hardware, which its genesis decides: choose another --data-dir for \
                 --vendor-roots",
                folder.display()
            );
        }
        return Ok((genesis, Origin::Resumed));
    }
    if matches!(wanted.validators, 0 | 2 | 3) {
        bail!("--validators must be 1, or 4 and more: {} tolerate no more faults than 1", wanted.validators);
    }
    let new = NewNetwork {
        chain_id: wanted.chain_id,
        validators: wanted.validators,
        purpose: wanted.purpose,
        timestamp_ms: Clock::system().now_ms(),
        trust_roots: trust_roots(&wanted),
        allocations: accounts::allocations()?,
        membership: Membership {
            term_blocks: wanted.term_blocks,
            seats: accounts::seats(wanted.validators)?,
            bond_min: accounts::word(u128::from(accounts::BOND_UNITS) * accounts::UNIT),
            unbond_terms: 2,
            jail_terms: 1,
            diversity: Diversity::Waived,
            app: None,
        },
    };
    Ok((create_network(folder, &new, &mut UnwrapErr(SysRng))?, Origin::Made))
}

/// The emulator's roots: of Intel's machines always, of AMD's where they are wanted, since their keys take a while; and those of
/// the vendors where hardware is.
fn trust_roots(wanted: &Wanted) -> Vec<TrustRoot> {
    let mut ders = vec![freehold_emulator::root_certificate(&DEVELOPMENT_SEED)];
    if wanted.tee == EmulatedTee::Snp {
        ders.push(SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa).root_certificate());
    }
    let root = |der| TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(der) };
    let emulated = ders.into_iter().map(root);
    emulated.chain(wanted.vendor_roots.then(freehold_attestation::vendor_roots).into_iter().flatten()).collect()
}

/// Starts all validators of a folder's network in this process.
pub(crate) async fn start(folder: &Path, genesis: Genesis, rpc: SocketAddr) -> Result<Network> {
    let config = NetworkConfig { folder: folder.to_path_buf(), genesis, rpc, clock: Clock::system(), signer: None };
    Ok(Network::start(config).await?)
}
