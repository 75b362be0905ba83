//! Which keys may leave, by this validator's newest executed block: those of live grants, and state root keys for executors.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use freehold_crypto::{StateKeyOrigin, StateRootKey, state_grant_id};
use freehold_primitives::{Digest, Generation, StateShare, entries::GrantEntry};

use super::{HEADER_AGE_S_MAX, ShareError, board::GRANTS_MAX};
use crate::{
    shared::{Shared, Tip},
    wire::ShareMessage,
};

/// A grant that is live now.
#[derive(Clone)]
pub(super) struct LiveGrant {
    pub(super) entry: GrantEntry,
    /// Generation of the master that its key is under.
    pub(super) master: Generation,
}

/// Says which grants are live; asked before every share that leaves.
pub(super) trait Grants {
    /// The grant, where it is live now.
    fn live(&self, grant: &Digest) -> Result<LiveGrant, ShareError>;

    /// Whose state root key an id stands for; `None` where it is a grant's.
    fn state_of(&self, _grant: &Digest) -> Option<StateShare> {
        None
    }
}

/// Grants as this validator's chain has them.
pub(super) struct ChainGrants {
    shared: Arc<Shared>,
    /// Whose state root key an id stands for; only what was live when it was named, so that strangers take no place.
    state: Mutex<BTreeMap<Digest, (Digest, Generation)>>,
}

impl ChainGrants {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<Digest, (Digest, Generation)>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id under which the shares of a state root key for an executor are collected, where it may have them now.
    pub(super) fn name_state(&self, instance: Digest, generation: Generation) -> Result<Digest, ShareError> {
        let id = state_grant_id(&instance, generation);
        self.live_state(&id, (instance, generation), &self.fresh_tip()?)?;
        let mut state = self.state();
        if state.len() >= GRANTS_MAX {
            state.clear();
        }
        state.insert(id, (instance, generation));
        Ok(id)
    }

    /// How the others are asked for their shares.
    pub(super) fn ask(&self, grant: &Digest) -> ShareMessage {
        self.state().get(grant).map_or(ShareMessage::Ask { grant: *grant }, |(instance, generation)| {
            ShareMessage::AskState { instance: *instance, generation: *generation }
        })
    }

    fn fresh_tip(&self) -> Result<Tip, ShareError> {
        let tip = self.shared.tip();
        let age_s = self.shared.clock.now_s().saturating_sub(tip.header.timestamp);
        if age_s > HEADER_AGE_S_MAX { Err(ShareError::Stale) } else { Ok(tip) }
    }

    /// What stands for a grant where an executor asks for a state root key. No entry records it: the instance's own does.
    fn live_state(
        &self,
        id: &Digest,
        (instance, generation): (Digest, Generation),
        tip: &Tip,
    ) -> Result<LiveGrant, ShareError> {
        let chain = &self.shared.chain;
        if chain.key_origin() != Some(StateKeyOrigin::Quorum) {
            return Err(ShareError::NoQuorum);
        }
        let entry = chain.executor(&instance).map_err(|_| ShareError::State)??;
        let status = chain.state_key_status(tip.height()).map_err(|_| ShareError::State)?.unwrap_or_default();
        if !status.held().contains(&generation) {
            return Err(ShareError::NoGeneration);
        }
        let (app_id, context) = StateRootKey::named();
        let entry = GrantEntry {
            grant_id: *id,
            app_id,
            instance_id: instance,
            context: context.to_owned(),
            generation,
            transport_key: entry.transport_key,
            granted_at: entry.opened_at,
            until: entry.expires_at,
            closed_at: None,
        };
        // State root keys are under the genesis' master always.
        Ok(LiveGrant { entry, master: 0 })
    }
}

impl Grants for ChainGrants {
    fn state_of(&self, grant: &Digest) -> Option<StateShare> {
        self.state()
            .get(grant)
            .map(|(instance, generation)| StateShare { instance: *instance, generation: *generation })
    }

    fn live(&self, grant: &Digest) -> Result<LiveGrant, ShareError> {
        let tip = self.fresh_tip()?;
        let named = self.state().get(grant).copied();
        if let Some(named) = named {
            return self.live_state(grant, named, &tip);
        }
        let chain = &self.shared.chain;
        let entry = chain.grant(grant).map_err(|_| ShareError::State)?.ok_or(ShareError::Unknown)?;
        if entry.closed_at.is_some() || entry.until <= tip.header.timestamp {
            return Err(ShareError::Closed);
        }
        // Neither a denial by the chain nor a rotation closes a grant: both are looked up here, each time.
        let context = chain.key_context(&entry.app_id, &entry.context).map_err(|_| ShareError::State)?;
        if context.as_ref().is_some_and(|context| !context.serves(entry.generation, tip.header.timestamp)) {
            return Err(ShareError::Retired);
        }
        let master = context.map_or(0, |context| context.master_of(entry.generation));
        let ends = chain.master(master).map_err(|_| ShareError::State)?;
        if ends.is_some_and(|ends| !ends.serves(tip.header.timestamp)) {
            return Err(ShareError::Retired);
        }
        let denied = chain.is_denied(&entry.instance_id).map_err(|_| ShareError::State)?;
        if denied.ok_or(ShareError::Unknown)? { Err(ShareError::Denied) } else { Ok(LiveGrant { entry, master }) }
    }
}
