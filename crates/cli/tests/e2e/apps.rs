//! An app from an empty folder: made, built twice, run, refused when it changed.

use std::{fs, path::Path, process::Command};

use crate::support::{
    Running, app_answer, dstack_node_client, guest_python_clients, holding, passes, put_program, said, sandbox_works,
    told, turn,
};

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

/// The released clients of dstack and ROFL, unmodified, and our own, on the socket of a running instance; and the document by a
/// validator of others.
fn clients_pass(running: &Running) {
    let socket = running.text("local_api");
    let socket = socket.strip_prefix("unix:").unwrap();
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest/tests/clients").join(name);
    let ours = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients").join(name);
    passes(Command::new("python3").arg(script("ours.py")).arg(socket).arg(ours("python")).arg("chain"));
    if let Some(python) = guest_python_clients() {
        passes(Command::new(&python).arg(script("rofl.py")).arg(socket).arg(running.text("app_id")));
        passes(Command::new(&python).arg(script("dstack.py")).arg(socket));
        let validate =
            "import json, sys; from openapi_spec_validator import validate; validate(json.load(open(sys.argv[1])))";
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/openapi.json");
        passes(Command::new(&python).args(["-c", validate]).arg(document));
    }
    if let Some(folder) = dstack_node_client() {
        passes(Command::new("node").arg(script("ours.mjs")).arg(socket).arg(ours("typescript/index.js")));
        passes(Command::new("node").arg(script("dstack.mjs")).arg(folder).arg(socket));
    }
}

#[test]
fn what_an_owner_sets_reaches_the_app_and_lies_nowhere_in_the_open() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    told(dir.path(), &["app", "init", "three"]).unwrap();
    put_program(&dir.path().join("three/app"), "environment");
    let arguments = ["app", "run", "three", "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
    let folder = dir.path().join("three");
    let folder = folder.to_str().unwrap();
    let mut run = arguments.to_vec();
    run[2] = folder;
    let set = |words: &[&str]| {
        let place = ["--folder", folder, "--data-dir", data];
        told(dir.path(), &[&["app"], words, &place].concat())
    };
    // Before there is an app, nothing can be set.
    assert!(set(&["env", "set", "GREETING", "hello"]).unwrap_err().contains("was not run"));
    let running = Running::start(&run);
    assert_eq!(app_answer(&running)["settings"]["generation"], 0);

    let canary = "canary-5ba1e7\nof two lines";
    let (file, binary) = (dir.path().join("canary"), dir.path().join("binary"));
    fs::write(&file, canary).unwrap();
    fs::write(&binary, [0, 1, 0xff, 0]).unwrap();
    set(&["secret", "set", "TOKEN", "--from-file", file.to_str().unwrap()]).unwrap();
    set(&["secret", "set", "BINARY", "--from-file", binary.to_str().unwrap()]).unwrap();
    let variables = dir.path().join("variables");
    fs::write(&variables, "ONE=1\nexport TWO='2\n2'\n").unwrap();
    set(&["secret", "import", variables.to_str().unwrap()]).unwrap();
    set(&["env", "set", "GREETING", "hello"]).unwrap();
    for (words, reason) in [
        (&["secret", "set", "LD_PRELOAD", "--from-file", folder][..], "directory"),
        (&["env", "set", "LD_PRELOAD", "x"], "reserved"),
        (&["env", "set", "9", "x"], "no name"),
        (&["secret", "rm", "GREETING"], "nothing of the name"),
        (&["env", "set", "A", "x", "--dev-user", "3"], "does not own the app"),
    ] {
        let refused = set(words).unwrap_err();
        assert!(refused.contains(reason), "{words:?}: {refused}");
    }
    set(&["limits", "set", "--per-transaction", "5", "--per-day", "9", "--per-day-count", "2"]).unwrap();

    // The running program keeps its environment, and hears of the new set.
    let answer = app_answer(&running);
    assert_eq!(answer["settings"]["generation"], 5);
    assert_eq!(answer["settings"]["spending"]["per_day_wei"], "9");
    assert_eq!(answer["binary"], "0001ff00");
    assert!(answer["environment"].get("TOKEN").is_none());
    running.interrupt();
    // The next one has it, every byte.
    let again = Running::start(&run);
    let answer = app_answer(&again);
    let environment = &answer["environment"];
    assert_eq!((&environment["TOKEN"], &environment["TWO"]), (&canary.into(), &"2\n2".into()));
    assert_eq!((&environment["ONE"], &environment["GREETING"]), (&"1".into(), &"hello".into()));
    assert!(environment.get("BINARY").is_none());
    again.interrupt();
    up.interrupt();
    // Neither the chain nor the host has a secret on disk; a public value stands on the chain.
    fs::remove_file(&file).unwrap();
    assert_eq!(holding(dir.path(), b"canary-5ba1e7"), Vec::<std::path::PathBuf>::new());
    assert!(!holding(Path::new(data), b"GREETING").is_empty());
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
