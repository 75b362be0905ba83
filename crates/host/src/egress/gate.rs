//! The gate itself: asks are read, judged, dialled and carried, so many at once, each wait bounded.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use freehold_bundle::HostName;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixListener, lookup_host},
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{
    ask::{self, Asking, Target},
    rules::{Permit, Refusal, permit, public},
};
use crate::config::Reach;

/// Connections of one listener at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for an ask.
const ASK_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for a name's addresses, and for one of them to answer.
const DIAL_WAIT: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Pause between two lines of counts in the log.
const COUNTS_PAUSE: Duration = Duration::from_secs(60);

/// Finds the addresses of a name.
pub(super) type Resolve =
    dyn Fn(String, u16) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync;

/// What has passed; no names.
#[derive(Debug, Default)]
struct Counts {
    opened: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

/// What has passed, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) opened: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
}

/// A gate.
pub(crate) struct Gate {
    reach: Reach,
    resolve: Box<Resolve>,
    counts: Counts,
}

impl Gate {
    /// A gate that resolves names as this machine does.
    pub(crate) fn new(reach: Reach) -> Arc<Self> {
        let resolve = |name: String, port: u16| -> Pin<Box<dyn Future<Output = _> + Send>> {
            Box::pin(async move { Ok(lookup_host((name, port)).await?.collect()) })
        };
        Self::resolving(reach, Box::new(resolve))
    }

    pub(super) fn resolving(reach: Reach, resolve: Box<Resolve>) -> Arc<Self> {
        Arc::new(Self { reach, resolve, counts: Counts::default() })
    }

    pub(super) fn passed(&self) -> Passed {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { opened, refused, failed, bytes_out, bytes_in } = &self.counts;
        Passed {
            opened: read(opened),
            refused: read(refused),
            failed: read(failed),
            bytes_out: read(bytes_out),
            bytes_in: read(bytes_in),
        }
    }

    /// Writes the counts to the log now and then, where they changed.
    pub(crate) async fn log_counts(self: Arc<Self>) {
        let mut before = Passed::default();
        loop {
            sleep(COUNTS_PAUSE).await;
            let now = self.passed();
            if now != before {
                let Passed { opened, refused, failed, bytes_out, bytes_in } = now;
                tracing::info!(opened, refused, failed, bytes_out, bytes_in, "egress of the app so far");
                before = now;
            }
        }
    }

    /// One connection from its ask to its end.
    pub(super) async fn serve(&self, mut inside: impl Asking) {
        let Ok(Some((speech, asked))) = timeout(ASK_WAIT, ask::read(&mut inside)).await else { return };
        let dialled = match asked {
            Ok(target) => self.dial(&target).await,
            Err(refusal) => Err(refusal),
        };
        let count = match &dialled {
            Ok(_) => &self.counts.opened,
            Err(refusal) if refusal.is_policy() => &self.counts.refused,
            Err(_) => &self.counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let told = ask::answer(&mut inside, speech, dialled.as_ref().map(drop).map_err(|refusal| *refusal)).await;
        let (Ok(mut outside), true) = (dialled, told) else { return };
        if let Ok((out, back)) = copy_bidirectional(&mut inside, &mut outside).await {
            self.counts.bytes_out.fetch_add(out, Ordering::Relaxed);
            self.counts.bytes_in.fetch_add(back, Ordering::Relaxed);
        }
    }

    /// Judges, resolves and dials.
    async fn dial(&self, target: &Target) -> Result<TcpStream, Refusal> {
        let addresses = match (permit(&self.reach, &target.host, target.port)?, &target.host) {
            (Permit::Address(address), _) => vec![SocketAddr::new(address, target.port)],
            (Permit::Public, HostName::Name(name)) => {
                let found = timeout(DIAL_WAIT, (self.resolve)(name.clone(), target.port));
                let found = found.await.map_err(|_| Refusal::Timeout)?.map_err(|_| Refusal::Unreachable)?;
                public(found.into_iter().map(|found| SocketAddr::new(found.ip(), target.port)))?
            }
            (Permit::Public, HostName::Address(_)) => return Err(Refusal::NotPublic),
        };
        let connect = async {
            for address in addresses.into_iter().take(ADDRESSES_MAX) {
                if let Ok(stream) = TcpStream::connect(address).await {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
            }
            Err(Refusal::Unreachable)
        };
        timeout(DIAL_WAIT, connect).await.unwrap_or(Err(Refusal::Timeout))
    }
}

/// Serves a socket until dropped.
pub(crate) async fn accept_unix(gate: Arc<Gate>, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => carry(&gate, stream, place),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Serves a port, as [`accept_unix`].
pub(crate) async fn accept_tcp(gate: Arc<Gate>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => carry(&gate, stream, place),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

fn carry(gate: &Arc<Gate>, stream: impl Asking + 'static, place: tokio::sync::OwnedSemaphorePermit) {
    let gate = Arc::clone(gate);
    tokio::spawn(async move {
        gate.serve(stream).await;
        drop(place);
    });
}
