//! Judging verified claims under a policy (`spec/policy.md`). Pure: the same claims, policy and time give the same
//! verdict, at registration and when a policy has changed since.

use freehold_primitives::{EvidencePolicy, Genesis, TcbStatus, TdxMeasurement, TrustDomain, TrustRoot, UnixSeconds};
use rustls_pki_types::CertificateDer;

use crate::{claims::VerifiedClaims, refusal::Refusal};

/// TD attribute bits 0 and 4 to 6: the TD can be debugged or profiled from outside (Intel 348551, table 3.23).
const TD_DEBUG_BITS: u64 = 0x71;
/// XFAM of the emulator's TDs, as on a Sapphire Rapids server: x87, SSE, AVX, AVX-512, PKRU, AMX.
const XFAM_DEVELOPMENT: u64 = 0x0006_02e7;
/// SEPT_VE_DISABLE alone.
const TD_ATTRIBUTES_DEVELOPMENT: u64 = 1 << 28;

/// Judges claims under a policy at `now_unix_s`.
///
/// # Errors
/// [`Refusal::CollateralExpired`] once the claims' own validity has ended, else the first refusal of class policy, in
/// the order of `spec/policy.md` §2.
pub fn judge(claims: &VerifiedClaims, policy: &EvidencePolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };

    refuse_unless(now_unix_s < claims.expires_at, Refusal::CollateralExpired)?;
    refuse_unless(policy.trust_domains.contains(&claims.trust_domain), Refusal::PolicyTrustDomain)?;
    refuse_unless(claims.td_attributes & TD_DEBUG_BITS == 0, Refusal::PolicyDebug)?;
    refuse_unless(
        claims.td_attributes & policy.td_attributes_mask == policy.td_attributes & policy.td_attributes_mask,
        Refusal::PolicyTdAttributes,
    )?;
    refuse_unless(claims.xfam & policy.xfam_mask == policy.xfam & policy.xfam_mask, Refusal::PolicyXfam)?;
    refuse_unless(
        policy.tdx_measurements.iter().any(|release| shows(&claims.measurement, release)),
        Refusal::PolicyMeasurement,
    )?;
    refuse_unless(
        policy.mr_seam_allowed.is_empty() || policy.mr_seam_allowed.contains(&claims.mr_seam),
        Refusal::PolicySeamModule,
    )?;
    refuse_unless(
        policy.fmspc_allowed.is_empty() || policy.fmspc_allowed.contains(&claims.fmspc),
        Refusal::PolicyFamilyNotAllowed,
    )?;
    refuse_unless(!policy.fmspc_denied.contains(&claims.fmspc), Refusal::PolicyFamilyDenied)?;
    refuse_unless(!policy.platforms_denied.contains(&claims.platform), Refusal::PolicyPlatformDenied)?;
    refuse_unless(policy.multi_package_allowed || !claims.multi_package, Refusal::PolicyMultiPackage)?;
    refuse_unless(
        claims.tcb_evaluation_data_number >= policy.tcb_evaluation_data_number_min,
        Refusal::PolicyEvaluationNumber,
    )?;
    refuse_unless(status_accepted(claims, policy, now_unix_s), Refusal::PolicyTcbStatus)?;
    refuse_unless(
        !claims.advisories.iter().any(|advisory| policy.advisories_denied.contains(advisory)),
        Refusal::PolicyAdvisory,
    )
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

fn status_accepted(claims: &VerifiedClaims, policy: &EvidencePolicy, now_unix_s: UnixSeconds) -> bool {
    if claims.tcb_status == TcbStatus::Revoked {
        return false;
    }
    let within_grace =
        policy.tcb_grace_s > 0 && now_unix_s <= claims.tcb_date_unix_s.saturating_add(policy.tcb_grace_s);
    policy.tcb_statuses.contains(&claims.tcb_status) || within_grace
}

/// The policy for an emulated TD with this measurement: the emulator's domain and nothing else, everything exact.
pub fn development_policy(measurement: TdxMeasurement) -> EvidencePolicy {
    EvidencePolicy {
        trust_domains: vec![TrustDomain::Emulated],
        tdx_measurements: vec![measurement],
        tcb_statuses: vec![TcbStatus::UpToDate],
        tcb_evaluation_data_number_min: 1,
        tcb_grace_s: 0,
        advisories_denied: Vec::new(),
        td_attributes_mask: u64::MAX,
        td_attributes: TD_ATTRIBUTES_DEVELOPMENT,
        xfam_mask: u64::MAX,
        xfam: XFAM_DEVELOPMENT,
        mr_seam_allowed: Vec::new(),
        fmspc_allowed: Vec::new(),
        fmspc_denied: Vec::new(),
        platforms_denied: Vec::new(),
        multi_package_allowed: false,
    }
}

/// Checks a genesis's roots of trust: each can be read and stands there once, and a production network lists none for
/// development. A root counts as one for development by its domain, and also when its subject carries the emulator's
/// mark under another domain's name.
///
/// # Errors
/// [`Refusal::RootRepeated`], [`Refusal::RootMalformed`], [`Refusal::EmulatedRoot`].
pub fn check_roots(genesis: &Genesis) -> Result<(), Refusal> {
    for (index, root) in genesis.trust_roots.iter().enumerate() {
        if genesis.trust_roots[..index].iter().any(|other| other.certificate == root.certificate) {
            return Err(Refusal::RootRepeated);
        }
        check_root(root, genesis.production)?;
    }
    Ok(())
}

fn check_root(root: &TrustRoot, production: bool) -> Result<(), Refusal> {
    let der = CertificateDer::from(root.certificate.0.as_slice());
    let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| Refusal::RootMalformed)?;
    let mark = b"EMULATED";
    let marked = anchor.subject.as_ref().windows(mark.len()).any(|window| window == mark);
    if production && (marked || root.domain == TrustDomain::Emulated) {
        return Err(Refusal::EmulatedRoot);
    }
    // A marked root under a vendor's name would show emulated evidence as hardware, whatever the network is for.
    if marked && root.domain != TrustDomain::Emulated { Err(Refusal::EmulatedRoot) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
