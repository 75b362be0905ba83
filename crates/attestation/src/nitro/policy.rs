//! Judging Nitro claims under a policy (`spec/policy.md`). Pure: the same claims, policy and time give the same verdict.

use freehold_primitives::{NitroMeasurement, NitroPolicy, UnixSeconds};

use super::NitroClaims;
use crate::{certificate::Revocation, refusal::Refusal};

/// Judges claims under a policy at `now_unix_s`.
///
/// # Errors
/// [`Refusal::CollateralExpired`] once the claims' own validity has ended, [`Refusal::RevocationUnknown`] where the
/// policy wants revocation lists that were not there, else the first refusal of class policy in the order below.
pub fn judge(claims: &NitroClaims, policy: &NitroPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };
    let document = claims.document();
    refuse_unless(now_unix_s < claims.expires_at(), Refusal::CollateralExpired)?;
    refuse_unless(
        !policy.revocation_required || claims.revocation() == Revocation::Checked,
        Refusal::RevocationUnknown,
    )?;
    refuse_unless(!document.is_debug(), Refusal::PolicyDebug)?;
    let shown = document.measurement();
    refuse_unless(policy.measurements.iter().any(|release| shows(&shown, release)), Refusal::PolicyMeasurement)?;
    let age_s = now_unix_s.saturating_sub(document.timestamp_ms() / 1000);
    refuse_unless(policy.age_s_max == 0 || age_s <= policy.age_s_max, Refusal::NitroPolicyAge)
}

/// Whether the registers show this release; `None` in the release accepts any value.
fn shows(shown: &NitroMeasurement, release: &NitroMeasurement) -> bool {
    let pairs = [
        (shown.pcr1, release.pcr1),
        (shown.pcr2, release.pcr2),
        (shown.pcr3, release.pcr3),
        (shown.pcr4, release.pcr4),
        (shown.pcr8, release.pcr8),
    ];
    shown.pcr0 == release.pcr0 && pairs.iter().all(|(shown, wanted)| wanted.is_none() || shown == wanted)
}

/// The default policy for real enclaves, with these accepted images: no limit of age beyond the leaf's three hours, and
/// no revocation lists, which AWS does not ask verifiers to fetch.
pub fn nitro_default_policy(measurements: Vec<NitroMeasurement>) -> NitroPolicy {
    NitroPolicy { measurements, age_s_max: 0, revocation_required: false }
}
