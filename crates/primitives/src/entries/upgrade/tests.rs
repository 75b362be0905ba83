//! Rules compared, and how an announced change stands as time goes by.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Canonical as _, EvidencePolicy, NitroMeasurement, NitroPolicy, Register, ReleaseModel};

fn account(number: u8) -> Account {
    Account([number; 20])
}

fn rule(notice_s: u64, cosigners: &[u8], cosigners_needed: u32) -> UpgradeRule {
    UpgradeRule { notice_s, cosigners: cosigners.iter().copied().map(account).collect(), cosigners_needed }
}

fn in_force(version: u32, policy: u8, since_unix_s: u64) -> PolicyInForce {
    PolicyInForce { version, policy: Digest([policy; 32]), public_since_unix_s: since_unix_s, since_unix_s }
}

fn entry(rule: UpgradeRule) -> UpgradeEntry {
    UpgradeEntry {
        app_id: AppId::new([1; 20]),
        changed_at: 1,
        rule,
        promised_since_unix_s: 0,
        pending: None,
        in_force: in_force(0, 0, 0),
        stood: Vec::new(),
    }
}

/// Every set of approvals of at most five accounts.
fn subsets() -> impl Iterator<Item = Vec<Account>> {
    (0_u8..32).map(|bits| (0..5).filter(|bit| bits >> bit & 1 == 1).map(account).collect())
}

#[test]
fn a_rule_protects_as_another_exactly_where_its_approvals_satisfy_that_one() {
    let groups: [&[u8]; 6] = [&[], &[0], &[1], &[0, 1], &[0, 1, 2], &[2, 3, 4]];
    let rules: Vec<UpgradeRule> = groups
        .iter()
        .flat_map(|group| (0..=u32::try_from(group.len()).unwrap()).map(|needed| rule(5, group, needed)))
        .collect();
    for one in &rules {
        for other in &rules {
            let implied = subsets().all(|set| one.missing(&set) > 0 || other.missing(&set) == 0);
            assert_eq!(one.protects_as(other), implied, "{one:?} {other:?}");
        }
    }
    assert!(rule(6, &[], 0).protects_as(&rule(5, &[], 0)));
    assert!(!rule(4, &[0], 1).protects_as(&rule(5, &[], 0)));
}

#[test]
fn rules_out_of_bounds_are_not_sound() {
    assert!(UpgradeRule::default().is_sound() && UpgradeRule::default().is_free());
    assert!(rule(NOTICE_S_MAX, &[1, 2], 2).is_sound());
    let many: Vec<u8> = (0..17).collect();
    for unsound in
        [rule(NOTICE_S_MAX + 1, &[], 0), rule(0, &[1], 2), rule(0, &[2, 1], 1), rule(0, &[1, 1], 1), rule(0, &many, 1)]
    {
        assert!(!unsound.is_sound(), "{unsound:?}");
    }
    assert!(!UpgradeChange::default().is_sound(), "it changes nothing");
    let back = UpgradeChange { rollback_to: Some(1), rule: Some(rule(1, &[], 0)), policy: None };
    assert!(!back.is_sound(), "going back changes the policy alone");
}

#[test]
fn a_change_waits_for_its_notice_and_its_cosigners_and_lapses() {
    let mut entry = entry(rule(100, &[1, 2], 1));
    assert_eq!(entry.state(0), None);
    entry.pending = Some(UpgradeAnnouncement {
        change: UpgradeChange { rule: Some(UpgradeRule::default()), ..UpgradeChange::default() },
        digest: Digest([7; 32]),
        policy_digest: None,
        announced_at: 1,
        announced_at_unix_s: 1_000,
        approvals: Vec::new(),
    });
    assert_eq!(entry.state(1_099), Some(UpgradeState::Noticed(1_100)));
    assert_eq!(entry.state(1_100), Some(UpgradeState::Unapproved(1)));
    entry.pending.as_mut().unwrap().approvals = vec![account(3)];
    assert_eq!(entry.state(1_100), Some(UpgradeState::Unapproved(1)), "a stranger's word counts nothing");
    entry.pending.as_mut().unwrap().approvals.push(account(2));
    assert_eq!(entry.state(1_100), Some(UpgradeState::Ready));
    assert_eq!(entry.state(1_100 + ANNOUNCEMENT_LAPSE_S), Some(UpgradeState::Lapsed));
    // A longer notice counts for what is announced already, and so does a co-signer who left.
    entry.promise(rule(200, &[1, 2], 1), 1_050);
    assert_eq!(entry.state(1_199), Some(UpgradeState::Noticed(1_200)));
    entry.promise(rule(200, &[1], 1), 1_050);
    assert_eq!(entry.state(1_200), Some(UpgradeState::Unapproved(1)));
    assert_eq!(UpgradeEntry::from_canonical(&entry.to_canonical()).unwrap(), entry);
}

