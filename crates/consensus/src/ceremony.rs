//! One round of key generation or resharing for one of the network's two keys (`spec/key-generation.md`).
//!
//! A pure state machine: messages and ordered statements in, effects out; no clock, network or disk. It drives the
//! engine's Feldman-Desmedt crate under a rule of its own: only clean rounds count. A dealer without every
//! acknowledgement posts no log, a log that reveals anything does not count, and a failed round leaves the old shares
//! in force.
//!
//! Invariants: a secret is kept before anything that depends on it leaves ([`Effect::Keep`] precedes it in order);
//! what is agreed is a function of the plan and the ordered statements alone; nothing a peer sends is stored before it
//! was verified, and each peer's share of memory and work is bounded.

mod committee;
mod messages;
mod plan;
mod record;
mod verdict;

use std::collections::BTreeMap;

use bytes::Bytes;
use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::{Dealer, DealerPrivMsg, DealerPubMsg, Player, PlayerAck},
        primitives::variant::MinSig,
    },
    ed25519,
    transcript::{Summary, Transcript, Version},
};
use commonware_utils::N3f1;
use freehold_primitives::{Canonical as _, Ed25519Key};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{IdentityKey, KeyError, KeyShare, ShareKind, VALIDATORS_COUNT_MAX, engine_key, our_key};

pub use committee::Committee;
pub use freehold_primitives::STATEMENT_BYTES_MAX;
pub use messages::{DIRECT_BYTES_MAX, Statement};
pub use plan::Plan;
pub use record::Record;
pub use verdict::{Outcome, Report};

use messages::{Direct, DirectBody, StatementBody};
use plan::Round;
use record::RecordBody;
use verdict::Ledger;

/// Dealings of one dealer that may fail to verify before it is no longer listened to in this round.
const BAD_DEALINGS_MAX: u8 = 8;
/// Label of a dealer's randomness.
const DEALER_NOISE: &[u8] = b"freehold dealer";

/// Why a ceremony does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The sets or keys of the plan do not serve.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The plan is not one the engine's rules allow.
    #[error("the engine refuses the plan")]
    Plan,
    /// The share is not this member's share of the previous committee's key.
    #[error("the share is not this member's share of the key")]
    Share,
    /// What was kept is not of this round, or not what this round would have kept.
    #[error("what was kept does not belong to this round")]
    Record,
}

/// Why a message or a statement is refused. Nothing was changed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Above its bound, or not canonical.
    #[error("not a message of this form")]
    Format,
    /// It belongs to another round, key or chain.
    #[error("a message of another round")]
    Round,
    /// Its sender has no such part in this round.
    #[error("the sender has no such part in this round")]
    Sender,
    /// The dealing does not verify, or too many before it did not.
    #[error("the dealing does not verify")]
    Dealing,
    /// The dealer sent another dealing before.
    #[error("the dealer sent another dealing before")]
    Equivocation,
    /// The acknowledgement does not fit the dealing.
    #[error("the acknowledgement does not fit")]
    Acknowledgement,
    /// The dealer's statement of this sort is ordered already.
    #[error("the dealer's statement of this sort is ordered already")]
    Repeated,
    /// The statement is not signed by a dealer of this round, or names what it may not.
    #[error("the statement is not a dealer's of this round")]
    Statement,
}

/// What the caller must do, in this order. What follows a `Keep` may happen only once it is durable.
pub enum Effect {
    /// Keep this, secretly, until the round is over and its outcome in force.
    Keep(Record),
    /// Send this to a member over an encrypted, authenticated link.
    Send {
        /// To whom.
        to: Ed25519Key,
        /// The message.
        message: Zeroizing<Vec<u8>>,
    },
    /// Have this ordered: it is public.
    Post(Vec<u8>),
}

/// What a dealer has of its own dealing.
struct Dealing {
    dealer: Dealer<MinSig, ed25519::PrivateKey>,
    public: Bytes,
    unacked: BTreeMap<ed25519::PublicKey, DealerPrivMsg>,
}

