//! The file system against `fsck.erofs`, where it is there; a kernel reads it in `tests/boot.rs`.

use std::{os::unix::fs::MetadataExt as _, process::Command};

use crate::{
    erofs,
    tree::{Node, NodeKind, Tree},
};

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.file("app/run", b"#!".to_vec(), true).unwrap();
    tree.file("app/empty", Vec::new(), false).unwrap();
    tree.file("app/large", (0..70_000_u32).map(|at| at as u8).collect(), false).unwrap();
    // Files of a container: owners, rights, links.
    let own = |kind, mode| Node { kind, mode, uid: 0x4000_0021, gid: 0x4000_0022 };
    tree.add("image", own(NodeKind::Folder, 0o1700)).unwrap();
    tree.add("image/link", own(NodeKind::Symlink("../app/large".to_owned()), 0o777)).unwrap();
    tree.add("image/twin", own(NodeKind::File((0..70_000_u32).map(|at| at as u8).collect()), 0o640)).unwrap();
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
    assert_eq!(std::fs::read_link(out.join("image/link")).unwrap().to_str(), Some("../app/large"));
    let about = std::fs::metadata(out.join("image/twin")).unwrap();
    assert_eq!((about.mode(), about.len()), (0o100_640, 70_000));
    // Only root can give files away.
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert_eq!((about.uid(), about.gid()), (0x4000_0021, 0x4000_0022));
    }
    assert_eq!(std::fs::read_dir(out.join("many")).unwrap().count(), 700);
    assert_eq!(std::fs::read(out.join("many/file-with-a-longer-name-699")).unwrap(), [699_u32 as u8; 3]);
}

#[test]
fn the_same_files_are_the_same_bytes() {
    let image = erofs(&tree()).unwrap();
    assert_eq!(image, erofs(&tree()).unwrap());
    assert_eq!(image.len() % 4096, 0);
    // What stands twice is written once.
    let mut once = Tree::new();
    once.file("a", vec![7; 70_000], false).unwrap();
    let alone = erofs(&once).unwrap().len();
    once.file("b", vec![7; 70_000], true).unwrap();
    assert_eq!(erofs(&once).unwrap().len(), alone);
}

#[test]
fn rights_and_targets_that_no_image_gives_are_refused() {
    let mut tree = Tree::new();
    let node = |kind, mode| Node { kind, mode, uid: 0, gid: 0 };
    for (kind, mode) in [
        (NodeKind::File(Vec::new()), 0o4755),
        (NodeKind::Folder, 0o2755),
        (NodeKind::Symlink(String::new()), 0o777),
        (NodeKind::Symlink("a\0".to_owned()), 0o777),
    ] {
        assert_eq!(tree.add("a", node(kind, mode)).unwrap_err().code(), 20);
    }
}
