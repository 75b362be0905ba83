//! One entry for every parser of this crate: bytes in, and neither a panic nor a broken promise may come out.
//!
//! Shared by the coverage-guided targets and by the short smoke of the ordinary tests. The promises checked here: what
//! `canonicalise` makes is canonical and stays itself; what one reader accepts, the next can use.

use freehold_attestation::{
    CollateralDocument, DcapClaims, UnverifiedEvidence, canonicalise, container,
    eventlog::{BootEvents, DstackAttestation, HashAlgorithm, RuntimeLog, TcgLog},
    nitro, nvidia, rim, sgx, snp, tdx,
};
use freehold_primitives::{Canonical as _, EvidenceKind, SnpProduct};

/// A parser under test.
pub type Entry = fn(&[u8]);

/// Every entry by name.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("quote", quote),
    ("collateral", collateral),
    ("snp", snp),
    ("nitro", nitro),
    ("nvidia", nvidia),
    ("rim", rim),
    ("eventlog_tcg", eventlog_tcg),
    ("eventlog_dstack", eventlog_dstack),
    ("container", container),
];
