//! Figures of finality in simulation: how long the protocol takes over given links, computing aside.
//!
//! Simulated time counts links and timers; what signatures and execution cost on a machine is not in it. Nothing is faulty
//! and no proposer waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{Config, Context, Runner},
};
use freehold_consensus::KeyError;
use freehold_primitives::Height;
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    chain::Ground,
    machine::{Disk, Fsync, Link, Skew, Wires},
    monitor::{Monitor, Violation},
    network::{Common, Host, Keys, Size, crash},
    plan::Role,
    run::{START_S, timers},
};

/// How far simulated time moves while every task that can runs once.
const CYCLE: Duration = Duration::from_micros(10);
/// Time in which everybody connects to everybody.
const WARM_UP: Duration = Duration::from_secs(4);
/// Milliseconds between payloads meanwhile.
const WARM_PACE_MS: u64 = 400;
/// Heights after it that are not counted.
const WARM_HEIGHTS: Height = 5;
/// Simulated time before a run counts as hung.
const LIMIT: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalityOptions {
    /// Validators: 1, or 4 and more.
    pub nodes: u16,
    /// Time that a byte takes from one validator to another, one way.
    pub latency: Duration,
    /// Blocks that are counted.
    pub blocks: u64,
    /// Decides the order of what happens at one time.
    pub seed: u64,
}

/// What was measured, in simulated time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinalityFigures {
    /// From a proposal to its finality at a validator, over all validators and blocks: half are below, in milliseconds.
    pub p50_ms: f64,
    /// The same, 99 of 100 are below.
    pub p99_ms: f64,
    /// Final blocks in a second.
    pub blocks_per_s: f64,
    /// Bytes that all validators sent for a block.
    pub bytes_per_block: u64,
    /// Blocks that were counted.
    pub blocks: u64,
}

/// Why nothing was measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FinalityError {
    /// No network of this size.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The genesis does not execute.
    #[error("the genesis does not execute")]
    Genesis,
    /// The network broke a rule.
    #[error("the network broke a rule: {0}")]
    Violated(Violation),
    /// The network stood still.
    #[error("the network stood still")]
    Stuck,
}

/// Measures finality and pace of a network where nothing is faulty.
///
/// # Errors
/// Any [`FinalityError`].
pub fn finality(options: FinalityOptions) -> Result<FinalityFigures, FinalityError> {
    let settings = Config::new()
        .with_seed(options.seed)
        .with_cycle(CYCLE)
        .with_start_time(UNIX_EPOCH + Duration::from_secs(START_S))
        .with_timeout(Some(LIMIT * 2));
    Runner::new(settings).start(|context| measure(context, options))
}

async fn measure(context: Context, options: FinalityOptions) -> Result<FinalityFigures, FinalityError> {
    let size = Size { validators: options.nodes, candidates: 0, term_blocks: 0 };
    let keys = Keys::deal(options.seed, size, START_S * 1_000)?;
    let peers = watch::Sender::new(keys.peers());
    let monitor = keys.observer().map_err(|_| FinalityError::Genesis)?;
    let ground = Arc::new(Ground::new(&keys.genesis).map_err(|_| FinalityError::Genesis)?);
    let mut timers = timers();
    timers.leader += options.latency * 8;
    timers.certification += options.latency * 16;
    timers.retry += options.latency * 16;
    timers.skip += options.latency * 32;
    let common = Common {
        keys,
        ground,
        monitor,
        wires: Wires::new(options.seed, Link { latency: options.latency, ..Link::default() }),
        timers,
        pace_ms: Arc::new(AtomicU64::new(WARM_PACE_MS)),
        peers,
        start: context.current(),
    };
    let host = |id: u16| {
        let disk = Disk::new(options.seed ^ u64::from(id) << 32, Fsync::Keeps);
        Host::new(id, (id, Role::Honest), Skew::default(), disk)
    };
    let mut hosts: Vec<_> = (0..options.nodes).map(host).collect();
    for host in &mut hosts {
        common.start(&context, host).await;
    }
    context.sleep(WARM_UP).await;
    // From here on nobody waits.
    common.pace_ms.store(0, Ordering::Relaxed);
    let settled = common.monitor.height() + WARM_HEIGHTS;
    let warm = reach(&context, &common.monitor, settled).await;
    let (from, bytes) = (context.current(), common.wires.bytes());
    let first = common.monitor.height();
    let done = warm && reach(&context, &common.monitor, first + options.blocks).await;
    let seconds = context.current().duration_since(from).unwrap_or_default().as_secs_f64();
    let blocks = common.monitor.height() - first;
    let bytes = common.wires.bytes() - bytes;
    crash(&context, hosts.iter_mut()).await;
    if let Some(violation) = common.monitor.violation() {
        return Err(FinalityError::Violated(violation));
    }
    if !done {
        return Err(FinalityError::Stuck);
    }
    let mut samples = common.monitor.latencies(first + 1);
    samples.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, reason = "a count of blocks")]
    let blocks_per_s = blocks as f64 / seconds;
    Ok(FinalityFigures {
        p50_ms: quantile(&samples, 50),
        p99_ms: quantile(&samples, 99),
        blocks_per_s,
        bytes_per_block: bytes / blocks.max(1),
        blocks,
    })
}

fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

async fn reach(context: &Context, monitor: &Monitor, height: Height) -> bool {
    let deadline = context.current() + LIMIT;
    while monitor.height() < height {
        if context.current() >= deadline || monitor.violation().is_some() {
            return false;
        }
        context.sleep(Duration::from_micros(200)).await;
    }
    true
}
