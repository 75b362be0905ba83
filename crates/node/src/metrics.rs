//! What an operator watches of a validator: gauges read when they are asked for, beside the engine's own metrics.
//!
//! Invariant: nothing here names an account, a transaction or a key. Serving them is `rpc::probes`.

use std::{fmt, sync::Arc};

use commonware_runtime::{
    Metrics,
    telemetry::metrics::{Gauge, MetricsExt as _},
};
use freehold_primitives::Height;

use crate::shared::Shared;

/// Age of the newest executed block from which a validator is not ready, in seconds: blocks come every second.
const READY_AGE_S: u64 = 10;

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

/// Gauges of one validator.
pub(crate) struct Gauges {
    shared: Arc<Shared>,
    encode: Box<dyn Fn() -> String + Send + Sync>,
    executed: Gauge,
    finalized: Gauge,
    age: Gauge,
    waiting: Gauge,
    base_fee: Gauge,
    store: Gauge,
}

impl Gauges {
    /// Registers the gauges with the engine's runtime, whose registry they are then read from.
    pub(crate) fn new<E: Metrics>(context: &E, shared: Arc<Shared>) -> Self {
        let node = context.child("node");
        Self {
            executed: node.gauge("executed_height", "Newest executed block"),
            finalized: node.gauge("final_height", "Newest block that a certificate proves"),
            age: node.gauge("block_age_seconds", "Age of the newest executed block"),
            waiting: node.gauge("pool_transactions", "Transactions that wait"),
            base_fee: node.gauge("base_fee_wei", "Base fee of the newest executed block"),
            store: node.gauge("block_store_bytes", "Length of the file of blocks"),
            encode: Box::new(move || node.encode()),
            shared,
        }
    }

    /// Everything, in Prometheus's text format.
    pub(crate) fn encode(&self) -> String {
        let tip = self.shared.tip();
        set(&self.executed, tip.height());
        set(&self.finalized, self.shared.chain.store.finalized().ok().flatten().unwrap_or(0));
        set(&self.age, self.age_s());
        set(&self.waiting, self.shared.pool().mempool.len() as u64);
        set(&self.base_fee, tip.header.base_fee_per_gas.unwrap_or(0));
        set(&self.store, self.shared.chain.store.bytes());
        (self.encode)()
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

    fn age_s(&self) -> u64 {
        self.shared.clock.now_s().saturating_sub(self.shared.tip().header.timestamp)
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
