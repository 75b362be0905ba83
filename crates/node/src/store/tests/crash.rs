//! Killing the process at any moment: the tree comes back at a commit, and the same blocks give the same roots.
#![allow(clippy::unwrap_used)]

use std::{process::Command, thread::sleep, time::Duration};

use super::{Model, block, open};
use freehold_ledger::StateTree as _;
use rand::{SeedableRng as _, rngs::StdRng};

/// Set in the child: the directory that it writes to until it is killed.
const DIRECTORY: &str = "FREEHOLD_CRASH_DIRECTORY";
const TEST: &str = "store::tests::crash::a_killed_store_reopens_at_a_commit";
const KEYS: u32 = 700;

#[test]
fn a_killed_store_reopens_at_a_commit() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let (mut rng, mut model) = (StdRng::seed_from_u64(29), Model::new());
        let mut tree = open(directory.as_ref(), u64::MAX >> 2);
        let applied = tree.reader().applied();
        for height in 0.. {
            let writes = block(&mut rng, &mut model, KEYS, 30);
            if applied.is_none_or(|applied| height > applied) {
                tree.apply(height, &writes).unwrap();
                tree.persist();
            }
        }
    }
    let (killed, reference) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut newest = None;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact"])
            .env(DIRECTORY, killed.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(400 + 130 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let tree = open(killed.path(), u64::MAX >> 2);
        assert!(tree.reader().applied() >= newest, "durable blocks were lost");
        newest = tree.reader().applied();
    }
    let tree = open(killed.path(), u64::MAX >> 2);
    let height = newest.expect("some blocks were durable before the last kill");
    println!("killed six times, newest durable height {height}");
    let (mut rng, mut model) = (StdRng::seed_from_u64(29), Model::new());
    let mut other = open(reference.path(), super::FRESH);
    for height in 0..=height {
        let writes = block(&mut rng, &mut model, KEYS, 30);
        other.apply(height, &writes).unwrap();
    }
    assert_eq!(other.root(), tree.root());
}
