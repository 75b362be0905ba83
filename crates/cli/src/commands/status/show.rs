//! The lines of `status`: what a person reads at a glance, and below them what needs attention and what to do.

use freehold_primitives::Digest;
use freehold_rpc::{NodeHealth, NodeRole, ProtocolReport, ValidatorReport};

use super::Found;
use crate::output::Output;

/// Views without a vote from which a validator counts as behind.
const BEHIND_VIEWS: u64 = 16;

/// Shows everything.
pub(super) fn all(found: &Found, output: Output) {
    network(found, output);
    if let Some(health) = &found.health {
        node(found, health, output);
    } else {
        let status = &found.status;
        output.text(&format!(
            "node      {}, which tells no more of itself: it is older than this program",
            status.version
        ));
        output.text(&format!("blocks    latest {}, final {}", status.latest.height, status.finalized.height));
    }
    collateral(found, output);
    match &found.instance {
        None => output.text("app       none"),
        Some(Ok(text)) => output.text(&format!("app       {text}")),
        Some(Err(error)) => output.text(&format!("app       NOT verified: {error:#}")),
    }
    warnings(found, output);
}

fn network(found: &Found, output: Output) {
    let status = &found.status;
    let purpose = if status.production { "production" } else { "development" };
    let key = match found.key_matches {
        Some(true) => "the network key is the one you trust",
        Some(false) => "ANOTHER network key than the one you trust",
        None => "no network key is pinned here, so nothing stands for this node's word",
    };
    output.text(&format!(
        "network   chain {}, {purpose}, genesis {}; {key}",
        status.chain_id,
        short(&status.genesis_hash)
    ));
}

fn node(found: &Found, health: &NodeHealth, output: Output) {
    let role = match health.role {
        NodeRole::Validator => "validator",
        NodeRole::Executor => "executor (no vote)",
        NodeRole::Follower => "follower (no keys)",
    };
    output.text(&format!(
        "node      {role}{}, {}, {}",
        health.identity.map_or_else(String::new, |identity| format!(" {}", &identity.to_string()[..8])),
        found.status.version,
        found.rpc
    ));
    let progress = &health.progress;
    output.text(&format!(
        "blocks    latest {} ({} s old), final {} ({} s old), {} ordered and not executed, {} transactions waiting",
        progress.executed,
        progress.executed_age_s,
        progress.finalized,
        progress.finalized_age_s,
        progress.ordered.saturating_sub(progress.executed),
        progress.pool
    ));
    let finality = &health.finality;
    let receipts = match health.receipts.count {
        0 => String::new(),
        _ => format!("; submit to receipt p50 {} ms, p99 {} ms", health.receipts.p50_ms, health.receipts.p99_ms),
    };
    output.text(&format!(
        "finality  p50 {} ms, p99 {} ms of {} blocks{receipts}",
        finality.p50_ms, finality.p99_ms, finality.count
    ));
    term(health, output);
    validators(health, output);
    let machine = &health.machine;
    output.text(&format!(
        "machine   memory {}; on disk: blocks {}, state {}, consensus {}; {} free",
        size(machine.memory_bytes),
        size(machine.blocks_bytes),
        size(machine.state_bytes),
        size(machine.consensus_bytes),
        size(machine.disk_free_bytes)
    ));
    let keys = &health.key_service;
    let serves = if keys.serves { "releases shares" } else { "releases none" };
    output.text(&format!(
        "keys      made by {}; key service {serves}, {} requests answered, {} refused",
        if found.status.key_ceremony == "distributed" {
            "the validators together"
        } else {
            "a trusted dealer (development)"
        },
        keys.released,
        keys.refused
    ));
    output.text(&format!("protocol  {}", protocol(&health.protocol)));
}

