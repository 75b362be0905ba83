//! Which warnings follow from what, and that every one stands in the runbook.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path};

use freehold_primitives::Ed25519Key;
use freehold_rpc::{
    KeyServiceReport, Latency, Machine, NodeHealth, NodeRole, Progress, ProtocolReport, TermReport, ValidatorReport,
};

use super::{quorum, warnings};

fn validator(byte: u8) -> ValidatorReport {
    ValidatorReport {
        validator: Ed25519Key([byte; 32]),
        own: byte == 1,
        connected_s: (byte != 1).then_some(60),
        votes_behind: Some(1),
        proposed: Some(98),
        execution_lag: Some(0),
    }
}

/// One of four validators, and all is well.
fn well() -> NodeHealth {
    let latency = Latency { count: 10, p50_ms: 30, p99_ms: 60 };
    NodeHealth {
        role: NodeRole::Validator,
        identity: Some(Ed25519Key([1; 32])),
        term: TermReport {
            number: 0,
            blocks: 0,
            next_at: None,
            quorum: Some(3),
            is_member: true,
            holds_share: true,
            resharing: None,
        },
        progress: Progress {
            ordered: 100,
            executed: 100,
            executed_age_s: 1,
            finalized: 99,
            finalized_age_s: 2,
            view: Some(101),
            pool: 0,
        },
        validators: [1, 2, 3, 4].map(validator).to_vec(),
        finality: latency,
        receipts: latency,
        machine: Machine {
            blocks_bytes: 1,
            state_bytes: 1,
            consensus_bytes: 1,
            disk_free_bytes: 100_000_000_000,
            memory_bytes: 1,
        },
        key_service: KeyServiceReport { serves: true, released: 0, refused: 0 },
        refused: Vec::new(),
        protocol: ProtocolReport { current: 1, next: 1, next_from: 0, release: String::new(), known: 1 },
        warnings: Vec::new(),
    }
}

/// The codes that follow from a change.
fn codes(change: impl FnOnce(&mut NodeHealth), ahead_ms: u64) -> Vec<String> {
    let mut health = well();
    change(&mut health);
    warnings(&health, ahead_ms).into_iter().map(|warning| warning.code).collect()
}

#[test]
fn each_trouble_has_its_warning_and_a_well_node_has_none() {
    assert!(codes(|_| {}, 500).is_empty());
    assert_eq!(codes(|_| {}, 501), ["clock"]);
    assert_eq!(codes(|health| health.machine.disk_free_bytes = 1_000_000, 0), ["disk-low"]);
    // A system that does not say is no full disk.
    assert!(codes(|health| health.machine.disk_free_bytes = 0, 0).is_empty());
    assert_eq!(codes(|health| health.progress.executed_age_s = 11, 0), ["no-blocks"]);
    assert_eq!(codes(|health| health.progress.ordered = 117, 0), ["execution-behind"]);
    assert_eq!(codes(|health| health.term.resharing = Some("kept".to_owned()), 0), ["resharing-failed"]);
    assert_eq!(codes(|health| health.term.holds_share = false, 0), ["no-share"]);
    assert_eq!(codes(|health| health.validators[2].connected_s = None, 0), ["validator-away"]);
    assert_eq!(codes(|health| health.validators[2].votes_behind = Some(17), 0), ["validator-silent"]);
    let lost = |health: &mut NodeHealth| {
        health.progress.executed_age_s = 30;
        health.validators[2].connected_s = None;
        health.validators[3].connected_s = None;
    };
    assert_eq!(codes(lost, 0), ["quorum-lost", "validator-away", "validator-away"]);
    let coming = |next| {
        move |health: &mut NodeHealth| {
            health.protocol =
                ProtocolReport { current: 1, next, next_from: 500, release: "freehold-0.2.0".to_owned(), known: 2 }
        }
    };
    assert!(codes(coming(2), 0).is_empty());
    assert_eq!(codes(coming(3), 0), ["protocol-unknown"]);
    let mut health = well();
    coming(3)(&mut health);
    let warning = &warnings(&health, 0)[0];
    assert!(warning.text.contains("400 blocks") && warning.action.contains("freehold-0.2.0"), "{warning:?}");
}

#[test]
fn three_of_four_must_vote() {
    assert_eq!([1, 4, 7, 16].map(quorum), [1, 3, 5, 11]);
}

#[test]
fn every_warning_has_its_place_in_the_runbook() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = fs::read_to_string(root.join("crates/node/src/health.rs")).unwrap();
    let words = source.split('"').skip(1).step_by(2);
    let is_code =
        |word: &&str| word.contains('-') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let codes: BTreeSet<&str> = words.filter(is_code).chain(["clock"]).collect();
    assert!(codes.len() >= 9, "{codes:?}");
    let runbook = fs::read_to_string(root.join("docs/runbook.md")).unwrap();
    for code in codes {
        assert!(runbook.contains(&format!("## `{code}`")), "docs/runbook.md has no heading for {code}");
    }
}
