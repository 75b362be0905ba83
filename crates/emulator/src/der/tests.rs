//! Encodings against ones written by hand.

use super::{moment, oid, tlv, unsigned};

#[test]
fn primitives_have_their_one_form() {
    assert_eq!(oid(&[1, 3, 6, 1, 4, 1, 3704, 1, 3, 8]), [6, 10, 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1, 3, 8]);
    assert_eq!(oid(&[2, 5, 29, 19]), [6, 3, 0x55, 0x1d, 0x13]);
    assert_eq!(unsigned(&[0, 0, 0xd9]), [2, 2, 0, 0xd9]);
    assert_eq!(unsigned(&[0, 0x7f]), [2, 1, 0x7f]);
    assert_eq!(unsigned(&[0]), [2, 1, 0]);
    assert_eq!(moment(1_795_000_000), *b"\x17\x0d261118110640Z");
    assert_eq!(moment(3_155_760_000), *b"\x18\x0f20700101000000Z");
    assert_eq!(tlv(4, &[7; 200])[..3], [4, 0x81, 200]);
    assert_eq!(tlv(4, &[7; 0x300])[..4], [4, 0x82, 3, 0]);
}
