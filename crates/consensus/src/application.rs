//! What consensus asks of the one who fills and executes payloads.

use std::future::Future;

use freehold_crypto::{body_digest, payload_digest};
use freehold_primitives::{
    Blob, Canonical as _, Certificate, Digest, EXECUTED_LAG_MAX, Ed25519Key, Ed25519Signature, Executed, G1Point,
    Generation, Height, NetworkKey, Payload, PayloadBody, PayloadHead, Term, TermTurn, succession_body,
};

use crate::{check::Position, witness::DoubleProposal};

/// The round a payload is proposed or verified in, and what it builds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalContext {
    /// Chain id of the genesis.
    pub chain_id: u64,
    /// Term of the engine.
    pub term: Term,
    /// View of the engine.
    pub view: u64,
    /// Index of the proposer in the sorted validator set.
    pub proposer: u32,
    /// Head of the parent.
    pub parent: PayloadHead,
    /// Digest of the parent's head.
    pub parent_digest: Digest,
    /// Seed of the parent's round; `None` exactly where the parent is the genesis payload.
    pub parent_seed: Option<G1Point>,
    /// Statements of resharing that the payload should carry, so that they are ordered; each is at most
    /// [`STATEMENT_BYTES_MAX`](crate::STATEMENT_BYTES_MAX) bytes. Empty where a payload is judged.
    pub statements: Vec<Vec<u8>>,
    /// The turn to a new term: present exactly where the payload is the first of a term but the first, and the same for
    /// its proposer and its voters. The body carries it and nothing else in its place.
    pub turn: Option<TermTurn>,
    /// The network key of the next term, where this payload names it: then its body is that and nothing else, which
    /// [`payload`](Self::payload) makes of any body and consensus checks itself.
    pub succession: Option<NetworkKey>,
}

impl ProposalContext {
    /// Height of the payload.
    pub const fn height(&self) -> Height {
        self.parent.height + 1
    }

    /// Whether a payload of this round that names `executed` must hold no transactions (`spec/payload.md` §5).
    pub const fn lags(&self, executed: &Executed) -> bool {
        self.height().saturating_sub(executed.height) > EXECUTED_LAG_MAX
    }

    /// The payload of this round with the given time, execution and body, unsigned; the time is raised to the parent's.
    pub fn payload(&self, timestamp_ms: u64, executed: Executed, body: &PayloadBody) -> Payload {
        let body = self.succession.as_ref().map_or_else(|| body.to_canonical(), succession_body);
        Payload {
            head: PayloadHead {
                chain_id: self.chain_id,
                height: self.height(),
                term: self.term,
                view: self.view,
                parent: self.parent_digest,
                timestamp_ms: timestamp_ms.max(self.parent.timestamp_ms),
                proposer: self.proposer,
                executed,
                parent_seed: self.parent_seed,
                body: body_digest(&body),
            },
            body: Blob(body),
            signature: Ed25519Signature::ZERO,
        }
    }

    pub(crate) fn new(chain_id: u64, at: &Position, parent: PayloadHead, parent_seed: Option<G1Point>) -> Self {
        let parent_digest = payload_digest(&parent);
        let Position { term, view, proposer, .. } = *at;
        let (statements, turn, succession) = (Vec::new(), None, None);
        Self { chain_id, term, view, proposer, parent, parent_digest, parent_seed, statements, turn, succession }
    }
}

/// A payload that is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalizedPayload {
    /// The payload.
    pub payload: Payload,
    /// Digest of its head.
    pub digest: Digest,
    /// Its own finalization certificate, where this validator has it; a payload may be final only through a
    /// descendant's.
    pub certificate: Option<Certificate>,
    /// Seed of the round in which it was notarised, where this validator has it; the next payload's head carries it
    /// in any case.
    pub seed: Option<G1Point>,
}

/// A finalization certificate as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCertificate {
    /// Height of the payload, where known.
    pub height: Option<Height>,
    /// The certificate.
    pub certificate: Certificate,
}

/// Who shall hold the keys in the term after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Players {
    /// Their identities, sorted: one, or 4 to 64. Others than that stand for the members of this term.
    pub players: Vec<Ed25519Key>,
    /// Whether the network key is replaced.
    pub network_key: NetworkKeyPlan,
    /// Which masters of the derivation key go on, and which is made.
    pub masters: MastersPlan,
}

/// What a term does about masters of the derivation key beside the genesis' one, which is always reshared
/// (`spec/key-service.md` §9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MastersPlan {
    /// Generations of those that are reshared, ascending; shares of any other are erased when the term ends.
    pub reshared: Vec<Generation>,
    /// The generation that the players make; in force in the next term.
    pub made: Option<Generation>,
}

/// What a term does about the network key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkKeyPlan {
    /// It stays: the members reshare it.
    Stays,
    /// The players make another one beside, which is in force from the term after the next on.
    Succeeds,
}

/// The one who fills payloads, judges them, and executes what is final.
///
/// Every future but those of [`finalized`](Self::finalized) and [`certificate`](Self::certificate) may be dropped
/// before it ends: keep no half-made state across an await.
pub trait Application: Clone + Send + Sync + 'static {
    /// Makes the payload of a round this validator leads; it may wait for transactions, less than the leader
    /// timeout. `None` gives the round up, which costs the network a timeout.
    fn propose(&self, context: ProposalContext) -> impl Future<Output = Option<Payload>> + Send;

    /// Judges a payload that passed [`check_payload`](crate::check_payload) and whose seed and signature are right. Its own
    /// are that the body decodes, that it holds no transactions where the context [`lags`](ProposalContext::lags), and
    /// that it carries the context's turn.
    ///
    /// `false` is final and must be what every honest validator says; where the verdict may still change, stay
    /// pending: the engine drops the future when the round is over.
    fn verify(&self, context: ProposalContext, payload: Payload) -> impl Future<Output = bool> + Send;

    /// Takes a payload that is final. Called once per height and in order while the validator runs; returning
    /// acknowledges it, so it must be durable by then. After a crash the payloads that were not yet acknowledged on
    /// disk come again, the same at the same height: skip what is already executed.
    fn finalized(&self, payload: FinalizedPayload) -> impl Future<Output = ()> + Send;

    /// The statements of resharing that a payload carries, in their order; what a payload's body means is the
    /// application's. A pure function of the payload.
    fn statements(&self, _payload: &Payload) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Who shall hold the keys in the term after `term`, which is not 0. Asked when the term begins, and after a restart again
    /// until an answer is kept; it waits until the application knows it, that is, until the first payload of the term is
    /// executed. All validators must answer alike: it is a function of that payload and those before it. `None`: the
    /// members of `term` stay, and so do all keys.
    fn players(&self, _term: Term) -> impl Future<Output = Option<Players>> + Send {
        std::future::ready(None)
    }

    /// Takes the proof that a proposer signed two payloads of one round (`spec/membership.md` §6). Returns at once.
    fn double_proposal(&self, _found: DoubleProposal) {}

    /// Takes a finalization certificate. Each is reported when it is first seen, in no promised order, and after a
    /// restart the newest come again.
    fn certificate(&self, seen: SeenCertificate) -> impl Future<Output = ()> + Send;
}
