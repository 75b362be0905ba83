//! What an app promises, by the command line alone and as `docs/upgrades.md` says: edited, approved, audited, demanded, and broken.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    answer::{ask, model_is_here, verdict},
    support::{BINARY, Running, app_answer, get, run, said, sandbox_works, signal, told, turn, until},
};

/// Users 1 to 3 of the test mnemonic: two co-signers and an auditor; and the secret of the second.
const COSIGNER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const OTHER_COSIGNER: &str = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc";
const AUDITOR: &str = "0x90f79bf6eb2c4f870365e785982e1f101e93b906";
const OTHER_SECRET: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
/// Seconds of notice: enough for two commands.
const NOTICE_S: &str = "6";

/// Runs a command on a terminal of its own, under an editor, and types a line.
const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// A network, and an app that runs on it behind an ingress.
struct Ground {
    dir: TempDir,
    up: Running,
}

impl Ground {
    fn start() -> (Self, Running) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("net");
        let data = data.to_str().unwrap();
        let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
        told(dir.path(), &["app", "init", "five"]).unwrap();
        let ground = Self { dir, up };
        let app = ground.run(&[]);
        (ground, app)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn place(&self) -> [String; 4] {
        ["--folder".to_owned(), self.path("five"), "--data-dir".to_owned(), self.path("net")]
    }

    fn run(&self, words: &[&str]) -> Running {
        let (folder, data, any) = (self.path("five"), self.path("net"), "127.0.0.1:0");
        let run = ["app", "run", &folder, "--data-dir", &data, "--api", any, "--ingress", any, "--once"];
        Running::start(&[&run[..], words].concat())
    }

    fn app(&self, words: &[&str]) -> Result<Value, String> {
        let place = self.place();
        told(self.dir.path(), &[&["app"], words, &place.each_ref().map(String::as_str)].concat())
    }

    /// `app policy edit` in an editor of these lines, where `typed` is the answer to its question.
    fn edited(&self, script: &str, typed: &str) -> (bool, String) {
        let editor = PathBuf::from(self.path("editor"));
        fs::write(&editor, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", TERMINAL, BINARY, "app", "policy", "edit"]).args(self.place()).env("EDITOR", &editor);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{typed}").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A proxy that demands this of the app, or why there is none.
    fn proxy(&self, app: &Running, words: &[&str]) -> Result<Running, String> {
        let (id, data) = (app.text("app_id"), self.path("net"));
        let proxy = ["proxy", "--app", &id, "--listen", "127.0.0.1:0", "--data-dir", &data];
        Running::try_start(&[&proxy[..], words].concat()).map_err(|output| said(&output))
    }

    /// Puts what is announced in force, once its notice is over.
    fn activate(&self) -> Value {
        let mut in_force = Err(String::new());
        until("the notice is over", || {
            in_force = self.app(&["upgrade", "--activate", "--yes"]);
            in_force.is_ok()
        });
        in_force.unwrap()
    }

    /// The digest of what is announced now, as co-signers see it.
    fn announced(&self) -> String {
        let place = self.place();
        let words = [&["app", "policy", "show", "--json"], &place.each_ref().map(String::as_str)[..]].concat();
        let shown = run(&words);
        let lines = String::from_utf8(shown.stdout).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let announced = lines.iter().find(|line| line["event"] == "announced").unwrap();
        announced["change"].as_str().unwrap_or_default().to_owned()
    }
}

fn change(folder: &str) {
    let program = Path::new(folder).join("app/main.py");
    fs::write(&program, fs::read_to_string(&program).unwrap() + "# changed\n").unwrap();
}

#[test]
fn a_promise_is_edited_approved_audited_demanded_and_broken() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let (ground, old) = Ground::start();
    app_answer(&old);
    a_rule_is_edited(&ground);

