#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cbor;
#[macro_use]
mod codec;
mod ids;
mod keyset;
mod payload;
mod policy;
mod receipt;
mod registration;

/// What the system modules write and verifiers read.
pub mod entries;

pub use cbor::{CBOR_DEPTH_MAX, CBOR_ITEMS_MAX, CborError, CborMap, CborValue};
pub use codec::{Blob, Canonical, CodecError, LENGTH_MAX, Reader, VERSION, write_length};
pub use ids::{
    Account, AppId, Digest, Ed25519Key, G1Point, Generation, Height, IdError, NetworkKey, Register, Term, UnixSeconds,
    X25519Key,
};
pub use keyset::{
    EHBP_ALGO, HPKE_KEY_ID, KEYSET_TEXT_MAX, Keyset, RECEIPT_KEY_ID, SubjectBody, TLS_KEYS_MAX, TlsKey,
    report_statement,
};
pub use payload::{
    Allocation, BlockMoment, Certificate, EXECUTED_LAG_MAX, Executed, Genesis, KeyCeremony, PAYLOAD_BYTES_MAX, Payload,
    PayloadBody, PayloadHead, PayloadId, TRANSACTION_BYTES_MAX, TrustDomain, TrustRoot,
};
pub use policy::{AppPolicy, EvidencePolicy, POLICY_LIST_MAX, TcbStatus, TdxMeasurement};
pub use receipt::{ACI_VERSION, Event, RECEIPT_BYTES_MAX, RECEIPT_EVENTS_MAX, Receipt, Sampling};
pub use registration::{EVIDENCE_BYTES_MAX, EvidenceKind, NONCE_AGE_S_MAX, REGISTRATION_BYTES_MAX, Registration};
