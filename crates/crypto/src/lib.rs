#![doc = include_str!("../README.md")]

mod answer;
mod app_id;
mod bls;
mod call_data;
mod certificate;
mod deoxys;
mod ehbp;
mod fetch;
mod hash;
mod jcs;
mod kdf;
mod keys;
mod merkle;
mod mrae;
mod passphrase;
mod receipt;
mod settings;
mod signatures;
mod state_cipher;
mod state_keys;
mod state_proof;
mod succession;
mod threshold;
mod tls_key;

/// Addresses of the system modules, keys of the state tree and slots of entries.
pub mod slots;

pub use answer::{AnswerSigner, answer_digest, answer_output_digest, asked_call_digest, recover_answer};
pub use app_id::{app_id_from_creator_nonce, app_id_from_creator_round_index, app_id_from_name, oasis_address};
pub use call_data::{
    CallData, CallDataRefusal, CallFailure, CallResult, FailureForm, Leash, OpenedCall, QueryCall, QueryProof,
    ResultError, ResultOpener, ResultSealer, SealedCall, SignedQuery, seal_call, wrap_call,
};
pub use certificate::{CertificateError, CertificateVerifier, chain_namespace, verify_certificate, verify_seed};
pub use ehbp::{
    EHBP_KEYS_TYPE, EhbpError, ExportedSecret, FRAME_BYTES_MAX, FrameReader, HpkeSecret, KEY_CONFIG_BYTES,
    RequestOpener, RequestSealer, ResponseOpener, ResponseSealer, frame, key_config, parse_key_config,
};
pub use fetch::{
    fetch_certificates_digest, fetch_digest, fetch_headers_digest, fetch_roots_digest, recover_fetch, sign_fetch,
};
pub use hash::{
    body_digest, content_digest, genesis_hash, hash, keccak256, keyset_digest, measurement_digest, payload_digest,
    report_data, sha256, sha384, sha512, sha512_256, subject_digest,
};
pub use jcs::{JCS_DEPTH_MAX, JCS_INTEGER_MAX, JcsError, parse_canonical, to_jcs};
pub use kdf::{KeyKind, app_key, hkdf_sha256};
pub use keys::{
    AccountKey, Ed25519Secret, KeyError, possession_message, proposal_message, recover_account, recover_registration,
    registration_digest, share_message, verify_ed25519, verify_secp256k1,
};
pub use merkle::{
    MERKLE_PATH_MAX, MerkleError, MerkleTree, TreeHead, empty_root, leaf_hash, root_from_path, verify_consistency,
    verify_inclusion,
};
pub use mrae::{DEOXYS_NONCE_BYTES, DEOXYS_TAG_BYTES, Deoxys, DeoxysError, deoxys_shared_key, x25519_public};
pub use passphrase::{PASSPHRASE_BYTES_MAX, PASSPHRASE_SALT_BYTES, passphrase_key};
pub use receipt::{
    ReceiptError, parse_receipt, receipt_leaf, receipt_text, sign_receipt, signing_input, verify_receipt,
};
pub use settings::SettingPlace;
pub use signatures::{
    KeyPairBytes, SignatureAlgorithm, SignatureError, SignedMessage, key_pair_from_seed, sign_message, verify_message,
};
pub use state_cipher::{ContractCipher, SEALED_SLOT_BYTES, SealError, StateCipher, sealed_generation};
pub use state_keys::{CallDataSecret, StateKeyOrigin, StateKeys, StateRootKey, state_grant_id};
pub use state_proof::{
    STATE_PROOF_BYTES_MAX, STATE_PROOF_DIGESTS_MAX, STATE_VALUE_BYTES_MAX, StateClaim, StateProof, StateProofError,
    verify_state,
};
pub use succession::{Succession, SuccessionError, verify_succession};
pub use threshold::{
    CONTEXT_BYTES_MAX, Derivation, DerivedKey, ENCRYPTED_KEY_BYTES, ENCRYPTED_SHARE_BYTES, EncryptedKey,
    EncryptedShare, KEY_INPUT, PointName, Polynomial, SEAL_BYTES, Share, THRESHOLD_MAX, ThresholdError,
    TransportSecret, check_transport_key, combine, derived_public_key, encrypt_share, verify_share, wire_context,
};
pub use tls_key::p256_pkcs8;
