//! The recorded vectors are what the code gives.

use std::path::PathBuf;

use freehold_attestation::{Refusal, snp};
use freehold_emulator::{DEVELOPMENT_SEED, SnpCollateralCondition, SnpCondition};
use freehold_primitives::{Canonical as _, SnpProduct, SnpSigningKey};
use serde_json::{Value, json};

use crate::{
    NOW, PRODUCTS, REPORT_DATA, claims_of, collateral, emulated_roots, evidence, guest, machine, open_policy, release,
};

const KEYS: [SnpSigningKey; 2] = [SnpSigningKey::Vcek, SnpSigningKey::Vlek];

/// A product and a kind of key: evidence, collateral and what they say.
fn accepted(product: SnpProduct, key: SnpSigningKey) -> Value {
    let bytes = machine(product).evidence(&guest(), &REPORT_DATA, key, SnpCondition::Good);
    let document = collateral(product, key);
    let claims = snp::claims(&bytes, &document, &emulated_roots(), NOW).unwrap();
    json!({
        "name": format!("{product:?}_{key:?}").to_lowercase(),
        "root_certificate": hex::encode(machine(product).root_certificate()),
        "collateral": hex::encode(&document),
        "evidence": hex::encode(&bytes),
        "family": hex::encode(claims.family()),
        "platform": claims.platform(),
        "measurement": claims.report().measurement(),
        "host_data": claims.report().host_data(),
        "reported_tcb": hex::encode(claims.report().reported_tcb(product).to_canonical()),
        "signed_part_digest": claims.signed_part_digest(),
        "expires_at": claims.expires_at(),
    })
}

/// Evidence of a Genoa under a condition, and its verdict under the policy.
fn condition(condition: SnpCondition) -> Value {
    let bytes = evidence(condition);
    let policy = open_policy(vec![release()]);
    let verdict = claims_of(&bytes).and_then(|claims| snp::judge(&claims, &policy, NOW));
    json!({
        "name": format!("{condition:?}"), "evidence": hex::encode(&bytes),
        "code": verdict.map_or_else(Refusal::code, |()| 0),
    })
}

fn collateral_condition(condition: SnpCollateralCondition) -> Value {
    let document = machine(SnpProduct::Genoa).collateral(NOW, SnpSigningKey::Vcek, condition);
    let policy = open_policy(vec![release()]);
    let verdict = snp::claims(&evidence(SnpCondition::Good), &document, &emulated_roots(), NOW)
        .and_then(|claims| snp::judge(&claims, &policy, NOW));
    json!({
        "name": format!("{condition:?}"), "collateral": hex::encode(&document),
        "code": verdict.map_or_else(Refusal::code, |()| 0),
    })
}

/// The Genoa's evidence with `remove` bytes at `at` replaced by `insert`.
fn splice(name: &str, at: usize, remove: usize, insert: &[u8]) -> Value {
    let mut bytes = evidence(SnpCondition::Good);
    bytes.splice(at..at + remove, insert.iter().copied());
    json!({
        "name": name, "at": at, "remove": remove, "insert": hex::encode(insert),
        "code": claims_of(&bytes).map_or_else(Refusal::code, |_| 0),
    })
}

fn document() -> Value {
    let end = evidence(SnpCondition::Good).len();
    let accepted: Vec<Value> =
        PRODUCTS.into_iter().flat_map(|product| KEYS.map(|key| accepted(product, key))).collect();
    json!({
        "format": "freehold.attestation-vectors/1",
        "seed": hex::encode(DEVELOPMENT_SEED),
        "now_unix_s": NOW,
        "report_data": hex::encode(REPORT_DATA),
        "policy": hex::encode(open_policy(vec![release()]).to_canonical()),
        "accepted": accepted,
        "evidence_conditions": [
            condition(SnpCondition::Good),
            condition(SnpCondition::Debug),
            condition(SnpCondition::Migratable),
            condition(SnpCondition::LowerPrivilege),
            condition(SnpCondition::TcbOld),
            condition(SnpCondition::LaunchTcbOld),
            condition(SnpCondition::TcbOutOfOrder),
            condition(SnpCondition::AliasUnchecked),
            condition(SnpCondition::ChipForeign),
            condition(SnpCondition::TcbForeign),
            condition(SnpCondition::CpuForeign),
            condition(SnpCondition::EndorsementExpired),
            condition(SnpCondition::Unsigned),
        ],
        "collateral_conditions": [
            collateral_condition(SnpCollateralCondition::Good),
            collateral_condition(SnpCollateralCondition::IntermediateRevoked),
            collateral_condition(SnpCollateralCondition::ListExpired),
            collateral_condition(SnpCollateralCondition::ListMissing),
        ],
        "evidence_cases": [
            splice("report_unchanged", 0, 0, &[]),
            splice("report_empty", 0, end, &[]),
            splice("report_truncated_signature", 1183, end - 1183, &[]),
            splice("report_without_certificate", 1184, end - 1184, &[]),
            splice("certificate_truncated", end - 1, 1, &[]),
            splice("certificate_trailing_zero", end, 0, &[0]),
            splice("report_version_6", 0, 1, &[6]),
            splice("report_signature_algorithm_0", 0x34, 1, &[0]),
            splice("report_reserved_set", 0x4c, 1, &[1]),
            splice("report_signature_padding_set", 0x2d0, 1, &[1]),
            splice("report_chip_key_masked", 0x48, 1, &[2]),
            splice("report_measurement_changed", 0x90, 1, &[0]),
            splice("report_s_upper_half", 0x317, 1, &[0x90]),
        ],
    })
}

#[test]
fn emulated_vectors_are_what_the_code_gives() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/attestation/snp.json");
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    // `FREEHOLD_BLESS=1` writes the file again after a change that is meant.
    if std::env::var_os("FREEHOLD_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(recorded, document());
    let codes = |list: &str| -> Vec<u64> {
        recorded[list].as_array().unwrap().iter().map(|case| case["code"].as_u64().unwrap()).collect()
    };
    assert_eq!(codes("evidence_conditions"), [0, 502, 535, 533, 538, 539, 537, 536, 220, 221, 222, 304, 132]);
    assert_eq!(codes("collateral_conditions"), [0, 203, 303, 402]);
    assert_eq!(codes("evidence_cases"), [0, 102, 102, 102, 134, 134, 130, 130, 131, 131, 132, 133, 106]);
}
