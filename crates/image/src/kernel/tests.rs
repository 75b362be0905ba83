//! What is taken out of an archive, and what is no pinned package.

use super::*;

/// A record of a tar archive, with its data.
fn record(name: &str, data: &[u8]) -> Vec<u8> {
    let mut record = vec![0; RECORD];
    record[..name.len()].copy_from_slice(name.as_bytes());
    let length = format!("{:011o}", data.len());
    record[124..135].copy_from_slice(length.as_bytes());
    record.extend(data);
    record.resize(record.len().next_multiple_of(RECORD), 0);
    record
}

#[test]
fn the_wanted_files_are_taken_in_their_own_order() {
    let mut archive = record("./boot/config", b"no");
    for module in MODULE_FILES.iter().chain(&CONTAINER_MODULE_FILES).rev() {
        archive.extend(record(&format!("./{MODULES}{module}.ko.xz"), module.as_bytes()));
    }
    let without_kernel = [archive.clone(), vec![0; RECORD]].concat();
    assert_eq!(wanted(without_kernel.as_slice()).unwrap(), None);
    archive.extend(record(&format!("./{KERNEL}"), b"kernel"));
    let files = wanted([archive.clone(), vec![0; RECORD]].concat().as_slice()).unwrap().unwrap();
    assert_eq!((files.kernel.as_slice(), files.modules.len()), (&b"kernel"[..], MODULE_FILES.len()));
    assert_eq!(files.container_modules[0].0, "overlay.ko.xz");
    assert_eq!(files.modules[0], ("virtio_blk.ko.xz".to_owned(), b"drivers/block/virtio_blk".to_vec()));
    // Cut short anywhere.
    for length in (0..archive.len()).step_by(257) {
        assert!(wanted(&archive[..length]).is_err(), "{length}");
    }
}

#[test]
fn another_package_is_refused_by_its_digest() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = KernelFiles::read(file.path()).unwrap_err();
    assert_eq!(refused.code(), 24);
    assert!(refused.to_string().contains(KERNEL_SHA256) && refused.to_string().contains(KERNEL_PACKAGE), "{refused}");
}
