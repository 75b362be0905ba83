//! An app from an empty folder: made, built twice, run, refused when it changed.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    BINARY, Running, app_answer, dstack_node_client, guest_python_clients, passes, said, sandbox_works, turn,
};

/// Runs a command in a folder with `--json`: its last line, or what it said.
fn told(folder: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(BINARY).args(arguments).arg("--json").current_dir(folder).output().unwrap();
    if !output.status.success() {
        return Err(said(&output));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(serde_json::from_str(text.lines().last().unwrap()).unwrap())
}

#[test]
fn an_app_is_built_the_same_twice_and_its_measurement_follows_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    told(dir.path(), &["app", "init", "one"]).unwrap();
    let first = told(dir.path(), &["app", "build", "one"]).unwrap();
    let again = told(dir.path(), &["app", "build", "one", "--output", "elsewhere"]).unwrap();
    assert_eq!((&first["digest"], &first["backends"]), (&again["digest"], &again["backends"]));
    told(dir.path(), &["app", "build", "one", "--verify"]).unwrap();
    assert_eq!(told(dir.path(), &["app", "show", "elsewhere"]).unwrap()["digest"], first["digest"]);
    let program = dir.path().join("one/app/main.py");
    fs::write(&program, fs::read_to_string(&program).unwrap() + "# changed\n").unwrap();
    let refused = told(dir.path(), &["app", "build", "one", "--verify"]).unwrap_err();
    assert!(refused.contains("main.py"), "{refused}");
    let changed = told(dir.path(), &["app", "build", "one"]).unwrap();
    for (old, new) in first["backends"].as_array().unwrap().iter().zip(changed["backends"].as_array().unwrap()) {
        assert_ne!(old["measurement"], new["measurement"], "{old}");
    }
    // Mistakes are told with their line.
    let manifest = dir.path().join("one/rofl.yaml");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap() + "  egres: open\n").unwrap();
    let refused = told(dir.path(), &["app", "build", "one"]).unwrap_err();
    assert!(refused.contains("`freehold.egres`: unknown key"), "{refused}");
}

/// The released clients of dstack and ROFL, unmodified, on the socket of a running instance.
fn clients_pass(running: &Running) {
    let socket = running.text("local_api");
    let socket = socket.strip_prefix("unix:").unwrap();
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/tests/clients").join(name);
    if let Some(python) = guest_python_clients() {
        passes(Command::new(&python).arg(script("rofl.py")).arg(socket).arg(running.text("app_id")));
        passes(Command::new(&python).arg(script("dstack.py")).arg(socket));
    }
    if let Some(folder) = dstack_node_client() {
        passes(Command::new("node").arg(script("dstack.mjs")).arg(folder).arg(socket));
    }
}

#[test]
fn from_an_empty_folder_to_an_answer_and_a_changed_program_is_refused() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    told(dir.path(), &["app", "init", "two"]).unwrap();
    let folder = dir.path().join("two");
    let folder = folder.to_str().unwrap();
    let arguments = ["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
    let running = Running::start(&arguments);
    // What it signs is said before anything else.
    assert_eq!(running.told[0]["event"], "signing");
    assert_eq!(running.ready["digest"], told(dir.path(), &["app", "build", folder]).unwrap()["digest"]);
    let first = app_answer(&running);
    assert_eq!(first["app"], running.ready["app_id"]);
    clients_pass(&running);
    running.interrupt();
    // Another instance of the same program is admitted as it is, and has the same key.
    let mut kept = arguments.to_vec();
    kept.push("--keep-policy");
    let again = Running::start(&kept);
    assert_eq!(app_answer(&again), first);
    again.interrupt();
    // A changed program has another measurement, which the app's policy does not name.
    let program = Path::new(folder).join("app/main.py");
    fs::write(&program, fs::read_to_string(&program).unwrap() + "# changed\n").unwrap();
    let refused = Running::try_start(&kept).err().expect("a changed program is not admitted");
    assert!(said(&refused).contains("the chain refused the registration"), "{}", said(&refused));
    // Its owner admits it.
    let changed = Running::start(&arguments);
    assert_eq!(app_answer(&changed), first);
    changed.interrupt();
    up.interrupt();
}
