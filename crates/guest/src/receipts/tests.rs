//! Tests of the sealed log's file: torn tails, changed bytes, wrong keys.
#![allow(clippy::unwrap_used)]

use std::fs;

use freehold_primitives::{Blob, Digest};

use super::file::{HEADER_BYTES, LogError, LogFile, Record};

const ROOT: [u8; 32] = [3; 32];
const INSTANCE: Digest = Digest([9; 32]);

fn record(index: u8) -> Record {
    Record { access: index.is_multiple_of(2).then_some(Digest([index; 32])), document: Blob(vec![index; 100]) }
}

/// A log of five records, in two writes.
fn written(dir: &std::path::Path) -> std::path::PathBuf {
    let mut log = LogFile::create(dir, INSTANCE, &ROOT).unwrap();
    for batch in [vec![record(0), record(1), record(2)], vec![record(3), record(4)]] {
        let places = log.write(&batch).unwrap();
        log.sync().unwrap();
        log.commit(&places);
    }
    assert_eq!(log.read(3).unwrap(), record(3));
    LogFile::path_of(dir, &INSTANCE)
}

fn read(path: &std::path::Path) -> Vec<Record> {
    LogFile::open(path, &ROOT).unwrap().1
}

#[test]
fn a_log_is_read_back_by_whoever_has_the_root_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let (log, records) = LogFile::open(&path, &ROOT).unwrap();
    assert_eq!(log.instance(), INSTANCE);
    assert_eq!(records, (0..5).map(record).collect::<Vec<_>>());
    assert_eq!(log.read(4).unwrap(), record(4));
    assert!(LogFile::open(&path, &[4; 32]).unwrap().1.is_empty(), "another app's key opens nothing");
    let text = fs::read(&path).unwrap();
    assert!(!text.windows(20).any(|window| window == [1; 20]), "no plaintext on disk");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
}

#[test]
fn a_torn_tail_ends_the_log_at_every_cut() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let whole = fs::read(&path).unwrap();
    let mut seen = 0;
    for cut in HEADER_BYTES as usize..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let records = read(&path);
        assert!(records.len() >= seen && records.len() < 5, "cut at {cut}");
        seen = records.len();
        assert_eq!(records, (0..seen as u8).map(record).collect::<Vec<_>>());
    }
    assert_eq!(seen, 4);
}

#[test]
fn changed_and_moved_frames_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[HEADER_BYTES as usize + 40] ^= 1;
    fs::write(&path, &changed).unwrap();
    assert!(read(&path).is_empty());
    // The second frame has another length for lack of an access digest; frames 1 and 3 are alike. Swap them.
    let lengths = [1 + 1 + 32 + 4 + 100 + 16 + 32 + 4, 1 + 1 + 4 + 100 + 16 + 32 + 4];
    let at = |frame: usize| HEADER_BYTES as usize + (0..frame).map(|i| lengths[i % 2]).sum::<usize>();
    let mut moved = whole[..at(1)].to_vec();
    moved.extend_from_slice(&whole[at(3)..at(4)]);
    moved.extend_from_slice(&whole[at(2)..at(3)]);
    moved.extend_from_slice(&whole[at(1)..at(2)]);
    fs::write(&path, &moved).unwrap();
    assert_eq!(read(&path), vec![record(0)]);
    // A header of another instance.
    let mut foreign = whole;
    foreign[30] ^= 1;
    fs::write(&path, &foreign).unwrap();
    assert!(read(&path).is_empty());
    fs::write(&path, b"freehold receipts").unwrap();
    assert!(matches!(LogFile::open(&path, &ROOT), Err(LogError::Header(_))));
}

#[test]
fn hostile_lengths_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path());
    let mut whole = fs::read(&path).unwrap();
    for length in [0_u32, 7, u32::MAX, 1 << 30] {
        whole[HEADER_BYTES as usize..][..4].copy_from_slice(&length.to_be_bytes());
        fs::write(&path, &whole).unwrap();
        assert!(read(&path).is_empty());
    }
}

#[test]
fn a_log_is_begun_once() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    assert!(matches!(LogFile::create(dir.path(), INSTANCE, &ROOT), Err(LogError::Io { .. })));
}
