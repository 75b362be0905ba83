//! How the node and its network stand, in words: what `freehold_health` answers (`spec/rpc.md`), and which warnings follow.
//!
//! Each warning has a stable code, which is a heading of `docs/runbook.md`. Not here: metrics, which machines read.

use freehold_primitives::{EXECUTED_LAG_MAX, TermOutcome};
use freehold_rpc::{
    KeyServiceReport, Latency, NodeHealth, NodeRole, Progress, ProtocolReport, Refused, TermReport, ValidatorReport,
    Warning,
};

use crate::{
    chain::ChainError,
    counts::{Quantiles, Reasons},
    metrics::{Gauges, READY_AGE_S},
};

#[cfg(test)]
mod tests;

/// Free space below which an operator is warned.
const DISK_FREE_MIN: u64 = 5 * 1024 * 1024 * 1024;
/// How far other clocks may be ahead of this one, in milliseconds; voters allow 2,000.
const AHEAD_MS_MAX: u64 = 500;
/// Views without a vote from which a connected validator counts as silent.
const SILENT_VIEWS: u64 = 16;

/// What the node answers.
pub(crate) fn health(gauges: &Gauges) -> Result<NodeHealth, ChainError> {
    let (shared, tip) = (&gauges.shared, gauges.shared.tip());
    let (chain, counts, height) = (&shared.chain, &shared.counts, tip.height());
    let term = gauges.term();
    let blocks = chain.genesis().membership.term_blocks;
    let finalized = chain.store.finalized()?.unwrap_or(0);
    let finalized_time = chain.store.header(finalized)?.map_or(0, |header| header.timestamp);
    let schedule = chain.protocol(height)?;
    let members = term.members.unwrap_or_default();
    let is_member = gauges.own.identity.is_some_and(|own| members.contains(&own));
    let view = shared.standing.view(&gauges.engine());
    let mut health = NodeHealth {
        role: match (chain.key_origin(), is_member && term.holds_share) {
            (None, _) => NodeRole::Follower,
            (Some(_), true) => NodeRole::Validator,
            (Some(_), false) => NodeRole::Executor,
        },
        identity: gauges.own.identity,
        term: TermReport {
            number: term.number,
            blocks,
            next_at: (blocks > 0).then(|| (term.number + 1).saturating_mul(blocks)),
            quorum: (!members.is_empty()).then(|| quorum(members.len())),
            is_member,
            holds_share: term.holds_share,
            resharing: term.outcome.map(|outcome| match outcome {
                TermOutcome::Reshared => "reshared".to_owned(),
                TermOutcome::Kept => "kept".to_owned(),
            }),
        },
        progress: Progress {
            ordered: gauges.ordered(),
            executed: height,
            executed_age_s: gauges.age_s(),
            finalized,
            finalized_age_s: shared.clock.now_s().saturating_sub(finalized_time),
            view,
            pool: shared.pool().mempool.len() as u64,
        },
        validators: gauges.validators(),
        finality: latency(counts.finality()),
        receipts: latency(counts.receipts()),
        machine: gauges.machine(),
        key_service: KeyServiceReport {
            serves: term.holds_share && gauges.age_s() <= READY_AGE_S,
            released: counts.keys_released.get(),
            refused: counted("key", &counts.keys_refused).iter().map(|refused| refused.count).sum(),
        },
        refused: [
            counted("key", &counts.keys_refused),
            counted("message", &counts.messages_refused),
            counted("transaction", &counts.transactions_refused),
        ]
        .concat(),
        protocol: ProtocolReport {
            current: schedule.at(height),
            next: schedule.next,
            next_from: schedule.next_from,
            release: schedule.release,
            known: chain.context().protocol_newest(),
        },
        warnings: Vec::new(),
    };
    health.warnings = warnings(&health, counts.ahead_ms());
    Ok(health)
}

/// Validators whose votes make a certificate.
fn quorum(validators: usize) -> u32 {
    let faulty = validators.saturating_sub(1) / 3;
    u32::try_from(validators - faulty).unwrap_or(u32::MAX)
}

fn latency(quantiles: Quantiles) -> Latency {
    Latency { count: quantiles.count, p50_ms: quantiles.p50_ms, p99_ms: quantiles.p99_ms }
}

fn counted(kind: &str, reasons: &Reasons) -> Vec<Refused> {
    let counts = reasons.counts().into_iter();
    counts.map(|(reason, count)| Refused { kind: kind.to_owned(), reason, count }).collect()
}

