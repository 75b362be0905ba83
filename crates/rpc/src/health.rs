//! Answer of `freehold_health()` (`spec/rpc.md`): how one node and its network stand, for whoever operates it.
//!
//! Nothing here is proven: it is what the node says of itself and what it sees of others. No secret, account or address
//! stands in it. Members that a client does not know are skipped, since node and client may be of different releases.

use freehold_primitives::{Ed25519Key, Height, Term};
use serde::{Deserialize, Serialize};

use crate::hexed::{prefixed, prefixed_option};

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Proposes, votes and executes.
    Validator,
    /// Executes, without a vote.
    Executor,
    /// Takes write sets, without keys.
    Follower,
}

/// How one node and its network stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// What the node does.
    pub role: NodeRole,
    /// Its identity among validators; null where it only follows.
    #[serde(with = "prefixed_option")]
    pub identity: Option<Ed25519Key>,
    /// Term and its keys.
    pub term: TermReport,
    /// Heights and their ages.
    pub progress: Progress,
    /// Every validator of the term, and every other peer, by key.
    pub validators: Vec<ValidatorReport>,
    /// From a payload's time to its execution here, of the newest blocks.
    pub finality: Latency,
    /// From a client's submission here to its receipt here.
    pub receipts: Latency,
    /// What it takes of the machine.
    pub machine: Machine,
    /// Key service.
    pub key_service: KeyServiceReport,
    /// What was refused since the start, by kind and reason.
    pub refused: Vec<Refused>,
    /// Versions of the protocol.
    pub protocol: ProtocolReport,
    /// What needs somebody's attention, most urgent first.
    pub warnings: Vec<Warning>,
}

/// Term and its keys in [`NodeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermReport {
    /// The term.
    pub number: Term,
    /// Length of a term in payloads; 0 where it has no end.
    pub blocks: u64,
    /// First height of the next term; null where there is none.
    pub next_at: Option<Height>,
    /// Validators that must vote; null where this node has not seen who signs in the term.
    pub quorum: Option<u32>,
    /// Whether the node is a validator of the term.
    pub is_member: bool,
    /// Whether it holds a share that signs.
    pub holds_share: bool,
    /// How the newest round of key generation ended, `reshared` or `kept`; null before the first.
    pub resharing: Option<String>,
}

/// Heights and their ages in [`NodeHealth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Newest payload that is ordered.
    pub ordered: Height,
    /// Newest executed block.
    pub executed: Height,
    /// Its age in seconds.
    pub executed_age_s: u64,
    /// Newest block under a certificate.
    pub finalized: Height,
    /// Its age in seconds.
    pub finalized_age_s: u64,
    /// The engine's view; null where the node does not vote.
    pub view: Option<u64>,
    /// Transactions that wait.
    pub pool: u64,
}

/// One validator or peer in [`NodeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorReport {
    /// Its identity.
    #[serde(with = "prefixed")]
    pub validator: Ed25519Key,
    /// Whether it is this node.
    pub own: bool,
    /// Seconds since the connection to it began; null where there is none.
    pub connected_s: Option<u64>,
    /// Views between the engine's and its newest vote; null where no vote was seen.
    pub votes_behind: Option<u64>,
    /// Height of its newest final payload since this node started.
    pub proposed: Option<Height>,
    /// Blocks that it had not executed when it proposed that.
    pub execution_lag: Option<u64>,
}

/// Newest times in [`NodeHealth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Times that were counted.
    pub count: u64,
    /// Median, in milliseconds.
    pub p50_ms: u64,
    /// The time that one of a hundred exceeds, in milliseconds.
    pub p99_ms: u64,
}

/// What a node takes of the machine, in [`NodeHealth`]; bytes, 0 where the system does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Blocks.
    pub blocks_bytes: u64,
    /// State.
    pub state_bytes: u64,
    /// Consensus.
    pub consensus_bytes: u64,
    /// Free space below the node's folder.
    pub disk_free_bytes: u64,
    /// Memory of the process.
    pub memory_bytes: u64,
}

/// Key service in [`NodeHealth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyServiceReport {
    /// Whether the newest header is young enough to release shares by.
    pub serves: bool,
    /// Requests that were answered since the start.
    pub released: u64,
    /// Requests that were refused since the start.
    pub refused: u64,
}

/// A count in [`NodeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `transaction`, `message` or `key`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// Versions of the protocol (`spec/protocol.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolReport {
    /// Version that rules the newest block.
    pub current: u32,
    /// Version that was announced last.
    pub next: u32,
    /// First height that `next` rules; 0 where nothing was announced.
    pub next_from: Height,
    /// Release that knows `next`.
    pub release: String,
    /// Newest version that the node knows.
    pub known: u32,
}

/// Something that needs attention, in [`NodeHealth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable name: a heading of `docs/runbook.md`.
    pub code: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub action: String,
    /// Validator that it is about; null where it is about this node or the network.
    #[serde(with = "prefixed_option")]
    pub validator: Option<Ed25519Key>,
}
