//! Upgrades: what is announced counts when it was promised to and not before, for registrations and keys too.
#![allow(clippy::unwrap_used)]

use alloy_primitives::Bytes;
use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::{content_digest, slots};
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    Account, AppPolicy, Canonical as _, Digest,
    entries::{
        AppEntry, AuditEntry, AuditVerdict, ClosedCode, EntryKind, GrantEntry, UpgradeChange, UpgradeEntry, UpgradeRule,
    },
};

use crate::{
    common::{address, key},
    registry::{
        Draft, IApps, INSTANCE, OWNER, PROVIDER, Refused, Registry, assert_refused, module, other_register, policy,
        shown,
    },
};

/// Co-signers, in rising order of their accounts.
fn cosigners() -> [u8; 2] {
    let mut seeds = [5, 6];
    seeds.sort_by_key(|seed| key(*seed).account());
    seeds
}
const NOTICE_S: u64 = 1_000;

fn without_cosigners() -> UpgradeRule {
    UpgradeRule { notice_s: NOTICE_S, ..UpgradeRule::default() }
}

fn with_cosigners(cosigners_needed: u32) -> UpgradeRule {
    let cosigners = cosigners().map(|seed| key(seed).account()).to_vec();
    UpgradeRule { cosigners, cosigners_needed, ..without_cosigners() }
}

/// A policy under which the emulated TD is nobody.
fn another() -> AppPolicy {
    let mut policy = policy();
    policy.evidence.tdx.as_mut().unwrap().measurements[0].mrtd = other_register();
    policy
}

/// One under which it is one of two.
fn both() -> AppPolicy {
    let mut both = policy();
    let other = another().evidence.tdx.unwrap().measurements;
    both.evidence.tdx.as_mut().unwrap().measurements.extend(other);
    both
}

fn digest(policy: &AppPolicy) -> Digest {
    content_digest(&policy.to_canonical())
}

impl Registry {
    /// With an app of this policy that promises this rule.
    fn promising(policy: AppPolicy, rule: &UpgradeRule) -> Self {
        let mut registry = Self::with(policy);
        registry.rule(OWNER, rule).unwrap();
        registry
    }

    fn rule(&mut self, from: u8, rule: &UpgradeRule) -> Result<ExecutedBlock, Refused> {
        let cosigners = rule.cosigners.iter().map(|account| alloy_primitives::Address::new(account.0)).collect();
        let app = self.app.as_bytes().into();
        let (notice, needed) = (rule.notice_s, rule.cosigners_needed);
        self.apps(from, IApps::setUpgradeRuleCall { app, noticeS: notice, cosigners, cosignersNeeded: needed })
    }

    fn announce(&mut self, change: &UpgradeChange) -> Result<ExecutedBlock, Refused> {
        let (app, change) = (self.app.as_bytes().into(), change.to_canonical().into());
        self.apps(OWNER, IApps::announceUpgradeCall { app, change })
    }

    fn announce_policy(&mut self, policy: AppPolicy) -> UpgradeChange {
        let change = UpgradeChange { policy: Some(policy), ..UpgradeChange::default() };
        self.announce(&change).unwrap();
        change
    }

    fn approve(&mut self, from: u8, change: &UpgradeChange) -> Result<ExecutedBlock, Refused> {
        let (app, digest) = (self.app.as_bytes().into(), content_digest(&change.to_canonical()));
        self.apps(from, IApps::approveUpgradeCall { app, change: digest.0.into() })
    }

    fn activate(&mut self) -> Result<ExecutedBlock, Refused> {
        self.apps(OWNER, IApps::activateUpgradeCall { app: self.app.as_bytes().into() })
    }

    fn roll_back(&mut self, version: u32) -> Result<ExecutedBlock, Refused> {
        self.apps(OWNER, IApps::rollBackCall { app: self.app.as_bytes().into(), version })
    }

    fn upgrade(&self) -> UpgradeEntry {
        self.entry(EntryKind::Upgrade, self.app.as_bytes()).unwrap()
    }

    fn in_force(&self) -> AppEntry {
        let app: AppEntry = self.entry(EntryKind::App, self.app.as_bytes()).unwrap();
        if let Some(upgrade) = self.entry::<UpgradeEntry>(EntryKind::Upgrade, self.app.as_bytes()) {
            assert_eq!(upgrade.in_force.policy, digest(&app.policy), "the entries agree on what is in force");
        }
        app
    }

