//! Growing text: split characters, broken bytes, stop strings over token borders.
#![allow(clippy::unwrap_used)]

use super::*;

fn run(stops: &[&str], tokens: &[&[u8]]) -> (Vec<String>, bool) {
    let mut text = TextBuilder::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
    let mut out: Vec<String> = tokens.iter().map(|token| text.push(token)).collect();
    out.push(text.finish());
    (out, text.is_stopped())
}

#[test]
fn characters_leave_whole() {
    let bytes = "é🙂".as_bytes();
    let tokens: Vec<&[u8]> = bytes.chunks(1).collect();
    let (out, _) = run(&[], &tokens);
    assert_eq!(out, ["", "é", "", "", "", "🙂", ""]);
}

#[test]
fn broken_bytes_become_the_replacement_character() {
    assert_eq!(run(&[], &[b"a\xff", b"b", b"\xe2\x82"]).0, ["a\u{fffd}", "b", "", "\u{fffd}"]);
}

#[test]
fn stop_strings_never_leave_in_part() {
    assert_eq!(
        run(&["###"], &[b"one #", b"#", b"# two"]),
        (vec!["one ".into(), String::new(), String::new(), String::new()], true)
    );
    assert_eq!(run(&["###"], &[b"one #", b"#", b"two"]).0, ["one ", "", "##two", ""]);
    assert_eq!(run(&["END"], &[b"xE", b"N"]).0, ["x", "", "EN"]);
    assert_eq!(run(&["b", "ab"], &[b"xab"]).0, ["x", ""]);
}
