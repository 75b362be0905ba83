//! Report data that an app may choose.
//!
//! Invariant: the guest takes no quote for the app over 64 bytes that could be the statement of a keyset
//! (`spec/keyset.md` §3): a SHA-256 digest before 32 zeros. With such a quote the app, and whoever controls it, could have
//! a keyset of its own registered and get the app's root key.

use freehold_crypto::{keccak256, sha256, sha384, sha512};

use super::DstackError;

/// What stands before what is hashed, as dstack's.
pub(crate) const HASH_PREFIX: &str = "app-data";
/// Zeros at the end of a digest that nobody can make: 2^128 tries.
const ZEROS: usize = 16;

/// The app's report data, zeros behind it.
pub(crate) fn padded_report_data(data: &[u8]) -> Result<[u8; 64], DstackError> {
    let mut out = [0; 64];
    out.get_mut(..data.len()).ok_or(DstackError::ReportData(data.len()))?.copy_from_slice(data);
    let could_be_statement = out[32..] == [0; 32] && out[32 - ZEROS..32] != [0; ZEROS];
    if could_be_statement { Err(DstackError::Statement) } else { Ok(out) }
}

/// Report data of `TdxQuote`: a hash over a prefix and the app's bytes, which no statement begins with.
pub(crate) fn hashed_report_data(data: &[u8], algorithm: &str) -> Result<[u8; 64], DstackError> {
    if algorithm == "raw" {
        return padded_report_data(data);
    }
    let content = [HASH_PREFIX.as_bytes(), b":", data].concat();
    let mut out = [0; 64];
    match algorithm {
        "" | "sha512" => out = sha512(&content),
        "sha384" => out[..48].copy_from_slice(&sha384(&content).0),
        "sha256" => out[..32].copy_from_slice(&sha256(&content).0),
        "keccak256" => out[..32].copy_from_slice(&keccak256(&[&content]).0),
        _ => return Err(DstackError::Hash),
    }
    Ok(out)
}
