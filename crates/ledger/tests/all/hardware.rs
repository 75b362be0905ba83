//! Evidence of real hardware on a chain under Intel's root, at the time of its collateral (`FREEHOLD_VECTORS`).
#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use crate::common::{Chain, genesis, key};
use crate::registry::{IApps, INSTANCE, OWNER, Registry};
use freehold_attestation::{
    CollateralDocument, Evidence, Refusal, VerifiedClaims, VerifierVersion, canonicalise, development_policy, sgx, tdx,
};
use freehold_crypto::{app_id_from_creator_nonce, slots};
use freehold_ledger::{AttestationTerms, ModuleRefusal, attest};
use freehold_primitives::{
    AppId, AppPolicy, Blob, Canonical as _, EvidenceKind, EvidencePolicy, Measurement, PlatformFamily, TcbStatus,
    TrustDomain, TrustRoot,
    entries::{CollateralEntry, CollateralKind, EntryKind, collateral_key},
};

/// Within the validity of both collateral sets.
const THEN: u64 = 1_751_500_000;
/// Intel's family of the machine that made the TDX quote.
const TDX_FAMILY: PlatformFamily = PlatformFamily([0xb0, 0xc0, 0x6f, 0, 0, 0]);
/// Intel's family of the machine that made the SGX quote.
const SGX_FAMILY: PlatformFamily = PlatformFamily([0, 0xa0, 0x67, 0x11, 0, 0]);
/// First second at which the TDX collateral no longer counts: the end of the PCK CA's revocation list.
const TDX_EXPIRES_AT: u64 = 1_752_919_235;

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

fn collateral(path: &str) -> Option<Vec<u8>> {
    let json: serde_json::Value = serde_json::from_slice(&vector(path)?).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    let bytes = |name: &str| hex::decode(text(name)).unwrap();
    let document = CollateralDocument {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain"),
        root_ca_crl: Blob(bytes("root_ca_crl")),
        pck_crl: Blob(bytes("pck_crl")),
        tcb_info_issuer_chain: text("tcb_info_issuer_chain"),
        tcb_info: text("tcb_info"),
        tcb_info_signature: bytes("tcb_info_signature").try_into().unwrap(),
        qe_identity_issuer_chain: text("qe_identity_issuer_chain"),
        qe_identity: text("qe_identity"),
        qe_identity_signature: bytes("qe_identity_signature").try_into().unwrap(),
    };
    Some(document.to_canonical())
}

/// A real quote on a production-like chain that trusts Intel and holds the collateral of its day.
struct Hardware {
    registry: Registry,
    kind: EvidenceKind,
    family: PlatformFamily,
    quote: Vec<u8>,
    policy: EvidencePolicy,
}

impl Hardware {
    fn new(kind: EvidenceKind, family: PlatformFamily, files: [&str; 2]) -> Option<Self> {
        let root = TrustRoot { domain: TrustDomain::Intel, certificate: Blob(vector("tdx/IntelSGXRootCA.der")?) };
        let quote = canonicalise(&vector(files[0])?).unwrap();
        let document = collateral(files[1])?;
        let mut genesis = genesis(vec![root]);
        genesis.timestamp_ms = THEN * 1000;
        let mut registry = Registry { chain: Chain::new(genesis), app: AppId::new([0; 20]) };
        let collateral_kind = CollateralKind::of(kind).unwrap();
        let collateral_key = collateral_key(TrustDomain::Intel, &family).to_vec();
        registry.submit_of(collateral_kind, collateral_key, document.clone()).unwrap();
        let roots = registry.chain.ctx.genesis().trust_roots.clone();
        let measurement: Measurement = match kind {
            EvidenceKind::Sgx => sgx::claims(&quote, &document, &roots, THEN).unwrap().measurement().clone().into(),
            _ => tdx::claims(&quote, &document, &roots, THEN).unwrap().measurement().clone().into(),
        };
        let policy = hardware_policy(measurement);
        let app_policy = AppPolicy { evidence: policy.clone(), lease_s_max: 500, ..AppPolicy::default() };
        registry.app = app_id_from_creator_nonce(&key(OWNER).account(), registry.chain.nonce(&key(OWNER)));
        registry.apps(OWNER, IApps::createCall { scheme: 1, policy: app_policy.to_canonical().into() }).unwrap();
        Some(Self { registry, kind, family, quote, policy })
    }

    fn tdx() -> Option<Self> {
        Self::new(EvidenceKind::Tdx, TDX_FAMILY, ["tdx/dcap-qvl/tdx_quote", "tdx/dcap-qvl/tdx_quote_collateral.json"])
    }