/// What a player has received.
struct Received {
    player: Player<MinSig, ed25519::PrivateKey>,
    /// The dealing taken from each dealer, as it came, and the acknowledgement given for it.
    taken: BTreeMap<ed25519::PublicKey, (Bytes, Bytes)>,
    bad: BTreeMap<ed25519::PublicKey, u8>,
}

/// One round of one key, as one member sees it.
pub struct Ceremony {
    round: Round,
    identity: IdentityKey,
    dealing: Option<Dealing>,
    received: Option<Received>,
    ledger: Ledger,
}

impl Ceremony {
    /// Begins a round, or takes it up again after a crash: `kept` is every record that was kept of it. Statements that
    /// were ordered before the crash must come again through [`ordered`](Self::ordered).
    ///
    /// # Errors
    /// [`CeremonyError`].
    pub fn begin(
        plan: Plan,
        identity: &IdentityKey,
        share: Option<&KeyShare>,
        kept: &[Record],
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Vec<Effect>), CeremonyError> {
        let round = plan.round()?;
        if kept.iter().any(|record| record.plan != round.digest) {
            return Err(CeremonyError::Record);
        }
        let me = identity.engine().clone();
        let my_key = engine_key(&identity.public()).ok_or(KeyError::Validators)?;
        let received = round.is_player(&my_key).then(|| Player::new(round.info.clone(), me)).transpose();
        let received = received.map_err(|_| CeremonyError::Plan)?.map(|player| Received {
            player,
            taken: BTreeMap::new(),
            bad: BTreeMap::new(),
        });
        let mut this = Self { ledger: Ledger::new(&round), round, identity: identity.clone(), dealing: None, received };
        let mut effects = Vec::new();
        // A member of the old committee that lost its share cannot deal, and gets a share from the others.
        if this.round.is_dealer(&my_key) && (share.is_some() || this.round.plan.previous.is_none()) {
            effects.extend(this.deal(&my_key, share, kept, rng)?);
        }
        this.restore(kept)?;
        effects.extend(this.deal_to_self(&my_key));
        effects.extend(this.resend());
        effects.extend(this.post());
        Ok((this, effects))
    }

    /// The round's name: it binds chain, key, number, previous committee and players.
    pub const fn digest(&self) -> freehold_primitives::Digest {
        self.round.digest
    }

    /// Which key the round is of.
    pub(crate) const fn kind(&self) -> ShareKind {
        self.round.plan.kind
    }

    /// Makes the dealing from the kept seed, or from a fresh one that is to be kept.
    fn deal(
        &mut self,
        me: &ed25519::PublicKey,
        share: Option<&KeyShare>,
        kept: &[Record],
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Effect>, CeremonyError> {
        let seed = kept.iter().find_map(|record| match &record.body {
            RecordBody::Seed(seed) => Some(seed.clone()),
            _ => None,
        });
        let fresh = seed.is_none();
        let seed = seed.unwrap_or_else(|| {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *seed);
            seed
        });
        let share = match (&self.round.plan.previous, share) {
            (None, None) => None,
            (Some(previous), Some(share)) if share.kind() == self.round.plan.kind && previous.holds(me, share) => {
                Some(share.to_engine().map_err(|_| CeremonyError::Share)?)
            }
            _ => return Err(CeremonyError::Share),
        };
        let summary = Summary::decode(Copying(&seed[..])).map_err(|_| CeremonyError::Record)?;
        // Bound to the round, so that a seed that came twice would still not give two rounds one polynomial.
        let mut transcript = Transcript::resume(summary, Version::V1);
        transcript.commit(&self.round.digest.as_bytes()[..]);
        let noise = transcript.noise(DEALER_NOISE);
        let signer = self.identity.engine().clone();
        let (dealer, public, private) =
            Dealer::start::<N3f1>(noise, self.round.info.clone(), signer, share).map_err(|_| CeremonyError::Share)?;
        let unacked = private.into_iter().collect();
        self.dealing = Some(Dealing { dealer, public: public.encode(), unacked });
        Ok(fresh.then(|| Effect::Keep(self.record(RecordBody::Seed(seed)))))
    }

