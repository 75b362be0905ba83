//! YAML out of JSON values: block style, keys in order, and every text in double quotes with everything but plain ASCII escaped, so
//! that no text can be read as anything else (YAML 1.2 §7.3.1; the same in 1.1).

use serde_json::Value;

/// Appends a document.
pub(super) fn write(value: &Value, to: &mut String) {
    block(value, 0, to);
}

/// A text for one line of a comment.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' }).collect()
}

fn block(value: &Value, depth: usize, to: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            // Whether a map keeps an order of its own depends on how `serde_json` was built.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            for (name, member) in members {
                to.push_str(&" ".repeat(depth));
                to.push_str(&key(name));
                to.push(':');
                within(member, depth, to);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                to.push_str(&" ".repeat(depth));
                to.push('-');
                within(item, depth, to);
            }
        }
        other => {
            to.push_str(&scalar(other));
            to.push('\n');
        }
    }
}

/// What stands behind a key or a dash.
fn within(value: &Value, depth: usize, to: &mut String) {
    let is_block = matches!(value, Value::Object(members) if !members.is_empty())
        || matches!(value, Value::Array(items) if !items.is_empty());
    if is_block {
        to.push('\n');
        block(value, depth + 2, to);
    } else {
        to.push(' ');
        block(value, 0, to);
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        // Numbers, truth and nothing are written alike in both.
        other => other.to_string(),
    }
}

/// A key: plain where it is a word of letters alone, which no reader takes for anything else but the few that are said here.
fn key(name: &str) -> String {
    let is_word = name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_other = ["null", "true", "false", "yes", "no", "on", "off"].contains(&name.to_ascii_lowercase().as_str());
    if is_word && !is_other { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(letter),
            _ if u32::from(letter) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(letter))),
        }
    }
    out.push('"');
    out
}
