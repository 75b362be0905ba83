//! The genesis of a network, and the folders of its validators.
//!
//! A validator's folder holds `genesis.bin` (canonical document) and `identity.key` and, until the first resharing, `consensus.share, derivation.share` (0600).
//! Its state root keys are in `state.keys`, derived by the quorum, where the network was founded without a dealer, and
//! otherwise follow from `state.development-key`, a seed that is the same for every validator. A development network's
//! folders are `validator-i` below one data directory, made here by a trusted dealer. Invariant: `genesis.bin` is written
//! last, so a folder with it is complete.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use freehold_consensus::{
    Dealt, Founded, GenesisShares, IdentityKey, KeyError, KeyShare, ShareKind, VALIDATORS_MAX, trusted_dealer,
};
use freehold_crypto::{StateKeys, StateRootKey};
use freehold_primitives::{
    Allocation, Canonical as _, Generation, Genesis, KeyCeremony, Membership, Purpose, TrustRoot,
};
use rand::rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

const GENESIS_FILE: &str = "genesis.bin";
const DEVELOPMENT_KEY_FILE: &str = "state.development-key";
const CONSENSUS_SHARE_FILE: &str = "consensus.share";
const DERIVATION_SHARE_FILE: &str = "derivation.share";
const SHARES_USED_FILE: &str = "shares.used";
const STATE_KEYS_FILE: &str = "state.keys";
const IDENTITY_FILE: &str = "identity.key";
/// Zeros that are written at a time where a file is erased.
const ERASE_BYTES: usize = 64 * 1024;
/// Number and key of a generation.
const STATE_KEY_BYTES: usize = 4 + 32;

/// State root keys of a quorum, by generation.
type QuorumKeys = Vec<(Generation, Zeroizing<[u8; 32]>)>;

/// What a new development network is made from.
#[derive(Debug, Clone)]
pub struct NewNetwork {
    /// Chain id.
    pub chain_id: u64,
    /// Validators: 1, or 4 and more.
    pub validators: u32,
    /// What it is for; never production, since one dealer makes its keys.
    pub purpose: Purpose,
    /// Start, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Roots of trust for evidence.
    pub trust_roots: Vec<TrustRoot>,
    /// Accounts that hold coins.
    pub allocations: Vec<Allocation>,
    /// Terms, and who may validate.
    pub membership: Membership,
}

/// Keys of one validator.
#[derive(Clone)]
pub struct ValidatorKeys {
    /// Its identity on the network.
    pub identity: IdentityKey,
    /// Its shares of the genesis' keys; `None` where it joined later, lost them, or has newer ones.
    pub shares: Option<GenesisShares>,
    /// State root keys; `None` on a follower.
    pub state: Option<Arc<StateKeys>>,
}

/// Why a network's folder is not usable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// A file could not be read or written.
    #[error("{path} cannot be read or written: {source}; check the free space and the rights of the folder")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is damaged.
    #[error("{path} is damaged: restore it, or start a new network in another data directory")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The folder belongs to another chain.
    #[error("{path} holds the chain {found}, not {wanted}: choose another data directory or --chain-id {found}")]
    Chain {
        /// The folder.
        path: PathBuf,
        /// Chain that is there.
        found: u64,
        /// Chain that was asked for.
        wanted: u64,
    },
    /// The network runs already, and its first shares are gone.
    #[error(
        "{path} belongs to a validator that has run: its first key shares are replaced, there is nothing left to found"
    )]
    Running {
        /// The folder.
        path: PathBuf,
    },
    /// The number of validators does not fit.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Reads the genesis of a folder; `None` where there is no network yet.
