//! Blocks on the wire: round trip, and one case per fault of bytes from a peer.
#![allow(clippy::unwrap_used)]

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use freehold_primitives::{Blob, G1Point, KeyCeremony};

use super::*;

fn genesis() -> Genesis {
    Genesis {
        chain_id: 7,
        production: false,
        timestamp_ms: 12,
        epoch_s: 600,
        lease_s: 600,
        validators: vec![],
        consensus_polynomial: Blob(vec![]),
        derivation_polynomial: vec![],
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: vec![],
        allocations: vec![],
    }
}

fn payload(bytes: usize) -> Payload {
    let body = vec![9; bytes];
    let mut payload = genesis_payload(&genesis());
    payload.head.height = 1;
    payload.head.parent_seed = Some(G1Point([1; 48]));
    payload.head.body = body_digest(&body);
    payload.body = Blob(body);
    payload
}

fn wire(document: &[u8]) -> Vec<u8> {
    Bytes::copy_from_slice(document).encode().to_vec()
}

/// Whether a peer's bytes are refused.
fn refused(bytes: &[u8]) -> bool {
    Block::decode(Copying(bytes)).is_err()
}

#[test]
fn round_trip() {
    for bytes in [0, 1, 100, PAYLOAD_BYTES_MAX] {
        let block = Block::new(payload(bytes)).unwrap();
        let encoded = block.encode();
        assert!(encoded.len() <= Block::max_encode_size(&()));
        let read = Block::decode(encoded.clone()).unwrap();
        assert_eq!(read.payload(), block.payload());
        assert_eq!((read.digest(), read.height(), read.id()), (block.digest(), block.height(), block.id()));
        assert_eq!(read.encode(), encoded);
    }
}

#[test]
fn head_is_within_its_bound() {
    let payload = payload(0);
    assert_eq!(payload.to_canonical().len(), 1 + HEAD_BYTES_MAX + 4);
}

#[test]
fn body_other_than_named() {
    let mut payload = payload(10);
    payload.body.0[3] ^= 1;
    assert_eq!(Block::new(payload.clone()).unwrap_err(), BlockError::BodyDigest);
    assert!(refused(&wire(&payload.to_canonical())));
}

#[test]
fn body_above_its_bound() {
    let length = PAYLOAD_BYTES_MAX + 1;
    assert_eq!(Block::new(payload(length)).unwrap_err(), BlockError::BodyTooLong { length });
    assert!(refused(&wire(&payload(length).to_canonical())));
}

#[test]
fn bytes_left_over() {
    let mut document = payload(10).to_canonical();
    document.push(0);
    assert!(refused(&wire(&document)));
}

#[test]
fn bytes_cut_short() {
    let bytes = wire(&payload(10).to_canonical());
    assert!((0..bytes.len()).all(|end| refused(&bytes[..end])));
}

#[test]
fn unknown_version() {
    let mut document = payload(10).to_canonical();
    document[0] = 2;
    assert!(refused(&wire(&document)));
}

#[test]
fn genesis_names_everything() {
    let one = genesis_block(&genesis());
    assert_eq!(one.height().get(), 0);
    assert_eq!(one.head().parent, genesis_hash(&genesis()));
    let other = genesis_block(&Genesis { lease_s: 601, ..genesis() });
    assert_ne!(one.id(), other.id());
}
