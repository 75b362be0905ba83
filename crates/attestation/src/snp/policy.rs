//! Judging SEV-SNP claims under a policy (`spec/policy.md`). Pure: the same claims, policy and time give the same verdict.

use freehold_primitives::{
    SnpMeasurement, SnpPolicy, SnpProduct, SnpProductPolicy, SnpSigningKey, SnpTcb, UnixSeconds,
};

use super::SnpClaims;
use crate::{certificate::Revocation, refusal::Refusal};

/// Guest policy: a migration agent may be associated.
pub const SNP_GUEST_MIGRATE_MA: u64 = 1 << 18;
/// Guest policy: the guest can be debugged. Never accepted.
pub const SNP_GUEST_DEBUG: u64 = 1 << 19;
/// Guest policy: memory is encrypted with AES-256 XTS.
pub const SNP_GUEST_MEM_AES_256_XTS: u64 = 1 << 22;
/// Guest policy: the power meter (RAPL) is off.
pub const SNP_GUEST_RAPL_DIS: u64 = 1 << 23;
/// Guest policy: ciphertext in memory is hidden from the host.
pub const SNP_GUEST_CIPHERTEXT_HIDING: u64 = 1 << 24;
/// Guest policy: the host cannot swap or move the guest's pages.
pub const SNP_GUEST_PAGE_SWAP_DISABLE: u64 = 1 << 25;
/// Guest policy: simultaneous multithreading is allowed.
pub const SNP_GUEST_SMT: u64 = 1 << 16;
/// Guest policy: the guest runs on a single socket.
pub const SNP_GUEST_SINGLE_SOCKET: u64 = 1 << 20;
/// Guest policy: memory behind CXL is allowed.
pub const SNP_GUEST_CXL_ALLOW: u64 = 1 << 21;

/// Platform information: simultaneous multithreading is on.
pub const SNP_PLATFORM_SMT: u64 = 1;
/// Platform information: all memory is encrypted.
pub const SNP_PLATFORM_TSME: u64 = 1 << 1;
/// Platform information: memory has error correction.
pub const SNP_PLATFORM_ECC: u64 = 1 << 2;
/// Platform information: the power meter (RAPL) is off.
pub const SNP_PLATFORM_RAPL_DIS: u64 = 1 << 3;
/// Platform information: ciphertext in memory is hidden from the host.
pub const SNP_PLATFORM_CIPHERTEXT_HIDING: u64 = 1 << 4;
/// Platform information: memory was checked for aliases since the last reset, against BadRAM (CVE-2024-21944).
pub const SNP_PLATFORM_ALIAS_CHECK: u64 = 1 << 5;
/// Platform information: trusted I/O is on.
pub const SNP_PLATFORM_TIO: u64 = 1 << 7;

/// Oldest TCB of Genoa that the default policy accepts: that of the Genoa report among the real vectors. Whoever runs a
/// network raises it as AMD publishes.
const GENOA_TCB_MIN: SnpTcb = SnpTcb { fmc: 0, bootloader: 0x0a, tee: 0, snp: 0x17, microcode: 0x54 };

/// Judges claims under a policy at `now_unix_s`.
///
/// # Errors
/// [`Refusal::CollateralExpired`] once the claims' own validity has ended, [`Refusal::RevocationUnknown`] where the
/// policy wants a revocation list that was not there, else the first refusal of class policy in the order below.
pub fn judge(claims: &SnpClaims, policy: &SnpPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };
    let report = claims.report();

    refuse_unless(now_unix_s < claims.expires_at(), Refusal::CollateralExpired)?;
    refuse_unless(
        !policy.revocation_required || claims.revocation() == Revocation::Checked,
        Refusal::RevocationUnknown,
    )?;
    refuse_unless(report.guest_policy() & SNP_GUEST_DEBUG == 0, Refusal::PolicyDebug)?;
    // First, since no other item of a denied generation matters.
    refuse_unless(
        policy.products.iter().any(|accepted| accepted.product == claims.product()),
        Refusal::SnpPolicyProduct,
    )?;
    refuse_unless(policy.signing_keys.contains(&report.signing_key()), Refusal::SnpPolicySigningKey)?;
    refuse_unless(report.version() >= policy.report_version_min, Refusal::SnpPolicyReportVersion)?;
    refuse_unless(report.vmpl() <= policy.vmpl_max, Refusal::SnpPolicyVmpl)?;
    let guest_abi = report.guest_policy() & 0xffff;
    refuse_unless(guest_abi >= u64::from(policy.guest_abi_min), Refusal::SnpPolicyGuestAbi)?;
    refuse_unless(
        agrees(report.guest_policy(), policy.guest_policy, policy.guest_policy_mask & !0xffff),
        Refusal::SnpPolicyGuestPolicy,
    )?;
    refuse_unless(
        agrees(report.platform_info(), policy.platform_info, policy.platform_info_mask),
        Refusal::SnpPolicyPlatformInfo,
    )?;
    judge_tcb(claims, policy)?;
    judge_image(claims, policy)
}

