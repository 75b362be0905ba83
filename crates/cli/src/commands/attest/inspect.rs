//! `attest inspect`: what a file says of itself. Nothing is verified here, and the output says so.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_attestation::{
    Cover, EventLine, Phase, Refusal, TcgLog,
    container::{Container, Endorsements, Format, GpuEvidence},
    nitro::UnverifiedNitro,
    nvidia::UnverifiedNvidia,
    snp::UnverifiedSnp,
};
use freehold_primitives::{EvidenceKind, Measurement};
use serde_json::{Map, Value, json};

use super::{
    claims,
    names::{ENCLAVE_ATTRIBUTES, FEATURES, TD_ATTRIBUTES, date, set},
    read_bounded, stated,
};
use crate::output::Output;

/// Runs the command: exit status 0 where the file could be read, 1 where it is no evidence.
pub(super) fn run(path: &Path, format: Option<&str>, output: Output) -> Result<ExitCode> {
    let bytes = read_bounded(path)?;
    let container = match Container::read(&bytes, stated(format)?) {
        Ok(container) => container,
        Err(refusal) => {
            output.object(
                &json!({ "file": path.display().to_string(), "code": refusal.code(), "text": refusal.to_string() }),
            );
            output.text(&format!("{}: {} {refusal}", path.display(), refusal.code()));
            return Ok(ExitCode::from(crate::commands::FAILURE));
        }
    };
    let mut shown = Map::new();
    shown.insert("file".to_owned(), path.display().to_string().into());
    shown.insert("format".to_owned(), container.format().as_str().into());
    shown.insert("verified".to_owned(), false.into());
    shown.extend(fields(&container));
    let certificates: Vec<Value> = container
        .certificates()
        .iter()
        .map(|one| {
            json!({
                "subject": one.subject,
                "issuer": one.issuer,
                "not_before": date(one.not_before),
                "not_after": date(one.not_after),
                "sha256": hex::encode(one.sha256),
            })
        })
        .collect();
    shown.insert("certificates".to_owned(), certificates.into());
    let log = log_lines(&container).context("the event log")?;
    output.text(&format!("{}: {}, nothing verified", path.display(), container.format().as_str()));
    let value = Value::Object(shown.clone());
    claims::print(&value, output);
    for line in &log {
        output.text(&format!("  {:<6} {:<34} {}{}", line.register, line.event_type, line.text, said_by(line)));
    }
    if !log.is_empty() {
        shown.insert("event_log".to_owned(), log.iter().map(line_json).collect());
    }
    output.object(&Value::Object(shown));
    Ok(ExitCode::SUCCESS)
}

fn said_by(line: &EventLine) -> &'static str {
    match (line.cover, line.phase) {
        (Cover::Something, _) => "  [the digest is of something else]",
        (Cover::Data, Phase::Late) => "  [after the boot]",
        (Cover::Data, _) => "",
    }
}

fn line_json(line: &EventLine) -> Value {
    json!({
        "register": line.register,
        "type": line.event_type,
        "digest": line.digest,
        "text": line.text,
        "digest_covers_data": line.cover == Cover::Data,
        "phase": format!("{:?}", line.phase).to_lowercase(),
    })
}

fn log_lines(container: &Container) -> Result<Vec<EventLine>> {
    Ok(match container {
        Container::Quote { log: Some(log), .. } | Container::RuntimeLog(log) => log.lines().collect(),
        Container::TcgLog(bytes) => TcgLog::read(bytes)?.lines().collect(),
        _ => Vec::new(),
    })
}

/// What the evidence says, by kind; and the form it is in.
fn fields(container: &Container) -> Map<String, Value> {
    let mut all = Map::new();
    let prepared = container.prepare(&Endorsements::default(), &[], 0);
    match container {
        Container::Quote { format, quote, .. } => all.extend(quote_fields(*format, quote)),
        Container::Snp { report, certificate } => {
            all.insert("certificate_beside_report".to_owned(), certificate.is_some().into());
            all.extend(snp_fields(report, certificate.as_deref()));
        }
        Container::Nitro(document) => all.extend(nitro_fields(document)),
        Container::Nvidia(gpus) => {
            all.insert("gpus".to_owned(), gpus.iter().map(gpu_fields).collect());
        }
        Container::Bundle(_) | Container::TcgLog(_) | Container::RuntimeLog(_) => {}
    }
    match prepared {
        Ok(prepared) => {
            let canonical = prepared.iter().all(|one| one.is_as_given);
            all.insert("form".to_owned(), if canonical { "canonical" } else { "hardware's, not canonical" }.into());
        }
        Err(Refusal::CollateralMissing) if matches!(container, Container::Snp { .. }) => {
            all.insert("form".to_owned(), "a report without the certificate of its key".into());
        }
        Err(Refusal::CollateralMissing) if matches!(container, Container::Nvidia(_)) => {
            all.insert("form".to_owned(), "a report without its certificates".into());
        }
        Err(refusal) if !matches!(container.format(), Format::EventLog) => {
            all.insert("form".to_owned(), format!("{} {refusal}", refusal.code()).into());
        }
        Err(_) => {}
    }
    all
}

