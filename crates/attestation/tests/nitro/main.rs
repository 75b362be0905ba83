//! AWS Nitro seen from outside: emulated documents in every condition, malformed ones, and a real one.
#![allow(clippy::unwrap_used)]

mod emulated;
mod malformed;
mod real;
mod spec;

use std::sync::LazyLock;

use freehold_attestation::{
    Refusal,
    nitro::{self, NitroClaims},
};
use freehold_emulator::{
    AppImage, DEVELOPMENT_SEED, NitroCollateralCondition, NitroCondition, NitroEnclave, NitroPlatform,
};
use freehold_primitives::{Blob, Digest, TrustDomain, TrustRoot};

/// Some time in November 2026.
const NOW: u64 = 1_795_000_000;
const REPORT_DATA: [u8; 64] = [0x5a; 64];

static HOST: LazyLock<NitroPlatform> = LazyLock::new(|| NitroPlatform::new(&DEVELOPMENT_SEED));

fn enclave() -> NitroEnclave {
    let app = AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None };
    NitroEnclave::launch(&Digest([1; 32]), &app)
}

fn emulated_roots() -> Vec<TrustRoot> {
    vec![TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(HOST.root_certificate()) }]
}

fn evidence(condition: NitroCondition) -> Vec<u8> {
    HOST.evidence(&enclave(), &REPORT_DATA, NOW, condition)
}

fn collateral(condition: NitroCollateralCondition) -> Vec<u8> {
    HOST.collateral(NOW, condition)
}

/// Claims of evidence without collateral.
fn claims_of(evidence: &[u8]) -> Result<NitroClaims, Refusal> {
    nitro::claims(evidence, &[], &emulated_roots(), NOW)
}
