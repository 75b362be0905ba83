//! The state machine of a founding: frames and ticks in, acts out.
//!
//! Invariants: a validator confirms a genesis only after everything that it needs of it is kept, and from then on leaves
//! the attempt only when another says that it left without confirming; a genesis is used only when all have confirmed
//! it. So at most one attempt is ever finished by anybody, unless one of the founders lies, who can hinder but neither
//! learn a key nor split the network: any network needs the confirmations of all.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use freehold_crypto::genesis_hash;
use freehold_primitives::{Blob, Digest, Ed25519Key, Generation, Genesis};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    Founded, Founding, FoundingError, Made, Progress,
    derive::{self, Collection},
    wire::{Body, Frame, Kept},
};
use crate::{
    ceremony::{Ceremony, Committee, Effect, Outcome, Plan, Record, Refusal},
    keys::{KeyShare, ShareKind},
};

/// Most attempts.
const ATTEMPTS_MAX: u64 = 1_000;
/// How far ahead another's attempt may be.
const ATTEMPTS_AHEAD_MAX: u64 = 16;
/// How long an attempt may take once all are there.
pub(super) const ATTEMPT_TIME: Duration = Duration::from_secs(60);
const KINDS: [ShareKind; 2] = [ShareKind::Consensus, ShareKind::Derivation];

/// What the caller must do, in this order; what follows a `Keep` or a `Begin` only once that is durable.
pub(super) enum Act {
    /// Keep a record more.
    Keep(Zeroizing<Vec<u8>>),
    /// Erase everything kept and keep this.
    Begin(Zeroizing<Vec<u8>>),
    /// Send to one.
    Send(Ed25519Key, Zeroizing<Vec<u8>>),
    /// Send to all.
    Broadcast(Zeroizing<Vec<u8>>),
    /// This validator has everything.
    Founded(Made),
}

/// Why a frame is refused; nothing was changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum FrameRefusal {
    #[error("not a frame")]
    Format,
    #[error("the sender is no founder")]
    Sender,
    #[error("a frame of another attempt")]
    Attempt,
    #[error("a frame that is of no use now")]
    Useless,
    #[error(transparent)]
    Ceremony(#[from] Refusal),
}

/// What has been made and waits for everybody's confirmation.
struct Genesised {
    genesis: Genesis,
    hash: Digest,
    shares: [KeyShare; 2],
}

/// A founding as one founder sees it.
pub(super) struct State {
    founding: Founding,
    name: Digest,
    attempt: u64,
    /// Since when all have been there in this attempt.
    complete_since: Option<SystemTime>,
    rounds: Option<[Ceremony; 2]>,
    own: Vec<(ShareKind, Vec<u8>)>,
    made: Option<Genesised>,
    collection: Option<Collection>,
    founded: Option<Made>,
    heard: BTreeSet<Ed25519Key>,
    confirmed: BTreeSet<Ed25519Key>,
    done: BTreeSet<Ed25519Key>,
}

impl State {
    /// Begins, or takes up what was kept.
    pub(super) fn begin(
        founding: Founding,
        kept: &[Zeroizing<Vec<u8>>],
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Vec<Act>), FoundingError> {
        let name = genesis_hash(&founding.draft);
        let me = founding.identity.public();
        let mut this = Self {
            name,
            attempt: 0,
            complete_since: None,
            rounds: None,
            own: Vec::new(),
            made: None,
            collection: None,
            founded: founding.finished.clone().map(Arc::new),
            heard: BTreeSet::from([me]),
            confirmed: BTreeSet::new(),
            done: BTreeSet::new(),
            founding,
        };
        if let Some(founded) = this.founded.clone() {
            this.done.insert(me);
            let shares = [founded.consensus.clone(), founded.derivation.clone()];
            let (genesis, hash) = (founded.genesis.clone(), genesis_hash(&founded.genesis));
            this.made = Some(Genesised { genesis, hash, shares });
            this.confirmed.extend(this.founding.draft.validators.iter().copied());
            return Ok((this, vec![Act::Founded(founded)]));
        }
        let kept = kept.iter().map(|bytes| Kept::from_bytes(bytes)).collect::<Result<Vec<_>, _>>();
        let kept = kept.map_err(|_| FoundingError::Storage)?;
        let Some(Kept::Attempt(attempt)) = kept.first() else {
            let acts = this.advance(0, rng)?;
            return Ok((this, acts));
        };
        this.attempt = *attempt;
        let acts = this.open_rounds(&kept, rng)?;
        Ok((this, acts))
    }

