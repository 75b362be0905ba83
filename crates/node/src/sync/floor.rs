//! What a validator begins consensus with when it took the state instead of the blocks (`spec/sync.md` §4): the last payload of
//! the term before the state's, with its certificate, and who holds the keys in the state's term.
//!
//! Invariant: `floor.bin` holds a payload that the network key of its term certified, committees out of the proven state, and
//! the records that lead to the key of the state's term. It stays beside the stores, since consensus is given the same at every
//! start.

use std::{fs, io::Write as _, path::Path};

use freehold_consensus::{Committee, Floor, KeyError};
use freehold_crypto::{CertificateVerifier, chain_namespace, payload_digest};
use freehold_primitives::{
    Blob, Canonical, Certificate, CodecError, Height, LiveMaster, Payload, PayloadHead, Reader, SuccessionRecord, Term,
    entries::CommitteeEntry,
};
use freehold_rpc::{NodeClient, SyncPart};

use super::{
    chain::SourceChain,
    error::{Lie, SyncError},
    sources::{Fault, Sources},
    staging::{FLOOR_FILE, failed},
};
use crate::{
    chain::ChainError,
    store::{BlockStore, OldState, QmdbTree},
};

/// Payloads without terms that are tried for one with its own certificate.
const TRIES: u64 = 64;
/// Tries to read the committees while sources make good what they withheld.
const READS: u32 = 8;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StoredFloor {
    head: PayloadHead,
    certificate: Certificate,
    /// Of the term after.
    committee: CommitteeEntry,
    /// Public polynomial of the network key that waits in the term.
    waiting_polynomial: Option<Blob>,
    /// Masters beside the genesis' one in the term.
    masters: Vec<LiveMaster>,
    successions: Vec<SuccessionRecord>,
}

impl Canonical for StoredFloor {
    fn write(&self, out: &mut Vec<u8>) {
        self.head.write(out);
        self.certificate.write(out);
        self.committee.write(out);
        self.waiting_polynomial.write(out);
        self.masters.write(out);
        self.successions.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            head: Canonical::read(reader)?,
            certificate: Canonical::read(reader)?,
            committee: Canonical::read(reader)?,
            waiting_polynomial: Canonical::read(reader)?,
            masters: Canonical::read(reader)?,
            successions: Canonical::read(reader)?,
        })
    }
}

impl StoredFloor {
    fn open(self) -> Result<Floor, KeyError> {
        let CommitteeEntry { members, consensus_polynomial, derivation_polynomial, .. } = self.committee;
        let waiting = self.waiting_polynomial.map(|polynomial| Committee::new(&members, &polynomial.0));
        let master = |LiveMaster { generation, polynomial }| {
            Ok::<_, KeyError>((generation, Committee::from_coefficients(&members, &polynomial)?))
        };
        Ok(Floor {
            consensus: Committee::new(&members, &consensus_polynomial.0)?,
            derivation: Committee::from_coefficients(&members, &derivation_polynomial)?,
            waiting: waiting.transpose()?,
            masters: self.masters.into_iter().map(master).collect::<Result<_, _>>()?,
            head: self.head,
            certificate: self.certificate,
            successions: self.successions,
        })
    }
}

/// What the validator of a folder begins with; `None` where that is the genesis.
pub(crate) fn read_floor(folder: &Path) -> Result<Option<Floor>, SyncError> {
    let path = folder.join(FLOOR_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(&path, source)),
    };
    let stored = StoredFloor::from_canonical(&bytes).map_err(|_| SyncError::Disk)?;
    stored.open().map(Some).map_err(|_| SyncError::Disk)
}

/// Removes what consensus began with in a folder whose stores are gone: without them it would miss the payloads before.
pub(crate) fn forget_floor(folder: &Path) -> Result<(), SyncError> {
    let path = folder.join(FLOOR_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(&path, error)),
        _ => Ok(()),
    }
}

/// Takes what a validator begins with whose state is that behind `height`, and writes it to `path`. Nothing where the state
/// is of the first term: it begins with the genesis then.
pub(super) async fn take_floor(
    sources: &Sources,
    chain: &SourceChain,
    keys: TermEntries,
    (height, path): (Height, &Path),
) -> Result<(), SyncError> {
    let (head, certificate) = match height.checked_div(chain.genesis.membership.term_blocks) {
        Some(0) => return Ok(()),
        Some(term) => certified(sources, chain, &keys, term * chain.genesis.membership.term_blocks - 1).await?,
        None => newest_certified(sources, chain, &keys, height).await?,
    };
    let TermEntries { term: TermHolders { committee, waiting_polynomial, masters }, successions } = keys;
    // Later records may have come as well.
    let successions = successions.into_iter().filter(|record| record.payload_head.term < committee.term).collect();
    let stored = StoredFloor { head, certificate, committee, waiting_polynomial, masters, successions };
    // Under its name it is whole: a run that finds it does not look again.
    let partial = path.with_extension("part");
    let write = || {
        let mut file = fs::File::create(&partial)?;
        file.write_all(&stored.to_canonical())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| failed(path, source))
}