    /// The document that the chain keeps for this family.
    fn document(&self) -> Vec<u8> {
        let kind = CollateralKind::of(self.kind).unwrap();
        let id = slots::collateral_id(kind, &collateral_key(TrustDomain::Intel, &self.family));
        let entry: CollateralEntry = self.registry.entry(EntryKind::Collateral, &id).unwrap();
        self.registry.chain.content[&entry.digest].clone()
    }

    /// The ledger's attestation step at the time of the newest block.
    fn attest(&self) -> Result<VerifiedClaims, (ModuleRefusal, Option<Refusal>)> {
        let document = self.document();
        let evidence = Evidence { kind: self.kind, bytes: &self.quote, collateral: &[&document] };
        let genesis = self.registry.chain.ctx.genesis();
        attest(
            &evidence,
            &AttestationTerms {
                stated: (TrustDomain::Intel, self.family),
                roots: &genesis.trust_roots,
                policy: &self.policy,
                verifier: VerifierVersion::V1,
                now_unix_s: self.registry.chain.tip().timestamp,
            },
        )
    }

    /// Makes blocks until the newest has this time.
    fn move_to(&mut self, unix_s: u64) {
        self.registry.chain.time_ms = (unix_s - 1) * 1000;
        self.registry.chain.block(vec![]);
        assert_eq!(self.registry.chain.tip().timestamp, unix_s);
    }

    /// What a registration with this quote, in order in everything else, is refused for.
    fn register(&mut self) -> (ModuleRefusal, Option<Refusal>) {
        let mut draft = self.registry.draft(INSTANCE);
        draft.registration.evidence_kind = self.kind;
        draft.registration.trust_domain = TrustDomain::Intel;
        draft.registration.family = self.family;
        draft.evidence = self.quote.clone();
        self.registry.register(&draft).unwrap_err().0.unwrap()
    }
}

/// Intel's domain, this measurement, and whatever the two machines are besides.
fn hardware_policy(measurement: Measurement) -> EvidencePolicy {
    let mut policy = development_policy(measurement);
    policy.trust_domains = vec![TrustDomain::Intel];
    if let Some(sgx) = policy.sgx.as_mut() {
        (sgx.attributes_required, sgx.attributes_allowed) = (5, 5);
    }
    let platforms =
        [policy.tdx.as_mut().map(|tdx| &mut tdx.platform), policy.sgx.as_mut().map(|sgx| &mut sgx.platform)];
    for platform in platforms.into_iter().flatten() {
        platform.tcb_statuses = vec![TcbStatus::UpToDate, TcbStatus::ConfigurationAndSwHardeningNeeded];
        platform.dynamic_platform_allowed = true;
        platform.cached_keys_allowed = true;
        platform.smt_allowed = true;
    }
    policy
}

#[test]
fn the_attestation_step_accepts_a_real_td_at_its_time() {
    let Some(hardware) = Hardware::tdx() else { return };
    let claims = hardware.attest().unwrap();
    assert_eq!((claims.trust_domain(), claims.family()), (TrustDomain::Intel, TDX_FAMILY));
    assert_eq!(claims.tcb_status(), Some(TcbStatus::UpToDate));
    assert_eq!(claims.expires_at(), TDX_EXPIRES_AT);
}

#[test]
fn the_attestation_step_refuses_a_real_td_one_second_past_its_collateral() {
    let Some(mut hardware) = Hardware::tdx() else { return };
    hardware.move_to(TDX_EXPIRES_AT - 1);
    assert!(hardware.attest().is_ok());
    hardware.move_to(TDX_EXPIRES_AT);
    assert_eq!(hardware.attest(), Err((ModuleRefusal::Evidence, Some(Refusal::RevocationListExpired))));
}

#[test]
fn a_full_registration_of_a_real_td_fails_for_its_report_data_alone() {
    let Some(mut hardware) = Hardware::tdx() else { return };
    assert_eq!(hardware.register(), (ModuleRefusal::ReportData, None));
    // Everything else of the attestation step is as it should be.
    assert!(hardware.attest().is_ok());
    assert!(!hardware.registry.is_authorized(INSTANCE));
}

#[test]
fn a_real_enclave_on_the_same_chain() {
    let files = ["sgx/dcap-qvl/sgx_quote", "sgx/dcap-qvl/sgx_quote_collateral.json"];
    let Some(mut hardware) = Hardware::new(EvidenceKind::Sgx, SGX_FAMILY, files) else { return };
    let claims = hardware.attest().unwrap();
    assert_eq!(claims.tcb_status(), Some(TcbStatus::ConfigurationAndSwHardeningNeeded));
    assert_eq!(hardware.register(), (ModuleRefusal::ReportData, None));
    hardware.policy.sgx.as_mut().unwrap().platform.tcb_statuses.pop();
    assert_eq!(hardware.attest(), Err((ModuleRefusal::EvidencePolicy, Some(Refusal::PolicyTcbStatus))));
}
