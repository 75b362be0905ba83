//! The recorded vectors are what the code gives.

use std::path::PathBuf;

use freehold_attestation::{
    Refusal,
    nitro::{self, nitro_default_policy},
};
use freehold_emulator::{DEVELOPMENT_SEED, NitroCollateralCondition, NitroCondition};
use freehold_primitives::{Canonical as _, NitroPolicy};
use serde_json::{Value, json};

use crate::{HOST, NOW, REPORT_DATA, claims_of, collateral, emulated_roots, enclave, evidence};

fn policy() -> NitroPolicy {
    nitro_default_policy(vec![enclave().measurement])
}

fn condition(condition: NitroCondition) -> Value {
    let bytes = evidence(condition);
    let verdict = claims_of(&bytes).and_then(|claims| nitro::judge(&claims, &policy(), NOW));
    json!({
        "name": format!("{condition:?}"), "evidence": hex::encode(&bytes),
        "code": verdict.map_or_else(Refusal::code, |()| 0),
    })
}

fn collateral_condition(condition: NitroCollateralCondition) -> Value {
    let document = collateral(condition);
    let strict = NitroPolicy { revocation_required: true, ..policy() };
    let verdict = nitro::claims(&evidence(NitroCondition::Good), &document, &emulated_roots(), NOW)
        .and_then(|claims| nitro::judge(&claims, &strict, NOW));
    json!({
        "name": format!("{condition:?}"), "collateral": hex::encode(&document),
        "code": verdict.map_or_else(Refusal::code, |()| 0),
    })
}

/// The evidence with `remove` bytes at `at` replaced by `insert`.
fn splice(name: &str, at: usize, remove: usize, insert: &[u8]) -> Value {
    let mut bytes = evidence(NitroCondition::Good);
    bytes.splice(at..at + remove, insert.iter().copied());
    json!({
        "name": name, "at": at, "remove": remove, "insert": hex::encode(insert),
        "code": claims_of(&bytes).map_or_else(Refusal::code, |_| 0),
    })
}

fn document() -> Value {
    let bytes = evidence(NitroCondition::Good);
    let end = bytes.len();
    let claims = claims_of(&bytes).unwrap();
    let measurement = claims.document().measurement();
    json!({
        "format": "freehold.attestation-vectors/1",
        "seed": hex::encode(DEVELOPMENT_SEED),
        "now_unix_s": NOW,
        "root_certificate": hex::encode(HOST.root_certificate()),
        "policy": hex::encode(policy().to_canonical()),
        "claims": {
            "module_id": claims.document().module_id(),
            "platform": claims.platform(),
            "report_data": hex::encode(REPORT_DATA),
            "pcr0": measurement.pcr0,
            "pcr1": measurement.pcr1,
            "pcr2": measurement.pcr2,
            "signed_part_digest": claims.signed_part_digest(),
            "expires_at": claims.expires_at(),
        },
        "evidence_conditions": [
            condition(NitroCondition::Good),
            condition(NitroCondition::Debug),
            condition(NitroCondition::LeafExpired),
            condition(NitroCondition::ModuleForeign),
            condition(NitroCondition::TimestampAhead),
            condition(NitroCondition::UserDataShort),
            condition(NitroCondition::IssuerForeign),
        ],
        "collateral_conditions": [
            collateral_condition(NitroCollateralCondition::Good),
            collateral_condition(NitroCollateralCondition::RegionalRevoked),
            collateral_condition(NitroCollateralCondition::ListsExpired),
            collateral_condition(NitroCollateralCondition::ListsMissing),
        ],
        "evidence_cases": [
            splice("document_unchanged", 0, 0, &[]),
            splice("document_empty", 0, end, &[]),
            splice("document_tagged", 0, 0, &[0xd2]),
            splice("document_es256", 5, 1, &[0x26]),
            splice("document_unprotected_header", 6, 1, &[0xa1, 1, 1]),
            splice("document_truncated_signature", end - 1, 1, &[]),
            splice("document_trailing_zero", end, 0, &[0]),
            splice("document_s_upper_half", end - 48, 1, &[0x90]),
            splice("document_not_a_map", 10, 1, &[0x9f]),
            splice("document_payload_changed", 30, 1, b"-"),
        ],
    })
}

#[test]
fn emulated_vectors_are_what_the_code_gives() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/attestation/nitro.json");
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
    assert_eq!(codes("evidence_conditions"), [0, 502, 304, 240, 306, 154, 202]);
    assert_eq!(codes("collateral_conditions"), [0, 203, 303, 402]);
    assert_eq!(codes("evidence_cases"), [0, 150, 150, 150, 150, 150, 103, 106, 151, 152]);
}
