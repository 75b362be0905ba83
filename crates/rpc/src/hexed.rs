//! Bytes in JSON: hex with `0x` for JSON-RPC, hex without for the local API, base64 for bodies. Both hex forms are read.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes written as hex with `0x` (JSON-RPC).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HexBytes(pub Vec<u8>);

/// Bytes written as hex without `0x` (local API).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct BareHex(pub Vec<u8>);

/// Bytes written as padded standard base64 (bodies in the local API).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Base64Text(pub Vec<u8>);

fn read_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    let text = text.strip_prefix("0x").unwrap_or(&text);
    hex::decode(text).map_err(|_| D::Error::custom("not hex of whole bytes"))
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}
impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_hex(deserializer).map(Self)
    }
}
impl Serialize for BareHex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}
impl<'de> Deserialize<'de> for BareHex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_hex(deserializer).map(Self)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = u32::from(group[0]) << 16
            | u32::from(group.get(1).copied().unwrap_or(0)) << 8
            | u32::from(group.get(2).copied().unwrap_or(0));
        for place in 0..4 {
            if place <= group.len() {
                out.push(char::from(ALPHABET[(word >> (18 - 6 * place)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn base64_value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Strict: padded, no spaces, unused bits zero, so that one byte string has one text.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&b| b == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let symbols = &text[..text.len() - padding];
    for group in symbols.chunks(4) {
        let mut word = 0;
        for (place, &byte) in group.iter().enumerate() {
            word |= base64_value(byte)? << (18 - 6 * place);
        }
        let bytes = word.to_be_bytes();
        let count = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        if bytes[1 + count..].iter().any(|&b| b != 0) {
            return None;
        }
        out.extend_from_slice(&bytes[1..=count]);
    }
    Some(out)
}

/// A text is no padded standard base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not padded standard base64")]
pub struct Base64Error;

impl fmt::Display for Base64Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_encode(&self.0))
    }
}
impl core::str::FromStr for Base64Text {
    type Err = Base64Error;

    fn from_str(text: &str) -> Result<Self, Base64Error> {
        base64_decode(text.as_bytes()).map(Self).ok_or(Base64Error)
    }
}
impl Serialize for Base64Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_encode(&self.0))
    }
}
impl<'de> Deserialize<'de> for Base64Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// `#[serde(with = "freehold_rpc::prefixed")]`: an id of `primitives` as hex with `0x`.
pub mod prefixed {
    use super::{Deserialize, Deserializer, Serializer, fmt};

    /// Writes the id with `0x` in front.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("0x{value}"))
    }

    /// Reads the id in either form.
    ///
    /// # Errors
    /// The deserializer's; wrong hex or length.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// As [`prefixed`], for an id that may be null.
pub mod prefixed_option {
    use super::{Deserialize, Deserializer, Serializer, fmt};

    /// Writes null, or the id with `0x` in front.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<T: fmt::Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(&format_args!("0x{value}")),
            None => serializer.serialize_none(),
        }
    }

    /// Reads null, or the id in either form.
    ///
    /// # Errors
    /// The deserializer's; wrong hex or length.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        Option::<T>::deserialize(deserializer)
    }
}

/// `#[serde(with = "freehold_rpc::bare_signature")]`: 65 bytes as hex without `0x`.
pub mod bare_signature {
    use super::{Deserializer, Serializer, read_hex};
    use serde::de::Error as _;

    /// Writes the 65 bytes.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(value: &[u8; 65], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(value))
    }

    /// Reads exactly 65 bytes.
    ///
    /// # Errors
    /// The deserializer's; wrong hex or length.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 65], D::Error> {
        read_hex(deserializer)?.try_into().map_err(|_| D::Error::custom("expected 65 bytes in hex"))
    }
}
