//! A member that is no validator: it holds a validator's identity and share, and sends what no validator would.
//!
//! It floods every channel with garbage, with what others said (again, altered, or on another channel), and contradicts
//! votes under its own share: it votes for payloads that nobody has, finalises two in one round, and gives rounds up that
//! it finalises.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use commonware_runtime::{Clock as _, Handle, Spawner as _, Supervisor as _};
use freehold_consensus::{Gossip, GossipReceiver, GossipSender, Tap};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::machine::Machine;

/// Messages of others that are kept to be said again.
const HEARD_MAX: usize = 64;
/// Longest garbage, in bytes.
const GARBAGE_MAX: usize = 2_048;
/// Messages of one burst.
const BURST_MAX: usize = 24;
/// One vote of so many is contradicted: more would only be dropped as a flood.
const CONTRADICTED: usize = 3;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// Garbage, replays and floods.
    Noise,
    /// Contradicting votes.
    Contradicts,
}

/// Messages with the channel on which they came.
type Heard = Arc<Mutex<VecDeque<(usize, Bytes)>>>;

/// The adversary on a machine; its tasks end with it.
pub(crate) struct Adversary {
    tasks: Vec<Handle<()>>,
}

impl Adversary {
    /// Begins; `seed` decides what is sent.
    pub(crate) fn start(machine: &Machine, mut tap: Tap, (manner, seed): (Manner, u64)) -> Self {
        let heard = Heard::default();
        let (senders, receivers): (Vec<_>, Vec<_>) =
            tap.take_channels().into_iter().map(|Gossip { sender, receiver }| (sender, receiver)).unzip();
        let mut tasks = Vec::new();
        let votes = senders[Tap::VOTES].clone();
        let tap = Arc::new(tap);
        for (channel, receiver) in receivers.into_iter().enumerate() {
            let contradicts = (manner == Manner::Contradicts && channel == Tap::VOTES).then(|| Contradiction {
                tap: Arc::clone(&tap),
                votes: votes.clone(),
                rng: StdRng::seed_from_u64(seed),
            });
            let listening = listen((channel, receiver), Arc::clone(&heard), contradicts, Arc::clone(&tap));
            tasks.push(machine.child("listen").spawn(|_| listening));
        }
        if manner == Manner::Noise {
            let rng = StdRng::seed_from_u64(seed);
            tasks.push(machine.child("noise").spawn(move |machine| noise(machine, senders, heard, rng)));
        }
        Self { tasks }
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        self.tasks.iter().for_each(Handle::abort);
    }
}

struct Contradiction {
    tap: Arc<Tap>,
    votes: GossipSender,
    rng: StdRng,
}

impl Contradiction {
    fn answer(&mut self, vote: &[u8]) {
        let Ok(contradicting) = self.tap.contradict(vote, self.rng.random()) else { return };
        for vote in contradicting {
            let _full = self.votes.broadcast(vote);
        }
    }
}

/// Keeps what comes on a channel; holds the links while it runs.
async fn listen(
    (channel, mut receiver): (usize, GossipReceiver),
    heard: Heard,
    mut contradiction: Option<Contradiction>,
    _links: Arc<Tap>,
) {
    let mut count = 0_usize;
    while let Some((_, message)) = receiver.recv().await {
        count += 1;
        if let Some(contradiction) = contradiction.as_mut().filter(|_| count.is_multiple_of(CONTRADICTED)) {
            contradiction.answer(&message);
        }
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() == HEARD_MAX {
            heard.pop_front();
        }
        heard.push_back((channel, message));
    }
}

/// Floods in bursts.
async fn noise(machine: Machine, senders: Vec<GossipSender>, heard: Heard, mut rng: StdRng) {
    loop {
        machine.sleep(Duration::from_millis(rng.random_range(2..200))).await;
        for _ in 0..rng.random_range(1..=BURST_MAX) {
            let said = {
                let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let at = rng.random_range(0..=HEARD_MAX);
                heard.get(at).cloned()
            };
            let (channel, message) = match said {
                Some((channel, message)) => altered(&mut rng, (channel, senders.len()), &message),
                None => {
                    let mut garbage = vec![0; rng.random_range(0..GARBAGE_MAX)];
                    rng.fill(&mut garbage[..]);
                    (rng.random_range(0..senders.len()), garbage)
                }
            };
            let _full = senders[channel].broadcast(message);
        }
    }
}

/// What was heard: as it was, with a byte changed, or cut short, on its channel or on another.
fn altered(rng: &mut StdRng, (channel, channels): (usize, usize), message: &[u8]) -> (usize, Vec<u8>) {
    let mut message = message.to_vec();
    let mut on = channel;
    match rng.random_range(0..4_u8) {
        0 => {}
        1 => on = rng.random_range(0..channels),
        2 => message.truncate(rng.random_range(0..=message.len())),
        _ => {
            let length = message.len();
            if length > 0 {
                message[rng.random_range(0..length)] ^= rng.random_range(1..=u8::MAX);
            }
        }
    }
    (on, message)
}
