#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod certificate;
mod claims;
mod collateral;
mod dcap;
mod default_policy;
mod development;
mod eventlog;
mod evidence;
mod outline;
mod policy;
mod refusal;
mod roots;
mod scalar;
mod tiers;
mod vendor_roots;
mod version;

/// Containers of evidence and collateral, for tools. Consensus never calls this.
pub mod container;
pub mod nitro;
/// NVIDIA GPUs: measurement reports, their claims, and the policy over them.
pub mod nvidia;
/// NVIDIA's RIM files, from which reference values of GPUs come. Consensus never calls this.
pub mod rim;
/// Intel SGX: quotes of version 3, their claims, and the policy over them.
pub mod sgx;
pub mod snp;
/// Intel TDX: quotes of versions 4 and 5, their claims, and the policy over them.
pub mod tdx;

pub use certificate::Revocation;
pub use claims::{KindClaims, VerifiedClaims};
pub use collateral::{VerifiedCollateral, read_collateral};
pub use dcap::{
    BareDcap, CERTIFICATE_CHAIN_BYTES_MAX, COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument,
    DcapClaims, QUOTE_BYTES_MAX, REVOCATION_LIST_BYTES_MAX, VerifiedDcapCollateral, canonicalise,
};
pub use default_policy::default_policy;
pub use development::development_policy;
pub use eventlog::{
    AppEvent, AppFact, BootEvents, Cover, DigestRule, DstackAttestation, EVENT_LOG_BYTES_MAX, EVENTS_MAX, EventLine,
    EventType, HashAlgorithm, KeyProvider, LogKind, LoggedEvent, Pcrs, Phase, RegisterCheck, Rtmr, Rtmrs, RuntimeLog,
    SYSTEM_READY, TcgEvent, TcgLog, app_event_digest, extended,
};
pub use evidence::{Evidence, claims, claims_accepted, verify};
pub use outline::{UnverifiedEvidence, collateral_wanted};
pub use policy::{judge, judge_ahead};
pub use refusal::{Refusal, RefusalClass};
pub use roots::check_roots;
pub use tiers::{default_tiers, judge_tier};
pub use vendor_roots::vendor_roots;
pub use version::VerifierVersion;
