//! Resharing while the chain runs (`spec/key-generation.md` §8): one round of both keys in every term, from the members
//! to the players that the application names; and where it says so a round among the players for another network key
//! (`spec/succession.md` §4) or another master of the derivation key (`spec/key-service.md` §9).
//!
//! An actor between the ceremonies and the world: final payloads and peers' messages in; dealings, acknowledgements and
//! statements out; secrets in the vault. A validator that is neither member nor player sees the same statements and so
//! knows the same outcome. Invariants: all keys change committee together or none does; a payload is
//! acknowledged only after what follows from it is durable; when a term's shares are in force the shares before them
//! are erased.

use std::{
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

use commonware_consensus::types::Height as EngineHeight;
use commonware_cryptography::ed25519;
use commonware_p2p::{Receiver as _, Recipients, Sender as _};
use commonware_runtime::IoBuf;
use freehold_primitives::{Digest, Ed25519Key, Generation, Height, STATEMENTS_MAX, Term};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::{
    adapter::Archive,
    application::{Application, MastersPlan, NetworkKeyPlan, Players},
    block::Block,
    ceremony::{Ceremony, CeremonyError, Committee, Effect, Plan, Record},
    founding::{Body, Frame, Kept},
    keys::{IdentityKey, KeyShare, ShareKind, engine_key, our_key, validator_set},
    network::Channel,
    runtime::Runtime,
    terms::{Outcomes, TermKeys},
    vault::{Vault, VaultError},
};

/// How often what is not acknowledged is sent again.
const TICK: std::time::Duration = std::time::Duration::from_millis(500);
/// Statements of others that wait to be ordered.
const STATEMENTS_WAITING_MAX: usize = 256;

/// Statements that wait to be ordered, for the proposer.
pub(crate) type Waiting = Arc<Mutex<Vec<Vec<u8>>>>;

/// A final payload's part in resharing.
pub(crate) struct Final {
    pub(crate) height: Height,
    pub(crate) digest: Digest,
    pub(crate) statements: Vec<Vec<u8>>,
    /// Told when what follows from it is durable.
    pub(crate) done: oneshot::Sender<()>,
}

/// Why resharing ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResharingError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    #[error("the network ended")]
    Network,
}

/// The resharing of one validator.
pub(crate) struct Resharing<E: Runtime> {
    identity: IdentityKey,
    namespace: Vec<u8>,
    /// `None` where nothing is reshared.
    active: Option<Active<E>>,
    keys: watch::Sender<TermKeys>,
    waiting: Waiting,
    finals: (mpsc::Sender<Final>, mpsc::Receiver<Final>),
}

struct Active<E: Runtime> {
    term_blocks: u64,
    vault: Vault<E>,
    kept: Vec<Zeroizing<Vec<u8>>>,
}

/// The answer to who the players of a term are, awaited.
type Asked = BoxFuture<'static, Option<Players>>;

/// The actor's state.
struct Running<E: Runtime, A> {
    identity: IdentityKey,
    namespace: Vec<u8>,
    term_blocks: u64,
    keys: watch::Sender<TermKeys>,
    vault: Vault<E>,
    waiting: Waiting,
    channel: Channel<E>,
    archive: Archive,
    application: A,
    /// The term's rounds, once its players are known.
    rounds: Option<Rounds>,
    asked: Option<Asked>,
    /// Whether it said whose acknowledgements it lacks.
    complained: bool,
}

/// The rounds of one term.
struct Rounds {
    consensus: Ceremony,
    derivation: Ceremony,
    /// That for another network key.
    successor: Option<Ceremony>,
    /// Those of masters of the derivation key beside the genesis' one.
    masters: Vec<(Generation, Ceremony)>,
}

impl Rounds {
    fn all(&self) -> impl Iterator<Item = &Ceremony> {
        let masters = self.masters.iter().map(|(_, round)| round);
        [&self.consensus, &self.derivation].into_iter().chain(&self.successor).chain(masters)
    }

    fn get_mut(&mut self, kind: ShareKind) -> Option<&mut Ceremony> {
        match kind {
            ShareKind::Consensus => Some(&mut self.consensus),
            ShareKind::Derivation => Some(&mut self.derivation),
            ShareKind::Successor => self.successor.as_mut(),
            ShareKind::Master(of) => {
                let found = self.masters.iter_mut().find(|(generation, _)| *generation == Generation::from(of));
                found.map(|(_, round)| round)
            }
        }
    }
}

impl<E: Runtime> Resharing<E> {
    /// One that never reshares.
    pub(crate) fn idle(identity: IdentityKey, first: TermKeys) -> (Self, watch::Receiver<TermKeys>) {
        let (keys, receiver) = watch::channel(first);
        let (namespace, waiting, finals) = (Vec::new(), Waiting::default(), mpsc::channel(1));
        (Self { identity, namespace, active: None, keys, waiting, finals }, receiver)
    }

