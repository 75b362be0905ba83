//! An agent that somebody else starts, beside what attends it: two programs over one folder, as in a pod of a cluster.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{BINARY, Running, app_answer, sandbox_works, told, turn, until};

/// What a socket of the agent answers.
fn asked(socket: &Path, path: &str) -> String {
    let words = ["-sS", "--max-time", "5", "--unix-socket", socket.to_str().unwrap(), &format!("http://guest{path}")];
    let output = Command::new("curl").args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_agent_that_is_attended_becomes_an_instance_and_serves_its_services() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, app_folder, folder, state) = (path("net"), path("six"), path("run"), path("state"));
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", &data]);
    told(dir.path(), &["app", "init", "six"]).unwrap();
    // Its owner makes the app, and admits the build.
    let run = Running::start(&["app", "run", &app_folder, "--data-dir", &data, "--api", "127.0.0.1:0", "--once"]);
    app_answer(&run);
    let app = run.text("app_id");
    run.interrupt();

    told(dir.path(), &["app", "build", "six"]).unwrap();
    let bundle = format!("{app_folder}/bundle");
    let attend = ["host", "attend", "--folder", &folder, "--state-dir", &state, "--app", &app, "--emulated", &bundle];
    let place = ["--service", "2=web", "--data-dir", &data];
    let command = [&attend[..], &place].concat();
    let refused = Command::new(BINARY).args(&command).env_remove("FREEHOLD_ACCOUNT_KEY").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("FREEHOLD_ACCOUNT_KEY"), "{refused:?}");
    let file = dir.path().join("provider.key");
    std::fs::write(&file, "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let attendant = Running::start(&[&command[..], &["--key", file.to_str().unwrap()]].concat());
    let config = attendant.text("config");

    let guest = || {
        let mut command = Command::new(BINARY);
        command.args(["guest", "--config", &config]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut agent = guest();
    let of_service = Path::new(&folder).join("service-2");
    let health = |name: &str| serde_json::from_str::<Value>(&asked(&of_service.join(name), "/freehold/v1/health"));
    until("the agent serves", || Path::new(&folder).join("served").exists());
    until("the instance is ready", || health("rofl-appd.sock").is_ok_and(|health| health["ready"] == true));
    // Under each name that released clients know, and as the service that the socket is of.
    for name in ["rofl-appd.sock", "dstack.sock", "tappd.sock"] {
        assert_eq!(asked(&of_service.join(name), "/rofl/v1/app/id"), app, "{name}");
    }
    let instance: Value =
        serde_json::from_str(&asked(&of_service.join("rofl-appd.sock"), "/freehold/v1/instance")).unwrap();
    assert_eq!(instance["app_id"], app.as_str(), "{instance}");

    // Standard input ends with the host; another agent takes its place, and is opened to its services again.
    drop(agent.stdin.take());
    assert!(agent.wait().unwrap().success());
    let mut agent = guest();
    until("the successor is ready", || {
        let told = asked(&of_service.join("rofl-appd.sock"), "/freehold/v1/instance");
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        told["instance_id"].is_string() && told["instance_id"] != instance["instance_id"]
    });
    drop(agent.stdin.take());
    agent.wait().unwrap();
    attendant.interrupt();
    up.interrupt();
}
