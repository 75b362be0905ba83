//! Follows the generations of the root context while the instance serves: takes a new one, lets a retired one go.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::Guest;
use crate::{
    chain::ChainError,
    release::{self, ROOT_CONTEXT, Release},
    roots::HeldRoots,
};

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(15);

/// Runs until it is dropped.
pub(super) async fn follow(guest: Arc<Guest>) {
    let Some(serving) = guest.serving() else { return };
    loop {
        sleep(LOOK).await;
        if let Err(error) = look(&guest, &serving.roots).await {
            tracing::debug!(%error, "the generations of the root key could not be looked at");
        }
    }
}

async fn look(guest: &Guest, held: &HeldRoots) -> Result<(), ChainError> {
    let Some(release) = guest.release() else { return Ok(()) };
    let served = release::generations(release.chain, &guest.settings.app_id).await?;
    let now = *held.generations().borrow();
    if served.newest > now.newest {
        take(&release, held, served.newest).await?;
        let newest = held.held().newest;
        // Without it the disk opens under the generation before, while that is served, and no longer.
        if let Err(error) = guest.disk.follow(&newest) {
            tracing::error!(%error, "the state disk's header is not sealed under the new root key");
        }
        Ok(())
    } else {
        if now.previous.is_some() && served.previous.is_none() {
            tracing::info!(generation = served.newest, "the generation before is retired");
            held.retire_previous();
        }
        Ok(())
    }
}

async fn take(release: &Release<'_>, held: &HeldRoots, newest: u32) -> Result<(), ChainError> {
    let granted = match release::granted(release.chain, release.identity, newest).await {
        Err(ChainError::NoGrant(_)) => {
            release.request(ROOT_CONTEXT).await?;
            release::granted(release.chain, release.identity, newest).await?
        }
        found => found?,
    };
    let previous = granted.generations.previous;
    let mut roots = release.roots(Some(granted)).await?;
    if roots.previous.is_none() {
        // What is held already is as good as what is fetched.
        roots.previous = previous.and_then(|generation| held.root(Some(generation)));
    }
    tracing::info!(generation = roots.newest.generation, "the instance has a new generation of the root key");
    held.replace(roots);
    Ok(())
}
