//! Which document is submitted, and when the next round comes.

use std::time::Duration;

use freehold_attestation::read_collateral;
use freehold_emulator::{CollateralPlan, DEVELOPMENT_SEED, Platform};
use freehold_primitives::{
    Blob, Digest, TrustDomain, TrustRoot,
    entries::{CollateralEntry, CollateralKind},
};

use crate::collateral::{
    choice::{Candidate, Offer, is_newer},
    pace::Pace,
    report::RoundSummary,
    vendor::Promotion,
};

const NOW: u64 = 1_790_000_000;
const DAY_S: u64 = 86_400;

fn candidate(now: u64, number: u32) -> Candidate {
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let plan = CollateralPlan { tcb_evaluation_data_number: number, ..CollateralPlan::default() };
    let document = platform.collateral_with(now, &plan);
    let root = TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(platform.root_certificate()) };
    let verified = read_collateral(CollateralKind::Dcap, &document, &[root], now).unwrap();
    Candidate { document, verified }
}

fn entry(candidate: &Candidate) -> CollateralEntry {
    CollateralEntry {
        kind: CollateralKind::Dcap,
        key: Blob(candidate.verified.key().clone()),
        digest: Digest([0; 32]),
        issued_at: candidate.verified.issued_at(),
        expires_at: candidate.verified.expires_at(),
        numbers: candidate.verified.numbers().clone(),
        height: 1,
    }
}

#[test]
fn only_what_rises_and_nowhere_falls_is_newer() {
    let today = candidate(NOW, 20);
    assert!(is_newer(&today.verified, None));
    assert!(!is_newer(&today.verified, Some(&entry(&today))), "equal is no replacement");
    assert!(is_newer(&candidate(NOW + DAY_S, 20).verified, Some(&entry(&today))));
    assert!(is_newer(&candidate(NOW, 21).verified, Some(&entry(&today))));
    assert!(!is_newer(&candidate(NOW + DAY_S, 19).verified, Some(&entry(&today))), "a number falls");
    assert!(!is_newer(&candidate(NOW - DAY_S, 21).verified, Some(&entry(&today))), "the date falls");
}

#[test]
fn a_promotion_waits_unless_it_is_asked_for_or_has_happened() {
    let offer = Offer { standard: Some(candidate(NOW, 20)), early: Some(candidate(NOW, 21)) };
    let number = |standing: Option<&CollateralEntry>, wanted| {
        offer.to_submit(standing, wanted).map(|candidate| candidate.verified.numbers()[0])
    };
    assert_eq!(offer.promotion().unwrap().verified.numbers()[0], 21);
    assert_eq!(number(None, Promotion::Standard), Some(20));
    assert_eq!(number(None, Promotion::Early), Some(21));
    let (standard, early) = (entry(&candidate(NOW, 20)), entry(&candidate(NOW, 21)));
    assert_eq!(number(Some(&standard), Promotion::Standard), None);
    assert_eq!(number(Some(&standard), Promotion::Early), Some(21));
    assert_eq!(number(Some(&early), Promotion::Early), None);
    // Somebody promoted the chain: the standard can never follow, and the early document keeps it from ending.
    let promoted = entry(&candidate(NOW - 3 * DAY_S, 21));
    assert_eq!(number(Some(&promoted), Promotion::Standard), Some(21));
    let same = Offer { standard: Some(candidate(NOW, 21)), early: Some(candidate(NOW, 21)) };
    assert!(same.promotion().is_none(), "nothing is coming where both are the same");
}

#[test]
fn pauses_grow_with_failures_and_keep_to_what_a_service_asks() {
    let mut pace = Pace::new(Duration::from_secs(3_600));
    let good = RoundSummary::default();
    let failed = RoundSummary { failures: 1, ..good };
    assert_eq!(pace.after(&good, 0).as_secs(), 3_600);
    assert_eq!(pace.after(&good, u32::MAX).as_secs(), 3_960);
    let pauses: Vec<u64> = (0..8).map(|_| pace.after(&failed, 0).as_secs()).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    let busy = RoundSummary { retry_after: Some(Duration::from_secs(7_200)), ..failed };
    assert_eq!(pace.after(&busy, 0).as_secs(), 7_200);
    pace.after(&good, 0);
    assert_eq!(pace.after(&failed, 0).as_secs(), 60, "a good round forgets failures");
}
