//! What followers take from a store and what they make of it: write sets, an archive, a store that begins in the middle.

use freehold_ledger::StateTree as _;

use super::*;
use crate::store::Change;

/// Executes so many blocks with a transaction each.
fn run(node: &mut Node, blocks: u64) {
    for _ in 0..blocks {
        node.next(1, Durable::WithBlock);
    }
}

#[test]
fn write_sets_make_the_same_tree() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut node = Node::open(folder.path());
    run(&mut node, 40);
    let mut tree = QmdbTree::open(&other.path().join("state"), 1).unwrap();
    for height in 0..=40 {
        let stored = node.blocks.writes(height).unwrap().unwrap();
        let bytes = stored.to_canonical();
        assert_eq!(StoredWrites::from_canonical(&bytes).unwrap(), stored);
        assert!(StoredWrites::from_canonical(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(stored.content.len(), usize::from(height == 0));
        let root = Digest(node.blocks.header(height).unwrap().unwrap().state_root.0);
        let set = tree.apply_certified(height, stored.writes, root).unwrap();
        assert!(set.changes.iter().all(|Change { old, new, .. }| old != new));
    }
    assert_eq!(tree.root(), node.tree.root());
    assert_eq!(node.blocks.writes(41).unwrap(), None);
}

#[test]
fn an_archive_answers_beyond_the_window_and_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    run(&mut node, 20);
    node.blocks.keep_states().unwrap();
    run(&mut node, HISTORY_WINDOW + 2 * HISTORY_STRIDE);
    drop(node);
    let node = Node::open(folder.path());
    assert_eq!(node.blocks.archive_from(), Some(0));
    for height in [0, 1, 10, 20, 21, 100] {
        let state = OldState::new(node.tree.reader(), node.blocks.clone(), height).unwrap();
        for (key, value) in writes(height, u32::from(height > 0)) {
            assert_eq!(state.value(&key).unwrap(), value, "height {height}");
        }
        // Written by a later block for the first time.
        assert_eq!(state.value(&slot(height + 1)).unwrap(), None);
    }
    let plain = tempfile::tempdir().unwrap();
    let mut node = Node::open(plain.path());
    run(&mut node, HISTORY_WINDOW + HISTORY_STRIDE);
    let too_old = OldState::new(node.tree.reader(), node.blocks.clone(), 10);
    assert!(matches!(too_old.err(), Some(OldStateError::NotKept(10))));
}

#[test]
fn a_seeded_store_goes_on_from_its_height() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut node = Node::open(folder.path());
    run(&mut node, 9);
    let blocks = BlockStore::open(&other.path().join("blocks.redb"), &IDENTITY).unwrap();
    let headers: Vec<(Digest, Header)> = (4..=9).map(|height| node.blocks.block(height).unwrap().unwrap()).collect();
    assert!(matches!(blocks.seed(&[], 7), Err(BlockStoreError::Gap { .. })));
    let mark = node.blocks.executed().unwrap();
    blocks.seed(&headers, mark.tree_operations).unwrap();
    assert!(matches!(blocks.seed(&headers, 7), Err(BlockStoreError::Gap { .. })));
    drop(blocks);
    let blocks = BlockStore::open(&other.path().join("blocks.redb"), &IDENTITY).unwrap();
    assert_eq!((blocks.executed(), blocks.seeded()), (Some(mark), 9));
    assert_eq!(blocks.recover().unwrap().redo(Some(9)), 10..10);
    assert!(!blocks.holds_state(8) && blocks.holds_state(9));
    assert_eq!(blocks.header(3).unwrap(), None);
    let pruned = blocks.transactions(9);
    assert!(matches!(pruned, Err(BlockStoreError::Pruned { height: 9, oldest: 10 })), "{pruned:?}");
    // The next payload is the one behind it.
    let next = payload(&node.head(), 1);
    let after = payload(&next.payload.head, 1);
    assert!(matches!(
        blocks.store_payload(&after, Durable::Now),
        Err(BlockStoreError::Gap { expected: 10, found: 11 })
    ));
    blocks.store_payload(&next, Durable::Now).unwrap();
}

#[test]
fn content_goes_over_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = BlockStore::open(&folder.path().join("blocks.redb"), &IDENTITY).unwrap();
    let pieces: Vec<(Digest, Vec<u8>)> = (0..10).map(|at| (Digest([at; 32]), vec![at; 100])).collect();
    blocks.store_content(&pieces).unwrap();
    let (mut found, mut from) = (Vec::new(), Some(Digest::ZERO));
    while let Some(begin) = from {
        let page = blocks.content_page(&begin, 250).unwrap();
        assert!((1..=2).contains(&page.pieces.len()));
        found.extend(page.pieces);
        from = page.next;
    }
    assert_eq!(found, pieces);
    assert_eq!((blocks.content_count().unwrap(), blocks.last_content().unwrap()), (10, Some(Digest([9; 32]))));
    // What is looked for in vain is remembered until it comes.
    use freehold_ledger::Content as _;
    assert_eq!(blocks.get(&Digest([77; 32])), None);
    blocks.store_content(&[(Digest([77; 32]), vec![7])]).unwrap();
    assert_eq!(blocks.take_missed(), []);
    assert_eq!(blocks.get(&Digest([78; 32])), None);
    assert_eq!((blocks.take_missed(), blocks.take_missed()), (vec![Digest([78; 32])], vec![]));
    blocks.clear_content().unwrap();
    assert_eq!(blocks.content_count().unwrap(), 0);
}