    // What the app promises is what a proxy may demand of it.
    let demands: &[&str] = &["--min-notice", NOTICE_S, "--require-cosigners", "1"];
    let mut kept = Err(String::new());
    until("the policy is public for the notice", || {
        kept = ground.proxy(&old, demands);
        kept.as_ref().map_or_else(|text| !text.contains("is public for"), |_| true)
    });
    kept.unwrap().interrupt();
    for (words, reason) in [
        (&["--min-notice", "7"][..], "promises 6 s of notice for upgrades, and 7 s are demanded"),
        (&["--require-cosigners", "2"], "needs 1 co-signers, and 2 are demanded"),
        (&["--auditor", AUDITOR], "has not called the app's policy in force sound"),
    ] {
        let refused = ground.proxy(&old, words).err().unwrap();
        assert!(refused.contains(reason) && refused.contains("freehold app policy show"), "{refused}");
    }
    fs::write(ground.path("report.pdf"), "looked at").unwrap();
    let audit = ["policy", "audit", "sound", "--report", &ground.path("report.pdf"), "--dev-user", "3"];
    let audit = [&audit[..], &["--place", "https://audits.example"]].concat();
    assert_eq!(ground.app(&audit).unwrap()["event"], "done");
    let proxy = ground.proxy(&old, &[demands, &["--auditor", AUDITOR]].concat()).unwrap();
    assert_eq!(get(&proxy.text("proxy"), "/").0, 200);
    proxy.interrupt();

    let next = a_build_is_approved(&ground, old);
    a_policy_of_hardware_is_announced(&ground);
    a_promise_is_broken(&ground, &next, demands);
    next.interrupt();
    ground.up.interrupt();
}

fn a_rule_is_edited(ground: &Ground) {
    let refused = ground.app(&["policy", "edit"]).unwrap_err();
    assert!(refused.contains("--notice, --cosigner, --cosigners-needed, or --file"), "{refused}");
    let rule = |needed: u32| {
        format!(
            "cat > \"$1\" <<EOF\nnotice_s = {NOTICE_S}\ncosigners = [\"{OTHER_COSIGNER}\", \"{COSIGNER}\"]\n\
             cosigners_needed = {needed}\nEOF"
        )
    };
    for (script, typed, reason) in [
        ("exit 3".to_owned(), "", "failed: nothing changes"),
        ("echo notice = 1 > \"$1\"".to_owned(), "", "it is no rule: notice_s, cosigners, cosigners_needed"),
        (rule(3), "", "no more are needed than are named"),
        (rule(1), "no", "nothing was signed"),
    ] {
        let (ends_well, text) = ground.edited(&script, typed);
        assert!(!ends_well && text.contains(reason), "{script}: {text}");
    }
    let (ends_well, text) = ground.edited(&rule(1), "yes");
    assert!(ends_well && text.contains("- notice_s = 0") && text.contains("+ notice_s = 6"), "{text}");
    assert!(text.contains("counts at once") && text.contains("setUpgradeRule"), "{text}");
    let (ends_well, text) = ground.edited("true", "");
    assert!(ends_well && text.contains("nothing changes"), "{text}");
}