    /// Leaves this attempt for another: what was kept of it is erased.
    fn advance(&mut self, attempt: u64, rng: &mut impl CryptoRng) -> Result<Vec<Act>, FoundingError> {
        if attempt >= ATTEMPTS_MAX {
            return Err(FoundingError::Attempts);
        }
        self.attempt = attempt;
        self.complete_since = None;
        self.rounds = None;
        self.made = None;
        self.collection = None;
        self.own.clear();
        self.confirmed.clear();
        self.done.clear();
        let mut acts = vec![Act::Begin(Kept::Attempt(attempt).to_bytes())];
        acts.extend(self.open_rounds(&[], rng)?);
        Ok(acts)
    }

    fn open_rounds(&mut self, kept: &[Kept], rng: &mut impl CryptoRng) -> Result<Vec<Act>, FoundingError> {
        let mut acts = Vec::new();
        let mut rounds = Vec::new();
        for kind in KINDS {
            let plan = Plan {
                namespace: self.name.as_bytes().to_vec(),
                kind,
                round: self.attempt,
                previous: None,
                players: self.founding.draft.validators.clone(),
            };
            let records = kept.iter().filter_map(|kept| match kept {
                Kept::Record(of, record) if *of == kind => Some(Record::from_bytes(record)),
                _ => None,
            });
            let records = records.collect::<Result<Vec<_>, _>>()?;
            let (round, effects) = Ceremony::begin(plan, &self.founding.identity, None, &records, rng)?;
            rounds.push(round);
            acts.extend(self.carry(kind, effects));
        }
        self.rounds = rounds.try_into().ok();
        for statement in kept {
            if let Kept::Statement(kind, statement) = statement {
                // It was taken before, so it is taken again; a refusal means that it was kept twice.
                let _repeated = self.round(*kind).map(|round| round.ordered(statement));
            }
        }
        acts.extend(self.take_own()?);
        acts.extend(self.close(rng)?);
        Ok(acts)
    }

    fn round(&mut self, kind: ShareKind) -> Option<&mut Ceremony> {
        let [consensus, derivation] = self.rounds.as_mut()?;
        Some(match kind {
            ShareKind::Consensus => consensus,
            ShareKind::Derivation => derivation,
            ShareKind::Successor | ShareKind::Master(_) => return None,
        })
    }

    /// Turns a round's effects into acts.
    fn carry(&mut self, kind: ShareKind, effects: Vec<Effect>) -> Vec<Act> {
        let mut acts = Vec::new();
        for effect in effects {
            match effect {
                Effect::Keep(record) => acts.push(Act::Keep(Kept::Record(kind, record.to_bytes()).to_bytes())),
                Effect::Send { to, message } => acts.push(Act::Send(to, self.frame(Body::Direct(kind, message)))),
                Effect::Post(statement) => {
                    acts.push(Act::Broadcast(self.frame(Body::Statement(kind, statement.clone()))));
                    self.own.push((kind, statement));
                }
            }
        }
        acts
    }

    fn frame(&self, body: Body) -> Zeroizing<Vec<u8>> {
        Frame { attempt: self.attempt, body }.to_bytes()
    }

    /// Own statements count as soon as they are made.
    fn take_own(&mut self) -> Result<Vec<Act>, FoundingError> {
        let mut acts = Vec::new();
        for (kind, statement) in self.own.clone() {
            let taken = self.round(kind).map(|round| round.ordered(&statement));
            if matches!(taken, Some(Ok(()))) {
                acts.push(Act::Keep(Kept::Statement(kind, statement).to_bytes()));
            }
        }
        Ok(acts)
    }

