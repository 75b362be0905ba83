//! RFC 8785's own example within our restriction, and every way to be almost canonical.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn canonical(text: &str) {
    assert_eq!(to_jcs(&parse_canonical(text, 1_000).unwrap()).unwrap(), text);
}

fn refused(text: &str, expect: JcsError) {
    assert_eq!(parse_canonical(text, 1_000), Err(expect), "{text}");
}

/// RFC 8785 §3.2.3: order by UTF-16 code units, where U+1F600 stands before U+FB33.
#[test]
fn members_are_sorted_by_utf16() {
    let value = json!({
        "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis"
    });
    let text = to_jcs(&value).unwrap();
    let order = ["Carriage Return", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
    let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
    assert!(places.is_sorted());
    canonical(&text);
}

/// RFC 8785 §3.2.2.2.
#[test]
fn strings_are_escaped_minimally() {
    let value = json!({"string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}\u{8}\t\u{c}\r\u{0}"});
    let text = to_jcs(&value).unwrap();
    assert_eq!(text, "{\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\\b\\t\\f\\r\\u0000\"}");
    canonical(&text);
}

#[test]
fn integers_within_53_bits() {
    for text in ["0", "-1", "9007199254740991", "-9007199254740991"] {
        canonical(text);
    }
    for text in ["9007199254740992", "-9007199254740992", "18446744073709551615", "1e2", "1.0", "0.5", "-0", "1E400"] {
        assert!(matches!(parse_canonical(text, 1_000), Err(JcsError::Number | JcsError::Syntax { .. })), "{text}");
    }
}

#[test]
fn almost_canonical_is_refused() {
    for text in [
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"a\":2}",
        "{ \"a\":1}",
        "{\"a\": 1}",
        " 1",
        "1\n",
        "\"\\u0041\"",
        "\"\\/\"",
        "\"\\u000A\"",
        "\"\\u001F\"",
        "[1, 2]",
    ] {
        refused(text, JcsError::NotCanonical);
    }
}

#[test]
fn not_json_is_refused() {
    for text in ["", "{", "[1,]", "nul", "01", "\"\u{1}\"", "\"\\ud800\"", "{\"a\":1}}", "NaN", "'a'"] {
        assert!(matches!(parse_canonical(text, 1_000), Err(JcsError::Syntax { .. })), "{text}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    canonical(&nested(JCS_DEPTH_MAX));
    refused(&nested(JCS_DEPTH_MAX + 1), JcsError::Depth);
    assert!(matches!(parse_canonical(&nested(100_000), 1_000_000), Err(JcsError::Syntax { .. })));
    assert_eq!(parse_canonical("[1,2]", 4), Err(JcsError::TooLong { length: 5, bound: 4 }));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(JCS_INTEGER_MAX as i64)..=JCS_INTEGER_MAX as i64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_round_trips(value in value()) {
        let text = to_jcs(&value).unwrap();
        prop_assert_eq!(parse_canonical(&text, text.len()), Ok(value));
    }

    #[test]
    fn any_text_never_panics(text: String) {
        let _ = parse_canonical(&text, 1_000);
    }

    #[test]
    fn what_parses_is_canonical(text in "[\\[\\]{}\":,0-9a\\\\un -]{0,24}") {
        if let Ok(value) = parse_canonical(&text, 1_000) {
            prop_assert_eq!(to_jcs(&value).unwrap(), text);
        }
    }
}
