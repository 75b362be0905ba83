//! Amounts as people read them.

use super::*;

#[test]
fn amounts_are_written_in_units() {
    for (wei, expect) in [
        (0, "0"),
        (UNIT, "1"),
        (1_000 * UNIT, "1000"),
        (UNIT / 2, "0.5"),
        (UNIT + 1, "1.000000000000000001"),
        (1_050_000_000_000_000, "0.00105"),
    ] {
        assert_eq!(units(wei), expect);
    }
}
