//! What a disk remembers beside what the chain holds.
#![allow(clippy::unwrap_used)]

use freehold_primitives::AppId;

use std::fs;

use zeroize::Zeroizing;

use super::*;
use crate::roots::Root;

/// Held roots of these bytes, the newest first.
fn roots(bytes: &[u8]) -> Arc<HeldRoots> {
    let root = |byte: u8| Root { generation: u32::from(byte), secret: Zeroizing::new([byte; 32]) };
    let previous = bytes.get(1).map(|byte| root(*byte));
    Arc::new(HeldRoots::new(crate::roots::Roots { newest: root(bytes[0]), previous, previous_until: 0 }))
}

fn chain(sequence: u64, batch: u8) -> CountersEntry {
    CountersEntry {
        app_id: AppId::new([1; 20]),
        lease: "db".to_owned(),
        sequence,
        fence: 1,
        instance_id: Digest([2; 32]),
        batch: Digest([batch; 32]),
        values: Vec::new(),
        height: 9,
        time_unix_s: 99,
    }
}

#[test]
fn only_the_newest_batch_and_one_that_was_under_way_are_current() {
    let record = Record { sequence: 4, batch: Digest([4; 32]), pending: vec![Digest([5; 32]), Digest([6; 32])] };
    let state = |entry: Option<CountersEntry>| record.compare(entry.as_ref()).state;
    assert_eq!(state(Some(chain(4, 4))), DiskState::Current);
    assert_eq!(state(Some(chain(5, 5))), DiskState::Current);
    assert_eq!(state(Some(chain(5, 6))), DiskState::Current);
    // Another writer's batch, one too many, an older one, another branch, none.
    for entry in [chain(5, 9), chain(6, 5), chain(3, 3), chain(4, 9)] {
        assert_eq!(state(Some(entry.clone())), DiskState::Behind, "{entry:?}");
    }
    assert_eq!(state(None), DiskState::Behind);
    // A new disk is current where nothing was ever written, and behind where something was.
    assert_eq!(Record::default().compare(None).state, DiskState::Current);
    assert_eq!(Record::default().compare(Some(&chain(1, 1))).state, DiskState::Behind);
}

#[test]
fn a_record_opens_under_its_own_key_and_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = RecordFile::new(dir.path(), "db", roots(&[1]));
    assert_eq!(file.load().unwrap(), Record::default());
    let record = Record { sequence: 4, batch: Digest([4; 32]), pending: vec![Digest([5; 32])] };
    file.store(&record).unwrap();
    assert_eq!(file.load().unwrap(), record);
    let bytes = fs::read(&file.0.path).unwrap();
    for at in [0, 20, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&file.0.path, changed).unwrap();
        assert!(matches!(file.load(), Err(SealedError::Sealed(_))));
    }
    let other = RecordFile::new(dir.path(), "other", roots(&[1]));
    fs::write(&other.0.path, &bytes).unwrap();
    assert!(matches!(other.load(), Err(SealedError::Sealed(_))));
    fs::write(&file.0.path, &bytes).unwrap();
    assert!(matches!(RecordFile::new(dir.path(), "db", roots(&[2])).load(), Err(SealedError::Sealed(_))));
    // After a rotation it opens under the root key before, and is sealed under the newest from then on.
    let rotated = RecordFile::new(dir.path(), "db", roots(&[3, 1]));
    assert_eq!(rotated.load().unwrap(), record);
    rotated.store(&record).unwrap();
    assert_eq!(RecordFile::new(dir.path(), "db", roots(&[3])).load().unwrap(), record);
}