    /// Lets time go by, and a block see it.
    fn wait(&mut self, seconds: u64) {
        self.chain.time_ms += seconds * 1_000;
        self.chain.block(vec![]);
    }

    fn granted(&self, draft: &Draft) -> Option<GrantEntry> {
        self.entry(EntryKind::Grant, slots::grant_id(&draft.instance_id(), "root", 0).as_bytes())
    }
}

#[test]
fn a_build_younger_than_promised_registers_nothing_and_gets_no_keys() {
    let mut registry = Registry::promising(another(), &without_cosigners());
    // The owner cannot skip the notice, neither here nor through the entry of Oasis's words, which ends here too.
    assert_refused(registry.update(&both()), ModuleRefusal::UpgradeNotice);
    let announced = registry.announce_policy(both());
    let entry = registry.upgrade();
    let pending = entry.pending.clone().unwrap();
    assert_eq!((&pending.change, pending.policy_digest), (&announced, Some(digest(&both()))));
    let early = registry.draft(INSTANCE);
    assert_refused(registry.register(&early), ModuleRefusal::EvidencePolicy);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    // To the second: blocks are a second apart, and the parent's time counts.
    let due = entry.due_unix_s().unwrap();
    registry.chain.time_ms = (due - 1) * 1_000 - 1_000;
    registry.chain.block(vec![]);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    let draft = registry.draft(INSTANCE);
    assert_refused(registry.register(&draft), ModuleRefusal::EvidencePolicy);
    assert_eq!(registry.granted(&draft), None);
    assert_eq!(registry.in_force().version, 0);

    registry.wait(2);
    assert_refused(
        registry.apps(PROVIDER, IApps::activateUpgradeCall { app: registry.app.as_bytes().into() }),
        ModuleRefusal::NotOwner,
    );
    let block = registry.activate().unwrap();
    let updated = IApps::AppUpdated::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!(updated.version, 1);
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    assert!(registry.granted(&draft).is_some_and(|grant| grant.closed_at.is_none()));
    let entry = registry.upgrade();
    assert_eq!(
        (entry.pending, entry.in_force.version, entry.in_force.public_since_unix_s),
        (None, 1, pending.announced_at_unix_s)
    );
    assert_refused(registry.activate(), ModuleRefusal::UpgradeNone);
}

#[test]
fn a_rolling_upgrade_keeps_who_runs_until_the_old_build_is_dropped() {
    let mut registry = Registry::promising(policy(), &without_cosigners());
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    let public_since = registry.upgrade().in_force.public_since_unix_s;
    registry.announce_policy(both());
    registry.wait(NOTICE_S);
    // The lease of a test's instance is shorter than the notice: another one.
    let running = registry.draft(INSTANCE + 1);
    registry.register(&running).unwrap();
    registry.activate().unwrap();
    assert!(registry.is_authorized(INSTANCE + 1), "the old build goes on");
    // What only drops needs no notice, and is as public as what it was dropped from.
    registry.update(&another()).unwrap();
    assert!(!registry.is_authorized(INSTANCE + 1));
    assert_eq!(registry.instance(&running.instance_id()).closed_code, Some(ClosedCode::Policy));
    assert!(registry.granted(&running).unwrap().closed_at.is_some());
    let entry = registry.upgrade();
    assert_eq!(entry.in_force.version, 2);
    assert!(
        entry.in_force.public_since_unix_s > public_since
            && entry.in_force.public_since_unix_s < entry.in_force.since_unix_s
    );
    assert_eq!(registry.in_force().policy, another());
    assert_refused(registry.update(&both()), ModuleRefusal::UpgradeNotice);
    assert_refused(registry.update(&AppPolicy { lease_s_max: 400, ..another() }), ModuleRefusal::UpgradeNotice);
}

