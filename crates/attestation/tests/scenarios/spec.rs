//! The specification's tables and vectors are what the code does.

use std::path::PathBuf;

use freehold_attestation::{Refusal, RefusalClass, judge, read_collateral};
use freehold_emulator::{CollateralPlan, Condition, DEVELOPMENT_SEED};
use freehold_primitives::{Canonical as _, entries::CollateralKind};
use serde_json::{Value, json};

use crate::{FORMS, Form, NOW, PLATFORM, emulated_roots, td};

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

/// One case: the quote of a form with `remove` bytes at `at` replaced by `insert`.
fn splice(form: &Form, name: &str, at: usize, remove: usize, insert: &[u8]) -> Value {
    let mut quote = form.quote.clone();
    quote.splice(at..at + remove, insert.iter().copied());
    json!({
        "name": name, "at": at, "remove": remove, "insert": hex::encode(insert),
        "code": form.claims(&quote).map_or_else(Refusal::code, |_| 0),
    })
}

fn cases(form: &Form) -> Value {
    let end = form.quote.len();
    let case = |name: &str, at: usize, remove: usize, insert: &[u8]| splice(form, name, at, remove, insert);
    json!([
        case("quote_unchanged", 0, 0, &[]),
        case("quote_empty", 0, end, &[]),
        case("quote_truncated_header", 47, end - 47, &[]),
        case("quote_truncated_body", form.signed - 1, end - form.signed + 1, &[]),
        case("quote_truncated_signature", form.key_at(), end - form.key_at(), &[]),
        case("quote_truncated_chain", end - 1, 1, &[]),
        case("quote_trailing_zero", end, 0, &[0]),
        case("quote_version_unknown", 0, 2, &[6, 0]),
        case("quote_tee_unknown", 4, 4, &[1, 0, 0, 0]),
        case("quote_vendor_unknown", 12, 1, &[0]),
        case("quote_inner_type_4", form.inner_at(), 2, &[4, 0]),
        case("quote_body_changed", form.body_at + 136, 1, &[form.quote[form.body_at + 136] ^ 1]),
        case("quote_report_data_changed", form.report_data_at, 1, &[0]),
        case("quote_attestation_key_changed", form.key_at(), 1, &[form.quote[form.key_at()] ^ 1]),
        case("quote_chain_without_nul", end - 1, 1, b"\n"),
    ])
}

fn document_of(form: &Form) -> Value {
    let verified = form.claims(&form.quote).unwrap();
    assert_eq!(judge(&verified, &form.policy, NOW), Ok(()));
    json!({
        "name": form.name,
        "kind": form.kind.as_str(),
        "evidence": hex::encode(&form.quote),
        "collateral": form.kind.as_str(),
        "policy": hex::encode(form.policy.to_canonical()),
        "claims": {
            "trust_domain": verified.trust_domain().as_str(),
            "measurement": hex::encode(verified.measurement().to_canonical()),
            "platform": verified.platform(),
            "family": verified.family(),
            "report_data": hex::encode(verified.report_data()),
            "signed_part_digest": verified.signed_part_digest(),
            "expires_at": verified.expires_at(),
        },
        "cases": cases(form),
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
    let collateral = PLATFORM.collateral(NOW);
    let read = read_collateral(CollateralKind::Dcap, &collateral, &emulated_roots(), NOW).unwrap();
    json!({
        "format": "freehold.attestation-vectors/2",
        "seed": hex::encode(DEVELOPMENT_SEED),
        "now_unix_s": NOW,
        "root_certificate": hex::encode(PLATFORM.root_certificate()),
        "collateral": {
            "tdx": hex::encode(&collateral),
            "sgx": hex::encode(&FORMS.last().unwrap().collateral),
        },
        "collateral_issued_at": read.issued_at(),
        "collateral_expires_at": read.expires_at(),
        "forms": FORMS.iter().map(document_of).collect::<Vec<_>>(),
        "collateral_cases": [
            condition("platform_out_of_date", Condition::OutOfDate),
            condition("platform_tcb_revoked", Condition::TcbRevoked),
            condition("platform_tcb_unknown", Condition::TcbUnknown),
            condition("pck_revoked", Condition::PckRevoked),
            condition("pck_ca_revoked", Condition::CaRevoked),
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
    let codes = |list: &Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|case| case["code"].as_u64().unwrap()).collect()
    };
    for form in recorded["forms"].as_array().unwrap() {
        assert_eq!(codes(&form["cases"]).iter().filter(|code| **code == 0).count(), 1, "only the unchanged quote");
    }
    assert!(!codes(&recorded["collateral_cases"]).contains(&0));
}
