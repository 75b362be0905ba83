//! A validator's gossip channels without a validator on them: for one that asks its peers before it begins.
//!
//! It holds the identity's authenticated links; what arrives on the engine's own channels is thrown away, and nothing is
//! sent on them. Not here: what is said on the gossip channels.

use commonware_p2p::Receiver as _;
use commonware_runtime::Handle;
use freehold_crypto::{chain_namespace, genesis_hash};

use crate::{
    config::{ConfigError, Validator},
    gossip::{self, Gossip},
    network::{self, Channel},
    runtime::Runtime,
};

/// A validator's links. Dropping them cuts them.
pub struct Links {
    gossip: Vec<Gossip>,
    tasks: Vec<Handle<()>>,
}

impl Links {
    /// Joins the network of a configuration as its identity.
    ///
    /// # Errors
    /// Any [`ConfigError`].
    pub fn join<E: Runtime>(context: &E, config: &Validator) -> Result<Self, ConfigError> {
        config.check()?;
        let namespace = chain_namespace(config.genesis.chain_id, &genesis_hash(&config.genesis));
        let (gossip, pumps): (Vec<_>, Vec<_>) =
            config.gossip.iter().map(|channel| gossip::channel(channel.message_bytes_max)).unzip();
        let network::Channels { votes, certificates, rounds, backfill, blocks, resharing, oracle: _, task } =
            network::open(context, config, &namespace, pumps);
        let mut tasks = vec![task];
        for channel in [votes, certificates, rounds, backfill, blocks, resharing] {
            tasks.push(context.child("unread").spawn(move |_| discard(channel)));
        }
        Ok(Self { gossip, tasks })
    }

    /// The gossip channels, in the order of the configuration; a second call returns none.
    pub fn take_gossip(&mut self) -> Vec<Gossip> {
        std::mem::take(&mut self.gossip)
    }
}

/// Reads and forgets: a channel that nobody reads would hold the others up.
async fn discard<E: Runtime>(mut channel: Channel<E>) {
    while channel.1.recv().await.is_ok() {}
}

impl Drop for Links {
    fn drop(&mut self) {
        self.tasks.iter().for_each(Handle::abort);
    }
}
