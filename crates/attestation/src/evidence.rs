//! One entry for every kind of evidence: verify, then judge. Each kind's own module does the work.

use freehold_primitives::{
    BUNDLE_GPUS_MAX, Canonical as _, EvidenceBundle, EvidenceKind, EvidencePolicy, TrustDomain, TrustRoot, UnixSeconds,
};

use crate::{
    certificate::Signatures, claims::VerifiedClaims, nitro, nvidia, policy::judge, refusal::Refusal, sgx, snp, tdx,
};

/// Evidence with the collateral that judges it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Kind of the evidence.
    pub kind: EvidenceKind,
    /// The evidence, in its canonical form.
    pub bytes: &'a [u8],
    /// Collateral documents: of the primary, then of each GPU. Those of Nitro and NVIDIA may be empty bytes, since their
    /// evidence carries its chain.
    pub collateral: &'a [&'a [u8]],
}

/// Verifies evidence and judges it: [`claims`], then [`judge`]. `now_unix_s` is the parent block's time.
///
/// # Errors
/// Any [`Refusal`].
pub fn verify(
    evidence: &Evidence<'_>,
    roots: &[TrustRoot],
    policy: &EvidencePolicy,
    now_unix_s: UnixSeconds,
) -> Result<VerifiedClaims, Refusal> {
    let claims = claims(evidence, roots, now_unix_s)?;
    judge(&claims, policy, now_unix_s)?;
    Ok(claims)
}

/// Verifies evidence under the roots of trust, without any policy but what is never acceptable.
///
/// # Errors
/// Any [`Refusal`]; of class policy only those of what no policy may accept.
pub fn claims(
    evidence: &Evidence<'_>,
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedClaims, Refusal> {
    claims_in(evidence, roots, now_unix_s, Signatures::Check)
}

/// As [`claims`], the same verdict, where consensus accepted the collateral before, by
/// [`read_collateral`](crate::read_collateral) under the same roots: SEV-SNP, Nitro and NVIDIA do not check its signatures
/// again, but everything else. Only for collateral that comes from the chain's own state.
///
/// # Errors
/// As [`claims`].
pub fn claims_accepted(
    evidence: &Evidence<'_>,
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedClaims, Refusal> {
    claims_in(evidence, roots, now_unix_s, Signatures::AcceptedBefore)
}

fn claims_in(
    evidence: &Evidence<'_>,
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
    signatures: Signatures,
) -> Result<VerifiedClaims, Refusal> {
    let Evidence { kind, bytes, collateral } = *evidence;
    let own = || match collateral {
        [] => Err(Refusal::CollateralMissing),
        [document] => Ok(*document),
        [..] => Err(Refusal::CollateralExcess),
    };
    let accepted = signatures == Signatures::AcceptedBefore;
    let snp = if accepted { snp::claims_accepted } else { snp::claims };
    let nitro = if accepted { nitro::claims_accepted } else { nitro::claims };
    match kind {
        EvidenceKind::Tdx => tdx::claims(bytes, own()?, roots, now_unix_s).map(Into::into),
        EvidenceKind::Sgx => sgx::claims(bytes, own()?, roots, now_unix_s).map(Into::into),
        EvidenceKind::Snp => snp(bytes, own()?, roots, now_unix_s).map(Into::into),
        EvidenceKind::Nitro => nitro(bytes, own()?, roots, now_unix_s).map(Into::into),
        EvidenceKind::Bundle => bundle_claims((bytes, collateral), roots, now_unix_s, signatures),
        EvidenceKind::Nvidia => Err(Refusal::EvidenceKind),
    }
}

/// Reads a bundle within its bounds: a primary that is no GPU and no bundle, and at least one GPU.
pub(crate) fn read_bundle(bytes: &[u8]) -> Result<EvidenceBundle, Refusal> {
    let bundle = EvidenceBundle::from_canonical(bytes).map_err(|_| Refusal::BundleFormat)?;
    let primary = !matches!(bundle.primary_kind, EvidenceKind::Nvidia | EvidenceKind::Bundle);
    if primary && (1..=BUNDLE_GPUS_MAX).contains(&bundle.gpus.len()) { Ok(bundle) } else { Err(Refusal::BundleFormat) }
}

fn bundle_claims(
    (bytes, collateral): (&[u8], &[&[u8]]),
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
    signatures: Signatures,
) -> Result<VerifiedClaims, Refusal> {
    let bundle = read_bundle(bytes)?;
    let (document, gpu_documents) = collateral.split_first().ok_or(Refusal::CollateralMissing)?;
    if gpu_documents.len() < bundle.gpus.len() {
        return Err(Refusal::CollateralMissing);
    }
    if gpu_documents.len() > bundle.gpus.len() {
        return Err(Refusal::CollateralExcess);
    }
    let primary = Evidence { kind: bundle.primary_kind, bytes: &bundle.primary.0, collateral: &[document] };
    let mut claims = claims_in(&primary, roots, now_unix_s, signatures)?;
    let gpu_claims = if signatures == Signatures::Check { nvidia::claims } else { nvidia::claims_accepted };
    let nonce = nvidia::gpu_nonce(&claims.report_data);
    for (gpu, document) in bundle.gpus.iter().zip(gpu_documents) {
        let gpu = gpu_claims(&gpu.0, document, roots, now_unix_s)?;
        nvidia::check_nonce(&gpu, &nonce)?;
        let emulated = |domain: TrustDomain| domain == TrustDomain::Emulated;
        if emulated(gpu.trust_domain()) != emulated(claims.trust_domain) {
            return Err(Refusal::BundleDomains);
        }
        claims.expires_at = claims.expires_at.min(gpu.expires_at());
        claims.gpus.push(gpu);
    }
    Ok(claims)
}
