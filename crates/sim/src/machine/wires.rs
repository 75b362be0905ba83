//! Wires between machines: ordered byte streams, as TCP gives them, with latency, jitter, loss, partitions and resets.
//!
//! A lost segment costs the time of its retransmission and holds up what was sent after it. Over a cut wire nothing
//! passes; what was on the way arrives some time after the wire is whole again, unless the connection was reset. Nothing
//! arrives altered or out of order: the links above are authenticated, so that a forged byte is a reset.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use bytes::{Buf as _, Bytes, BytesMut};
use commonware_runtime::{Clock as _, Error, IoBufs, Supervisor as _, deterministic};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::{Notify, mpsc};

/// A machine's number.
pub(crate) type MachineId = u16;

/// Time after which a lost segment is sent again.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Bytes on the way before a sender waits.
const WINDOW_BYTES: usize = 1024 * 1024;
/// How long a dial over a cut wire takes to fail.
const DIAL_FAILS: Duration = Duration::from_millis(1_000);
/// Up to so much a dial takes beside its round trip, whatever the wires.
const DIAL_JITTER: Duration = Duration::from_millis(20);
/// First port that dialers get.
const DIALER_PORT: u16 = 40_000;

/// How a wire between two machines behaves, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// Time that a byte takes.
    pub(crate) latency: Duration,
    /// Up to so much more, drawn for each write.
    pub(crate) jitter: Duration,
    /// Lost segments of a thousand.
    pub(crate) loss_per_mille: u16,
}

/// All wires; clones are the same wires.
#[derive(Clone)]
pub(crate) struct Wires(Arc<Mutex<Fabric>>);

struct Fabric {
    rng: StdRng,
    link: Link,
    /// Pairs of machines, the smaller number first, whose wire is cut.
    cut: Vec<(MachineId, MachineId)>,
    listeners: BTreeMap<SocketAddr, (MachineId, mpsc::UnboundedSender<Accepted>)>,
    /// Where a machine is led that dials an address: two machines may claim one.
    routes: BTreeMap<(MachineId, SocketAddr), SocketAddr>,
    /// Pairs of machines, the smaller number first, between which there is no wire at all.
    apart: Vec<(MachineId, MachineId)>,
    pipes: Vec<Weak<Pipe>>,
    dialed: u16,
    bytes: u64,
}

type Accepted = (SocketAddr, Sink, Stream);

/// One direction of a connection.
struct Pipe {
    ends: (MachineId, MachineId),
    state: Mutex<PipeState>,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct PipeState {
    queue: VecDeque<(SystemTime, Bytes)>,
    queued_bytes: usize,
    last: Option<SystemTime>,
    reset: bool,
    writer_gone: bool,
    reader_gone: bool,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.readable.notify_one();
        self.writable.notify_one();
    }
}

fn pair(a: MachineId, b: MachineId) -> (MachineId, MachineId) {
    (a.min(b), a.max(b))
}

