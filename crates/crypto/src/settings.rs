//! Settings of an app, sealed to its key (`spec/settings.md` §3): where a value belongs is part of what opens it.

use freehold_primitives::{AppId, Generation, NetworkKey, entries::SETTINGS_CONTEXT};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::threshold::{Derivation, DerivedKey, ThresholdError};

/// Bound to every sealed setting.
const DOMAIN: &[u8] = b"freehold setting v1\n";

/// Where a sealed setting belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingPlace<'a> {
    /// App.
    pub app: &'a AppId,
    /// Its name.
    pub name: &'a str,
    /// Generation of the settings that set it.
    pub set_at: u64,
}

impl SettingPlace<'_> {
    /// The derivation of the key that settings of the app are sealed to.
    ///
    /// # Errors
    /// [`ThresholdError::Point`].
    pub fn derivation(
        master: &NetworkKey,
        app: &AppId,
        key_generation: Generation,
    ) -> Result<Derivation, ThresholdError> {
        Derivation::new(master, app, SETTINGS_CONTEXT, key_generation)
    }

    /// Seals a value for this place.
    pub fn seal(&self, derivation: &Derivation, value: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        derivation.seal(&self.bytes(), value, rng)
    }

    /// Opens a value of this place.
    ///
    /// # Errors
    /// [`ThresholdError::Sealed`].
    pub fn open(
        &self,
        derivation: &Derivation,
        key: &DerivedKey,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ThresholdError> {
        key.open(derivation, &self.bytes(), sealed)
    }

    /// The fixed lengths come first, so that no two places have the same bytes.
    fn bytes(&self) -> Vec<u8> {
        [DOMAIN, self.app.as_bytes(), &self.set_at.to_be_bytes(), self.name.as_bytes()].concat()
    }
}
