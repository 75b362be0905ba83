//! Where tests on the deterministic runtime begin: the runner of a seed, validators that are all started, and networks whose
//! terms turn.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::Ordering,
    time::{Duration, UNIX_EPOCH},
};

use commonware_runtime::deterministic::{Config, Context, Runner};
use freehold_consensus::{TermKeys, ValidatorHandle};

use crate::common::Net;

/// Payloads of a term of four validators: the fewest there may be.
pub const TERM: u64 = 32;
/// The validators of the genesis, where there are others beside.
pub const FOUR: [usize; 4] = [0, 1, 2, 3];
/// Simulated start, since the Unix epoch.
const START: Duration = Duration::from_secs(1_800_000_000);
/// Simulated time after which a run has hung.
const HUNG: Duration = Duration::from_secs(1_000);

/// The runtime of a seed.
pub fn runner(seed: u64) -> Runner {
    Runner::new(Config::new().with_seed(seed).with_start_time(UNIX_EPOCH + START).with_timeout(Some(HUNG)))
}

/// As many simulated addresses.
pub fn addresses(count: u16) -> Vec<SocketAddr> {
    (0..count).map(|index| SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000 + index))).collect()
}

/// The first four of `count` identities, with terms, and so many milliseconds between payloads.
pub fn network(count: u16, seed: u64, pace_ms: u64) -> Net {
    let mut net = Net::among(&FOUR, seed, addresses(count));
    net.genesis.membership.term_blocks = TERM;
    net.knobs.iter().for_each(|knobs| knobs.pace_ms.store(pace_ms, Ordering::Relaxed));
    net
}

/// Validators by their place; `None` where one does not run.
pub type Handles = Vec<Option<ValidatorHandle>>;

/// Starts these.
pub async fn start(net: &Net, context: &Context, who: &[usize]) -> Handles {
    let mut handles: Handles = (0..net.identities.len()).map(|_| None).collect();
    for index in who {
        handles[*index] = Some(net.start(context, *index).await);
    }
    handles
}

/// Starts all.
pub async fn start_all(net: &Net, context: &Context) -> Handles {
    start(net, context, &(0..net.identities.len()).collect::<Vec<_>>()).await
}

/// What is in force for a validator.
pub fn in_force(handles: &[Option<ValidatorHandle>], index: usize) -> TermKeys {
    handles[index].as_ref().unwrap().term_keys().borrow().clone()
}
