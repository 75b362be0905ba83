//! Judging a platform that runs Intel TEEs: packages, keys and threads, evaluation number, status, advisories.

use freehold_primitives::{DcapPolicy, TcbStatus, UnixSeconds};

use super::DcapClaims;
use crate::{policy::refuse_unless, refusal::Refusal};

/// Judges the platform, in the order of `spec/policy.md` §3.
pub(crate) fn judge(claims: &DcapClaims, policy: &DcapPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    // Certificates of the Processor CA say nothing of these: such a platform has one package and no cached keys.
    let accepted = |allowed: bool, claimed: Option<bool>| allowed || claimed != Some(true);
    refuse_unless(accepted(policy.dynamic_platform_allowed, claims.dynamic_platform), Refusal::PolicyDynamicPlatform)?;
    refuse_unless(accepted(policy.cached_keys_allowed, claims.cached_keys), Refusal::PolicyCachedKeys)?;
    refuse_unless(accepted(policy.smt_allowed, claims.smt), Refusal::PolicySmt)?;
    let sgx_types = &policy.sgx_types_allowed;
    refuse_unless(sgx_types.is_empty() || sgx_types.contains(&claims.sgx_type), Refusal::PolicySgxType)?;
    refuse_unless(
        claims.tcb_evaluation_data_number >= policy.tcb_evaluation_data_number_min,
        Refusal::PolicyEvaluationNumber,
    )?;
    refuse_unless(status_accepted(claims, policy, now_unix_s), Refusal::PolicyTcbStatus)?;
    refuse_unless(
        !claims.advisories.iter().any(|advisory| policy.advisories_denied.contains(advisory)),
        Refusal::PolicyAdvisory,
    )?;
    let allowed = policy.advisories_allowed.as_ref();
    refuse_unless(
        allowed.is_none_or(|allowed| claims.advisories.iter().all(|advisory| allowed.contains(advisory))),
        Refusal::PolicyAdvisoryNotAllowed,
    )
}

fn status_accepted(claims: &DcapClaims, policy: &DcapPolicy, now_unix_s: UnixSeconds) -> bool {
    let listed = |status: TcbStatus| status != TcbStatus::Revoked && policy.tcb_statuses.contains(&status);
    let within_grace =
        policy.tcb_grace_s > 0 && now_unix_s <= claims.tcb_date_unix_s.saturating_add(policy.tcb_grace_s);
    listed(claims.tcb_status) || within_grace && patched(claims.tcb_status).is_some_and(listed)
}

/// What a status would be once the missing patch is in place: grace is time to bring it.
const fn patched(status: TcbStatus) -> Option<TcbStatus> {
    match status {
        TcbStatus::OutOfDate | TcbStatus::TdRelaunchAdvised => Some(TcbStatus::UpToDate),
        TcbStatus::OutOfDateConfigurationNeeded | TcbStatus::TdRelaunchAdvisedConfigurationNeeded => {
            Some(TcbStatus::ConfigurationNeeded)
        }
        _ => None,
    }
}
