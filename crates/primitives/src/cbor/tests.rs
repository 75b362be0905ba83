//! Examples of RFC 7049 appendix A and of Sapphire's clients, every way to be almost canonical, and what holds for all.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[track_caller]
fn check(text: &str, value: &CborValue<'_>) {
    assert_eq!(CborValue::read(&hex(text)).as_ref(), Ok(value), "{text}");
    assert_eq!(hex::encode(value.to_vec()), text);
}

#[track_caller]
fn refused(text: &str, expect: CborError) {
    assert_eq!(CborValue::read(&hex(text)), Err(expect), "{text}");
}

/// RFC 7049 appendix A, as far as it is used here.
#[test]
fn values_of_the_rfc() {
    for (text, value) in [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1864", 100),
        ("1903e8", 1_000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("1bffffffffffffffff", u64::MAX),
    ] {
        check(text, &CborValue::Unsigned(value));
    }
    check("f4", &CborValue::Bool(false));
    check("f5", &CborValue::Bool(true));
    check("f6", &CborValue::Null);
    check("40", &CborValue::Bytes(&[]));
    check("4401020304", &CborValue::Bytes(&[1, 2, 3, 4]));
    check("60", &CborValue::Text(""));
    check("6449455446", &CborValue::Text("IETF"));
    check("62c3bc", &CborValue::Text("\u{fc}"));
    check("80", &CborValue::Array(Vec::new()));
    let list = |items: &[u64]| CborValue::Array(items.iter().map(|item| CborValue::Unsigned(*item)).collect());
    check("8301820203820405", &CborValue::Array(vec![CborValue::Unsigned(1), list(&[2, 3]), list(&[4, 5])]));
    check("a0", &CborValue::map([]));
    check("a26161016162820203", &CborValue::map([("b", list(&[2, 3])), ("a", CborValue::Unsigned(1))]));
}

/// An envelope as `CalldataEncryption.sol` and the JavaScript client write it: shorter keys first.
#[test]
fn keys_stand_shorter_first() {
    let envelope = CborValue::map([
        ("format", CborValue::Unsigned(1)),
        (
            "body",
            CborValue::map([
                ("nonce", CborValue::Bytes(&[7; 15])),
                ("epoch", CborValue::Unsigned(3)),
                ("data", CborValue::Bytes(&[1, 2])),
                ("pk", CborValue::Bytes(&[9; 32])),
            ]),
        ),
    ]);
    let body =
        format!("a462706b5820{}64646174614201026565706f636803656e6f6e63654f{}", "09".repeat(32), "07".repeat(15));
    let text = format!("a264626f6479{body}66666f726d617401");
    check(&text, &envelope);
}

/// The body of `accounts.Transfer` as `Subcall.sol` writes it.
#[test]
fn fields_are_taken_by_name() {
    let to = "00".to_owned() + &"ab".repeat(20);
    let text = format!("a262746f55{to}66616d6f756e7482500000000000000000000000000000007b40");
    let bytes = hex(&text);
    let mut fields = CborValue::read(&bytes).unwrap().into_fields().unwrap();
    assert_eq!(fields.required("to").unwrap().array_of::<21>().unwrap()[1..], [0xab; 20]);
    assert_eq!(fields.finish(), Err(CborError::UnknownField));
    let amount = fields.required("amount").unwrap().into_items().unwrap();
    assert_eq!((amount[0].amount(), amount[1].bytes()), (Ok(123), Ok(&[][..])));
    assert_eq!(fields.finish(), Ok(()));
    assert_eq!(fields.required("to"), Err(CborError::Missing("to")));
    assert_eq!(fields.optional("amount"), None);
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    let (number, text) = (CborValue::Unsigned(1), CborValue::Text("a"));
    assert_eq!(text.unsigned(), Err(CborError::Type));
    assert_eq!(text.bytes(), Err(CborError::Type));
    assert_eq!(number.text(), Err(CborError::Type));
    assert_eq!(number.clone().into_fields(), Err(CborError::Type));
    assert_eq!(number.clone().into_items(), Err(CborError::Type));
    assert_eq!(number.amount(), Err(CborError::Type));
    assert_eq!(CborValue::Bytes(&[1; 17]).amount(), Err(CborError::Type));
    assert_eq!(CborValue::Bytes(&[0xff; 16]).amount(), Ok(u128::MAX));
    assert_eq!(CborValue::Bytes(&[]).amount(), Ok(0));
    assert_eq!(CborValue::Bytes(&[1; 31]).array_of::<32>(), Err(CborError::Type));
    assert!(CborValue::Null.is_null() && !number.is_null());
}

#[test]
fn malformed_input_is_refused() {
    refused("", CborError::Truncated);
    refused("18", CborError::Truncated);
    refused("1b00000001000000", CborError::Truncated);
    refused("4201", CborError::Truncated);
    refused("8201", CborError::Truncated);
    refused("a16161", CborError::Truncated);
    refused("5bffffffffffffffff", CborError::Truncated);
    refused("9bffffffffffffffff", CborError::Truncated);
    refused("bbffffffffffffffff", CborError::Truncated);
    refused("0000", CborError::Trailing);
    refused("f6f6", CborError::Trailing);
    refused("1817", CborError::NotShortest);
    refused("1900ff", CborError::NotShortest);
    refused("1a0000ffff", CborError::NotShortest);
    refused("1b00000000ffffffff", CborError::NotShortest);
    refused("580141", CborError::NotShortest);
    refused("7801f6", CborError::NotShortest);
    refused("9800", CborError::NotShortest);
    refused("b800", CborError::NotShortest);
    refused("5f42010243030405ff", CborError::Indefinite);
    refused("7f657374726561646d696e67ff", CborError::Indefinite);
    refused("9fff", CborError::Indefinite);
    refused("bfff", CborError::Indefinite);
    refused("61ff", CborError::Utf8);
    refused("a2616200616100", CborError::KeyOrder);
    refused("a26262620061610061", CborError::KeyOrder);
    refused("a2616100616100", CborError::KeyOrder);
    refused("a10000", CborError::Unsupported(0x00));
    refused("a1410000", CborError::Unsupported(0x41));
    refused("20", CborError::Unsupported(0x20));
    refused("c249010000000000000000", CborError::Unsupported(0xc2));
    refused("f7", CborError::Unsupported(0xf7));
    refused("f818", CborError::Unsupported(0xf8));
    refused("f90000", CborError::Unsupported(0xf9));
    refused("fb0000000000000000", CborError::Unsupported(0xfb));
    refused("ff", CborError::Unsupported(0xff));
    refused("1c", CborError::Unsupported(0x1c));
    refused("5e", CborError::Unsupported(0x5e));
}

#[test]
fn depth_and_items_are_bounded() {
    let deep = |depth: usize| [vec![0x81; depth], vec![0x00]].concat();
    assert!(CborValue::read(&deep(CBOR_DEPTH_MAX)).is_ok());
    assert_eq!(CborValue::read(&deep(CBOR_DEPTH_MAX + 1)), Err(CborError::TooDeep));
    assert_eq!(CborValue::read(&deep(100_000)), Err(CborError::TooDeep));
    let wide = |count: u16| [vec![0x99], count.to_be_bytes().to_vec(), vec![0; usize::from(count)]].concat();
    let most = u16::try_from(CBOR_ITEMS_MAX - 1).unwrap();
    assert!(CborValue::read(&wide(most)).is_ok());
    assert_eq!(CborValue::read(&wide(most + 1)), Err(CborError::TooMany));
}

/// A value, written; texts and byte strings are leaked, which a test may.
fn any_value() -> impl Strategy<Value = CborValue<'static>> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(CborValue::Unsigned),
        (0_u32..64).prop_map(|bits| CborValue::Unsigned(1 << bits)),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| CborValue::Bytes(bytes.leak())),
        "[a-z\u{fc}\u{1f600}]{0,30}".prop_map(|text| CborValue::Text(text.leak())),
        any::<bool>().prop_map(CborValue::Bool),
        Just(CborValue::Null),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(CborValue::Array),
            proptest::collection::btree_map("[a-z]{0,12}", inner, 0..8)
                .prop_map(|fields| CborValue::map(fields.into_iter().map(|(key, value)| (&*key.leak(), value)))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in any_value()) {
        let bytes = value.to_vec();
        prop_assert_eq!(CborValue::read(&bytes), Ok(value));
    }

    /// One byte string for one value: whatever is read is what would be written.
    #[test]
    fn what_is_read_is_written(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = CborValue::read(&bytes) {
            prop_assert_eq!(value.to_vec(), bytes);
        }
    }

    #[test]
    fn one_changed_byte_is_another_value_or_none(
        value in any_value(), at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let bytes = value.to_vec();
        let mut changed = bytes.clone();
        let at = at.index(bytes.len());
        changed[at] ^= mask;
        if let Ok(read) = CborValue::read(&changed) {
            prop_assert_ne!(&read, &value);
            prop_assert_eq!(read.to_vec(), changed);
        }
        prop_assert!(CborValue::read(&bytes[..bytes.len() - 1]).is_err());
    }
}
