//! Terms of the engine: which committee signs in which, and what is in force in the one that runs.
//!
//! The network key does not change from term to term, so certificates of every term verify under one scheme; only who
//! votes, and with which share, belongs to a term.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
};

use commonware_consensus::types::{Epoch, FixedEpocher};
use commonware_cryptography::certificate::{self, Scoped};
use freehold_primitives::{
    Blob, Canonical, CodecError, Digest, Dispute, Ed25519Key, NetworkKey, Reader, Term, TermOutcome, TermTurn,
};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::{
    ceremony::{Committee, Outcome},
    check::Scheme,
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
    /// How the round before ended; `None` in the term with which this validator began.
    pub(crate) ending: Option<Ending>,
}

impl TermKeys {
    /// The first term, as one without shares has it; `parent` names the genesis payload.
    pub const fn first(consensus: Committee, derivation: Committee, parent: Digest) -> Self {
        let (consensus_share, derivation_share) = (None, None);
        Self { term: 0, since: 0, parent, consensus, derivation, consensus_share, derivation_share, ending: None }
    }

    /// The turn to this term, as its first payload carries it; `None` in the term with which this validator began.
    pub fn turn(&self) -> Option<TermTurn> {
        let Ending { outcome, silent, disputes } = self.ending.clone()?;
        Some(TermTurn {
            term: self.term,
            members: self.consensus.keys(),
            consensus_polynomial: Blob(self.consensus.polynomial()),
            derivation_polynomial: self.derivation.coefficients(),
            outcome,
            silent,
            disputes,
        })
    }

    /// What is in force in the next term, which begins on `parent`, where the rounds of both keys ended so.
    pub(crate) fn after(&self, parent: Digest, outcomes: [Outcome; 2]) -> Self {
        let term = self.term + 1;
        let outcomes = match outcomes {
            [
                Outcome::Success { committee: consensus, share: consensus_share },
                Outcome::Success { committee: derivation, share: derivation_share },
            ] => {
                info!(term, "keys are reshared");
                let ending = Ending { outcome: TermOutcome::Reshared, silent: Vec::new(), disputes: Vec::new() };
                let ending = Some(ending);
                return Self {
                    term,
                    since: term,
                    parent,
                    consensus,
                    derivation,
                    consensus_share,
                    derivation_share,
                    ending,
                };
            }
            outcomes => outcomes,
        };
        let reports = outcomes.into_iter().filter_map(|outcome| match outcome {
            Outcome::Failure(report) => Some(report),
            Outcome::Success { .. } => None,
        });
        let (mut silent, mut disputes) = (BTreeSet::new(), BTreeSet::new());
        for report in reports {
            warn!(term, ?report, "keys are not reshared, the old shares stay in force");
            silent.extend(report.silent);
            disputes.extend(report.disputes.into_iter().map(|(dealer, player)| Dispute { dealer, player }));
        }
        let ending = Ending {
            outcome: TermOutcome::Kept,
            silent: silent.into_iter().collect(),
            disputes: disputes.into_iter().collect(),
        };
        Self { term, parent, ending: Some(ending), ..self.clone() }
    }

    /// The scheme by which this member votes, or follows where it has no share.
    pub(crate) fn scheme(&self, namespace: &[u8]) -> Option<Scheme> {
        let (members, polynomial) = self.consensus.parts();
        match &self.consensus_share {
            Some(share) => Scheme::signer(namespace, members, polynomial, share.to_engine().ok()?),
            None => Some(Scheme::verifier(namespace, members, polynomial)),
        }
    }

    /// Bytes for the vault: terms, parent, members, polynomials, ending, shares.
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
        for share in [&self.consensus_share, &self.derivation_share] {
            let bytes = share.as_ref().map(KeyShare::to_bytes).unwrap_or_default();
            freehold_primitives::write_length(&mut out, bytes.len());
            out.extend_from_slice(&bytes);
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
        reader.finish()?;
        let share = |kind, bytes: &[u8]| {
            if bytes.is_empty() { Ok(None) } else { KeyShare::from_bytes(kind, bytes).map(Some) }
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
                ending: outcome.map(|outcome| Ending { outcome, silent, disputes }),
            })
        };
        Ok(keys())
    }
}

/// The schemes of recent terms.
pub(crate) struct Terms {
    verifier: Arc<Scheme>,
    schemes: Mutex<BTreeMap<Term, Arc<Scheme>>>,
}

impl Terms {
    /// Knows no term yet, but verifies certificates of all.
    pub(crate) fn new(verifier: Scheme) -> Arc<Self> {
        Arc::new(Self { verifier: Arc::new(verifier), schemes: Mutex::default() })
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

    /// Verifies certificates and seeds of every term.
    pub(crate) fn verifier(&self) -> &Scheme {
        &self.verifier
    }
}

/// Hands the schemes to the archive.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Arc<Terms>);

impl certificate::Provider for Provider {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, _: Epoch) -> Option<Scoped<Scheme>> {
        Some(Scoped::verifier(Arc::clone(&self.0.verifier)))
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
