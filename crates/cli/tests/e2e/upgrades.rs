//! An upgrade with notice: announced, refused until its time, run beside the old build, and taken back.

use std::{fs, path::Path};

use crate::support::{Running, app_answer, run, said, sandbox_works, told, turn, until};

/// Seconds of notice: enough for one command.
const NOTICE_S: &str = "8";

#[test]
fn a_new_build_waits_for_its_notice_and_runs_beside_the_old_one_until_it_is_taken_back() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (data, other, folder) = (path("net"), path("other"), path("four"));
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", &data]);
    told(dir.path(), &["app", "init", "four"]).unwrap();
    let old = Running::start(&["app", "run", &folder, "--data-dir", &data, "--api", "127.0.0.1:0", "--once"]);
    let first = app_answer(&old);
    let app =
        |words: &[&str]| told(dir.path(), &[&["app"], words, &["--folder", &folder, "--data-dir", &data]].concat());
    app(&["policy", "edit", "--notice", NOTICE_S, "--yes"]).unwrap();
    let weaker = app(&["policy", "edit", "--notice", "1", "--dry-run"]).unwrap();
    assert_eq!(weaker["function"], "announceUpgrade(bytes21,bytes)", "{weaker}");

    // Another host of the same app, with a changed program.
    let program = Path::new(&folder).join("app/main.py");
    fs::write(&program, fs::read_to_string(&program).unwrap() + "# changed\n").unwrap();
    let known = "apps/four/app.json";
    fs::create_dir_all(Path::new(&other).join("apps/four")).unwrap();
    fs::copy(Path::new(&data).join(known), Path::new(&other).join(known)).unwrap();
    let (rpc, key) = (up.text("rpc"), up.text("network_key"));
    let place = ["--data-dir", &other, "--rpc", &rpc, "--network-key", &key];
    let follow = [&["app", "run", &folder, "--api", "127.0.0.1:0", "--once"], &place[..]].concat();
    let kept = [&follow[..], &["--keep-policy"]].concat();
    let refused = |arguments: &[&str]| said(&Running::try_start(arguments).err().expect("it is not admitted"));
    let text = refused(&follow);
    assert!(text.contains("promises notice or co-signers") && text.contains("freehold app upgrade"), "{text}");

    let announced = app(&["upgrade", "--yes"]).unwrap();
    assert_eq!((announced["event"].as_str(), announced["state"].as_str()), (Some("announced"), Some("noticed")));
    let early = app(&["upgrade", "--activate", "--yes"]).unwrap_err();
    assert!(early.contains("its notice runs"), "{early}");
    let bundle = format!("{folder}/bundle");
    let check = |words: &[&str]| {
        let place = ["--folder", &folder, "--data-dir", &data, "--json"];
        run(&[&["app", "policy", "check", "--bundle", &bundle], words, &place].concat()).status.code()
    };
    assert_eq!(check(&[]), Some(3), "it will be admitted, and is not yet");
    let text = refused(&kept);
    assert!(text.contains("the chain refused the registration"), "{text}");
    let mut in_force = Err(String::new());
    until("the notice is over", || {
        in_force = app(&["upgrade", "--activate", "--yes"]);
        in_force.is_ok()
    });
    assert_eq!(in_force.unwrap()["version"], 1);
    // Taken back and brought again at once: both were public for the notice, and in force within it.
    let back = app(&["rollback", "--to", "0", "--yes"]).unwrap();
    assert_eq!((back["event"].as_str(), back["version"].as_u64()), (Some("in_force"), Some(2)));
    assert_eq!(check(&[]), Some(1));
    assert_eq!(app(&["rollback", "--to", "1", "--yes"]).unwrap()["version"], 3);
    let newest = app(&["policy", "show"]).unwrap();
    assert_eq!((newest["event"].as_str(), newest["version"].as_u64()), (Some("version"), Some(3)));

    // Both run, with one key of the app.
    let new = Running::start(&kept);
    assert_eq!((app_answer(&new), app_answer(&old)), (first.clone(), first.clone()));
    assert_eq!(check(&["--min-notice", NOTICE_S]), Some(0));
    assert_eq!(check(&["--min-notice", "3600"]), Some(1));
    assert_eq!(check(&["--require-cosigners", "1"]), Some(1));

    // A longer notice counts at once, and nothing comes back that was not public for as long.
    app(&["policy", "edit", "--notice", "3600", "--yes"]).unwrap();
    assert_eq!(app(&["rollback", "--to", "0", "--yes"]).unwrap()["state"], "noticed");
    new.kill();
    assert_eq!(app_answer(&old), first);
    old.interrupt();
    up.interrupt();
}