/// Fields of a quote by their offsets (Intel 360702): body at 48, or at 54 behind the head of a version 5 body.
fn quote_fields(format: Format, quote: &[u8]) -> Map<String, Value> {
    let version = quote.get(..2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let body = quote.get(if version == 5 { 54 } else { 48 }..).unwrap_or_default();
    let field = |at: usize, length: usize| body.get(at..at + length).map(hex::encode);
    let bits = |at: usize| {
        let bytes: Option<[u8; 8]> = body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).unwrap_or_default()
    };
    let own = if format == Format::Tdx {
        json!({
            "version": version,
            "body": if version == 5 { quote.get(48).copied() } else { None },
            "tee_tcb_svn": field(0, 16),
            "mr_seam": field(16, 48),
            "mr_signer_seam": field(64, 48),
            "td_attributes": set(bits(120), TD_ATTRIBUTES),
            "xfam": set(bits(128), FEATURES),
            "mrtd": field(136, 48),
            "mr_config_id": field(184, 48),
            "mr_owner": field(232, 48),
            "mr_owner_config": field(280, 48),
            "rtmr0": field(328, 48),
            "rtmr1": field(376, 48),
            "rtmr2": field(424, 48),
            "rtmr3": field(472, 48),
            "report_data": field(520, 64),
        })
    } else {
        json!({
            "version": version,
            "cpu_svn": field(0, 16),
            "attributes": set(bits(48), ENCLAVE_ATTRIBUTES),
            "xfrm": set(bits(56), FEATURES),
            "mr_enclave": field(64, 32),
            "mr_signer": field(128, 32),
            "isv_prod_id_le": field(256, 2),
            "isv_svn_le": field(258, 2),
            "report_data": field(320, 64),
        })
    };
    let mut own = object(own);
    let kind = if format == Format::Tdx { EvidenceKind::Tdx } else { EvidenceKind::Sgx };
    let outline = freehold_attestation::canonicalise(quote)
        .and_then(|bytes| freehold_attestation::UnverifiedEvidence::read(kind, &bytes));
    if let Ok(outline) = outline {
        own.insert("fmspc".to_owned(), hex::encode(outline.family().0).into());
        own.insert("platform".to_owned(), outline.platform().to_string().into());
    }
    own
}

fn snp_fields(report: &[u8], certificate: Option<&[u8]>) -> Map<String, Value> {
    let outline = certificate
        .and_then(|certificate| freehold_attestation::snp::canonicalise(report, certificate).ok())
        .and_then(|bytes| UnverifiedSnp::read(&bytes).ok());
    let Some(outline) = outline else {
        // Without its certificate the product is not known, nor the layout of its TCB versions.
        let field = |at: usize, length: usize| report.get(at..at + length).map(hex::encode);
        return object(json!({
            "version_le": field(0, 4),
            "guest_policy_le": field(8, 8),
            "vmpl_le": field(0x30, 4),
            "platform_info_le": field(0x40, 8),
            "report_data": field(0x50, 64),
            "measurement": field(0x90, 48),
            "host_data": field(0xc0, 32),
            "chip_id": field(0x1a0, 64),
            "reported_tcb": field(0x180, 8),
        }));
    };
    claims::report(outline.report(), outline.product())
}

fn nitro_fields(document: &[u8]) -> Map<String, Value> {
    let read = freehold_attestation::nitro::canonicalise(document).and_then(|bytes| UnverifiedNitro::read(&bytes));
    let Ok(outline) = read else { return Map::new() };
    let document = outline.document();
    object(json!({
        "module_id": document.module_id(),
        "timestamp": date(document.timestamp_ms() / 1_000),
        "debug": document.is_debug(),
        "measurement": claims::measurement(&Measurement::Nitro(document.measurement())),
        "report_data": outline.report_data().ok().map(hex::encode),
        "nonce": document.nonce().map(hex::encode),
        "public_key": document.public_key().map(hex::encode),
    }))
}

fn gpu_fields(gpu: &GpuEvidence) -> Value {
    let canonical = match gpu {
        GpuEvidence::Canonical(bytes) => Some(bytes.clone()),
        GpuEvidence::Parts { report, chain, .. } => {
            chain.as_ref().and_then(|chain| freehold_attestation::nvidia::canonicalise(report, chain).ok())
        }
    };
    let Some(outline) = canonical.and_then(|bytes| UnverifiedNvidia::read(&bytes).ok()) else {
        let report = if let GpuEvidence::Parts { report, .. } = gpu { report.len() } else { 0 };
        return json!({ "report_bytes": report, "chain": "none that can be read" });
    };
    json!({
        "architecture": format!("{:?}", outline.architecture()),
        "nonce": hex::encode(outline.nonce()),
        "platform": outline.platform().to_string(),
    })
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}
