//! The protocol's published response vector, whole exchanges, and every kind of broken body.
#![allow(clippy::unwrap_used)]

use core::array::from_fn;

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

fn rng() -> StdRng {
    StdRng::seed_from_u64(11)
}

fn counting(from: u8) -> [u8; 32] {
    from_fn(|i| from + i as u8)
}

/// Frames of a stream that arrives whole.
fn frames(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = FrameReader::new(FRAME_BYTES_MAX);
    let frames = reader.push(stream).unwrap();
    reader.finish().unwrap();
    frames
}

#[test]
fn response_vector() {
    let secret = ExportedSecret::from_bytes(&counting(0));
    let mut sealer = ResponseSealer::with_nonce(&secret, &counting(0x20), counting(0x40));
    let body = sealer.seal(b"hello from test vector").unwrap();
    assert_eq!(
        hex::encode(&body),
        "0000002647e74d9a561b60ff42ac7ffbb4caf6b6d5ad0bb7621e41840d2ab7de7208ff7a59d0a2a482cc"
    );
    let mut opener = ResponseOpener::new(&secret, &counting(0x20), &counting(0x40));
    assert_eq!(opener.open(&frames(&body)[0]).unwrap(), b"hello from test vector");
}

#[test]
fn key_config_is_the_fixed_suite() {
    let key = HpkeSecret::from_bytes(&[3; 32]).public();
    assert_eq!(key.to_string(), "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22");
    let config = key_config(&key);
    assert_eq!(hex::encode(config), format!("000020{key}000400010002"));
    assert_eq!(parse_key_config(&config), Ok(key));
    for at in [0, 1, 2, 35, 36, 37, 38, 39, 40] {
        let mut other = config;
        other[at] ^= 1;
        assert_eq!(parse_key_config(&other), Err(EhbpError::KeyConfig), "byte {at}");
    }
    // RFC 9458's list form, with a length before each configuration.
    assert_eq!(parse_key_config(&[&[0, 41], config.as_slice()].concat()), Err(EhbpError::KeyConfig));
}

#[test]
fn exchange_over_chunks() {
    let secret = HpkeSecret::generate(&mut rng());
    let mut sealer = RequestSealer::new(&secret.public(), &mut rng()).unwrap();
    let stream: Vec<u8> =
        [b"first".as_slice(), b"", b"second", &[7; 70_000]].iter().flat_map(|c| sealer.seal(c).unwrap()).collect();
    let mut opener = RequestOpener::new(&secret, sealer.encapsulated_key()).unwrap();
    let opened: Vec<_> = frames(&stream).iter().map(|frame| opener.open(frame).unwrap()).collect();
    assert_eq!(opened, [b"first".to_vec(), b"second".to_vec(), vec![7; 70_000]]);
    assert_eq!(sealer.exported_secret().as_bytes(), opener.exported_secret().as_bytes());

    let enc = *sealer.encapsulated_key();
    let mut answer = ResponseSealer::new(&opener.exported_secret(), &enc, &mut rng());
    let stream: Vec<u8> = (0..300u32).flat_map(|i| answer.seal(&i.to_be_bytes()).unwrap()).collect();
    let mut reader = ResponseOpener::new(&sealer.exported_secret(), &enc, answer.nonce());
    for (i, frame) in frames(&stream).iter().enumerate() {
        assert_eq!(reader.open(frame).unwrap(), (i as u32).to_be_bytes());
    }
}

#[test]
fn request_changed_or_out_of_order_is_refused() {
    let secret = HpkeSecret::generate(&mut rng());
    let mut sealer = RequestSealer::new(&secret.public(), &mut rng()).unwrap();
    let first = sealer.seal(b"first").unwrap()[4..].to_vec();
    let second = sealer.seal(b"second").unwrap()[4..].to_vec();
    let mut opener = RequestOpener::new(&secret, sealer.encapsulated_key()).unwrap();
    assert_eq!(opener.open(&second), Err(EhbpError::Open));
    let mut changed = first.clone();
    changed[0] ^= 1;
    assert_eq!(opener.open(&changed), Err(EhbpError::Open));
    assert_eq!(opener.open(&first[..15]), Err(EhbpError::Open));
    // A failure does not advance the sequence, and an empty ciphertext is skipped.
    assert_eq!(opener.open(&[]).unwrap(), b"");
    assert_eq!(opener.open(&first).unwrap(), b"first");
    assert_eq!(opener.open(&first), Err(EhbpError::Open));
    assert_eq!(opener.open(&second).unwrap(), b"second");
}

