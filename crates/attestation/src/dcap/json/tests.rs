//! Repeated names at any depth, and dates at their edges.

use super::{is_unambiguous, unix_seconds};

#[test]
fn a_repeated_name_is_refused_at_any_depth() {
    assert!(is_unambiguous(r#"{"a":1,"b":[{"a":2},{"a":-3}],"c":{"a":null,"d":true}}"#));
    for text in
        [r#"{"a":1,"a":1}"#, r#"{"b":{"a":1,"a":2}}"#, r#"{"b":[{"a":1,"c":2,"a":3}]}"#, r#"{"a":1,"\u0061":2}"#]
    {
        assert!(!is_unambiguous(text), "{text}");
    }
}

#[test]
fn anything_but_one_object_is_refused() {
    for text in ["", "[]", "1", "{", "{}{}", " {}", r#"{"a":1.5}"#, r#"{"a":1}x"#] {
        assert!(!is_unambiguous(text), "{text}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    assert!(!is_unambiguous(&deep));
}

#[test]
fn dates_are_read_exactly() {
    let cases = [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2000-02-29T23:59:59Z", Some(951_868_799)),
        ("2025-06-19T10:16:03Z", Some(1_750_328_163)),
        ("2026-11-23T00:00:00Z", Some(1_795_392_000)),
        ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
        ("1969-12-31T23:59:59Z", None),
        ("2100-02-29T00:00:00Z", None),
        ("2025-13-01T00:00:00Z", None),
        ("2025-00-01T00:00:00Z", None),
        ("2025-01-00T00:00:00Z", None),
        ("2025-01-01T24:00:00Z", None),
        ("2025-01-01T00:00:60Z", None),
        ("2025-01-01T00:00:00+00:00", None),
        ("2025-01-01 00:00:00Z", None),
        ("+025-01-01T00:00:00Z", None),
        ("2025-01-01T00:00:00.0Z", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(unix_seconds(text), expected, "{text}");
    }
}
