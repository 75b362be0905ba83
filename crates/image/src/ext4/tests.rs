//! File systems that `e2fsck` finds nothing at, and sizes that are none. What the kernel makes of one: `crates/init/tests/boot.rs`.
#![allow(clippy::print_stderr)]

use std::{
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    process::Command,
};

use super::*;

#[test]
fn e2fsck_finds_nothing() {
    if Command::new("e2fsck").arg("-V").output().is_err() {
        eprintln!("SKIPPED: no file system is checked: it needs e2fsck, of the package e2fsprogs");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // One group, a last group that is left out, several groups, and a last one that is short.
    for (mib, kept) in [(12, 0), (32, 16), (129, 16), (300, 1), (1024, 64)] {
        let made = ext4(mib, kept, *b"freehold-state-1").unwrap();
        assert_eq!(ext4(mib, kept, *b"freehold-state-1").unwrap(), made);
        let path = folder.path().join(mib.to_string());
        let mut file = File::create(&path).unwrap();
        file.set_len(mib << 20).unwrap();
        for (block, bytes) in &made.written {
            assert!(*block < made.blocks && bytes.len() == EXT4_BLOCK);
            file.seek(SeekFrom::Start(block * EXT4_BLOCK as u64)).unwrap();
            file.write_all(bytes).unwrap();
        }
        let said = Command::new("e2fsck").args(["-f", "-n"]).arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{mib} MiB: {text}");
    }
}

#[test]
fn sizes_that_are_none() {
    for (mib, kept) in [(0, 0), (11, 0), (64, 64), (64, u64::MAX), (1 << 21, 0), (u64::MAX, 0)] {
        assert_eq!(ext4(mib, kept, [0; 16]).unwrap_err(), MeasureFault::StateSize, "{mib} {kept}");
    }
}
