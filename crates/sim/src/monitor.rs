//! What must always hold, checked by one observer that sees every machine at once.
//!
//! Honest validators report what became final, what they executed and which certificates they saw; the first thing that may
//! not be is kept as the run's [`Violation`]. The trace is a hash over every report with its time: two runs of one seed
//! have the same.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use freehold_consensus::FinalizedPayload;
use freehold_crypto::{CertificateError, CertificateVerifier, payload_digest, sha256};
use freehold_primitives::{Body, Certificate, Digest, G1Point, Height, NetworkKey, Term};
use thiserror::Error;

use crate::machine::MachineId;

/// What may never be, and was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// Two payloads are final at one height.
    #[error("machine {machine}: two payloads are final at height {height}")]
    TwoPayloads {
        /// Who reports the second.
        machine: u16,
        /// The height.
        height: Height,
    },
    /// Two machines executed different blocks.
    #[error("machine {machine}: another block was executed at height {height}")]
    TwoBlocks {
        /// Who reports the second.
        machine: u16,
        /// The height.
        height: Height,
    },
    /// A final payload does not follow the one below it.
    #[error("the final payload at height {height} does not follow the one below it")]
    Chain {
        /// The height.
        height: Height,
    },
    /// A payload names another executed block than the honest machines have.
    #[error("the final payload at height {height} names a block that nobody honest executed")]
    Executed {
        /// The height.
        height: Height,
    },
    /// The payload at a height has another seed than its round.
    #[error("two seeds at height {height}")]
    Seed {
        /// The height.
        height: Height,
    },
    /// A certificate that an honest machine took does not verify, or contradicts another.
    #[error("machine {machine}: a certificate of term {term}, view {view} does not verify or contradicts another")]
    Certificate {
        /// Who took it.
        machine: u16,
        /// Its term.
        term: u64,
        /// Its view.
        view: u64,
    },
    /// Something is final and nothing certifies it.
    #[error("height {height} is final without a certificate for it or for a payload above it")]
    Uncertified {
        /// The height.
        height: Height,
    },
    /// A machine lost what it had delivered.
    #[error("machine {machine} had delivered height {delivered} and holds {found} after its restart")]
    Lost {
        /// The machine.
        machine: u16,
        /// Height it had delivered.
        delivered: Height,
        /// Height that its archive gives.
        found: Height,
    },
    /// A final payload does not execute.
    #[error("machine {machine}: the final payload at height {height} does not execute")]
    Execution {
        /// The machine.
        machine: u16,
        /// The height.
        height: Height,
    },
    /// A final payload names a network key that is none, or that follows no old one at the end of a term.
    #[error("the final payload at height {height} names a network key where it may not")]
    Named {
        /// The height.
        height: Height,
    },
    /// Another key was asked for, everything was well, and it did not come.
    #[error("another {key} was asked for, and none came in the terms up to {term}")]
    NotSucceeded {
        /// Which key.
        key: &'static str,
        /// The newest term.
        term: u64,
    },
    /// Enough validators were well and nothing became final for too long.
    #[error("no progress: machine {machine} stands at height {height}, {wanted} was to be reached in {limit_s} s")]
    Stuck {
        /// The machine.
        machine: u16,
        /// Where it stands.
        height: Height,
        /// Where it should be.
        wanted: Height,
        /// Simulated seconds that it had.
        limit_s: u64,
    },
    /// A validator ended by itself.
    #[error("machine {machine} ended by itself: {reason}")]
    Ended {
        /// The machine.
        machine: u16,
        /// Why.
        reason: String,
    },
    /// The public key of a committee is not the one that the chain names for its term.
    #[error("term {term}: a key of the network changed")]
    KeyChanged {
        /// The term.
        term: u64,
    },
    /// Machines in one term hold different committees.
    #[error("machine {machine}, term {term}: another committee than others hold")]
    Committee {
        /// The machine.
        machine: u16,
        /// The term.
        term: u64,
    },
    /// Shares do not make the key, or fewer than the threshold do.
    #[error("term {term}: {reason}")]
    Shares {
        /// The term.
        term: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A share of a term that is over is still on a disk.
    #[error("machine {machine} still holds a share on its disk that it held in term {term} and does not hold now")]
    Kept {
        /// The machine.
        machine: u16,
        /// The last term in which it was in force.
        term: u64,
    },
    /// Something panicked.
    #[error("panic: {0}")]
    Panic(String),
}

/// Sees everything; clones are the same observer.
#[derive(Clone)]
pub(crate) struct Monitor(Arc<Mutex<Seen>>);

