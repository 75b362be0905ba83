//! One encoding of the outer layer.

use super::{Kind, read_tlv, split};

#[test]
fn lengths_have_their_shortest_form() {
    assert_eq!(read_tlv(&[4, 1, 7, 9]), Some((4, &[7][..], &[9][..])));
    let long = [&[4, 0x81, 200][..], &[1; 200]].concat();
    assert_eq!(read_tlv(&long).map(|(_, value, _)| value.len()), Some(200));
    // Too long a form, indefinite, truncated, absurd.
    for bytes in
        [&[4, 0x81, 1, 7][..], &[4, 0x82, 0, 200], &[4, 0x80, 0, 0], &[4, 2, 7], &[4], &[], &[4, 0x84, 0, 0, 0, 1]]
    {
        assert_eq!(read_tlv(bytes), None, "{bytes:x?}");
    }
}

#[test]
fn three_parts_and_nothing_else() {
    // tbs { [0] 2, serial 1, algorithm {} }, algorithm {}, signature.
    let good = [0x30, 16, 0x30, 8, 0xa0, 1, 2, 2, 1, 1, 0x30, 0, 0x30, 0, 3, 2, 0, 9];
    let signed = split(&good).unwrap();
    assert_eq!((signed.tbs.len(), signed.algorithm, signed.signature), (10, &[0x30, 0][..], &[9][..]));
    assert!(signed.names_algorithm_inside(Kind::Certificate));
    assert!(!signed.names_algorithm_inside(Kind::RevocationList));
    let edited = |at: usize, byte: u8| {
        let mut bytes = good;
        bytes[at] = byte;
        split(&bytes).is_some()
    };
    // Unused bits; other tags; a length that leaves bytes over.
    assert!(!edited(16, 1) && !edited(0, 0x31) && !edited(14, 4) && !edited(15, 1));
    assert!(split(&[&good[..], &[0]].concat()).is_none());
}
