//! RFC 6962's known trees, all small trees against each other, and proofs that must fail.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn tree(count: u64) -> MerkleTree {
    MerkleTree::from_leaves(leaves(count))
}

/// The eight entries and roots that implementations of RFC 6962 share.
#[test]
fn known_roots() {
    let entries: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = MerkleTree::new();
    assert_eq!(tree.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (entry, root) in entries.iter().zip(roots) {
        tree.push(leaf_hash(entry));
        assert_eq!(tree.root().to_string(), root);
    }
}

#[test]
fn incremental_root_is_the_recursive_root() {
    for size in 0..130 {
        let tree = tree(size);
        assert_eq!(tree.root(), tree.root_at(size).unwrap(), "size {size}");
    }
}

#[test]
fn inclusion_of_every_leaf_in_every_small_tree() {
    let tree = tree(40);
    for size in 1..=40 {
        let root = tree.root_at(size).unwrap();
        for position in 0..size {
            let leaf = tree.leaf(position).unwrap();
            let path = tree.inclusion_path(position, size).unwrap();
            assert_eq!(verify_inclusion(&root, size, position, &leaf, &path), Ok(()));
            for other in (0..size).filter(|other| *other != position) {
                assert!(verify_inclusion(&root, size, other, &leaf, &path).is_err());
            }
        }
    }
}

#[test]
fn consistency_of_every_pair_of_small_trees() {
    let tree = tree(40);
    let head = |size| TreeHead { size, root: tree.root_at(size).unwrap() };
    for new in 1..=40 {
        for old in 1..=new {
            let path = tree.consistency_path(old, new).unwrap();
            assert_eq!(verify_consistency(&head(old), &head(new), &path), Ok(()), "{old} to {new}");
            let mut other = head(old);
            other.root.0[0] ^= 1;
            assert_eq!(verify_consistency(&other, &head(new), &path), Err(MerkleError::Root), "{old} to {new}");
            let mut other = head(new);
            other.root.0[0] ^= 1;
            assert_eq!(verify_consistency(&head(old), &other, &path), Err(MerkleError::Root), "{old} to {new}");
        }
        assert_eq!(verify_consistency(&head(0), &head(new), &[]), Ok(()));
    }
}

#[test]
fn inclusion_path_malformed() {
    let tree = tree(7);
    let (root, leaf) = (tree.root(), tree.leaf(2).unwrap());
    let path = tree.inclusion_path(2, 7).unwrap();
    let outside = MerkleError::Position { position: 7, size: 7 };
    assert_eq!(verify_inclusion(&root, 7, 7, &leaf, &path), Err(outside));
    assert_eq!(tree.inclusion_path(7, 7), Err(outside));
    assert_eq!(tree.inclusion_path(0, 8), Err(MerkleError::Position { position: 8, size: 7 }));
    assert_eq!(verify_inclusion(&root, 7, 2, &leaf, &path[1..]), Err(MerkleError::Length));
    let longer = [path.as_slice(), &[leaf]].concat();
    assert_eq!(verify_inclusion(&root, 7, 2, &leaf, &longer), Err(MerkleError::Length));
    let mut changed = path.clone();
    changed[0].0[5] ^= 1;
    assert_eq!(verify_inclusion(&root, 7, 2, &leaf, &changed), Err(MerkleError::Root));
    // A node passed off as a leaf hashes to the root of a smaller tree only with another position and size.
    assert_eq!(verify_inclusion(&root, 7, 2, &leaf, &[]), Err(MerkleError::Length));
}

#[test]
fn consistency_path_malformed() {
    let tree = tree(7);
    let head = |size| TreeHead { size, root: tree.root_at(size).unwrap() };
    let path = tree.consistency_path(3, 7).unwrap();
    assert!(tree.consistency_path(0, 7).is_err() && tree.consistency_path(8, 7).is_err());
    assert_eq!(verify_consistency(&head(7), &head(3), &path), Err(MerkleError::Position { position: 7, size: 3 }));
    assert_eq!(verify_consistency(&head(3), &head(7), &path[..path.len() - 1]), Err(MerkleError::Length));
    assert_eq!(
        verify_consistency(&head(3), &head(7), &[path.as_slice(), &path[..1]].concat()),
        Err(MerkleError::Length)
    );
    assert_eq!(verify_consistency(&head(3), &head(7), &[]), Err(MerkleError::Length));
    assert_eq!(verify_consistency(&head(7), &head(7), &path), Err(MerkleError::Length));
    let other = TreeHead { size: 7, root: Digest::ZERO };
    assert_eq!(verify_consistency(&other, &head(7), &[]), Err(MerkleError::Root));
    assert_eq!(verify_consistency(&TreeHead { size: 0, root: Digest::ZERO }, &head(7), &[]), Err(MerkleError::Root));
}

proptest! {
    #[test]
    fn grown_trees_stay_consistent(old in 1u64..300, more in 0u64..300, position in 0u64..600) {
        let new = old + more;
        let tree = tree(new);
        let head = |size| TreeHead { size, root: tree.root_at(size).unwrap() };
        let path = tree.consistency_path(old, new).unwrap();
        prop_assert!(path.len() <= MERKLE_PATH_MAX);
        prop_assert_eq!(verify_consistency(&head(old), &head(new), &path), Ok(()));
        let position = position % new;
        let path = tree.inclusion_path(position, new).unwrap();
        prop_assert_eq!(verify_inclusion(&tree.root(), new, position, &tree.leaf(position).unwrap(), &path), Ok(()));
    }

    #[test]
    fn any_proof_never_panics(
        sizes: (u64, u64),
        position: u64,
        root: [u8; 32],
        path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let path: Vec<_> = path.into_iter().map(Digest).collect();
        let _ = verify_inclusion(&Digest(root), sizes.0, position, &Digest(root), &path);
        let head = |size| TreeHead { size, root: Digest(root) };
        let _ = verify_consistency(&head(sizes.0), &head(sizes.1), &path);
    }
}
