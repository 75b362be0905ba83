//! Whether the chain proves that an app keeps to what a person demands of its upgrades (`spec/upgrades.md` §4).
//!
//! Invariant: everything is read by proof under certified headers, and time is the header's, so that a node that lies can
//! only withhold. Not here: what the policy admits, which [`freehold_verify`] judges.

#[cfg(test)]
mod tests;

use freehold_crypto::content_digest;
use freehold_primitives::{
    Account, AppId, Canonical as _, Digest, UnixSeconds,
    entries::{AppEntry, AuditEntry, UpgradeEntry, UpgradeRule, UpgradeState},
};
use freehold_rpc::{EntryKey, VerifiedClient, VerifiedError};
use freehold_verify::{UpgradeDemand, UpgradeShortfall, called_sound};
use thiserror::Error;

/// Reads of two entries that do not fit together before one gives up: an upgrade came between them.
const TRIES: u32 = 3;

/// Why it is not known, or not so, that an app keeps to what is demanded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpgradesError {
    /// No checked answer.
    #[error(transparent)]
    Unverified(Box<VerifiedError>),
    /// There is no such app.
    #[error("the chain has no app {0}")]
    NoApp(AppId),
    /// The app's policy and what is said of it do not belong together.
    #[error("the app's policy changed while it was read: try again")]
    Moved,
    /// It does not keep to it.
    #[error(transparent)]
    Shortfall(#[from] UpgradeShortfall),
}

impl From<VerifiedError> for UpgradesError {
    fn from(error: VerifiedError) -> Self {
        Self::Unverified(Box::new(error))
    }
}

/// An app and what it promises, as a chain proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUpgrades {
    /// Time of the header under which they stand, unix seconds.
    pub time_unix_s: UnixSeconds,
    /// The app.
    pub app: AppEntry,
    /// What it promises and what is announced; `None` where it never promised anything.
    pub entry: Option<UpgradeEntry>,
}

impl AppUpgrades {
    /// Reads both by proof.
    ///
    /// # Errors
    /// [`UpgradesError::Unverified`], [`UpgradesError::NoApp`], [`UpgradesError::Moved`].
    pub async fn read(chain: &VerifiedClient, app: AppId) -> Result<Self, UpgradesError> {
        for _ in 0..TRIES {
            let entry = chain.entry::<AppEntry>(&EntryKey::App(app)).await?.entry.ok_or(UpgradesError::NoApp(app))?;
            let upgrade = chain.entry::<UpgradeEntry>(&EntryKey::Upgrade(app)).await?;
            let found = Self { time_unix_s: upgrade.header.time_unix_s(), app: entry, entry: upgrade.entry };
            if found.is_of_one_state() {
                return Ok(found);
            }
        }
        Err(UpgradesError::Moved)
    }

    fn is_of_one_state(&self) -> bool {
        self.entry.as_ref().is_none_or(|entry| entry.in_force.policy == self.policy_digest())
    }

    /// Content digest of the policy in force: what auditors speak of.
    pub fn policy_digest(&self) -> Digest {
        content_digest(&self.app.policy.to_canonical())
    }

    /// The rule in force.
    pub fn rule(&self) -> UpgradeRule {
        self.entry.as_ref().map_or_else(UpgradeRule::default, |entry| entry.rule.clone())
    }

    /// How what is announced stands at the header's time; `None` where nothing is.
    pub fn state(&self) -> Option<UpgradeState> {
        self.entry.as_ref()?.state(self.time_unix_s)
    }

    /// Whether the app keeps to a demand, but for auditors.
    ///
    /// # Errors
    /// The [`UpgradeShortfall`] that comes first.
    pub fn meets(&self, demand: &UpgradeDemand) -> Result<(), UpgradeShortfall> {
        demand.met_by(self.entry.as_ref(), self.time_unix_s)
    }

    /// Whether the app keeps to a demand, auditors included.
    ///
    /// # Errors
    /// [`UpgradesError::Shortfall`], [`UpgradesError::Unverified`].
    pub async fn check(&self, chain: &VerifiedClient, demand: &UpgradeDemand) -> Result<(), UpgradesError> {
        self.meets(demand)?;
        for auditor in &demand.auditors {
            let audit = self.audit(chain, *auditor).await?;
            called_sound(*auditor, audit.map(|audit| audit.verdict))?;
        }
        Ok(())
    }

    /// An account's newest word on the policy in force.
    ///
    /// # Errors
    /// [`UpgradesError::Unverified`].
    pub async fn audit(&self, chain: &VerifiedClient, auditor: Account) -> Result<Option<AuditEntry>, UpgradesError> {
        let key = EntryKey::Audit(auditor, self.app.app_id, self.policy_digest());
        Ok(chain.entry::<AuditEntry>(&key).await?.entry)
    }
}
