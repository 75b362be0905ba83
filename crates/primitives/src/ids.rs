//! Identifiers: digests, addresses, app ids, and the plain numbers of the chain.
//!
//! All are fixed-width byte arrays or integers; text forms are lower-case hex without `0x` (bech32 for app ids), and
//! both hex forms are read.

use core::{fmt, str::FromStr};

use bech32::{Bech32, Hrp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::codec::{Canonical, CodecError, Reader};

/// Height of a payload and of the Ethereum block that executing it gives; genesis is 0.
pub type Height = u64;
/// Engine's resharing period, counted from 0.
pub type Term = u64;
/// Generation of a distributed key, counted from 0.
pub type Generation = u32;
/// Seconds since the Unix epoch.
pub type UnixSeconds = u64;

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not hex, or not of the right length.
    #[error("expected {expected} bytes in hex")]
    Hex {
        /// Bytes that the identifier has.
        expected: usize,
    },
    /// Not a bech32 app id with the prefix `rofl` and 21 bytes, the first of them 0.
    #[error("expected an app id such as rofl1…")]
    AppId,
}

macro_rules! byte_id {
    ($(#[$meta:meta])* $name:ident, $size:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// Length in bytes.
            pub const SIZE: usize = $size;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $size]);
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }
        impl Default for $name {
            fn default() -> Self {
                Self::ZERO
            }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(self.0))
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $size];
                let text = text.strip_prefix("0x").unwrap_or(text);
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError::Hex { expected: $size })?;
                Ok(Self(bytes))
            }
        }
        impl Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                <[u8; $size]>::read(reader).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

byte_id!(
    /// A 32-byte hash: SHA-256 of our own formats, keccak-256 where Ethereum says so.
    Digest,
    32
);
byte_id!(
    /// A 20-byte Ethereum account address.
    Account,
    20
);
byte_id!(
    /// The network key: a compressed BLS12-381 G2 point, 96 bytes, constant across validator changes.
    NetworkKey,
    96
);
byte_id!(
    /// A compressed BLS12-381 G1 point, 48 bytes: a signature of the network key, or an instance's transport key.
    G1Point,
    48
);
byte_id!(
    /// A 48-byte measurement register, a SHA-384 value: MRTD, RTMR0–3, MRSEAM, an SNP launch digest, a PCR.
    Register,
    48
);
byte_id!(
    /// Family of a platform, as the vendor's certificates show it (`spec/evidence.md` §1): Intel's FMSPC; AMD product and
    /// kind of key; zeros for AWS; NVIDIA architecture.
    PlatformFamily,
    6
);
byte_id!(
    /// An Ed25519 public key.
    Ed25519Key,
    32
);
byte_id!(
    /// An Ed25519 signature.
    Ed25519Signature,
    64
);
byte_id!(
    /// An X25519 public key.
    X25519Key,
    32
);

/// Identifier of an app: 21 bytes, a zero version byte and 20 bytes of hash; text form bech32 with the prefix `rofl`
/// (`spec/apps.md` §1, the scheme of Oasis ROFL).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId([u8; 21]);

impl AppId {
    /// Stands for the chain itself where an entry is kept by app; no app has this id.
    pub const CHAIN: Self = Self([0; 21]);

    /// The id whose last 20 bytes are `hash`.
    pub fn new(hash: [u8; 20]) -> Self {
        let mut bytes = [0; 21];
        bytes[1..].copy_from_slice(&hash);
        Self(bytes)
    }

    /// The 21 bytes.
    pub const fn as_bytes(&self) -> &[u8; 21] {
        &self.0
    }

    /// Reads 21 raw bytes.
    ///
    /// # Errors
    /// [`IdError::AppId`] when the first byte is not 0.
    pub const fn from_bytes(bytes: [u8; 21]) -> Result<Self, IdError> {
        if bytes[0] == 0 { Ok(Self(bytes)) } else { Err(IdError::AppId) }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode::<Bech32>(Hrp::parse_unchecked("rofl"), &self.0);
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppId({self})")
    }
}

impl FromStr for AppId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (hrp, bytes) = bech32::decode(text).map_err(|_| IdError::AppId)?;
        let bytes: [u8; 21] = bytes.try_into().map_err(|_| IdError::AppId)?;
        let id = Self::from_bytes(bytes)?;
        // One text for one id: upper case and the bech32m checksum are refused.
        if hrp.as_str() == "rofl" && id.to_string() == text { Ok(id) } else { Err(IdError::AppId) }
    }
}

impl Canonical for AppId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let bytes = <[u8; 21]>::read(reader)?;
        Self::from_bytes(bytes).map_err(|_| CodecError::Tag(bytes[0]))
    }
}

impl Serialize for AppId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AppId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
