//! Terms of the engine: which committee signs in which, and what is in force in the one that runs.
//!
//! The network key stays from term to term, or is succeeded by another (`spec/succession.md`): certificates of a term verify
//! under the key of that term. Who votes, and with which share, belongs to a term too.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

use commonware_consensus::types::{Epoch, FixedEpocher};
use commonware_cryptography::certificate::{self, Scoped};
use freehold_primitives::{
    Blob, Canonical, CodecError, Digest, Dispute, Ed25519Key, Generation, LiveMaster, NetworkKey, Reader, Term,
    TermOutcome, TermTurn, WaitingKey,
};
use tokio::sync::watch;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::{
    ceremony::{Committee, Outcome},
    check::{Scheme, verifier},
    keys::{KeyError, KeyShare, ShareKind},
};

/// Terms whose schemes are kept.
const TERMS_KEPT: usize = 4;

/// How the round before a term ended.
#[derive(Clone)]
pub(crate) struct Ending {
    pub(crate) outcome: TermOutcome,
    pub(crate) silent: Vec<Ed25519Key>,
    pub(crate) disputes: Vec<Dispute>,
}

/// A network key that was made and waits: it is in force from the next term on.
#[derive(Clone)]
pub struct Successor {
    /// Who holds it: the members of this term.
    pub committee: Committee,
    /// This validator's share; `None` where it is no member, or has lost it until the next resharing.
    pub share: Option<KeyShare>,
}

/// A master of the derivation key beside the genesis' one (`spec/key-service.md` §9).
#[derive(Clone)]
pub struct HeldMaster {
    /// Its generation, from 1.
    pub generation: Generation,
    /// Who holds it: the members of this term.
    pub committee: Committee,
    /// This validator's share; `None` as for the derivation key.
    pub share: Option<KeyShare>,
}

impl HeldMaster {
    /// What a round left; `None` where it failed.
    fn of((generation, outcome): (Generation, Outcome)) -> Option<Self> {
        match outcome {
            Outcome::Success { committee, share } => Some(Self { generation, committee, share }),
            Outcome::Failure(_) => None,
        }
    }
}

/// How the rounds of a term ended.
pub(crate) struct Outcomes {
    pub(crate) consensus: Outcome,
    pub(crate) derivation: Outcome,
    /// Those of masters beside the genesis' one, by generation; one that nobody held before was made.
    pub(crate) masters: Vec<(Generation, Outcome)>,
    /// That of a round for another network key, where there was one.
    pub(crate) successor: Option<Outcome>,
}

impl Outcomes {
    fn all(&self) -> impl Iterator<Item = &Outcome> {
        let masters = self.masters.iter().map(|(_, outcome)| outcome);
        [&self.consensus, &self.derivation].into_iter().chain(&self.successor).chain(masters)
    }
}

/// What is in force in a term: both committees, and this validator's shares.
#[derive(Clone)]
pub struct TermKeys {
    /// The term.
    pub term: Term,
    /// The term since which these committees and shares are in force: 0 for the genesis'. Shares of an earlier term are of
    /// no use to their owner: erase every copy of them.
    pub since: Term,
    /// Digest of the payload on which the term begins: the last of the term before, or the genesis payload.
    pub parent: Digest,
    /// Who holds the consensus key.
    pub consensus: Committee,
    /// Who holds the derivation key: the same members.
    pub derivation: Committee,
    /// This validator's share of the consensus key; `None` where it is no member, or has lost it until the next resharing.
    pub consensus_share: Option<KeyShare>,
    /// This validator's share of the derivation key.
    pub derivation_share: Option<KeyShare>,
    /// Masters beside the genesis' one, by generation.
    pub masters: Vec<HeldMaster>,
    /// The network key of the next term, where it is another.
    pub successor: Option<Successor>,
    /// The network key of each term, by the first term of each key; never empty.
    pub(crate) network_keys: Vec<(Term, NetworkKey)>,
    /// How the round before ended; `None` in the term with which this validator began.
    pub(crate) ending: Option<Ending>,
}

impl TermKeys {
    /// The first term, as one without shares has it; `parent` names the genesis payload.
    pub fn first(consensus: Committee, derivation: Committee, parent: Digest) -> Self {
        let network_keys = vec![(0, consensus.public_key())];
        Self {
            term: 0,
            since: 0,
            parent,
            consensus,
            derivation,
            consensus_share: None,
            derivation_share: None,
            masters: Vec::new(),
            successor: None,
            network_keys,
            ending: None,
        }
    }