///
/// # Errors
/// [`GenesisError::File`], [`GenesisError::Damaged`].
pub fn read_genesis(folder: &Path) -> Result<Option<Genesis>, GenesisError> {
    let path = folder.join(GENESIS_FILE);
    match fs::read(&path) {
        Ok(bytes) => Genesis::from_canonical(&bytes).map(Some).map_err(|_| GenesisError::Damaged { path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(GenesisError::File { path, source }),
    }
}

/// Makes a new network: deals the keys and writes all folders.
///
/// # Errors
/// Any [`GenesisError`] but [`GenesisError::Chain`].
pub fn create_network(folder: &Path, network: &NewNetwork, rng: &mut impl CryptoRng) -> Result<Genesis, GenesisError> {
    let count = network.validators as usize;
    if !(count == 1 || (4..=VALIDATORS_MAX).contains(&count)) {
        return Err(KeyError::Count(count).into());
    }
    let mut identities: Vec<IdentityKey> = (0..network.validators).map(|_| IdentityKey::generate(rng)).collect();
    identities.sort_by_key(IdentityKey::public);
    let validators: Vec<_> = identities.iter().map(IdentityKey::public).collect();
    let dealt = trusted_dealer(rng, &validators)?;
    let genesis = Genesis {
        chain_id: network.chain_id,
        purpose: network.purpose,
        timestamp_ms: network.timestamp_ms,
        epoch_s: 600,
        lease_s: 600,
        validators,
        consensus_polynomial: dealt.consensus_polynomial.clone(),
        derivation_polynomial: dealt.derivation_polynomial.clone(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: network.trust_roots.clone(),
        allocations: network.allocations.clone(),
        membership: network.membership.clone(),
    };
    let mut state_seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *state_seed);
    write_keys(folder, &identities, &dealt, &state_seed)?;
    write_genesis(folder, &genesis)?;
    Ok(genesis)
}

/// Writes a genesis into a folder, for a validator that runs apart.
///
/// # Errors
/// [`GenesisError::File`].
pub fn write_genesis(folder: &Path, genesis: &Genesis) -> Result<(), GenesisError> {
    make_folder(folder)?;
    write_file(&folder.join(GENESIS_FILE), &genesis.to_canonical())
}

fn write_keys(
    folder: &Path,
    identities: &[IdentityKey],
    dealt: &Dealt,
    state_seed: &[u8; 32],
) -> Result<(), GenesisError> {
    let shares = dealt.consensus_shares.iter().zip(&dealt.derivation_shares);
    for (index, (identity, (consensus, derivation))) in identities.iter().zip(shares).enumerate() {
        let folder = validator_folder(folder, u32::try_from(index).unwrap_or(u32::MAX));
        make_folder(&folder)?;
        write_file(&folder.join(IDENTITY_FILE), &identity.to_bytes()[..])?;
        write_file(&folder.join(CONSENSUS_SHARE_FILE), &consensus.to_bytes())?;
        write_file(&folder.join(DERIVATION_SHARE_FILE), &derivation.to_bytes())?;
        write_file(&folder.join(DEVELOPMENT_KEY_FILE), state_seed)?;
    }
    Ok(())
}

/// Folder of a validator below a network's folder.
pub fn validator_folder(folder: &Path, index: u32) -> PathBuf {
    folder.join(format!("validator-{index}"))
}

/// Reads the identity of a folder, or makes one where there is none.
///
/// # Errors
/// [`GenesisError::File`], [`GenesisError::Damaged`].
pub fn open_or_make_identity(folder: &Path, rng: &mut impl CryptoRng) -> Result<IdentityKey, GenesisError> {
    make_folder(folder)?;
    if !folder.join(IDENTITY_FILE).exists() {
        write_file(&folder.join(IDENTITY_FILE), &IdentityKey::generate(rng).to_bytes()[..])?;
    }
    read_identity(folder)
}

/// Reads the identity of a folder.
///
/// # Errors
/// [`GenesisError::File`], [`GenesisError::Damaged`].
pub fn read_identity(folder: &Path) -> Result<IdentityKey, GenesisError> {
    let path = folder.join(IDENTITY_FILE);
    let seed = read_file(&path)?;
    let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| GenesisError::Damaged { path })?;
    Ok(IdentityKey::from_bytes(seed))
}

/// Writes what a founding made into the folder of its validator.
pub(crate) fn write_founded(folder: &Path, founded: &Founded) -> Result<(), GenesisError> {
    write_file(&folder.join(CONSENSUS_SHARE_FILE), &founded.consensus.to_bytes())?;
    write_file(&folder.join(DERIVATION_SHARE_FILE), &founded.derivation.to_bytes())?;
    let keys: Vec<_> =
        founded.state_keys.iter().cloned().map(|(generation, key)| StateRootKey::new(generation, key)).collect();
    write_state_keys(folder, &keys.iter().collect::<Vec<_>>())?;
    write_genesis(folder, &founded.genesis)
}

/// Writes all state root keys of a validator.
pub(crate) fn write_state_keys(folder: &Path, keys: &[&StateRootKey]) -> Result<(), GenesisError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(STATE_KEY_BYTES * keys.len()));
    for key in keys {
        bytes.extend_from_slice(&key.generation().to_be_bytes());
        bytes.extend_from_slice(key.secret());
    }
    write_file(&folder.join(STATE_KEYS_FILE), &bytes)
}

/// Reads what a founding made, where it is finished.
pub(crate) fn read_founded(folder: &Path) -> Result<Option<Founded>, GenesisError> {
    let Some(genesis) = read_genesis(folder)? else { return Ok(None) };
    let GenesisShares { consensus, derivation } =
        read_shares(folder)?.ok_or_else(|| GenesisError::Running { path: folder.to_path_buf() })?;
    let state_keys = read_quorum_keys(folder)?;
    Ok(Some(Founded { genesis, consensus, derivation, state_keys }))
}

/// Reads the keys of the validator whose folder this is.
///
/// # Errors
/// [`GenesisError::File`], [`GenesisError::Damaged`].
pub fn read_keys(folder: &Path) -> Result<ValidatorKeys, GenesisError> {
    Ok(ValidatorKeys {
        identity: read_identity(folder)?,
        shares: read_shares(folder)?,
        state: read_state_keys(folder)?,
    })
}

