//! RFC 8785 (JSON canonicalisation), restricted to what our documents hold (`spec/encoding.md` §5).
//!
//! Numbers are integers within ±(2^53 − 1); nesting is at most 32 deep. The restriction is what makes the form the same
//! in every language: no float is ever printed.

use serde_json::{Map, Value};
use thiserror::Error;

/// Deepest nesting of a document: an array or object inside 31 others.
pub const JCS_DEPTH_MAX: usize = 32;
/// Largest absolute value of a number.
pub const JCS_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a JSON document has no canonical form here, or is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JcsError {
    /// Longer than the bound the caller named.
    #[error("a document of {length} bytes is above the bound of {bound}")]
    TooLong {
        /// Length of the text.
        length: usize,
        /// Bound that applies.
        bound: usize,
    },
    /// Not JSON.
    #[error("not JSON: line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A number is no integer within ±(2^53 − 1).
    #[error("a number is not an integer within 53 bits")]
    Number,
    /// Nested deeper than [`JCS_DEPTH_MAX`].
    #[error("nested deeper than {JCS_DEPTH_MAX}")]
    Depth,
    /// JSON, but not in canonical form: spaces, order of members, escapes, or a member twice.
    #[error("not in canonical form (RFC 8785)")]
    NotCanonical,
}

/// The canonical text of a value.
///
/// # Errors
/// [`JcsError::Number`], [`JcsError::Depth`].
pub fn to_jcs(value: &Value) -> Result<String, JcsError> {
    let mut out = String::new();
    write_value(value, 0, &mut out)?;
    Ok(out)
}

/// Parses a text that must be canonical and at most `bytes_max` long.
///
/// # Errors
/// Any [`JcsError`].
pub fn parse_canonical(text: &str, bytes_max: usize) -> Result<Value, JcsError> {
    if text.len() > bytes_max {
        return Err(JcsError::TooLong { length: text.len(), bound: bytes_max });
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| JcsError::Syntax { line: error.line(), column: error.column() })?;
    if to_jcs(&value)? == text { Ok(value) } else { Err(JcsError::NotCanonical) }
}

fn write_value(value: &Value, depth: usize, out: &mut String) -> Result<(), JcsError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            let depth = deeper(depth)?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, depth, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members, deeper(depth)?, out)?,
    }
    Ok(())
}

const fn deeper(depth: usize) -> Result<usize, JcsError> {
    if depth < JCS_DEPTH_MAX { Ok(depth + 1) } else { Err(JcsError::Depth) }
}

fn write_number(number: &serde_json::Number, out: &mut String) -> Result<(), JcsError> {
    // A float, and "-0", is neither an i64 nor a u64 to the parser.
    let integer = match (number.as_u64(), number.as_i64()) {
        (Some(value), _) if value <= JCS_INTEGER_MAX => value.to_string(),
        (None, Some(value)) if value.unsigned_abs() <= JCS_INTEGER_MAX => value.to_string(),
        _ => return Err(JcsError::Number),
    };
    out.push_str(&integer);
    Ok(())
}

/// RFC 8785 §3.2.3: members sorted by the UTF-16 code units of their names.
fn write_object(members: &Map<String, Value>, depth: usize, out: &mut String) -> Result<(), JcsError> {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        write_value(value, depth, out)?;
    }
    out.push('}');
    Ok(())
}

/// RFC 8785 §3.2.2.2: the seven short escapes, `\u00xx` for other controls, everything else as it is.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let code = control as usize;
                out.push_str("\\u00");
                out.push(char::from(DIGITS[code >> 4]));
                out.push(char::from(DIGITS[code & 15]));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
