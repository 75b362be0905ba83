//! Blocks on the wire: round trip, and one case per fault of bytes from a peer.
#![allow(clippy::unwrap_used)]

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use freehold_primitives::{Blob, Ed25519Signature, G1Point, KeyCeremony, Membership};

use super::*;

fn genesis() -> Genesis {
    Genesis {
        chain_id: 7,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: 12,
        epoch_s: 600,
        lease_s: 600,
        validators: vec![],
        consensus_polynomial: Blob(vec![]),
        derivation_polynomial: vec![],
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: vec![],
        allocations: vec![],
        membership: Membership::default(),
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
    assert_eq!(payload.to_canonical().len(), 1 + HEAD_BYTES_MAX + 4 + Ed25519Signature::SIZE);
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

/// The example of `spec/payload.md` §2, whose values were computed outside this project's code.
#[test]
fn example_of_the_specification() {
    let body =
        PayloadBody { transactions: vec![Blob(vec![0x02, 0xaa, 0xbb])], ..PayloadBody::default() }.to_canonical();
    let body_digest: Digest = "a841a34dd991f8bd1d9c19c9b86e4b3791d89b2d8a770d0951e9365f9b1b3913".parse().unwrap();
    let payload = Payload {
        head: PayloadHead {
            chain_id: 7,
            height: 2,
            term: 0,
            view: 5,
            parent: Digest([0x11; 32]),
            timestamp_ms: 1_700_000_000_123,
            proposer: 3,
            executed: Executed { height: 1, block_hash: Digest([0x22; 32]) },
            parent_seed: Some(G1Point([0x33; 48])),
            body: body_digest,
        },
        body: Blob(body),
        signature: Ed25519Signature([0x44; 64]),
    };
    let block = Block::new(payload).unwrap();
    let id = "ee5ca90dcc038342a230e2f37542bf03da46585d57ec57470fa4d6f3ea429a1c";
    assert_eq!(block.id().to_string(), id);
    let document = block.payload().to_canonical();
    assert_eq!(document.len(), 283);
    let whole = "d686e5e26b5c1462b5d8d5f184497fe0d6f8bd990383844749ed68df0ff81748";
    assert_eq!(freehold_crypto::sha256(&document).to_string(), whole);
}

/// Bytes with faults anywhere are refused, or are the canonical bytes of another block; they never panic.
#[test]
fn faults_anywhere() {
    let bytes = wire(&payload(40).to_canonical());
    arbtest::arbtest(|source| {
        let mut bytes = bytes.clone();
        for _ in 0..source.int_in_range(1..=4)? {
            let at = source.choose_index(bytes.len())?;
            bytes[at] = source.arbitrary()?;
        }
        bytes.truncate(source.int_in_range(0..=bytes.len())?);
        if let Ok(block) = Block::decode(Copying(&bytes)) {
            assert_eq!(block.encode(), bytes);
        }
        Ok(())
    });
}
