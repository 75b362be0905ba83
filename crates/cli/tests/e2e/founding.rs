//! The way of docs/operations.md, "A network of four machines": contribute, combine, join, and four `node` processes.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{BINARY, Running, free_address, run, said, turn, until};

/// Folders of four machines that have contributed, and the network file.
fn contributed() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let mut combine = vec!["genesis".to_owned(), "combine".to_owned(), "--out".to_owned(), path("network.toml")];
    for machine in 0..4 {
        let (folder, address) = (path(&format!("machine-{machine}")), free_address());
        let made = run(&["genesis", "contribute", "--data-dir", &folder, "--address", &address]);
        assert!(made.status.success(), "{made:?}");
        combine.push(format!("{folder}/contribution.toml"));
    }
    let combine: Vec<&str> = combine.iter().map(String::as_str).collect();
    let made = run(&combine);
    assert!(made.status.success(), "{made:?}");
    root
}

#[test]
fn four_machines_found_a_network_and_run_it() {
    let _turn = turn();
    let root = contributed();
    let network = root.path().join("network.toml");
    let join = |machine: usize| {
        Command::new(BINARY)
            .args(["genesis", "join", "--json", "--data-dir"])
            .arg(root.path().join(format!("machine-{machine}")))
            .arg("--network")
            .arg(&network)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // One is killed in the middle, and joins again.
    let mut joining: Vec<_> = (0..4).map(join).collect();
    std::thread::sleep(std::time::Duration::from_millis(700));
    joining[2].kill().unwrap();
    joining[2].wait().unwrap();
    joining[2] = join(2);
    let founded: Vec<serde_json::Value> = joining
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let line = text.lines().find(|line| line.contains("\"founded\"")).unwrap_or_else(|| panic!("{text}"));
            serde_json::from_str(line).unwrap()
        })
        .collect();
    assert!(founded.iter().all(|made| made == &founded[0]), "{founded:?}");

    let nodes: Vec<Running> = (0..4)
        .map(|machine| {
            let folder = root.path().join(format!("machine-{machine}"));
            Running::start(&["node", "--data-dir", folder.to_str().unwrap(), "--rpc", "127.0.0.1:0"])
        })
        .collect();
    for node in &nodes {
        node.reach(3);
        assert_eq!(json!(node.text("network_key")), founded[0]["network_key"]);
    }
    assert!(nodes.iter().all(|node| node.block_hash(3) == nodes[0].block_hash(3)));
    let status = nodes[0].call("freehold_status", json!([])).unwrap();
    assert_eq!(status["key_ceremony"], json!("distributed"), "{status}");
    assert_eq!(status["state_keys"]["origin"], json!("quorum"), "{status}");
    until("blocks go on", || nodes.iter().all(|node| node.height() > 5));
}

#[test]
fn founder_of_another_network_file_is_refused() {
    let _turn = turn();
    let root = contributed();
    let stranger = root.path().join("stranger");
    let network = root.path().join("network.toml");
    let refused =
        run(&["genesis", "join", "--data-dir", stranger.to_str().unwrap(), "--network", network.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("contribute it, and combine again"), "{}", said(&refused));
    // A network file is not overwritten by another.
    let first = root.path().join("machine-0/contribution.toml");
    let refused = run(&["genesis", "combine", first.to_str().unwrap(), "--out", network.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    let text = std::fs::read_to_string(&network).unwrap();
    std::fs::write(&network, format!("surprise = 1\n{text}")).unwrap();
    let machine = root.path().join("machine-0");
    let refused =
        run(&["genesis", "join", "--data-dir", machine.to_str().unwrap(), "--network", network.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "an unknown key is refused");
}