fn term(health: &NodeHealth, output: Output) {
    let term = &health.term;
    let end = match term.next_at {
        None => "has no end".to_owned(),
        Some(next) => format!("ends at height {next}, in {} blocks", next.saturating_sub(health.progress.executed)),
    };
    let resharing = match term.resharing.as_deref() {
        Some("kept") => "; the newest resharing FAILED, shares stay as they were",
        Some(_) => "; the newest resharing made new shares",
        None => "",
    };
    let share = match (term.is_member, term.holds_share) {
        (true, true) => "; this node signs in it",
        (true, false) => "; this node is of it and holds NO share",
        (false, _) => "",
    };
    output.text(&format!("term      {} {end}{share}{resharing}", term.number));
}

fn validators(health: &NodeHealth, output: Output) {
    let quorum = health.term.quorum.map_or_else(String::new, |quorum| format!(", {quorum} must vote"));
    output.text(&format!("peers     {} validators and peers, this node included{quorum}", health.validators.len()));
    for validator in &health.validators {
        output.text(&format!("          {}  {}", &validator.validator.to_string()[..8], standing(validator)));
    }
}

fn standing(validator: &ValidatorReport) -> String {
    if validator.own {
        return "this node".to_owned();
    }
    let Some(connected) = validator.connected_s else { return "AWAY: not connected".to_owned() };
    let votes = match validator.votes_behind {
        None => "no vote seen".to_owned(),
        Some(behind) if behind > BEHIND_VIEWS => format!("BEHIND: no vote for {behind} views"),
        Some(_) => "votes".to_owned(),
    };
    let lag = match validator.execution_lag {
        Some(lag) if lag > 1 => format!(", {lag} blocks behind in execution"),
        _ => String::new(),
    };
    format!("connected for {}, {votes}{lag}", duration(connected))
}

fn protocol(protocol: &ProtocolReport) -> String {
    if protocol.next <= protocol.current {
        return format!("version {}", protocol.current);
    }
    let known = if protocol.next <= protocol.known { "which this node knows" } else { "which this node does NOT know" };
    format!(
        "version {}; version {} from height {} on ({known}; release {})",
        protocol.current, protocol.next, protocol.next_from, protocol.release
    )
}

fn collateral(found: &Found, output: Output) {
    match &found.collateral {
        None => {}
        Some(Err(error)) => output.text(&format!("collateral could not be read: {error:#}")),
        Some(Ok(standing)) if standing.documents == 0 => output.text("collateral none is needed by an instance"),
        Some(Ok(standing)) => {
            let now = found.status.latest.time_unix_s;
            let days = |end: u64| end.saturating_sub(now) / 86_400;
            output.text(&format!(
                "collateral {} documents, the oldest {} days old; the first ends in {} days",
                standing.documents,
                now.saturating_sub(standing.oldest) / 86_400,
                days(standing.first_end)
            ));
        }
    }
}

fn warnings(found: &Found, output: Output) {
    if found.status.dev_traces {
        output.warn("this network traces confidential contracts for whoever asks: keep no secret in them");
    }
    if found.key_matches == Some(false) {
        output.warn("the node names another network key than the one you trust: it is of another network, or lies");
    }
    for warning in found.health.iter().flat_map(|health| &health.warnings) {
        let about = warning.validator.map_or_else(String::new, |key| format!("validator {} ", &key.to_string()[..8]));
        output.warn(&format!("{about}{} ({}). Do: {}", warning.text, warning.code, warning.action));
    }
    if let Some(Ok(standing)) = &found.collateral
        && standing.warnings > 0
    {
        output.warn(&format!("{} warnings about collateral. Do: run `freehold collateral status`", standing.warnings));
    }
}

fn short(digest: &Digest) -> String {
    let text = digest.to_string();
    format!("{}…", &text[..12.min(text.len())])
}

fn size(bytes: u64) -> String {
    let mb = bytes as f64 / 1e6;
    if mb < 1_000.0 { format!("{mb:.0} MB") } else { format!("{:.1} GB", mb / 1_000.0) }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