    /// The network key of a term; `None` where it is not known yet: that of the term after the next one may be another.
    pub fn network_key(&self, term: Term) -> Option<NetworkKey> {
        if term > self.term
            && let Some(successor) = &self.successor
        {
            return (term == self.term + 1).then(|| successor.committee.public_key());
        }
        let known = self.network_keys.iter().rev().find(|(from, _)| *from <= term);
        known.filter(|_| term <= self.term.saturating_add(1)).map(|(_, key)| *key)
    }

    /// The turn to this term, as its first payload carries it; `None` in the term with which this validator began.
    pub fn turn(&self) -> Option<TermTurn> {
        let Ending { outcome, silent, disputes } = self.ending.clone()?;
        let waiting = self.successor.as_ref().map(|successor| WaitingKey {
            network_key: successor.committee.public_key(),
            polynomial: Blob(successor.committee.polynomial()),
        });
        Some(TermTurn {
            term: self.term,
            members: self.consensus.keys(),
            consensus_polynomial: Blob(self.consensus.polynomial()),
            derivation_polynomial: self.derivation.coefficients(),
            outcome,
            silent,
            disputes,
            waiting,
            masters: self.masters.iter().map(live).collect(),
        })
    }

    /// A master beside the genesis' one.
    pub fn master(&self, generation: Generation) -> Option<&HeldMaster> {
        self.masters.iter().find(|held| held.generation == generation)
    }

    /// The consensus key of the next term, and this validator's share of it, before the round of this term counts: what
    /// that round reshares.
    pub(crate) const fn next_consensus(&self) -> (&Committee, Option<&KeyShare>) {
        match &self.successor {
            Some(successor) => (&successor.committee, successor.share.as_ref()),
            None => (&self.consensus, self.consensus_share.as_ref()),
        }
    }

    /// What is in force in the next term, which begins on `parent`, where the rounds ended so.
    pub(crate) fn after(&self, parent: Digest, outcomes: Outcomes) -> Self {
        let term = self.term + 1;
        let (silent, disputes) = faults(term, outcomes.all());
        let Outcomes { consensus, derivation, masters, successor } = outcomes;
        let mut network_keys = self.network_keys.clone();
        if let Some(succeeded) = &self.successor {
            network_keys.push((term, succeeded.committee.public_key()));
        }
        let go_on: Vec<_> = masters.iter().map(|(generation, _)| *generation).collect();
        let (reshared, made): (Vec<_>, Vec<_>) =
            masters.into_iter().partition(|(generation, _)| self.master(*generation).is_some());
        let reshared: Option<Vec<_>> = reshared.into_iter().map(HeldMaster::of).collect();
        let (
            Outcome::Success { committee: consensus, share: consensus_share },
            Outcome::Success { committee: derivation, share: derivation_share },
            Some(mut masters),
        ) = (consensus, derivation, reshared)
        else {
            warn!(term, "keys are not reshared, the shares before stay in force");
            let (consensus, share) = self.next_consensus();
            let ending = Some(Ending { outcome: TermOutcome::Kept, silent, disputes });
            // Another network key or master would be held by the players, who do not come into force.
            let (consensus, consensus_share, successor) = (consensus.clone(), share.cloned(), None);
            let mut masters = self.masters.clone();
            masters.retain(|held| go_on.contains(&held.generation));
            let before = self.clone();
            return Self {
                term,
                parent,
                consensus,
                consensus_share,
                masters,
                successor,
                network_keys,
                ending,
                ..before
            };
        };
        info!(term, "keys are reshared");
        masters.extend(made.into_iter().filter_map(|round| made_master(term, round)));
        let successor = successor.and_then(|outcome| made_network_key(term, outcome));
        let ending = Some(Ending { outcome: TermOutcome::Reshared, silent, disputes });
        Self {
            term,
            since: term,
            parent,
            consensus,
            derivation,
            consensus_share,
            derivation_share,
            masters,
            successor,
            network_keys,
            ending,
        }
    }

    /// The scheme by which this member votes, or follows where it has no share.
    pub(crate) fn scheme(&self, namespace: &[u8]) -> Option<Scheme> {
        let (members, polynomial) = self.consensus.parts();
        match &self.consensus_share {
            Some(share) => Scheme::signer(namespace, members, polynomial, share.to_engine().ok()?),
            None => Some(Scheme::verifier(namespace, members, polynomial)),
        }
    }

