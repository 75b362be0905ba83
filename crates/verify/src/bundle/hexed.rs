//! Bytes in a proof: lower-case hex without `0x`, and no other form.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes written as lower-case hex without `0x`; upper case and `0x` are refused when read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LowerHex(pub Vec<u8>);

impl AsRef<[u8]> for LowerHex {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for LowerHex {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for LowerHex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for LowerHex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(D::Error::custom("hex in a proof is lower case"));
        }
        hex::decode(&text).map(Self).map_err(|_| D::Error::custom("not hex of whole bytes"))
    }
}