struct Seen {
    namespace: Vec<u8>,
    /// Network keys by their first term, each with a verifier of its certificates.
    network_keys: BTreeMap<Term, (NetworkKey, CertificateVerifier)>,
    /// Heights of payloads that name a network key, and the first term of each key.
    succeeds: BTreeMap<Height, Term>,
    finals: BTreeMap<Height, Digest>,
    executed_named: BTreeMap<Height, (Height, Digest)>,
    blocks: BTreeMap<Height, Digest>,
    seeds: BTreeMap<Height, G1Point>,
    certificates: BTreeMap<(u64, u64), Certificate>,
    certified: BTreeMap<Digest, ()>,
    delivered: BTreeMap<MachineId, Height>,
    transactions: u64,
    proposed: BTreeMap<Digest, Duration>,
    latencies: Vec<(Height, f64)>,
    trace: Digest,
    violation: Option<Violation>,
}

impl Monitor {
    /// An observer of the chain of `namespace`, whose first network key is given.
    ///
    /// # Errors
    /// [`CertificateError::NetworkKey`].
    pub(crate) fn new(network_key: NetworkKey, namespace: Vec<u8>) -> Result<Self, CertificateError> {
        let verifier = CertificateVerifier::new(&network_key, &namespace)?;
        Ok(Self(Arc::new(Mutex::new(Seen {
            namespace,
            network_keys: BTreeMap::from([(0, (network_key, verifier))]),
            succeeds: BTreeMap::new(),
            finals: BTreeMap::new(),
            executed_named: BTreeMap::new(),
            blocks: BTreeMap::new(),
            seeds: BTreeMap::new(),
            certificates: BTreeMap::new(),
            certified: BTreeMap::new(),
            delivered: BTreeMap::new(),
            transactions: 0,
            proposed: BTreeMap::new(),
            latencies: Vec::new(),
            trace: Digest::ZERO,
            violation: None,
        }))))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was violated first.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// Notes a violation that was found elsewhere.
    pub(crate) fn violated(&self, violation: Violation) {
        self.lock().violation.get_or_insert(violation);
    }

    /// Hash over everything that was reported.
    pub(crate) fn trace(&self) -> Digest {
        self.lock().trace
    }

    /// Adds an event to the trace.
    pub(crate) fn event(&self, at: Duration, machine: MachineId, what: &[u8]) {
        self.lock().event(at, machine, what);
    }

    /// Transactions in final payloads.
    pub(crate) fn transactions(&self) -> u64 {
        self.lock().transactions
    }

    /// The highest final height.
    pub(crate) fn height(&self) -> Height {
        self.lock().finals.last_key_value().map_or(0, |(height, _)| *height)
    }

    /// The network key of a term.
    pub(crate) fn network_key(&self, term: Term) -> Option<NetworkKey> {
        self.lock().network_keys.range(..=term).next_back().map(|(_, (key, _))| *key)
    }

    /// How often another network key was named.
    pub(crate) fn successions(&self) -> usize {
        self.lock().succeeds.len()
    }

    /// The highest height that a machine delivered.
    pub(crate) fn delivered(&self, machine: MachineId) -> Height {
        self.lock().delivered.get(&machine).copied().unwrap_or_default()
    }

    /// A machine's disk is gone, and what it delivered with it.
    pub(crate) fn wiped(&self, machine: MachineId) {
        self.lock().delivered.remove(&machine);
    }

    /// A machine proposes a payload.
    pub(crate) fn proposed(&self, at: Duration, digest: Digest) {
        self.lock().proposed.insert(digest, at);
    }

    /// Milliseconds from a proposal to its finality at a machine, for heights from `first`.
    pub(crate) fn latencies(&self, first: Height) -> Vec<f64> {
        self.lock().latencies.iter().filter(|(height, _)| *height >= first).map(|(_, ms)| *ms).collect()
    }

    /// A machine was told that a payload is final.
    pub(crate) fn finalized(&self, at: Duration, machine: MachineId, payload: &FinalizedPayload) {
        let mut seen = self.lock();
        let head = &payload.payload.head;
        let height = head.height;
        seen.event(at, machine, payload.digest.as_bytes());
        let delivered = seen.delivered.entry(machine).or_default();
        *delivered = height.max(*delivered);
        if let Some(proposed) = seen.proposed.get(&payload.digest) {
            let taken = at.saturating_sub(*proposed).as_secs_f64() * 1_000.0;
            seen.latencies.push((height, taken));
        }
        if payload.digest != payload_digest(head) {
            return seen.violated(Violation::Chain { height });
        }
        match seen.finals.get(&height) {
            Some(digest) if *digest != payload.digest => {
                return seen.violated(Violation::TwoPayloads { machine, height });
            }
            Some(_) => {}
            None => {
                seen.finals.insert(height, payload.digest);
                seen.executed_named.insert(height, (head.executed.height, head.executed.block_hash));
                match Body::read(&payload.payload.body.0) {
                    Ok(Body::Succession(key)) => seen.named(head.term, height, key),
                    Ok(body) => seen.transactions += body.ordinary().transactions.len() as u64,
                    Err(_) => {}
                }
            }
        }
        if seen.succeeds.get(&(height.saturating_sub(1))).is_some_and(|first| *first != head.term) {
            return seen.violated(Violation::Named { height: height - 1 });
        }
        if height > 1 && seen.finals.get(&(height - 1)).is_some_and(|below| *below != head.parent) {
            return seen.violated(Violation::Chain { height });
        }
        let of_parent = head.parent_seed.filter(|_| height > 1).map(|seed| (height - 1, seed));
        for (height, seed) in of_parent.into_iter().chain(payload.seed.map(|seed| (height, seed))) {
            if *seen.seeds.entry(height).or_insert(seed) != seed {
                return seen.violated(Violation::Seed { height });
            }
        }
    }

    /// An honest machine executed a block.
    pub(crate) fn executed(&self, at: Duration, machine: MachineId, (height, hash): (Height, Digest)) {
        let mut seen = self.lock();
        seen.event(at, machine, hash.as_bytes());
        if *seen.blocks.entry(height).or_insert(hash) != hash {
            seen.violated(Violation::TwoBlocks { machine, height });
        }
    }

    /// An honest machine took a certificate.
    pub(crate) fn certificate(&self, machine: MachineId, certificate: &Certificate) {
        let mut seen = self.lock();
        let (term, view) = (certificate.term, certificate.view);
        match seen.certificates.get(&(term, view)) {
            Some(known) if known == certificate => return,
            Some(_) => return seen.violated(Violation::Certificate { machine, term, view }),
            None => {}
        }
        if !seen.verifies(certificate) {
            return seen.violated(Violation::Certificate { machine, term, view });
        }
        seen.certified.insert(certificate.payload, ());
        seen.certificates.insert((term, view), certificate.clone());
    }

    /// What can be judged only when a run is over.
    pub(crate) fn close(&self) {
        let mut seen = self.lock();
        let named = seen.executed_named.iter().find(|(height, (executed, hash))| {
            // The genesis payload's child names block 0, which all compute.
            **height > 0 && seen.blocks.get(executed).is_some_and(|ours| ours != hash)
        });
        if let Some((height, _)) = named {
            let height = *height;
            return seen.violated(Violation::Executed { height });
        }
        // A record of succession is a payload with a certificate of its own.
        let unproven = seen
            .succeeds
            .keys()
            .find(|height| seen.finals.get(*height).is_none_or(|digest| !seen.certified.contains_key(digest)));
        if let Some(height) = unproven.copied() {
            return seen.violated(Violation::Uncertified { height });
        }
        // A certificate for a payload proves every one below it, since each names its parent by digest.
        let uncertified =
            seen.finals.iter().rev().take_while(|(_, digest)| !seen.certified.contains_key(*digest)).count();
        if uncertified > 0
            && let Some(height) = seen.finals.keys().next_back().copied()
        {
            seen.violated(Violation::Uncertified { height });
        }
    }
}

impl Seen {
    fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// The last payload of a term names the key of the next.
    fn named(&mut self, term: Term, height: Height, key: NetworkKey) {
        let known = self.network_keys.values().any(|(known, _)| *known == key);
        match CertificateVerifier::new(&key, &self.namespace) {
            Ok(verifier) if !known => {
                self.network_keys.insert(term + 1, (key, verifier));
                self.succeeds.insert(height, term + 1);
            }
            _ => self.violated(Violation::Named { height }),
        }
    }

    fn verifies(&self, certificate: &Certificate) -> bool {
        let of_term = self.network_keys.range(..=certificate.term).next_back();
        of_term.is_some_and(|(_, (_, verifier))| verifier.verify(certificate).is_ok())
    }

    fn event(&mut self, at: Duration, machine: MachineId, what: &[u8]) {
        let fields = [&self.trace.0, &at.as_nanos().to_be_bytes()[..], &machine.to_be_bytes(), what];
        self.trace = sha256(&fields.concat());
    }
}