/// Another build: announced, approved by whoever may, withdrawn, announced again, in force, and alone at last.
fn a_build_is_approved(ground: &Ground, old: Running) -> Running {
    change(&ground.path("five"));
    let announced = ground.app(&["upgrade", "--yes"]).unwrap();
    assert_eq!((&announced["event"], &announced["approvals_missing"]), (&"announced".into(), &1.into()), "{announced}");
    let digest = announced["change"].as_str().unwrap();
    assert_eq!(ground.announced(), digest);
    let key = ground.path("key");
    fs::write(&key, OTHER_SECRET).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let approve =
        |change: &str, words: &[&str]| ground.app(&[&["policy", "approve", "--change", change], words].concat());
    let refused = |change: &str, words: &[&str]| approve(change, words).unwrap_err();
    let other = "0".repeat(64);
    for (change, words, reason) in [
        (other.as_str(), &["--key", &key][..], "no such change is announced"),
        (digest, &["--dev-user", "5"], "only a co-signer"),
        (digest, &["--take-back", "--key", &key], "said so already"),
    ] {
        let text = refused(change, words);
        assert!(text.contains(reason), "{words:?}: {text}");
    }
    assert_eq!(approve(digest, &["--key", &key]).unwrap()["event"], "done");
    let text = refused(digest, &["--key", &key]);
    assert!(text.contains("said so already"), "{text}");
    assert_eq!(approve(digest, &["--take-back", "--key", &key]).unwrap()["event"], "done");
    assert_eq!(ground.app(&["policy", "withdraw"]).unwrap()["event"], "done");
    assert_eq!(ground.announced(), "");
    let text = ground.app(&["policy", "withdraw"]).unwrap_err();
    assert!(text.contains("no such change is announced"), "{text}");
    let text = ground.app(&["upgrade", "--activate", "--yes"]).unwrap_err();
    assert!(text.contains("nothing is announced"), "{text}");

    let announced = ground.app(&["upgrade", "--yes"]).unwrap();
    let digest = announced["change"].as_str().unwrap();
    let policy = announced["policy"].as_str().unwrap();
    // An auditor who is in time speaks of what is announced.
    ground.app(&["policy", "audit", "flawed", "--policy", policy, "--dev-user", "3"]).unwrap();
    approve(digest, &["--dev-user", "1"]).unwrap();
    assert_eq!(ground.activate()["policy"], policy);
    let refused = ground.proxy(&old, &["--auditor", AUDITOR]).err().unwrap();
    assert!(refused.contains("calls the app's policy in force flawed"), "{refused}");
    old.interrupt();
    let next = ground.run(&["--keep-policy"]);
    app_answer(&next);
    let alone = ground.app(&["upgrade", "--drop-old", "--yes"]).unwrap();
    assert_eq!(alone["measurements"].as_array().unwrap().len(), 1, "{alone}");
    let nothing = ground.app(&["upgrade", "--drop-old", "--yes"]).unwrap();
    assert_eq!(nothing["plan"], "nothing", "{nothing}");
    assert_eq!(app_answer(&next)["app"], next.ready["app_id"], "whoever runs the build that stays goes on");
    next
}

/// What evidence of hardware says, as it was recorded, becomes a policy that is announced.
fn a_policy_of_hardware_is_announced(ground: &Ground) {
    let folder = ground.path("recorded");
    told(ground.dir.path(), &["attest", "emulate", "--kind", "tdx-v4", "--out", &folder]).unwrap();
    let shown = told(ground.dir.path(), &["attest", "inspect", &format!("{folder}/evidence.bin")]).unwrap();
    let register = |name: &str| format!("{name} = \"{}\"", shown[name].as_str().unwrap());
    let registers = ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"].map(register).join(", ");
    let file = ground.path("policy.toml");
    let announce = |text: &str| {
        fs::write(&file, text).unwrap();
        ground.app(&["upgrade", "--evidence", &file, "--yes"])
    };
    let text = announce("trust_domains = [\"intel\"]\n[tdx]\n").unwrap_err();
    assert!(text.contains("names no measurements under [tdx]") && text.contains("attest inspect"), "{text}");
    let text = announce("[tdx]\nmeasurments = []\n").unwrap_err();
    assert!(text.contains("tdx.measurments is no item of a policy"), "{text}");
    let announced =
        announce(&format!("trust_domains = [\"intel\"]\n[tdx]\nmeasurements = [{{ {registers} }}]\n")).unwrap();
    assert_eq!(announced["event"], "announced", "{announced}");
    assert_eq!(announced["measurements"][0]["registers"]["mrtd"], shown["mrtd"], "{announced}");
    ground.app(&["policy", "withdraw"]).unwrap();
}

