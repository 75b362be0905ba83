//! Values of compose files: names, sizes, durations and command lines.

use crate::{
    error::{Fault, ManifestError},
    section::Item,
};

/// Longest duration: a day, in milliseconds.
const DURATION_MS_MAX: u64 = 86_400_000;
/// Most entries of a list or map.
const ENTRIES_MAX: usize = 256;

/// Refuses names that are no file names everywhere.
pub(super) fn name(name: &str, item: &Item<'_>) -> Result<(), ManifestError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() > 63 || !name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) || !name.bytes().all(good) {
        return Err(item.form("named well: up to 63 letters, digits, `-`, `_` and `.`, a letter or digit first"));
    }
    Ok(())
}

/// A list of a bounded length.
pub(super) fn list<'a>(item: &Item<'a>) -> Result<Vec<Item<'a>>, ManifestError> {
    let items = item.list()?;
    if items.len() > ENTRIES_MAX { Err(item.refuse(Fault::TooMany(ENTRIES_MAX))) } else { Ok(items) }
}

/// A list of texts.
pub(super) fn texts(item: &Item<'_>) -> Result<Vec<String>, ManifestError> {
    list(item)?.iter().map(Item::text).collect()
}

/// A size such as `512m` or `2gb`, in bytes.
pub(super) fn bytes(item: &Item<'_>) -> Result<u64, ManifestError> {
    let text = item.text()?.to_ascii_lowercase();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: Option<u64> = match &text[digits.len()..] {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1 << 10),
        "m" | "mb" => Some(1 << 20),
        "g" | "gb" => Some(1 << 30),
        _ => None,
    };
    let size = digits.parse::<u64>().ok().zip(factor).and_then(|(count, factor)| count.checked_mul(factor));
    size.filter(|size| *size > 0).ok_or_else(|| item.form("a size such as 512m or 2g"))
}

/// A duration such as `1m30s` or `500ms`, in milliseconds.
pub(super) fn duration_ms(item: &Item<'_>) -> Result<u64, ManifestError> {
    let text = item.text()?;
    duration(&text)
        .filter(|length| *length <= DURATION_MS_MAX)
        .ok_or_else(|| item.form("a duration such as 1m30s, up to a day"))
}

fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match &rest[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(factor)?)?;
        rest = &rest[end..];
    }
    (!text.is_empty()).then_some(total)
}

/// Splits a command line as a shell does, without expanding anything.
pub(super) fn words(item: &Item<'_>) -> Result<Vec<String>, ManifestError> {
    if item.is_list() {
        return texts(item);
    }
    split(&item.text()?).ok_or_else(|| item.form("a command line with every quote closed"))
}

fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => word.push(letters.next()?),
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Some(words)
}
