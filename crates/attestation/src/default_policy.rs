//! The policy that tools judge by when they are given none (`docs/attestation.md`), and that the tiers of block 0 are made
//! from (`crate::tiers`): a change here is a change of the chain's rules.

use freehold_primitives::{
    DcapPolicy, EvidencePolicy, GpuArchitecture, GpuMode, NvidiaPolicy, SgxPolicy, SnpSigningKey, TcbStatus, TdxPolicy,
    TrustDomain,
};

use crate::{nitro::nitro_default_policy, snp::snp_default_policy};

/// Genuine, up to date or hardened, not debuggable; which program runs is not asked: every list of measurements is empty,
/// for the tool to fill in.
///
/// Processors of the generation Milan are not accepted, for the reason that
/// [`snp_default_policy`] gives. Revocation lists count where they are there and are not demanded. Every trust domain is
/// accepted, the emulator's too: whoever prints a verdict says which it is.
pub fn default_policy() -> EvidencePolicy {
    let mut snp = snp_default_policy(Vec::new());
    snp.signing_keys = vec![SnpSigningKey::Vcek, SnpSigningKey::Vlek];
    snp.revocation_required = false;
    EvidencePolicy {
        trust_domains: TrustDomain::ALL.to_vec(),
        tdx: Some(tdx()),
        sgx: Some(sgx()),
        snp: Some(snp),
        nitro: Some(nitro_default_policy(Vec::new())),
        nvidia: Some(nvidia()),
        ..EvidencePolicy::default()
    }
}

fn platform() -> DcapPolicy {
    DcapPolicy {
        tcb_statuses: vec![TcbStatus::UpToDate, TcbStatus::SwHardeningNeeded],
        tcb_grace_s: 0,
        tcb_evaluation_data_number_min: 1,
        advisories_denied: Vec::new(),
        advisories_allowed: None,
        sgx_types_allowed: Vec::new(),
        dynamic_platform_allowed: true,
        cached_keys_allowed: true,
        smt_allowed: true,
    }
}

fn tdx() -> TdxPolicy {
    TdxPolicy {
        platform: platform(),
        measurements: Vec::new(),
        forms_allowed: Vec::new(),
        attributes_required: 0,
        attributes_allowed: u64::MAX,
        xfam_required: 0,
        xfam_allowed: u64::MAX,
        mr_seam_allowed: Vec::new(),
        mr_signer_seam_allowed: Vec::new(),
        mr_config_id: None,
        mr_owner: None,
        mr_owner_config: None,
        service_tds_allowed: Vec::new(),
    }
}

fn sgx() -> SgxPolicy {
    SgxPolicy {
        platform: platform(),
        releases: Vec::new(),
        attributes_required: 0,
        attributes_allowed: u64::MAX,
        xfrm_required: 0,
        xfrm_allowed: u64::MAX,
        misc_select_allowed: u32::MAX,
        config_id: None,
        config_svn_min: 0,
        isv_ext_prod_id: None,
        isv_family_id: None,
    }
}

fn nvidia() -> NvidiaPolicy {
    NvidiaPolicy {
        gpus_min: 0,
        architectures: vec![GpuArchitecture::Hopper, GpuArchitecture::Blackwell],
        modes: vec![GpuMode::SinglePassthrough, GpuMode::MultiPassthrough, GpuMode::ProtectedPcie],
        driver_versions: Vec::new(),
        vbios_versions: Vec::new(),
        driver_references: None,
        firmware_references: None,
        revocation_age_s_max: 0,
        platforms_denied: Vec::new(),
    }
}
