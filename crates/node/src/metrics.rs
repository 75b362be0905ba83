//! What an operator watches of a node: gauges read when they are asked for and what is counted while it runs, beside the
//! engine's own metrics.
//!
//! Invariant: nothing here names an account, a transaction or a key; validators are named by their public identity.
//! Serving them is `rpc::probes`; in words they are `health`.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use commonware_runtime::{
    Metrics,
    telemetry::metrics::{Gauge, GaugeFamily, MetricsExt as _},
};
use freehold_consensus::TermKeys;
use freehold_primitives::{Ed25519Key, Height, Term, TermOutcome};
use freehold_rpc::{Machine, ValidatorReport};
use tokio::sync::watch;

use crate::{
    counts::{Counts, Label},
    shared::Shared,
    store::bytes_below,
};

/// Age of the newest executed block from which a validator is not ready, in seconds: blocks come every second.
pub(crate) const READY_AGE_S: u64 = 10;

/// Why a validator is not ready to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// The newest executed block is old: it is catching up, or the network makes no blocks.
    Behind {
        /// The newest executed height.
        height: Height,
        /// Its age in seconds.
        age_s: u64,
    },
    /// A store cannot be read.
    Store,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { height, age_s } => write!(
                f,
                "not ready: the newest block here, {height}, is {age_s} s old; this node catches up, or the network makes no blocks"
            ),
            Self::Store => write!(f, "not ready: the block store cannot be read"),
        }
    }
}

/// Whose metrics they are.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    /// The validator's identity; `None` where it follows only.
    pub(crate) identity: Option<Ed25519Key>,
    /// Its folder.
    pub(crate) folder: PathBuf,
}

/// The term as a node sees it.
pub(crate) struct Standpoint {
    /// The term.
    pub(crate) number: Term,
    /// Who signs in it; `None` where this node has not seen it.
    pub(crate) members: Option<Vec<Ed25519Key>>,
    /// How the newest round of key generation ended.
    pub(crate) outcome: Option<TermOutcome>,
    /// Whether this node holds a share that signs.
    pub(crate) holds_share: bool,
}

/// Gauges of one node.
pub(crate) struct Gauges {
    pub(crate) shared: Arc<Shared>,
    pub(crate) own: Own,
    /// Whose keys are in force; `None` on a node without consensus.
    terms: Option<watch::Receiver<TermKeys>>,
    encode: Box<dyn Fn() -> String + Send + Sync>,
    /// Single values, in the order of [`SINGLE`].
    single: Vec<Gauge>,
    connected: GaugeFamily<Label>,
    votes_behind: GaugeFamily<Label>,
    execution_lag: GaugeFamily<Label>,
    /// Keeps what is counted registered.
    _counted: Vec<Box<dyn std::any::Any + Send + Sync>>,
}

/// Names and meanings of the gauges with one value.
const SINGLE: [(&str, &str); 19] = [
    ("executed_height", "Newest executed block"),
    ("final_height", "Newest block that a certificate proves"),
    ("ordered_height", "Newest payload that is ordered"),
    ("executed_lag", "Ordered payloads that are not executed yet"),
    ("block_age_seconds", "Age of the newest executed block"),
    ("pool_transactions", "Transactions that wait"),
    ("pool_bytes", "Bytes of the transactions that wait"),
    ("base_fee_wei", "Base fee of the newest executed block"),
    ("block_store_bytes", "Length of the file of blocks"),
    ("state_store_bytes", "Bytes of the files of state"),
    ("consensus_store_bytes", "Bytes of the files of consensus"),
    ("disk_free_bytes", "Free space below the node's folder"),
    ("memory_bytes", "Memory of the process"),
    ("peers_connected", "Other nodes that this one is connected to"),
    ("term", "Term"),
    ("holds_share", "Whether this node holds a share that signs"),
    ("protocol_version", "Version of the protocol that rules the newest block"),
    ("protocol_next", "Version of the protocol that was announced last"),
    ("protocol_next_height", "First height that the announced version rules"),
];

