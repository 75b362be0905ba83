//! What an instance says of itself, for all to read (`spec/local-api.md` §1): the pairs that its app set, on the chain.

use crate::{
    codec::Canonical as _,
    ids::{Digest, Height},
};

/// Longest document of metadata, in bytes.
pub const METADATA_BYTES_MAX: usize = 32 * 1024;
/// Most pairs: the 64 of an instance on Oasis, less ten that are a platform's own.
pub const METADATA_PAIRS_MAX: usize = 54;
/// Longest key, in bytes: 1,024 on Oasis, where [`METADATA_PREFIX`] stands before it.
pub const METADATA_KEY_BYTES_MAX: usize = 1024 - METADATA_PREFIX.len();
/// Longest value, in bytes.
pub const METADATA_VALUE_BYTES_MAX: usize = 16 * 1024;
/// What stands before an app's own keys where Oasis's clients read them.
pub const METADATA_PREFIX: &str = "net.oasis.app.";

canonical_struct! {
    /// One pair.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MetadataPair {
        /// Its key.
        pub key: String,
        /// Its value.
        pub value: String,
    }
}

canonical_struct! {
    /// The pairs of an instance.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Metadata {
        /// In rising order of their keys.
        pub pairs: Vec<MetadataPair>,
    }
}

canonical_struct! {
    /// The newest metadata of an instance.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MetadataEntry {
        /// The instance.
        pub instance_id: Digest,
        /// Height that set them.
        pub changed_at: Height,
        /// The pairs.
        pub metadata: Metadata,
    }
}

impl Metadata {
    /// Whether every bound holds: number, order, lengths of each and of the whole document.
    pub fn is_sound(&self) -> bool {
        let fits = |pair: &MetadataPair| {
            (1..=METADATA_KEY_BYTES_MAX).contains(&pair.key.len()) && pair.value.len() <= METADATA_VALUE_BYTES_MAX
        };
        self.pairs.len() <= METADATA_PAIRS_MAX
            && self.pairs.iter().all(fits)
            && self.pairs.windows(2).all(|pair| pair[0].key < pair[1].key)
            && self.to_canonical().len() <= METADATA_BYTES_MAX
    }
}
