#![doc = include_str!("../README.md")]

mod app_id;
mod hash;
mod jcs;
mod keys;
mod merkle;

/// Addresses of the system modules, keys of the state tree and slots of entries.
pub mod slots;

pub use app_id::{app_id_from_creator_nonce, app_id_from_creator_round_index, app_id_from_name, oasis_address};
pub use hash::{
    body_digest, content_digest, genesis_hash, hash, keccak256, keyset_digest, payload_digest, report_data, sha256,
    sha384, sha512_256, subject_digest,
};
pub use jcs::{JCS_DEPTH_MAX, JCS_INTEGER_MAX, JcsError, parse_canonical, to_jcs};
pub use keys::{
    AccountKey, Ed25519Secret, KeyError, recover_account, recover_registration, registration_digest, verify_ed25519,
};
pub use merkle::{
    MERKLE_PATH_MAX, MerkleError, MerkleTree, TreeHead, empty_root, leaf_hash, root_from_path, verify_consistency,
    verify_inclusion,
};
