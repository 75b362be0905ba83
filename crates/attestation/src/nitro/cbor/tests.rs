//! One form for each value, and nothing else.

use super::{Count, Reader, write_bytes_head};

fn head(bytes: &[u8]) -> Option<u64> {
    Reader::new(bytes).unsigned()
}

#[test]
fn integers_have_their_shortest_form() {
    let good: [(&[u8], u64); 6] = [
        (&[0], 0),
        (&[23], 23),
        (&[0x18, 24], 24),
        (&[0x19, 1, 0], 256),
        (&[0x1a, 0, 1, 0, 0], 1 << 16),
        (&[0x1b, 0, 0, 0, 1, 0, 0, 0, 0], 1 << 32),
    ];
    for (bytes, value) in good {
        assert_eq!(head(bytes), Some(value));
        assert_eq!(head(&bytes[..bytes.len() - 1]), None, "truncated");
    }
    let long: [&[u8]; 4] =
        [&[0x18, 23], &[0x19, 0, 255], &[0x1a, 0, 0, 255, 255], &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255]];
    for bytes in long {
        assert_eq!(head(bytes), None, "{bytes:x?}");
    }
    // Reserved arguments, negative integers, tags and floats.
    for first in [0x1c, 0x1f, 0x20, 0xc0, 0xf9, 0xff] {
        assert_eq!(head(&[first, 0, 0]), None);
    }
}

#[test]
fn strings_are_bounded_and_definite() {
    assert_eq!(Reader::new(b"\x42ab").bytes(2), Some(&b"ab"[..]));
    assert_eq!(Reader::new(b"\x42ab").bytes(1), None);
    assert_eq!(Reader::new(b"\x43ab").bytes(9), None);
    assert_eq!(Reader::new(b"\x5f\x41a\xff").bytes(9), None);
    assert_eq!(Reader::new(b"\x62ab").text(2), Some("ab"));
    assert_eq!(Reader::new(b"\x61\xff").text(2), None);
    assert_eq!(Reader::new(b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff").bytes(usize::MAX), None);
    assert_eq!(Reader::new(b"\xf6").bytes_or_null(2), Some(None));
    assert_eq!(Reader::new(b"\xf7").bytes_or_null(2), None);
}

#[test]
fn maps_end_by_count_or_break() {
    let mut reader = Reader::new(b"\xbf\x01\xff");
    assert_eq!(reader.map(), Some(Count::UntilBreak));
    assert!(reader.has_item(Count::UntilBreak, 0));
    assert_eq!(reader.unsigned(), Some(1));
    assert!(!reader.has_item(Count::UntilBreak, 1));
    assert!(reader.is_empty());
    assert_eq!(Reader::new(b"\xa2").map(), Some(Count::Known(2)));
    assert_eq!(Reader::new(b"\x82").list(2), Some(2));
    assert_eq!(Reader::new(b"\x83").list(2), None);
    assert_eq!(Reader::new(b"\x9f").list(2), None);
}

#[test]
fn heads_are_written_as_they_are_read() {
    for length in [0, 23, 24, 255, 256, 4418] {
        let mut bytes = Vec::new();
        write_bytes_head(&mut bytes, length);
        bytes.resize(bytes.len() + length, 7);
        assert_eq!(Reader::new(&bytes).bytes(length).map(<[u8]>::len), Some(length));
    }
}
