//! Types of appd's transactions and queries, read as appd reads them (`spec/local-api.md` §1).

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// `POST /rofl/v1/tx/sign-submit`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SignSubmit {
    /// Whether the call is sealed to the chain; where it is not said, it is.
    #[serde(default = "is_sealed")]
    pub encrypt: bool,
    /// The transaction.
    pub tx: RoflTransaction,
}

const fn is_sealed() -> bool {
    true
}

/// A transaction of either kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "lowercase")]
pub enum RoflTransaction {
    /// Ethereum's.
    Eth(RoflEthTransaction),
    /// CBOR of a transaction of Oasis's runtime SDK.
    Std(HexText),
}

/// A transaction as Ethereum knows it; nonce and fees are the guest's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoflEthTransaction {
    /// Bound on gas; 0: what is estimated, and a fifth more.
    pub gas_limit: WordText,
    /// Callee of 20 bytes; empty, or not there, to create a contract.
    #[serde(default)]
    pub to: HexText,
    /// Value in wei.
    pub value: WordText,
    /// Call data, or code.
    pub data: HexText,
}

/// `POST /rofl/v1/query`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RoflQuery {
    /// Method of the runtime.
    pub method: String,
    /// Its arguments, CBOR.
    pub args: HexText,
}

/// Answer to both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoflData {
    /// CBOR in hex.
    pub data: String,
}

/// Bytes in hex, with or without `0x`; `0x` alone is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HexText(pub Vec<u8>);

impl<'de> Deserialize<'de> for HexText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = match text.strip_prefix("0x") {
            Some("") => return Err(D::Error::custom("`0x` alone is no bytes: leave the text empty")),
            Some(digits) => digits,
            None => &text,
        };
        hex::decode(digits).map(Self).map_err(|_| D::Error::custom("not hex of whole bytes"))
    }
}

/// An integer of 256 bits, big-endian: a number, or a text in decimal or behind `0x`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordText(pub [u8; 32]);

impl<'de> Deserialize<'de> for WordText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(value) => {
                let mut word = [0; 32];
                word[24..].copy_from_slice(&value.to_be_bytes());
                Ok(Self(word))
            }
            Form::Text(text) => read_word(&text).map(Self).ok_or_else(|| D::Error::custom("no integer of 256 bits")),
        }
    }
}

/// Reads digits, each carried through all bytes.
fn read_word(text: &str) -> Option<[u8; 32]> {
    let (digits, base) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    let mut word = [0_u8; 32];
    for digit in digits.chars() {
        let mut carry = digit.to_digit(base)?;
        for byte in word.iter_mut().rev() {
            carry += u32::from(*byte) * base;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    (!digits.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests;
