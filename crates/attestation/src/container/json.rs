//! Forms in JSON: dstack's reports, Azure's evidence, NVIDIA's lists, and a plain quote or document under its name.

use serde_json::Value;

use super::{CONTAINER_GPUS_MAX, Container, Format, GpuEvidence, binary, text};
use crate::{dcap::repeats_no_name, eventlog::RuntimeLog, refusal::Refusal, snp::SNP_REPORT_BYTES};

/// Names under which documents of NVIDIA's tools list their GPUs.
const GPU_LISTS: [&str; 3] = ["evidence_list", "evidences", "gpu_evidences"];

/// Reads a JSON container.
pub(super) fn read(text: &str) -> Result<Container, Refusal> {
    if !repeats_no_name(text) {
        return Err(Refusal::ContainerJson);
    }
    let json: Value = serde_json::from_str(text).map_err(|_| Refusal::ContainerJson)?;
    let list = json.as_array().or_else(|| GPU_LISTS.into_iter().find_map(|name| json.get(name)?.as_array()));
    if let Some(list) = list {
        return match list.first() {
            Some(first) if first.get("imr").is_some() => RuntimeLog::read(text.as_bytes()).map(Container::RuntimeLog),
            Some(_) => gpus(list, json.get("nonce")),
            None => Err(Refusal::ContainerPart),
        };
    }
    if json.get("evidence").is_some() && json.get("certificate").is_some() {
        return gpus(core::slice::from_ref(&json), None);
    }
    if let Some(report) = json.get("hcl_report").or_else(|| json.get("report")) {
        return azure(report, json.get("vcek").or_else(|| json.get("certificate")));
    }
    for name in ["attestation", "attestation_document", "document", "evidence", "quote"] {
        if let Some(value) = json.get(name) {
            return wrapped(&bytes_of(value)?, json.get("event_log"));
        }
    }
    Err(Refusal::ContainerFormat)
}

/// Bytes under a name, and the event log beside them: a text that is JSON itself, or the list.
fn wrapped(bytes: &[u8], event_log: Option<&Value>) -> Result<Container, Refusal> {
    let mut found = binary::read(bytes)?.ok_or(Refusal::ContainerFormat)?;
    let text = match event_log {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(list @ Value::Array(_)) => Some(list.to_string()),
        Some(Value::String(_) | Value::Null) | None => None,
        Some(_) => return Err(Refusal::ContainerPart),
    };
    if let (Container::Quote { log, .. }, Some(text)) = (&mut found, text) {
        *log = Some(RuntimeLog::read(text.as_bytes())?);
    }
    Ok(found)
}

/// Azure's evidence: the report stands in an HCL report or alone, the VCEK beside it.
fn azure(report: &Value, certificate: Option<&Value>) -> Result<Container, Refusal> {
    let bytes = bytes_of(report)?;
    let certificate = certificate.map(certificate_of).transpose()?;
    match binary::read(&bytes)? {
        Some(Container::Snp { report, certificate: own }) => {
            Ok(Container::Snp { report, certificate: certificate.or(own) })
        }
        Some(other) => Ok(other),
        None if bytes.len() == SNP_REPORT_BYTES => Ok(Container::Snp { report: bytes, certificate }),
        None => Err(Refusal::ContainerFormat),
    }
}

fn gpus(list: &[Value], common_nonce: Option<&Value>) -> Result<Container, Refusal> {
    if list.len() > CONTAINER_GPUS_MAX {
        return Err(Refusal::ContainerTooLong);
    }
    let nonce_of = |value: &Value| -> Result<[u8; 32], Refusal> {
        bytes_of(value)?.try_into().map_err(|_| Refusal::ContainerPart)
    };
    let read = |gpu: &Value| {
        let part = |name: &str| gpu.get(name).ok_or(Refusal::ContainerPart);
        let nonce = gpu.get("nonce").or(common_nonce).map(nonce_of).transpose()?;
        let chain = Some(bytes_of(part("certificate")?)?);
        Ok(GpuEvidence::Parts { report: bytes_of(part("evidence")?)?, chain, nonce })
    };
    list.iter().map(read).collect::<Result<_, _>>().map(Container::Nvidia)
}

/// A certificate in PEM, or DER in any form of bytes; DER.
fn certificate_of(value: &Value) -> Result<Vec<u8>, Refusal> {
    let bytes = bytes_of(value)?;
    if !bytes.starts_with(b"-----BEGIN ") {
        return Ok(bytes);
    }
    pem::parse(&bytes).map(pem::Pem::into_contents).map_err(|_| Refusal::ContainerText)
}

/// Bytes of a value: a list of numbers, PEM as it stands, hex or base64.
fn bytes_of(value: &Value) -> Result<Vec<u8>, Refusal> {
    match value {
        Value::Array(list) => list
            .iter()
            .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()).ok_or(Refusal::ContainerJson))
            .collect(),
        Value::String(text) if text.trim_start().starts_with("-----BEGIN ") => Ok(text.trim_start().into()),
        Value::String(text) => text::decode(text.as_bytes()).ok_or(Refusal::ContainerText),
        _ => Err(Refusal::ContainerPart),
    }
}

impl Format {
    /// Whether evidence of this format is a quote of Intel's.
    pub const fn is_quote(self) -> bool {
        matches!(self, Self::Tdx | Self::Sgx)
    }
}
