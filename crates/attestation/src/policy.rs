//! Judging verified claims under a policy (`spec/policy.md`). Pure: the same claims, policy and time give the same
//! verdict, at registration and when a policy has changed since.

use freehold_primitives::{DcapPolicy, EvidencePolicy, TcbStatus, TdxMeasurement, TdxPolicy, TrustDomain, UnixSeconds};

use crate::{
    claims::{KindClaims, VerifiedClaims},
    refusal::Refusal,
    sgx, tdx,
};

/// XFAM of the emulator's TDs, as on a Sapphire Rapids server: x87, SSE, AVX, AVX-512, PKRU, AMX.
const XFAM_DEVELOPMENT: u64 = 0x0006_02e7;
/// `SEPT_VE_DISABLE` alone.
const TD_ATTRIBUTES_DEVELOPMENT: u64 = 1 << 28;

pub(crate) const fn refuse_unless(accepted: bool, refusal: Refusal) -> Result<(), Refusal> {
    if accepted { Ok(()) } else { Err(refusal) }
}

/// Judges claims under a policy at `now_unix_s`: what holds for every kind, then the kind's own section.
///
/// # Errors
/// [`Refusal::CollateralExpired`] once the claims' own validity has ended, else the first refusal of class policy, in
/// the order of `spec/policy.md` §3.
pub fn judge(claims: &VerifiedClaims, policy: &EvidencePolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    refuse_unless(now_unix_s < claims.expires_at, Refusal::CollateralExpired)?;
    refuse_unless(policy.trust_domains.contains(&claims.trust_domain), Refusal::PolicyTrustDomain)?;
    judge_platform(claims, policy)?;
    refuse_unless(claims.gpus.is_empty() || policy.nvidia.is_some(), Refusal::PolicyGpu)?;
    match &claims.detail {
        KindClaims::Tdx(claims) => tdx::judge(claims, policy.tdx.as_ref().ok_or(Refusal::PolicyKind)?, now_unix_s),
        KindClaims::Sgx(claims) => sgx::judge(claims, policy.sgx.as_ref().ok_or(Refusal::PolicyKind)?, now_unix_s),
    }
}

fn judge_platform(claims: &VerifiedClaims, policy: &EvidencePolicy) -> Result<(), Refusal> {
    let listed_or_open = |open: bool, listed: bool| open || listed;
    let families = &policy.families_allowed;
    refuse_unless(
        listed_or_open(families.is_empty(), families.contains(&claims.family)),
        Refusal::PolicyFamilyNotAllowed,
    )?;
    refuse_unless(!policy.families_denied.contains(&claims.family), Refusal::PolicyFamilyDenied)?;
    let platforms = &policy.platforms_allowed;
    refuse_unless(
        listed_or_open(platforms.is_empty(), platforms.contains(&claims.platform)),
        Refusal::PolicyPlatformNotAllowed,
    )?;
    refuse_unless(!policy.platforms_denied.contains(&claims.platform), Refusal::PolicyPlatformDenied)
}

/// The policy for an emulated TD with this measurement: the emulator's domain and nothing else, everything exact.
pub fn development_policy(measurement: TdxMeasurement) -> EvidencePolicy {
    EvidencePolicy {
        trust_domains: vec![TrustDomain::Emulated],
        tdx: Some(TdxPolicy {
            platform: DcapPolicy {
                tcb_statuses: vec![TcbStatus::UpToDate],
                tcb_grace_s: 0,
                tcb_evaluation_data_number_min: 1,
                advisories_denied: Vec::new(),
                advisories_allowed: None,
                sgx_types_allowed: Vec::new(),
                dynamic_platform_allowed: false,
                cached_keys_allowed: false,
                smt_allowed: false,
            },
            measurements: vec![measurement],
            forms_allowed: Vec::new(),
            attributes_required: TD_ATTRIBUTES_DEVELOPMENT,
            attributes_allowed: TD_ATTRIBUTES_DEVELOPMENT,
            xfam_required: XFAM_DEVELOPMENT,
            xfam_allowed: XFAM_DEVELOPMENT,
            mr_seam_allowed: Vec::new(),
            mr_signer_seam_allowed: Vec::new(),
            mr_config_id: None,
            mr_owner: None,
            mr_owner_config: None,
            service_tds_allowed: Vec::new(),
        }),
        ..EvidencePolicy::default()
    }
}

#[cfg(test)]
mod tests;
