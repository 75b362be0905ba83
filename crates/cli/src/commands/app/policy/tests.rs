//! Rules as people write them.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_rule_is_written_and_read_alike_and_nothing_unknown_is_taken() {
    let accounts = [Address::repeat_byte(2), Address::repeat_byte(1), Address::repeat_byte(2)];
    let rule = rule_of(604_800, &accounts, 1);
    assert_eq!(rule.cosigners.len(), 2);
    let text = RuleFile::of(&rule).unwrap();
    assert_eq!(RuleFile::read(&text).unwrap(), rule);
    for wrong in ["", "notice_s = -1", "notice_s = 1\ncosigners = [\"x\"]\ncosigners_needed = 0"] {
        assert!(RuleFile::read(wrong).is_err(), "{wrong}");
    }
    assert!(RuleFile::read(&format!("{text}\nnotice = 1\n")).is_err());
}

#[test]
fn a_difference_shows_what_goes_and_what_comes() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n"), ["- b", "+ x"]);
    assert_eq!(difference("a\n", "a\n"), Vec::<String>::new());
}
