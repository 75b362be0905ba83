//! Setting what an app's instances get: the owner's side of `spec/settings.md`.
//!
//! Invariant: values are sealed under a master key that the trusted genesis names or the chain proves, and what is changed is
//! what the chain proves: a node that lies gets no secret, and takes none away unseen.

use freehold_crypto::{SEAL_BYTES, SettingPlace, ThresholdError};
use freehold_primitives::{
    Account, AppId, Blob, Canonical as _, Generation, Genesis, NetworkKey,
    entries::{
        AppEntry, AppSettings, KeyContextEntry, SETTING_BYTES_MAX, SETTINGS_BYTES_MAX, SETTINGS_CONTEXT, SETTINGS_MAX,
        Setting, SettingForm, SettingsEntry, SpendingLimits, is_reserved_setting, is_variable_name,
    },
};
use freehold_rpc::{Checked, EntryKey, VerifiedClient, VerifiedError};
use rand::CryptoRng;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Why settings cannot be changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No checked answer.
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    /// There is no such app.
    #[error("the chain has no app {0}")]
    NoApp(AppId),
    /// The app is closed.
    #[error("the app {0} is closed")]
    Closed(AppId),
    /// No instance could open a secret.
    #[error(
        "the policy of this app does not list the key context `{SETTINGS_CONTEXT}`, so that no instance could open a \
         secret: update the policy first (`freehold app run` does)"
    )]
    NoContext,
    /// There is no usable master key.
    #[error("there is no usable master key: {0}")]
    Master(#[from] ThresholdError),
    /// The name is no variable's.
    #[error("`{0}` is no name of a setting: 1 to 128 characters of A-Z a-z 0-9 _, no digit first")]
    Name(String),
    /// The name is reserved.
    #[error("`{0}` is reserved: it is the platform's, or one that loaders, shells or interpreters act on")]
    Reserved(String),
    /// The value is too long.
    #[error("`{name}` has {length} bytes, and the bound is {SETTING_BYTES_MAX}")]
    TooLong {
        /// Which.
        name: String,
        /// Its length in bytes.
        length: usize,
    },
    /// There is nothing of this name.
    #[error("nothing of the name `{0}` is set")]
    NotSet(String),
    /// All of it together is too much.
    #[error(
        "an app has at most {SETTINGS_MAX} settings, of {SETTINGS_BYTES_MAX} bytes together, sealing counted ({SEAL_BYTES} each)"
    )]
    TooMuch,
    /// A line of a file with variables.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// The next settings of an app, as they become.
#[derive(Debug, Clone)]
pub struct SettingsDraft {
    app: AppId,
    owner: Account,
    master: NetworkKey,
    /// Generation of the key that secrets are sealed to; `None` where no instance gets one.
    key_generation: Option<Generation>,
    next: AppSettings,
}

impl SettingsDraft {
    /// Begins from what the chain proves.
    ///
    /// # Errors
    /// [`SettingsError::Unverified`], [`SettingsError::NoApp`], [`SettingsError::Closed`], [`SettingsError::Master`].
    pub async fn read(chain: &VerifiedClient, genesis: &Genesis, app: AppId) -> Result<Self, SettingsError> {
        let entry = chain.entry::<AppEntry>(&EntryKey::App(app)).await?.entry.ok_or(SettingsError::NoApp(app))?;
        if entry.closed_at.is_some() {
            return Err(SettingsError::Closed(app));
        }
        let Checked { entry: settings, .. } = chain.entry::<SettingsEntry>(&EntryKey::Settings(app)).await?;
        let mut next = settings.map_or_else(AppSettings::default, |entry| entry.settings);
        next.generation = next.generation.saturating_add(1);
        let is_listed = entry.policy.boot_contexts.iter().any(|context| context == SETTINGS_CONTEXT);
        let context = EntryKey::KeyContext(app, SETTINGS_CONTEXT.to_owned());
        let context = chain.entry::<KeyContextEntry>(&context).await?.entry;
        let (generation, under) = context.map_or((0, 0), |context| (context.generation, context.master));
        let master = chain.master_key(genesis, under).await?.ok_or(ThresholdError::Polynomial)?;
        let key_generation = is_listed.then_some(generation);
        Ok(Self { app, owner: entry.owner, master, key_generation, next })
    }

    /// Who may set them.
    pub const fn owner(&self) -> Account {
        self.owner
    }

    /// Generation that they will have.
    pub const fn generation(&self) -> u64 {
        self.next.generation
    }

    /// The settings as they stand in the draft.
    pub fn settings(&self) -> &[Setting] {
        &self.next.settings
    }

    /// Limits on spending as they stand in the draft.
    pub const fn spending(&self) -> Option<&SpendingLimits> {
        self.next.spending.as_ref()
    }

