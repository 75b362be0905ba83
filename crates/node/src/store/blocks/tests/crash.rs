//! Killing a node between any two writes: both stores come back as one.
#![allow(clippy::unwrap_used)]

use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use freehold_ledger::StateTree as _;

use super::{Durable, Node};

/// Set in the child: the folder that it writes to until it is killed.
const FOLDER: &str = "FREEHOLD_CRASH_FOLDER";
const TEST: &str = "store::blocks::tests::crash::a_killed_node_recovers_both_stores";

fn step(node: &mut Node) {
    let height = node.blocks.executed().unwrap().height + 1;
    let durable = if height.is_multiple_of(2) { Durable::Now } else { Durable::WithBlock };
    node.next((height % 23) as u32, durable);
}

#[test]
fn a_killed_node_recovers_both_stores() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let mut node = Node::open(folder.as_ref());
        loop {
            step(&mut node);
        }
    }
    let (killed, reference) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut newest = 0;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact"])
            .env(FOLDER, killed.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(300 + 97 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        // Opening executes again what the tree lost, and every repeat must match the stored block.
        let node = Node::open(killed.path());
        let mark = node.blocks.executed().unwrap();
        assert!(mark.height >= newest, "executed blocks were lost");
        assert_eq!((node.tree.height(), node.tree.root()), (Some(mark.height), mark.state_root));
        newest = mark.height;
    }
    let (node, mut other) = (Node::open(killed.path()), Node::open(reference.path()));
    while other.blocks.executed().unwrap().height < newest {
        step(&mut other);
    }
    println!("killed eight times, {newest} blocks");
    assert_eq!(node.blocks.executed(), other.blocks.executed());
}