    /// Takes up what was kept: received dealings first, then acknowledgements.
    fn restore(&mut self, kept: &[Record]) -> Result<(), CeremonyError> {
        for record in kept {
            match &record.body {
                RecordBody::Seed(_) => {}
                RecordBody::Dealing { dealer, public, private } => {
                    let dealer = engine_key(dealer).ok_or(CeremonyError::Record)?;
                    self.take(&dealer, public, private).map_err(|_| CeremonyError::Record)?;
                }
                RecordBody::Acknowledgement { player, signature } => {
                    self.acknowledged(player, signature).map_err(|_| CeremonyError::Record)?;
                }
            }
        }
        Ok(())
    }

    /// A dealer that is a player too deals to itself without a network.
    fn deal_to_self(&mut self, me: &ed25519::PublicKey) -> Vec<Effect> {
        let Some(dealing) = &self.dealing else { return Vec::new() };
        let Some(private) = dealing.unacked.get(me) else { return Vec::new() };
        let (public, private) = (dealing.public.clone(), Zeroizing::new(private.encode().to_vec()));
        let Ok((record, signature)) = self.take(me, &public, &private) else { return Vec::new() };
        let acknowledged = self.acknowledged(&our_key(me), &signature).ok();
        record.into_iter().chain(acknowledged).map(Effect::Keep).collect()
    }

    /// Dealings that are not acknowledged, once more. Call it now and then until the round is over.
    pub fn resend(&self) -> Vec<Effect> {
        let Some(dealing) = &self.dealing else { return Vec::new() };
        let me = self.identity.public();
        let others = dealing.unacked.iter().map(|(player, private)| (our_key(player), private));
        let send = |(to, private): (Ed25519Key, &DealerPrivMsg)| {
            let private = Zeroizing::new(private.encode().to_vec());
            let body = DirectBody::Dealing { public: dealing.public.to_vec(), private };
            Effect::Send { to, message: Direct { plan: self.round.digest, body }.to_bytes() }
        };
        others.filter(|(to, _)| *to != me).map(send).collect()
    }