    /// Opens the vault: what is in force, and what was kept of the round that runs.
    pub(crate) async fn open(
        context: &E,
        partition: &str,
        (identity, first): (IdentityKey, TermKeys),
    ) -> Result<(Self, watch::Receiver<TermKeys>), VaultError> {
        let (mut vault, mut kept) = Vault::open(context.child("vault"), format!("{partition}-terms")).await?;
        let keys = if kept.is_empty() {
            vault.begin(&first.to_bytes()).await?;
            first
        } else {
            TermKeys::from_bytes(&kept.remove(0)).map_err(|_| VaultError)?
        };
        let (mut this, receiver) = Self::idle(identity, keys);
        this.active = Some(Active { term_blocks: u64::MAX, vault, kept });
        Ok((this, receiver))
    }

    /// Sets the length of a term and the chain's namespace.
    pub(crate) fn every(mut self, term_blocks: NonZeroU64, namespace: Vec<u8>) -> Self {
        if let Some(active) = &mut self.active {
            active.term_blocks = term_blocks.get();
        }
        Self { namespace, ..self }
    }

    /// Where statements wait for a proposal.
    pub(crate) fn waiting(&self) -> Waiting {
        Arc::clone(&self.waiting)
    }

    /// Where final payloads are told; `None` where nothing is reshared.
    pub(crate) fn finals(&self) -> Option<mpsc::Sender<Final>> {
        self.active.as_ref().map(|_| self.finals.0.clone())
    }

    /// Runs until the validator ends.
    pub(crate) async fn run(
        self,
        mut context: E,
        channel: Channel<E>,
        (archive, application): (Archive, impl Application),
    ) {
        let Self { identity, namespace, active, keys, waiting, finals } = self;
        let Some(Active { term_blocks, vault, kept }) = active else {
            // The ends of the queues stay open.
            let _ends = (keys, channel, finals);
            return std::future::pending().await;
        };
        let (rounds, asked, complained) = (None, None, false);
        let mut running = Running {
            identity,
            namespace,
            term_blocks,
            keys,
            vault,
            waiting,
            channel,
            archive,
            application,
            rounds,
            asked,
            complained,
        };
        if let Err(error) = running.run(&mut context, &kept, finals.1).await {
            warn!(%error, "resharing ended");
        }
    }
}

impl<E: Runtime, A: Application> Running<E, A> {
    async fn run(
        &mut self,
        context: &mut E,
        kept: &[Zeroizing<Vec<u8>>],
        mut finals: mpsc::Receiver<Final>,
    ) -> Result<(), ResharingError> {
        self.open(context, kept).await?;
        let mut next_tick = context.current() + TICK;
        loop {
            self.offer();
            let asked = async {
                match &mut self.asked {
                    Some(asked) => asked.await,
                    None => std::future::pending().await,
                }
            };
            // In one order always, so that a simulation repeats itself; a flood of messages comes last.
            tokio::select! {
                biased;
                players = asked => self.answered(context, players).await?,
                command = finals.recv() => {
                    let Some(command) = command else { return Ok(()) };
                    self.finalized(context, &command).await?;
                    let _gone = command.done.send(());
                }
                () = context.sleep_until(next_tick) => {
                    next_tick = context.current() + TICK;
                    self.tick().await?;
                }
                received = self.channel.1.recv() => {
                    let (peer, bytes) = received.map_err(|_| ResharingError::Network)?;
                    self.receive(&our_key(&peer), bytes.as_ref()).await?;
                }
            }
        }
    }

    /// Takes the term up where the vault left it: with the players that were kept, or else by asking for them.
    async fn open(&mut self, context: &mut E, kept: &[Zeroizing<Vec<u8>>]) -> Result<(), ResharingError> {
        let kept = kept.iter().map(|bytes| Kept::from_bytes(bytes)).collect::<Result<Vec<_>, _>>();
        let kept = kept.map_err(|_| CeremonyError::Record)?;
        let players = kept.iter().find_map(|kept| match kept {
            Kept::Players(players) => Some(players.clone()),
            _ => None,
        });
        match players {
            Some(players) => self.begin(context, &players, &kept).await,
            None if self.term() == 0 => {
                let players = self.all_stays();
                self.begin(context, &players, &kept).await
            }
            None => {
                self.ask();
                Ok(())
            }
        }
    }

    /// The members and all their keys stay.
    fn all_stays(&self) -> Players {
        let keys = self.keys.borrow();
        let reshared = keys.masters.iter().map(|held| held.generation).collect();
        let masters = MastersPlan { reshared, made: None };
        Players { players: keys.consensus.keys(), network_key: NetworkKeyPlan::Stays, masters }
    }

