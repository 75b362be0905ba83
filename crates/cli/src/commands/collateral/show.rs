//! How the bot's events are shown: a line of text, or one JSON object for a monitor.

use freehold_attestation::Refusal;
use freehold_host::{Basis, CollateralEvent, CollateralWarning, RoundSummary};
use freehold_primitives::{TcbStatus, entries::CollateralKind};
use serde_json::{Value, json};

use super::super::attest::date;
use crate::output::Output;

/// Shows one event.
pub(super) fn event(event: &CollateralEvent, output: Output) {
    match event {
        CollateralEvent::Warning(warning) => warn(warning, output),
        CollateralEvent::Failed { what, reason } => {
            output.object(&json!({ "event": "failed", "what": what, "reason": reason }));
            output.note(&format!("failed     {what}: {reason}"));
        }
        CollateralEvent::Standing { kind, key, issued_at, expires_at, numbers } => {
            output.object(&json!({
                "event": "standing", "kind": name(*kind), "key": hex::encode(key),
                "issued_at": issued_at, "expires_at": expires_at, "numbers": numbers,
            }));
            let (kind, key, until) = (name(*kind), hex::encode(key), date(*expires_at));
            output.text(&format!("standing   {kind} {key}, valid until {until}, numbers {numbers:?}"));
        }
        CollateralEvent::Fetched { subject, promotion, issued_at, expires_at, numbers, bytes } => {
            output.object(&json!({
                "event": "fetched", "subject": subject.to_string(), "promotion": promotion.as_str(),
                "issued_at": issued_at, "expires_at": expires_at, "numbers": numbers, "bytes": bytes,
            }));
            let (which, until) = (promotion.as_str(), date(*expires_at));
            output.text(&format!("fetched    {subject} ({which}), {bytes} bytes, valid until {until}"));
        }
        CollateralEvent::Current { subject } => {
            output.object(&json!({ "event": "current", "subject": subject.to_string() }));
            output.text(&format!("current    {subject}: the chain has nothing older"));
        }
        CollateralEvent::NotSubmitted { subject } => {
            output.object(&json!({ "event": "not_submitted", "subject": subject.to_string() }));
            output.text(&format!("newer      {subject}: not submitted, since no --payer is named"));
        }
        CollateralEvent::Submitted { subject, tx_hash, height, gas_used } => {
            output.object(&json!({
                "event": "submitted", "subject": subject.to_string(), "tx_hash": tx_hash.to_string(),
                "height": height, "gas_used": gas_used,
            }));
            output.text(&format!("submitted  {subject}: block {height}, {gas_used} gas, transaction {tx_hash}"));
        }
        CollateralEvent::Pause { pause } => {
            output.object(&json!({ "event": "pause", "seconds": pause.as_secs() }));
            output.text(&format!("pause      {} s", pause.as_secs()));
        }
        _ => {}
    }
}

/// Shows what a round came to.
pub(super) fn summary(summary: &RoundSummary, output: Output) {
    let RoundSummary { instances, submitted, failures, warnings, retry_after } = *summary;
    output.object(&json!({
        "event": "round", "instances": instances, "submitted": submitted, "failures": failures,
        "warnings": warnings, "retry_after_s": retry_after.map(|pause| pause.as_secs()),
    }));
    output.text(&format!(
        "\n{instances} live instances judged, {submitted} documents submitted, {failures} failures, {warnings} warnings"
    ));
}

fn warn(warning: &CollateralWarning, output: Output) {
    output.object(&object(warning));
    if !output.is_json() {
        output.warn(&sentence(warning));
    }
}

fn object(warning: &CollateralWarning) -> Value {
    match warning {
        CollateralWarning::InstanceRefused {
            app_id,
            instance_id,
            provider,
            evidence_kind,
            family,
            platform,
            refusal,
            tcb_status,
            from_unix_s,
            basis,
            remedy,
        } => json!({
            "event": "warning", "warning": "instance_refused", "app": app_id.to_string(),
            "instance": instance_id.to_string(), "provider": format!("0x{provider}"),
            "kind": evidence_kind.as_str(), "family": family.to_string(), "platform": platform.to_string(),
            "code": refusal.code(), "reason": refusal.to_string(), "tcb_status": tcb_status.map(TcbStatus::as_str),
            "from": from_unix_s, "basis": basis.as_str(), "remedy": remedy, "text": sentence(warning),
        }),
        CollateralWarning::Expiring { kind, key, expires_at } => json!({
            "event": "warning", "warning": "expiring", "kind": name(*kind), "key": hex::encode(key),
            "expires_at": expires_at, "text": sentence(warning),
        }),
        CollateralWarning::Missing { subject } => json!({
            "event": "warning", "warning": "missing", "subject": subject.to_string(), "text": sentence(warning),
        }),
        _ => json!({ "event": "warning", "warning": "other" }),
    }
}

fn sentence(warning: &CollateralWarning) -> String {
    match warning {
        CollateralWarning::InstanceRefused {
            instance_id,
            evidence_kind,
            family,
            refusal,
            tcb_status,
            from_unix_s,
            basis,
            remedy,
            ..
        } => {
            let family_word = match evidence_kind.as_str() {
                "tdx" | "sgx" => "FMSPC",
                _ => "family",
            };
            let when = match basis {
                Basis::OnChain => format!("at renewals after {}", date(*from_unix_s)),
                Basis::Fetched => format!("after {}, once the fetched collateral stands", date(*from_unix_s)),
                Basis::Early => format!(
                    "after {}, once the early collateral is promoted, which anyone may do by submitting it",
                    date(*from_unix_s)
                ),
            };
            let why = tcb_status.filter(|_| *refusal == Refusal::PolicyTcbStatus);
            let why = why.map_or_else(|| refusal.to_string(), |status| format!("TCB status {}", status.as_str()));
            let code = refusal.code();
            format!(
                "instance {instance_id} on {family_word} {family} will be refused with code {code} ({why}) {when}: {remedy}"
            )
        }
        CollateralWarning::Expiring { kind, key, expires_at } => format!(
            "{} collateral {} on the chain counts until {}: bring newer, or renewals are refused",
            name(*kind),
            hex::encode(key),
            date(*expires_at)
        ),
        CollateralWarning::Missing { subject } => {
            format!("the chain has no collateral about {subject}: registrations on it are refused")
        }
        _ => "something needs attention".to_owned(),
    }
}

const fn name(kind: CollateralKind) -> &'static str {
    match kind {
        CollateralKind::Dcap => "tdx",
        CollateralKind::SgxDcap => "sgx",
        CollateralKind::Snp => "snp",
        CollateralKind::Nvidia => "nvidia",
        CollateralKind::Nitro => "nitro",
    }
}