impl Gauges {
    /// Registers everything with the engine's runtime, whose registry it is then read from.
    pub(crate) fn new<E: Metrics>(context: &E, shared: Arc<Shared>, own: Own) -> Self {
        let node = context.child("node");
        let single = SINGLE.iter().map(|(name, meaning)| node.gauge(*name, *meaning)).collect();
        let connected = node.family("peer_connected", "Whether this node is connected to the validator or peer");
        let votes_behind = node.family("peer_votes_behind", "Views since the validator's newest vote");
        let execution_lag = node.family("peer_execution_lag", "Blocks a proposer had not executed");
        let counted = register(&node, &shared.counts);
        Self {
            shared,
            own,
            terms: None,
            single,
            connected,
            votes_behind,
            execution_lag,
            _counted: counted,
            encode: Box::new(move || node.encode()),
        }
    }

    /// The same, of a node that takes part in consensus.
    pub(crate) fn of_member(mut self, terms: watch::Receiver<TermKeys>) -> Self {
        self.terms = Some(terms);
        self
    }

    /// The term as consensus has it, or as the payloads tell it.
    pub(crate) fn term(&self) -> Standpoint {
        let told = self.shared.standing.outcome();
        let Some(terms) = &self.terms else {
            let (number, members) = self.shared.standing.term();
            return Standpoint { number, members, outcome: told, holds_share: false };
        };
        let keys = terms.borrow();
        Standpoint {
            number: keys.term,
            members: Some(keys.consensus.keys()),
            outcome: keys.turn().map(|turn| turn.outcome).or(told),
            holds_share: keys.consensus_share.is_some(),
        }
    }

    /// Everything, in Prometheus's text format.
    pub(crate) fn encode(&self) -> String {
        let values = self.values();
        for (gauge, value) in self.single.iter().zip(values) {
            set(gauge, value);
        }
        // Who is no peer any more has no gauge any more.
        for family in [&self.connected, &self.votes_behind, &self.execution_lag] {
            family.clear();
        }
        for validator in self.validators().iter().filter(|validator| !validator.own) {
            let label: Label = [("peer", validator.validator.to_string())];
            self.connected.get_or_create(&label).set(i64::from(validator.connected_s.is_some()));
            if let Some(behind) = validator.votes_behind {
                set(&self.votes_behind.get_or_create(&label), behind);
            }
            if let Some(lag) = validator.execution_lag {
                set(&self.execution_lag.get_or_create(&label), lag);
            }
        }
        self.engine()
    }

    /// The engine's metrics, and ours as they were set last.
    pub(crate) fn engine(&self) -> String {
        (self.encode)()
    }

    fn values(&self) -> [u64; SINGLE.len()] {
        let (shared, tip) = (&self.shared, self.shared.tip());
        let (height, machine, ordered) = (tip.height(), self.machine(), self.ordered());
        let (pool, pool_bytes) = {
            let pool = shared.pool();
            (pool.mempool.len() as u64, pool.mempool.bytes() as u64)
        };
        let connected = self.validators().iter().filter(|other| !other.own && other.connected_s.is_some()).count();
        let protocol = shared.chain.protocol(height).ok();
        let protocol = protocol
            .map_or([0; 3], |schedule| [u64::from(schedule.at(height)), u64::from(schedule.next), schedule.next_from]);
        [
            height,
            shared.chain.store.finalized().ok().flatten().unwrap_or(0),
            ordered,
            ordered.saturating_sub(height),
            self.age_s(),
            pool,
            pool_bytes,
            tip.header.base_fee_per_gas.unwrap_or(0),
            machine.blocks_bytes,
            machine.state_bytes,
            machine.consensus_bytes,
            machine.disk_free_bytes,
            machine.memory_bytes,
            connected as u64,
            self.term().number,
            u64::from(self.term().holds_share),
            protocol[0],
            protocol[1],
            protocol[2],
        ]
    }

