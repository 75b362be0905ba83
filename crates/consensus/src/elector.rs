//! Who leads a view (`spec/payload.md` §11): one of half the members, drawn by the seed of the view before.
//!
//! Invariant: the halves of two views that follow each other have no member in common, so nobody leads twice in a row, and
//! one validator that is away never costs two timeouts running. A pure function of the round, the number of members and
//! the seed; what kind of certificate opened the view does not matter, since every certificate of a view holds its seed.

use commonware_consensus::{
    simplex::elector::{Config, Dynamic, Elector, Terms},
    types::{Participant, Round},
};
use commonware_cryptography::{certificate::Verifier, ed25519};
use commonware_utils::ordered::Set;
use freehold_crypto::hash;
use freehold_primitives::{G1Point, Term};

use crate::check::{Scheme, our_point};

/// Elects the leaders of a term.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves;

/// Elects among a term's members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HalvesElector {
    members: u32,
}

impl Config<Scheme> for Halves {
    type Elector = HalvesElector;

    fn build(self, participants: &Set<ed25519::PublicKey>) -> HalvesElector {
        assert!(!participants.is_empty(), "a term has a member");
        let members = u32::try_from(participants.len()).expect("a committee is far below 2^32");
        HalvesElector { members }
    }
}

impl Elector<Scheme> for HalvesElector {
    type Mode = Dynamic;

    fn terms(&self) -> Terms {
        Terms::rotating()
    }

    fn elect(&self, round: Round, certificate: Option<&<Scheme as Verifier>::Certificate>) -> Participant {
        let signature = certificate.map(|certificate| certificate.get().expect("a verified certificate decodes"));
        let seed = signature.map(|signature| our_point(&signature.seed_signature));
        Participant::new(leader(round.epoch().get(), round.view().get(), self.members, seed.as_ref()))
    }
}

/// Index of the leader among the sorted members; without a seed the first of the half, as in the first view of a term.
fn leader(term: Term, view: u64, members: u32, seed: Option<&G1Point>) -> u32 {
    let members = u64::from(members);
    let half = (members / 2).max(1);
    let first = (term % members + (view % members) * half) % members;
    let drawn = seed.map_or(0, |seed| draw(seed) % half);
    u32::try_from((first + drawn) % members).expect("below the number of members")
}

/// A number that the seed decides; what 64 bits leave of a bias is below one in 2^57 for 64 members.
fn draw(seed: &G1Point) -> u64 {
    let digest = hash("freehold leader", &[seed.as_bytes()]);
    digest.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
