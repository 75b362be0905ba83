//! Secrets stay where they belong: none in the logs of a whole run, and backups that bring back what they should and no more.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    processes::Net,
    support::{BINARY, free_address, get, run, said, turn, until},
};

/// A `freehold` whose log, at its loudest, goes to a file.
fn logged(root: &Path, name: &str, arguments: &[&str]) -> Child {
    let [out, log] = ["out", "log"].map(|ending| File::create(root.join(format!("{name}.{ending}"))).unwrap());
    Command::new(BINARY)
        .args(["--json", "--log-format", "json"])
        .args(arguments)
        .env("FREEHOLD_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Secret bytes below a folder: identities, shares and state keys, whole and in the parts that are secret.
fn secrets(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "identity.key" | "consensus.share" | "derivation.share" | "state.keys") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        // Scalars and keys are 32 bytes, behind an index or a number of four.
        found.extend(
            bytes.chunks(36).filter_map(|part| part.last_chunk::<32>()).map(|part| (path.clone(), part.to_vec())),
        );
        found.extend(bytes.last_chunk::<32>().map(|part| (path.clone(), part.to_vec())));
    }
    found
}

fn base64(bytes: &[u8]) -> String {
    serde_json::to_value(freehold_rpc::Base64Text(bytes.to_vec())).unwrap().as_str().unwrap().to_owned()
}

/// Every form in which a secret might be printed, by its first bytes; letters of hex in lower case.
struct Forms(HashMap<[u8; 8], Vec<(PathBuf, Vec<u8>)>>);

impl Forms {
    fn new(secrets: &[(PathBuf, Vec<u8>)]) -> Self {
        let mut forms: HashMap<_, Vec<_>> = HashMap::new();
        for (path, secret) in secrets {
            let list: Vec<_> = secret.iter().map(u8::to_string).collect();
            // Of base64 without the last group, which what follows changes.
            let texts = [hex::encode(secret), list.join(", "), list.join(","), base64(&secret[..30])];
            for form in texts.map(String::into_bytes).into_iter().chain([secret.clone()]) {
                forms.entry(*form.first_chunk().unwrap()).or_default().push((path.clone(), form));
            }
        }
        Self(forms)
    }

    /// Looks for every form, in the text as it is and in lower case.
    fn check(&self, text: &[u8], place: &str) {
        for text in [text.to_vec(), text.to_ascii_lowercase()] {
            for at in 0..text.len() {
                let Some(first) = text[at..].first_chunk::<8>() else { break };
                for (path, form) in self.0.get(first).into_iter().flatten() {
                    assert!(!text[at..].starts_with(form), "{} stands in {place}", path.display());
                }
            }
        }
    }
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret: Vec<u8> = (100..132).collect();
    let forms = Forms::new(&[(PathBuf::from("key"), secret.clone())]);
    forms.check(b"nothing of it 6465666768696a6b6c6d6e6f70717273 but a half", "text");
    let list = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    for shown in [hex::encode(&secret), hex::encode_upper(&secret), list, base64(&secret)] {
        let text = format!("before {shown} behind").into_bytes();
        assert!(std::panic::catch_unwind(|| forms.check(&text, "text")).is_err(), "{shown}");
    }
}

fn ready(root: &Path, name: &str) -> Option<Value> {
    let text = fs::read_to_string(root.join(format!("{name}.out"))).unwrap();
    let line = text.lines().find(|line| line.contains("\"ready\""))?;
    serde_json::from_str(line).ok()
}

#[test]
fn logs_of_a_whole_run_hold_no_secret() {
    let _turn = turn();
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let mut combine = vec!["genesis".to_owned(), "combine".to_owned(), "--out".to_owned(), path("network.toml")];
    for machine in 0..4 {
        let (folder, address) = (path(&format!("machine-{machine}")), free_address());
        assert!(run(&["genesis", "contribute", "--data-dir", &folder, "--address", &address]).status.success());
        combine.push(format!("{folder}/contribution.toml"));
    }
    assert!(run(&combine.iter().map(String::as_str).collect::<Vec<_>>()).status.success());
    let network = path("network.toml");
    let joining: Vec<Child> = (0..4)
        .map(|machine| {
            let folder = path(&format!("machine-{machine}"));
            logged(
                root.path(),
                &format!("join-{machine}"),
                &["genesis", "join", "--data-dir", &folder, "--network", &network],
            )
        })
        .collect();
    for mut child in joining {
        assert!(child.wait().unwrap().success());
    }
    let mut nodes: Vec<Child> = (0..4)
        .map(|machine| {
            let folder = path(&format!("machine-{machine}"));
            logged(root.path(), &format!("node-{machine}"), &["node", "--data-dir", &folder, "--rpc", "127.0.0.1:0"])
        })
        .collect();
    until("all serve", || (0..4).all(|machine| ready(root.path(), &format!("node-{machine}")).is_some()));
    let rpc = ready(root.path(), "node-0").unwrap()["rpc"].as_str().unwrap().to_owned();
    until("blocks are made", || {
        get(&rpc, "/metrics").1.lines().any(|line| {
            line.strip_prefix("node_executed_height ")
                .is_some_and(|height| height.parse::<u64>().is_ok_and(|height| height > 5))
        })
    });
    let answers = [get(&rpc, "/metrics").1, said(&run(&["status", "--rpc", &rpc, "-vv"]))].concat();
    for node in &mut nodes {
        node.kill().unwrap();
        node.wait().unwrap();
    }
    let secrets: Vec<_> = (0..4).flat_map(|machine| secrets(&root.path().join(format!("machine-{machine}")))).collect();
    assert!(secrets.len() >= 16, "identity, two shares and state keys of each");
    let forms = Forms::new(&secrets);
    forms.check(answers.as_bytes(), "answers");
    let mut lines = 0;
    for entry in fs::read_dir(root.path()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name.ends_with(".log") || name.ends_with(".out")) {
            continue;
        }
        let text = fs::read(entry.path()).unwrap();
        forms.check(&text, &name);
        // The last line of a killed process may be cut.
        let whole = text.split(|byte| *byte == b'\n').rev().skip(1);
        for line in whole {
            assert!(serde_json::from_slice::<Value>(line).is_ok(), "{name}: {}", String::from_utf8_lossy(line));
            lines += 1;
        }
    }
    assert!(lines > 1_000, "the loudest log of eight processes: {lines} lines");
}

