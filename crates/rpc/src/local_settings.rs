//! Types of the local API's settings (`spec/settings.md` §5).

use std::collections::BTreeMap;

use freehold_primitives::{Account, Height};
use serde::{Deserialize, Serialize};

use crate::{hexed::Base64Text, local::HeaderReference};

/// Whether the instance has a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingState {
    /// It has.
    Open,
    /// It does not open: its key is not served any more, or not to this instance.
    Unreadable,
}

/// A setting without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingOutline {
    /// Its name.
    pub name: String,
    /// Whether it was sealed.
    pub secret: bool,
    /// Generation of the settings that set it.
    pub set_at: u64,
    /// Whether its value is here.
    pub state: SettingState,
}

/// Limits on spending, amounts in decimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendingReport {
    /// Most that one transaction may cost, in wei.
    pub per_transaction_wei: String,
    /// Most within 24 hours, in wei.
    pub per_day_wei: String,
    /// Most transactions within 24 hours.
    pub per_day_count: u32,
    /// The only accounts that may be called.
    pub contracts: Vec<Account>,
    /// Whether contracts may be created.
    pub may_create: bool,
}

/// Answer of `GET /freehold/v1/settings` and `POST /freehold/v1/reload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsReport {
    /// Generation of the settings; 0 where the owner never set any.
    pub generation: u64,
    /// Height that set them.
    pub changed_at: Height,
    /// All settings, in rising order of their names.
    pub settings: Vec<SettingOutline>,
    /// Limits on spending, where the owner set some.
    pub spending: Option<SpendingReport>,
    /// Header under which they were seen.
    pub header: HeaderReference,
}

/// Answer of `GET /freehold/v1/settings/{name}`. No `Debug`: the value may be secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingValue {
    /// Its name.
    pub name: String,
    /// The value, base64.
    pub value: Base64Text,
    /// Whether it was sealed.
    pub secret: bool,
    /// Generation of the settings that set it.
    pub set_at: u64,
    /// Generation of the settings that it stands in.
    pub generation: u64,
}

/// Answer of `GET /freehold/v1/environment`: settings as environment variables. No `Debug`: values may be secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Generation of the settings.
    pub generation: u64,
    /// Values by name, base64; those with a zero byte are left out.
    pub environment: BTreeMap<String, Base64Text>,
    /// Settings that the environment needs and the owner has not set, or that do not open: then it is not whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}
