//! Trees against `veritysetup`, where it is there.

use std::process::Command;

use super::*;

#[test]
fn veritysetup_accepts_what_is_built_and_refuses_a_flipped_byte() {
    if Command::new("veritysetup").arg("--version").output().is_err() {
        eprintln!("SKIPPED: `veritysetup` is not installed (package cryptsetup-bin)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    // One level of hashes, its edge, two levels, and an odd length.
    for bytes in [1, 128 * 4096, 128 * 4096 + 1, 300 * 4096 + 5] {
        let data: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        let (image, root) = verity_sealed(data).unwrap();
        let verified = |image: &[u8]| {
            std::fs::write(&disk, image).unwrap();
            let offset = format!("--hash-offset={}", root.data_blocks * VERITY_BLOCK as u64);
            let command = Command::new("veritysetup")
                .arg("verify")
                .args([&disk, &disk])
                .args([root.hash.to_string(), offset])
                .output();
            command.unwrap().status.success()
        };
        assert!(verified(&image), "{bytes} bytes");
        let mut changed = image;
        changed[4096] ^= 1;
        assert!(!verified(&changed), "{bytes} bytes, one flipped");
    }
}

#[test]
fn the_same_bytes_have_the_same_root() {
    let (one, root) = verity_sealed(vec![7; 5000]).unwrap();
    let (two, again) = verity_sealed(vec![7; 5000]).unwrap();
    assert!(one == two && root == again && root.data_blocks == 2);
    assert_ne!(verity_sealed(vec![8; 5000]).unwrap().1.hash, root.hash);
    let target = root.target("/dev/vda");
    assert!(target.starts_with("1 /dev/vda /dev/vda 4096 4096 2 3 sha256 "), "{target}");
}
