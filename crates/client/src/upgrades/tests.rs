//! Demands against what an app promises.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{AppPolicy, entries::PolicyInForce};

use super::*;

fn upgrades(rule: Option<UpgradeRule>, public_since_unix_s: u64) -> AppUpgrades {
    let (app_id, policy) = (AppId::new([1; 20]), AppPolicy::default());
    let digest = content_digest(&policy.to_canonical());
    let app =
        AppEntry { app_id, owner: Account([2; 20]), version: 3, policy, opened_at: 1, changed_at: 2, closed_at: None };
    let in_force = PolicyInForce { version: 3, policy: digest, public_since_unix_s, since_unix_s: 900 };
    let entry = rule.map(|rule| UpgradeEntry {
        app_id,
        changed_at: 2,
        rule,
        promised_since_unix_s: 0,
        pending: None,
        in_force,
        stood: Vec::new(),
    });
    AppUpgrades { time_unix_s: 1_000, app, entry }
}

fn rule(notice_s: u64, cosigners_needed: u32) -> Option<UpgradeRule> {
    let cosigners = (0..3).map(|number| Account([number; 20])).collect();
    Some(UpgradeRule { notice_s, cosigners, cosigners_needed })
}

fn demand(notice_s_min: u64, cosigners_min: u32) -> UpgradeDemand {
    UpgradeDemand { notice_s_min, cosigners_min, auditors: Vec::new() }
}

#[test]
fn an_app_that_promises_less_or_whose_policy_is_young_is_refused() {
    let nothing = UpgradeDemand::default();
    assert!(nothing.is_empty() && upgrades(None, 0).meets(&nothing).is_ok());
    let refused = |found: AppUpgrades, demand: UpgradeDemand| found.meets(&demand).unwrap_err();
    assert_eq!(refused(upgrades(None, 0), demand(1, 0)), UpgradeShortfall::Notice { promised_s: 0, demanded_s: 1 });
    assert_eq!(
        refused(upgrades(rule(99, 2), 0), demand(100, 2)),
        UpgradeShortfall::Notice { promised_s: 99, demanded_s: 100 }
    );
    // A promise alone is not enough: the policy in force may be older than the promise, and younger than demanded.
    assert_eq!(
        refused(upgrades(rule(100, 2), 901), demand(100, 2)),
        UpgradeShortfall::Young { public_s: 99, demanded_s: 100 }
    );
    assert_eq!(
        refused(upgrades(rule(100, 1), 900), demand(100, 2)),
        UpgradeShortfall::Cosigners { needed: 1, demanded: 2 }
    );
    assert!(upgrades(rule(100, 2), 900).meets(&demand(100, 2)).is_ok());
    assert!(upgrades(rule(100, 2), 2_000).meets(&demand(1, 0)).is_err(), "a time to come is no age");
}

#[test]
fn entries_of_two_states_are_not_taken_for_one() {
    let mut found = upgrades(rule(1, 0), 0);
    assert!(found.is_of_one_state());
    found.app.policy.lease_s_max += 1;
    assert!(!found.is_of_one_state());
}
