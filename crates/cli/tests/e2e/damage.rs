//! Disks that are full or damaged: one sentence each, never a panic; what does no harm is gone over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::support::{BINARY, Running, run, said, turn};

fn up(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    ["up", "--no-app", "--validators", "1", "--data-dir", folder, "--rpc", "127.0.0.1:0"].map(str::to_owned).to_vec()
}

fn start(folder: &Path) -> Result<Running, Output> {
    let arguments = up(folder);
    Running::try_start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Exit status 1, and one sentence that says what to do.
pub(crate) fn check(output: &Output, what: &str) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(1), "{what}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{what}: {text}");
    assert!(text.starts_with("error: ") && !text.contains("panicked"), "{what}: {text}");
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_damaged_file_gets_one_sentence_or_does_no_harm() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let network = start(&whole).unwrap();
    network.reach(3);
    network.interrupt();
    let mut all = Vec::new();
    files(&whole, &mut all);
    all.retain(|path| path.metadata().unwrap().len() > 0 && !path.ends_with("lock"));
    let mut refused = 0;
    for (index, file) in all.iter().enumerate() {
        let name = file.strip_prefix(&whole).unwrap();
        let damaged = folder.path().join(format!("damaged-{index}"));
        copy(&whole, &damaged);
        let mut bytes = fs::read(file).unwrap();
        let step = (bytes.len() / 40).max(1);
        bytes.iter_mut().step_by(step).for_each(|byte| *byte ^= 0xff);
        fs::write(damaged.join(name), bytes).unwrap();
        if let Err(output) = start(&damaged) {
            check(&output, &name.display().to_string());
            refused += 1;
        }
        fs::remove_dir_all(&damaged).unwrap();
    }
    assert!(refused >= 5, "keys, genesis and stores at least: {refused} of {}", all.len());
}

#[test]
fn a_disk_that_takes_no_more_gets_one_sentence() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes: nothing at all; genesis and keys but no store.
    for blocks in ["0", "20"] {
        let data = folder.path().join(blocks);
        let limited = Command::new("timeout")
            .args(["90", "sh", "-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", blocks, BINARY])
            .args(up(&data))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        check(&limited, &format!("at most {blocks} blocks a file"));
        // With room again it goes on, whatever half of it was there.
        let network = start(&data).unwrap_or_else(|output| panic!("after {blocks} blocks: {}", said(&output)));
        network.reach(2);
        network.interrupt();
    }
    let nowhere = run(&["up", "--no-app", "--data-dir", "/proc/freehold"]);
    check(&nowhere, "a folder that cannot be made");
}
