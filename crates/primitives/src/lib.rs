#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cbor;
#[macro_use]
mod codec;
mod answer;
mod evidence;
mod fetch;
mod ids;
mod keyset;
mod masters;
mod measurement;
mod membership;
mod payload;
mod policy;
mod receipt;
mod registration;
mod share_report;
mod succession;

/// What the system modules write and verifiers read.
pub mod entries;

pub use answer::{AnswerPurpose, AnswerStatus, AskedCall, CallAnswer};
pub use cbor::{CBOR_DEPTH_MAX, CBOR_ITEMS_MAX, CborError, CborMap, CborValue};
pub use codec::{Blob, Canonical, CodecError, LENGTH_MAX, Reader, VERSION, write_length};
pub use evidence::{BUNDLE_GPUS_MAX, EvidenceBundle, EvidenceKind};
pub use fetch::{FETCH_URL_BYTES_MAX, FetchMethod, FetchRecord};
pub use ids::{
    Account, AppId, Digest, Ed25519Key, Ed25519Signature, G1Point, Generation, Height, IdError, NetworkKey,
    PlatformFamily, Register, Term, UnixSeconds, X25519Key,
};
pub use keyset::{
    EHBP_ALGO, HPKE_KEY_ID, KEYSET_TEXT_MAX, Keyset, RECEIPT_KEY_ID, SubjectBody, TLS_KEYS_MAX, TlsKey,
    report_statement,
};
pub use masters::{LiveMaster, MASTER_GENERATION_MAX, MASTER_KEEP_S_MIN, MASTERS_LIVE_MAX};
pub use measurement::{Measurement, NitroMeasurement, SgxMeasurement, SnpMeasurement, TdxMeasurement};
pub use membership::{
    Dispute, Diversity, Membership, PEER_ADDRESS_BYTES_MAX, STATEMENT_BYTES_MAX, STATEMENTS_MAX, Seat, TermOutcome,
    TermTurn,
};
pub use payload::{
    Allocation, BlockMoment, Certificate, EXECUTED_LAG_MAX, Executed, Genesis, KeyCeremony, PAYLOAD_BYTES_MAX, Payload,
    PayloadBody, PayloadHead, PayloadId, Purpose, TRANSACTION_BYTES_MAX, TrustDomain, TrustRoot,
};
pub use policy::{
    AppPolicy, DcapPolicy, EvidencePolicy, GPU_MEASUREMENTS, GPU_VERSION_BYTES_MAX, GpuArchitecture, GpuMeasurement,
    GpuMode, GpuReference, NitroPolicy, NvidiaPolicy, POLICY_LIST_MAX, ReleaseModel, SgxPolicy, SgxRelease, SnpPolicy,
    SnpProduct, SnpProductPolicy, SnpSigningKey, SnpTcb, TcbStatus, TdxForm, TdxPolicy,
};
pub use receipt::{ACI_VERSION, Event, RECEIPT_BYTES_MAX, RECEIPT_EVENTS_MAX, Receipt, Sampling};
pub use registration::{EVIDENCE_BYTES_MAX, NONCE_AGE_S_MAX, REGISTRATION_BYTES_MAX, Registration};
pub use share_report::{ShareReport, StateShare};
pub use succession::{Body, SUCCESSION_VERSION, SUCCESSIONS_MAX, SuccessionRecord, WaitingKey, succession_body};
