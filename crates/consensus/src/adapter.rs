//! Our [`Application`] behind the engine's interface: builds the context, checks, then asks.

use std::{num::NonZeroU64, sync::Arc};

use commonware_consensus::{
    Application as EngineApplication, Heightable as _,
    marshal::{ancestry::Ancestry, core::Mailbox, standard::Standard},
    simplex::types::Context,
};
use commonware_cryptography::{Digested, ed25519, sha256};
use commonware_utils::ordered::Quorum as _;
use freehold_crypto::payload_digest;
use freehold_primitives::{G1Point, Height, NetworkKey, Payload, PayloadHead, TermTurn};
use futures::StreamExt as _;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    application::{Application, ProposalContext},
    block::{Block, our_digest},
    check::{Fault, Position, Scheme, check_payload, check_seed, check_signature, check_succession},
    keys::{IdentityKey, our_key},
    reports::certificate_of,
    resharing::{self, Waiting},
    rounds::Rounds,
    runtime::Runtime,
    terms::{TermKeys, Terms},
    watermark::Permits,
    witness::Witness,
};

/// The engine's context of a round.
pub(crate) type RoundContext = Context<sha256::Digest, ed25519::PublicKey>;
/// The archive of blocks and certificates.
pub(crate) type Archive = Mailbox<Scheme, Standard<Block>>;

/// Joins an application to the engine.
#[derive(Clone)]
pub(crate) struct Adapter<A> {
    pub(crate) application: A,
    pub(crate) chain_id: u64,
    pub(crate) term_blocks: Option<NonZeroU64>,
    pub(crate) identity: IdentityKey,
    pub(crate) permits: Permits,
    pub(crate) witness: Arc<Witness>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) keys: watch::Receiver<TermKeys>,
    pub(crate) waiting: Waiting,
    pub(crate) rounds: Arc<Rounds>,
    pub(crate) archive: Archive,
}

impl<A: Application> Adapter<A> {
    /// The round in our terms; `None` if the leader is no validator, which the engine excludes.
    fn position(&self, context: &RoundContext) -> Option<Position> {
        let scheme = self.terms.get(context.round.epoch().get())?;
        let proposer = scheme.participants().index(&context.leader)?;
        Some(Position {
            term: context.round.epoch().get(),
            view: context.round.view().get(),
            proposer: proposer.get(),
            parent: our_digest(&context.parent.1),
        })
    }

    /// The turn that a payload of this round carries: the first of a term has another term than its parent.
    fn turn(&self, at: &Position, parent: &PayloadHead) -> Option<TermTurn> {
        if parent.term == at.term {
            return None;
        }
        let keys = self.keys.borrow();
        if keys.term == at.term { keys.turn() } else { None }
    }

    /// The network key that a payload of this round names: the last of a term in which one waits.
    fn succession(&self, at: &Position, height: Height) -> Option<NetworkKey> {
        let is_last = height.checked_add(1)?.is_multiple_of(self.term_blocks?.get());
        let keys = self.keys.borrow();
        let successor = keys.successor.as_ref().filter(|_| is_last && keys.term == at.term)?;
        Some(successor.committee.public_key())
    }

    /// Seed of the parent's round: from what was seen, else from the archive, else awaited.
    async fn parent_seed(&self, parent: &PayloadHead) -> Option<G1Point> {
        if parent.height == 0 {
            return None;
        }
        if let Some(seed) = self.rounds.record(parent.term, parent.view).seed {
            return Some(seed);
        }
        let archived = self.archive.get_finalization(commonware_consensus::types::Height::new(parent.height)).await;
        if let Some(certificate) = archived.as_ref().and_then(certificate_of)
            && (certificate.term, certificate.view) == (parent.term, parent.view)
        {
            self.rounds.note_certificate(&certificate);
            return Some(certificate.seed);
        }
        Some(self.rounds.seed(parent.term, parent.view).await)
    }

