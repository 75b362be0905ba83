//! The floor under headers: what is refused, and what the file survives.
#![allow(clippy::unwrap_used)]

use super::*;

fn moment(height: u64, byte: u8, time_unix_s: u64) -> BlockMoment {
    BlockMoment { height, block_hash: Digest([byte; 32]), time_unix_s }
}

#[test]
fn headers_never_go_back_in_height_time_or_branch() {
    let floor = moment(10, 1, 1_000);
    let check = |offered: BlockMoment| admit(Some(&floor), &offered);
    assert_eq!(check(floor), Ok(()));
    assert_eq!(check(moment(11, 2, 1_000)), Ok(()));
    assert_eq!(check(moment(9, 1, 2_000)), Err(FloorError::Behind { seen: 10, offered: 9 }));
    assert_eq!(check(moment(10, 2, 1_000)), Err(FloorError::Forked(10)));
    assert_eq!(check(moment(11, 2, 999)), Err(FloorError::Earlier { seen: 10, offered: 11 }));
    assert_eq!(admit(None, &moment(0, 0, 0)), Ok(()));
}

#[test]
fn the_file_comes_back_and_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = SeenFile::new(dir.path(), Digest([7; 32]));
    assert_eq!(file.load().unwrap(), None);
    file.store(&moment(10, 1, 1_000)).unwrap();
    file.store(&moment(12, 3, 1_002)).unwrap();
    assert_eq!(file.load().unwrap(), Some(moment(12, 3, 1_002)));
    // Another chain has its own past.
    assert_eq!(SeenFile::new(dir.path(), Digest([8; 32])).load().unwrap(), None);
    let bytes = fs::read(dir.path().join("seen")).unwrap();
    for damaged in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat(), b"", &[0; 4096]] {
        fs::write(dir.path().join("seen"), damaged).unwrap();
        assert!(matches!(file.load(), Err(SeenError::Damaged(_))));
    }
}
