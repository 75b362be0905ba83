//! The tiers that a chain begins with: each asks for more, of emulated evidence in every condition and of real machines.

use freehold_attestation::{Refusal, canonicalise, claims, default_tiers, judge, judge_tier};
use freehold_emulator::{CollateralPlan, Condition};
use freehold_primitives::{EvidenceKind, EvidencePolicy, Register, TrustDomain};

use crate::{FORMS, NOW, PLATFORM, claims_at, real};

/// The tiers as if they took the emulator for hardware, so that all else about them can be tried.
fn tiers_for_emulated() -> [EvidencePolicy; 3] {
    default_tiers().map(|(_, mut policy)| {
        policy.trust_domains.push(TrustDomain::Emulated);
        policy
    })
}

#[test]
fn tiers_ask_for_more_and_more() {
    for (condition, highest) in [
        (Condition::UpToDate, 3),
        (Condition::SwHardeningNeeded, 2),
        (Condition::ConfigurationNeeded, 2),
        (Condition::ConfigurationAndSwHardeningNeeded, 2),
        (Condition::OutOfDate, 1),
        (Condition::OutOfDateConfigurationNeeded, 1),
        (Condition::QuotingEnclaveOutOfDate, 1),
    ] {
        for form in FORMS.iter() {
            let plan = CollateralPlan { condition, ..CollateralPlan::default() };
            let collateral = match form.kind {
                EvidenceKind::Sgx => PLATFORM.sgx_collateral_with(NOW, &plan),
                _ => PLATFORM.collateral_with(NOW, &plan),
            };
            let claims = claims_at(form.kind, &form.quote, &collateral, NOW).unwrap();
            for (tier, policy) in (1..).zip(tiers_for_emulated()) {
                let accepted = judge_tier(&claims, &policy, NOW).is_ok();
                assert_eq!(accepted, tier <= highest, "{condition:?}, {}, tier {tier}", form.name);
            }
            // As they are, only the first takes what the emulator made.
            let judged = default_tiers().map(|(_, policy)| judge_tier(&claims, &policy, NOW));
            let foreign = Err(Refusal::PolicyTrustDomain);
            assert_eq!(judged, [Ok(()), foreign, foreign], "{condition:?}, {}", form.name);
        }
    }
}

#[test]
fn a_tier_that_lists_measurements_accepts_those_alone() {
    let form = &FORMS[0];
    let claims = form.claims(&form.quote).unwrap();
    let [policy, ..] = tiers_for_emulated();
    assert_eq!(judge(&claims, &policy, NOW), Err(Refusal::PolicyMeasurement), "an app's policy lists what it accepts");
    let mut listed = policy.accepting(claims.measurement());
    assert_eq!(judge_tier(&claims, &listed, NOW), Ok(()));
    listed.tdx.as_mut().unwrap().measurements[0].mrtd = Register([9; 48]);
    assert_eq!(judge_tier(&claims, &listed, NOW), Err(Refusal::PolicyMeasurement));
    listed.tdx = None;
    assert_eq!(judge_tier(&claims, &listed, NOW), Err(Refusal::PolicyKind));
}

#[test]
fn real_machines_have_their_tiers() {
    let cases = [
        (EvidenceKind::Tdx, "tdx/dcap-qvl/tdx_quote", "tdx/dcap-qvl/tdx_quote_collateral.json", 3),
        (EvidenceKind::Sgx, "sgx/dcap-qvl/sgx_quote", "sgx/dcap-qvl/sgx_quote_collateral.json", 2),
    ];
    for (kind, quote, collateral, highest) in cases {
        let (Some(quote), Some(collateral), Some(roots)) =
            (real::vector(quote), real::collateral(collateral), real::intel_roots())
        else {
            return;
        };
        let quote = canonicalise(&quote).unwrap();
        let evidence = freehold_attestation::Evidence { kind, bytes: &quote, collateral: &[&collateral] };
        let claims = claims(&evidence, &roots, real::SUMMER_2025).unwrap();
        for (tier, (name, policy)) in (1..).zip(default_tiers()) {
            let judged = judge_tier(&claims, &policy, real::SUMMER_2025);
            assert_eq!(judged.is_ok(), tier <= highest, "{kind:?}, {name}: {judged:?}");
        }
    }
}
