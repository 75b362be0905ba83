//! The specification's tables and vectors are what the code does.

use std::path::PathBuf;

use freehold_attestation::{Refusal, RefusalClass, claims, development_policy, read_collateral, verify_tdx};
use freehold_emulator::{CollateralPlan, Condition, DEVELOPMENT_SEED, FMSPC};
use freehold_primitives::Canonical as _;
use serde_json::{Value, json};

use crate::{NOW, PLATFORM, REPORT_DATA, emulated_roots, td};

fn spec(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec").join(path)
}

/// The vectors of emulated evidence.
pub(crate) fn vector_path() -> PathBuf {
    spec("vectors/attestation/emulated.json")
}

#[test]
fn every_refusal_stands_in_the_specification() {
    let page = std::fs::read_to_string(spec("evidence.md")).unwrap();
    for refusal in Refusal::ALL {
        let row = format!("| {} | `{refusal:?}` |", refusal.code());
        assert!(page.contains(&row), "spec/evidence.md lacks: {row} {refusal}");
        assert_eq!(Refusal::from_code(refusal.code()), Some(*refusal));
        assert_eq!(refusal.class() as u16, refusal.code() / 100);
    }
    let is_row = |line: &&str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells.len() > 3 && cells[1].parse::<u16>().is_ok() && cells[2].starts_with('`')
    };
    assert_eq!(page.lines().filter(is_row).count(), Refusal::ALL.len());
    let classes = [
        RefusalClass::Invalid,
        RefusalClass::Untrusted,
        RefusalClass::Expired,
        RefusalClass::Unavailable,
        RefusalClass::Policy,
    ];
    assert!(Refusal::ALL.iter().all(|refusal| classes.contains(&refusal.class())));
    assert_eq!(Refusal::from_code(0), None);
}

/// One case: the quote with `remove` bytes at `at` replaced by `insert`.
fn splice(name: &str, at: usize, remove: usize, insert: &[u8]) -> Value {
    let mut quote = PLATFORM.quote_v4(&td(), &REPORT_DATA);
    quote.splice(at..at + remove, insert.iter().copied());
    let verdict = claims(&quote, &PLATFORM.collateral(NOW), &emulated_roots(), NOW);
    json!({
        "name": name, "at": at, "remove": remove, "insert": hex::encode(insert),
        "code": verdict.map_or_else(Refusal::code, |_| 0),
    })
}

fn condition(name: &str, condition: Condition) -> Value {
    let collateral = PLATFORM.collateral_with(NOW, &CollateralPlan { condition, ..CollateralPlan::default() });
    let verdict = crate::verify(&td(), &collateral, NOW);
    json!({
        "name": name, "collateral": hex::encode(&collateral),
        "code": verdict.map_or_else(Refusal::code, |_| 0),
    })
}

fn document() -> Value {
    let quote = PLATFORM.quote_v4(&td(), &REPORT_DATA);
    let collateral = PLATFORM.collateral(NOW);
    let policy = development_policy(td().measurement());
    let verified = verify_tdx(&quote, &collateral, &emulated_roots(), &policy, NOW).unwrap();
    let read = read_collateral(&collateral, &emulated_roots(), NOW).unwrap();
    let end = quote.len();
    let measurement = verified.measurement();
    json!({
        "format": "freehold.attestation-vectors/1",
        "seed": hex::encode(DEVELOPMENT_SEED),
        "now_unix_s": NOW,
        "root_certificate": hex::encode(PLATFORM.root_certificate()),
        "collateral": hex::encode(&collateral),
        "collateral_issued_at": read.issued_at(),
        "collateral_expires_at": read.expires_at(),
        "policy": hex::encode(policy.to_canonical()),
        "evidence": hex::encode(&quote),
        "claims": {
            "trust_domain": verified.trust_domain().as_str(),
            "mrtd": measurement.mrtd,
            "rtmr0": measurement.rtmr0,
            "rtmr1": measurement.rtmr1,
            "rtmr2": measurement.rtmr2,
            "rtmr3": measurement.rtmr3,
            "platform": verified.platform(),
            "fmspc": hex::encode(FMSPC),
            "report_data": hex::encode(verified.report_data()),
            "signed_part_digest": verified.signed_part_digest(),
            "expires_at": verified.expires_at(),
            "tcb_evaluation_data_number": verified.tcb_evaluation_data_number(),
        },
        "evidence_cases": [
            splice("quote_unchanged", 0, 0, &[]),
            splice("quote_empty", 0, end, &[]),
            splice("quote_truncated_header", 47, end - 47, &[]),
            splice("quote_truncated_body", 631, end - 631, &[]),
            splice("quote_truncated_signature", 700, end - 700, &[]),
            splice("quote_truncated_chain", end - 1, 1, &[]),
            splice("quote_trailing_zero", end, 0, &[0]),
            splice("quote_version_5", 0, 2, &[5, 0]),
            splice("quote_tee_sgx", 4, 4, &[0; 4]),
            splice("quote_vendor_unknown", 12, 1, &[0]),
            splice("quote_outer_type_7", 764, 2, &[7, 0]),
            splice("quote_inner_type_4", 1252, 2, &[4, 0]),
            splice("quote_mrtd_changed", 48 + 136, 1, &[0]),
            splice("quote_report_data_changed", 48 + 520, 1, &[0]),
            splice("quote_attestation_key_changed", 700, 1, &[0]),
            splice("quote_chain_without_nul", end - 1, 1, b"\n"),
        ],
        "collateral_cases": [
            condition("platform_out_of_date", Condition::OutOfDate),
            condition("platform_tcb_revoked", Condition::TcbRevoked),
            condition("platform_tcb_unknown", Condition::TcbUnknown),
            condition("pck_revoked", Condition::PckRevoked),
            condition("signer_revoked", Condition::SignerRevoked),
            condition("quoting_enclave_foreign", Condition::QuotingEnclaveForeign),
            condition("module_out_of_date", Condition::ModuleOutOfDate),
            condition("module_unknown", Condition::ModuleUnknown),
        ],
    })
}

#[test]
fn emulated_vectors_are_what_the_code_gives() {
    let path = vector_path();
    let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    // `FREEHOLD_BLESS=1` writes the file again after a change that is meant.
    if std::env::var_os("FREEHOLD_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let recorded: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(recorded, document());
    let codes = |list: &str| -> Vec<u64> {
        recorded[list].as_array().unwrap().iter().map(|case| case["code"].as_u64().unwrap()).collect()
    };
    assert_eq!(codes("evidence_cases").iter().filter(|code| **code == 0).count(), 1, "only the unchanged quote");
    assert!(!codes("collateral_cases").contains(&0));
}