    /// Takes a frame of a peer.
    pub(super) fn receive(
        &mut self,
        from: &Ed25519Key,
        bytes: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Result<Vec<Act>, FrameRefusal>, FoundingError> {
        let Some(frame) = Frame::from_bytes(bytes) else { return Ok(Err(FrameRefusal::Format)) };
        if !self.founding.draft.validators.contains(from) {
            return Ok(Err(FrameRefusal::Sender));
        }
        self.heard.insert(*from);
        let mut acts = Vec::new();
        if frame.attempt != self.attempt {
            let ahead = frame.attempt > self.attempt && frame.attempt - self.attempt <= ATTEMPTS_AHEAD_MAX;
            if self.founding.finished.is_some() {
                // It does not know its attempt any more; whoever is left is in the one that all confirmed.
                self.attempt = frame.attempt;
            } else if ahead && !self.is_confirmed() {
                acts = self.advance(frame.attempt, rng)?;
            } else {
                return Ok(Err(FrameRefusal::Attempt));
            }
        }
        let more = match frame.body {
            Body::Here => Vec::new(),
            Body::Direct(kind, message) => match self.direct(kind, from, &message) {
                Ok(more) => more,
                Err(refusal) => return Ok(if acts.is_empty() { Err(refusal) } else { Ok(acts) }),
            },
            Body::Statement(kind, statement) => match self.round(kind).map(|round| round.ordered(&statement)) {
                Some(Ok(())) => vec![Act::Keep(Kept::Statement(kind, statement).to_bytes())],
                Some(Err(refusal)) if acts.is_empty() => return Ok(Err(refusal.into())),
                _ => Vec::new(),
            },
            Body::Confirm(hash) => self.confirm(*from, hash, rng)?,
            Body::Ask { generation, transport } => self.asked(*from, (generation, &transport), rng),
            Body::Share { generation, share } => self.shared(from, generation, &share),
            Body::Done => {
                if self.is_confirmed() {
                    self.done.insert(*from);
                }
                Vec::new()
            }
        };
        acts.extend(more);
        acts.extend(self.take_own()?);
        acts.extend(self.close(rng)?);
        Ok(Ok(acts))
    }

    fn direct(&mut self, kind: ShareKind, from: &Ed25519Key, message: &[u8]) -> Result<Vec<Act>, FrameRefusal> {
        let effects = self.round(kind).ok_or(FrameRefusal::Useless)?.receive(from, message)?;
        Ok(self.carry(kind, effects))
    }

    /// Makes the genesis once every dealer's log of both rounds is there and clean.
    fn close(&mut self, rng: &mut impl CryptoRng) -> Result<Vec<Act>, FoundingError> {
        let total = self.founding.draft.validators.len();
        if !self.rounds.as_ref().is_some_and(|rounds| rounds.iter().all(|round| round.clean_dealers() == total)) {
            return Ok(Vec::new());
        }
        let Some(rounds) = self.rounds.take() else { return Ok(Vec::new()) };
        let [consensus, derivation] = rounds.map(|round| match round.close(rng) {
            Outcome::Success { committee, share: Some(share) } => Some((committee, share)),
            _ => None,
        });
        let (Some(consensus), Some(derivation)) = (consensus, derivation) else {
            return self.advance(self.attempt + 1, rng);
        };
        let genesis = Genesis {
            consensus_polynomial: Blob(Committee::polynomial(&consensus.0)),
            derivation_polynomial: derivation.0.coefficients(),
            ..self.founding.draft.clone()
        };
        let hash = genesis_hash(&genesis);
        self.made = Some(Genesised { genesis, hash, shares: [consensus.1, derivation.1] });
        let me = self.founding.identity.public();
        let mut acts = vec![Act::Broadcast(self.frame(Body::Confirm(hash)))];
        acts.extend(self.confirm(me, hash, rng)?);
        Ok(acts)
    }

    fn is_confirmed(&self) -> bool {
        self.confirmed.len() == self.founding.draft.validators.len()
    }

    fn confirm(&mut self, from: Ed25519Key, hash: Digest, rng: &mut impl CryptoRng) -> Result<Vec<Act>, FoundingError> {
        let Some(made) = &self.made else { return Ok(Vec::new()) };
        if made.hash != hash {
            // Two geneses in one attempt: some dealer told two stories. Nobody can finish it.
            return if self.is_confirmed() { Ok(Vec::new()) } else { self.advance(self.attempt + 1, rng) };
        }
        self.confirmed.insert(from);
        if !self.is_confirmed() || self.collection.is_some() || self.founded.is_some() {
            return Ok(Vec::new());
        }
        self.collection = Some(Collection::new(rng));
        let generations: Vec<_> = self.collection.as_ref().map(|c| c.missing().collect()).unwrap_or_default();
        let mut acts = Vec::new();
        let me = self.founding.identity.public();
        let transport = self.collection.as_ref().map(Collection::transport);
        for (generation, transport) in generations.into_iter().zip(transport.into_iter().cycle()) {
            acts.push(Act::Broadcast(self.frame(Body::Ask { generation, transport })));
            let own = self
                .made
                .as_ref()
                .and_then(|made| derive::answer(&made.genesis, &made.shares[1], (generation, &transport), rng));
            acts.extend(own.map(|share| self.shared(&me, generation, &share)).unwrap_or_default());
        }
        Ok(acts)
    }

    /// Shares of the state root keys leave only for founders, and only once the genesis is everybody's.
    fn asked(
        &self,
        from: Ed25519Key,
        (generation, transport): (Generation, &freehold_primitives::G1Point),
        rng: &mut impl CryptoRng,
    ) -> Vec<Act> {
        let Some(made) = self.made.as_ref().filter(|_| self.is_confirmed()) else { return Vec::new() };
        let share = derive::answer(&made.genesis, &made.shares[1], (generation, transport), rng);
        let frame = |share| Act::Send(from, self.frame(Body::Share { generation, share }));
        share.map(frame).into_iter().collect()
    }

    fn shared(&mut self, from: &Ed25519Key, generation: Generation, share: &[u8]) -> Vec<Act> {
        let (Some(made), Some(collection)) = (&self.made, &mut self.collection) else { return Vec::new() };
        let index = made.genesis.validators.iter().position(|key| key == from);
        let Some(index) = index.and_then(|index| u32::try_from(index).ok()) else { return Vec::new() };
        let _refused = collection.take(&made.genesis, generation, index, share);
        if collection.missing().next().is_some() {
            return Vec::new();
        }
        let [consensus, derivation] = made.shares.clone();
        let state_keys = self.collection.take().map(Collection::into_keys).unwrap_or_default();
        let founded = Arc::new(Founded { genesis: made.genesis.clone(), consensus, derivation, state_keys });
        self.founded = Some(Arc::clone(&founded));
        self.done.insert(self.founding.identity.public());
        vec![Act::Founded(founded), Act::Broadcast(self.frame(Body::Done))]
    }

    /// Says again what others may lack, and gives up an attempt that takes too long.
    pub(super) fn tick(&mut self, now: SystemTime, rng: &mut impl CryptoRng) -> Result<Vec<Act>, FoundingError> {
        if self.made.is_none() && self.heard.len() == self.founding.draft.validators.len() {
            let since = *self.complete_since.get_or_insert(now);
            if now.duration_since(since).is_ok_and(|time| time >= ATTEMPT_TIME) {
                return self.advance(self.attempt + 1, rng);
            }
        }
        let mut acts = vec![Act::Broadcast(self.frame(Body::Here))];
        for kind in KINDS {
            let effects = self.round(kind).map(|round| round.resend()).unwrap_or_default();
            acts.extend(self.carry(kind, effects));
        }
        if !self.is_confirmed() {
            let own = self.own.iter();
            acts.extend(
                own.map(|(kind, statement)| Act::Broadcast(self.frame(Body::Statement(*kind, statement.clone())))),
            );
        }
        if let Some(made) = &self.made {
            acts.push(Act::Broadcast(self.frame(Body::Confirm(made.hash))));
        }
        if let Some(collection) = &self.collection {
            let transport = collection.transport();
            let ask = |generation| Act::Broadcast(self.frame(Body::Ask { generation, transport }));
            acts.extend(collection.missing().map(ask));
        }
        acts.extend(self.farewell());
        Ok(acts)
    }

    /// The last word.
    pub(super) fn farewell(&self) -> Vec<Act> {
        let Some(made) = self.made.as_ref().filter(|_| self.founded.is_some()) else { return Vec::new() };
        [Body::Confirm(made.hash), Body::Done].map(|body| Act::Broadcast(self.frame(body))).into()
    }

    /// Whether nobody needs this founder any more.
    pub(super) fn is_over(&self) -> bool {
        self.founded.is_some() && self.done.len() == self.founding.draft.validators.len()
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            attempt: self.attempt,
            heard: self.heard.len(),
            confirmed: self.confirmed.len(),
            done: self.done.len(),
            total: self.founding.draft.validators.len(),
            genesis: self.made.as_ref().map(|made| made.hash),
        }
    }
}
