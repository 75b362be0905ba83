//! Judging verified claims of GPUs under a policy (`spec/gpu.md` §4). Pure.

use freehold_primitives::{
    Canonical as _, Digest, EvidencePolicy, GpuReference, NvidiaPolicy, PlatformFamily, Register, UnixSeconds,
};
use sha2::{Digest as _, Sha256};

use super::claims::NvidiaClaims;
use crate::refusal::Refusal;

/// Judges all GPUs of a bundle: enough of them, none twice, each as [`judge`] without the count.
///
/// # Errors
/// [`Refusal::PolicyGpuCount`], [`Refusal::GpuRepeated`], and those of [`judge`].
pub fn judge_all(claims: &[NvidiaClaims], policy: &NvidiaPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    if u32::try_from(claims.len()).is_ok_and(|count| count < policy.gpus_min) {
        return Err(Refusal::PolicyGpuCount);
    }
    for (at, gpu) in claims.iter().enumerate() {
        if claims[..at].iter().any(|other| other.platform() == gpu.platform()) {
            return Err(Refusal::GpuRepeated);
        }
        judge_one(gpu, policy, now_unix_s)?;
    }
    Ok(())
}

/// Judges one GPU that stands alone.
///
/// # Errors
/// [`Refusal::CollateralExpired`] once the claims' validity has ended, else the first refusal of class policy, in the
/// order of `spec/gpu.md` §4.
pub fn judge(claims: &NvidiaClaims, policy: &NvidiaPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    judge_all(core::slice::from_ref(claims), policy, now_unix_s)
}

/// Judges GPUs without a CPU TEE beside them, as tools do: what a policy says of every kind, then [`judge_all`].
///
/// # Errors
/// [`Refusal::PolicyTrustDomain`], [`Refusal::PolicyGpu`], those of the policy's lists of families and platforms, and
/// those of [`judge_all`].
pub fn judge_alone(claims: &[NvidiaClaims], policy: &EvidencePolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };
    for gpu in claims {
        refuse_unless(policy.trust_domains.contains(&gpu.trust_domain()), Refusal::PolicyTrustDomain)?;
        let (family, platform) = (PlatformFamily(gpu.family()), gpu.platform());
        let open = |listed: bool, is_empty: bool| is_empty || listed;
        let families = &policy.families_allowed;
        refuse_unless(open(families.contains(&family), families.is_empty()), Refusal::PolicyFamilyNotAllowed)?;
        refuse_unless(!policy.families_denied.contains(&family), Refusal::PolicyFamilyDenied)?;
        let platforms = &policy.platforms_allowed;
        refuse_unless(open(platforms.contains(&platform), platforms.is_empty()), Refusal::PolicyPlatformNotAllowed)?;
        refuse_unless(!policy.platforms_denied.contains(&platform), Refusal::PolicyPlatformDenied)?;
    }
    judge_all(claims, policy.nvidia.as_ref().ok_or(Refusal::PolicyGpu)?, now_unix_s)
}

fn judge_one(claims: &NvidiaClaims, policy: &NvidiaPolicy, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    let refuse_unless = |accepted: bool, refusal: Refusal| if accepted { Ok(()) } else { Err(refusal) };
    let listed = |list: &[String], version: &str| list.is_empty() || list.iter().any(|one| one == version);

    refuse_unless(now_unix_s < claims.expires_at(), Refusal::CollateralExpired)?;
    refuse_unless(!claims.is_debug(), Refusal::PolicyDebug)?;
    refuse_unless(policy.architectures.contains(&claims.architecture()), Refusal::PolicyGpuArchitecture)?;
    refuse_unless(policy.modes.contains(&claims.mode()), Refusal::PolicyGpuMode)?;
    refuse_unless(!policy.platforms_denied.contains(&claims.platform()), Refusal::PolicyPlatformDenied)?;
    refuse_unless(listed(&policy.driver_versions, claims.driver_version()), Refusal::PolicyDriverVersion)?;
    refuse_unless(listed(&policy.vbios_versions, claims.vbios_version()), Refusal::PolicyVbiosVersion)?;
    refuse_unless(revocation_fresh(claims, policy, now_unix_s), Refusal::PolicyRevocationAge)?;
    judge_measurements(claims, policy)
}

fn revocation_fresh(claims: &NvidiaClaims, policy: &NvidiaPolicy, now_unix_s: UnixSeconds) -> bool {
    policy.revocation_age_s_max == 0
        || claims
            .revocation_issued_at()
            .is_some_and(|issued_at| now_unix_s.saturating_sub(issued_at) <= policy.revocation_age_s_max)
}

/// One reference of each list must match; a measurement that neither names must be zero. The two may not name the same.
fn judge_measurements(claims: &NvidiaClaims, policy: &NvidiaPolicy) -> Result<(), Refusal> {
    let drivers = policy.driver_references.as_deref();
    let firmware = policy.firmware_references.as_deref();
    let driver = drivers.map(|list| matching(claims, list, claims.driver_version())).transpose()?;
    let firmware = firmware.map(|list| matching(claims, list, claims.vbios_version())).transpose()?;
    let (Some(driver), Some(firmware)) = (driver, firmware) else { return Ok(()) };
    for (index, value) in (0u8..).zip(claims.measurements()) {
        let named = [driver, firmware].map(|reference| reference.measurements.iter().any(|one| one.index == index));
        match named {
            [true, true] => return Err(Refusal::PolicyGpuReference),
            [false, false] if *value != Register([0; 48]) => return Err(Refusal::PolicyGpuUnreferenced),
            _ => {}
        }
    }
    Ok(())
}

/// The first reference of this model and version that all its measurements match.
fn matching<'a>(claims: &NvidiaClaims, list: &'a [GpuReference], version: &str) -> Result<&'a GpuReference, Refusal> {
    let of_model = |reference: &&GpuReference| {
        reference.version == version
            && (reference.model == claims.model() || claims.chip() == Some(reference.model.as_str()))
    };
    let mut candidates = list.iter().filter(of_model).peekable();
    if candidates.peek().is_none() {
        return Err(Refusal::PolicyGpuReference);
    }
    candidates.find(|reference| is_met(claims, reference)).ok_or(Refusal::PolicyGpuMeasurement)
}

fn is_met(claims: &NvidiaClaims, reference: &GpuReference) -> bool {
    reference.measurements.iter().all(|expected| {
        claims
            .measurements()
            .get(usize::from(expected.index))
            .is_some_and(|value| expected.values.is_empty() || expected.values.contains(value))
    })
}

/// The name of a reference: SHA-256 of its document under a domain, for people and tools to compare.
pub fn reference_digest(reference: &GpuReference) -> Digest {
    let hash = Sha256::new().chain_update(b"freehold gpu reference\n").chain_update(reference.to_canonical());
    Digest(hash.finalize().into())
}
