//! A log that goes on after a kill and never grows beyond its bound.

use super::*;

#[test]
fn numbers_go_on_after_a_kill_and_a_half_line_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("log");
    let mut log = LogStore::open(folder.clone()).unwrap();
    for number in 0..3 {
        log.append(number + 10, &format!("record{number}")).unwrap();
    }
    drop(log);
    let path = file_name(&folder, 0);
    let torn = [fs::read(&path).unwrap(), b"99 half".to_vec()].concat();
    fs::write(&path, torn).unwrap();
    let mut log = LogStore::open(folder).unwrap();
    assert_eq!(log.count().next, 3);
    log.append(20, "record3").unwrap();
    let found = log.read(2).unwrap();
    let expected = |number, at_ms, record: &str| LogEntry { number, at_ms, record: record.to_owned() };
    assert_eq!(found, vec![expected(2, 12, "record2"), expected(3, 20, "record3")]);
    assert_eq!(log.read(4).unwrap(), Vec::new());
    assert_eq!(log.read(u64::MAX).unwrap(), Vec::new());
}

#[test]
fn the_oldest_records_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(dir.path().join("log")).unwrap();
    let record = "x".repeat(64 * 1024);
    for at in 0..400 {
        log.append(at, &record).unwrap();
        assert!(log.count().bytes <= LOG_BYTES_MAX + SEGMENT_BYTES);
    }
    let count = log.count();
    assert!(count.first > 0 && count.next == 400);
    let files = fs::read_dir(dir.path().join("log")).unwrap().count();
    assert_eq!(files, log.segments.len());
    // A page is bounded, and begins with the oldest one that is left.
    let page = log.read(0).unwrap();
    assert_eq!(page[0].number, count.first);
    assert!(page.len() <= 4);
}
