//! Bringing a deployer's bundle: from a store of this machine, or from an address or a registry that the policy names, by its digest, and
//! nothing is used before all of it was checked.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use freehold_bundle::{Bundle, BundleError, BundlePull, MissingBlob};
use tokio::time::timeout;

use super::{
    policy::{ProviderPolicy, Refusal},
    record::Order,
};
use crate::{
    collateral::{FetchError, VendorClient, VendorUrl},
    registry::{Access, Reference, Registry, RegistryError, SOURCE_SCHEME, pulled},
};

/// Longest way of one blob.
const BLOB_WAIT: Duration = Duration::from_secs(900);
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Why a bundle is not here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchFailure {
    /// It will not be, before something is changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It may be, if it is tried again.
    #[error("the bundle is not to be had now: {0}")]
    Later(String),
}

impl From<BundleError> for FetchFailure {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::System { .. } => Self::Later(error.to_string()),
            refused => Self::Refused(Refusal::Bundle(refused)),
        }
    }
}

impl From<FetchError> for FetchFailure {
    fn from(error: FetchError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<RegistryError> for FetchFailure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Bundle(error) => error.into(),
            other => Self::Later(other.to_string()),
        }
    }
}

/// Where blobs come from.
enum Source {
    Store(PathBuf),
    Address(VendorUrl),
    Registry(Registry),
}

/// Brings the bundle of an order into a folder under its digest; every other bundle there is removed.
pub(crate) async fn bring(
    order: &Order,
    policy: &ProviderPolicy,
    client: &VendorClient,
    into: &Path,
) -> Result<Bundle, FetchFailure> {
    let place = into.join(order.bundle.to_string());
    clear_others(into, &place).map_err(|error| FetchFailure::Later(error.to_string()))?;
    let bytes_max = policy.disk_mib_max.saturating_mul(1024 * 1024);
    let pull = BundlePull::begin(&place, order.bundle, bytes_max)?;
    // What is whole already needs no source any more.
    let pull = if pull.missing()?.is_empty() {
        pull
    } else {
        match find(order, policy)? {
            Source::Store(store) => blocking(move || copied(pull, &store)).await??,
            Source::Address(url) => fetched(pull, client, &url).await?,
            Source::Registry(registry) => pulled(pull, &registry).await?,
        }
    };
    Ok(blocking(move || pull.finish()).await??)
}

/// Work on files, apart from what waits for others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FetchFailure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| FetchFailure::Later(error.to_string()))
}

fn find(order: &Order, policy: &ProviderPolicy) -> Result<Source, FetchFailure> {
    if let Some(source) = &order.source {
        policy.admits_source(source)?;
        if source.starts_with(SOURCE_SCHEME) {
            let reference: Reference = source.parse().map_err(|_| Refusal::Source(source.clone()))?;
            // A renter's order must not use the passwords of who runs this machine.
            return Ok(Source::Registry(Registry::open(&reference.name, Access::Anonymous)?));
        }
        return Ok(Source::Address(source.parse().map_err(|_| Refusal::Source(source.clone()))?));
    }
    let name = order.bundle.to_string();
    let store = policy.stores.iter().map(|store| store.join(&name)).find(|place| place.is_dir());
    store.map(Source::Store).ok_or_else(|| Refusal::NotStored(order.bundle).into())
}

fn copied(mut pull: BundlePull, store: &Path) -> Result<BundlePull, FetchFailure> {
    loop {
        let missing = pull.missing()?;
        if missing.is_empty() {
            return Ok(pull);
        }
        for wanted in missing {
            copy_blob(&mut pull, store, &wanted)?;
        }
    }
}

fn copy_blob(pull: &mut BundlePull, store: &Path, wanted: &MissingBlob) -> Result<(), FetchFailure> {
    let path = store.join("blobs/sha256").join(wanted.digest.to_string());
    let failed = |source| BundleError::System { path: path.clone(), source };
    let mut file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::NotStored(wanted.digest).into()),
        Err(error) => return Err(failed(error).into()),
    };
    let mut writer = pull.writer(wanted)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => break,
            count => writer.write(&piece[..count])?,
        }
    }
    Ok(pull.keep(writer)?)
}

async fn fetched(mut pull: BundlePull, client: &VendorClient, base: &VendorUrl) -> Result<BundlePull, FetchFailure> {
    loop {
        let missing = pull.missing()?;
        if missing.is_empty() {
            return Ok(pull);
        }
        for wanted in missing {
            fetch_blob(&mut pull, client, base, &wanted).await?;
        }
    }
}

async fn fetch_blob(
    pull: &mut BundlePull,
    client: &VendorClient,
    base: &VendorUrl,
    wanted: &MissingBlob,
) -> Result<(), FetchFailure> {
    let url = base.below(&format!("/blobs/sha256/{}", wanted.digest));
    let mut writer = pull.writer(wanted)?;
    let mut refused = None;
    let streamed = client.stream(&url, |piece| match writer.write(piece) {
        Ok(()) => true,
        Err(error) => {
            refused = Some(error);
            false
        }
    });
    let streamed = timeout(BLOB_WAIT, streamed).await.map_err(|_| FetchFailure::Later(format!("{url} is too slow")))?;
    if let Some(error) = refused {
        return Err(error.into());
    }
    streamed?;
    Ok(pull.keep(writer)?)
}

/// Removes all bundles of a folder but one.
fn clear_others(folder: &Path, keep: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path != keep {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
