//! A machine of the simulated network: the engine's deterministic runtime, seen through a clock, a disk and wires of its
//! own.
//!
//! The whole network runs on one deterministic runtime, which decides the order of tasks, random bytes and the passing of
//! time from one seed. Each machine adds what tells machines apart: how far its clock is off, what its disk loses when it
//! crashes, and which wires lead to it. Code under test sees an ordinary runtime ([`freehold_consensus::Runtime`]), so
//! that what runs here is what runs on real machines, the encrypted links included.

mod disk;
mod wires;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Network, Resolver, Spawner, Storage, Supervisor, deterministic,
    signal::Signal,
    telemetry::metrics::{Metric, Registered},
};
use governor::clock::{Clock as GovernorClock, ReasonablyRealtime};
use rand_core::{TryCryptoRng, TryRng};

pub(crate) use disk::{Blob, Disk, Fsync};
pub(crate) use wires::{Link, MachineId, Wires};

/// How far a machine's clock is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Skew {
    /// Milliseconds; negative where the clock is slow.
    pub(crate) ms: i64,
}

impl Skew {
    /// What the clock shows at a true time. The ends of time are for ever.
    fn shown(self, at: SystemTime) -> SystemTime {
        let by = Duration::from_millis(self.ms.unsigned_abs());
        let shown = if self.ms < 0 { at.checked_sub(by) } else { at.checked_add(by) };
        shown.unwrap_or(at)
    }

    fn truly(self, at: SystemTime) -> SystemTime {
        Self { ms: -self.ms }.shown(at)
    }
}

/// One machine; a runtime like any other to what runs on it.
pub(crate) struct Machine {
    runtime: deterministic::Context,
    hardware: Arc<Hardware>,
}

struct Hardware {
    id: MachineId,
    skew: Skew,
    disk: Disk,
    wires: Wires,
}

impl Machine {
    /// Joins the parts.
    pub(crate) fn new(
        runtime: deterministic::Context,
        (id, skew): (MachineId, Skew),
        disk: Disk,
        wires: Wires,
    ) -> Self {
        Self { runtime, hardware: Arc::new(Hardware { id, skew, disk, wires }) }
    }

    fn with(&self, runtime: deterministic::Context) -> Self {
        Self { runtime, hardware: Arc::clone(&self.hardware) }
    }
}

impl Supervisor for Machine {
    fn name(&self) -> Name {
        self.runtime.name()
    }

    fn child(&self, label: &'static str) -> Self {
        self.with(self.runtime.child(label))
    }

    fn with_attribute(self, key: &'static str, value: impl std::fmt::Display) -> Self {
        Self { runtime: self.runtime.with_attribute(key, value), hardware: self.hardware }
    }
}

impl Spawner for Machine {
    fn shared(self, blocking: bool) -> Self {
        Self { runtime: self.runtime.shared(blocking), hardware: self.hardware }
    }

    fn dedicated(self) -> Self {
        Self { runtime: self.runtime.dedicated(), hardware: self.hardware }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Self { runtime, hardware } = self;
        runtime.spawn(move |runtime| f(Self { runtime, hardware }))
    }

    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        self.runtime.stop(value, timeout).await
    }

    fn stopped(&self) -> Signal {
        self.runtime.stopped()
    }
}

impl Metrics for Machine {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(&self, name: N, help: H, metric: M) -> Registered<M> {
        self.runtime.register(name, help, metric)
    }

    fn encode(&self) -> String {
        self.runtime.encode()
    }
}

impl Clock for Machine {
    fn current(&self) -> SystemTime {
        self.hardware.skew.shown(self.runtime.current())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.runtime.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.runtime.sleep_until(self.hardware.skew.truly(deadline))
    }
}

impl GovernorClock for Machine {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.current()
    }
}

impl ReasonablyRealtime for Machine {}

impl Network for Machine {
    type Listener = wires::Listener;

    async fn bind(&self, socket: SocketAddr) -> Result<Self::Listener, Error> {
        self.hardware.wires.bind(self.hardware.id, socket)
    }

    async fn dial(&self, socket: SocketAddr) -> Result<(wires::Sink, wires::Stream), Error> {
        self.hardware.wires.dial(&self.runtime, self.hardware.id, socket).await
    }
}

impl Resolver for Machine {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        self.runtime.resolve(host).await
    }
}

impl Storage for Machine {
    type Blob = disk::Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: std::ops::RangeInclusive<BlobVersion>,
    ) -> Result<(Self::Blob, u64, BlobVersion), Error> {
        self.hardware.disk.open(partition, name, &versions)
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.hardware.disk.remove(partition, name)
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.hardware.disk.scan(partition)
    }
}

impl TryRng for Machine {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.runtime.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.runtime.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.runtime.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Machine {}

#[cfg(test)]
mod tests;