    fn ask(&mut self) {
        let (application, term) = (self.application.clone(), self.term());
        self.asked = Some(Box::pin(async move { application.players(term).await }));
    }

    /// Keeps who the players are and begins with them.
    async fn answered(&mut self, context: &mut E, players: Option<Players>) -> Result<(), ResharingError> {
        self.asked = None;
        let mut players = players.unwrap_or_else(|| self.all_stays());
        // All are told the same, so all pass over a set that cannot hold keys.
        if let Err(error) = validator_set(&players.players) {
            warn!(%error, "players that cannot hold keys, the members stay");
            players.players = self.keys.borrow().consensus.keys();
        }
        let kept = Kept::Players(players);
        self.vault.keep(&kept.to_bytes()).await?;
        let Kept::Players(players) = kept else { return Ok(()) };
        self.begin(context, &players, &[]).await
    }

    fn term(&self) -> Term {
        self.keys.borrow().term
    }

    /// First and last height of the term.
    fn bounds(&self) -> (Height, Height) {
        let first = self.term().saturating_mul(self.term_blocks);
        (first, first.saturating_add(self.term_blocks - 1))
    }

    /// Begins this term's rounds, which take force in the next term, and takes what was ordered of them.
    async fn begin(
        &mut self,
        context: &mut E,
        Players { players, network_key, masters: plan }: &Players,
        kept: &[Kept],
    ) -> Result<(), ResharingError> {
        let keys = self.keys.borrow().clone();
        let (committee, share) = keys.next_consensus();
        let of = (ShareKind::Consensus, Some(committee.clone()), share);
        let consensus = self.begin_one(context, of, players, kept).await?;
        let of = (ShareKind::Derivation, Some(keys.derivation.clone()), keys.derivation_share.as_ref());
        let derivation = self.begin_one(context, of, players, kept).await?;
        let successor = match network_key {
            // One key waits at a time.
            NetworkKeyPlan::Succeeds if keys.successor.is_none() => {
                Some(self.begin_one(context, (ShareKind::Successor, None, None), players, kept).await?)
            }
            NetworkKeyPlan::Succeeds | NetworkKeyPlan::Stays => None,
        };
        let mut masters = Vec::new();
        let go_on = keys.masters.iter().filter(|held| plan.reshared.contains(&held.generation));
        let go_on = go_on.map(|held| (held.generation, Some(held.committee.clone()), held.share.as_ref()));
        let made = plan.made.filter(|made| *made > 0 && keys.master(*made).is_none());
        for (generation, previous, share) in go_on.chain(made.map(|generation| (generation, None, None))) {
            let Some(kind) = ShareKind::of_master(generation) else { continue };
            masters.push((generation, self.begin_one(context, (kind, previous, share), players, kept).await?));
        }
        self.rounds = Some(Rounds { consensus, derivation, successor, masters });
        let (first, last) = self.bounds();
        for height in first.max(1)..=last {
            let Some(block) = self.archive.get_block(EngineHeight::new(height)).await else { break };
            let statements = self.application.statements(block.inner().payload());
            self.ordered(&statements);
        }
        Ok(())
    }

    async fn begin_one(
        &mut self,
        context: &mut E,
        (kind, previous, share): (ShareKind, Option<Committee>, Option<&KeyShare>),
        players: &[Ed25519Key],
        kept: &[Kept],
    ) -> Result<Ceremony, ResharingError> {
        let (namespace, round) = (self.namespace.clone(), self.term() + 1);
        let plan = Plan { namespace, kind, round, players: players.to_vec(), previous };
        let records = kept.iter().filter_map(|kept| match kept {
            Kept::Record(of, record) if *of == kind => Some(Record::from_bytes(record)),
            _ => None,
        });
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let (round, effects) = Ceremony::begin(plan, &self.identity, share, &records, context)?;
        self.perform(kind, effects).await?;
        Ok(round)
    }

    fn round(&mut self, kind: ShareKind) -> Option<&mut Ceremony> {
        self.rounds.as_mut()?.get_mut(kind)
    }

    /// The keys of the rounds that run, in one order always.
    fn kinds(&self) -> Vec<ShareKind> {
        self.rounds.iter().flat_map(Rounds::all).map(Ceremony::kind).collect()
    }

    async fn perform(&mut self, kind: ShareKind, effects: Vec<Effect>) -> Result<(), ResharingError> {
        for effect in effects {
            match effect {
                Effect::Keep(record) => self.vault.keep(&Kept::Record(kind, record.to_bytes()).to_bytes()).await?,
                Effect::Send { to, message } => {
                    if let Some(to) = engine_key(&to) {
                        self.send(Recipients::One(to), Body::Direct(kind, message));
                    }
                }
                Effect::Post(statement) => self.send(Recipients::All, Body::Statement(kind, statement)),
            }
        }
        Ok(())
    }