#[test]
fn an_identity_is_backed_up_while_the_node_runs_and_a_move_leaves_one_validator() {
    let _turn = turn();
    let net = Net::new();
    let mut nodes: Vec<_> = (0..4).map(|index| net.start(index)).collect();
    nodes.iter().for_each(|node| node.reach(2));
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("pass"), "a passphrase\n").unwrap();
    let folder = net.folder_of(3);
    let backup = |to: &str, more: &[&str]| {
        run(&[&["backup", "--data-dir", &folder, "--to", to, "--passphrase-file", &path("pass")], more].concat())
    };
    let refused = backup(&path("identity"), &[]);
    assert!(said(&refused).contains("chmod 600"), "{}", said(&refused));
    fs::set_permissions(path("pass"), fs::Permissions::from_mode(0o600)).unwrap();
    let made = backup(&path("identity"), &[]);
    assert!(made.status.success(), "{}", said(&made));
    // A move of a node that runs is refused.
    let refused = backup(&path("move"), &["--move"]);
    assert!(said(&refused).contains("is held by another freehold process"), "{}", said(&refused));
    let restore = |from: &str, to: &str, more: &[&str]| {
        run(&[&["restore", "--from", from, "--data-dir", to, "--passphrase-file", &path("pass")], more].concat())
    };
    let restored = restore(&path("identity"), &path("new"), &["--network-key", &nodes[0].text("network_key")]);
    assert!(restored.status.success(), "{}", said(&restored));
    let same =
        |name: &str| fs::read(root.path().join("new").join(name)).ok() == fs::read(Path::new(&folder).join(name)).ok();
    assert!(same("identity.key") && same("genesis.bin"));
    assert!(!root.path().join("new/consensus.share").exists() && !root.path().join("new/derivation.share").exists());
    let refused = restore(&path("identity"), &path("other"), &["--network-key", &"a".repeat(192)]);
    assert!(said(&refused).contains("not of the network"), "{}", said(&refused));
    let refused = restore(&path("identity"), &path("new"), &[]);
    assert!(said(&refused).contains("holds a validator already"), "{}", said(&refused));

    // The disk is lost: the restored validator follows, without a share.
    nodes.pop().unwrap().kill();
    let height = nodes[0].height();
    let back = net.try_start_from(3, &path("new")).unwrap_or_else(|output| panic!("{}", said(&output)));
    back.reach(height + 2);
    assert_eq!(back.block_hash(height), nodes[0].block_hash(height));
    let health = back.call("freehold_health", serde_json::json!([])).unwrap();
    assert_eq!(health["term"]["holds_share"], Value::Bool(false), "{health}");
    assert!(health["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "no-share"), "{health}");
    back.interrupt();
    nodes.push(net.start(3));

    // Moved: the old folder starts no more, the new one is the same validator with its shares and votes.
    nodes.pop().unwrap().interrupt();
    let moved = backup(&path("move"), &["--move"]);
    assert!(moved.status.success(), "{}", said(&moved));
    let refused = net.try_start(3).err().expect("a moved validator starts no more");
    assert!(said(&refused).contains("was moved to"), "{}", said(&refused));
    let restored = restore(&path("move"), &path("there"), &[]);
    assert!(restored.status.success(), "{}", said(&restored));
    assert!(!Path::new(&path("move")).exists(), "a move is restored once");
    let height = nodes[0].height();
    let back = net.try_start_from(3, &path("there")).unwrap_or_else(|output| panic!("{}", said(&output)));
    back.reach(height + 2);
    assert_eq!(back.block_hash(height), nodes[0].block_hash(height));
}
