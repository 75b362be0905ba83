//! The archive against its format.

use crate::{cpio, tree::Tree};

#[test]
fn an_archive_is_the_same_whatever_the_order_of_its_files() {
    let mut one = Tree::new();
    one.file("b/c", vec![1, 2, 3], true).unwrap();
    one.file("a", vec![4], false).unwrap();
    let mut two = Tree::new();
    two.file("a", vec![4], false).unwrap();
    two.folder("b").unwrap();
    two.file("b/c", vec![1, 2, 3], true).unwrap();
    let archive = cpio(&one).unwrap();
    assert_eq!(archive, cpio(&two).unwrap());
    assert!(archive.starts_with(b"07070100000001000081a40000000000000000000000010000000000000001"));
    assert!(archive.len().is_multiple_of(4) && archive.windows(10).any(|piece| piece == b"TRAILER!!!"));
}

#[test]
fn paths_that_leave_the_tree_or_stand_twice_are_refused() {
    let mut tree = Tree::new();
    tree.file("a", Vec::new(), false).unwrap();
    for path in ["", "/a", "a/", "../a", "a/../b", "./a", "a//b", "a", "a/b", &"x".repeat(256), "z\0"] {
        let refused = tree.file(path, Vec::new(), false);
        assert_eq!(refused.unwrap_err().code(), 20, "{path:?}");
    }
}
