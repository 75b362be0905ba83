//! The attestation step of a registration (checks 8 and 9 of `spec/registration.md` §3): evidence verified under the
//! collateral that the chain keeps, and judged under the app's policy. Pure: what it needs comes as arguments.

use freehold_attestation::{Evidence, Refusal, VerifiedClaims, VerifierVersion, claims_accepted, judge};
use freehold_primitives::{EvidencePolicy, PlatformFamily, TrustDomain, TrustRoot, UnixSeconds};

use super::super::refusal::ModuleRefusal;

/// What evidence is held against.
#[derive(Debug, Clone, Copy)]
pub struct AttestationTerms<'a> {
    /// Trust domain and platform family that the registration states.
    pub stated: (TrustDomain, PlatformFamily),
    /// Roots of trust of the genesis.
    pub roots: &'a [TrustRoot],
    /// The app's policy.
    pub policy: &'a EvidencePolicy,
    /// Version of the verifier that is in force.
    pub verifier: VerifierVersion,
    /// Header time of the parent block.
    pub now_unix_s: UnixSeconds,
}

/// Verifies evidence under collateral that the chain accepted before, and judges it. `Collateral` accepts a document only
/// after its complete verification under the same roots, so that its signatures are not checked again; dates are.
///
/// # Errors
/// [`ModuleRefusal::Evidence`] or [`ModuleRefusal::EvidencePolicy`], each with the refusal behind it;
/// [`ModuleRefusal::Domain`] without one.
pub fn attest(
    evidence: &Evidence<'_>,
    terms: &AttestationTerms<'_>,
) -> Result<VerifiedClaims, (ModuleRefusal, Option<Refusal>)> {
    let claims = match terms.verifier {
        VerifierVersion::V1 => claims_accepted(evidence, terms.roots, terms.now_unix_s),
    };
    let claims = claims.map_err(|refusal| (ModuleRefusal::Evidence, Some(refusal)))?;
    if (claims.trust_domain(), claims.family()) != terms.stated {
        return Err((ModuleRefusal::Domain, None));
    }
    judge(&claims, terms.policy, terms.now_unix_s).map_err(|refusal| (ModuleRefusal::EvidencePolicy, Some(refusal)))?;
    Ok(claims)
}
