//! Tiers: named policies without a measurement, by which a chain says how good evidence is (`spec/policy.md` §6).

use freehold_primitives::{EvidencePolicy, SnpProduct, SnpProductPolicy, SnpTcb, TcbStatus, TrustDomain, UnixSeconds};

use crate::{claims::VerifiedClaims, default_policy::default_policy, policy::judge, refusal::Refusal, snp};

/// `SEPT_VE_DISABLE` alone.
const TD_ATTRIBUTES: u64 = 1 << 28;

/// Judges claims by a tier's policy: as [`judge`], but where the policy lists no measurement of the kind, any will do.
///
/// # Errors
/// As [`judge`].
pub fn judge_tier(claims: &VerifiedClaims, policy: &EvidencePolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    let shown = claims.measurement();
    if policy.lists_measurements(shown.kind()) {
        return judge(claims, policy, now_unix_s);
    }
    judge(claims, &policy.clone().accepting(shown), now_unix_s)
}

/// Name and policy of the tiers that a chain begins with, the first of them tier 1.
pub fn default_tiers() -> [(&'static str, EvidencePolicy); 3] {
    [("verified", verified()), ("hardware", hardware()), ("hardware-strict", hardware_strict())]
}

/// Whatever verifies and cannot be debugged, from the emulator too: any status but revoked, any generation.
fn verified() -> EvidencePolicy {
    let mut policy = default_policy();
    for platform in policy.dcap_mut() {
        platform.tcb_statuses = TcbStatus::ALL.into_iter().filter(|status| *status != TcbStatus::Revoked).collect();
    }
    if let Some(snp) = &mut policy.snp {
        let any = |product| SnpProductPolicy { product, tcb_min: SnpTcb::default() };
        snp.products = [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin].map(any).to_vec();
        snp.report_version_min = 2;
        snp.platform_info_mask = 0;
        snp.platform_info = 0;
    }
    policy
}

/// Real hardware that lacks no patch: the policy of tools without the emulator, and with platforms that want another
/// configuration. No Milan.
fn hardware() -> EvidencePolicy {
    let mut policy = default_policy();
    policy.trust_domains.retain(|domain| *domain != TrustDomain::Emulated);
    for platform in policy.dcap_mut() {
        platform.tcb_statuses.extend([TcbStatus::ConfigurationNeeded, TcbStatus::ConfigurationAndSwHardeningNeeded]);
    }
    policy
}

/// Real hardware that lacks nothing: up to date without an advisory, no TD attribute but the one that must be, an SEV-SNP
/// key of the chip's own under a revocation list. No Nitro, whose enclaves rest on the hypervisor and not on the chip.
fn hardware_strict() -> EvidencePolicy {
    let mut policy = default_policy();
    policy.trust_domains.retain(|domain| !matches!(domain, TrustDomain::Emulated | TrustDomain::Aws));
    for platform in policy.dcap_mut() {
        platform.tcb_statuses = vec![TcbStatus::UpToDate];
        platform.advisories_allowed = Some(Vec::new());
    }
    if let Some(tdx) = &mut policy.tdx {
        (tdx.attributes_required, tdx.attributes_allowed) = (TD_ATTRIBUTES, TD_ATTRIBUTES);
    }
    policy.snp = Some(snp::snp_default_policy(Vec::new()));
    policy.nitro = None;
    policy
}
