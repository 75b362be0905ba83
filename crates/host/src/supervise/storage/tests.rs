//! What counts of a folder, and what does not.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;

use super::*;

const MIB: u64 = 1024 * 1024;

#[test]
fn every_file_counts_once_by_what_it_takes_and_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("big"), vec![1; 4 * MIB as usize]).unwrap();
    let folder = dir.path().join("storage");
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    fs::write(folder.join("deep/er/one"), vec![1; MIB as usize]).unwrap();
    let one = used(&folder, u64::MAX).unwrap();
    assert!((MIB..MIB + 64 * 1024).contains(&one), "{one}");
    // Another name for it, and names of what is elsewhere.
    fs::hard_link(folder.join("deep/er/one"), folder.join("same")).unwrap();
    symlink(outside.path(), folder.join("away")).unwrap();
    symlink(outside.path().join("big"), folder.join("file")).unwrap();
    assert!(used(&folder, u64::MAX).unwrap() < one + 64 * 1024);
    // A file with holes takes what is written of it.
    fs::File::create(folder.join("sparse")).unwrap().set_len(1 << 40).unwrap();
    assert!(used(&folder, u64::MAX).unwrap() < one + 64 * 1024);
    fs::write(folder.join("two"), vec![1; 3 * MIB as usize]).unwrap();
    assert!(used(&folder, u64::MAX).unwrap() >= 4 * MIB);
    // Empty files are something, and no look goes on without end.
    for at in 0..100 {
        fs::write(folder.join(format!("empty{at}")), "").unwrap();
    }
    assert!(used(&folder, u64::MAX).unwrap() >= 4 * MIB + 100 * FILE_BYTES_MIN);
    assert!(used(&folder, 1000).unwrap() < MIB + 64 * 1024 + 3 * MIB);
    assert_eq!(used(&dir.path().join("none"), 0).unwrap(), 0);
}
