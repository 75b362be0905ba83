//! Evidence of GPUs seen from outside: emulated in every condition, malformed, and real; and RIM files.
#![allow(clippy::unwrap_used)]

mod emulated;
mod malformed;
mod real;
mod rim;
mod spec;

use std::{fs, path::PathBuf, sync::LazyLock};

use freehold_attestation::{
    Refusal,
    nvidia::{self, NvidiaClaims},
    rim::read_rim,
};
use freehold_emulator::{DEVELOPMENT_SEED, EmulatedGpu, GpuPlan, gpu_rim_root_certificate, gpu_root_certificate};
use freehold_primitives::{Blob, GpuArchitecture, GpuMode, NvidiaPolicy, TrustDomain, TrustRoot};

/// Some time in November 2026.
const NOW: u64 = 1_795_000_000;
const NONCE: [u8; 32] = [0x6e; 32];

static HOPPER: LazyLock<EmulatedGpu> =
    LazyLock::new(|| EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 0));
static BLACKWELL: LazyLock<EmulatedGpu> =
    LazyLock::new(|| EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Blackwell, 0));

fn emulated_roots() -> Vec<TrustRoot> {
    vec![TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(gpu_root_certificate(&DEVELOPMENT_SEED)) }]
}

/// Claims under the emulator's root, without collateral.
fn claims_of(evidence: &[u8]) -> Result<NvidiaClaims, Refusal> {
    nvidia::claims(evidence, &[], &emulated_roots(), NOW)
}

/// The policy that accepts a sound GPU of this plan: reference values from its RIM files, and no lists of versions.
fn policy(gpu: &EmulatedGpu, plan: &GpuPlan) -> NvidiaPolicy {
    let root = gpu_rim_root_certificate(&DEVELOPMENT_SEED);
    let reference = |file: String| read_rim(file.as_bytes(), &root, NOW).unwrap().reference().clone();
    NvidiaPolicy {
        gpus_min: 1,
        architectures: vec![GpuArchitecture::Hopper, GpuArchitecture::Blackwell],
        modes: vec![GpuMode::SinglePassthrough],
        driver_versions: Vec::new(),
        vbios_versions: Vec::new(),
        driver_references: Some(vec![reference(gpu.driver_rim(plan))]),
        firmware_references: Some(vec![reference(gpu.firmware_rim(plan))]),
        revocation_age_s_max: 0,
        platforms_denied: Vec::new(),
    }
}

/// A file of the vectors. Absent vectors are said loudly; the test then counts as skipped.
fn vector(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let file = root.join(path);
    let bytes = fs::read(&file).ok();
    if bytes.is_none() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: no real evidence at {}; set FREEHOLD_VECTORS\n", file.display()).as_bytes(),
        );
    }
    bytes
}

/// DER of the one certificate in a PEM file of the vectors.
fn vector_certificate(path: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(vector(path)?).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    Some(base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).unwrap())
}
