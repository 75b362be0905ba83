//! Judging verified claims under a policy (`spec/policy.md`). Pure: the same claims, policy and time give the same
//! verdict, at registration and when a policy has changed since.

use freehold_primitives::{EvidencePolicy, UnixSeconds};

use crate::{
    claims::{KindClaims, VerifiedClaims},
    nitro, nvidia,
    refusal::Refusal,
    sgx, snp, tdx,
};

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
    judge_ahead(claims, policy, now_unix_s)
}

/// As [`judge`], whether or not the claims' own validity has ended by then: for whoever looks ahead and will have newer
/// evidence and collateral. Consensus never calls this.
///
/// # Errors
/// The first refusal of class policy.
pub fn judge_ahead(claims: &VerifiedClaims, policy: &EvidencePolicy, at_unix_s: UnixSeconds) -> Result<(), Refusal> {
    refuse_unless(policy.trust_domains.contains(&claims.trust_domain), Refusal::PolicyTrustDomain)?;
    judge_platform(claims, policy)?;
    let listed = |domain| policy.trust_domains.contains(&domain);
    refuse_unless(claims.gpus.iter().all(|gpu| listed(gpu.trust_domain())), Refusal::PolicyTrustDomain)?;
    match &policy.nvidia {
        Some(policy) => nvidia::judge_all(&claims.gpus, policy, at_unix_s)?,
        None => refuse_unless(claims.gpus.is_empty(), Refusal::PolicyGpu)?,
    }
    match &claims.detail {
        KindClaims::Tdx(claims) => tdx::judge(claims, policy.tdx.as_ref().ok_or(Refusal::PolicyKind)?, at_unix_s),
        KindClaims::Sgx(claims) => sgx::judge(claims, policy.sgx.as_ref().ok_or(Refusal::PolicyKind)?, at_unix_s),
        KindClaims::Snp(claims) => snp::judge(claims, policy.snp.as_ref().ok_or(Refusal::PolicyKind)?, at_unix_s),
        KindClaims::Nitro(claims) => nitro::judge(claims, policy.nitro.as_ref().ok_or(Refusal::PolicyKind)?, at_unix_s),
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

#[cfg(test)]
mod tests;
