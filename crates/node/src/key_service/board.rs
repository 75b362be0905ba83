//! Shares of one term, as they come in: by grant, then by the index of their validator.
//!
//! Invariant: every share of a peer on it was checked under the polynomial of its master in the term. Bounded: so many grants, oldest first
//! out; one share and one lie of each member for each.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use freehold_crypto::Derivation;
use freehold_primitives::{Digest, G1Point, Generation};

/// Grants whose shares are kept.
pub(super) const GRANTS_MAX: usize = 512;

/// What is known of the shares for one grant.
pub(super) struct Slot {
    /// Generation of the master that the key is under.
    pub(super) master: Generation,
    pub(super) derivation: Arc<Derivation>,
    pub(super) transport_key: G1Point,
    /// Whether this validator collects them, and so takes what peers send.
    pub(super) is_wanted: bool,
    pub(super) shares: BTreeMap<u32, Vec<u8>>,
    /// Members that said they serve nothing, since the shares were last asked for.
    pub(super) refused: BTreeSet<u32>,
    /// Members that sent what is no share of theirs: not listened to again, for this grant in this term.
    pub(super) wrong: BTreeSet<u32>,
}

impl Slot {
    pub(super) const fn new(master: Generation, derivation: Arc<Derivation>, transport_key: G1Point) -> Self {
        Self {
            master,
            derivation,
            transport_key,
            is_wanted: false,
            shares: BTreeMap::new(),
            refused: BTreeSet::new(),
            wrong: BTreeSet::new(),
        }
    }

    /// Members from whom nothing more is to be waited for.
    pub(super) fn answered(&self) -> usize {
        let indices = self.shares.keys().chain(&self.refused).chain(&self.wrong);
        indices.collect::<BTreeSet<_>>().len()
    }
}

/// Shares of one term.
#[derive(Default)]
pub(super) struct Board {
    slots: BTreeMap<Digest, Slot>,
    order: VecDeque<Digest>,
}

impl Board {
    pub(super) fn get(&self, grant: &Digest) -> Option<&Slot> {
        self.slots.get(grant)
    }

    pub(super) fn get_mut(&mut self, grant: &Digest) -> Option<&mut Slot> {
        self.slots.get_mut(grant)
    }

    /// The slot of a grant, made where there is none.
    pub(super) fn slot(&mut self, grant: Digest, make: impl FnOnce() -> Slot) -> &mut Slot {
        if !self.slots.contains_key(&grant) {
            if self.order.len() >= GRANTS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.slots.remove(&oldest);
            }
            self.order.push_back(grant);
        }
        self.slots.entry(grant).or_insert_with(make)
    }
}