    async fn build(&self, context: &RoundContext, mut ancestry: impl Ancestry<Block>) -> Option<Digested<Block>> {
        let at = self.position(context)?;
        // Nobody can be misled by a committee of one, and every view that it gives up costs it a timeout.
        let is_alone = self.terms.get(at.term)?.participants().len() == 1;
        if !is_alone && self.permits.is_given_up((at.term, at.view)) {
            return None;
        }
        let parent = ancestry.next().await?;
        let parent = parent.inner().head().clone();
        let seed = self.parent_seed(&parent).await;
        let mut ours = ProposalContext::new(self.chain_id, &at, parent.clone(), seed);
        ours.statements = resharing::offered(&self.waiting);
        ours.turn = self.turn(&at, &parent);
        ours.succession = self.succession(&at, ours.height());
        let mut payload = self.application.propose(ours).await?;
        if let Err(fault) = check_payload(self.chain_id, &at, &parent, &payload) {
            warn!(%fault, height = payload.head.height, "own proposal is not valid and is not sent");
            return None;
        }
        if payload.head.parent_seed != seed {
            warn!(height = payload.head.height, "own proposal carries another seed and is not sent");
            return None;
        }
        let digest = payload_digest(&payload.head);
        if !is_alone && !self.permits.may_sign((at.term, at.view), digest).await {
            return None;
        }
        payload.signature = self.identity.sign_proposal(&digest);
        let block = Block::new(payload).inspect_err(|error| warn!(%error, "own proposal is not sent")).ok()?;
        self.rounds.note_height(block.id(), block.height().get());
        Some(block.sealed())
    }

    async fn judge(&self, context: &RoundContext, mut ancestry: impl Ancestry<Block>) -> Option<bool> {
        let at = self.position(context)?;
        let block = ancestry.next().await?;
        let parent = ancestry.next().await?;
        let (payload, parent) = (block.inner().payload(), parent.inner().head().clone());
        if let Some(found) = self.witness.judged(block.inner()) {
            self.application.double_proposal(found);
        }
        let signed = check_signature(&our_key(&context.leader), &block.inner().id(), &payload.signature);
        if let Err(fault) = self.check(&at, &parent, block.inner()).and(signed) {
            debug!(%fault, height = payload.head.height, proposer = at.proposer, "proposal refused");
            return Some(false);
        }
        self.rounds.note_height(block.inner().id(), payload.head.height);
        let (turn, succession) = (self.turn(&at, &parent), self.succession(&at, payload.head.height));
        let mut ours = ProposalContext::new(self.chain_id, &at, parent, payload.head.parent_seed);
        (ours.turn, ours.succession) = (turn, succession);
        Some(self.application.verify(ours, Payload::clone(payload)).await)
    }

    fn check(&self, at: &Position, parent: &PayloadHead, block: &Block) -> Result<(), Fault> {
        check_payload(self.chain_id, at, parent, block.payload())?;
        check_succession(self.succession(at, block.head().height).as_ref(), &block.payload().body.0)?;
        let Some(seed) = block.head().parent_seed else { return Ok(()) };
        // A signature is unique, so a seed already known needs no pairing.
        if self.rounds.record(parent.term, parent.view).seed == Some(seed) {
            return Ok(());
        }
        let verifier = self.terms.verifier(parent.term).ok_or(Fault::Seed)?;
        check_seed(&verifier, parent.term, parent.view, &seed)?;
        self.rounds.note_seed(parent.term, parent.view, seed);
        Ok(())
    }
}

impl<E: Runtime, A: Application> EngineApplication<E> for Adapter<A> {
    type SigningScheme = Scheme;
    type Context = RoundContext;
    type Block = Block;
    type Input = ();

    async fn propose(
        &mut self,
        (_, context): (E, RoundContext),
        ancestry: impl Ancestry<Block>,
        (): (),
    ) -> Option<Digested<Block>> {
        self.build(&context, ancestry).await
    }

    async fn verify(&mut self, (_, context): (E, RoundContext), ancestry: impl Ancestry<Block>) -> bool {
        self.judge(&context, ancestry).await.unwrap_or(false)
    }
}
