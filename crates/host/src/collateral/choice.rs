//! Which document to submit. Pure.

use freehold_attestation::{VerifiedCollateral, read_collateral};
use freehold_primitives::{PlatformFamily, TrustRoot, UnixSeconds, entries::CollateralEntry};

use super::vendor::{Promotion, SourceError, Subject};

/// A document that verifies.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) document: Vec<u8>,
    pub(crate) verified: VerifiedCollateral,
}

impl Candidate {
    /// A document about a subject, judged as the chain will: under the genesis's roots, at the chain's time.
    pub(crate) fn verified(
        subject: &Subject,
        document: Vec<u8>,
        roots: &[TrustRoot],
        now_unix_s: UnixSeconds,
    ) -> Result<Self, SourceError> {
        let verified = read_collateral(subject.kind(), &document, roots, now_unix_s)?;
        if let Some(asked) = subject.family()
            && verified.key().get(1..) != Some(asked.as_bytes().as_slice())
        {
            let found = verified.key().get(1..7).and_then(|family| family.try_into().ok()).unwrap_or_default();
            return Err(SourceError::OtherFamily { asked, found: PlatformFamily(found) });
        }
        Ok(Self { document, verified })
    }
}

/// What a vendor has about one subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offer {
    pub(crate) standard: Option<Candidate>,
    pub(crate) early: Option<Candidate>,
}

/// Whether the chain takes a document in place of an entry: nothing falls and something rises (`spec/collateral.md` §2).
pub(crate) fn is_newer(new: &VerifiedCollateral, before: Option<&CollateralEntry>) -> bool {
    let Some(before) = before else { return true };
    let mut pairs = vec![(new.issued_at(), before.issued_at)];
    pairs.extend(new.numbers().iter().copied().zip(before.numbers.iter().copied()));
    new.numbers().len() == before.numbers.len()
        && pairs.iter().all(|(new, old)| new >= old)
        && pairs.iter().any(|(new, old)| new > old)
}

impl Offer {
    /// The early document, where it raises the first number of its kind above the standard's: a promotion is coming.
    pub(crate) fn promotion(&self) -> Option<&Candidate> {
        let number = |candidate: &Candidate| candidate.verified.numbers().first().copied();
        let standard = self.standard.as_ref().and_then(number);
        self.early.as_ref().filter(|early| number(early) > standard)
    }

    /// What to submit over `standing`; `None` where nothing is newer.
    ///
    /// Where somebody has promoted the chain already, the standard can never replace what stands, and would let it end:
    /// then the early document of the same number follows.
    pub(crate) fn to_submit(&self, standing: Option<&CollateralEntry>, wanted: Promotion) -> Option<&Candidate> {
        let newer = |candidate: &&Candidate| is_newer(&candidate.verified, standing);
        let early = self.early.as_ref().filter(newer);
        let is_promoted = |early: &&Candidate| {
            let stands = standing.and_then(|entry| entry.numbers.first());
            stands.is_some_and(|stands| early.verified.numbers().first().is_some_and(|number| number <= stands))
        };
        let asked = early.filter(|early| wanted == Promotion::Early || is_promoted(early));
        match wanted {
            Promotion::Early => asked.or_else(|| self.standard.as_ref().filter(newer)),
            Promotion::Standard => self.standard.as_ref().filter(newer).or(asked),
        }
    }
}
