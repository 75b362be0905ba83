//! The host of an executor: a node that runs as an instance of the app that the genesis names for validators and executors.
//!
//! It serves evidence, relay and control to a guest in the node's own process; there is no process to supervise and no app
//! behind a socket. Real hardware needs none of this but the control channel: there the guest's configuration is given.

use std::{path::Path, pin::Pin};

use freehold_primitives::AppId;
use tokio::sync::mpsc;

use crate::{
    config::HostConfig,
    error::HostError,
    event::HostEvent,
    host::{AppChoice, Outside},
    sandbox::Isolation,
};

/// What stands around an executor. Dropping it ends it; [`ExecutorHost::stop`] closes the registration too.
pub struct ExecutorHost(Outside);

impl ExecutorHost {
    /// Measures the program, brings the genesis' app and the collateral to the chain, and serves evidence, relay and
    /// control. Of the configuration, `guest` and `app` name the node's own executable; `api` is not used.
    ///
    /// # Errors
    /// Every [`HostError`] but [`HostError::NotReady`]; [`HostError::NoExecutors`], [`HostError::OtherCreator`].
    pub fn start(
        config: HostConfig,
        events: mpsc::UnboundedSender<HostEvent>,
    ) -> Pin<Box<dyn Future<Output = Result<Self, HostError>> + Send>> {
        Box::pin(async move {
            let outside = Outside::start(&config, Isolation::None, AppChoice::OfGenesis, &events).await?;
            // An instance whose process was killed would stand until its lease ends.
            outside.control.recall();
            outside.control.deregister().await;
            Ok(Self(outside))
        })
    }

    /// The app.
    pub const fn app_id(&self) -> AppId {
        self.0.app_id
    }

    /// What the guest is started with.
    pub fn guest_config(&self) -> &Path {
        &self.0.guest_config
    }

    /// Closes the registration of the guest, which has ended.
    pub async fn stop(self) {
        self.0.control.deregister().await;
    }
}
