//! Who signed two payloads of one round: noticed where a validator judged one and another became final, or judged both.
//!
//! Invariant: what is handed out holds two heads of one round, with two digests, each signed by the member whom it names as
//! its proposer, so that whoever has it can prove it (`spec/membership.md` §6). Bounded: only the newest rounds are
//! remembered. A proposer whose two payloads reached no common validator, and of which none became final, is not noticed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use commonware_utils::{Participant, ordered::Quorum as _};
use freehold_crypto::payload_digest;
use freehold_primitives::{Ed25519Signature, PayloadHead, Term};

use crate::{block::Block, check::check_signature, keys::our_key, terms::Terms};

/// Rounds remembered.
const ROUNDS_MAX: usize = 1_024;

/// A head and its proposer's signature over its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// The head.
    pub head: PayloadHead,
    /// The signature.
    pub signature: Ed25519Signature,
}

/// Two payloads of one round by one proposer, who never signs two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubleProposal {
    /// The one that was seen first.
    pub one: SignedHead,
    /// The other.
    pub other: SignedHead,
}

/// Remembers what was signed in recent rounds.
pub(crate) struct Witness {
    terms: Arc<Terms>,
    /// By round; `None` once two were found.
    seen: Mutex<BTreeMap<(Term, u64), Option<SignedHead>>>,
}

impl Witness {
    pub(crate) fn new(terms: Arc<Terms>) -> Self {
        Self { terms, seen: Mutex::default() }
    }

    /// Takes a payload that is judged.
    pub(crate) fn judged(&self, block: &Block) -> Option<DoubleProposal> {
        let head = block.head();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = seen.get_mut(&(head.term, head.view)) {
            return self.compare(before, block);
        }
        if self.is_signed(block) {
            let signed = SignedHead { head: head.clone(), signature: block.payload().signature };
            seen.insert((head.term, head.view), Some(signed));
        }
        while seen.len() > ROUNDS_MAX {
            seen.pop_first();
        }
        None
    }

    /// Takes a payload that is final.
    pub(crate) fn ended(&self, block: &Block) -> Option<DoubleProposal> {
        let head = block.head();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.compare(seen.get_mut(&(head.term, head.view))?, block)
    }

    fn compare(&self, before: &mut Option<SignedHead>, block: &Block) -> Option<DoubleProposal> {
        let one = before.as_ref()?;
        let same = one.head.proposer == block.head().proposer;
        if !same || payload_digest(&one.head) == block.id() || !self.is_signed(block) {
            return None;
        }
        let other = SignedHead { head: block.head().clone(), signature: block.payload().signature };
        Some(DoubleProposal { one: before.take()?, other })
    }

    /// Whether the member whom the head names as its proposer signed it.
    fn is_signed(&self, block: &Block) -> bool {
        let head = block.head();
        let scheme = self.terms.get(head.term);
        let proposer =
            scheme.and_then(|scheme| scheme.participants().key(Participant::new(head.proposer)).map(our_key));
        proposer.is_some_and(|key| check_signature(&key, &block.id(), &block.payload().signature).is_ok())
    }
}

#[cfg(test)]
mod tests;
