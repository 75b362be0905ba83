//! The room seen from outside: emulated evidence in every condition, malformed evidence, and real evidence.
#![allow(clippy::unwrap_used)]

mod accepted;
mod emulated;
mod eventlog;
mod kinds;
mod malformed;
mod malformed_collateral;
mod pem_text;
mod real;
mod smoke;
mod spec;
mod statuses;
mod tiers;

use std::sync::LazyLock;

use freehold_attestation::{Evidence, Refusal, VerifiedClaims, claims, development_policy};
use freehold_emulator::{AppImage, CollateralPlan, DEVELOPMENT_SEED, EnclaveReport, Platform, TdBody, TdReport};
use freehold_primitives::{Blob, Digest, EvidenceKind, EvidencePolicy, TrustDomain, TrustRoot};

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

fn enclave() -> EnclaveReport {
    EnclaveReport::launch(&Digest([1; 32]), &app())
}

fn emulated_roots() -> Vec<TrustRoot> {
    vec![TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(PLATFORM.root_certificate()) }]
}

/// Claims of evidence under one collateral document and the emulator's root.
fn claims_at(kind: EvidenceKind, bytes: &[u8], collateral: &[u8], now: u64) -> Result<VerifiedClaims, Refusal> {
    claims(&Evidence { kind, bytes, collateral: &[collateral] }, &emulated_roots(), now)
}

/// The refusal that `td` gets under `collateral` and the policy that names it, or the claims.
fn verify(td: &TdReport, collateral: &[u8], now: u64) -> Result<VerifiedClaims, Refusal> {
    let quote = PLATFORM.quote_v4(td, &REPORT_DATA);
    let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &quote, collateral: &[collateral] };
    freehold_attestation::verify(&evidence, &emulated_roots(), &development_policy(td.measurement()), now)
}

/// Quotes in every form that is accepted, each with what belongs to it.
struct Form {
    name: &'static str,
    kind: EvidenceKind,
    quote: Vec<u8>,
    collateral: Vec<u8>,
    policy: EvidencePolicy,
    /// End of header and body.
    signed: usize,
    /// Offset of the report body.
    body_at: usize,
    /// Offset of the report data.
    report_data_at: usize,
    /// Whether the quoting enclave's report stands in certification data of its own.
    nested: bool,
}

impl Form {
    const fn signature_at(&self) -> usize {
        self.signed + 4
    }

    const fn key_at(&self) -> usize {
        self.signed + 68
    }

    const fn qe_report_at(&self) -> usize {
        self.signed + 132 + if self.nested { 6 } else { 0 }
    }

    const fn qe_signature_at(&self) -> usize {
        self.qe_report_at() + 384
    }

    const fn qe_auth_at(&self) -> usize {
        self.qe_signature_at() + 64
    }

    const fn inner_at(&self) -> usize {
        self.qe_auth_at() + 34
    }

    const fn chain_at(&self) -> usize {
        self.inner_at() + 6
    }

    /// Offset of every length field whose value runs to the end.
    fn lengths(&self) -> Vec<usize> {
        let outer = self.nested.then_some(self.signed + 134);
        [self.signed].into_iter().chain(outer).chain([self.inner_at() + 2]).collect()
    }

    fn claims(&self, quote: &[u8]) -> Result<VerifiedClaims, Refusal> {
        claims_at(self.kind, quote, &self.collateral, NOW)
    }
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let td = td();
    let tdx = |name, quote, body_at, signed| Form {
        name,
        kind: EvidenceKind::Tdx,
        quote,
        collateral: PLATFORM.collateral(NOW),
        policy: development_policy(td.measurement()),
        signed,
        body_at,
        report_data_at: body_at + 520,
        nested: true,
    };
    let v5 = |body| PLATFORM.quote_v5(&td, body, &REPORT_DATA);
    vec![
        tdx("v4", PLATFORM.quote_v4(&td, &REPORT_DATA), 48, 632),
        tdx("v5 td 1.0", v5(TdBody::Td10), 54, 638),
        tdx("v5 td 1.5", v5(TdBody::Td15), 54, 702),
        tdx("v5 td 1.5ex", v5(TdBody::Td15Ex), 54, 939),
        Form {
            name: "sgx v3",
            kind: EvidenceKind::Sgx,
            quote: PLATFORM.quote_v3(&enclave(), &REPORT_DATA),
            collateral: PLATFORM.sgx_collateral_with(NOW, &CollateralPlan::default()),
            policy: development_policy(enclave().measurement),
            signed: 432,
            body_at: 48,
            report_data_at: 48 + 320,
            nested: false,
        },
    ]
});
