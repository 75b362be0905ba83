//! The environment of one service of an app: which of the owner's settings stand in which of its variables.
//!
//! The host says which, out of the measured bundle, and never sees a value: the guest fills them in, on a socket that has nothing
//! else. Not here: who asks there (`launch`), the settings themselves (`owner`).

use std::{collections::BTreeMap, path::PathBuf};

use freehold_primitives::entries::{is_lease_name, is_setting_name};
use serde::{Deserialize, Serialize};

/// Most variables of a service, and parts of a variable.
const VARIABLES_MAX: usize = 512;
const PARTS_MAX: usize = 64;

/// A socket with the environment of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentSocket {
    /// Name of the service: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, once each.
    pub name: String,
    /// Its socket.
    pub socket: PathBuf,
    /// Its variables by name; a value is its parts, one behind the other.
    pub variables: BTreeMap<String, Vec<VariablePart>>,
}

/// A part of a variable's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum VariablePart {
    /// As it stands.
    Text(String),
    /// What the owner set under a name, or else the default.
    Setting {
        /// The setting's name.
        name: String,
        /// What stands in its place where the owner set nothing.
        #[serde(default)]
        default: Option<String>,
    },
}

impl EnvironmentSocket {
    pub(super) fn is_sound(&self) -> bool {
        let is_variable = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
        let is_part = |part: &VariablePart| match part {
            VariablePart::Text(text) => !text.contains('\0'),
            VariablePart::Setting { name, default } => {
                is_setting_name(name) && !default.as_ref().is_some_and(|default| default.contains('\0'))
            }
        };
        is_lease_name(&self.name)
            && self.variables.len() <= VARIABLES_MAX
            && self.variables.keys().all(is_variable)
            && self.variables.values().all(|parts| parts.len() <= PARTS_MAX && parts.iter().all(is_part))
    }

    /// Fills the variables in, each as bytes, by `setting`; also the names of the settings that are missing.
    pub(crate) fn fill<'a>(
        &'a self,
        setting: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
        let (mut filled, mut missing) = (BTreeMap::new(), Vec::new());
        for (variable, parts) in &self.variables {
            let mut value = Vec::new();
            for part in parts {
                match part {
                    VariablePart::Text(text) => value.extend_from_slice(text.as_bytes()),
                    VariablePart::Setting { name, default } => match (setting(name), default) {
                        (Some(bytes), _) => value.extend_from_slice(bytes),
                        (None, Some(default)) => value.extend_from_slice(default.as_bytes()),
                        (None, None) => missing.push(name.clone()),
                    },
                }
            }
            filled.insert(variable.clone(), value);
        }
        missing.sort_unstable();
        missing.dedup();
        (filled, missing)
    }
}
