//! The file system against `fsck.erofs`, where it is there; a kernel reads it in `tests/boot.rs`.

use std::process::Command;

use crate::{erofs, tree::Tree};

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.file("app/run", b"#!".to_vec(), true).unwrap();
    tree.file("app/empty", Vec::new(), false).unwrap();
    tree.file("app/large", (0..70_000_u32).map(|at| at as u8).collect(), false).unwrap();
    // A folder of several blocks.
    for index in 0..700 {
        tree.file(&format!("many/file-with-a-longer-name-{index}"), vec![index as u8; 3], false).unwrap();
    }
    tree
}

#[test]
fn fsck_accepts_the_file_system_and_reads_its_files_back() {
    if Command::new("fsck.erofs").arg("-V").output().is_err() {
        eprintln!("SKIPPED: `fsck.erofs` is not installed (package erofs-utils)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (folder.path().join("image"), folder.path().join("out"));
    std::fs::write(&image, erofs(&tree()).unwrap()).unwrap();
    let command = Command::new("fsck.erofs").arg(format!("--extract={}", out.display())).arg(&image).output().unwrap();
    assert!(command.status.success(), "{}", String::from_utf8_lossy(&command.stderr));
    assert_eq!(std::fs::read(out.join("app/large")).unwrap().len(), 70_000);
    assert_eq!(std::fs::read(out.join("app/run")).unwrap(), b"#!");
    assert_eq!(std::fs::read_dir(out.join("many")).unwrap().count(), 700);
    assert_eq!(std::fs::read(out.join("many/file-with-a-longer-name-699")).unwrap(), [699_u32 as u8; 3]);
}

#[test]
fn the_same_files_are_the_same_bytes() {
    let image = erofs(&tree()).unwrap();
    assert_eq!(image, erofs(&tree()).unwrap());
    assert_eq!(image.len() % 4096, 0);
}