#[test]
fn an_announcement_is_replaced_withdrawn_and_lapses() {
    let mut registry = Registry::promising(policy(), &without_cosigners());
    registry.announce_policy(another());
    registry.wait(NOTICE_S - 100);
    // Another one begins anew.
    registry.announce_policy(both());
    registry.wait(200);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    let app = registry.app.as_bytes().into();
    assert_refused(registry.apps(PROVIDER, IApps::withdrawUpgradeCall { app }), ModuleRefusal::NotOwner);
    registry.apps(OWNER, IApps::withdrawUpgradeCall { app }).unwrap();
    assert_refused(registry.apps(OWNER, IApps::withdrawUpgradeCall { app }), ModuleRefusal::UpgradeNone);
    registry.wait(NOTICE_S);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeNone);
    registry.announce_policy(both());
    registry.wait(NOTICE_S + 30 * 86_400);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeLapsed);
    assert_eq!(registry.in_force().policy, policy());

    // What cannot be announced.
    let rule = |notice_s| Some(UpgradeRule { notice_s, ..UpgradeRule::default() });
    let unsound = [
        UpgradeChange::default(),
        UpgradeChange { rule: rule(u64::MAX), ..UpgradeChange::default() },
        UpgradeChange { policy: Some(policy()), rollback_to: Some(0), rule: None },
    ];
    for change in unsound {
        assert_refused(registry.announce(&change), ModuleRefusal::UpgradeChange);
    }
    let mut wide = policy();
    wide.boot_contexts = vec!["root".to_owned(); 2];
    let change = UpgradeChange { policy: Some(wide), ..UpgradeChange::default() };
    assert_refused(registry.announce(&change), ModuleRefusal::Policy);
    for bytes in [vec![], vec![9], vec![0; 20_000]] {
        let change = Bytes::from(bytes);
        assert_refused(registry.apps(OWNER, IApps::announceUpgradeCall { app, change }), ModuleRefusal::UpgradeChange);
    }
}

#[test]
fn cosigners_approve_this_change_and_no_other() {
    let [first, second] = cosigners();
    let mut registry = Registry::promising(policy(), &with_cosigners(2));
    let change = registry.announce_policy(both());
    assert_refused(registry.approve(OWNER, &change), ModuleRefusal::NotCosigner);
    let other = UpgradeChange { policy: Some(another()), ..UpgradeChange::default() };
    assert_refused(registry.approve(first, &other), ModuleRefusal::UpgradeNone);
    registry.approve(first, &change).unwrap();
    assert_refused(registry.approve(first, &change), ModuleRefusal::UpgradeSaid);
    registry.approve(second, &change).unwrap();
    // A word can be taken back while it is time.
    let disapprove = IApps::disapproveUpgradeCall {
        app: registry.app.as_bytes().into(),
        change: content_digest(&change.to_canonical()).0.into(),
    };
    registry.apps(second, disapprove.clone()).unwrap();
    assert_refused(registry.apps(second, disapprove), ModuleRefusal::UpgradeSaid);
    registry.wait(NOTICE_S);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeApprovals);
    // Swapped at the last moment: the approvals were of another change, and its notice begins now.
    registry.announce(&other).unwrap();
    assert_refused(registry.approve(second, &change), ModuleRefusal::UpgradeNone);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    let change = registry.announce_policy(both());
    assert_eq!(registry.upgrade().pending.unwrap().approvals, Vec::<Account>::new());
    registry.approve(second, &change).unwrap();
    registry.approve(first, &change).unwrap();
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    registry.wait(NOTICE_S);
    registry.activate().unwrap();
    assert_eq!(registry.in_force().policy, both());
}

#[test]
fn a_rule_is_raised_at_once_and_lowered_only_by_itself() {
    let [first, _] = cosigners();
    let mut registry = Registry::new();
    assert_refused(registry.rule(PROVIDER, &without_cosigners()), ModuleRefusal::NotOwner);
    let endless = UpgradeRule { notice_s: u64::MAX, ..UpgradeRule::default() };
    assert_refused(registry.rule(OWNER, &endless), ModuleRefusal::UpgradeRule);
    let unmet = UpgradeRule { cosigners_needed: 1, ..UpgradeRule::default() };
    assert_refused(registry.rule(OWNER, &unmet), ModuleRefusal::UpgradeRule);
    registry.rule(OWNER, &without_cosigners()).unwrap();
    registry.rule(OWNER, &with_cosigners(1)).unwrap();
    let since = registry.upgrade().promised_since_unix_s;
    // Shorter, without co-signers, with a friend who could stand for them.
    let shorter = UpgradeRule { notice_s: NOTICE_S - 1, ..with_cosigners(1) };
    let mut friend = with_cosigners(1);
    friend.cosigners.push(key(OWNER).account());
    friend.cosigners.sort_unstable();
    for weaker in [&shorter, &without_cosigners(), &friend, &UpgradeRule::default()] {
        assert_refused(registry.rule(OWNER, weaker), ModuleRefusal::UpgradeWeaker);
    }
    // It is announced: the notice and the co-signers of the rule in force count.
    let change = UpgradeChange { rule: Some(shorter.clone()), ..UpgradeChange::default() };
    registry.announce(&change).unwrap();
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    // Raised meanwhile, the longer notice counts.
    let longer = UpgradeRule { notice_s: 2 * NOTICE_S, ..with_cosigners(1) };
    registry.rule(OWNER, &longer).unwrap();
    registry.wait(NOTICE_S);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeEarly);
    registry.wait(NOTICE_S);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeApprovals);
    registry.approve(first, &change).unwrap();
    registry.activate().unwrap();
    let entry = registry.upgrade();
    assert_eq!((&entry.rule, entry.promised_since_unix_s, entry.in_force.version), (&shorter, since, 0));
    // Back to nothing, with a policy in one change; then an owner replaces at once again.
    let change = UpgradeChange { policy: Some(both()), rule: Some(UpgradeRule::default()), rollback_to: None };
    registry.announce(&change).unwrap();
    registry.approve(first, &change).unwrap();
    registry.wait(NOTICE_S);
    registry.activate().unwrap();
    assert_eq!((registry.upgrade().promised_since_unix_s, registry.in_force().policy), (0, both()));
    registry.update(&policy()).unwrap();
    assert_eq!(registry.in_force().version, 2);
}

