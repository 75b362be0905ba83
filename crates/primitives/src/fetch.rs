//! What an instance signs of an HTTPS exchange that its guest made (`spec/fetch.md`).
//!
//! Not here: the signature, the exchange, and who may sign.

use serde::{Deserialize, Serialize};

use crate::ids::{AppId, Digest, Height, UnixSeconds};

/// Longest URL of a record, in bytes.
pub const FETCH_URL_BYTES_MAX: usize = 2048;

canonical_enum! {
    /// Method of a fetch.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub enum FetchMethod {
        /// `GET`.
        #[default]
        Get = 1,
        /// `POST`.
        Post = 2,
    }
}

canonical_struct! {
    /// What an instance says of one exchange.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct FetchRecord {
        /// Chain id.
        pub chain_id: u64,
        /// Digest of the genesis.
        pub genesis_hash: Digest,
        /// App of the instance.
        pub app_id: AppId,
        /// The instance.
        pub instance_id: Digest,
        /// Newest certified block that the guest knew when it sent the request.
        pub height: Height,
        /// Hash of that block.
        pub block_hash: Digest,
        /// The guest's certified time when the response was whole.
        pub time_unix_s: UnixSeconds,
        /// Method.
        pub method: FetchMethod,
        /// The URL in its one form, at most [`FETCH_URL_BYTES_MAX`] bytes.
        pub url: String,
        /// Digest of the headers that the app asked for; zero where it asked for none.
        pub request_headers: Digest,
        /// SHA-256 of the request's body; zero where it has none.
        pub request_body: Digest,
        /// Digest of the roots that the server was judged under; zero for those of the web.
        pub roots: Digest,
        /// Digest of the certificates that the server showed.
        pub certificates: Digest,
        /// Status of the response.
        pub status: u16,
        /// SHA-256 of the response's body.
        pub response_body: Digest,
    }
}
