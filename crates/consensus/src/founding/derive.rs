//! The state root keys of a new chain: derived by the quorum of the derivation key, for its validators only
//! (`spec/confidential-state.md` §2).

use std::collections::BTreeMap;

use freehold_crypto::{EncryptedShare, Polynomial, Share, StateRootKey, TransportSecret, encrypt_share};
use freehold_primitives::{G1Point, Generation, Genesis};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::FOUNDING_GENERATIONS;
use crate::keys::KeyShare;

/// Encrypts this validator's share of a state root key to another validator's transport key.
pub(super) fn answer(
    genesis: &Genesis,
    share: &KeyShare,
    (generation, transport): (Generation, &G1Point),
    rng: &mut impl CryptoRng,
) -> Option<Vec<u8>> {
    let master = genesis.derivation_polynomial.first()?;
    if generation >= FOUNDING_GENERATIONS {
        return None;
    }
    let share = Share::from_bytes(share.index(), share.scalar()).ok()?;
    let encrypted = encrypt_share(&share, &StateRootKey::derivation(master, generation).ok()?, transport, rng).ok()?;
    Some(encrypted.to_bytes().to_vec())
}

/// Collects encrypted shares until every generation's key is there.
pub(super) struct Collection {
    transport: TransportSecret,
    shares: Vec<BTreeMap<u32, EncryptedShare>>,
    keys: BTreeMap<Generation, Zeroizing<[u8; 32]>>,
}

impl Collection {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        let shares = (0..FOUNDING_GENERATIONS).map(|_| BTreeMap::new()).collect();
        Self { transport: TransportSecret::generate(rng), shares, keys: BTreeMap::new() }
    }

    pub(super) fn transport(&self) -> G1Point {
        self.transport.public()
    }

    /// Generations whose keys are not there.
    pub(super) fn missing(&self) -> impl Iterator<Item = Generation> {
        (0..FOUNDING_GENERATIONS).filter(|generation| !self.keys.contains_key(generation))
    }

    /// Takes the share of the validator at `index`; later ones replace earlier ones, in case they were wrong.
    pub(super) fn take(&mut self, genesis: &Genesis, generation: Generation, index: u32, share: &[u8]) -> Option<()> {
        let share = EncryptedShare::from_bytes(share).ok().filter(|share| share.index() == index)?;
        let shares = self.shares.get_mut(usize::try_from(generation).ok()?)?;
        if self.keys.contains_key(&generation) {
            return Some(());
        }
        shares.insert(index, share);
        let polynomial = Polynomial::new(&genesis.derivation_polynomial).ok()?;
        if shares.len() >= polynomial.threshold() {
            let shares: Vec<_> = shares.values().copied().collect();
            let derivation = StateRootKey::derivation(polynomial.master(), generation).ok()?;
            let key = self.transport.recover(&polynomial, &derivation, &shares).ok()?;
            self.keys.insert(generation, Zeroizing::new(*StateRootKey::derived(generation, &key).secret()));
        }
        Some(())
    }

    pub(super) fn into_keys(self) -> Vec<(Generation, Zeroizing<[u8; 32]>)> {
        self.keys.into_iter().collect()
    }
}