#[test]
fn a_version_comes_back_while_its_users_remember_it() {
    let mut registry = Registry::promising(policy(), &without_cosigners());
    registry.announce_policy(another());
    registry.wait(NOTICE_S);
    registry.activate().unwrap();
    assert_refused(registry.roll_back(1), ModuleRefusal::RollbackVersion);
    assert_refused(registry.roll_back(7), ModuleRefusal::RollbackVersion);
    registry.wait(NOTICE_S - 10);
    let block = registry.roll_back(0).unwrap();
    assert!(block.receipts[0].envelope.status());
    let (app, entry) = (registry.in_force(), registry.upgrade());
    assert_eq!((app.version, app.policy, entry.pending), (2, policy(), None));
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    // What it replaced can come back too, for as long; then it has to be announced.
    registry.wait(NOTICE_S);
    assert_refused(registry.roll_back(1), ModuleRefusal::RollbackOld);
    assert_refused(registry.update(&another()), ModuleRefusal::UpgradeNotice);
    // What is denied stays denied, whichever policy is in force.
    registry.deny(3, shown().launched()).unwrap();
    let denied = registry.draft(INSTANCE + 1);
    assert_refused(registry.register(&denied), ModuleRefusal::DeniedSubject);
}

#[test]
fn what_stood_for_a_moment_before_a_promise_does_not_come_back_under_it() {
    let mut registry = Registry::new();
    registry.announce_policy(both());
    registry.activate().unwrap();
    registry.update(&policy()).unwrap();
    registry.rule(OWNER, &without_cosigners()).unwrap();
    // It was replaced just now, and nobody who relies on the notice had time to see it.
    assert_refused(registry.roll_back(1), ModuleRefusal::RollbackOld);
    // Nor under a notice that was raised since.
    let mut registry = Registry::promising(policy(), &without_cosigners());
    registry.announce_policy(both());
    registry.wait(NOTICE_S);
    registry.activate().unwrap();
    registry.rule(OWNER, &UpgradeRule { notice_s: 3 * NOTICE_S, ..UpgradeRule::default() }).unwrap();
    assert_refused(registry.roll_back(0), ModuleRefusal::RollbackOld);
    registry.wait(2 * NOTICE_S);
    registry.roll_back(0).unwrap();
    assert_eq!(registry.in_force().policy, policy());
}

#[test]
fn going_back_needs_the_cosigners_too_but_no_notice() {
    let [first, second] = cosigners();
    let mut registry = Registry::promising(policy(), &with_cosigners(1));
    let change = registry.announce_policy(another());
    registry.approve(first, &change).unwrap();
    registry.wait(NOTICE_S);
    registry.activate().unwrap();
    registry.roll_back(0).unwrap();
    assert_eq!(registry.in_force().policy, another(), "nobody approved it yet");
    assert_refused(registry.activate(), ModuleRefusal::UpgradeApprovals);
    let back = UpgradeChange { policy: Some(policy()), rule: None, rollback_to: Some(0) };
    registry.approve(second, &back).unwrap();
    registry.activate().unwrap();
    assert_eq!(registry.in_force().policy, policy());
    // Approved too late, it waits like any policy.
    let back = UpgradeChange { policy: Some(another()), rule: None, rollback_to: Some(1) };
    registry.roll_back(1).unwrap();
    registry.wait(NOTICE_S - 20);
    registry.approve(second, &back).unwrap();
    registry.activate().unwrap();
    assert_eq!(registry.in_force().policy, another());
}

