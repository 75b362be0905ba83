//! A validator's place on the network without a validator on it: for simulations of members that send what no validator
//! would. Nothing of a node uses it.
//!
//! It holds the identity's authenticated links on every channel and passes opaque messages; what its owner says on them is
//! the owner's. It also signs votes that contradict each other, under a share that it is given.

use commonware_codec::{Decode as _, Encode as _, varint::UInt};
use commonware_consensus::simplex::types::{Finalize, Notarize, Nullify, Proposal, Vote};
use commonware_cryptography::sha256;
use commonware_p2p::utils::mux;
use commonware_runtime::{Handle, IoBuf};
use freehold_crypto::{chain_namespace, genesis_hash};

use crate::{
    ceremony::Committee,
    check::Scheme,
    config::{ConfigError, Validator},
    gossip::{self, Gossip},
    keys::{KeyError, KeyShare},
    network,
    runtime::Runtime,
};

/// Largest message that goes through, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A member's bare links. Dropping it cuts them.
pub struct Tap {
    channels: Vec<Gossip>,
    scheme: Option<Scheme>,
    tasks: Vec<Handle<()>>,
}

impl Tap {
    /// Channels that carry the engine's own messages; gossip channels follow them.
    pub const ENGINE_CHANNELS: usize = 6;
    /// The channel of votes among them.
    pub const VOTES: usize = 0;

    /// Joins the network of a checked configuration as its identity, with `share` to sign by.
    ///
    /// # Errors
    /// Any [`ConfigError`].
    pub fn join<E: Runtime>(context: &E, config: &Validator, share: &KeyShare) -> Result<Self, ConfigError> {
        config.check()?;
        let genesis = &config.genesis;
        let namespace = chain_namespace(genesis.chain_id, &genesis_hash(genesis));
        let (members, polynomial) = Committee::new(&genesis.validators, &genesis.consensus_polynomial.0)?.parts();
        let scheme = Scheme::signer(&namespace, members, polynomial, share.to_engine()?);
        let (ours, pumps): (Vec<_>, Vec<_>) =
            config.gossip.iter().map(|settings| gossip::channel(settings.message_bytes_max)).unzip();
        let network::Channels { votes, certificates, rounds, backfill, blocks, resharing, oracle, task } =
            network::open(context, config, &namespace, pumps);
        drop(oracle);
        let (mut channels, mut tasks) = (Vec::new(), vec![task]);
        for (sender, receiver) in [votes, certificates, rounds, backfill, blocks, resharing] {
            let (gossip, pump) = gossip::channel(MESSAGE_BYTES_MAX);
            tasks.push(context.child("tap").spawn(move |_| pump.run(sender, receiver)));
            channels.push(gossip);
        }
        channels.extend(ours);
        Ok(Self { channels, scheme, tasks })
    }

    /// The channels, the engine's own first; a second call returns none.
    pub fn take_channels(&mut self) -> Vec<Gossip> {
        std::mem::take(&mut self.channels)
    }

    /// Signs votes that contradict a vote as it came over the channel of votes: for its payload and for one that nobody
    /// has (`invented`), to finalise both, and to give the round up.
    ///
    /// # Errors
    /// [`KeyError::Format`] when it is no vote, [`KeyError::Share`] when the share is no member's.
    pub fn contradict(&self, message: &[u8], invented: [u8; 32]) -> Result<Vec<Vec<u8>>, KeyError> {
        let scheme = self.scheme.as_ref().ok_or(KeyError::Share)?;
        let (term, vote) = mux::parse(IoBuf::from(message.to_vec())).map_err(|_| KeyError::Format)?;
        let vote = Vote::<Scheme, sha256::Digest>::decode_cfg(vote, &()).map_err(|_| KeyError::Format)?;
        let seen = match vote {
            Vote::Notarize(vote) => vote.proposal,
            Vote::Finalize(vote) => vote.proposal,
            Vote::Nullify(_) => return Ok(Vec::new()),
        };
        let other = Proposal::new(seen.round, seen.parent, sha256::Digest(invented));
        let mut votes = vec![Nullify::sign::<sha256::Digest>(scheme, seen.round).map(Vote::Nullify)];
        for proposal in [seen, other] {
            votes.push(Notarize::sign(scheme, proposal.clone()).map(Vote::Notarize));
            votes.push(Finalize::sign(scheme, proposal).map(Vote::Finalize));
        }
        let framed = |vote: Vote<Scheme, sha256::Digest>| {
            let mut frame = UInt(term).encode().to_vec();
            frame.extend_from_slice(&vote.encode());
            frame
        };
        Ok(votes.into_iter().flatten().map(framed).collect())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.tasks.iter().for_each(Handle::abort);
    }
}
