//! The specification's vectors of GPU evidence are what the code gives.

use std::path::PathBuf;

use freehold_attestation::{
    Refusal,
    nvidia::{self, NvidiaEvidence},
};
use freehold_emulator::{DEVELOPMENT_SEED, EmulatedGpu, GpuCondition, GpuPlan, gpu_root_certificate};
use freehold_primitives::{Canonical as _, GpuArchitecture};
use serde_json::{Value, json};

use crate::{BLACKWELL, HOPPER, NONCE, NOW, claims_of, emulated_roots, policy};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/attestation/nvidia.json")
}

fn code(result: Result<(), Refusal>) -> u16 {
    result.map_or_else(Refusal::code, |()| 0)
}

/// Sound evidence of one architecture: bytes, claims, policy, collateral.
fn sound(gpu: &EmulatedGpu, architecture: GpuArchitecture) -> Value {
    let evidence = gpu.evidence(&NONCE);
    let claims = claims_of(&evidence).unwrap();
    let policy = policy(gpu, &GpuPlan::new(architecture));
    let [driver, firmware] = [&policy.driver_references, &policy.firmware_references]
        .map(|list| nvidia::reference_digest(&list.as_ref().unwrap()[0]));
    json!({
        "evidence": hex::encode(&evidence),
        "collateral": hex::encode(gpu.collateral(NOW)),
        "policy": hex::encode(policy.to_canonical()),
        "architecture": architecture as u8,
        "model": claims.model(),
        "platform": hex::encode(claims.platform().0),
        "fwid": hex::encode(claims.fwid()),
        "driver_version": claims.driver_version(),
        "vbios_version": claims.vbios_version(),
        "board": claims.board(),
        "mode": claims.mode() as u8,
        "signed_part_digest": hex::encode(claims.signed_part_digest().0),
        "driver_reference": hex::encode(driver.0),
        "firmware_reference": hex::encode(firmware.0),
    })
}

/// One condition: evidence, and the code of the verifier or the policy.
fn condition(architecture: GpuArchitecture, name: &str, condition: GpuCondition) -> Value {
    let gpu = if architecture == GpuArchitecture::Hopper { &HOPPER } else { &BLACKWELL };
    let plan = GpuPlan { condition, ..GpuPlan::new(architecture) };
    let evidence = gpu.evidence_with(&NONCE, &plan);
    let verdict = claims_of(&evidence).and_then(|claims| {
        nvidia::check_nonce(&claims, &NONCE)?;
        nvidia::judge(&claims, &policy(gpu, &GpuPlan::new(architecture)), NOW)
    });
    json!({ "name": name, "evidence": hex::encode(evidence), "code": code(verdict) })
}

/// One malformed case: Hopper's evidence with `remove` bytes of its report at `at` replaced.
fn splice(name: &str, at: usize, remove: usize, insert: &[u8]) -> Value {
    let mut document = NvidiaEvidence::from_canonical(&HOPPER.evidence(&NONCE)).unwrap();
    document.report.0.splice(at..at + remove, insert.iter().copied());
    json!({
        "name": name, "at": at, "remove": remove, "insert": hex::encode(insert),
        "code": code(claims_of(&document.to_canonical()).map(|_| ())),
    })
}

fn document() -> Value {
    use GpuArchitecture::{Blackwell, Hopper};
    let end = NvidiaEvidence::from_canonical(&HOPPER.evidence(&NONCE)).unwrap().report.0.len();
    json!({
        "format": "freehold.gpu-vectors/1",
        "seed": hex::encode(DEVELOPMENT_SEED),
        "now_unix_s": NOW,
        "nonce": hex::encode(NONCE),
        "root_certificate": hex::encode(gpu_root_certificate(&DEVELOPMENT_SEED)),
        "sound": [sound(&HOPPER, Hopper), sound(&BLACKWELL, Blackwell)],
        "conditions": [
            condition(Hopper, "hopper_firmware_identity", GpuCondition::FirmwareIdentityForeign),
            condition(Hopper, "hopper_driver_changed", GpuCondition::DriverChanged),
            condition(Hopper, "hopper_measurement_extra", GpuCondition::MeasurementExtra),
            condition(Hopper, "hopper_model", GpuCondition::ModelForeign),
            condition(Hopper, "hopper_nonce", GpuCondition::NonceForeign),
            condition(Hopper, "hopper_signature", GpuCondition::SignatureForeign),
            condition(Blackwell, "blackwell_firmware_identity", GpuCondition::FirmwareIdentityForeign),
            condition(Blackwell, "blackwell_debug", GpuCondition::Debug),
            condition(Blackwell, "blackwell_chip", GpuCondition::ChipForeign),
            condition(Blackwell, "blackwell_firmware_changed", GpuCondition::FirmwareChanged),
        ],
        "report_cases": [
            splice("report_unchanged", 0, 0, &[]),
            splice("report_truncated_request", 36, end - 36, &[]),
            splice("report_truncated_signature", end - 1, 1, &[]),
            splice("report_trailing_zero", end, 0, &[0]),
            splice("report_spdm_1_2", 0, 1, &[0x12]),
            splice("report_63_blocks", 41, 1, &[63]),
            splice("report_block_out_of_order", 45, 1, &[2]),
            splice("report_block_raw_bytes", 49, 1, &[0x81]),
            splice("report_measurement_changed", 52 + 55, 1, &[0]),
            splice("report_vbios_length", 37 + 8 + 64 * 55 + 32 + 2 + 2, 1, &[7]),
        ],
    })
}

#[test]
fn gpu_vectors_are_what_the_code_gives() {
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    // `FREEHOLD_BLESS=1` writes the file again after a change that is meant.
    if std::env::var_os("FREEHOLD_BLESS").is_some() {
        std::fs::write(path(), &text).unwrap();
    }
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(path()).unwrap()).unwrap();
    assert_eq!(recorded, document());
    let codes = |list: &str| -> Vec<u64> {
        recorded[list].as_array().unwrap().iter().map(|case| case["code"].as_u64().unwrap()).collect()
    };
    assert_eq!(codes("report_cases").iter().filter(|code| **code == 0).count(), 1, "only the unchanged report");
    assert!(!codes("conditions").contains(&0));
    for sound in recorded["sound"].as_array().unwrap() {
        let bytes = |name: &str| hex::decode(sound[name].as_str().unwrap()).unwrap();
        assert!(nvidia::claims(&bytes("evidence"), &bytes("collateral"), &emulated_roots(), NOW).is_ok());
    }
}
