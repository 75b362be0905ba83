#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod adapter;
mod application;
mod block;
mod ceremony;
mod check;
mod config;
mod dealer;
mod delivery;
mod dialing;
mod elector;
mod engines;
mod founding;
mod gossip;
mod keys;
mod links;
mod network;
mod reports;
mod resharing;
mod rounds;
mod runtime;
mod tap;
mod terms;
mod validator;
mod vault;
mod watermark;
mod witness;

pub use application::{
    Application, FinalizedPayload, MastersPlan, NetworkKeyPlan, Players, ProposalContext, SeenCertificate,
};
#[doc(hidden)]
pub use block::payload_input;
pub use block::{BlockError, genesis_payload};
pub use ceremony::{
    Ceremony, CeremonyError, Committee, DIRECT_BYTES_MAX, Effect, Outcome, Plan, Record, Refusal, Report,
    STATEMENT_BYTES_MAX, Statement,
};
pub use check::{Fault, Position, check_payload};
pub use config::{
    ConfigError, Floor, GOSSIP_BYTES_MAX, GOSSIP_CHANNELS_MAX, GOSSIP_QUOTA_MAX, GenesisShares, GossipChannel,
    PEERS_ROOM_MIN, Peers, Reach, Start, TERM_BLOCKS_PER_VALIDATOR_MIN, Timers, Validator,
};
pub use dealer::{Dealt, trusted_dealer};
pub use founding::{FOUNDING_GENERATIONS, Founded, Founding, FoundingError, FoundingHandle, Progress, found};
#[doc(hidden)]
pub use founding::{founding_input, founding_seeds};
pub use gossip::{GOSSIP_QUEUED_MAX, Gossip, GossipError, GossipReceiver, GossipSender};
pub use keys::{IdentityKey, KeyError, KeyShare, ShareKind, VALIDATORS_MAX, network_key};
pub use links::Links;
pub use runtime::Runtime;
pub use tap::Tap;
pub use terms::{HeldMaster, Successor, TermKeys};
pub use validator::{History, StartError, Stopped, ValidatorHandle, start};
pub use witness::{DoubleProposal, SignedHead};