/// The shares of the genesis' keys, where both are there.
fn read_shares(folder: &Path) -> Result<Option<GenesisShares>, GenesisError> {
    let share = |name: &str, kind| {
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        KeyShare::from_bytes(kind, &read_file(&path)?).map(Some).map_err(|_| GenesisError::Damaged { path })
    };
    let consensus = share(CONSENSUS_SHARE_FILE, ShareKind::Consensus)?;
    let derivation = share(DERIVATION_SHARE_FILE, ShareKind::Derivation)?;
    Ok(consensus.zip(derivation).map(|(consensus, derivation)| GenesisShares { consensus, derivation }))
}

/// Whether a folder holds shares of the genesis' keys that have never served.
pub(crate) fn has_new_shares(folder: &Path) -> bool {
    folder.join(CONSENSUS_SHARE_FILE).exists() && !folder.join(SHARES_USED_FILE).exists()
}

/// Notes that the shares of the genesis' keys serve together with the storage beside them, and says whether they may: not
/// where they served with another, which is lost; a validator could vote twice in a view then.
pub(crate) fn claim_shares(folder: &Path, storage: &Path) -> Result<bool, GenesisError> {
    let mark = folder.join(SHARES_USED_FILE);
    if !mark.exists() {
        write_file(&mark, &[])?;
        return Ok(true);
    }
    // The engine's runtime makes the folder itself; what stands in it is the storage's.
    Ok(fs::read_dir(storage).is_ok_and(|mut entries| entries.next().is_some()))
}

/// Overwrites and removes the shares of the genesis' keys: newer ones are in force, and a quorum of old shares still makes
/// the keys.
pub(crate) fn erase_shares(folder: &Path) -> Result<(), GenesisError> {
    for name in [CONSENSUS_SHARE_FILE, DERIVATION_SHARE_FILE] {
        erase(&folder.join(name))?;
    }
    Ok(())
}

/// Overwrites and removes everything in a folder, and the folder.
pub(crate) fn erase_folder(folder: &Path) -> Result<(), GenesisError> {
    let failed = |source| GenesisError::File { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() { erase_folder(&entry.path())? } else { erase(&entry.path())? }
    }
    fs::remove_dir(folder).map_err(failed)
}

/// Overwrites and removes a file, where it is there.
fn erase(path: &Path) -> Result<(), GenesisError> {
    let erase = || {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        let mut left = file.metadata()?.len();
        let zeros = vec![0; ERASE_BYTES];
        while left > 0 {
            let step = left.min(zeros.len() as u64);
            file.write_all(&zeros[..usize::try_from(step).unwrap_or(zeros.len())])?;
            left -= step;
        }
        file.sync_all()?;
        fs::remove_file(path)
    };
    match erase() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| GenesisError::File { path: path.to_path_buf(), source }),
    }
}

/// The quorum's state keys, or a dealer's; a folder without either is a follower's.
pub(crate) fn read_state_keys(folder: &Path) -> Result<Option<Arc<StateKeys>>, GenesisError> {
    if folder.join(STATE_KEYS_FILE).exists() {
        let keys = read_quorum_keys(folder)?.into_iter();
        let keys = keys.map(|(generation, key)| StateRootKey::new(generation, key));
        return Ok(Some(Arc::new(StateKeys::from_quorum(keys))));
    }
    let path = folder.join(DEVELOPMENT_KEY_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_file(&path)?;
    let mut seed = Zeroizing::new([0; 32]);
    if bytes.len() != seed.len() {
        return Err(GenesisError::Damaged { path });
    }
    seed.copy_from_slice(&bytes);
    Ok(Some(Arc::new(StateKeys::development(seed))))
}

/// `state.keys`: for each generation its number (u32, big-endian) and its key.
fn read_quorum_keys(folder: &Path) -> Result<QuorumKeys, GenesisError> {
    let path = folder.join(STATE_KEYS_FILE);
    let bytes = read_file(&path)?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(STATE_KEY_BYTES) {
        return Err(GenesisError::Damaged { path });
    }
    let key = |chunk: &[u8]| {
        let (mut generation, mut key) = ([0; 4], Zeroizing::new([0; 32]));
        generation.copy_from_slice(&chunk[..4]);
        key.copy_from_slice(&chunk[4..]);
        (Generation::from_be_bytes(generation), key)
    };
    Ok(bytes.chunks_exact(STATE_KEY_BYTES).map(key).collect())
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, GenesisError> {
    fs::read(path).map(Into::into).map_err(|source| GenesisError::File { path: path.to_path_buf(), source })
}

fn make_folder(path: &Path) -> Result<(), GenesisError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| GenesisError::File { path: path.to_path_buf(), source })
}

/// Writes beside, syncs, and renames: a crash leaves the old file or the new one.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), GenesisError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|source| GenesisError::File { path: path.to_path_buf(), source })
}
