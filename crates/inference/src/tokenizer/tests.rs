//! Splitting rules on their edges; the golden ids of whole models are in `tests/golden.rs`.
#![allow(clippy::unwrap_used)]

use super::*;

fn pieces_of(rule: Rule, text: &str) -> Vec<String> {
    let pattern = compile(match rule {
        Rule::Gpt2 | Rule::DigitsThenGpt2 => GPT2,
        Rule::Qwen2 => QWEN2,
        Rule::Llama3 => LLAMA3,
    });
    let mut at = 0;
    let mut pieces = Vec::new();
    while at < text.len() {
        let found = pattern.find_at(text, at).unwrap();
        let end = leave_last_space(rule, text, at, found.end());
        pieces.push(text[at..end].to_owned());
        at = end;
    }
    pieces
}

#[test]
fn all_patterns_compile() {
    for pattern in [GPT2, QWEN2, LLAMA3, DIGIT] {
        compile(pattern);
    }
}

#[test]
fn white_space_leaves_one_to_the_word() {
    assert_eq!(pieces_of(Rule::Gpt2, "a   b"), ["a", "  ", " b"]);
    assert_eq!(pieces_of(Rule::Gpt2, "a\n\nb"), ["a", "\n", "\n", "b"]);
    assert_eq!(pieces_of(Rule::Gpt2, "a  "), ["a", "  "]);
    assert_eq!(pieces_of(Rule::Qwen2, "a\n\nb"), ["a", "\n\n", "b"]);
    assert_eq!(pieces_of(Rule::Qwen2, "a  \n  b"), ["a", "  \n", " ", " b"]);
    assert_eq!(pieces_of(Rule::Qwen2, "a  12"), ["a", " ", " ", "1", "2"]);
    assert_eq!(pieces_of(Rule::Llama3, "It'S 12345"), ["It", "'S", " ", "123", "45"]);
}

#[test]
fn the_alphabet_has_no_two_bytes_alike() {
    let mut alphabet = byte_alphabet().to_vec();
    assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
    assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
    alphabet.sort_unstable();
    alphabet.dedup();
    assert_eq!(alphabet.len(), 256);
}
