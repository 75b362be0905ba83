//! Judging a verified enclave.

use freehold_primitives::{SgxMeasurement, SgxPolicy, SgxRelease, UnixSeconds};

use super::SgxClaims;
use crate::{dcap, policy::refuse_unless, refusal::Refusal, tdx::within};

/// Attribute flag DEBUG.
const DEBUG: u64 = 2;

/// Judges an enclave under a policy at `now_unix_s`.
///
/// # Errors
/// The first refusal of class policy, in the order of `spec/policy.md` §3.
pub fn judge(claims: &SgxClaims, policy: &SgxPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    refuse_unless(claims.attributes & DEBUG == 0, Refusal::PolicyDebug)?;
    refuse_unless(
        within(claims.attributes, policy.attributes_required, policy.attributes_allowed),
        Refusal::PolicySgxAttributes,
    )?;
    refuse_unless(within(claims.xfrm, policy.xfrm_required, policy.xfrm_allowed), Refusal::PolicyXfrm)?;
    refuse_unless(claims.misc_select & !policy.misc_select_allowed == 0, Refusal::PolicyMiscSelect)?;
    judge_enclave(&claims.measurement, &policy.releases)?;
    refuse_unless(expected(policy.config_id.as_ref(), &claims.config_id), Refusal::PolicyEnclaveConfig)?;
    refuse_unless(claims.config_svn >= policy.config_svn_min, Refusal::PolicyConfigSvn)?;
    refuse_unless(expected(policy.isv_ext_prod_id.as_ref(), &claims.isv_ext_prod_id), Refusal::PolicyExtendedProduct)?;
    refuse_unless(expected(policy.isv_family_id.as_ref(), &claims.isv_family_id), Refusal::PolicyEnclaveFamily)?;
    dcap::judge(&claims.platform, &policy.platform, now_unix_s)
}

fn expected<const N: usize>(wanted: Option<&[u8; N]>, shown: &[u8; N]) -> bool {
    wanted.is_none_or(|wanted| wanted == shown)
}

/// Whether some release names this enclave at no higher security version than it has.
fn judge_enclave(shown: &SgxMeasurement, releases: &[SgxRelease]) -> Result<(), Refusal> {
    let mut named = releases.iter().filter(|release| names(release, shown)).peekable();
    refuse_unless(named.peek().is_some(), Refusal::PolicyMeasurement)?;
    refuse_unless(named.any(|release| shown.isv_svn >= release.isv_svn_min), Refusal::PolicyIsvSvn)
}

fn names(release: &SgxRelease, shown: &SgxMeasurement) -> bool {
    let identity = release.mr_enclave.is_some() || release.mr_signer.is_some();
    identity
        && release.mr_enclave.is_none_or(|wanted| wanted == shown.mr_enclave)
        && release.mr_signer.is_none_or(|wanted| wanted == shown.mr_signer)
        && release.isv_prod_id.is_none_or(|wanted| wanted == shown.isv_prod_id)
}
