//! An executor's side: a node in this process that is given state root keys of every generation, and what signs its answers
//! to calls (`spec/confidential-state.md` §7, `spec/call-answer.md`).
//!
//! Invariant: keys and signer belong to the instance of this boot. Nothing of them is written down; a new boot registers
//! and asks anew, and what the chain ends gets no further generation.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use freehold_crypto::{AccountKey, AnswerSigner, StateKeys};
use freehold_primitives::entries::StateKeyStatus;
use freehold_rpc::Checked;
use freehold_verify::EntryKey;
use tokio::{sync::oneshot, time::sleep};

use super::Guest;
use crate::{chain::ChainError, release::ROOT_CONTEXT, state::Input};

/// Pause between two looks for generations that are missing.
const LOOK: Duration = Duration::from_secs(5);

/// What the node is given. No `Debug`: it is secret.
pub struct ExecutorGiven {
    /// State root keys; generations to come are added.
    pub keys: Arc<StateKeys>,
    /// What signs answers in the name of the instance.
    pub signer: AnswerSigner,
}

/// What is held for the node, until it is given.
pub(super) struct ExecutorSide {
    keys: Arc<StateKeys>,
    given: Mutex<Option<oneshot::Sender<ExecutorGiven>>>,
}

impl ExecutorSide {
    pub(super) fn new(given: oneshot::Sender<ExecutorGiven>) -> Self {
        Self { keys: Arc::new(StateKeys::from_quorum([])), given: Mutex::new(Some(given)) }
    }

    /// Fetches every generation that is missing.
    pub(super) async fn fetch_keys(&self, guest: &Guest) -> Input {
        match self.fetch(guest).await {
            Ok(()) => Input::KeysReady,
            Err(error) => {
                tracing::warn!(%error, "no state root keys yet");
                guest.note(Some(error.to_string()));
                Input::KeysFailed
            }
        }
    }

    async fn fetch(&self, guest: &Guest) -> Result<(), ChainError> {
        let release = guest.release().ok_or_else(|| ChainError::NoGrant(ROOT_CONTEXT.to_owned()))?;
        let Checked { entry, .. } = guest.chain.entry::<StateKeyStatus>(&EntryKey::StateKeyStatus).await?;
        for generation in entry.unwrap_or_default().held() {
            if self.keys.get(generation).is_none() {
                self.keys.add(release.state_key(generation).await?);
                tracing::info!(generation, "the quorum gave this executor a state root key");
            }
        }
        Ok(())
    }

    /// Gives the node what it needs, once.
    pub(super) fn give(&self, guest: &Guest) {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(given), Some(identity)) = (given, guest.identity()) else { return };
        let key = AccountKey::from_bytes(&guest.keys().account.to_bytes()).expect("a key's own bytes are a key");
        let signer = AnswerSigner::new(identity.instance_id, key);
        let _gone = given.send(ExecutorGiven { keys: Arc::clone(&self.keys), signer });
    }

    /// Fetches generations as they come.
    pub(super) async fn follow(self: Arc<Self>, guest: Arc<Guest>) {
        loop {
            sleep(LOOK).await;
            if let Err(error) = self.fetch(&guest).await {
                tracing::debug!(%error, "no newer state root key");
            }
        }
    }
}
