//! The path of a machine with a TEE, as far as one without goes: what is looked at, what is refused, and what the app's policy then
//! names. Needs what `vm.rs` needs.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    support::{BINARY, Running, run, said, signal, told, turn, until},
    vm::{app, kernel},
};

/// Bytes of the firmware.
const SIZE: usize = 0x1_0000;

/// A firmware for SEV-SNP that boots nothing: a page for secrets, one for CPUID, one for kernel hashes.
fn firmware(path: &Path) {
    let mut bytes = vec![0; SIZE];
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let sections = [0x80_d000, 0x1000, 2, 0x80_e000, 0x1000, 3, 0x80_f000, 0x1000, 0x10];
    let sev = [b"ASEV".to_vec(), words(&[16 + 3 * 12, 1, 3]), words(&sections)].concat();
    bytes[0x9000..0x9000 + sev.len()].copy_from_slice(&sev);
    let from_end = u32::try_from(SIZE - 0x9000).unwrap();
    let entries: [(&str, Vec<u8>); 4] = [
        ("de71f7007e1acb4f890e68c77e2fb44e", words(&[0xffff_f000])),
        ("1f3755723b3a044b927b1da6efa8d454", words(&[0x80_f000, 0x1000])),
        ("666588dc4a989847a75e5585a7bf67cc", words(&[from_end])),
        ("de82b596b21ff745baeaa366c55a082d", Vec::new()),
    ];
    let mut table = Vec::new();
    for (name, data) in &entries {
        // The last one, the foot, has the length of the whole.
        let length = if data.is_empty() { table.len() } else { data.len() } + 18;
        table.extend(data);
        table.extend(u16::try_from(length).unwrap().to_le_bytes());
        table.extend(hex::decode(name).unwrap());
    }
    let end = SIZE - 32;
    bytes[end - table.len()..end].copy_from_slice(&table);
    fs::write(path, bytes).unwrap();
}

/// What `host check` says.
fn checked(words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = run(&[&["host", "check", "--json"], words].concat());
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn a_tee_that_is_not_there_is_told_of_and_an_app_for_one_accepts_its_measurement() {
    let Some(kernel) = kernel() else { return };
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let (folder, net, fw) = (dir.path().join("keyed"), dir.path().join("net"), dir.path().join("OVMF.fd"));
    let models = folder.join("models");
    let [place, data, fw_path, package, models] =
        [&folder, &net, &fw, &kernel, &models].map(|path| path.to_str().unwrap().to_owned());
    firmware(&fw);
    app(&folder, ("first", 1), "");

    let (code, told_of) = checked(&["--accel", "snp", "--kernel", &package, "--firmware", &fw_path]);
    let last = told_of.last().unwrap();
    assert_eq!(
        (&last["event"], &last["asked"], &last["ready"]["tcg"]),
        (&json!("checked"), &json!("snp"), &json!(true))
    );
    // A machine that has it all says so; this one is rather without.
    assert_eq!(code, Some(i32::from(last["is_ready"] == false)), "{told_of:?}");
    let lacks = |check: &&Value| check["state"] == "missing";
    assert!(told_of.iter().filter(lacks).all(|check| check["remedy"].is_string()), "{told_of:?}");
    let of_firmware = told_of.iter().find(|check| check["name"] == "firmware").unwrap();
    assert!(of_firmware["found"] == "built for snp" && of_firmware["needed_by"] == json!(["tdx"]), "{of_firmware}");

    let up = ["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", &data];
    let network = Running::start(&up);
    let run = ["app", "run", &place, "--data-dir", &data, "--api", "127.0.0.1:0", "--once", "--models", &models];
    let in_tee = [&run[..], &["--launcher", "qemu", "--kernel", &package, "--accel", "snp"]].concat();
    let named = [&in_tee[..], &["--firmware", &fw_path]].concat();
    let refused = said(&Running::try_start(&in_tee).err().unwrap());
    assert!(refused.contains("--firmware"), "{refused}");
    let refused = said(&Running::try_start(&named).err().unwrap());
    assert!(refused.contains("lists no root of `amd`"), "{refused}");
    network.interrupt();
    // What a genesis admits is for good.
    let refused = said(&Running::try_start(&[&up[..], &["--vendor-roots"]].concat()).err().unwrap());
    assert!(refused.contains("admits no hardware"), "{refused}");

    fs::remove_dir_all(&net).unwrap();
    let network = Running::start(&[&up[..], &["--vendor-roots"]].concat());
    let mut child = Command::new(BINARY);
    child.args(&named).arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut tell = |event: &str| -> Value {
        let mut objects = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        objects.find(|object| object["event"] == event).unwrap_or_else(|| panic!("no {event}"))
    };
    let image = tell("image")["image"].as_str().unwrap().to_owned();
    let measured = tell("measured")["measurement"].clone();
    let shown = told(dir.path(), &["image", "measure", &image, "--snp-firmware", &fw_path]).unwrap();
    assert_eq!(measured, shown["measurement"]);
    // The policy stands before a guest boots, and names just this.
    let mut policy = Value::Null;
    until("the app stands", || {
        let shown = told(dir.path(), &["app", "policy", "show", "--folder", &place, "--data-dir", &data]);
        policy = shown.unwrap_or_default();
        !policy.is_null()
    });
    signal(child.id(), "INT");
    child.wait().unwrap();
    assert!(policy.to_string().contains(measured["measurement"].as_str().unwrap()), "{policy} {measured}");
    network.interrupt();
}