/// Without terms any payload with its own certificate will do: the newest that is executed.
async fn newest_certified(
    sources: &Sources,
    chain: &SourceChain,
    keys: &TermEntries,
    height: Height,
) -> Result<(PayloadHead, Certificate), SyncError> {
    let mut missing = SyncError::NotFinal(height);
    for at in (height.saturating_sub(TRIES).max(1)..=height).rev() {
        match certified(sources, chain, keys, at).await {
            Err(error @ SyncError::NotKept { .. }) => missing = error,
            other => return other,
        }
    }
    Err(missing)
}

/// The payload at a height, under its own certificate.
async fn certified(
    sources: &Sources,
    chain: &SourceChain,
    keys: &TermEntries,
    height: Height,
) -> Result<(PayloadHead, Certificate), SyncError> {
    let trust = chain.trust;
    let namespace = chain_namespace(trust.chain_id, &trust.genesis_hash);
    let term = height.checked_div(chain.genesis.membership.term_blocks).unwrap_or(0);
    let known = chain.keys(&keys.successions).ok_or(SyncError::Disk)?;
    let verifier = &CertificateVerifier::new(known.at(term), &namespace).map_err(|_| SyncError::Disk)?;
    let asked = sources.ask("the payload to begin with", |node| async move { told(node, verifier, height).await });
    asked.await
}

async fn told(
    node: NodeClient,
    verifier: &CertificateVerifier,
    height: Height,
) -> Result<(PayloadHead, Certificate), Fault> {
    let missing = || Fault::Missing(format!("no payload {height} with its own certificate"));
    let page = node.sync_blocks(height, 1, SyncPart::Payloads).await?;
    let block = page.blocks.into_iter().next().ok_or_else(missing)?;
    let document = block.certificate.ok_or_else(missing)?;
    let payload = Payload::from_canonical(&block.payload.0).map_err(|error| Lie::Form(error.to_string()))?;
    let certificate = Certificate::from_canonical(&document.0).map_err(|_| Lie::Certificate(height))?;
    if payload.head.height != height || payload_digest(&payload.head) != certificate.payload {
        return Err(Lie::Payload(height).into());
    }
    verifier.verify(&certificate).map_err(|_| Lie::Certificate(height))?;
    Ok((payload.head, certificate))
}

/// The keys of the term that a state is of.
pub(super) struct TermEntries {
    term: TermHolders,
    /// They lead from the genesis' network key to that of the term.
    pub(super) successions: Vec<SuccessionRecord>,
}

/// What the state says of the keys in its term.
struct TermHolders {
    committee: CommitteeEntry,
    waiting_polynomial: Option<Blob>,
    masters: Vec<LiveMaster>,
}

/// Who holds the keys in the term of the state behind `height`, out of that state; a document that a source withheld is asked
/// for, and so are the records that lead to its network key.
pub(super) async fn term_entries(
    sources: &Sources,
    chain: &SourceChain,
    (store, tree): (&BlockStore, &QmdbTree),
    height: Height,
) -> Result<TermEntries, SyncError> {
    let term = height.checked_div(chain.genesis.membership.term_blocks).unwrap_or(0);
    let mut tries = 0;
    let holders = loop {
        match read_term((store, tree), (height, term)) {
            Ok(Some(holders)) => break holders,
            Ok(None) => return Err(SyncError::Disk),
            Err(error) if tries == READS => return Err(error.into()),
            Err(_) => {}
        }
        for digest in store.take_missed() {
            store.store_content(&[(digest, sources.content(digest).await?)])?;
        }
        tries += 1;
    };
    let committee = &holders.committee;
    let signs = Committee::new(&committee.members, &committee.consensus_polynomial.0).map_err(|_| SyncError::Disk)?;
    let successions = chain.successions(sources, &signs.public_key()).await?;
    Ok(TermEntries { term: holders, successions })
}

/// What a state says of a term; `None` where it does not have the term's committee.
fn read_term(
    (store, tree): (&BlockStore, &QmdbTree),
    (height, term): (Height, Term),
) -> Result<Option<TermHolders>, ChainError> {
    let state = OldState::new(tree.reader(), store.clone(), height)?;
    let Some(committee) = freehold_ledger::read_committee(term, &state, store)? else { return Ok(None) };
    let succession = freehold_ledger::read_succession(term, &state, store)?;
    let waiting_polynomial = succession.and_then(|entry| entry.waiting).map(|waiting| waiting.polynomial);
    let masters = freehold_ledger::read_masters(term, &state, store)?.map_or_else(Vec::new, |entry| entry.live);
    Ok(Some(TermHolders { committee, waiting_polynomial, masters }))
}
