//! An upgrade with notice: announced, refused until its time, run beside the old build; and what comes back at once.

use std::{fs, path::Path};

use crate::support::{Running, app_answer, run, said, sandbox_works, told, turn, until};

/// Seconds of notice: enough for one command.
const NOTICE_S: &str = "10";

#[test]
fn a_new_build_waits_for_its_notice_and_runs_beside_the_old_one() {
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
    let program = Path::new(&folder).join("app/main.py");
    fs::write(&program, fs::read_to_string(&program).unwrap() + "# changed\n").unwrap();
    // While nothing is promised, a build is admitted at once, and an older version comes back at once.
    let in_force = app(&["upgrade", "--yes"]).unwrap();
    assert_eq!((in_force["event"].as_str(), in_force["version"].as_u64()), (Some("in_force"), Some(1)));
    let back = app(&["rollback", "--to", "0", "--yes"]).unwrap();
    assert_eq!((back["event"].as_str(), back["version"].as_u64()), (Some("in_force"), Some(2)));
    let newest = app(&["policy", "show"]).unwrap();
    assert_eq!((newest["event"].as_str(), newest["version"].as_u64()), (Some("version"), Some(2)));
    assert_eq!((&newest["policy"], &newest["returns_at_once"]), (&back["policy"], &false.into()));

    app(&["policy", "edit", "--notice", NOTICE_S, "--yes"]).unwrap();
    let weaker = app(&["policy", "edit", "--notice", "1", "--dry-run"]).unwrap();
    assert_eq!(weaker["function"], "announceUpgrade(bytes21,bytes)", "{weaker}");

    // Another host of the same app, with the changed program.
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
    assert_eq!(in_force.unwrap()["version"], 3);

    // Both run, with one key of the app.
    let new = Running::start(&kept);
    assert_eq!((app_answer(&new), app_answer(&old)), (first.clone(), first.clone()));
    assert_eq!(check(&["--min-notice", NOTICE_S]), Some(0));
    assert_eq!(check(&["--min-notice", "3600"]), Some(1));
    new.kill();
    assert_eq!(app_answer(&old), first);
    old.interrupt();
    up.interrupt();
}
