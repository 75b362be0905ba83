//! Policy files: TOML for people, [`EvidencePolicy`] for the verifier (`docs/attestation.md`).
//!
//! A file is read over defaults: it names the kinds that it accepts, each as a table, and in it what differs. A kind
//! without a table is not accepted. Unknown names are refused, so that a slip of the pen opens nothing. Nothing is judged
//! here.

mod fields;
mod records;

use freehold_primitives::{EvidenceKind, EvidencePolicy, Measurement};
use thiserror::Error;
use toml::{Table, Value};

use self::fields::Section;

/// Longest policy file, in bytes.
pub const POLICY_FILE_BYTES_MAX: usize = 256 * 1024;
/// Accepts every value, where a name could be given.
const ANY: &str = "any";

/// Why a policy file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// Longer than [`POLICY_FILE_BYTES_MAX`].
    #[error("the file is longer than {POLICY_FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Not TOML.
    #[error("not TOML: {0}")]
    Toml(#[from] toml::de::Error),
    /// A name that means nothing here.
    #[error("{0} is no item of a policy")]
    Unknown(String),
    /// A name that must stand here.
    #[error("{0} is missing")]
    Missing(String),
    /// A value of the wrong form.
    #[error("{at} must be {expected}")]
    Value {
        /// Where.
        at: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// A list longer than policies may have, or a malformed reference.
    #[error("a list has too many items, or a reference is malformed")]
    Unbounded,
}

/// A policy, and of which kinds any measurement is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    policy: EvidencePolicy,
    open: Vec<EvidenceKind>,
}

impl PolicyFile {
    /// A policy of these rules that accepts any measurement.
    pub fn any_measurement(policy: EvidencePolicy) -> Self {
        Self { policy, open: EvidenceKind::ALL.to_vec() }
    }

    /// Reads a file over defaults.
    ///
    /// # Errors
    /// Any [`PolicyFileError`].
    pub fn read(text: &str, defaults: &EvidencePolicy) -> Result<Self, PolicyFileError> {
        if text.len() > POLICY_FILE_BYTES_MAX {
            return Err(PolicyFileError::TooLong);
        }
        let mut file: Table = text.parse()?;
        let (mut policy, mut open) = (defaults.clone(), Vec::new());
        let mut opened = |kind, is_open| open.extend(Some(kind).filter(|_| is_open));
        policy.tdx = section(&mut file, ("tdx", "measurements"), &policy.tdx, |open| opened(EvidenceKind::Tdx, open))?;
        policy.sgx = section(&mut file, ("sgx", "releases"), &policy.sgx, |open| opened(EvidenceKind::Sgx, open))?;
        policy.snp = section(&mut file, ("snp", "measurements"), &policy.snp, |open| opened(EvidenceKind::Snp, open))?;
        policy.nitro =
            section(&mut file, ("nitro", "measurements"), &policy.nitro, |open| opened(EvidenceKind::Nitro, open))?;
        policy.nvidia = section(&mut file, ("nvidia", ""), &policy.nvidia, |_| ())?;
        policy.overlay(&Value::Table(file), "")?;
        if policy.is_bounded() { Ok(Self { policy, open }) } else { Err(PolicyFileError::Unbounded) }
    }

    /// The file that says this policy, whatever the defaults.
    pub fn write(&self) -> String {
        let mut file = self.policy.table();
        let sections = [
            ("tdx", EvidenceKind::Tdx, "measurements", self.policy.tdx.as_ref().map(Section::table)),
            ("sgx", EvidenceKind::Sgx, "releases", self.policy.sgx.as_ref().map(Section::table)),
            ("snp", EvidenceKind::Snp, "measurements", self.policy.snp.as_ref().map(Section::table)),
            ("nitro", EvidenceKind::Nitro, "measurements", self.policy.nitro.as_ref().map(Section::table)),
            ("nvidia", EvidenceKind::Nvidia, "", self.policy.nvidia.as_ref().map(Section::table)),
        ];
        for (name, kind, list, table) in sections {
            let Some(mut table) = table else { continue };
            if self.open.contains(&kind) && !list.is_empty() {
                table.insert(list.to_owned(), ANY.into());
            }
            file.insert(name.to_owned(), table.into());
        }
        file.to_string()
    }

    /// The policy to judge claims by that show this measurement.
    pub fn policy_for(&self, shown: &Measurement) -> EvidencePolicy {
        let policy = self.policy.clone();
        if self.open.contains(&shown.kind()) { policy.accepting(shown) } else { policy }
    }

    /// The policy as it stands; for GPUs alone, which have no measurement of this kind.
    pub const fn policy(&self) -> &EvidencePolicy {
        &self.policy
    }

    /// Kinds of which any measurement is accepted, because the file names none.
    pub fn open_kinds(&self) -> &[EvidenceKind] {
        &self.open
    }

    /// Accepts no evidence of the emulator, whose seed is public.
    pub fn refuse_emulated(&mut self) {
        self.policy.trust_domains.retain(|domain| *domain != freehold_primitives::TrustDomain::Emulated);
    }
}

/// Takes a kind's table out of the file and lays it over the defaults. `list` names its measurements: where they are not
/// given, or `any`, `opened` hears so.
fn section<T: Section + Clone>(
    file: &mut Table,
    (name, list): (&str, &str),
    defaults: &Option<T>,
    opened: impl FnOnce(bool),
) -> Result<Option<T>, PolicyFileError> {
    let Some(value) = file.remove(name) else { return Ok(None) };
    let expected = "a table of a kind that the defaults know";
    let (Value::Table(mut table), Some(mut section)) = (value, defaults.clone()) else {
        return Err(PolicyFileError::Value { at: name.to_owned(), expected });
    };
    let is_open = table.get(list).is_none_or(|value| value.as_str() == Some(ANY));
    if is_open {
        table.remove(list);
    }
    opened(is_open);
    section.overlay(&Value::Table(table), name)?;
    Ok(Some(section))
}

#[cfg(test)]
mod tests;