#[test]
fn response_changed_or_out_of_order_is_refused() {
    let secret = ExportedSecret::from_bytes(&counting(0));
    let mut sealer = ResponseSealer::new(&secret, &counting(1), &mut rng());
    let first = sealer.seal(b"first").unwrap()[4..].to_vec();
    let second = sealer.seal(b"second").unwrap()[4..].to_vec();
    let mut opener = ResponseOpener::new(&secret, &counting(1), sealer.nonce());
    assert_eq!(opener.open(&second), Err(EhbpError::Open));
    assert_eq!(opener.open(&first).unwrap(), b"first");
    assert_eq!(opener.open(&first), Err(EhbpError::Open));
    assert_eq!(opener.open(&second).unwrap(), b"second");
    for (enc, nonce) in [(counting(2), *sealer.nonce()), (counting(1), counting(9))] {
        assert_eq!(ResponseOpener::new(&secret, &enc, &nonce).open(&first), Err(EhbpError::Open));
    }
}

#[test]
fn request_to_another_key_is_refused() {
    let secret = HpkeSecret::generate(&mut rng());
    let mut sealer = RequestSealer::new(&secret.public(), &mut rng()).unwrap();
    let frame = sealer.seal(b"first").unwrap()[4..].to_vec();
    let mut opener = RequestOpener::new(&HpkeSecret::from_bytes(&[1; 32]), sealer.encapsulated_key()).unwrap();
    assert_eq!(opener.open(&frame), Err(EhbpError::Open));
}

#[test]
fn points_of_small_order_are_refused() {
    let secret = HpkeSecret::generate(&mut rng());
    for low in [0, 1] {
        let mut point = [0; 32];
        point[0] = low;
        assert!(matches!(RequestOpener::new(&secret, &point), Err(EhbpError::PublicKey)));
        assert!(matches!(RequestSealer::new(&X25519Key(point), &mut rng()), Err(EhbpError::PublicKey)));
    }
}

#[test]
fn frame_malformed() {
    let mut reader = FrameReader::new(100);
    assert_eq!(reader.push(&101u32.to_be_bytes()), Err(EhbpError::FrameTooLong { length: 101, bound: 100 }));
    for cut in [1, 3, 4, 10] {
        let mut reader = FrameReader::new(100);
        assert_eq!(reader.push(&frame(&[1; 20]).unwrap()[..cut]).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(reader.finish(), Err(EhbpError::Truncated));
    }
    assert_eq!(
        frame(&vec![0; FRAME_BYTES_MAX + 1]),
        Err(EhbpError::FrameTooLong { length: FRAME_BYTES_MAX + 1, bound: FRAME_BYTES_MAX })
    );
    assert_eq!(frames(&[0; 12]), Vec::<Vec<u8>>::new());
}

proptest! {
    #[test]
    fn frames_do_not_depend_on_how_the_stream_is_cut(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        cuts in prop::collection::vec(1usize..9, 1..100),
    ) {
        let stream: Vec<u8> = contents.iter().flat_map(|content| frame(content).unwrap()).collect();
        let mut reader = FrameReader::new(64);
        let (mut rest, mut got) = (stream.as_slice(), Vec::new());
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            got.extend(reader.push(piece).unwrap());
            rest = tail;
        }
        got.extend(reader.push(rest).unwrap());
        reader.finish().unwrap();
        let expect: Vec<_> = contents.into_iter().filter(|content| !content.is_empty()).collect();
        prop_assert_eq!(got, expect);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), enc: [u8; 32]) {
        let _ = parse_key_config(&bytes);
        let _ = FrameReader::new(64).push(&bytes);
        let _ = ResponseOpener::new(&ExportedSecret::from_bytes(&enc), &enc, &enc).open(&bytes);
        if let Ok(mut opener) = RequestOpener::new(&HpkeSecret::from_bytes(&[1; 32]), &enc) {
            let _ = opener.open(&bytes);
        }
    }
}
