//! What a validator begins consensus with when it took the state instead of the blocks (`spec/sync.md` §4): the last payload of
//! the term before the state's, with its certificate, and who holds the keys in the state's term.
//!
//! Invariant: `floor.bin` holds a payload that the network key certified, and committees out of the proven state. It stays
//! beside the stores, since consensus is given the same at every start.

use std::{fs, io::Write as _, path::Path};

use freehold_consensus::{Committee, Floor};
use freehold_crypto::{CertificateVerifier, chain_namespace, payload_digest};
use freehold_primitives::{
    Blob, Canonical, Certificate, CodecError, Ed25519Key, Height, NetworkKey, Payload, PayloadHead, Reader, Term,
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
    members: Vec<Ed25519Key>,
    consensus_polynomial: Blob,
    derivation_polynomial: Vec<NetworkKey>,
}

impl Canonical for StoredFloor {
    fn write(&self, out: &mut Vec<u8>) {
        self.head.write(out);
        self.certificate.write(out);
        self.members.write(out);
        self.consensus_polynomial.write(out);
        self.derivation_polynomial.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            head: Canonical::read(reader)?,
            certificate: Canonical::read(reader)?,
            members: Canonical::read(reader)?,
            consensus_polynomial: Canonical::read(reader)?,
            derivation_polynomial: Canonical::read(reader)?,
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
    let consensus = Committee::new(&stored.members, &stored.consensus_polynomial.0).map_err(|_| SyncError::Disk)?;
    let derivation = Committee::from_coefficients(&stored.members, &stored.derivation_polynomial);
    let derivation = derivation.map_err(|_| SyncError::Disk)?;
    Ok(Some(Floor { head: stored.head, certificate: stored.certificate, consensus, derivation }))
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
    (store, tree): (&BlockStore, &QmdbTree),
    (height, path): (Height, &Path),
) -> Result<(), SyncError> {
    let genesis = &chain.genesis;
    let term = height.checked_div(genesis.membership.term_blocks);
    let stored = match term {
        Some(0) => return Ok(()),
        Some(term) => {
            let (head, certificate) = certified(sources, chain, term * genesis.membership.term_blocks - 1).await?;
            let entry = committee(sources, (store, tree), (height, term)).await?;
            StoredFloor {
                head,
                certificate,
                members: entry.members,
                consensus_polynomial: entry.consensus_polynomial,
                derivation_polynomial: entry.derivation_polynomial,
            }
        }
        None => {
            let (head, certificate) = newest_certified(sources, chain, height).await?;
            StoredFloor {
                head,
                certificate,
                members: genesis.validators.clone(),
                consensus_polynomial: genesis.consensus_polynomial.clone(),
                derivation_polynomial: genesis.derivation_polynomial.clone(),
            }
        }
    };
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
    height: Height,
) -> Result<(PayloadHead, Certificate), SyncError> {
    let mut missing = SyncError::NotFinal(height);
    for at in (height.saturating_sub(TRIES).max(1)..=height).rev() {
        match certified(sources, chain, at).await {
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
    height: Height,
) -> Result<(PayloadHead, Certificate), SyncError> {
    let trust = chain.trust;
    let namespace = chain_namespace(trust.chain_id, &trust.genesis_hash);
    let verifier = &CertificateVerifier::new(&trust.network_key, &namespace).map_err(|_| SyncError::Disk)?;
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

/// Who holds the keys in a term, out of the state; a document that a source withheld is asked for.
async fn committee(
    sources: &Sources,
    (store, tree): (&BlockStore, &QmdbTree),
    (height, term): (Height, Term),
) -> Result<freehold_primitives::entries::CommitteeEntry, SyncError> {
    let mut tries = 0;
    loop {
        let state = OldState::new(tree.reader(), store.clone(), height).map_err(ChainError::from)?;
        match freehold_ledger::read_committee(term, &state, store) {
            Ok(Some(entry)) => return Ok(entry),
            Ok(None) => return Err(SyncError::Disk),
            Err(error) if tries == READS => return Err(ChainError::from(error).into()),
            Err(_) => {}
        }
        for digest in store.take_missed() {
            store.store_content(&[(digest, sources.content(digest).await?)])?;
        }
        tries += 1;
    }
}
