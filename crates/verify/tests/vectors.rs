//! The vectors of `spec/vectors/proof`: what any verifier of proofs must say of them. They are made by the fixture, which is
//! deterministic; `FREEHOLD_WRITE_VECTORS=1` writes them anew after a change of the format.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::PathBuf};

use freehold_primitives::{
    Account, NetworkKey,
    entries::{AuditVerdict, DenySubject, UpgradeRule},
};
use freehold_verify::{LinkStatus, VerifyOptions, verify_bundle};
use serde_json::{Value, json};
use support::{ANCHOR_HEIGHT, GENESIS_TIME, Plan, Promised, made_with};

const NOW: u64 = GENESIS_TIME + 100;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/proof")
}

/// Name and text of each vector, and the key that all of them hang on.
fn vectors() -> (NetworkKey, Vec<(&'static str, String)>) {
    let plain = made_with(&Plan::default());
    let text = |plan: Plan| made_with(&plan).document.to_text().unwrap();
    let whole = plain.document.to_text().unwrap();
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let genesis = hex::encode(&plain.document.finality.genesis.0[..8]);
    let seed = &plain.document.finality.state.0;
    let seed_end = hex::encode(&seed[seed.len() - 4..]);
    let other_seed = hex::encode(&plain.document.finality.receipt.0[seed.len() - 4..]);
    let vectors = vec![
        ("valid", whole.clone()),
        ("valid_redacted", plain.document.clone().redacted().to_text().unwrap()),
        ("valid_unanchored", text(Plan { unanchored: true, ..Plan::default() })),
        ("valid_tainted", {
            let plan = Plan { denied: vec![DenySubject::Platform], closed_at: Some(44), ..Plan::default() };
            text(plan)
        }),
        ("valid_tainted_by_chain", {
            let denied_by_chain = vec![DenySubject::Generation, DenySubject::TcbLevel];
            text(Plan { denied_by_chain, lifted_at: Some(45), ..Plan::default() })
        }),
        ("valid_promise", {
            let rule = UpgradeRule { notice_s: 3_600, cosigners: vec![Account([1; 20])], cosigners_needed: 1 };
            let (since_unix_s, public_since_unix_s) = (GENESIS_TIME - 9_000, GENESIS_TIME - 5_000);
            let audits = vec![(Account([0x11; 20]), Some(AuditVerdict::Sound)), (Account([0x22; 20]), None)];
            let promise =
                Promised { rule: Some(rule), since_unix_s, public_since_unix_s, audits, ..Promised::default() };
            text(Plan { promise: Some(promise), ..Plan::default() })
        }),
        ("valid_promise_never", text(Plan { promise: Some(Promised::default()), ..Plan::default() })),
        ("refused_promise_other_policy", {
            let promise = Promised { rule: Some(UpgradeRule::default()), other_policy: true, ..Promised::default() };
            text(Plan { promise: Some(promise), ..Plan::default() })
        }),
        ("refused_denied_before_anchor", {
            let denied_by_chain = vec![DenySubject::Platform];
            text(Plan { denied_by_chain, denied_since: Some(ANCHOR_HEIGHT), ..Plan::default() })
        }),
        ("refused_closed_before_anchor", text(Plan { closed_at: Some(ANCHOR_HEIGHT), ..Plan::default() })),
        ("refused_quote_stale_nonce", text(Plan { stale_quote: true, ..Plan::default() })),
        ("refused_quote_other_measurement", text(Plan { other_measurement: true, ..Plan::default() })),
        ("refused_registration_other_signer", text(Plan { other_signer: true, ..Plan::default() })),
        ("refused_response_changed", changed("Because", "Becausf")),
        ("refused_certificate_other_seed", changed(&seed_end, &other_seed)),
        ("malformed_no_newline", whole.trim_end().to_owned()),
        ("malformed_space", changed("{\"anchor\":", "{ \"anchor\":")),
        ("malformed_duplicate_member", changed("{\"anchor\":", "{\"anchor\":null,\"anchor\":")),
        ("malformed_unknown_member", changed("\"lease_s\":600", "\"lease_s\":600,\"lease_t\":0")),
        ("malformed_upper_case_hex", changed(&genesis, &format!("{}A{}", &genesis[..12], &genesis[13..]))),
        ("malformed_float", changed("\"lease_s\":600", "\"lease_s\":600.0")),
        ("malformed_truncated", whole[..whole.len() / 2].to_owned()),
    ];
    (plain.network_key, vectors)
}

/// What this verifier says of a vector, for the manifest.
fn said(name: &str, key: NetworkKey, text: &str) -> Value {
    let verdict = verify_bundle(text, &VerifyOptions::new(key, NOW)).unwrap();
    let failed: Vec<&str> = verdict
        .links()
        .iter()
        .filter(|report| matches!(report.status, LinkStatus::Failed(_)))
        .map(|report| report.link.as_str())
        .collect();
    let claims = verdict.claims();
    json!({
        "name": name,
        "verdict": if verdict.is_valid() { "valid" } else { "refused" },
        "valid_then": claims.is_some_and(|claims| claims.valid_then),
        "valid_now": claims.map_or("unknown", |claims| claims.valid_now.as_str()),
        "anchored": claims.is_some_and(|claims| claims.anchored),
        "tainted": claims.map_or(0, |claims| claims.tainted.len()),
        "failed": failed,
    })
}

#[test]
fn vectors_are_what_this_code_makes_and_says() {
    let (key, vectors) = vectors();
    let said: Vec<Value> = vectors.iter().map(|(name, text)| said(name, key, text)).collect();
    for said in &said {
        let name = said["name"].as_str().unwrap();
        let wanted = if name.starts_with("valid") { "valid" } else { "refused" };
        assert_eq!(said["verdict"], wanted, "{said}");
        assert!(!name.starts_with("malformed") || !said["failed"].as_array().unwrap().is_empty(), "{said}");
    }
    let manifest = json!({"network_key": key, "now_unix_s": NOW, "vectors": said});
    let manifest = format!("{}\n", serde_json::to_string_pretty(&manifest).unwrap());
    let files = vectors.into_iter().map(|(name, text)| (format!("{name}.json"), text));
    for (file, text) in files.chain([("manifest.json".to_owned(), manifest)]) {
        let path = folder().join(&file);
        if std::env::var_os("FREEHOLD_WRITE_VECTORS").is_some() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap();
        assert!(kept == text, "{file} differs from what this code makes");
    }
}

/// A proof of a whole network, every part of it at work: `freehold demo --json --save-proof recorded.json` writes it and
/// prints the network key; that key and a time soon after stand in `recorded_options.json` (`spec/proof-bundle.md` §8).
#[test]
fn a_proof_recorded_from_a_whole_network_stays_valid() {
    let read = |file: &str| fs::read_to_string(folder().join(file));
    let (Ok(text), Ok(options)) = (read("recorded.json"), read("recorded_options.json")) else {
        let said = "SKIPPED: no recorded proof of the present format; record one as spec/proof-bundle.md §8 says\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        return;
    };
    let options: Value = serde_json::from_str(&options).unwrap();
    let key = options["network_key"].as_str().unwrap().parse().unwrap();
    let options = VerifyOptions::new(key, options["now_unix_s"].as_u64().unwrap());
    let verdict = verify_bundle(&text, &options).unwrap();
    assert!(verdict.is_valid(), "{}", verdict.to_json());
    for mutation in freehold_verify::mutations(&text).unwrap() {
        let verdict = verify_bundle(&mutation.text, &options).unwrap();
        if let Some(link) = mutation.link {
            assert!(matches!(verdict.status(link), LinkStatus::Failed(_)), "{}", mutation.pointer);
        }
        assert!(!verdict.is_valid(), "{}", mutation.pointer);
    }
}
