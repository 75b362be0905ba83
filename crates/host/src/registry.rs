//! Registries of images and bundles: a client of the OCI distribution specification 1.1 that believes no byte of them.
//!
//! Invariants: what is taken is named by its digest and held to it (`freehold-bundle` does so); every wait, length, redirect and
//! retry is bounded; a secret goes to the registry that it is for, and to the token service that this registry names, and to nobody
//! else. Not here: which images an app names, and what a bundle is. Why there is a client of our own:
//! `docs/decisions/0046-backends.md`.

mod challenge;
mod client;
mod credentials;
mod error;
mod helper;
mod probe;
mod pull;
mod push;
mod reference;

#[cfg(test)]
mod tests;

use std::path::Path;

use freehold_bundle::{Bundle, BundlePull, Compose};
use freehold_primitives::Digest;

pub use self::{
    client::{Access, Registry},
    error::RegistryError,
    probe::{challenge_input, helper_input, passwords_input, reference_input, referrers_input},
    push::PushedBundle,
    reference::{ImageName, Reference, SOURCE_SCHEME},
};
pub(crate) use pull::pulled;

impl Registry {
    /// The digest that a tag leads to now: that of the bytes, not the one that the registry tells.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn digest_of_tag(&self, tag: &str) -> Result<Digest, RegistryError> {
        self.tagged(tag).await
    }

    /// Brings a bundle into a folder, or goes on with what is there, and checks all of it; with its signatures and its bill of
    /// materials, where the registry has them. `bytes_max` bounds all that is there then.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn pull_bundle(&self, digest: Digest, into: &Path, bytes_max: u64) -> Result<Bundle, RegistryError> {
        let mut pull = BundlePull::begin(into, digest, bytes_max)?;
        for manifest in self.beside(digest).await? {
            pull.bring_beside(manifest);
        }
        Ok(pulled(pull, self).await?.finish()?)
    }
}

/// Brings the images that a compose file names into a layout, each from the registry that its name leads to; those that are there
/// already are not asked for again.
///
/// # Errors
/// [`RegistryError`].
pub async fn pull_images(compose: &Compose, layout: &Path) -> Result<(), RegistryError> {
    for image in compose.images() {
        let pull = BundlePull::image(layout, image.digest)?;
        if pull.missing()?.is_empty() {
            continue;
        }
        let registry = Registry::open(&ImageName::parse(&image.name)?, Access::Read)?;
        pulled(pull, &registry).await?;
    }
    Ok(())
}
