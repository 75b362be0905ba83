//! What an app's owner sets for its instances without a new release: secrets, public values, limits on spending
//! (`spec/settings.md`).
//!
//! Invariant: the generation of an app's settings only rises, by one at a time, so that no earlier set comes back. What a
//! name may be is a rule of the chain: settings reach a measured program as its environment, and a name that a loader or an
//! interpreter acts on could put other code into it.

use crate::{
    codec::Blob,
    ids::{Account, AppId, Generation, Height},
};

/// Longest document of settings, in bytes.
pub const SETTINGS_BYTES_MAX: usize = 64 * 1024;
/// Most settings of an app.
pub const SETTINGS_MAX: usize = 64;
/// Longest name of a setting, in bytes.
pub const SETTING_NAME_BYTES_MAX: usize = 128;
/// Longest value of a setting, in bytes, before it is sealed.
pub const SETTING_BYTES_MAX: usize = 32 * 1024;
/// Most contracts that limits on spending can name.
pub const SPENDING_CONTRACTS_MAX: usize = 64;
/// Key context that settings are sealed under.
pub const SETTINGS_CONTEXT: &str = "settings";

/// Beginnings of names that are the platform's, or that a loader or an interpreter acts on.
const RESERVED_PREFIXES: [&str; 14] = [
    "FREEHOLD_",
    "ROFL_",
    "DSTACK_",
    "TAPPD_",
    "LD_",
    "DYLD_",
    "GCONV_",
    "GLIBC_",
    "MALLOC_",
    "PYTHON",
    "PERL5",
    "RUBY",
    "NODE_",
    "BASH_",
];
/// Names of the same kind.
const RESERVED_NAMES: [&str; 18] = [
    "PATH",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
    "PWD",
    "OLDPWD",
    "IFS",
    "ENV",
    "CDPATH",
    "PS4",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "GLOBIGNORE",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LOCPATH",
];

/// Whether a setting may have this name: 1 to 128 characters of `A-Z a-z 0-9 _`, no digit first, and not reserved in any
/// mixture of cases.
pub fn is_setting_name(name: &str) -> bool {
    is_variable_name(name) && !is_reserved_setting(name)
}

/// Whether the bytes of a name are those of an environment variable.
pub fn is_variable_name(name: &str) -> bool {
    (1..=SETTING_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether a name is the platform's, or one that a loader or an interpreter acts on.
pub fn is_reserved_setting(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    RESERVED_NAMES.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

canonical_enum! {
    /// How a setting's value stands in the document.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SettingForm {
        /// For everybody to read.
        Public = 1,
        /// Sealed to the app's key of the context [`SETTINGS_CONTEXT`].
        Sealed = 2,
    }
}

canonical_struct! {
    /// One setting.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Setting {
        /// Its name.
        pub name: String,
        /// Generation of the settings that set it; the value is bound to it.
        pub set_at: u64,
        /// How the value stands here.
        pub form: SettingForm,
        /// Generation of the key that it is sealed to; 0 for a public one.
        pub key_generation: Generation,
        /// The value, or what it is sealed as.
        pub value: Blob,
    }
}

canonical_struct! {
    /// What an instance may spend from its own account when its app asks for transactions.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SpendingLimits {
        /// Most that one transaction may cost, value and fees together, in wei.
        pub per_transaction_wei: u128,
        /// Most that all transactions within 24 hours may cost, in wei.
        pub per_day_wei: u128,
        /// Most transactions within 24 hours.
        pub per_day_count: u32,
        /// The only accounts that may be called, in rising order.
        pub contracts: Vec<Account>,
        /// Whether contracts may be created.
        pub may_create: bool,
    }
}

canonical_struct! {
    /// What an owner sets.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct AppSettings {
        /// Counts the sets from 1.
        pub generation: u64,
        /// The settings, in rising order of their names.
        pub settings: Vec<Setting>,
        /// Limits on spending; `None` where the owner set none.
        pub spending: Option<SpendingLimits>,
    }
}

canonical_struct! {
    /// The newest settings of an app.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SettingsEntry {
        /// The app.
        pub app_id: AppId,
        /// Height that set them.
        pub changed_at: Height,
        /// The settings.
        pub settings: AppSettings,
    }
}

impl AppSettings {
    /// Whether every bound holds: names, order, generations, lengths.
    pub fn is_sound(&self) -> bool {
        let ordered = self.settings.windows(2).all(|pair| pair[0].name < pair[1].name);
        let fits = |setting: &Setting| {
            is_setting_name(&setting.name)
                && (1..=self.generation).contains(&setting.set_at)
                && match setting.form {
                    SettingForm::Public => setting.key_generation == 0 && setting.value.0.len() <= SETTING_BYTES_MAX,
                    SettingForm::Sealed => setting.value.0.len() <= SETTING_BYTES_MAX + SEALED_OVERHEAD_MAX,
                }
        };
        let spending = self.spending.as_ref().is_none_or(|limits| {
            limits.contracts.len() <= SPENDING_CONTRACTS_MAX
                && limits.contracts.windows(2).all(|pair| pair[0] < pair[1])
        });
        ordered && spending && self.settings.len() <= SETTINGS_MAX && self.settings.iter().all(fits)
    }

    /// A setting by its name.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        let found = self.settings.binary_search_by(|setting| setting.name.as_str().cmp(name));
        found.ok().and_then(|index| self.settings.get(index))
    }

    /// Puts a setting in its place, in place of an earlier one of the same name.
    pub fn put(&mut self, setting: Setting) {
        match self.settings.binary_search_by(|other| other.name.cmp(&setting.name)) {
            Ok(index) => self.settings[index] = setting,
            Err(index) => self.settings.insert(index, setting),
        }
    }
}

/// Bytes that sealing may add to a value.
const SEALED_OVERHEAD_MAX: usize = 256;
