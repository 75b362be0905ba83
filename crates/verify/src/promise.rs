//! What an app promises about its upgrades: what a person demands of it, and whether what is proven keeps to that
//! (`spec/upgrades.md` §4, `spec/proof-bundle.md` §9).
//!
//! Times are headers' alone. Whoever asks an app and whoever checks a proof of it, years later, judge by the same rules.

use freehold_primitives::{
    Account, Digest, UnixSeconds,
    entries::{AuditVerdict, UpgradeEntry},
};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use thiserror::Error;

/// What somebody demands of an app's upgrades. The default demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpgradeDemand {
    /// Least notice that the app promises, and least age of what its policy admits, in seconds.
    pub notice_s_min: u64,
    /// Least number of co-signers that a change needs.
    pub cosigners_min: u32,
    /// Accounts that must have called the policy in force sound.
    pub auditors: Vec<Account>,
}

/// What an app lacks of what was demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpgradeShortfall {
    /// It promises less notice.
    #[error("the app promises {promised_s} s of notice for upgrades, and {demanded_s} s are demanded")]
    Notice {
        /// Seconds that it promises.
        promised_s: u64,
        /// Seconds that are demanded.
        demanded_s: u64,
    },
    /// Its policy became public later than is demanded.
    #[error("what the app's policy admits is public for {public_s} s, and {demanded_s} s are demanded")]
    Young {
        /// Seconds since it became public.
        public_s: u64,
        /// Seconds that are demanded.
        demanded_s: u64,
    },
    /// It promised nothing yet when it answered.
    #[error("the app promised nothing yet when it answered: it promises since {since_unix_s} (unix seconds)")]
    Late {
        /// Since when it promises anything, unix seconds.
        since_unix_s: UnixSeconds,
    },
    /// Its changes need fewer co-signers.
    #[error("a change of the app needs {needed} co-signers, and {demanded} are demanded")]
    Cosigners {
        /// How many are needed.
        needed: u32,
        /// How many are demanded.
        demanded: u32,
    },
    /// An auditor has not spoken for its policy.
    #[error("0x{0} has not called the app's policy in force sound")]
    Unaudited(Account),
    /// An auditor has spoken against it.
    #[error("0x{0} calls the app's policy in force flawed")]
    Flawed(Account),
    /// The proof holds no promise.
    #[error("the proof says nothing of the app's upgrades: `ask` and `chat` of this release keep that in it")]
    Unproven,
    /// The proof does not hold what an auditor says.
    #[error("the proof does not hold what 0x{0} says of the app's policy: `ask --auditor` keeps that in it")]
    AuditUnproven(Account),
}

impl UpgradeDemand {
    /// Whether it demands nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an app keeps to it at a time, but for auditors. `entry` is what it promises; `None` where it never did.
    ///
    /// # Errors
    /// The [`UpgradeShortfall`] that comes first.
    pub fn met_by(&self, entry: Option<&UpgradeEntry>, at_unix_s: UnixSeconds) -> Result<(), UpgradeShortfall> {
        let (promised_s, needed) = entry.map_or((0, 0), |entry| (entry.rule.notice_s, entry.rule.cosigners_needed));
        let demanded_s = self.notice_s_min;
        if promised_s < demanded_s {
            return Err(UpgradeShortfall::Notice { promised_s, demanded_s });
        }
        let public_since = entry.map_or(at_unix_s, |entry| entry.in_force.public_since_unix_s);
        let public_s = at_unix_s.saturating_sub(public_since);
        if public_s < demanded_s {
            return Err(UpgradeShortfall::Young { public_s, demanded_s });
        }
        let demanded = self.cosigners_min;
        if needed < demanded {
            return Err(UpgradeShortfall::Cosigners { needed, demanded });
        }
        Ok(())
    }
}

/// Whether an auditor's newest word on the policy in force is what a demand asks for.
///
/// # Errors
/// [`UpgradeShortfall::Flawed`], [`UpgradeShortfall::Unaudited`].
pub const fn called_sound(auditor: Account, word: Option<AuditVerdict>) -> Result<(), UpgradeShortfall> {
    match word {
        Some(AuditVerdict::Sound) => Ok(()),
        Some(AuditVerdict::Flawed) => Err(UpgradeShortfall::Flawed(auditor)),
        None => Err(UpgradeShortfall::Unaudited(auditor)),
    }
}

/// What an auditor says of the policy in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audited {
    /// Who.
    pub auditor: Account,
    /// Their newest word; `None` where they said nothing.
    pub word: Option<AuditVerdict>,
}

/// What a proof shows of an app's promise, as it stood in the state that the proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Content digest of the policy in force.
    pub policy: Digest,
    /// What the app promises; `None` where it never promised anything.
    pub entry: Option<UpgradeEntry>,
    /// What the auditors of the proof say of that policy.
    pub audits: Vec<Audited>,
}

impl Promise {
    /// Whether the app kept to a demand when it answered, at `at_unix_s`: it promised something by then, the policy was public
    /// for long enough by then, and the rule of the proof's state is as strict.
    ///
    /// # Errors
    /// The [`UpgradeShortfall`] that comes first.
    pub fn meets(&self, demand: &UpgradeDemand, at_unix_s: UnixSeconds) -> Result<(), UpgradeShortfall> {
        demand.met_by(self.entry.as_ref(), at_unix_s)?;
        let asks_for_a_rule = demand.notice_s_min > 0 || demand.cosigners_min > 0;
        let since_unix_s = self.entry.as_ref().map_or(0, |entry| entry.promised_since_unix_s);
        if asks_for_a_rule && since_unix_s > at_unix_s {
            return Err(UpgradeShortfall::Late { since_unix_s });
        }
        for auditor in &demand.auditors {
            let found = self.audits.iter().find(|audited| audited.auditor == *auditor);
            called_sound(*auditor, found.ok_or(UpgradeShortfall::AuditUnproven(*auditor))?.word)?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct AuditLine {
    auditor: Account,
    verdict: Option<&'static str>,
}

impl Serialize for Promise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rule = self.entry.as_ref().map(|entry| &entry.rule);
        let audits: Vec<AuditLine> = self
            .audits
            .iter()
            .map(|audited| AuditLine {
                auditor: audited.auditor,
                verdict: audited.word.map(|word| match word {
                    AuditVerdict::Sound => "sound",
                    AuditVerdict::Flawed => "flawed",
                }),
            })
            .collect();
        let mut object = serializer.serialize_struct("Promise", 7)?;
        object.serialize_field("policy", &self.policy)?;
        object.serialize_field("notice_s", &rule.map_or(0, |rule| rule.notice_s))?;
        object.serialize_field("cosigners", rule.map_or(&[][..], |rule| &rule.cosigners))?;
        object.serialize_field("cosigners_needed", &rule.map_or(0, |rule| rule.cosigners_needed))?;
        let promised = self.entry.as_ref().map(|entry| entry.promised_since_unix_s);
        object.serialize_field("promised_since", &promised.filter(|since| *since > 0))?;
        let public = self.entry.as_ref().map(|entry| entry.in_force.public_since_unix_s);
        object.serialize_field("public_since", &public)?;
        object.serialize_field("audits", &audits)?;
        object.end()
    }
}