#[test]
fn what_takes_trust_away_and_what_hands_over_counts_at_once() {
    let mut registry = Registry::promising(policy(), &without_cosigners());
    let draft = registry.draft(INSTANCE);
    registry.register(&draft).unwrap();
    registry.deny(3, shown().launched()).unwrap();
    assert!(!registry.is_authorized(INSTANCE));
    let app = registry.app.as_bytes().into();
    registry.apps(OWNER, IApps::setOwnerCall { app, newOwner: address(&key(9)) }).unwrap();
    // The next owner is bound by the same rule.
    let policy = Bytes::from(another().to_canonical());
    assert_refused(registry.apps(9, IApps::updateCall { app, policy }), ModuleRefusal::UpgradeNotice);
    let weaker = IApps::setUpgradeRuleCall { app, noticeS: 0, cosigners: vec![], cosignersNeeded: 0 };
    assert_refused(registry.apps(9, weaker.clone()), ModuleRefusal::UpgradeWeaker);
    registry.apps(9, IApps::closeCall { app }).unwrap();
    assert_refused(registry.apps(9, weaker), ModuleRefusal::AppClosed);
}

#[test]
fn an_app_without_a_rule_is_as_before_and_may_announce() {
    let mut registry = Registry::new();
    registry.update(&both()).unwrap();
    assert_eq!(registry.entry::<UpgradeEntry>(EntryKind::Upgrade, registry.app.as_bytes()), None);
    assert_refused(registry.activate(), ModuleRefusal::UpgradeNone);
    registry.announce_policy(another());
    registry.activate().unwrap();
    // Any version comes back at once, and is as young as that.
    registry.roll_back(0).unwrap();
    let entry = registry.upgrade();
    assert_eq!((registry.in_force().policy, entry.in_force.version), (policy(), 3));
    assert_eq!(entry.in_force.public_since_unix_s, entry.in_force.since_unix_s);
    let view = registry.view(module(slots::APPS), IApps::upgradeRuleCall { id: registry.app.as_bytes().into() });
    let told = IApps::upgradeRuleCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!((told.noticeS, told.cosignersNeeded, told.dueAt), (0, 0, 0));
    assert_eq!(told.publicSince, entry.in_force.public_since_unix_s);
    let view = registry.view(module(slots::APPS), IApps::upgradeCall { id: registry.app.as_bytes().into() });
    let bytes = IApps::upgradeCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!(UpgradeEntry::from_canonical(&bytes).unwrap(), entry);
}

#[test]
fn an_auditors_newest_word_stands_under_their_name() {
    let mut registry = Registry::new();
    let policy = digest(&policy());
    let word = |verdict: u8, place: &str| IApps::auditCall {
        app: registry.app.as_bytes().into(),
        policy: policy.0.into(),
        verdict,
        report: [7; 32].into(),
        place: place.to_owned(),
    };
    let (sound, flawed) = (word(1, "https://auditor.example/report"), word(2, ""));
    for refused in [word(0, ""), word(3, ""), word(1, "a b"), word(1, &"x".repeat(257))] {
        assert_refused(registry.apps(8, refused), ModuleRefusal::Audit);
    }
    let unknown = IApps::auditCall { app: [0; 21].into(), ..sound.clone() };
    assert_refused(registry.apps(8, unknown), ModuleRefusal::AppUnknown);
    let id = slots::audit_id(&key(8).account(), &registry.app, &policy);
    registry.apps(8, sound.clone()).unwrap();
    let entry: AuditEntry = registry.entry(EntryKind::Audit, &id).unwrap();
    assert_eq!((entry.auditor, entry.verdict, entry.policy), (key(8).account(), AuditVerdict::Sound, policy));
    registry.apps(8, flawed).unwrap();
    let entry: AuditEntry = registry.entry(EntryKind::Audit, &id).unwrap();
    assert_eq!(entry.verdict, AuditVerdict::Flawed);
    // Another's word is another entry.
    registry.apps(9, sound).unwrap();
    let call = |auditor: u8| IApps::auditOfCall {
        auditor: address(&key(auditor)),
        id: registry.app.as_bytes().into(),
        policy: policy.0.into(),
    };
    let view = registry.view(module(slots::APPS), call(8));
    let bytes = IApps::auditOfCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!(AuditEntry::from_canonical(&bytes).unwrap(), entry);
    let view = registry.view(module(slots::APPS), call(7));
    assert_eq!(ModuleRefusal::from_revert(&view.output).unwrap().0, ModuleRefusal::Unknown);
}
