//! What an app promises about its upgrades, and what was announced of the next one (`spec/upgrades.md`).
//!
//! Invariant: whether an announced change may come into force is judged here, by state and time alone, so that the chain
//! and whoever looks at it from outside say the same. A change of the rule never makes what was announced before come
//! sooner: the rule in force when a change is to count decides.

#[cfg(test)]
mod tests;

use crate::{
    ids::{Account, AppId, Digest, Height, UnixSeconds},
    policy::AppPolicy,
};

/// Longest notice that an app can promise, in seconds: a year.
pub const NOTICE_S_MAX: u64 = 365 * 86_400;
/// Most co-signers of an app.
pub const COSIGNERS_MAX: usize = 16;
/// How long after its notice an announced change may still come into force, in seconds: 30 days.
pub const ANNOUNCEMENT_LAPSE_S: u64 = 30 * 86_400;
/// Most policies that an entry remembers for going back.
pub const POLICIES_STOOD_MAX: usize = 16;
/// Longest place of an audit's report, in bytes.
pub const AUDIT_PLACE_BYTES_MAX: usize = 256;

canonical_struct! {
    /// What an app promises about its upgrades.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct UpgradeRule {
        /// Seconds between the announcement of a policy and its coming into force; 0 promises none.
        pub notice_s: u64,
        /// Accounts that may approve, in rising order.
        pub cosigners: Vec<Account>,
        /// How many of them must.
        pub cosigners_needed: u32,
    }
}

canonical_struct! {
    /// What is announced: another policy, another rule, both, or the return of a policy that stood before.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct UpgradeChange {
        /// The policy that comes into force.
        pub policy: Option<AppPolicy>,
        /// The rule that counts from then on.
        pub rule: Option<UpgradeRule>,
        /// Version of the app whose policy returns; `policy` is that one.
        pub rollback_to: Option<u32>,
    }
}

canonical_struct! {
    /// A change that was announced and is not in force.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct UpgradeAnnouncement {
        /// What changes.
        pub change: UpgradeChange,
        /// Content digest of `change`: what co-signers approve.
        pub digest: Digest,
        /// Content digest of its policy, where it has one.
        pub policy_digest: Option<Digest>,
        /// Height that announced it.
        pub announced_at: Height,
        /// Time of that block, unix seconds.
        pub announced_at_unix_s: UnixSeconds,
        /// Who approved it.
        pub approvals: Vec<Account>,
    }
}

canonical_struct! {
    /// The policy in force.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PolicyInForce {
        /// Version of the app that brought it into force.
        pub version: u32,
        /// Its content digest.
        pub policy: Digest,
        /// Since when what it admits is public, unix seconds.
        pub public_since_unix_s: UnixSeconds,
        /// Since when it is in force, unix seconds.
        pub since_unix_s: UnixSeconds,
    }
}

canonical_struct! {
    /// A policy that was in force before.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PolicyStood {
        /// Version of the app that brought it into force.
        pub version: u32,
        /// Its content digest.
        pub policy: Digest,
        /// Since when what it admits is public, unix seconds.
        pub public_since_unix_s: UnixSeconds,
        /// Until when it was in force, unix seconds.
        pub until_unix_s: UnixSeconds,
    }
}

canonical_struct! {
    /// Upgrades of an app. An app without this entry promises nothing.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct UpgradeEntry {
        /// The app.
        pub app_id: AppId,
        /// Height that changed the entry last.
        pub changed_at: Height,
        /// What it promises.
        pub rule: UpgradeRule,
        /// Since when it promises anything without a gap, unix seconds; 0 while it promises nothing.
        pub promised_since_unix_s: UnixSeconds,
        /// What is announced.
        pub pending: Option<UpgradeAnnouncement>,
        /// The policy in force.
        pub in_force: PolicyInForce,
        /// Policies that were in force within the last notice, oldest first.
        pub stood: Vec<PolicyStood>,
    }
}

canonical_enum! {
    /// What an auditor says of a policy, and so of the builds that it admits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AuditVerdict {
        /// Nothing was found that speaks against it.
        Sound = 1,
        /// Something was found: an earlier word for it counts no more.
        Flawed = 2,
    }
}

canonical_struct! {
    /// The newest word of an account on a policy of an app.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuditEntry {
        /// Who says it.
        pub auditor: Account,
        /// The app.
        pub app_id: AppId,
        /// Content digest of the policy.
        pub policy: Digest,
        /// What they say.
        pub verdict: AuditVerdict,
        /// SHA-256 of the report.
        pub report: Digest,
        /// Where the report is, in their words: printable ASCII; may be empty.
        pub place: String,
        /// Height that said it.
        pub said_at: Height,
        /// Time of that block, unix seconds.
        pub said_at_unix_s: UnixSeconds,
    }
}

/// Whether an announced change may come into force, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeState {
    /// It may.
    Ready,
    /// The notice runs until this time, unix seconds.
    Noticed(UnixSeconds),
    /// This many co-signers are missing.
    Unapproved(u32),
    /// It had its time; it has to be announced again.
    Lapsed,
}