    /// Bytes for the vault: terms, parent, members, polynomials, ending, shares, network keys, the one that waits,
    /// masters.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(16 * 1024));
        self.term.write(&mut out);
        self.since.write(&mut out);
        self.parent.write(&mut out);
        self.consensus.keys().write(&mut out);
        Blob(self.consensus.polynomial()).write(&mut out);
        self.derivation.coefficients().write(&mut out);
        self.ending.as_ref().map(|ending| ending.outcome).write(&mut out);
        self.ending.as_ref().map(|ending| ending.silent.clone()).unwrap_or_default().write(&mut out);
        self.ending.as_ref().map(|ending| ending.disputes.clone()).unwrap_or_default().write(&mut out);
        write_share(self.consensus_share.as_ref(), &mut out);
        write_share(self.derivation_share.as_ref(), &mut out);
        let (from, keys): (Vec<Term>, Vec<NetworkKey>) = self.network_keys.iter().copied().unzip();
        from.write(&mut out);
        keys.write(&mut out);
        out.push(u8::from(self.successor.is_some()));
        if let Some(successor) = &self.successor {
            Blob(successor.committee.polynomial()).write(&mut out);
            write_share(successor.share.as_ref(), &mut out);
        }
        freehold_primitives::write_length(&mut out, self.masters.len());
        for held in &self.masters {
            held.generation.write(&mut out);
            Blob(held.committee.polynomial()).write(&mut out);
            write_share(held.share.as_ref(), &mut out);
        }
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let reader = &mut Reader::new(bytes);
        Self::read(reader).map_err(|_| KeyError::Format)?
    }

    fn read(reader: &mut Reader<'_>) -> Result<Result<Self, KeyError>, CodecError> {
        let (term, since, parent) = (Term::read(reader)?, Term::read(reader)?, Digest::read(reader)?);
        let members = Vec::<Ed25519Key>::read(reader)?;
        let (polynomial, coefficients) = (Blob::read(reader)?.0, Vec::<NetworkKey>::read(reader)?);
        let (outcome, silent, disputes) = (Option::read(reader)?, Vec::read(reader)?, Vec::read(reader)?);
        let shares = [Zeroizing::new(Blob::read(reader)?.0), Zeroizing::new(Blob::read(reader)?.0)];
        let (from, network_keys) = (Vec::<Term>::read(reader)?, Vec::<NetworkKey>::read(reader)?);
        let network_keys: Vec<_> = from.into_iter().zip(network_keys).collect();
        let successor_bytes = match u8::read(reader)? {
            0 => None,
            1 => Some((Blob::read(reader)?.0, Zeroizing::new(Blob::read(reader)?.0))),
            other => return Err(CodecError::Tag(other)),
        };
        let masters_bytes = read_masters(reader)?;
        reader.finish()?;
        let share = |kind, bytes: &[u8]| {
            if bytes.is_empty() { Ok(None) } else { KeyShare::from_bytes(kind, bytes).map(Some) }
        };
        let successor = |(polynomial, bytes): (Vec<u8>, Zeroizing<Vec<u8>>)| {
            let committee = Committee::new(&members, &polynomial)?;
            Ok::<_, KeyError>(Successor { committee, share: share(ShareKind::Consensus, &bytes)? })
        };
        let master = |(generation, polynomial, bytes): MasterBytes| {
            let kind = ShareKind::of_master(generation).ok_or(KeyError::Format)?;
            let committee = Committee::new(&members, &polynomial)?;
            Ok::<_, KeyError>(HeldMaster { generation, committee, share: share(kind, &bytes)? })
        };
        let keys = || {
            Ok(Self {
                term,
                since,
                parent,
                consensus: Committee::new(&members, &polynomial)?,
                derivation: Committee::from_coefficients(&members, &coefficients)?,
                consensus_share: share(ShareKind::Consensus, &shares[0])?,
                derivation_share: share(ShareKind::Derivation, &shares[1])?,
                masters: masters_bytes.into_iter().map(master).collect::<Result<_, _>>()?,
                successor: successor_bytes.map(successor).transpose()?,
                network_keys,
                ending: outcome.map(|outcome| Ending { outcome, silent, disputes }),
            })
        };
        Ok(keys())
    }
}

/// A master as it stands in the vault: generation, polynomial, share.
type MasterBytes = (Generation, Vec<u8>, Zeroizing<Vec<u8>>);

fn read_masters(reader: &mut Reader<'_>) -> Result<Vec<MasterBytes>, CodecError> {
    let mut masters = Vec::new();
    for _ in 0..u32::read(reader)? {
        masters.push((Generation::read(reader)?, Blob::read(reader)?.0, Zeroizing::new(Blob::read(reader)?.0)));
    }
    Ok(masters)
}

