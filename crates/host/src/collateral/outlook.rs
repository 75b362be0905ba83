//! What is to come: an instance's kept evidence judged under the collateral that will count, now and within the notice.
//! Pure.
//!
//! Only what a promotion or a grace period changes is foreseen: evidence and collateral are renewed before they end, so
//! refusals for their age are none of ours (the end of collateral is a warning of its own).

use freehold_attestation::{Evidence, Refusal, RefusalClass, claims, judge_ahead};
use freehold_primitives::{EvidencePolicy, TcbStatus, TrustRoot, UnixSeconds};

/// What evidence is judged under.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) roots: &'a [TrustRoot],
    pub(crate) policy: &'a EvidencePolicy,
    pub(crate) now_unix_s: UnixSeconds,
    /// How far ahead is looked, in seconds.
    pub(crate) notice_s: UnixSeconds,
}

/// A refusal to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreseen {
    pub(crate) refusal: Refusal,
    pub(crate) tcb_status: Option<TcbStatus>,
    /// Unix seconds from which it holds; the present where it holds already.
    pub(crate) from_unix_s: UnixSeconds,
}

/// The refusal that this evidence meets within the notice; `None` where it meets none.
pub(crate) fn foresee(evidence: &Evidence<'_>, terms: &Terms<'_>) -> Option<Foreseen> {
    let Terms { roots, policy, now_unix_s: now, notice_s } = *terms;
    let foreseen = |refusal, tcb_status, from_unix_s| Foreseen { refusal, tcb_status, from_unix_s };
    let claims = match claims(evidence, roots, now) {
        Ok(claims) => claims,
        Err(refusal) => return is_of_interest(refusal).then(|| foreseen(refusal, None, now)),
    };
    let refused_at =
        |at: UnixSeconds| judge_ahead(&claims, policy, at).err().filter(|refusal| is_of_interest(*refusal));
    if let Some(refusal) = refused_at(now) {
        return Some(foreseen(refusal, claims.tcb_status(), now));
    }
    let end = now.saturating_add(notice_s);
    let refusal = refused_at(end)?;
    // The first second at which it is refused: grace ends once.
    let (mut accepted, mut refused) = (now, end);
    while refused - accepted > 1 {
        let middle = accepted + (refused - accepted) / 2;
        if refused_at(middle).is_some() {
            refused = middle;
        } else {
            accepted = middle;
        }
    }
    Some(foreseen(refusal, claims.tcb_status(), refused))
}

/// Whether a refusal is none of age.
fn is_of_interest(refusal: Refusal) -> bool {
    refusal.class() != RefusalClass::Expired
        && !matches!(refusal, Refusal::NitroPolicyAge | Refusal::PolicyRevocationAge)
}

/// What an operator does about a refusal, in a sentence.
pub(crate) fn remedy(foreseen: &Foreseen) -> &'static str {
    match (foreseen.refusal, foreseen.tcb_status) {
        (Refusal::PolicyTcbStatus, Some(status)) => match status {
            TcbStatus::OutOfDate => "update microcode and BIOS, the TDX module and the quoting enclave",
            TcbStatus::OutOfDateConfigurationNeeded => {
                "update microcode and BIOS, the TDX module and the quoting enclave, and correct the BIOS settings"
            }
            TcbStatus::ConfigurationNeeded => "correct the BIOS settings that the advisory names",
            TcbStatus::SwHardeningNeeded | TcbStatus::ConfigurationAndSwHardeningNeeded => {
                "apply what the advisory names, or let the app's policy accept this status"
            }
            TcbStatus::TdRelaunchAdvised | TcbStatus::TdRelaunchAdvisedConfigurationNeeded => {
                "launch the instance again: the machine is updated, the TD is older"
            }
            TcbStatus::UpToDate | TcbStatus::Revoked => "move the instance to another machine",
        },
        (Refusal::PolicyEvaluationNumber, _) => "bring newer collateral: the policy asks for a higher number",
        (Refusal::PolicyAdvisory | Refusal::PolicyAdvisoryNotAllowed | Refusal::TcbUnknown, _) => {
            "update microcode and BIOS"
        }
        (Refusal::TdxModule, _) => "update the TDX module",
        (Refusal::QuotingEnclave, _) => "update the quoting enclave",
        (Refusal::CertificateRevoked | Refusal::TcbRevoked, _) => {
            "move the instance to another machine: this one's keys are revoked"
        }
        _ => "look the code up in spec/evidence.md; update the machine or move the instance",
    }
}
