//! How a verdict is shown: a line for each link, and what it means in a sentence.

use freehold_primitives::entries::AuditVerdict;
use freehold_verify::{Claims, LinkStatus, Promise, Taint, ValidNow, Verdict};

use crate::output::Output;

/// Shows a verdict.
pub(crate) fn show(verdict: &Verdict, output: Output) {
    if output.is_json() {
        output.line(&verdict.to_json());
        return;
    }
    for report in verdict.links() {
        let mark = match report.status {
            LinkStatus::Ok => "ok     ",
            LinkStatus::Skipped(_) => "skipped",
            _ => "FAILED ",
        };
        output.text(&format!("  {mark} {:<12} {}", report.link.as_str(), report.reason()));
    }
    for line in verdict.claims().map(promise).unwrap_or_default() {
        output.text(&line);
    }
    for objection in verdict.objections() {
        output.text(&format!("  refused: {objection}"));
    }
    output.text(&sentence(verdict));
}

/// What the verdict means, in words.
pub(crate) fn sentence(verdict: &Verdict) -> String {
    if !verdict.is_valid() {
        return "refused: this proof does not show what it claims".to_owned();
    }
    let Some(claims) = verdict.claims() else { return "valid".to_owned() };
    let hardware = match claims.trust_domain.as_str() {
        "emulated" => "an EMULATED enclave, which protects nothing".to_owned(),
        domain => format!("a TEE that {domain} vouches for"),
    };
    let now = match claims.valid_now {
        ValidNow::Yes => "still registered",
        ValidNow::No => "NOT registered any more",
        ValidNow::Unknown => "of unknown standing now (a newer header would tell)",
    };
    let taint = taint(claims);
    format!("valid: {} answered in {hardware}; the instance is {now}{taint}", claims.model.name)
}

/// What the proof shows of the app's upgrades.
fn promise(claims: &Claims) -> Vec<String> {
    let Some(Promise { policy, entry, audits }) = &claims.promise else {
        return vec!["  promise: the proof says nothing of the app's upgrades".to_owned()];
    };
    let mut lines = vec![match entry {
        Some(entry) if !entry.rule.is_free() => format!(
            "  promise: {} s of notice, {} of {} co-signers, since {}; what it admits is public since {} (unix seconds)",
            entry.rule.notice_s,
            entry.rule.cosigners_needed,
            entry.rule.cosigners.len(),
            entry.promised_since_unix_s,
            entry.in_force.public_since_unix_s
        ),
        _ => "  promise: none: the app's owner may change at once what it admits".to_owned(),
    }];
    lines.extend(audits.iter().map(|audited| {
        let said = match audited.word {
            Some(AuditVerdict::Sound) => "calls it sound",
            Some(AuditVerdict::Flawed) => "calls it FLAWED",
            None => "says nothing of it",
        };
        format!("  audit:   0x{} {said} (policy {policy})", audited.auditor)
    }));
    lines
}

/// What was denied, by whom and since when; empty where nothing was.
fn taint(claims: &Claims) -> String {
    let one = |taint: &Taint| {
        let by = if taint.by == "chain" { "the chain" } else { "its owner" };
        let lifted = taint.lifted_height.map_or(String::new(), |height| format!(", lifted at block {height}"));
        format!("; TAINTED: {by} denied {} at block {} ({}){lifted}", taint.subject, taint.since_height, taint.reason)
    };
    claims.tainted.iter().map(one).collect()
}