/// The platform: its generation, its firmware and its mitigations.
fn judge_tcb(claims: &SnpClaims, policy: &SnpPolicy) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };
    let report = claims.report();
    let product = claims.product();
    let accepted = policy.products.iter().find(|accepted| accepted.product == product);
    let minimum = accepted.ok_or(Refusal::SnpPolicyProduct)?.tcb_min;
    let reported = report.reported_tcb(product);
    let committed = report.committed_tcb(product);
    // A platform never vouches for more than it can no longer go below, nor commits what it does not run.
    let ordered = committed.is_at_least(&reported) && report.current_tcb(product).is_at_least(&committed);
    refuse_unless(ordered, Refusal::SnpPolicyTcbOrder)?;
    refuse_unless(reported.is_at_least(&minimum), Refusal::SnpPolicyTcb)?;
    refuse_unless(report.launch_tcb(product).is_at_least(&minimum), Refusal::SnpPolicyLaunchTcb)?;
    let mitigated = |vector: Option<u64>| {
        policy.mitigations == 0 || vector.is_some_and(|vector| vector & policy.mitigations == policy.mitigations)
    };
    refuse_unless(
        mitigated(report.launch_mitigations()) && mitigated(report.current_mitigations()),
        Refusal::SnpPolicyMitigations,
    )
}

/// What was launched, and who vouches for it.
fn judge_image(claims: &SnpClaims, policy: &SnpPolicy) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };
    let report = claims.report();
    let shown = |release: &SnpMeasurement| {
        let host_data = release.host_data.is_none_or(|wanted| wanted == report.host_data());
        release.measurement == report.measurement() && host_data
    };
    refuse_unless(policy.measurements.iter().any(shown), Refusal::PolicyMeasurement)?;
    refuse_unless(report.guest_svn() >= policy.guest_svn_min, Refusal::SnpPolicyGuestSvn)?;
    let families = &policy.family_ids;
    let images = &policy.image_ids;
    refuse_unless(
        (families.is_empty() || families.contains(&report.family_id()))
            && (images.is_empty() || images.contains(&report.image_id())),
        Refusal::SnpPolicyImage,
    )?;
    let id_keys = &policy.id_key_digests;
    refuse_unless(id_keys.is_empty() || id_keys.contains(&report.id_key_digest()), Refusal::SnpPolicyIdKey)?;
    let authors = &policy.author_key_digests;
    let authored = report.has_author_key() && authors.contains(&report.author_key_digest());
    refuse_unless(authors.is_empty() || authored, Refusal::SnpPolicyAuthorKey)
}

const fn agrees(shown: u64, wanted: u64, mask: u64) -> bool {
    shown & mask == wanted & mask
}

/// The default policy for real hardware, with these accepted launches.
///
/// Milan is not listed: software alone can extract the secret that all VCEKs of a Milan chip are derived from
/// (arXiv 2605.12990), so that its holder forges reports of any TCB and no patch helps. An operator who accepts that adds
/// the product. Ciphertext hiding and a disabled power meter are not demanded, since no cloud of today has them.
pub fn snp_default_policy(measurements: Vec<SnpMeasurement>) -> SnpPolicy {
    let forbidden = SNP_GUEST_DEBUG | SNP_GUEST_MIGRATE_MA | SNP_GUEST_CXL_ALLOW;
    SnpPolicy {
        measurements,
        products: vec![
            SnpProductPolicy { product: SnpProduct::Genoa, tcb_min: GENOA_TCB_MIN },
            SnpProductPolicy { product: SnpProduct::Turin, tcb_min: SnpTcb::default() },
        ],
        signing_keys: vec![SnpSigningKey::Vcek],
        report_version_min: 3,
        vmpl_max: 0,
        guest_abi_min: 0,
        guest_policy_mask: forbidden,
        guest_policy: 0,
        platform_info_mask: SNP_PLATFORM_ALIAS_CHECK,
        platform_info: SNP_PLATFORM_ALIAS_CHECK,
        mitigations: 0,
        guest_svn_min: 0,
        family_ids: Vec::new(),
        image_ids: Vec::new(),
        id_key_digests: Vec::new(),
        author_key_digests: Vec::new(),
        revocation_required: true,
    }
}
