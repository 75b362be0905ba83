//! How the validators stand, as this node sees it: whom it is connected to, who votes, and how far each has executed.
//!
//! Connections and votes come from the engine's own metrics, which the pinned engine writes; what a validator has executed
//! comes from the payloads it proposed that became final. Nothing here decides anything: where the engine's names change,
//! less is known.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use freehold_primitives::{Body, Ed25519Key, Genesis, Height, PayloadBody, PayloadHead, Term, TermOutcome};

use crate::store::BlockStore;

#[cfg(test)]
mod tests;

/// The engine's gauge of connections: milliseconds since the epoch, by peer; 0 where there is none.
const CONNECTED: &str = "network_tracker_directory_connected";
/// The engine's gauge of each validator's newest vote: a view, by peer and term.
const LATEST_VOTE: &str = "batcher_latest_vote";
/// The engine's gauge of its own view, by term.
const CURRENT_VIEW: &str = "voter_state_current_view";

/// The newest final payload of a proposer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proposed {
    /// Its height.
    pub(crate) height: Height,
    /// The newest block that its proposer had executed.
    pub(crate) executed: Height,
}

/// How one validator stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValidatorStanding {
    /// Its identity.
    pub(crate) validator: Ed25519Key,
    /// When the connection to it began, in milliseconds since the epoch; `None` where there is none.
    pub(crate) connected_since_ms: Option<u64>,
    /// View of its newest vote in this term; `None` where none was seen.
    pub(crate) voted: Option<u64>,
    /// Its newest final payload that this node executed since it started.
    pub(crate) proposed: Option<Proposed>,
}

/// What the payloads say of the validators.
#[derive(Debug)]
pub(crate) struct Standing(Mutex<Known>);

#[derive(Debug)]
struct Known {
    term: Term,
    /// Who signs in the term, sorted; `None` where this node has not seen how it began.
    members: Option<Vec<Ed25519Key>>,
    proposed: BTreeMap<Ed25519Key, Proposed>,
    outcome: Option<TermOutcome>,
}

impl Standing {
    /// Before any payload: the validators of the genesis.
    pub(crate) fn new(validators: &[Ed25519Key]) -> Self {
        Self(Mutex::new(Known {
            term: 0,
            members: Some(validators.to_vec()),
            proposed: BTreeMap::new(),
            outcome: None,
        }))
    }

    /// After a restart: as the newest stored payload says, and the one that its term began with.
    pub(crate) fn resume(genesis: &Genesis, store: &BlockStore, executed: Height) -> Self {
        let standing = Self::new(&genesis.validators);
        let stored = |height| store.payload(height).ok().flatten().map(|row| row.payload);
        let Some(newest) = stored(executed) else { return standing };
        let first = newest.head.term.checked_mul(genesis.membership.term_blocks).filter(|first| *first > 0);
        for payload in first.and_then(stored).into_iter().chain([newest]) {
            standing.note(&payload.head, Body::read(&payload.body.0).ok().map(Body::ordinary).as_ref());
        }
        standing
    }

    /// Takes note of a final payload.
    pub(crate) fn note(&self, head: &PayloadHead, body: Option<&PayloadBody>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = body.and_then(|body| body.turn.as_ref()) {
            known.term = turn.term;
            known.members = Some(turn.members.clone());
            known.outcome = Some(turn.outcome);
        } else if head.term != known.term {
            known.term = head.term;
            known.members = None;
        }
        let proposer = known.members.as_ref().and_then(|members| members.get(head.proposer as usize)).copied();
        if let Some(proposer) = proposer {
            known.proposed.insert(proposer, Proposed { height: head.height, executed: head.executed.height });
        }
    }

    /// The term of the newest payload, and who signs in it as far as it is known.
    pub(crate) fn term(&self) -> (Term, Option<Vec<Ed25519Key>>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.term, known.members.clone())
    }

    /// How the newest round of key generation ended, as far as this node saw it.
    pub(crate) fn outcome(&self) -> Option<TermOutcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).outcome
    }

    /// Every validator that the payloads or the engine's metrics name, by key; the node's own is among them.
    pub(crate) fn validators(&self, metrics: &str) -> Vec<ValidatorStanding> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let term = known.term.to_string();
        let mut found: BTreeMap<Ed25519Key, ValidatorStanding> = BTreeMap::new();
        for member in known.members.iter().flatten() {
            entry(&mut found, *member);
        }
        for (labels, value) in samples(metrics, CONNECTED) {
            if let Some(peer) = peer(labels) {
                entry(&mut found, peer).connected_since_ms = Some(value).filter(|since| *since > 0);
            }
        }
        let voters = samples(metrics, LATEST_VOTE).filter(|(labels, _)| label(labels, "term") == Some(term.as_str()));
        for (labels, view) in voters {
            if let Some(voter) = peer(labels) {
                entry(&mut found, voter).voted = Some(view).filter(|view| *view > 0);
            }
        }
        for (proposer, proposed) in &known.proposed {
            if let Some(standing) = found.get_mut(proposer) {
                standing.proposed = Some(*proposed);
            }
        }
        found.into_values().collect()
    }

    /// The engine's view; `None` where it does not vote.
    pub(crate) fn view(&self, metrics: &str) -> Option<u64> {
        let term = self.term().0.to_string();
        let mut views = samples(metrics, CURRENT_VIEW);
        views.find(|(labels, _)| label(labels, "term") == Some(term.as_str())).map(|(_, view)| view)
    }
}

fn entry(found: &mut BTreeMap<Ed25519Key, ValidatorStanding>, validator: Ed25519Key) -> &mut ValidatorStanding {
    let nothing = ValidatorStanding { validator, connected_since_ms: None, voted: None, proposed: None };
    found.entry(validator).or_insert(nothing)
}

/// Labels and values of the samples whose name ends so, in Prometheus's text. Labels of ours and of the engine hold no
/// braces and no quotes.
fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
    text.lines().filter_map(move |line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let (full, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let value = value.parse().ok()?;
        full.ends_with(name).then_some((labels.trim_end_matches('}'), value))
    })
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let pair = labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))?;
    pair.strip_suffix('"')
}

fn peer(labels: &str) -> Option<Ed25519Key> {
    label(labels, "peer")?.parse().ok()
}