    /// Whether the key that a setting is sealed to is not the newest: it has to be set again before that one is retired.
    pub fn is_under_old_key(&self, setting: &Setting) -> bool {
        setting.form == SettingForm::Sealed && Some(setting.key_generation) != self.key_generation
    }

    /// Sets a secret.
    ///
    /// # Errors
    /// [`SettingsError::Name`], [`SettingsError::Reserved`], [`SettingsError::TooLong`], [`SettingsError::NoContext`],
    /// [`SettingsError::Master`].
    pub fn set_secret(&mut self, name: &str, value: &[u8], rng: &mut impl CryptoRng) -> Result<(), SettingsError> {
        check(name, value)?;
        let key_generation = self.key_generation.ok_or(SettingsError::NoContext)?;
        let derivation = SettingPlace::derivation(&self.master, &self.app, key_generation)?;
        let set_at = self.next.generation;
        let place = SettingPlace { app: &self.app, name, set_at };
        let value = Blob(place.seal(&derivation, value, rng));
        self.next.put(Setting { name: name.to_owned(), set_at, form: SettingForm::Sealed, key_generation, value });
        Ok(())
    }

    /// Sets a value that everybody may read.
    ///
    /// # Errors
    /// [`SettingsError::Name`], [`SettingsError::Reserved`], [`SettingsError::TooLong`].
    pub fn set_public(&mut self, name: &str, value: &[u8]) -> Result<(), SettingsError> {
        check(name, value)?;
        let (name, value) = (name.to_owned(), Blob(value.to_vec()));
        self.next.put(Setting {
            name,
            set_at: self.next.generation,
            form: SettingForm::Public,
            key_generation: 0,
            value,
        });
        Ok(())
    }

    /// Removes a setting of a form.
    ///
    /// # Errors
    /// [`SettingsError::NotSet`].
    pub fn remove(&mut self, name: &str, form: SettingForm) -> Result<(), SettingsError> {
        let place = self.next.settings.iter().position(|setting| setting.name == name && setting.form == form);
        let place = place.ok_or_else(|| SettingsError::NotSet(name.to_owned()))?;
        self.next.settings.remove(place);
        Ok(())
    }

    /// Sets limits on spending, or takes them away.
    pub fn limit(&mut self, limits: Option<SpendingLimits>) {
        self.next.spending = limits.map(|mut limits| {
            limits.contracts.sort_unstable();
            limits.contracts.dedup();
            limits
        });
    }

    /// The document for `Apps.setSettings`.
    ///
    /// # Errors
    /// [`SettingsError::TooMuch`].
    pub fn document(&self) -> Result<Vec<u8>, SettingsError> {
        let document = self.next.to_canonical();
        if self.next.is_sound() && document.len() <= SETTINGS_BYTES_MAX {
            Ok(document)
        } else {
            Err(SettingsError::TooMuch)
        }
    }
}

fn check(name: &str, value: &[u8]) -> Result<(), SettingsError> {
    if !is_variable_name(name) {
        return Err(SettingsError::Name(name.to_owned()));
    }
    if is_reserved_setting(name) {
        return Err(SettingsError::Reserved(name.to_owned()));
    }
    if value.len() > SETTING_BYTES_MAX {
        return Err(SettingsError::TooLong { name: name.to_owned(), length: value.len() });
    }
    Ok(())
}

/// Reads a file of variables: `NAME=VALUE` a line, `export` before it if one likes, `#` for remarks. A value in single
/// quotes is taken as it stands, one in double quotes knows `\n`, `\r`, `\t`, `\\`, `\"` and `\$`; both may go over lines.
///
/// # Errors
/// [`SettingsError::Line`].
pub fn parse_variables(text: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let (head, tail) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = head.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = tail;
            continue;
        }
        let refused = |what| SettingsError::Line { line, what };
        let (name, value) = rest.split_once('=').filter(|(name, _)| !name.contains('\n')).ok_or(refused("no `=`"))?;
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim);
        if !is_variable_name(name) {
            return Err(refused("what stands before `=` is no name of a variable"));
        }
        let value = value.trim_start_matches([' ', '\t']);
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote).ok_or(refused("the quotes are not closed"))?,
            _ => {
                let (value, after) = value.split_once('\n').unwrap_or((value, ""));
                (value.trim().to_owned(), after)
            }
        };
        found.push((name.to_owned(), value));
        rest = after;
    }
    Ok(found)
}

/// What stands in quotes, and what follows the line that ends it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        if letter == quote {
            let after = &text[place + 1..];
            return Some((value, after.split_once('\n').map_or("", |(_, after)| after)));
        }
        if letter == '\\' && quote == '"' {
            let (_, escaped) = letters.next()?;
            match escaped {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                '\\' | '"' | '$' => value.push(escaped),
                other => value.extend(['\\', other]),
            }
        } else {
            value.push(letter);
        }
    }
    None
}
