//! Bytes under a signature. Real certificates are tested against the engine in `tests/engine`.

use proptest::prelude::*;

use super::*;

fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_varint(&mut out, value);
    out
}

#[test]
fn varint_is_the_shortest_form() {
    assert_eq!(varint(0), [0]);
    assert_eq!(varint(127), [0x7f]);
    assert_eq!(varint(128), [0x80, 1]);
    assert_eq!(varint(16_384), [0x80, 0x80, 1]);
    assert_eq!(varint(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
}

#[test]
fn signed_bytes_in_their_order() {
    let certificate = Certificate {
        term: 1,
        view: 300,
        parent_view: 299,
        payload: Digest([9; 32]),
        signature: G1Point::ZERO,
        seed: G1Point::ZERO,
    };
    let expect = [&[1, 0xac, 2, 0xab, 2][..], &[9; 32]].concat();
    assert_eq!(proposal_bytes(&certificate), expect);
    assert_eq!(round_bytes(1, 300), [1, 0xac, 2]);
}

proptest! {
    #[test]
    fn any_certificate_never_panics(
        key in prop::collection::vec(any::<u8>(), 96),
        points in prop::collection::vec(any::<u8>(), 96),
        fields: (u64, u64, u64),
        namespace in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut network = NetworkKey::ZERO;
        network.0.copy_from_slice(&key);
        let point = |bytes: &[u8]| {
            let mut point = G1Point::ZERO;
            point.0.copy_from_slice(bytes);
            point
        };
        let certificate = Certificate {
            term: fields.0,
            view: fields.1,
            parent_view: fields.2,
            payload: Digest::ZERO,
            signature: point(&points[..48]),
            seed: point(&points[48..]),
        };
        prop_assert!(verify_certificate(&network, &namespace, &certificate).is_err());
        prop_assert!(verify_certificate(&G2::generator().encode(), &namespace, &certificate).is_err());
    }
}
