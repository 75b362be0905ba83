//! What a voter checks of a payload before the application sees it (`spec/payload.md` §4).
//!
//! Every verdict here is a pure function of the payload, its parent and the round, so all honest voters agree on it
//! and a refusal is final. What depends on a clock, on execution or on a mempool is the application's.

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::{
    simplex::scheme::bls12381_threshold::vrf,
    types::{Epoch, Round, View},
};
use commonware_cryptography::{
    bls12381::primitives::{group, variant::MinSig},
    ed25519,
};
use freehold_crypto::{body_digest, proposal_message, verify_ed25519};
use freehold_primitives::{
    Digest, Ed25519Key, Ed25519Signature, G1Point, NetworkKey, PAYLOAD_BYTES_MAX, Payload, PayloadHead,
    SUCCESSION_VERSION, Term, succession_body,
};
use thiserror::Error;

/// The certificate scheme of the network: BLS12-381 threshold signatures in G1 with a seed in every certificate.
pub(crate) type Scheme = vrf::Scheme<ed25519::PublicKey, MinSig>;

/// What is wrong with a payload, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It belongs to another chain.
    #[error("chain id {found} is not {expected}")]
    Chain {
        /// Chain id of the genesis.
        expected: u64,
        /// Chain id of the payload.
        found: u64,
    },
    /// Its height is not one above its parent's.
    #[error("height is not one above the parent's")]
    Height,
    /// It names another parent than the round does.
    #[error("the head names another parent")]
    Parent,
    /// It carries another term than the round's.
    #[error("term is not the round's")]
    Term,
    /// It carries another view than the round's.
    #[error("view is not the round's")]
    View,
    /// Its proposer is not the leader of the round.
    #[error("the proposer is not the leader of the round")]
    Proposer,
    /// Its timestamp is below its parent's.
    #[error("timestamp goes back")]
    Timestamp,
    /// The body is not the one the head names.
    #[error("the head names another body")]
    Body,
    /// The body is above its bound.
    #[error("body above its bound")]
    BodySize,
    /// `executed` goes back, or names another block at the parent's height of execution.
    #[error("`executed` goes back")]
    ExecutedBack,
    /// `executed` is not below the payload's own height.
    #[error("`executed` is not below the payload")]
    ExecutedAhead,
    /// A seed stands where the parent is the genesis payload, or none where it is not.
    #[error("seed present exactly where none may be")]
    SeedPresence,
    /// The seed is not the network key's signature over the parent's round.
    #[error("the seed is not the one of the parent's round")]
    Seed,
    /// The body names a network key where none waits, another one than waits, or none where one does.
    #[error("the body does not name the network key that waits, or names one where none waits")]
    Succession,
    /// The signature is not the leader's over the payload's digest.
    #[error("the signature is not the leader's")]
    Signature,
}

/// The round for which a payload was proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Term of the engine.
    pub term: Term,
    /// View of the engine.
    pub view: u64,
    /// Index of the leader in the sorted validator set.
    pub proposer: u32,
    /// Digest of the parent on which the round builds.
    pub parent: Digest,
}

/// Checks everything of a payload but its seed and its signature.
///
/// # Errors
/// The first [`Fault`] in the order of `spec/payload.md` §4.
pub fn check_payload(chain_id: u64, at: &Position, parent: &PayloadHead, payload: &Payload) -> Result<(), Fault> {
    let head = &payload.head;
    if head.chain_id != chain_id {
        return Err(Fault::Chain { expected: chain_id, found: head.chain_id });
    }
    if head.term != at.term {
        return Err(Fault::Term);
    }
    if head.view != at.view {
        return Err(Fault::View);
    }
    if head.proposer != at.proposer {
        return Err(Fault::Proposer);
    }
    if head.parent != at.parent {
        return Err(Fault::Parent);
    }
    if parent.height.checked_add(1) != Some(head.height) {
        return Err(Fault::Height);
    }
    if head.timestamp_ms < parent.timestamp_ms {
        return Err(Fault::Timestamp);
    }
    if payload.body.0.len() > PAYLOAD_BYTES_MAX {
        return Err(Fault::BodySize);
    }
    if body_digest(&payload.body.0) != head.body {
        return Err(Fault::Body);
    }
    check_executed(parent, payload)?;
    if head.parent_seed.is_none() == (parent.height == 0) { Ok(()) } else { Err(Fault::SeedPresence) }
}

/// `executed` never goes back and stays below the payload.
fn check_executed(parent: &PayloadHead, payload: &Payload) -> Result<(), Fault> {
    let (before, now) = (&parent.executed, &payload.head.executed);
    // The genesis payload cannot know the hash of block 0, so its child may name it at the same height.
    let same_height_other_hash = now.height == before.height && now.block_hash != before.block_hash;
    if now.height < before.height || (same_height_other_hash && parent.height != 0) {
        return Err(Fault::ExecutedBack);
    }
    if now.height >= payload.head.height {
        return Err(Fault::ExecutedAhead);
    }
    Ok(())
}

/// Checks that the body names the network key that waits for the next term, in the last payload of a term, and none in any
/// other payload (`spec/succession.md` §4).
///
/// # Errors
/// [`Fault::Succession`].
pub(crate) fn check_succession(waiting: Option<&NetworkKey>, body: &[u8]) -> Result<(), Fault> {
    let right = match waiting {
        Some(key) => body == succession_body(key),
        None => body.first() != Some(&SUCCESSION_VERSION),
    };
    if right { Ok(()) } else { Err(Fault::Succession) }
}

/// Checks that `seed` is the network key's signature over a round.
///
/// # Errors
/// [`Fault::Seed`].
pub(crate) fn check_seed(scheme: &Scheme, term: Term, view: u64, seed: &G1Point) -> Result<(), Fault> {
    let signature = group::G1::decode(commonware_codec::Copying(&seed.0)).map_err(|_| Fault::Seed)?;
    let round = Round::new(Epoch::new(term), View::new(view));
    if vrf::Seed::<MinSig>::new(round, signature).verify(scheme) { Ok(()) } else { Err(Fault::Seed) }
}

/// Checks that `leader` signed the payload of this digest.
///
/// # Errors
/// [`Fault::Signature`].
pub(crate) fn check_signature(
    leader: &Ed25519Key,
    payload: &Digest,
    signature: &Ed25519Signature,
) -> Result<(), Fault> {
    verify_ed25519(leader, &proposal_message(payload), &signature.0).map_err(|_| Fault::Signature)
}

/// Verifies certificates and seeds under a network key; `None` where it is no point.
pub(crate) fn verifier(namespace: &[u8], key: &NetworkKey) -> Option<Scheme> {
    let point = group::G2::decode(commonware_codec::Copying(key.as_bytes())).ok()?;
    Some(Scheme::certificate_verifier(namespace, point))
}

/// A signature point in our type.
pub(crate) fn our_point(point: &group::G1) -> G1Point {
    let mut bytes = [0; G1Point::SIZE];
    bytes.copy_from_slice(&point.encode());
    G1Point(bytes)
}

#[cfg(test)]
mod tests;
