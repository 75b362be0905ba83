//! Contracts: ours from their committed artefacts, and libraries that others wrote for Sapphire and Ethereum.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use freehold_primitives::Account;

use crate::{
    instance::prepared,
    support::{Hardhat, Running, beside, contract_clients, hardhat_2, hardhat_3, passes, turn},
};

/// Owner of the oracle's app: account 6 of the test mnemonic, untouched by other scripts.
const OWNER: &str = "976ea74026e726554db657fa54763abd0c3a0aa9";

fn up(folder: &Path) -> Running {
    let folder = folder.to_str().unwrap();
    let network =
        Running::start(&["up", "--no-app", "--validators", "1", "--data-dir", folder, "--rpc", "127.0.0.1:0"]);
    network.reach(2);
    network
}

fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts")
}

/// Copies files from beside the tests to where their packages are.
fn copy(names: &[&str], folder: &Path) {
    for name in names {
        let to = folder.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(beside(name), to).unwrap();
    }
}

#[test]
fn artefacts_are_what_the_sources_give() {
    if let Some(clients) = contract_clients() {
        passes(Command::new("node").arg(ours().join("compile.mjs")).arg("--check").arg(clients));
    }
}

#[test]
fn examples_keep_their_secrets() {
    let _turn = turn();
    let Some(clients) = contract_clients() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path());
    copy(&["chain.mjs", "solidity.mjs", "Item.sol", "examples.mjs"], &clients);
    let script = clients.join("examples.mjs");
    passes(Command::new("node").arg(script).arg(network.text("rpc")).arg(ours().join("artifacts")));
    network.interrupt();
}

#[test]
fn only_live_instances_feed_the_oracle() {
    let _turn = turn();
    let Some(clients) = contract_clients() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path());
    copy(&["chain.mjs", "oracle.mjs"], &clients);
    let mut owner = [0; 20];
    hex::decode_to_slice(OWNER, &mut owner).unwrap();
    let owner = Account(owner);
    let app = prepared(&network, owner, 0, &[0x31, 0x32]);
    let other = prepared(&network, owner, 1, &[0x33]);
    let file = folder.path().join("apps.json");
    std::fs::write(&file, serde_json::json!([app, other]).to_string()).unwrap();
    let script = clients.join("oracle.mjs");
    passes(Command::new("node").arg(script).arg(network.text("rpc")).arg(ours().join("artifacts")).arg(file));
    network.interrupt();
}

#[test]
fn libraries_of_sapphire_and_openzeppelin_work() {
    let _turn = turn();
    let Some(clients) = contract_clients() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path());
    let files = ["chain.mjs", "solidity.mjs", "Sapphire.sol", "sapphire_contracts.mjs", "Zeppelin.sol", "zeppelin.mjs"];
    copy(&files, &clients);
    for script in ["sapphire_contracts.mjs", "zeppelin.mjs"] {
        passes(Command::new("node").arg(clients.join(script)).arg(network.text("rpc")));
    }
    network.interrupt();
}

/// Copies a Hardhat project and gives the command that runs its tests.
fn project(hardhat: &Hardhat, name: &str, files: &[&str], rpc: &str) -> Command {
    let folder = &hardhat.folder;
    std::fs::create_dir_all(folder.join("contracts")).unwrap();
    std::fs::create_dir_all(folder.join("test")).unwrap();
    std::fs::copy(beside("Note.sol"), folder.join("contracts/Note.sol")).unwrap();
    for file in files {
        std::fs::copy(beside(name).join(file), folder.join(file)).unwrap();
    }
    let mut command = Command::new(folder.join("node_modules/.bin/hardhat"));
    command.args(["--config", files[0], "test", "--network", "freehold"]).current_dir(folder);
    command.env("PATH", &hardhat.path).env("FREEHOLD_RPC", rpc).env("CI", "1");
    command
}

#[test]
fn hardhat_2_deploys_and_tests_encrypted_and_plain() {
    let _turn = turn();
    let Some(hardhat) = hardhat_2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path());
    let files = ["hardhat.config.cjs", "test/note.cjs"];
    passes(&mut project(&hardhat, "hardhat2", &files, &network.text("rpc")));
    passes(project(&hardhat, "hardhat2", &files, &network.text("rpc")).env("PLAIN", "1"));
    network.interrupt();
}

#[test]
fn hardhat_3_deploys_and_tests_by_viem_and_ethers() {
    let _turn = turn();
    let Some(hardhat) = hardhat_3() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path());
    // Hardhat 3 wants a project of modules; the packages that npm noted stay.
    let mut package: serde_json::Value =
        serde_json::from_slice(&std::fs::read(hardhat.folder.join("package.json")).unwrap()).unwrap();
    package["type"] = "module".into();
    std::fs::write(hardhat.folder.join("package.json"), package.to_string()).unwrap();
    passes(&mut project(&hardhat, "hardhat3", &["hardhat.config.mjs", "test/note.mjs"], &network.text("rpc")));
    network.interrupt();
}
