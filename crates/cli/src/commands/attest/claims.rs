//! Verified claims as JSON, and the same as lines.

use freehold_attestation::{
    KindClaims, VerifiedClaims,
    nvidia::NvidiaClaims,
    snp::{SnpClaims, SnpReport},
};
use freehold_primitives::{GpuMode, Measurement, Register, SnpProduct};
use serde_json::{Map, Value, json};

use super::names::{ENCLAVE_ATTRIBUTES, FEATURES, GUEST_POLICY, PLATFORM_INFO, TD_ATTRIBUTES, date, set};
use crate::output::Output;

/// The claims of a CPU TEE.
pub(super) fn of(claims: &VerifiedClaims) -> Value {
    let mut all = json!({
        "report_data": hex::encode(claims.report_data()),
        "measurement": measurement(claims.measurement()),
        "platform": claims.platform().to_string(),
        "family": hex::encode(claims.family().0),
        "expires_at": claims.expires_at(),
        "expires": date(claims.expires_at()),
        "signed_part_digest": claims.signed_part_digest().to_string(),
    });
    let own = match claims.detail() {
        KindClaims::Tdx(td) => json!({
            "form": format!("{:?}", td.form()),
            "td_attributes": set(td.attributes(), TD_ATTRIBUTES),
            "xfam": set(td.xfam(), FEATURES),
            "tee_tcb_svn": hex::encode(td.tee_tcb_svn()),
            "mr_seam": td.mr_seam().to_string(),
            "mr_signer_seam": td.mr_signer_seam().to_string(),
            "mr_config_id": td.mr_config_id().to_string(),
            "mr_owner": td.mr_owner().to_string(),
            "mr_owner_config": td.mr_owner_config().to_string(),
            "mr_service_td": td.mr_service_td().map(|register| register.to_string()),
            "pck": platform(td.platform()),
        }),
        KindClaims::Sgx(enclave) => json!({
            "attributes": set(enclave.attributes(), ENCLAVE_ATTRIBUTES),
            "xfrm": set(enclave.xfrm(), FEATURES),
            "misc_select": enclave.misc_select(),
            "cpu_svn": hex::encode(enclave.cpu_svn()),
            "config_id": hex::encode(enclave.config_id()),
            "config_svn": enclave.config_svn(),
            "pck": platform(enclave.platform()),
        }),
        KindClaims::Snp(guest) => snp(guest),
        KindClaims::Nitro(enclave) => json!({
            "module_id": enclave.document().module_id(),
            "timestamp_ms": enclave.document().timestamp_ms(),
            "nonce": enclave.document().nonce().map(hex::encode),
            "revocation": format!("{:?}", enclave.revocation()).to_lowercase(),
        }),
        _ => Value::Null,
    };
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own);
        if !claims.gpus().is_empty() {
            all.insert("gpus".to_owned(), claims.gpus().iter().map(of_gpu).collect());
        }
    }
    all
}

fn platform(platform: &freehold_attestation::DcapClaims) -> Value {
    json!({
        "tcb_status": platform.tcb_status().as_str(),
        "tcb_date": date(platform.tcb_date_unix_s()),
        "advisories": platform.advisories(),
        "fmspc": hex::encode(platform.family().0),
        "evaluation_data_number": platform.tcb_evaluation_data_number(),
        "cpu_svn": hex::encode(platform.cpu_svn()),
        "pce_svn": platform.pce_svn(),
        "sgx_type": platform.sgx_type(),
        "dynamic_platform": platform.dynamic_platform(),
        "cached_keys": platform.cached_keys(),
        "smt": platform.smt(),
    })
}

fn snp(guest: &SnpClaims) -> Value {
    let mut all = report(guest.report(), guest.product());
    all.insert("cloud".to_owned(), guest.cloud().into());
    all.insert("revocation".to_owned(), format!("{:?}", guest.revocation()).to_lowercase().into());
    // These two stand among the claims of every kind.
    all.remove("report_data");
    all.remove("measurement");
    Value::Object(all)
}

