//! Four validators as four processes: agreement, kills, and coming back.

use std::{net::TcpListener, process::Output};

use crate::support::{Running, free_address, run, said, turn, until};

/// A network whose validators are processes.
pub(crate) struct Net {
    folder: tempfile::TempDir,
    addresses: Vec<String>,
}

impl Net {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&["node", "--init", "4", "--data-dir", folder.path().to_str().unwrap()]);
        assert!(made.status.success(), "{made:?}");
        Self { folder, addresses: (0..4).map(|_| free_address()).collect() }
    }

    pub(crate) fn start(&self, index: usize) -> Running {
        self.try_start(index).unwrap()
    }

    pub(crate) fn try_start(&self, index: usize) -> Result<Running, Output> {
        self.try_start_from(index, &self.folder_of(index))
    }

    /// The folder of a validator.
    pub(crate) fn folder_of(&self, index: usize) -> String {
        self.folder.path().join(format!("validator-{index}")).to_str().unwrap().to_owned()
    }

    /// Starts a validator from another folder than its own.
    pub(crate) fn try_start_from(&self, index: usize, folder: &str) -> Result<Running, Output> {
        let (peers, listen) = (self.addresses.join(","), &self.addresses[index]);
        let node = ["node", "--data-dir", folder, "--listen", listen, "--peers", &peers, "--rpc", "127.0.0.1:0"];
        Running::try_start(&node)
    }
}

#[test]
fn four_processes_agree_and_survive_kills() {
    let _turn = turn();
    let net = Net::new();
    let mut nodes: Vec<Running> = (0..4).map(|index| net.start(index)).collect();
    for node in &nodes {
        node.reach(3);
    }
    let hash = nodes[0].block_hash(3);
    assert!(nodes.iter().all(|node| node.block_hash(3) == hash));

    // One dies: the others go on, and it catches up when it comes back.
    let last = nodes.pop().unwrap();
    let height = last.height();
    last.kill();
    nodes[0].reach(height + 3);

    // Its address is taken meanwhile: one sentence, and no panic of the engine.
    let taken = TcpListener::bind(&net.addresses[3]).unwrap();
    let refused = net.try_start(3).err().expect("a taken address is refused");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("cannot listen on"), "{}", said(&refused));
    assert_eq!(said(&refused).trim_end().lines().count(), 1, "{}", said(&refused));
    drop(taken);
    let back = net.start(3);
    back.reach(height + 3);
    assert_eq!(back.block_hash(height + 3), nodes[0].block_hash(height + 3));
    nodes.push(back);

    // All die at once: no final block is lost.
    let height = nodes.iter().map(Running::height).min().unwrap();
    let hash = nodes[0].block_hash(height);
    nodes.into_iter().for_each(Running::kill);
    let nodes: Vec<Running> = (0..4).map(|index| net.start(index)).collect();
    until("all go on", || nodes.iter().all(|node| node.height() > height));
    assert!(nodes.iter().all(|node| node.block_hash(height) == hash));
}
