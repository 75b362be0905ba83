//! Snapshots that come back as they were, those that were changed, and disks that make room.
#![allow(clippy::unwrap_used)]

use super::*;

/// A disk with holes, of a length that is no whole number of pieces.
fn disk(folder: &Path) -> File {
    use std::os::unix::fs::FileExt as _;
    let disk = File::options().read(true).write(true).create_new(true).open(folder.join("disk")).unwrap();
    disk.set_len(1_000_001).unwrap();
    for (at, bytes) in [(5, &b"first"[..]), (500_000, &[7; 70_000]), (999_999, b"zz")] {
        disk.write_all_at(bytes, at).unwrap();
    }
    disk
}

fn snapshot(folder: &Path) -> Vec<u8> {
    let disk = disk(folder);
    let about = About::of(&disk, "app".to_owned(), None).unwrap();
    let path = folder.join("snapshot");
    write(&about, &disk, BufWriter::new(File::create(&path).unwrap())).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn a_disk_comes_back_as_it_was_and_its_holes_take_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let kept = snapshot(folder.path());
    assert!(kept.len() < 300_000, "{}", kept.len());
    let back = tempfile::tempfile_in(folder.path()).unwrap();
    let about = read(&kept[..], &back).unwrap();
    assert_eq!((about.app.as_str(), about.bytes), ("app", 1_000_001));
    assert_eq!(About::of(&back, "app".to_owned(), None).unwrap(), about);
    let original = File::open(folder.path().join("disk")).unwrap();
    assert_eq!(About::of(&original, "app".to_owned(), None).unwrap(), about);
}

#[test]
fn a_snapshot_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let kept = snapshot(folder.path());
    let said = |bytes: &[u8]| {
        let error = read(bytes, &tempfile::tempfile_in(folder.path()).unwrap()).unwrap_err();
        format!("{error:#}")
    };
    assert!(said(&kept[..10]).contains("too short"));
    assert!(said(&[&kept[..], &[0]].concat()).contains("behind its end"));
    assert!(said(&kept[..kept.len() - 9]).contains("too short"));
    let mut other = kept.clone();
    other[0] ^= 1;
    assert!(said(&other).contains("begins with something else"));
    let mut other = kept.clone();
    let last = other.len() - 20;
    other[last] ^= 1;
    assert!(said(&other).contains("not the one"));
    // A description without an end, and a disk without one.
    let mut other = kept[..19].to_vec();
    other.extend(u32::MAX.to_be_bytes());
    assert!(said(&other).contains("longer than"));
    let text = format!(r#"{{"app":"a","app_id":null,"bytes":{},"sha256":"{}"}}"#, u64::MAX, "00".repeat(32));
    let mut other = kept[..19].to_vec();
    other.extend((text.len() as u32).to_be_bytes());
    other.extend(text.as_bytes());
    assert!(said(&other).contains("larger than"), "{}", said(&other));
}

#[test]
fn a_disk_that_makes_room_is_kept_under_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join(STATE_DISK);
    assert_eq!(aside(&place).unwrap(), None);
    for number in 1..=2 {
        fs::write(&place, [number]).unwrap();
        let kept = aside(&place).unwrap().unwrap();
        assert_eq!(kept, folder.path().join(format!("state.disk.{number}")));
        assert!(!place.exists() && fs::read(kept).unwrap() == [number]);
    }
}