    /// Takes a message that came from a member over an authenticated link.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn receive(&mut self, from: &Ed25519Key, message: &[u8]) -> Result<Vec<Effect>, Refusal> {
        let message = Direct::from_bytes(message)?;
        if message.plan != self.round.digest {
            return Err(Refusal::Round);
        }
        match message.body {
            DirectBody::Dealing { public, private } => {
                let dealer = engine_key(from).ok_or(Refusal::Sender)?;
                let (record, signature) = self.take(&dealer, &public, &private)?;
                let body = DirectBody::Acknowledgement { signature: signature.to_vec() };
                let answer = Direct { plan: self.round.digest, body }.to_bytes();
                let kept = record.map(Effect::Keep);
                Ok(kept.into_iter().chain([Effect::Send { to: *from, message: answer }]).collect())
            }
            DirectBody::Acknowledgement { signature } => {
                let Some(record) = self.acknowledge(from, &signature)? else { return Ok(Vec::new()) };
                Ok([Effect::Keep(record)].into_iter().chain(self.post()).collect())
            }
        }
    }

    /// Verifies a dealing and acknowledges it. The record is `None` where the same dealing was taken before.
    fn take(
        &mut self,
        dealer: &ed25519::PublicKey,
        public: &[u8],
        private: &[u8],
    ) -> Result<(Option<Record>, Bytes), Refusal> {
        if !self.round.is_dealer(dealer) {
            return Err(Refusal::Sender);
        }
        let received = self.received.as_mut().ok_or(Refusal::Sender)?;
        if let Some((before, signature)) = received.taken.get(dealer) {
            return if before == public { Ok((None, signature.clone())) } else { Err(Refusal::Equivocation) };
        }
        let bad = received.bad.entry(dealer.clone()).or_default();
        if *bad >= BAD_DEALINGS_MAX {
            return Err(Refusal::Dealing);
        }
        let read = DealerPubMsg::<MinSig>::decode_cfg(Copying(public), &VALIDATORS_COUNT_MAX)
            .ok()
            .zip(DealerPrivMsg::decode(Copying(private)).ok());
        let taken = read.and_then(|(public, private)| {
            received.player.dealer_message::<N3f1>(dealer.clone(), public, private).ok().flatten()
        });
        let Some(acknowledgement) = taken else {
            *bad += 1;
            return Err(Refusal::Dealing);
        };
        let (public, signature) = (Bytes::copy_from_slice(public), acknowledgement.encode());
        received.taken.insert(dealer.clone(), (public.clone(), signature.clone()));
        let body = RecordBody::Dealing {
            dealer: our_key(dealer),
            public: public.to_vec(),
            private: Zeroizing::new(private.to_vec()),
        };
        Ok((Some(self.record(body)), signature))
    }

    /// Takes an acknowledgement; `None` where it was there before.
    fn acknowledge(&mut self, player: &Ed25519Key, signature: &[u8]) -> Result<Option<Record>, Refusal> {
        let key = engine_key(player).ok_or(Refusal::Sender)?;
        let dealing = self.dealing.as_ref().ok_or(Refusal::Sender)?;
        if !self.round.is_player(&key) {
            return Err(Refusal::Sender);
        }
        if !dealing.unacked.contains_key(&key) {
            return Ok(None);
        }
        self.acknowledged(player, signature).map(Some)
    }

    fn acknowledged(&mut self, player: &Ed25519Key, signature: &[u8]) -> Result<Record, Refusal> {
        let key = engine_key(player).ok_or(Refusal::Sender)?;
        let dealing = self.dealing.as_mut().ok_or(Refusal::Sender)?;
        let acknowledgement = PlayerAck::decode(Copying(signature)).map_err(|_| Refusal::Acknowledgement)?;
        dealing.dealer.receive_player_ack(key.clone(), acknowledgement).map_err(|_| Refusal::Acknowledgement)?;
        dealing.unacked.remove(&key);
        Ok(self.record(RecordBody::Acknowledgement { player: *player, signature: signature.to_vec() }))
    }

    /// The dealer's log, once every player has acknowledged. With one missing there is none, for it would reveal.
    fn post(&mut self) -> Option<Effect> {
        if !self.dealing.as_ref()?.unacked.is_empty() {
            return None;
        }
        let log = self.dealing.take()?.dealer.finalize::<N3f1>().encode().to_vec();
        let statement = Statement { plan: self.round.digest, body: StatementBody::Log(log) };
        self.posted(&statement)
    }

    /// The dealer has waited long enough: it says whose acknowledgement it lacks. An acknowledgement may still come, and
    /// then the log follows.
    pub fn complain(&mut self) -> Vec<Effect> {
        let Some(dealing) = &self.dealing else { return Vec::new() };
        let missing = dealing.unacked.keys().map(our_key).collect();
        let statement = Statement::complaint(self.round.digest, &self.identity, missing);
        self.posted(&statement).into_iter().collect()
    }

    fn posted(&mut self, statement: &Statement) -> Option<Effect> {
        let bytes = statement.to_canonical();
        self.ledger.keep_own(bytes.clone());
        Some(Effect::Post(bytes))
    }

    /// Own statements that are not ordered yet.
    pub fn unordered(&self) -> impl Iterator<Item = &[u8]> {
        self.ledger.unordered()
    }

    /// Checks a statement that wants to be ordered: its form, its round, its dealer's signature.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, statement: &[u8]) -> Result<(), Refusal> {
        self.ledger.read(&self.round, statement).map(|_| ())
    }

    /// Takes a statement in its agreed order. The first log and the first complaint of a dealer count.
    ///
    /// # Errors
    /// [`Refusal`]; every member refuses the same ones.
    pub fn ordered(&mut self, statement: &[u8]) -> Result<(), Refusal> {
        self.ledger.ordered(&self.round, statement)
    }

    /// Dealers whose clean logs are ordered.
    pub fn clean_dealers(&self) -> usize {
        self.ledger.clean_logs()
    }

    /// Closes the round: what all members that saw the same statements agree on, and this member's new share.
    pub fn close(self, rng: &mut impl CryptoRng) -> Outcome {
        self.ledger.close(self.round, self.received.map(|received| received.player), rng)
    }

    const fn record(&self, body: RecordBody) -> Record {
        Record { plan: self.round.digest, body }
    }
}

#[cfg(test)]
mod tests;
