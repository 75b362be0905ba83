//! The room seen from outside: emulated evidence in every condition, malformed evidence, and real evidence.
#![allow(clippy::unwrap_used)]

mod emulated;
mod malformed;
mod real;
mod spec;

use std::sync::LazyLock;

use freehold_attestation::{Refusal, VerifiedClaims, claims, development_policy, verify_tdx};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, Platform, TdReport};
use freehold_primitives::{Blob, Digest, TrustDomain, TrustRoot};

/// Some time in November 2026.
const NOW: u64 = 1_795_000_000;
const REPORT_DATA: [u8; 64] = [0x5a; 64];

static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform::new(&DEVELOPMENT_SEED));

fn app() -> AppImage {
    AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: Some(Digest([3; 32])) }
}

fn td() -> TdReport {
    TdReport::launch(&Digest([1; 32]), &app())
}

fn emulated_roots() -> Vec<TrustRoot> {
    vec![TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(PLATFORM.root_certificate()) }]
}

/// The refusal that `td` gets under `collateral`, or the claims.
fn verify(td: &TdReport, collateral: &[u8], now: u64) -> Result<VerifiedClaims, Refusal> {
    let quote = PLATFORM.quote_v4(td, &REPORT_DATA);
    verify_tdx(&quote, collateral, &emulated_roots(), &development_policy(td.measurement()), now)
}

/// Claims of raw evidence under today's collateral.
fn claims_of(evidence: &[u8]) -> Result<VerifiedClaims, Refusal> {
    static COLLATERAL: LazyLock<Vec<u8>> = LazyLock::new(|| PLATFORM.collateral(NOW));
    claims(evidence, &COLLATERAL, &emulated_roots(), NOW)
}
