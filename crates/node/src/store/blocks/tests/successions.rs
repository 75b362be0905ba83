//! Succession records: made of the payload that names a key and its certificate, whichever comes last, and never pruned.

use freehold_crypto::body_digest;
use freehold_primitives::{NetworkKey, SuccessionRecord, succession_body};

use super::*;

const KEY: NetworkKey = NetworkKey([0xa5; 96]);

/// A payload that names a key, after the newest one, in this term.
fn naming(node: &Node, term: u64) -> PayloadRow {
    let mut row = payload(&node.head(), 0);
    row.payload.body = Blob(succession_body(&KEY));
    row.payload.head.body = body_digest(&row.payload.body.0);
    row.payload.head.term = term;
    row.certificate = Some(certificate(payload_digest(&row.payload.head)));
    row
}

fn record(row: &PayloadRow) -> SuccessionRecord {
    let certificate = row.certificate.clone().unwrap();
    SuccessionRecord { payload_head: row.payload.head.clone(), network_key: KEY, certificate }
}

#[test]
fn records_are_kept_whenever_the_certificate_comes_and_never_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.next(1, Durable::WithBlock);
    assert_eq!(node.blocks.successions().unwrap(), []);
    let first = naming(&node, 1);
    node.blocks.store_payload(&first, Durable::WithBlock).unwrap();
    node.execute(first.payload.head.height);
    node.next(1, Durable::WithBlock);
    // Here the certificate comes after the payload.
    let second = naming(&node, 2);
    let late = PayloadRow { certificate: None, ..second.clone() };
    node.blocks.store_payload(&late, Durable::WithBlock).unwrap();
    node.execute(second.payload.head.height);
    assert_eq!(node.blocks.successions().unwrap(), [record(&first)]);
    node.blocks.store_certificate(second.certificate.as_ref().unwrap()).unwrap();
    let both = [record(&first), record(&second)];
    assert_eq!(node.blocks.successions().unwrap(), both);
    node.blocks.0.bodies.store(40, std::sync::atomic::Ordering::Relaxed);
    for _ in 0..128 {
        node.next(0, Durable::WithBlock);
    }
    assert!(node.blocks.oldest_body().unwrap() > Some(second.payload.head.height), "nothing was pruned");
    assert_eq!(node.blocks.successions().unwrap(), both);
    drop(node);
    let other = NetworkKey([0xa6; 96]);
    let node = Node::open(folder.path());
    // What a follower walked is kept beside them.
    let mut third = record(&second);
    (third.payload_head.term, third.network_key) = (7, other);
    node.blocks.store_successions(std::slice::from_ref(&third)).unwrap();
    assert_eq!(node.blocks.successions().unwrap(), [both[0].clone(), both[1].clone(), third]);
}