impl Wires {
    /// Wires that are all alike; `seed` decides jitter and loss.
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        Self(Arc::new(Mutex::new(Fabric {
            rng: StdRng::seed_from_u64(seed),
            link,
            cut: Vec::new(),
            listeners: BTreeMap::new(),
            routes: BTreeMap::new(),
            apart: Vec::new(),
            pipes: Vec::new(),
            dialed: 0,
            bytes: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Fabric> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how all wires behave from now on.
    pub(crate) fn set_link(&self, link: Link) {
        self.lock().link = link;
    }

    /// Bytes that were sent so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Leads a machine that dials `address` to another.
    pub(crate) fn route(&self, from: MachineId, address: SocketAddr, to: SocketAddr) {
        self.lock().routes.insert((from, address), to);
    }

    /// Takes the wire between two machines away, whoever dials.
    pub(crate) fn part(&self, one: MachineId, other: MachineId) {
        self.lock().apart.push(pair(one, other));
    }

    /// Cuts every wire between a machine for which `inside` holds and one for which it does not.
    pub(crate) fn cut(&self, machines: MachineId, inside: impl Fn(MachineId) -> bool) {
        let mut fabric = self.lock();
        for a in 0..machines {
            for b in a + 1..machines {
                if inside(a) != inside(b) && !fabric.cut.contains(&(a, b)) {
                    fabric.cut.push((a, b));
                }
            }
        }
    }

    /// Resets the connections that run over cut wires, which both ends then see.
    pub(crate) fn reset_cut(&self) {
        let fabric = self.lock();
        for pipe in fabric.pipes.iter().filter_map(Weak::upgrade) {
            if fabric.cut.contains(&pair(pipe.ends.0, pipe.ends.1)) {
                pipe.lock().reset = true;
                pipe.wake();
            }
        }
    }

    /// Makes every wire whole. What was held up arrives after a retransmission.
    pub(crate) fn heal(&self, now: SystemTime) {
        let mut fabric = self.lock();
        let cut = std::mem::take(&mut fabric.cut);
        fabric.pipes.retain(|pipe| pipe.strong_count() > 0);
        for pipe in fabric.pipes.iter().filter_map(Weak::upgrade) {
            if cut.contains(&pair(pipe.ends.0, pipe.ends.1)) {
                let mut state = pipe.lock();
                for (at, _) in &mut state.queue {
                    *at = (*at).max(now + RETRANSMISSION);
                }
                state.last = state.queue.back().map(|(at, _)| *at);
                drop(state);
                pipe.wake();
            }
        }
    }

    fn is_cut(&self, ends: (MachineId, MachineId)) -> bool {
        self.lock().cut.contains(&pair(ends.0, ends.1))
    }

    pub(super) fn bind(&self, machine: MachineId, socket: SocketAddr) -> Result<Listener, Error> {
        let mut fabric = self.lock();
        if fabric.listeners.contains_key(&socket) {
            return Err(Error::BindFailed);
        }
        let (sender, queue) = mpsc::unbounded_channel();
        fabric.listeners.insert(socket, (machine, sender));
        Ok(Listener { address: socket, queue, wires: self.clone() })
    }

    pub(super) async fn dial(
        &self,
        runtime: &deterministic::Context,
        from: MachineId,
        address: SocketAddr,
    ) -> Result<(Sink, Stream), Error> {
        // Two that dial each other at one moment refuse each other: jitter breaks the tie, as it does elsewhere.
        let (target, round_trip, dialer) = {
            let mut fabric = self.lock();
            let round_trip = fabric.link.latency * 2 + DIAL_JITTER.mul_f64(fabric.rng.random_range(0.0..1.0));
            let address = fabric.routes.get(&(from, address)).copied().unwrap_or(address);
            fabric.dialed = fabric.dialed.wrapping_add(1);
            let port = DIALER_PORT + fabric.dialed % 20_000;
            let target = fabric.listeners.get(&address).cloned();
            let target = target.filter(|(to, _)| !fabric.apart.contains(&pair(from, *to)));
            (target, round_trip, SocketAddr::from(([10, 0, (from >> 8) as u8, from as u8], port)))
        };
        let Some((to, listener)) = target else {
            runtime.sleep(round_trip).await;
            return Err(Error::ConnectionFailed);
        };
        if self.is_cut((from, to)) {
            runtime.sleep(DIAL_FAILS).await;
            return Err(Error::ConnectionFailed);
        }
        runtime.sleep(round_trip).await;
        let pipe = |ends| {
            let (state, readable, writable) = (Mutex::default(), Notify::new(), Notify::new());
            let pipe = Arc::new(Pipe { ends, state, readable, writable });
            self.lock().pipes.push(Arc::downgrade(&pipe));
            pipe
        };
        let (there, back) = (pipe((from, to)), pipe((to, from)));
        let end = |out: &Arc<Pipe>, into: &Arc<Pipe>| {
            let clock = || runtime.child("wire");
            (
                Sink { pipe: Arc::clone(out), wires: self.clone(), clock: clock() },
                Stream { pipe: Arc::clone(into), wires: self.clone(), clock: clock(), buffer: BytesMut::new() },
            )
        };
        let (sink, stream) = end(&back, &there);
        listener.send((dialer, sink, stream)).map_err(|_| Error::ConnectionFailed)?;
        Ok(end(&there, &back))
    }

    /// When bytes that are written now arrive.
    fn arrival(&self, now: SystemTime, state: &PipeState, bytes: usize) -> SystemTime {
        let mut fabric = self.lock();
        fabric.bytes += bytes as u64;
        let Link { latency, jitter, loss_per_mille } = fabric.link;
        let mut at = now + latency;
        if !jitter.is_zero() {
            at += jitter.mul_f64(fabric.rng.random_range(0.0..1.0));
        }
        if loss_per_mille > 0 && fabric.rng.random_range(0..1_000) < loss_per_mille {
            at += RETRANSMISSION + latency;
        }
        state.last.map_or(at, |last| last.max(at))
    }
}

/// A bound address; free again once it is dropped.
pub(crate) struct Listener {
    address: SocketAddr,
    queue: mpsc::UnboundedReceiver<Accepted>,
    wires: Wires,
}

impl commonware_runtime::Listener for Listener {
    type Sink = Sink;
    type Stream = Stream;

    async fn accept(&mut self) -> Result<Accepted, Error> {
        self.queue.recv().await.ok_or(Error::ReadFailed)
    }

    fn local_addr(&self) -> Result<SocketAddr, std::io::Error> {
        Ok(self.address)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.wires.lock().listeners.remove(&self.address);
    }
}

/// The writing end of a connection.
pub(crate) struct Sink {
    pipe: Arc<Pipe>,
    wires: Wires,
    clock: deterministic::Context,
}

impl commonware_runtime::Sink for Sink {
    async fn send(&mut self, bufs: impl Into<IoBufs> + Send) -> Result<(), Error> {
        let mut bufs: IoBufs = bufs.into();
        let bytes = bufs.copy_to_bytes(bufs.remaining());
        loop {
            {
                let mut state = self.pipe.lock();
                if state.reset || state.reader_gone {
                    return Err(Error::SendFailed);
                }
                if state.queued_bytes < WINDOW_BYTES {
                    let at = self.wires.arrival(self.clock.current(), &state, bytes.len());
                    state.last = Some(at);
                    state.queued_bytes += bytes.len();
                    state.queue.push_back((at, bytes));
                    drop(state);
                    self.pipe.readable.notify_one();
                    return Ok(());
                }
            }
            self.pipe.writable.notified().await;
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.pipe.lock().writer_gone = true;
        self.pipe.wake();
    }
}

/// The reading end of a connection.
pub(crate) struct Stream {
    pipe: Arc<Pipe>,
    wires: Wires,
    clock: deterministic::Context,
    buffer: BytesMut,
}

/// What a reader finds.
enum Found {
    Bytes(Bytes),
    At(SystemTime),
    Later,
}

impl Stream {
    fn find(&self) -> Result<Found, Error> {
        // A wire that is cut tells nobody of an end either.
        let cut = self.wires.is_cut(self.pipe.ends);
        let mut state = self.pipe.lock();
        if state.reset {
            return Err(Error::RecvFailed);
        }
        if cut {
            return Ok(Found::Later);
        }
        match state.queue.front() {
            Some((at, _)) if *at > self.clock.current() => Ok(Found::At(*at)),
            Some(_) => {
                let bytes = state.queue.pop_front().map(|(_, bytes)| bytes).unwrap_or_default();
                state.queued_bytes -= bytes.len();
                Ok(Found::Bytes(bytes))
            }
            None if state.writer_gone => Err(Error::RecvFailed),
            None => Ok(Found::Later),
        }
    }
}

impl commonware_runtime::Stream for Stream {
    async fn recv(&mut self, len: usize) -> Result<IoBufs, Error> {
        while self.buffer.len() < len {
            match self.find()? {
                Found::Bytes(bytes) => {
                    self.buffer.extend_from_slice(&bytes);
                    self.pipe.writable.notify_one();
                }
                Found::At(at) => {
                    let arrived = self.clock.sleep_until(at);
                    tokio::select! {
                        biased;
                        () = self.pipe.readable.notified() => {}
                        () = arrived => {}
                    }
                }
                Found::Later => self.pipe.readable.notified().await,
            }
        }
        Ok(IoBufs::from(self.buffer.split_to(len).freeze()))
    }

    fn peek(&self, max_len: usize) -> &[u8] {
        &self.buffer[..max_len.min(self.buffer.len())]
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.pipe.lock().reader_gone = true;
        self.pipe.wake();
    }
}

#[cfg(test)]
mod tests;
