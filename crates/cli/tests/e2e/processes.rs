//! Four validators as four processes: agreement, kills, and coming back.

use crate::support::{Running, free_address, run, turn, until};

struct Net {
    folder: tempfile::TempDir,
    addresses: Vec<String>,
}

impl Net {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = run(&["node", "--init", "4", "--data-dir", folder.path().to_str().unwrap()]);
        assert!(made.status.success(), "{made:?}");
        Self { folder, addresses: (0..4).map(|_| free_address()).collect() }
    }

    fn start(&self, index: usize) -> Running {
        let folder = self.folder.path().join(format!("validator-{index}"));
        let (folder, peers) = (folder.to_str().unwrap(), self.addresses.join(","));
        let listen = &self.addresses[index];
        Running::start(&["node", "--data-dir", folder, "--listen", listen, "--peers", &peers, "--rpc", "127.0.0.1:0"])
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