    /// The newest ordered payload.
    pub(crate) fn ordered(&self) -> Height {
        self.shared.chain.store.newest_payload().ok().flatten().unwrap_or(0).max(self.shared.tip().height())
    }

    /// Every validator and peer, by key.
    pub(crate) fn validators(&self) -> Vec<ValidatorReport> {
        let text = self.engine();
        let standing = &self.shared.standing;
        let (view, now_ms) = (standing.view(&text), self.shared.clock.now_ms());
        let report = |found: crate::standing::ValidatorStanding| ValidatorReport {
            validator: found.validator,
            own: Some(found.validator) == self.own.identity,
            connected_s: found.connected_since_ms.map(|since| now_ms.saturating_sub(since) / 1_000),
            votes_behind: view.zip(found.voted).map(|(view, voted)| view.saturating_sub(voted)),
            proposed: found.proposed.map(|proposed| proposed.height),
            execution_lag: found.proposed.map(|proposed| (proposed.height - 1).saturating_sub(proposed.executed)),
        };
        standing.validators(&text).into_iter().map(report).collect()
    }

    /// What the node takes of the machine.
    pub(crate) fn machine(&self) -> Machine {
        let folder = &self.own.folder;
        Machine {
            blocks_bytes: self.shared.chain.store.bytes(),
            state_bytes: bytes_below(&folder.join("state")),
            consensus_bytes: bytes_below(&folder.join("consensus")),
            disk_free_bytes: free_bytes(folder),
            memory_bytes: memory_bytes(),
        }
    }

    /// Whether the validator keeps up.
    ///
    /// # Errors
    /// [`NotReady`], with what keeps it.
    pub(crate) fn readiness(&self) -> Result<(), NotReady> {
        self.shared.chain.store.finalized().map_err(|_| NotReady::Store)?;
        let age_s = self.age_s();
        if age_s > READY_AGE_S { Err(NotReady::Behind { height: self.shared.tip().height(), age_s }) } else { Ok(()) }
    }

    /// Age of the newest executed block, in seconds.
    pub(crate) fn age_s(&self) -> u64 {
        self.shared.clock.now_s().saturating_sub(self.shared.tip().header.timestamp)
    }
}

/// Registers what is counted while the node runs.
fn register<E: Metrics>(node: &E, counts: &Counts) -> Vec<Box<dyn std::any::Any + Send + Sync>> {
    let times = [
        ("block_seconds", "Seconds between the times of a block and its parent", &counts.block_s),
        ("finality_seconds", "Seconds from a payload's time to its execution here", &counts.finality_s),
        ("receipt_seconds", "Seconds from a client's submission here to its receipt", &counts.receipt_s),
        ("execution_seconds", "Seconds that execution of a block took", &counts.execution_s),
    ];
    let sums = [
        ("key_shares_released", "Requests for key shares that were answered", &counts.keys_released),
        ("transactions_told_again", "Own transactions told again", &counts.told_again),
    ];
    let reasons = [
        ("key_shares_refused", "Requests for key shares that were refused", &counts.keys_refused.family),
        ("transactions_refused", "Transactions that were refused", &counts.transactions_refused.family),
        ("messages_refused", "Messages of other nodes that were dropped", &counts.messages_refused.family),
    ];
    let mut kept: Vec<Box<dyn std::any::Any + Send + Sync>> = Vec::new();
    for (name, meaning, metric) in times {
        kept.push(Box::new(node.register(name, meaning, metric.clone())));
    }
    for (name, meaning, metric) in sums {
        kept.push(Box::new(node.register(name, meaning, metric.clone())));
    }
    for (name, meaning, metric) in reasons {
        kept.push(Box::new(node.register(name, meaning, metric.clone())));
    }
    kept
}

/// Free space below a folder, in bytes; 0 where the system does not say.
pub(crate) fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Resident memory of this process (proc(5): `VmRSS`, in KiB); 0 where the system does not say.
fn memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

fn set(gauge: &commonware_runtime::telemetry::metrics::raw::Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
