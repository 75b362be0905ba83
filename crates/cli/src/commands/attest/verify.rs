//! `attest verify`: one verdict for each file, by the very functions that a chain uses.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_attestation::{
    Evidence, Refusal, RefusalClass, Rtmr, VerifiedClaims,
    container::{Container, Endorsements, Format, Prepared},
    judge, nvidia,
};
use freehold_client::PolicyFile;
use freehold_node::Clock;
use freehold_primitives::{EvidenceKind, Measurement, TrustDomain, TrustRoot};
use serde_json::{Value, json};

use super::{claims, policy, read_bounded, stated};
use crate::{args::AttestVerifyArgs, output::Output};

/// Most files in a folder of collateral.
const FILES_MAX: usize = 512;

/// What one file is judged with.
struct Bench<'a> {
    policy: &'a PolicyFile,
    beside: &'a Collateral,
    format: Option<Format>,
    is_canonical_only: bool,
    now_unix_s: u64,
}

/// Collateral beside the files.
#[derive(Default)]
struct Collateral {
    parts: Endorsements,
    files: Vec<Vec<u8>>,
}

/// What was found of one file, as far as it went.
#[derive(Default)]
struct Finding {
    tee: Option<Format>,
    tcb_status: Option<&'static str>,
    trust_domain: Option<TrustDomain>,
    is_as_given: Option<bool>,
    claims: Option<Value>,
    warnings: Vec<String>,
}

/// Runs the command. An error is one of usage.
pub(super) fn run(args: &AttestVerifyArgs, output: Output) -> Result<ExitCode> {
    let policy = policy::of(args)?;
    let beside = read_collateral(args.collateral.as_deref(), output)?;
    let format = stated(args.format.as_deref())?;
    let now_unix_s = args.now.unwrap_or_else(|| Clock::system().now_s());
    let files = args.files.iter().map(|path| Ok((path, read_bounded(path)?))).collect::<Result<Vec<_>>>()?;
    let bench = Bench { policy: &policy, beside: &beside, format, is_canonical_only: args.canonical, now_unix_s };
    let mut accepted = true;
    for (path, bytes) in files {
        let mut finding = Finding::default();
        let verdict = check(&bytes, &bench, &mut finding);
        accepted &= verdict.is_ok();
        show(path, &finding, verdict, output);
    }
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::from(crate::commands::FAILURE) })
}

/// Reads collateral: one file, or every file of a folder that is collateral.
fn read_collateral(path: Option<&Path>, output: Output) -> Result<Collateral> {
    let mut collateral = Collateral::default();
    let Some(path) = path else { return Ok(collateral) };
    if !path.is_dir() {
        let bytes = read_bounded(path)?;
        let added = collateral.parts.add(&bytes);
        added.with_context(|| format!("{} is no collateral", path.display()))?;
        collateral.files.push(bytes);
        return Ok(collateral);
    }
    let listed = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    if files.len() > FILES_MAX {
        bail!("{} holds more than {FILES_MAX} files", path.display());
    }
    for file in files {
        let bytes = read_bounded(&file)?;
        match collateral.parts.add(&bytes) {
            Ok(()) => collateral.files.push(bytes),
            // Evidence and pages lie beside collateral.
            Err(refusal) => output.note(&format!("{} is left out: {refusal}", file.display())),
        }
    }
    Ok(collateral)
}

/// Judges one file; what is learned on the way is left in `finding`.
fn check(bytes: &[u8], bench: &Bench<'_>, finding: &mut Finding) -> Result<(), Refusal> {
    let container = Container::read(bytes, bench.format)?;
    finding.tee = Some(container.format());
    let roots = policy::roots(&container, &bench.beside.files);
    let prepared = container.prepare(&bench.beside.parts, &roots, bench.now_unix_s)?;
    let is_as_given = prepared.iter().all(|one| one.is_as_given);
    finding.is_as_given = Some(is_as_given);
    if bench.is_canonical_only && !is_as_given {
        return Err(Refusal::ContainerNotCanonical);
    }
    match prepared.as_slice() {
        [one] if one.kind != EvidenceKind::Nvidia => check_cpu(&container, one, (&roots, bench), finding),
        gpus => check_gpus(gpus, (&roots, bench), finding),
    }
}

