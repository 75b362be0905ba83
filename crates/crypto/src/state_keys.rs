//! Keys of confidential state (`spec/confidential-state.md` §2): the state root key of each generation and what hangs on it.
//!
//! Everything is derived from a state root key by HKDF-SHA256 under a domain of its own and the genesis hash, so that all
//! executors of a chain derive the same and no two chains do. Secrets are wiped when dropped and have no `Debug`. Where the
//! keys come from (a quorum, or a dealer in development) is not here.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use freehold_primitives::{AppId, Digest, G1Point, Generation, Height, NetworkKey, X25519Key};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{
    hash::hash,
    kdf::hkdf_sha256,
    threshold::{Derivation, DerivedKey, ThresholdError},
};

const COMMITMENT_DOMAIN: &str = "freehold state key commitment";
const GRANT_DOMAIN: &str = "freehold state key grant";
/// Context of the state root keys, under the app id of twenty zero bytes, which no app has.
const QUORUM_CONTEXT: &str = "state root key";
const QUORUM_PURPOSE: &str = "freehold state root key";
const DEVELOPMENT_INFO: &[u8] = b"freehold development state key\n";
const RANDOMNESS_INFO: &[u8] = b"freehold block randomness\n";
const CALL_DATA_INFO: &[u8] = b"freehold call data key\n";

/// The state root key of one generation.
pub struct StateRootKey {
    generation: Generation,
    key: Zeroizing<[u8; 32]>,
}

impl StateRootKey {
    /// The key of a generation.
    pub const fn new(generation: Generation, key: Zeroizing<[u8; 32]>) -> Self {
        Self { generation, key }
    }

    /// What names the keys of all generations in the quorum's derivation, beside the generation: an app id that no app has,
    /// and a context.
    pub const fn named() -> (AppId, &'static str) {
        (AppId::CHAIN, QUORUM_CONTEXT)
    }

    /// What the quorum of the derivation key `master` derives a generation's key from.
    ///
    /// # Errors
    /// [`ThresholdError`] where `master` is no key.
    pub fn derivation(master: &NetworkKey, generation: Generation) -> Result<Derivation, ThresholdError> {
        let (app, context) = Self::named();
        Derivation::new(master, &app, context, generation)
    }

    /// The key of a generation, from what the quorum derived.
    pub fn derived(generation: Generation, key: &DerivedKey) -> Self {
        Self::new(generation, key.secret(QUORUM_PURPOSE))
    }

    /// Its generation.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// What stands in state, so that an executor with another key notices before it executes.
    pub fn commitment(&self) -> Digest {
        hash(COMMITMENT_DOMAIN, &[&self.generation.to_be_bytes(), &*self.key])
    }

    /// The key pair that call data of an epoch is encrypted to.
    pub fn call_data_secret(&self, genesis_hash: &Digest, epoch: u64) -> CallDataSecret {
        let secret = self.derive(CALL_DATA_INFO, genesis_hash, &epoch.to_be_bytes());
        CallDataSecret(StaticSecret::from(*secret))
    }

    /// Root of a block's randomness: a function of the seed of the round in which its payload was notarised. Without a
    /// seed, which only tests do, it hangs on the height alone.
    pub fn block_randomness(
        &self,
        genesis_hash: &Digest,
        height: Height,
        seed: Option<&G1Point>,
    ) -> Zeroizing<[u8; 32]> {
        let mut context = height.to_be_bytes().to_vec();
        context.extend_from_slice(seed.map_or(&[], |seed| seed.as_bytes()));
        self.derive(RANDOMNESS_INFO, genesis_hash, &context)
    }

    /// The 32 secret bytes.
    pub fn secret(&self) -> &[u8; 32] {
        &self.key
    }

    fn derive(&self, info: &[u8], genesis_hash: &Digest, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        hkdf_sha256(&[], &*self.key, &[info, genesis_hash.as_bytes(), context], &mut *out);
        out
    }
}

/// Names the shares of a generation's key for one executor, among validators (`spec/confidential-state.md` §7).
pub fn state_grant_id(instance: &Digest, generation: Generation) -> Digest {
    hash(GRANT_DOMAIN, &[instance.as_bytes(), &generation.to_be_bytes()])
}

/// X25519 secret of an epoch's call data.
#[derive(Clone)]
pub struct CallDataSecret(StaticSecret);

impl CallDataSecret {
    /// The public key that clients encrypt to.
    pub fn public(&self) -> X25519Key {
        X25519Key(PublicKey::from(&self.0).to_bytes())
    }

    /// The 32 secret bytes, clamped when used.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

/// Where state root keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKeyOrigin {
    /// A dealer made them: whoever reads a validator's folder has them. Refused under a production genesis.
    Development,
    /// A quorum derived them; nobody else holds them.
    Quorum,
}

/// The state root keys that an executor holds, by generation.
pub struct StateKeys(Source);

enum Source {
    Development(Zeroizing<[u8; 32]>),
    Quorum(RwLock<BTreeMap<Generation, Zeroizing<[u8; 32]>>>),
}

impl StateKeys {
    /// Keys of a development network: every generation follows from the dealer's seed.
    pub const fn development(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(Source::Development(seed))
    }

    /// Keys that a quorum derived.
    pub fn from_quorum(keys: impl IntoIterator<Item = StateRootKey>) -> Self {
        Self(Source::Quorum(RwLock::new(keys.into_iter().map(|key| (key.generation, key.key)).collect())))
    }

    /// Adds a key that a quorum derived; of no use where a dealer's seed gives every key.
    pub fn add(&self, key: StateRootKey) {
        if let Source::Quorum(keys) = &self.0 {
            keys.write().unwrap_or_else(PoisonError::into_inner).insert(key.generation, key.key);
        }
    }

    /// Where they come from.
    pub const fn origin(&self) -> StateKeyOrigin {
        match self.0 {
            Source::Development(_) => StateKeyOrigin::Development,
            Source::Quorum(_) => StateKeyOrigin::Quorum,
        }
    }

    /// The key of a generation, `None` where this executor does not hold it.
    pub fn get(&self, generation: Generation) -> Option<StateRootKey> {
        let key = match &self.0 {
            Source::Quorum(keys) => keys.read().unwrap_or_else(PoisonError::into_inner).get(&generation)?.clone(),
            Source::Development(seed) => {
                let mut key = Zeroizing::new([0; 32]);
                hkdf_sha256(&[], &**seed, &[DEVELOPMENT_INFO, &generation.to_be_bytes()], &mut *key);
                key
            }
        };
        Some(StateRootKey { generation, key })
    }
}

#[cfg(test)]
mod tests;
