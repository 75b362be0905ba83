//! Judging a verified TD.

use freehold_primitives::{Register, TdxMeasurement, TdxPolicy, UnixSeconds};

use super::TdxClaims;
use crate::{dcap, policy::refuse_unless, refusal::Refusal};

/// TD attribute bits 0 and 4 to 6: the TD can be debugged or profiled from outside (Intel 348551, table 3.23).
const TD_DEBUG_BITS: u64 = 0x71;
/// TD attribute bit 29: the TD can be moved to another platform.
const TD_MIGRATABLE: u64 = 1 << 29;

/// Judges a TD under a policy at `now_unix_s`.
///
/// # Errors
/// The first refusal of class policy, in the order of `spec/policy.md` §3.
pub fn judge(claims: &TdxClaims, policy: &TdxPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    refuse_unless(claims.attributes & TD_DEBUG_BITS == 0, Refusal::PolicyDebug)?;
    let forms = &policy.forms_allowed;
    refuse_unless(forms.is_empty() || forms.contains(&claims.form), Refusal::PolicyQuoteForm)?;
    refuse_unless(
        claims.attributes & TD_MIGRATABLE == 0
            && within(claims.attributes, policy.attributes_required, policy.attributes_allowed),
        Refusal::PolicyTdAttributes,
    )?;
    refuse_unless(within(claims.xfam, policy.xfam_required, policy.xfam_allowed), Refusal::PolicyXfam)?;
    refuse_unless(service_tds_accepted(claims, policy), Refusal::PolicyServiceTd)?;
    refuse_unless(
        policy.measurements.iter().any(|release| shows(&claims.measurement, release)),
        Refusal::PolicyMeasurement,
    )?;
    let expected = |wanted: Option<Register>, shown: Register| wanted.is_none_or(|wanted| wanted == shown);
    refuse_unless(expected(policy.mr_config_id, claims.mr_config_id), Refusal::PolicyConfigId)?;
    refuse_unless(expected(policy.mr_owner, claims.mr_owner), Refusal::PolicyOwner)?;
    refuse_unless(expected(policy.mr_owner_config, claims.mr_owner_config), Refusal::PolicyOwnerConfig)?;
    let listed = |list: &[Register], shown: Register| list.is_empty() || list.contains(&shown);
    refuse_unless(listed(&policy.mr_seam_allowed, claims.mr_seam), Refusal::PolicySeamModule)?;
    refuse_unless(listed(&policy.mr_signer_seam_allowed, claims.mr_signer_seam), Refusal::PolicySeamSigner)?;
    dcap::judge(&claims.platform, &policy.platform, now_unix_s)
}

/// Whether all of `required` is set, and nothing outside `allowed`.
pub(crate) const fn within(bits: u64, required: u64, allowed: u64) -> bool {
    bits & required == required && bits & !(allowed | required) == 0
}

/// Whether the registers show this release; `None` in the release accepts any value.
fn shows(shown: &TdxMeasurement, release: &TdxMeasurement) -> bool {
    let pairs = [
        (shown.rtmr0, release.rtmr0),
        (shown.rtmr1, release.rtmr1),
        (shown.rtmr2, release.rtmr2),
        (shown.rtmr3, release.rtmr3),
    ];
    shown.mrtd == release.mrtd && pairs.iter().all(|(shown, wanted)| wanted.is_none() || shown == wanted)
}

/// Service TDs can read or move a TD: those bound at its creation and those bound now must be named by the policy.
fn service_tds_accepted(claims: &TdxClaims, policy: &TdxPolicy) -> bool {
    let accepted = |hash: Register| hash == Register::ZERO || policy.service_tds_allowed.contains(&hash);
    [claims.mr_service_td, claims.service_td_hash].into_iter().flatten().all(accepted)
}
