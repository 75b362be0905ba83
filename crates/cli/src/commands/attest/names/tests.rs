//! Dates and bits.

use super::{TD_ATTRIBUTES, date, set};

#[test]
fn dates_are_written_as_the_field_does() {
    for (unix_s, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_751_500_000, "2025-07-02T23:46:40Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(date(unix_s), text);
    }
}

#[test]
fn bits_have_names_or_numbers() {
    assert_eq!(set(1 | 1 << 28 | 1 << 40, TD_ATTRIBUTES), ["DEBUG", "SEPT_VE_DISABLE", "bit 40"]);
}