/// The owner lowers the promise in the one way that there is; whoever demanded it hears so, and sends nothing more.
fn a_promise_is_broken(ground: &Ground, app: &Running, demands: &[&str]) {
    let proxy = ground.proxy(app, demands).unwrap();
    let announced = ground.app(&["policy", "edit", "--notice", "1", "--no-cosigners", "--yes"]).unwrap();
    assert_eq!((&announced["event"], &announced["rule"]["notice_s"]), (&"announced".into(), &1.into()), "{announced}");
    let digest = announced["change"].as_str().unwrap();
    ground.app(&["policy", "approve", "--change", digest, "--dev-user", "1"]).unwrap();
    assert_eq!(get(&proxy.text("proxy"), "/").0, 200, "what is only announced breaks no promise");
    ground.activate();
    // Whom a proxy speaks to is verified anew where the instance is another one.
    let started = app.told.iter().find(|event| event["event"] == "guest").unwrap();
    signal(u32::try_from(started["pid"].as_u64().unwrap()).unwrap(), "KILL");
    let mut answer = (0, String::new());
    until("the successor is refused", || {
        answer = get(&proxy.text("proxy"), "/");
        answer.0 == 502 && answer.1.contains("\"promise\"")
    });
    assert!(answer.1.contains("promises 1 s of notice for upgrades, and 6 s are demanded"), "{}", answer.1);
    proxy.interrupt();
}

#[test]
fn a_proof_shows_what_was_promised_when_it_was_answered() {
    let _turn = turn();
    if !model_is_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let any = ["--rpc", "127.0.0.1:0", "--api", "127.0.0.1:0"];
    let up = [&["up", "--data-dir", data, "--validators", "1", "--threads", "1"], &any[..]].concat();
    let up = Running::start(&up);
    let (app, key) = (up.text("app_id"), up.text("network_key"));
    let before = dir.path().join("before.json");
    let asked = ask(data, &before, &["Say hello.", "--max-tokens", "2"]);
    assert!(asked.status.success(), "{}", said(&asked));
    let refused = ask(data, &before, &["Say hello.", "--min-notice", "2"]);
    assert!(said(&refused).contains("promises 0 s of notice"), "{}", said(&refused));

    // The app of `up` is its operator's, whose account a development network knows.
    let owner =
        |words: &[&str]| told(dir.path(), &[&["app", "policy"], words, &["--app", &app, "--data-dir", data]].concat());
    owner(&["edit", "--notice", "2", "--yes"]).unwrap();
    owner(&["audit", "sound", "--dev-user", "3"]).unwrap();
    let proof = dir.path().join("proof.json");
    let demands = ["--min-notice", "2", "--auditor", AUDITOR];
    let mut asked = None;
    until("the policy is public for the notice, also in the answer's block", || {
        let answered = ask(data, &proof, &[&["Say hello.", "--max-tokens", "2"], &demands[..]].concat());
        let met = answered.status.success() && prove(&proof, &key, &demands).0 == 0;
        asked = Some(answered);
        met
    });
    up.interrupt();

    let (code, found) = prove(&proof, &key, &demands);
    assert_eq!((code, &found["promise"]["notice_s"]), (0, &2.into()), "{found}");
    assert_eq!(found["promise"]["audits"][0]["verdict"], "sound", "{found}");
    assert_eq!(prove(&proof, &key, &["--min-notice", "3"]).0, 1);
    assert_eq!(prove(&proof, &key, &["--require-cosigners", "1"]).0, 1);
    let plain = run(&["verify", proof.to_str().unwrap(), "--network-key", &key, "--auditor", COSIGNER]);
    let text = String::from_utf8(plain.stdout).unwrap();
    assert!(text.contains("promise: 2 s of notice") && text.contains("ask --auditor"), "{text}");
    let (code, found) = prove(&before, &key, &["--min-notice", "1"]);
    assert_eq!((code, found["promise"]["notice_s"].as_u64()), (1, Some(0)), "{found}");
}

fn prove(proof: &Path, key: &str, words: &[&str]) -> (i32, Value) {
    verdict(&[&[proof.to_str().unwrap(), "--network-key", key], words].concat())
}
