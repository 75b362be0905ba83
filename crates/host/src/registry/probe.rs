//! What registries, people and helpers say, read as the client reads it: for fuzz targets and tests, not for use.

use zeroize::Zeroizing;

use super::{
    challenge::{self, Challenge},
    credentials, helper, pull,
    reference::Reference,
};

/// A reference written again, and the address where its registry answers.
pub fn reference_input(text: &str) -> Option<(String, String)> {
    let Reference { name, digest } = text.parse().ok()?;
    let origin = name.origin();
    Some((digest.map_or_else(|| name.to_string(), |digest| name.pinned(&digest)), origin))
}

/// Where a challenge sends for a token, and whose.
pub fn challenge_input(header: &str) -> Option<(String, Option<String>)> {
    match challenge::read(header)? {
        Challenge::Basic => None,
        Challenge::Bearer { realm, service } => Some((realm, service)),
    }
}

/// Whether bytes are a file of passwords.
pub fn passwords_input(bytes: &[u8]) -> bool {
    credentials::parsed(bytes).is_some()
}

/// Length of the password in a helper's answer, as a header has it.
pub fn helper_input(bytes: &[u8]) -> Option<usize> {
    let password = helper::told(&Zeroizing::new(bytes.to_vec())).ok()??;
    Some(password.header().len())
}

/// How many manifests a list beside a bundle leads to.
pub fn referrers_input(bytes: &[u8]) -> usize {
    pull::listed(bytes).len()
}