    fn send(&mut self, to: Recipients<ed25519::PublicKey>, body: Body) {
        let frame = Frame { attempt: self.term(), body }.to_bytes();
        self.channel.0.send(to, IoBuf::from(frame.to_vec()), false);
    }

    async fn receive(&mut self, from: &Ed25519Key, bytes: &[u8]) -> Result<(), ResharingError> {
        let term = self.term();
        let Some(frame) = Frame::from_bytes(bytes).filter(|frame| frame.attempt == term) else { return Ok(()) };
        match frame.body {
            Body::Direct(kind, message) => {
                let received = self.round(kind).map(|round| round.receive(from, &message));
                match received {
                    Some(Ok(effects)) => self.perform(kind, effects).await?,
                    Some(Err(refusal)) => debug!(%from, %refusal, "resharing message refused"),
                    None => {}
                }
            }
            Body::Statement(kind, statement) => {
                if self.round(kind).is_some_and(|round| round.check(&statement).is_ok()) {
                    let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    if waiting.len() < STATEMENTS_WAITING_MAX && !waiting.contains(&statement) {
                        waiting.push(statement);
                    }
                }
            }
            _ => debug!(%from, "message of no use in a resharing dropped"),
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), ResharingError> {
        for kind in self.kinds() {
            let effects = self.round(kind).map(|round| round.resend()).unwrap_or_default();
            self.perform(kind, effects).await?;
            let own: Vec<_> =
                self.round(kind).map(|round| round.unordered().map(<[u8]>::to_vec).collect()).unwrap_or_default();
            for statement in own {
                self.send(Recipients::All, Body::Statement(kind, statement));
            }
        }
        Ok(())
    }

    /// What a proposal of ours shall carry: own statements, and those of others, that are not ordered yet.
    fn offer(&mut self) {
        let Some(rounds) = &self.rounds else { return };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = rounds.all().flat_map(|round| round.unordered().map(<[u8]>::to_vec));
        let others = std::mem::take(&mut *waiting);
        for statement in own.chain(others) {
            let open = rounds.all().any(|round| round.check(&statement).is_ok());
            if open && !waiting.contains(&statement) {
                waiting.push(statement);
            }
        }
    }

    fn ordered(&mut self, statements: &[Vec<u8>]) {
        for statement in statements {
            for kind in self.kinds() {
                let _not_of_this_round = self.round(kind).map(|round| round.ordered(statement));
            }
        }
    }

    async fn finalized(&mut self, context: &mut E, payload: &Final) -> Result<(), ResharingError> {
        let (first, last) = self.bounds();
        if payload.height < first || payload.height > last {
            // Delivered again after a crash; its term is over.
            return Ok(());
        }
        self.ordered(&payload.statements);
        if payload.height >= first + self.term_blocks * 3 / 4 && self.rounds.is_some() && !self.complained {
            self.complained = true;
            for kind in self.kinds() {
                let effects = self.round(kind).map(Ceremony::complain).unwrap_or_default();
                self.perform(kind, effects).await?;
            }
        }
        if payload.height == last { self.close(context, payload.digest).await } else { Ok(()) }
    }

    /// The term is over: the next begins with new shares, or with the old ones where a round failed.
    async fn close(&mut self, context: &mut E, parent: Digest) -> Result<(), ResharingError> {
        if let Some(asked) = self.asked.take() {
            // Who the players were decides how the round ended, so there is no way on without the answer.
            let players = asked.await;
            self.answered(context, players).await?;
        }
        let Some(rounds) = self.rounds.take() else { return Ok(()) };
        let outcomes = Outcomes {
            consensus: rounds.consensus.close(context),
            derivation: rounds.derivation.close(context),
            successor: rounds.successor.map(|round| round.close(context)),
            masters: rounds.masters.into_iter().map(|(of, round)| (of, round.close(context))).collect(),
        };
        let keys = self.keys.borrow().after(parent, outcomes);
        self.vault.begin(&keys.to_bytes()).await?;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.complained = false;
        self.keys.send_replace(keys);
        self.ask();
        Ok(())
    }
}

/// The statements that a proposal shall carry now.
pub(crate) fn offered(waiting: &Waiting) -> Vec<Vec<u8>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.iter().take(STATEMENTS_MAX).cloned().collect()
}

/// Tells the resharing of a final payload and waits until what follows is durable.
pub(crate) async fn tell(finals: &mpsc::Sender<Final>, block: &Block, statements: Vec<Vec<u8>>) -> bool {
    let (done, wait) = oneshot::channel();
    let (height, digest) = (block.head().height, block.id());
    finals.send(Final { height, digest, statements, done }).await.is_ok() && wait.await.is_ok()
}