fn check_cpu(
    container: &Container,
    prepared: &Prepared,
    (roots, bench): (&[TrustRoot], &Bench<'_>),
    finding: &mut Finding,
) -> Result<(), Refusal> {
    let documents: Vec<&[u8]> = prepared.collateral.iter().map(Vec::as_slice).collect();
    let evidence = Evidence { kind: prepared.kind, bytes: &prepared.bytes, collateral: &documents };
    let verified = freehold_attestation::claims(&evidence, roots, bench.now_unix_s)?;
    finding.tcb_status = verified.tcb_status().map(|status| status.as_str());
    finding.trust_domain = Some(verified.trust_domain());
    finding.claims = Some(claims::of(&verified));
    finding.warnings = warnings(&verified);
    if let Container::Quote { log: Some(log), .. } = container {
        replay(log, &verified, finding)?;
    }
    judge(&verified, &bench.policy.policy_for(verified.measurement()), bench.now_unix_s)
}

/// Compares an event log with the registers. RTMR3, which apps extend, must agree; the log may leave out firmware events.
fn replay(
    log: &freehold_attestation::RuntimeLog,
    verified: &VerifiedClaims,
    finding: &mut Finding,
) -> Result<(), Refusal> {
    let Measurement::Tdx(registers) = verified.measurement() else { return Ok(()) };
    let replayed = log.rtmrs();
    let checks = replayed.compare(registers)?;
    let agree: serde_json::Map<String, Value> =
        checks.iter().map(|check| (check.register.name().to_owned(), check.is_equal().into())).collect();
    if let Some(Value::Object(claims)) = &mut finding.claims {
        claims.insert("event_log_replays".to_owned(), agree.into());
    }
    if log.app_events().next().is_some() { replayed.require(registers, &[Rtmr::Rtmr3]) } else { Ok(()) }
}

fn check_gpus(
    gpus: &[Prepared],
    (roots, bench): (&[TrustRoot], &Bench<'_>),
    finding: &mut Finding,
) -> Result<(), Refusal> {
    let mut verified = Vec::new();
    for gpu in gpus {
        let document = gpu.collateral.first().map(Vec::as_slice).unwrap_or_default();
        let claims = nvidia::claims(&gpu.bytes, document, roots, bench.now_unix_s)?;
        match &gpu.nonce {
            Some(nonce) => nvidia::check_nonce(&claims, nonce)?,
            None => finding.warnings.push("no nonce was given: the evidence may be old".to_owned()),
        }
        verified.push(claims);
    }
    if verified.iter().any(|gpu| gpu.revocation_issued_at().is_none()) {
        finding.warnings.push("no revocation list was there".to_owned());
    }
    finding.trust_domain = verified.first().map(|gpu| gpu.trust_domain());
    if finding.trust_domain == Some(TrustDomain::Emulated) {
        finding.warnings.push(EMULATED_WARNING.to_owned());
    }
    finding.claims = Some(json!({ "gpus": verified.iter().map(claims::of_gpu).collect::<Vec<_>>() }));
    nvidia::judge_alone(&verified, bench.policy.policy(), bench.now_unix_s)
}

const EMULATED_WARNING: &str = "emulated: anyone can make this evidence";

fn warnings(verified: &VerifiedClaims) -> Vec<String> {
    use freehold_attestation::Revocation;
    let mut warnings = Vec::new();
    if verified.trust_domain() == TrustDomain::Emulated {
        warnings.push(EMULATED_WARNING.to_owned());
    }
    let unknown = verified.as_snp().is_some_and(|snp| snp.revocation() == Revocation::Unknown)
        || verified.as_nitro().is_some_and(|nitro| nitro.revocation() == Revocation::Unknown);
    if unknown {
        warnings.push("no revocation list was there".to_owned());
    }
    warnings
}

fn show(path: &Path, finding: &Finding, verdict: Result<(), Refusal>, output: Output) {
    let refusal = verdict.err();
    let tee = finding.tee.map(Format::as_str);
    let trust_domain = finding.trust_domain.map(TrustDomain::as_str);
    output.object(&json!({
        "file": path.display().to_string(),
        "verdict": if refusal.is_none() { "accepted" } else { "refused" },
        "code": refusal.map(Refusal::code),
        "class": refusal.map(|refusal| class(refusal.class())),
        "text": refusal.map(reason),
        "tee": tee,
        "tcb_status": finding.tcb_status,
        "trust_domain": trust_domain,
        "canonicalised": finding.is_as_given.map(|same| !same),
        "warnings": finding.warnings,
        "claims": finding.claims,
    }));
    let said = [tee, finding.tcb_status, trust_domain].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let verdict = match refusal {
        None => format!("accepted ({said})"),
        Some(refusal) => {
            format!("refused: {} {}, {} ({said})", refusal.code(), class(refusal.class()), reason(refusal))
        }
    };
    output.text(&format!("{}: {verdict}", path.display()));
    if finding.is_as_given == Some(false) {
        output.text("  hardware's form, brought into the canonical one first");
    }
    for warning in &finding.warnings {
        output.text(&format!("  warning: {warning}"));
    }
    if let Some(claims) = &finding.claims {
        claims::print(claims, output);
    }
}

/// A refusal's text, with the reason where a default needs one.
fn reason(refusal: Refusal) -> String {
    match refusal {
        Refusal::SnpPolicyProduct => format!(
            "{refusal} (Milan is off by default: software alone extracts the secret of its keys; a policy file can add it)"
        ),
        other => other.to_string(),
    }
}

const fn class(class: RefusalClass) -> &'static str {
    match class {
        RefusalClass::Invalid => "invalid",
        RefusalClass::Untrusted => "untrusted",
        RefusalClass::Expired => "expired",
        RefusalClass::Unavailable => "unavailable",
        _ => "policy",
    }
}
