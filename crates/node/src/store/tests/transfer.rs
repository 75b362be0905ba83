//! A tree that comes over from another one: whole, after a break, and never changed.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use freehold_ledger::StateTree as _;
use rand::{SeedableRng as _, rngs::StdRng};

use super::{FRESH, Model, block, check_proof, key, open};
use crate::store::{
    AnswerCheck, OPERATIONS_MAX, OperationSource, OperationsRequest, TransferError, TransferTarget, TreeError,
    TreeReader, receive,
};

/// Gives so many answers, then none; changes the one with this number.
struct Other {
    reader: TreeReader,
    left: AtomicU64,
    changed: Option<u64>,
}

impl OperationSource for Arc<Other> {
    type Error = TreeError;

    async fn operations(&self, request: OperationsRequest, check: AnswerCheck) -> Result<Vec<u8>, TreeError> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let left = left.map_err(|_| TreeError::Closed)?;
        let mut bytes = self.reader.serve_operations(request)?;
        if self.changed == Some(left) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        if check(&bytes) { Ok(bytes) } else { Err(TreeError::NotServed) }
    }
}

fn source(reader: &TreeReader, left: u64, changed: Option<u64>) -> Arc<Other> {
    Arc::new(Other { reader: reader.clone(), left: AtomicU64::new(left), changed })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_comes_over_in_parts_and_after_a_break() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut rng, mut model) = (StdRng::seed_from_u64(31), Model::new());
    let mut tree = open(from.path(), FRESH);
    for height in 0..60 {
        let writes = block(&mut rng, &mut model, 20_000, 1_000);
        tree.apply_writes(height, &writes).unwrap();
    }
    // What is below the floor goes, so that the log begins in the middle.
    tree.flush().unwrap();
    let target = tree.reader().transfer_target().unwrap();
    assert!(target.is_sound() && target.operations > 4 * OPERATIONS_MAX, "{target:?}");
    // The tree moves on meanwhile: older sizes are still served.
    let moved = block(&mut rng, &mut Model::new(), 20_000, 50);
    tree.apply_writes(60, &moved).unwrap();
    let reader = tree.reader();

    let broken = receive(to.path(), target.clone(), source(&reader, 3, None)).await;
    assert!(matches!(broken, Err(TransferError::Source(TreeError::Closed))), "{broken:?}");
    let changed = receive(to.path(), target.clone(), source(&reader, 1_000, Some(998))).await;
    assert!(matches!(changed, Err(TransferError::Source(TreeError::NotServed))), "{changed:?}");
    let received = receive(to.path(), target.clone(), source(&reader, 1_000, None)).await.unwrap();
    assert!(received.bytes > 0);
    let came = open(to.path(), target.operations);
    assert_eq!((came.height(), came.root()), (Some(59), target.root));
    for index in 0..200 {
        check_proof(&came, &model, &key(index));
    }
    // Both go on alike.
    let mut came = came;
    assert_eq!(came.apply(60, &moved).unwrap(), tree.root());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_state_of_the_log_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rng, mut model) = (StdRng::seed_from_u64(37), Model::new());
    let mut tree = open(folder.path(), FRESH);
    assert!(matches!(tree.reader().transfer_target(), Err(TreeError::NotServed)));
    for height in 0..3 {
        let writes = block(&mut rng, &mut model, 50, 20);
        tree.apply_writes(height, &writes).unwrap();
    }
    let reader = tree.reader();
    let target = reader.transfer_target().unwrap();
    let size = target.operations;
    for (size, start, count) in [
        (size + 1, 0, 1),
        (size, size, 1),
        (0, 0, 1),
        (size, 0, OPERATIONS_MAX + 1),
        (size - 1, 0, 1),
        (u64::MAX, 0, 0),
    ] {
        let refused = reader.serve_operations(OperationsRequest { size, start, count });
        assert!(matches!(refused, Err(TreeError::NotServed)), "{size} {start} {count}: {refused:?}");
    }
    assert!(!reader.serve_operations(OperationsRequest { size, start: 1, count: 0 }).unwrap().is_empty());
    let unsound = [
        TransferTarget { floor: size, ..target.clone() },
        TransferTarget { operations: u64::MAX, ..target.clone() },
        TransferTarget { witness: Vec::new(), ..target.clone() },
        TransferTarget { witness: vec![1; 4_096], ..target.clone() },
        TransferTarget { log_root: target.root, ..target.clone() },
        TransferTarget { root: target.log_root, ..target.clone() },
    ];
    assert!(unsound.iter().all(|target| !target.is_sound()));
}

#[test]
fn writes_that_give_another_root_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rng, mut model) = (StdRng::seed_from_u64(41), Model::new());
    let mut tree = open(folder.path(), FRESH);
    let first = tree.apply_writes(0, &block(&mut rng, &mut model, 50, 20)).unwrap();
    let writes = block(&mut rng, &mut model, 50, 20);
    let refused = tree.apply_certified(1, writes.clone(), first.root);
    assert!(matches!(refused, Err(TreeError::OtherRoot { height: 1 })), "{refused:?}");
    assert_eq!((tree.height(), tree.root()), (Some(0), first.root));
    let set = tree.apply_writes(1, &writes).unwrap();
    assert_ne!(set.root, first.root);
}
