//! Follows what the app's owner sets while the instance serves.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::Guest;

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// The same before the first set is held.
const FIRST_LOOK: Duration = Duration::from_millis(200);

/// Runs until it is dropped.
pub(super) async fn follow(guest: Arc<Guest>) {
    loop {
        if let Err(error) = guest.owner().look(&guest).await {
            tracing::debug!(%error, "the owner's settings could not be looked at");
        }
        sleep(if guest.owner().newest().is_some() { LOOK } else { FIRST_LOOK }).await;
    }
}
