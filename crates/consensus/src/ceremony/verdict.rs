//! What was ordered in a round, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use commonware_codec::{Copying, Decode as _};
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::{DealerLog, DealerLogSummary, Error, FinalizeError, Logs, Player, observe},
        primitives::variant::MinSig,
    },
    ed25519,
};
use commonware_parallel::Sequential;
use commonware_utils::N3f1;
use freehold_primitives::Ed25519Key;
use rand_core::CryptoRng;

use super::{
    Committee, Refusal,
    messages::{SignedLog, Statement, StatementBody, is_complaint},
    plan::Round,
};
use crate::keys::{KeyShare, VALIDATORS_COUNT_MAX, engine_key, our_key};

type EngineLog = DealerLog<MinSig, ed25519::PublicKey>;

/// How a round ended.
pub enum Outcome {
    /// The key has a new committee.
    Success {
        /// The new committee, the same for everybody who saw the same statements.
        committee: Committee,
        /// This member's share; `None` for one that is no player, or that lost what it had acknowledged.
        share: Option<KeyShare>,
    },
    /// Too few clean logs: the old committee and its shares stay in force.
    Failure(Report),
}

/// Who did what in a failed round, as the ordered statements say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Dealers that had neither a clean log nor a complaint ordered.
    pub silent: Vec<Ed25519Key>,
    /// Pairs of which at least one is at fault: a dealer that has no log, and a player whose acknowledgement it lacks.
    pub disputes: Vec<(Ed25519Key, Ed25519Key)>,
}

/// A statement that was read and checked.
pub(super) enum Checked {
    Log(ed25519::PublicKey, Box<EngineLog>),
    Complaint(ed25519::PublicKey, Vec<Ed25519Key>),
}

/// The statements of a round in their order, the first of each dealer and sort.
pub(super) struct Ledger {
    logs: BTreeMap<ed25519::PublicKey, EngineLog>,
    complaints: BTreeMap<ed25519::PublicKey, Vec<Ed25519Key>>,
    own: Vec<Vec<u8>>,
    players: BTreeSet<Ed25519Key>,
}

impl Ledger {
    pub(super) fn new(round: &Round) -> Self {
        Self {
            logs: BTreeMap::new(),
            complaints: BTreeMap::new(),
            own: Vec::new(),
            players: round.players.iter().map(our_key).collect(),
        }
    }

    pub(super) fn keep_own(&mut self, statement: Vec<u8>) {
        if !self.own.contains(&statement) {
            self.own.push(statement);
        }
    }

    pub(super) fn unordered(&self) -> impl Iterator<Item = &[u8]> {
        self.own.iter().map(Vec::as_slice)
    }

    /// Reads a statement and checks its form, its round and its dealer's signature.
    pub(super) fn read(&self, round: &Round, bytes: &[u8]) -> Result<Checked, Refusal> {
        let statement = Statement::read_bounded(bytes)?;
        if statement.plan != round.digest {
            return Err(Refusal::Round);
        }
        match statement.body {
            StatementBody::Log(log) => {
                let log = SignedLog::decode_cfg(Copying(&log), &VALIDATORS_COUNT_MAX);
                let (dealer, log) = log.ok().and_then(|log| log.check(&round.info)).ok_or(Refusal::Statement)?;
                if !round.is_dealer(&dealer) {
                    return Err(Refusal::Statement);
                }
                if self.logs.contains_key(&dealer) {
                    return Err(Refusal::Repeated);
                }
                Ok(Checked::Log(dealer, Box::new(log)))
            }
            StatementBody::Complaint { dealer, missing, signature } => {
                let named = !missing.is_empty()
                    && missing.is_sorted_by(|a, b| a < b)
                    && missing.iter().all(|player| *player != dealer && self.players.contains(player));
                let key = engine_key(&dealer).filter(|key| round.is_dealer(key));
                let key = key.filter(|_| named && is_complaint(&round.digest, &dealer, &missing, &signature));
                let key = key.ok_or(Refusal::Statement)?;
                let known = self.complaints.contains_key(&key);
                if known { Err(Refusal::Repeated) } else { Ok(Checked::Complaint(key, missing)) }
            }
        }
    }

    pub(super) fn ordered(&mut self, round: &Round, bytes: &[u8]) -> Result<(), Refusal> {
        self.own.retain(|own| own != bytes);
        match self.read(round, bytes)? {
            Checked::Log(dealer, log) => {
                self.logs.insert(dealer, *log);
            }
            Checked::Complaint(dealer, missing) => {
                self.complaints.insert(dealer, missing);
            }
        }
        Ok(())
    }

    pub(super) fn clean_logs(&self) -> usize {
        self.logs.values().filter(|log| is_clean(log)).count()
    }

    pub(super) fn close(
        self,
        round: Round,
        player: Option<Player<MinSig, ed25519::PrivateKey>>,
        rng: &mut impl CryptoRng,
    ) -> Outcome {
        let report = self.report(&round);
        let mut logs = Logs::<MinSig, ed25519::PublicKey, N3f1>::new(round.info.clone());
        for (dealer, log) in self.logs {
            if is_clean(&log) {
                logs.record(dealer, log);
            }
        }
        let kind = round.plan.kind;
        let made = match player {
            Some(player) => match player.finalize::<N3f1>(rng, logs.clone(), &Sequential) {
                Ok((output, share)) => Some((output, Some(KeyShare::from_engine(kind, &share)))),
                Err(FinalizeError::Error(Error::MissingPlayerDealing | Error::InvalidPersistedDealing { .. })) => {
                    observed(rng, logs).map(|output| (output, None))
                }
                Err(_) => None,
            },
            None => observed(rng, logs).map(|output| (output, None)),
        };
        match made {
            Some((output, share)) => Outcome::Success { committee: Committee::from_output(&output), share },
            None => Outcome::Failure(report),
        }
    }

    fn report(&self, round: &Round) -> Report {
        let clean = |dealer: &ed25519::PublicKey| self.logs.get(dealer).is_some_and(is_clean);
        let without = || round.dealers.iter().filter(|dealer| !clean(dealer));
        Report {
            silent: without().filter(|dealer| !self.complaints.contains_key(dealer)).map(our_key).collect(),
            disputes: without()
                .filter_map(|dealer| self.complaints.get_key_value(dealer))
                .flat_map(|(dealer, missing)| missing.iter().map(|player| (our_key(dealer), *player)))
                .collect(),
        }
    }
}

type EngineOutput = commonware_cryptography::bls12381::dkg::feldman_desmedt::Output<MinSig, ed25519::PublicKey>;

fn observed(rng: &mut impl CryptoRng, logs: Logs<MinSig, ed25519::PublicKey, N3f1>) -> Option<EngineOutput> {
    observe::<MinSig, ed25519::PublicKey, N3f1>(rng, logs, &Sequential).ok()
}

/// Whether a log reveals nothing.
fn is_clean(log: &EngineLog) -> bool {
    matches!(log.summary(), DealerLogSummary::Ok { reveals, .. } if reveals.is_empty())
}