/// What needs attention, most urgent first.
fn warnings(health: &NodeHealth, ahead_ms: u64) -> Vec<Warning> {
    let mut found = Vec::new();
    found.extend(progress_warning(health));
    found.extend(protocol_warning(&health.protocol, health.progress.executed));
    if health.machine.disk_free_bytes > 0 && health.machine.disk_free_bytes < DISK_FREE_MIN {
        found.push(warning(
            "disk-low",
            format!("only {} MB are free below this node's folder", health.machine.disk_free_bytes / 1_000_000),
            "free space, or move the folder to a larger disk while the node is stopped; a full disk stops the node and \
             loses nothing",
        ));
    }
    if ahead_ms > AHEAD_MS_MAX {
        found.push(warning(
            "clock",
            format!("this machine's clock is {ahead_ms} ms behind those of the other validators, or more"),
            "let a time service set the clock: from 2,000 ms on this node votes for nothing",
        ));
    }
    if health.progress.ordered.saturating_sub(health.progress.executed) > EXECUTED_LAG_MAX {
        found.push(warning(
            "execution-behind",
            format!("{} ordered payloads are not executed here", health.progress.ordered - health.progress.executed),
            "wait while it catches up after a start; otherwise look for a slow disk or processor",
        ));
    }
    if health.term.is_member && !health.term.holds_share {
        found.push(warning(
            "no-share",
            "this validator is of the term and holds no share of the key: it follows and does not sign".to_owned(),
            "leave it running and reachable: it signs after the next resharing; where terms have no end the share is lost",
        ));
    }
    if health.term.resharing.as_deref() == Some("kept") {
        found.push(warning(
            "resharing-failed",
            format!("the round of key generation before term {} failed: the shares of before stay in force", health.term.number),
            "nothing is lost and the next term tries again; see which validators were away, and that this one is reached",
        ));
    }
    found.extend(health.validators.iter().filter_map(validator_warning));
    found
}

fn warning(code: &str, text: String, action: &str) -> Warning {
    Warning { code: code.to_owned(), text, action: action.to_owned(), validator: None }
}

/// Why there is no new block, where there is none.
fn progress_warning(health: &NodeHealth) -> Option<Warning> {
    let age_s = health.progress.executed_age_s;
    if age_s <= READY_AGE_S {
        return None;
    }
    let reached = health.validators.iter().filter(|other| other.own || other.connected_s.is_some()).count();
    let quorum = health.term.quorum.unwrap_or(0) as usize;
    Some(if health.role == NodeRole::Validator && reached < quorum {
        warning(
            "quorum-lost",
            format!(
                "no block for {age_s} s: this node reaches {reached} validators, itself included, and {quorum} must vote"
            ),
            "bring the validators back that are away (below), or mend the network between them; the chain goes on by itself",
        )
    } else {
        warning(
            "no-blocks",
            format!("the newest block here is {age_s} s old"),
            "wait while the height grows: the node catches up; if it stands still, read the log of this node",
        )
    })
}

fn protocol_warning(protocol: &ProtocolReport, executed: u64) -> Option<Warning> {
    if protocol.next <= protocol.known {
        return None;
    }
    let left = protocol.next_from.saturating_sub(executed);
    let action = format!("install release {} and start the node again; nothing is lost", protocol.release);
    Some(warning(
        "protocol-unknown",
        format!(
            "version {} of the protocol rules from height {} on, {left} blocks from here, and this program knows {} at most",
            protocol.next, protocol.next_from, protocol.known
        ),
        &action,
    ))
}

fn validator_warning(validator: &ValidatorReport) -> Option<Warning> {
    if validator.own {
        return None;
    }
    let (code, text, action) = match (validator.connected_s, validator.votes_behind) {
        (None, _) => (
            "validator-away",
            "is not connected to this node".to_owned(),
            "ask its operator whether it runs; where others are connected to it, mend the way between the two machines",
        ),
        (Some(_), Some(behind)) if behind > SILENT_VIEWS => (
            "validator-silent",
            format!("is connected and has not voted for {behind} views"),
            "ask its operator for `freehold status`: it catches up, its clock is off, or it executed another block",
        ),
        _ => return None,
    };
    Some(Warning { validator: Some(validator.validator), ..warning(code, text, action) })
}