impl UpgradeRule {
    /// Whether it is within bounds and can be satisfied: co-signers in rising order, and no more needed than there are.
    pub fn is_sound(&self) -> bool {
        self.notice_s <= NOTICE_S_MAX
            && self.cosigners.len() <= COSIGNERS_MAX
            && self.cosigners.windows(2).all(|pair| pair[0] < pair[1])
            && self.cosigners_needed as usize <= self.cosigners.len()
    }

    /// Whether it promises nothing.
    pub const fn is_free(&self) -> bool {
        self.notice_s == 0 && self.cosigners_needed == 0
    }

    /// Whether whatever satisfies this rule satisfies the other one too: no shorter notice, and among any co-signers that
    /// suffice here are enough of the other's.
    pub fn protects_as(&self, other: &Self) -> bool {
        let strangers = self.cosigners.iter().filter(|account| !other.cosigners.contains(account)).count();
        let of_the_other = (self.cosigners_needed as usize).saturating_sub(strangers);
        self.notice_s >= other.notice_s && of_the_other >= other.cosigners_needed as usize
    }

    /// How many approvals are missing.
    pub fn missing(&self, approvals: &[Account]) -> u32 {
        let counted = self.cosigners.iter().filter(|account| approvals.contains(account)).count();
        self.cosigners_needed.saturating_sub(u32::try_from(counted).unwrap_or(u32::MAX))
    }
}

impl UpgradeChange {
    /// Whether it changes something, within bounds, and returns to nothing but a policy. The policy's own bounds are not
    /// looked at.
    pub fn is_sound(&self) -> bool {
        match self.rollback_to {
            Some(_) => self.policy.is_some() && self.rule.is_none(),
            None => {
                (self.policy.is_some() || self.rule.is_some()) && self.rule.as_ref().is_none_or(UpgradeRule::is_sound)
            }
        }
    }
}

impl UpgradeEntry {
    /// How what is announced stands at a time; `None` where nothing is.
    pub fn state(&self, now_unix_s: UnixSeconds) -> Option<UpgradeState> {
        let pending = self.pending.as_ref()?;
        let due = pending.announced_at_unix_s.saturating_add(self.rule.notice_s);
        let returns = pending.change.rollback_to.is_some()
            && pending.policy_digest.is_some_and(|policy| self.may_return(&policy, now_unix_s));
        let missing = self.rule.missing(&pending.approvals);
        Some(if now_unix_s >= due.saturating_add(ANNOUNCEMENT_LAPSE_S) {
            UpgradeState::Lapsed
        } else if now_unix_s < due && !returns {
            UpgradeState::Noticed(due)
        } else if missing > 0 {
            UpgradeState::Unapproved(missing)
        } else {
            UpgradeState::Ready
        })
    }

    /// When the notice of what is announced is over, unix seconds.
    pub fn due_unix_s(&self) -> Option<UnixSeconds> {
        self.pending.as_ref().map(|pending| pending.announced_at_unix_s.saturating_add(self.rule.notice_s))
    }

    /// Whether a policy was in force until less than one notice ago, and is public for one at least: then it may come back
    /// without another. Its age is asked for too, because a promise may be younger than what it followed.
    pub fn may_return(&self, policy: &Digest, now_unix_s: UnixSeconds) -> bool {
        let notice_s = self.rule.notice_s;
        self.stood.iter().any(|stood| {
            stood.policy == *policy
                && now_unix_s < stood.until_unix_s.saturating_add(notice_s)
                && now_unix_s >= stood.public_since_unix_s.saturating_add(notice_s)
        })
    }

    /// Puts a policy in force, and remembers the one before.
    pub fn replace(&mut self, next: PolicyInForce) {
        let now = next.since_unix_s;
        let before = std::mem::replace(&mut self.in_force, next);
        let notice_s = self.rule.notice_s;
        self.stood.retain(|stood| stood.policy != before.policy && now < stood.until_unix_s.saturating_add(notice_s));
        self.stood.push(PolicyStood {
            version: before.version,
            policy: before.policy,
            public_since_unix_s: before.public_since_unix_s,
            until_unix_s: now,
        });
        if self.stood.len() > POLICIES_STOOD_MAX {
            self.stood.remove(0);
        }
    }

    /// Puts a rule in force at a time, unix seconds.
    pub fn promise(&mut self, rule: UpgradeRule, now_unix_s: UnixSeconds) {
        self.promised_since_unix_s = match (rule.is_free(), self.rule.is_free()) {
            (true, _) => 0,
            (false, true) => now_unix_s,
            (false, false) => self.promised_since_unix_s,
        };
        self.rule = rule;
    }
}

impl AuditEntry {
    /// Whether a report's place can be written so: at most [`AUDIT_PLACE_BYTES_MAX`] printable ASCII characters without
    /// spaces.
    pub fn is_place(place: &str) -> bool {
        place.len() <= AUDIT_PLACE_BYTES_MAX && place.bytes().all(|byte| byte.is_ascii_graphic())
    }
}
