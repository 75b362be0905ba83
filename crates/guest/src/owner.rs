//! What the app's owner set for its instances (`spec/settings.md`): read from the chain under a certificate, opened, held.
//!
//! Invariants: the generation that is held never falls, and no proof under a header older than the guest's newest is
//! taken, so that a host which plays back an earlier set gets nothing but an error. Values are wiped when a newer set takes
//! their place, and are never printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use freehold_crypto::{Derivation, DerivedKey, SettingPlace};
use freehold_primitives::{
    BlockMoment, Generation, Height,
    entries::{AppSettings, SETTINGS_CONTEXT, Setting, SettingForm, SettingsEntry, SpendingLimits},
};
use freehold_rpc::{Checked, VerifiedError};
use freehold_verify::EntryKey;
use thiserror::Error;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{agent::Guest, chain::ChainError};

/// Why the settings could not be looked at. What is held stays.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum OwnerError {
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    #[error("the relay proves the settings at height {shown}, and this instance has seen {seen}: they may be old ones")]
    Old { shown: Height, seen: Height },
    #[error(
        "the chain shows generation {shown} of the settings, and this instance holds {held}: no honest chain goes back"
    )]
    Back { shown: u64, held: u64 },
    #[error("the settings that the chain holds are not those of this app, or break a bound")]
    Malformed,
}

/// One setting as the instance has it.
pub(crate) struct HeldSetting {
    pub(crate) name: String,
    pub(crate) form: SettingForm,
    pub(crate) set_at: u64,
    /// The value; `None` where it does not open.
    pub(crate) value: Option<Zeroizing<Vec<u8>>>,
}

/// A whole set.
pub(crate) struct HeldSet {
    /// 0 where the owner never set anything.
    pub(crate) generation: u64,
    pub(crate) changed_at: Height,
    pub(crate) settings: Vec<HeldSetting>,
    pub(crate) spending: Option<SpendingLimits>,
    /// Header under which it was seen.
    pub(crate) header: BlockMoment,
}

impl HeldSet {
    pub(crate) fn get(&self, name: &str) -> Option<&HeldSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    fn is_whole(&self) -> bool {
        self.settings.iter().all(|setting| setting.value.is_some())
    }
}

/// Keys that settings are sealed to, by their generation.
#[derive(Default)]
struct SettingsKeys {
    held: BTreeMap<Generation, (Derivation, DerivedKey)>,
    /// Generations that a grant was asked for.
    asked: BTreeSet<Generation>,
}

/// What the owner set, as it is held now.
pub(crate) struct OwnerSettings {
    held: watch::Sender<Option<Arc<HeldSet>>>,
    /// One look at a time.
    keys: tokio::sync::Mutex<SettingsKeys>,
    trouble: Mutex<Option<String>>,
}

impl Default for OwnerSettings {
    fn default() -> Self {
        Self { held: watch::Sender::new(None), keys: tokio::sync::Mutex::default(), trouble: Mutex::default() }
    }
}

impl OwnerSettings {
    /// What is held; `None` before the first look.
    pub(crate) fn held(&self) -> watch::Receiver<Option<Arc<HeldSet>>> {
        self.held.subscribe()
    }

    /// The newest set; `None` before the first look.
    pub(crate) fn newest(&self) -> Option<Arc<HeldSet>> {
        self.held.borrow().clone()
    }

    /// What went wrong at the newest look.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the chain, and takes a newer set.
    pub(crate) async fn look(&self, guest: &Guest) -> Result<Arc<HeldSet>, OwnerError> {
        let looked = self.try_look(guest).await;
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = looked.as_ref().err().map(ToString::to_string);
        looked
    }

    async fn try_look(&self, guest: &Guest) -> Result<Arc<HeldSet>, OwnerError> {
        let mut keys = self.keys.lock().await;
        let seen = guest.life().newest().map_or(0, |moment| moment.height);
        let app_id = guest.settings().app_id;
        let Checked { header, entry } = guest.chain().entry::<SettingsEntry>(&EntryKey::Settings(app_id)).await?;
        if header.height() < seen {
            return Err(OwnerError::Old { shown: header.height(), seen });
        }
        let (changed_at, document) = match entry {
            None => (0, AppSettings::default()),
            Some(entry) if entry.app_id == app_id && entry.settings.is_sound() => (entry.changed_at, entry.settings),
            Some(_) => return Err(OwnerError::Malformed),
        };
        let held = self.newest();
        if let Some(held) = held {
            if document.generation < held.generation {
                return Err(OwnerError::Back { shown: document.generation, held: held.generation });
            }
            if document.generation == held.generation && held.is_whole() {
                return Ok(held);
            }
        }
        let mut settings = Vec::with_capacity(document.settings.len());
        for setting in document.settings {
            let value = self.open(guest, &mut keys, &setting).await;
            let Setting { name, form, set_at, .. } = setting;
            settings.push(HeldSetting { name, form, set_at, value });
        }
        let AppSettings { generation, spending, .. } = AppSettings { settings: Vec::new(), ..document };
        let set = Arc::new(HeldSet { generation, changed_at, settings, spending, header: header.moment() });
        tracing::info!(generation, "the instance has the owner's settings");
        self.held.send_replace(Some(Arc::clone(&set)));
        Ok(set)
    }

    /// The value of a setting, where it opens.
    async fn open(&self, guest: &Guest, keys: &mut SettingsKeys, setting: &Setting) -> Option<Zeroizing<Vec<u8>>> {
        if setting.form == SettingForm::Public {
            return Some(Zeroizing::new(setting.value.0.clone()));
        }
        if let Err(error) = fetch(guest, keys, setting.key_generation).await {
            tracing::warn!(%error, generation = setting.key_generation, "no key for sealed settings");
            return None;
        }
        let (derivation, key) = keys.held.get(&setting.key_generation)?;
        let place = SettingPlace { app: &guest.settings().app_id, name: &setting.name, set_at: setting.set_at };
        match place.open(derivation, key, &setting.value.0) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(%error, name = setting.name, "a setting does not open");
                None
            }
        }
    }
}

/// Fetches the key of a generation, unless it is held. A grant that is missing is asked for once.
async fn fetch(guest: &Guest, keys: &mut SettingsKeys, generation: Generation) -> Result<(), ChainError> {
    if keys.held.contains_key(&generation) {
        return Ok(());
    }
    let release = guest.release().ok_or_else(|| ChainError::NoGrant(SETTINGS_CONTEXT.to_owned()))?;
    let found = match release.settings_key(generation).await {
        Err(ChainError::NoGrant(_)) if keys.asked.insert(generation) => {
            release.request(SETTINGS_CONTEXT).await?;
            release.settings_key(generation).await
        }
        found => found,
    };
    keys.held.insert(generation, found?);
    Ok(())
}