/// A master as the turn says it.
fn live(held: &HeldMaster) -> LiveMaster {
    LiveMaster { generation: held.generation, polynomial: held.committee.coefficients() }
}

/// The network key that a round made, which is in force after this term.
fn made_network_key(term: Term, outcome: Outcome) -> Option<Successor> {
    match outcome {
        Outcome::Success { committee, share } => {
            info!(term, key = %committee.public_key(), "a network key was made, which is in force after this term");
            Some(Successor { committee, share: share.map(KeyShare::succeeded) })
        }
        Outcome::Failure(_) => {
            warn!(term, "no network key was made, the round is repeated");
            None
        }
    }
}

/// The master that a round made, which is in force from this term on.
fn made_master(term: Term, (generation, outcome): (Generation, Outcome)) -> Option<HeldMaster> {
    let made = HeldMaster::of((generation, outcome));
    match &made {
        Some(held) => info!(term, generation, key = %held.committee.public_key(), "a master was made"),
        None => warn!(term, generation, "no master was made, the round is repeated"),
    }
    made
}

/// Writes a share with its length; none has the length 0.
fn write_share(share: Option<&KeyShare>, out: &mut Vec<u8>) {
    let bytes = share.map(KeyShare::to_bytes).unwrap_or_default();
    freehold_primitives::write_length(out, bytes.len());
    out.extend_from_slice(&bytes);
}

/// Who failed in rounds that failed, of all rounds together, sorted.
fn faults<'a>(term: Term, outcomes: impl Iterator<Item = &'a Outcome>) -> (Vec<Ed25519Key>, Vec<Dispute>) {
    let (mut silent, mut disputes) = (BTreeSet::new(), BTreeSet::new());
    for outcome in outcomes {
        let Outcome::Failure(report) = outcome else { continue };
        warn!(term, ?report, "a round of keys failed");
        silent.extend(report.silent.iter().copied());
        let pairs = report.disputes.iter();
        disputes.extend(pairs.map(|(dealer, player)| Dispute { dealer: *dealer, player: *player }));
    }
    (silent.into_iter().collect(), disputes.into_iter().collect())
}

/// The schemes of recent terms, and what verifies certificates of any term whose network key is known.
pub(crate) struct Terms {
    namespace: Vec<u8>,
    keys: watch::Receiver<TermKeys>,
    verifiers: Mutex<BTreeMap<[u8; NetworkKey::SIZE], Arc<Scheme>>>,
    schemes: Mutex<BTreeMap<Term, Arc<Scheme>>>,
}

impl Terms {
    /// Knows the network keys that `keys` tells of, and no term's scheme yet.
    pub(crate) fn new(namespace: Vec<u8>, keys: watch::Receiver<TermKeys>) -> Arc<Self> {
        Arc::new(Self { namespace, keys, verifiers: Mutex::default(), schemes: Mutex::default() })
    }

    /// Notes a term's scheme.
    pub(crate) fn insert(&self, term: Term, scheme: Scheme) {
        let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        schemes.insert(term, Arc::new(scheme));
        while schemes.len() > TERMS_KEPT {
            schemes.pop_first();
        }
    }

    /// A term's scheme.
    pub(crate) fn get(&self, term: Term) -> Option<Arc<Scheme>> {
        self.schemes.lock().unwrap_or_else(PoisonError::into_inner).get(&term).cloned()
    }

    /// Verifies certificates and seeds of a term; `None` where its network key is not known yet.
    pub(crate) fn verifier(&self, term: Term) -> Option<Arc<Scheme>> {
        let key = self.keys.borrow().network_key(term)?;
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = verifiers.get(key.as_bytes()) {
            return Some(Arc::clone(known));
        }
        let verifier = Arc::new(verifier(&self.namespace, &key)?);
        verifiers.insert(*key.as_bytes(), Arc::clone(&verifier));
        Some(verifier)
    }
}

/// Hands the schemes to the archive.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Arc<Terms>);

impl certificate::Provider for Provider {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, term: Epoch) -> Option<Scoped<Scheme>> {
        self.0.verifier(term.get()).map(Scoped::verifier)
    }

    fn scheme(&self, term: Epoch) -> Option<Arc<Scheme>> {
        self.0.get(term.get())
    }
}

/// Which heights belong to which term; one term without end where there is no length.
pub(crate) fn epocher(term_blocks: Option<NonZeroU64>) -> FixedEpocher {
    FixedEpocher::new(term_blocks.unwrap_or(NonZeroU64::MAX))
}

#[cfg(test)]
mod tests;
