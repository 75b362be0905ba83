//! The policy for emulated TEEs, which `up` and the tests write: the emulator's domain and nothing else, everything exact.

use freehold_primitives::{
    DcapPolicy, EvidencePolicy, Measurement, SgxMeasurement, SgxPolicy, SgxRelease, TcbStatus, TdxMeasurement,
    TdxPolicy, TrustDomain,
};

use crate::{nitro::nitro_default_policy, snp::snp_default_policy};

/// `SEPT_VE_DISABLE` alone.
const TD_ATTRIBUTES: u64 = 1 << 28;
/// XFAM of the emulator's TDs, as on a Sapphire Rapids server: x87, SSE, AVX, AVX-512, PKRU, AMX.
const XFAM: u64 = 0x0006_02e7;
/// INIT, MODE64BIT, KSS.
const ENCLAVE_ATTRIBUTES: u64 = 0x85;
/// XFRM of the emulator's enclaves: x87, SSE, AVX, AVX-512.
const XFRM: u64 = 0xe7;

/// The policy for an emulated TEE with this measurement. For SEV-SNP and Nitro it is their default policy for hardware.
pub fn development_policy(measurement: impl Into<Measurement>) -> EvidencePolicy {
    let mut policy = EvidencePolicy { trust_domains: vec![TrustDomain::Emulated], ..EvidencePolicy::default() };
    match measurement.into() {
        Measurement::Tdx(registers) => policy.tdx = Some(td(registers)),
        Measurement::Sgx(enclave) => policy.sgx = Some(self::enclave(&enclave)),
        Measurement::Snp(guest) => policy.snp = Some(snp_default_policy(vec![guest])),
        Measurement::Nitro(enclave) => policy.nitro = Some(nitro_default_policy(vec![enclave])),
    }
    policy
}

fn platform() -> DcapPolicy {
    DcapPolicy {
        tcb_statuses: vec![TcbStatus::UpToDate],
        tcb_grace_s: 0,
        tcb_evaluation_data_number_min: 1,
        advisories_denied: Vec::new(),
        advisories_allowed: None,
        sgx_types_allowed: Vec::new(),
        dynamic_platform_allowed: false,
        cached_keys_allowed: false,
        smt_allowed: false,
    }
}

fn td(registers: TdxMeasurement) -> TdxPolicy {
    TdxPolicy {
        platform: platform(),
        measurements: vec![registers],
        forms_allowed: Vec::new(),
        attributes_required: TD_ATTRIBUTES,
        attributes_allowed: TD_ATTRIBUTES,
        xfam_required: XFAM,
        xfam_allowed: XFAM,
        mr_seam_allowed: Vec::new(),
        mr_signer_seam_allowed: Vec::new(),
        mr_config_id: None,
        mr_owner: None,
        mr_owner_config: None,
        service_tds_allowed: Vec::new(),
    }
}

fn enclave(enclave: &SgxMeasurement) -> SgxPolicy {
    SgxPolicy {
        platform: platform(),
        releases: vec![SgxRelease {
            mr_enclave: Some(enclave.mr_enclave),
            mr_signer: Some(enclave.mr_signer),
            isv_prod_id: Some(enclave.isv_prod_id),
            isv_svn_min: enclave.isv_svn,
        }],
        attributes_required: ENCLAVE_ATTRIBUTES,
        attributes_allowed: ENCLAVE_ATTRIBUTES,
        xfrm_required: XFRM,
        xfrm_allowed: XFRM,
        misc_select_allowed: 0,
        config_id: None,
        config_svn_min: 0,
        isv_ext_prod_id: None,
        isv_family_id: None,
    }
}
