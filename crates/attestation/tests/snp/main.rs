//! SEV-SNP seen from outside: emulated evidence in every condition, malformed evidence, and real evidence.
#![allow(clippy::unwrap_used)]

mod emulated;
mod malformed;
mod real;
mod spec;

use std::sync::LazyLock;

use freehold_attestation::{
    Refusal,
    snp::{self, SnpClaims},
};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform};
use freehold_primitives::{
    Blob, Digest, SnpMeasurement, SnpPolicy, SnpProduct, SnpProductPolicy, SnpSigningKey, SnpTcb, TrustDomain,
    TrustRoot,
};

/// Some time in November 2026.
const NOW: u64 = 1_795_000_000;
const REPORT_DATA: [u8; 64] = [0x5a; 64];
const PRODUCTS: [SnpProduct; 3] = [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin];

static MACHINES: LazyLock<[SnpPlatform; 3]> =
    LazyLock::new(|| PRODUCTS.map(|product| SnpPlatform::new(&DEVELOPMENT_SEED, product)));

fn machine(product: SnpProduct) -> &'static SnpPlatform {
    &MACHINES[product as usize - 1]
}

fn guest() -> SnpGuest {
    let app =
        AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: Some(Digest([3; 32])) };
    SnpGuest::launch(&Digest([1; 32]), &app)
}

fn emulated_roots() -> Vec<TrustRoot> {
    static ROOTS: LazyLock<Vec<TrustRoot>> = LazyLock::new(|| {
        let root = |machine: &SnpPlatform| Blob(machine.root_certificate());
        MACHINES.iter().map(|machine| TrustRoot { domain: TrustDomain::Emulated, certificate: root(machine) }).collect()
    });
    ROOTS.clone()
}

fn collateral(product: SnpProduct, key: SnpSigningKey) -> Vec<u8> {
    machine(product).collateral(NOW, key, SnpCollateralCondition::Good)
}

/// Evidence of the guest on a Genoa with a VCEK, unless said otherwise.
fn evidence(condition: SnpCondition) -> Vec<u8> {
    machine(SnpProduct::Genoa).evidence(&guest(), &REPORT_DATA, SnpSigningKey::Vcek, condition)
}

/// Claims of evidence on that Genoa.
fn claims_of(evidence: &[u8]) -> Result<SnpClaims, Refusal> {
    static COLLATERAL: LazyLock<Vec<u8>> = LazyLock::new(|| collateral(SnpProduct::Genoa, SnpSigningKey::Vcek));
    snp::claims(evidence, &COLLATERAL, &emulated_roots(), NOW)
}

fn release() -> SnpMeasurement {
    SnpMeasurement { measurement: guest().measurement, host_data: Some(guest().host_data) }
}

/// The default policy, with Milan and VLEKs too.
fn open_policy(measurements: Vec<SnpMeasurement>) -> SnpPolicy {
    let mut policy = snp::snp_default_policy(measurements);
    policy.products.push(SnpProductPolicy { product: SnpProduct::Milan, tcb_min: SnpTcb::default() });
    policy.signing_keys.push(SnpSigningKey::Vlek);
    policy
}
