//! Disks: what is synced stays, what is not is kept whole, torn, or not at all.
#![allow(clippy::unwrap_used)]

use commonware_runtime::{Blob as _, BlobVersion, ReadOptions, WriteOptions};
use futures::executor::block_on;

use super::{Blob, Disk, Fsync};

const VERSIONS: std::ops::RangeInclusive<BlobVersion> = BlobVersion::new(0)..=BlobVersion::new(0);

fn open(disk: &Disk) -> (Blob, u64) {
    let (blob, length, _) = disk.open("part", b"file", &VERSIONS).unwrap();
    (blob, length)
}

fn read(blob: &Blob, length: u64) -> Vec<u8> {
    let length = usize::try_from(length).unwrap();
    block_on(blob.read_at(0, length, ReadOptions::default())).unwrap().coalesce().as_ref().to_vec()
}

fn write(blob: &Blob, at: u64, bytes: &[u8], options: WriteOptions) {
    block_on(blob.write_at(at, bytes.to_vec(), options)).unwrap();
}

#[test]
fn synced_bytes_survive_and_others_may_be_torn() {
    let (mut whole, mut torn, mut lost) = (0, 0, 0);
    for seed in 0..400 {
        let disk = Disk::new(seed, Fsync::Keeps);
        let (blob, _) = open(&disk);
        write(&blob, 0, &[1; 8], WriteOptions::default());
        block_on(blob.sync()).unwrap();
        write(&blob, 8, &[2; 8], WriteOptions::default());
        write(&blob, 0, &[3; 4], WriteOptions::SYNC);
        disk.crash();
        let (blob, length) = open(&disk);
        let bytes = read(&blob, length);
        assert_eq!(bytes[..8], [3, 3, 3, 3, 1, 1, 1, 1]);
        match bytes.iter().filter(|byte| **byte == 2).count() {
            8 => whole += 1,
            0 => lost += 1,
            _ => torn += 1,
        }
    }
    assert!(whole > 40 && torn > 20 && lost > 100, "{whole} whole, {torn} torn, {lost} lost");
}

#[test]
fn pending_write_undoes_no_synced_one() {
    for seed in 0..50 {
        let disk = Disk::new(seed, Fsync::Keeps);
        let (blob, _) = open(&disk);
        write(&blob, 0, &[1; 8], WriteOptions::default());
        block_on(blob.resize(4)).unwrap();
        write(&blob, 2, &[9; 4], WriteOptions::SYNC);
        disk.crash();
        let (blob, length) = open(&disk);
        assert!(length >= 6);
        assert_eq!(read(&blob, 6)[2..], [9; 4]);
    }
}

#[test]
fn lying_disk_and_orphans_keep_nothing() {
    let disk = Disk::new(2, Fsync::Lies);
    let (blob, _) = open(&disk);
    for at in 0..64 {
        write(&blob, at, &[7], WriteOptions::SYNC);
    }
    block_on(blob.sync()).unwrap();
    disk.crash();
    // The old handle is an orphan: what it writes reaches nobody.
    write(&blob, 0, &[8; 64], WriteOptions::SYNC);
    let (again, length) = open(&disk);
    let bytes = read(&again, length);
    assert!(bytes.len() < 64 || bytes.contains(&0), "a disk that lies kept everything");
    assert!(!bytes.contains(&8));
    assert!(disk.holds(&[7]) && !disk.holds(&[8]));
    disk.wipe();
    assert_eq!(open(&disk).1, 0);
}

#[test]
fn names_and_removal_follow_the_contract() {
    let disk = Disk::new(0, Fsync::Keeps);
    assert!(disk.scan("part").is_err() && disk.remove("part", None).is_err());
    assert!(disk.open("no/slash", b"file", &VERSIONS).is_err());
    let (blob, _) = open(&disk);
    write(&blob, 0, b"read on", WriteOptions::default());
    disk.remove("part", Some(b"file")).unwrap();
    assert_eq!(read(&blob, 7), b"read on", "a removed file stays readable");
    assert_eq!(open(&disk).1, 0, "and another takes its name");
    assert_eq!(disk.scan("part").unwrap(), [b"file".to_vec()]);
    let other = BlobVersion::new(3)..=BlobVersion::new(4);
    assert!(disk.open("part", b"file", &other).is_err());
}
