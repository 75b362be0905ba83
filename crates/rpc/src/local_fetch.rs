//! Types of the local API's attested fetch (`spec/fetch.md` §4).

use freehold_primitives::{FetchMethod, FetchRecord};
use serde::{Deserialize, Serialize};

use crate::hexed::{BareHex, Base64Text};

/// What a fetched document says that it is.
pub const FETCH_FORMAT: &str = "freehold.fetch/1";
/// Most headers of a request.
pub const FETCH_HEADERS_MAX: usize = 32;
/// Most bytes of a request's headers, names and values together.
pub const FETCH_HEADER_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of a request's body.
pub const FETCH_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of a response's body, where the ask names no fewer.
pub const FETCH_RESPONSE_BYTES_DEFAULT: u64 = 1024 * 1024;
/// Most bytes of a response's body.
pub const FETCH_RESPONSE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest exchange where the ask names no time, in milliseconds.
pub const FETCH_TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// Longest exchange, in milliseconds.
pub const FETCH_TIMEOUT_MS_MAX: u64 = 25_000;
/// Most roots that an ask names.
pub const FETCH_ROOTS_MAX: usize = 8;

/// A header by name and value.
pub type FetchHeader = (String, String);

/// Body of `POST /freehold/v1/fetch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchAsk {
    /// What to fetch: `https://…`.
    pub url: String,
    /// Method.
    #[serde(default)]
    pub method: FetchMethod,
    /// Headers beside those that the guest sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FetchHeader>,
    /// Body of a `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Base64Text>,
    /// Root certificates (DER) to judge the server under; those of the web where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<Base64Text>,
    /// Most bytes of the response's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
    /// Longest wait for the whole exchange, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What was fetched, and what the instance signs of it. Kept as a file it can be checked by anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetched {
    /// [`FETCH_FORMAT`].
    pub format: String,
    /// What is signed.
    pub record: FetchRecord,
    /// By the instance's account: `r ‖ s ‖ v`.
    pub signature: BareHex,
    /// Headers of the response, which are not signed.
    #[serde(default)]
    pub headers: Vec<FetchHeader>,
    /// Body of the response.
    pub body: Base64Text,
}