/// What a report of SEV-SNP says.
pub(super) fn report(report: &SnpReport, product: SnpProduct) -> Map<String, Value> {
    let tcb = |tcb: freehold_primitives::SnpTcb| {
        json!({
            "fmc": tcb.fmc, "bootloader": tcb.bootloader, "tee": tcb.tee, "snp": tcb.snp, "microcode": tcb.microcode,
        })
    };
    let all = json!({
        "report_data": hex::encode(report.report_data()),
        "measurement": report.measurement().to_string(),
        "host_data": report.host_data().to_string(),
        "version": report.version(),
        "product": format!("{product:?}"),
        "signing_key": format!("{:?}", report.signing_key()).to_uppercase(),
        "vmpl": report.vmpl(),
        "guest_policy": set(report.guest_policy() & !0x2_ffff, GUEST_POLICY),
        "guest_abi_min": report.guest_policy() & 0xffff,
        "guest_svn": report.guest_svn(),
        "platform_info": set(report.platform_info(), PLATFORM_INFO),
        "reported_tcb": tcb(report.reported_tcb(product)),
        "committed_tcb": tcb(report.committed_tcb(product)),
        "current_tcb": tcb(report.current_tcb(product)),
        "launch_tcb": tcb(report.launch_tcb(product)),
        "chip_id": hex::encode(report.chip_id()),
        "family_id": hex::encode(report.family_id()),
        "image_id": hex::encode(report.image_id()),
        "id_key_digest": report.id_key_digest().to_string(),
    });
    if let Value::Object(map) = all { map } else { Map::new() }
}

/// The claims of a GPU.
pub(super) fn of_gpu(gpu: &NvidiaClaims) -> Value {
    let mode = match gpu.mode() {
        GpuMode::SinglePassthrough => "single-passthrough",
        GpuMode::MultiPassthrough => "multi-passthrough",
        GpuMode::ProtectedPcie => "protected-pcie",
    };
    json!({
        "architecture": format!("{:?}", gpu.architecture()),
        "model": gpu.model(),
        "chip": gpu.chip(),
        "driver_version": gpu.driver_version(),
        "vbios_version": gpu.vbios_version(),
        "board": gpu.board(),
        "mode": mode,
        "nonce": hex::encode(gpu.nonce()),
        "platform": gpu.platform().to_string(),
        "fwid": hex::encode(gpu.fwid()),
        "debug": gpu.is_debug(),
        "revocation_issued_at": gpu.revocation_issued_at(),
        "expires_at": gpu.expires_at(),
        "measurements": gpu.measurements().iter().filter(|value| **value != Register::ZERO).count(),
    })
}

/// A measurement by its registers' names.
pub(super) fn measurement(measurement: &Measurement) -> Value {
    let text = |register: &Option<Register>| register.as_ref().map(ToString::to_string);
    match measurement {
        Measurement::Tdx(td) => json!({
            "mrtd": td.mrtd.to_string(),
            "rtmr0": text(&td.rtmr0),
            "rtmr1": text(&td.rtmr1),
            "rtmr2": text(&td.rtmr2),
            "rtmr3": text(&td.rtmr3),
        }),
        Measurement::Sgx(enclave) => json!({
            "mr_enclave": enclave.mr_enclave.to_string(),
            "mr_signer": enclave.mr_signer.to_string(),
            "isv_prod_id": enclave.isv_prod_id,
            "isv_svn": enclave.isv_svn,
        }),
        Measurement::Snp(guest) => json!({
            "measurement": guest.measurement.to_string(),
            "host_data": guest.host_data.map(|data| data.to_string()),
        }),
        Measurement::Nitro(enclave) => json!({
            "pcr0": enclave.pcr0.to_string(),
            "pcr1": text(&enclave.pcr1),
            "pcr2": text(&enclave.pcr2),
            "pcr3": text(&enclave.pcr3),
            "pcr4": text(&enclave.pcr4),
            "pcr8": text(&enclave.pcr8),
        }),
    }
}

/// Prints values as indented lines.
pub(super) fn print(value: &Value, output: Output) {
    lines(value, 1, output);
}

fn lines(value: &Value, depth: usize, output: Output) {
    let Value::Object(map) = value else { return };
    for (name, value) in map {
        let pad = "  ".repeat(depth);
        match value {
            Value::Object(_) => {
                output.text(&format!("{pad}{name}"));
                lines(value, depth + 1, output);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (index, item) in items.iter().enumerate() {
                    output.text(&format!("{pad}{name} {index}"));
                    lines(item, depth + 1, output);
                }
            }
            Value::Array(items) => output.text(&format!("{pad}{name:<24} {}", texts(items).join(", "))),
            Value::Null => {}
            other => output.text(&format!("{pad}{name:<24} {}", text(other))),
        }
    }
}

fn texts(items: &[Value]) -> Vec<String> {
    items.iter().map(text).collect()
}

/// Text without quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