#[test]
fn what_was_replaced_may_return_for_one_notice() {
    let mut entry = entry(rule(100, &[], 0));
    entry.replace(in_force(1, 1, 1_000));
    assert!(entry.may_return(&Digest([0; 32]), 1_099) && !entry.may_return(&Digest([0; 32]), 1_100));
    assert!(!entry.may_return(&Digest([1; 32]), 1_000), "what is in force was not replaced");
    // It returns, and is replaced again: once in the list, by its newest end.
    entry.replace(in_force(2, 0, 1_050));
    entry.replace(in_force(3, 1, 1_060));
    assert_eq!(entry.stood.iter().filter(|stood| stood.policy == Digest([0; 32])).count(), 1);
    assert!(entry.may_return(&Digest([0; 32]), 1_159));
    assert!(!entry.may_return(&Digest([0; 32]), 1_149), "it was not public for a notice");
    // The list forgets, by time and by number.
    for number in 0..40 {
        entry.replace(in_force(4 + u32::from(number), 100 + number, 1_061));
    }
    assert_eq!(entry.stood.len(), POLICIES_STOOD_MAX);
    entry.replace(in_force(99, 99, 2_000));
    assert_eq!(entry.stood.len(), 1);
}

#[test]
fn a_promise_counts_from_where_it_was_without_a_gap() {
    let mut entry = entry(UpgradeRule::default());
    entry.promise(rule(5, &[], 0), 10);
    entry.promise(rule(3, &[], 0), 20);
    assert_eq!(entry.promised_since_unix_s, 10);
    entry.promise(UpgradeRule::default(), 30);
    assert_eq!(entry.promised_since_unix_s, 0);
    entry.promise(rule(5, &[], 0), 40);
    assert_eq!(entry.promised_since_unix_s, 40);
}

#[test]
fn only_what_drops_is_told_apart_from_what_admits() {
    let release = |number: u8| NitroMeasurement {
        pcr0: Register([number; 48]),
        pcr1: None,
        pcr2: None,
        pcr3: None,
        pcr4: None,
        pcr8: None,
    };
    let nitro = NitroPolicy { measurements: vec![release(1), release(2)], age_s_max: 5, revocation_required: false };
    let model = ReleaseModel { measurement: Digest([1; 32]), model: Digest([2; 32]) };
    let wide = AppPolicy {
        evidence: EvidencePolicy { nitro: Some(nitro), ..EvidencePolicy::default() },
        models: vec![model],
        ..AppPolicy::default()
    };
    type Change = fn(&mut AppPolicy);
    let dropping: [Change; 3] = [
        |policy| policy.evidence.nitro.as_mut().unwrap().measurements.truncate(1),
        |policy| policy.evidence.nitro = None,
        |policy| policy.models.clear(),
    ];
    let admitting: [Change; 6] = [
        |policy| policy.evidence.nitro.as_mut().unwrap().measurements[0].pcr0.0[0] ^= 9,
        |policy| policy.evidence.nitro.as_mut().unwrap().age_s_max = 0,
        |policy| policy.evidence.trust_domains.push(crate::TrustDomain::Emulated),
        |policy| policy.lease_s_max += 1,
        |policy| policy.boot_contexts.push("other".to_owned()),
        |policy| policy.models[0].model.0[0] ^= 1,
    ];
    assert!(wide.only_drops_from(&wide));
    for (changes, is_dropping) in [(&dropping[..], true), (&admitting[..], false)] {
        for (number, change) in changes.iter().enumerate() {
            let mut next = wide.clone();
            change(&mut next);
            assert_eq!(next.only_drops_from(&wide), is_dropping, "change {number}");
            assert!(!wide.only_drops_from(&next), "change {number} the other way");
        }
    }
}
