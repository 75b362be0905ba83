//! Registrations of the kinds beside Intel's, whole: collateral submitted once, evidence judged under it, policies kept.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use crate::common::{Chain, genesis, key};
use crate::registry::{Draft, IApps, INSTANCE, OWNER, Registry, app_image};
use freehold_attestation::{Refusal, development_policy};
use freehold_crypto::{app_id_from_creator_nonce, keyset_digest, report_data};
use freehold_emulator::{
    DEVELOPMENT_SEED, NitroCollateralCondition, NitroCondition, NitroEnclave, NitroPlatform, SnpCollateralCondition,
    SnpCondition, SnpGuest, SnpPlatform,
};
use freehold_ledger::ModuleRefusal;
use freehold_primitives::{
    AppId, AppPolicy, Blob, Canonical as _, Digest, EvidenceKind, Measurement, PlatformFamily, SnpProduct,
    SnpSigningKey, TrustDomain, TrustRoot,
    entries::{CollateralKind, collateral_key},
};

static GENOA: LazyLock<SnpPlatform> = LazyLock::new(|| SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa));
static NITRO: LazyLock<NitroPlatform> = LazyLock::new(|| NitroPlatform::new(&DEVELOPMENT_SEED));

/// Product Genoa, key VCEK.
const GENOA_FAMILY: PlatformFamily = PlatformFamily([2, 0, 0, 0, 0, 0]);

fn chain(root: Vec<u8>, measurement: Measurement) -> Registry {
    let root = TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(root) };
    let mut registry = Registry { chain: Chain::new(genesis(vec![root])), app: AppId::new([0; 20]) };
    registry.app = app_id_from_creator_nonce(&key(OWNER).account(), registry.chain.nonce(&key(OWNER)));
    let evidence = development_policy(measurement);
    let policy =
        AppPolicy { evidence, lease_s_max: 500, boot_contexts: vec!["root".to_owned()], ..AppPolicy::default() };
    registry.apps(OWNER, IApps::createCall { scheme: 1, policy: policy.to_canonical().into() }).unwrap();
    registry
}

/// A registration of this kind, with what the machine says of the bytes that it must bind.
fn draft(
    registry: &Registry,
    kind: EvidenceKind,
    family: PlatformFamily,
    says: impl Fn(&[u8; 64]) -> Vec<u8>,
) -> Draft {
    let mut draft = registry.draft(INSTANCE);
    (draft.registration.evidence_kind, draft.registration.family) = (kind, family);
    let bound = report_data(&keyset_digest(&draft.registration.keyset), Some(&draft.registration.nonce));
    draft.evidence = says(&bound);
    draft
}

fn snp_guest() -> SnpGuest {
    SnpGuest::launch(&Digest([1; 32]), &app_image())
}

fn snp_chain() -> Registry {
    let says = GENOA.evidence(&snp_guest(), &[0; 64], SnpSigningKey::Vcek, SnpCondition::Good);
    let shown = freehold_attestation::UnverifiedEvidence::read(EvidenceKind::Snp, &says).unwrap();
    chain(GENOA.root_certificate(), shown.measurement().clone())
}

fn submit_snp(
    registry: &mut Registry,
    condition: SnpCollateralCondition,
) -> Result<(), (ModuleRefusal, Option<Refusal>)> {
    let now = registry.chain.time_ms / 1000;
    let document = GENOA.collateral(now, SnpSigningKey::Vcek, condition);
    let key = collateral_key(TrustDomain::Emulated, &GENOA_FAMILY).to_vec();
    registry.submit_of(CollateralKind::Snp, key, document).map(|_| ()).map_err(|refused| refused.0.unwrap())
}

#[test]
fn an_snp_guest_registers() {
    let mut registry = snp_chain();
    let good = |registry: &Registry, condition| {
        draft(registry, EvidenceKind::Snp, GENOA_FAMILY, |bound| {
            GENOA.evidence(&snp_guest(), bound, SnpSigningKey::Vcek, condition)
        })
    };
    let early = good(&registry, SnpCondition::Good);
    assert_eq!(registry.register(&early).unwrap_err().0.unwrap().0, ModuleRefusal::CollateralMissing);
    let revoked = submit_snp(&mut registry, SnpCollateralCondition::IntermediateRevoked).unwrap_err();
    assert_eq!(revoked, (ModuleRefusal::CollateralRefused, Some(Refusal::CertificateRevoked)));
    submit_snp(&mut registry, SnpCollateralCondition::Good).unwrap();
    for (condition, refusal) in [
        (SnpCondition::Debug, (ModuleRefusal::Evidence, Some(Refusal::PolicyDebug))),
        (SnpCondition::ChipForeign, (ModuleRefusal::Evidence, Some(Refusal::SnpChipMismatch))),
        (SnpCondition::EndorsementExpired, (ModuleRefusal::Evidence, Some(Refusal::CertificateExpired))),
        (SnpCondition::LowerPrivilege, (ModuleRefusal::EvidencePolicy, Some(Refusal::SnpPolicyVmpl))),
    ] {
        let draft = good(&registry, condition);
        let refused = registry.register(&draft).unwrap_err().0.unwrap();
        assert_eq!(refused, refusal, "{condition:?}");
    }
    let draft = good(&registry, SnpCondition::Good);
    registry.register(&draft).unwrap();
    let entry = registry.instance(&draft.instance_id());
    assert_eq!((entry.evidence_kind, entry.family, entry.tcb_status), (EvidenceKind::Snp, GENOA_FAMILY, None));
    assert!(registry.is_authorized(INSTANCE));
}

#[test]
fn a_nitro_enclave_registers_with_and_without_collateral() {
    let enclave = NitroEnclave::launch(&Digest([1; 32]), &app_image());
    let mut registry = chain(NITRO.root_certificate(), enclave.measurement.clone().into());
    let family = PlatformFamily::ZERO;
    let says = |registry: &Registry| {
        let now = registry.chain.time_ms / 1000;
        draft(registry, EvidenceKind::Nitro, family, |bound| NITRO.evidence(&enclave, bound, now, NitroCondition::Good))
    };
    let first = says(&registry);
    registry.register(&first).unwrap();
    let (now, key) = (registry.chain.time_ms / 1000, collateral_key(TrustDomain::Emulated, &family).to_vec());
    let document = NITRO.collateral(now, NitroCollateralCondition::Good);
    registry.submit_of(CollateralKind::Nitro, key, document.clone()).unwrap();
    let mut renewal = registry.renewal(&first);
    let (enclave, now) = (enclave.clone(), registry.chain.time_ms / 1000);
    let bound = report_data(&keyset_digest(&renewal.registration.keyset), Some(&renewal.registration.nonce));
    renewal.evidence = NITRO.evidence(&enclave, &bound, now, NitroCondition::Good);
    registry.register(&renewal).unwrap();
    let entry = registry.instance(&first.instance_id());
    assert_eq!(registry.chain.content[&entry.collateral_digests[0]], document);
    assert!(registry.is_authorized(INSTANCE));
}
