//! Ingress: one port for TLS of all apps of a machine. The name in a client's first message says where it goes, and from there on
//! bytes are passed on unread: TLS ends in the instance. A port for plain HTTP may stand beside it, for authorities that ask over it
//! (`spec/ingress.md` §5); there the head of the request says the name.
//!
//! Invariants: nothing is decrypted here, and no key is; a first message is read within a size and a time, and what names nobody of
//! this machine is closed. What is kept are counts; no name and no address is logged.

mod head;
mod hello;
mod relay;
mod routes;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use freehold_primitives::AppId;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use crate::error::HostError;

use relay::Speech;
pub(crate) use routes::Route;
use routes::Routes;

/// Pause between two lines of counts in the log.
const COUNTS_PAUSE: Duration = Duration::from_secs(60);

/// What has passed; no names.
#[derive(Debug, Default)]
struct Counts {
    routed: AtomicU64,
    unnamed: AtomicU64,
    unknown: AtomicU64,
    malformed: AtomicU64,
    slow: AtomicU64,
    unavailable: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// What has passed, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IngressCounts {
    /// Connections that reached an instance.
    pub routed: u64,
    /// Connections whose first message named nobody.
    pub unnamed: u64,
    /// Connections for names that lead to nobody of this machine.
    pub unknown: u64,
    /// Connections whose first message is no TLS.
    pub malformed: u64,
    /// Connections whose first message did not come in time.
    pub slow: u64,
    /// Connections for an instance that took none.
    pub unavailable: u64,
    /// Bytes that clients sent, once connected.
    pub bytes_in: u64,
    /// Bytes that instances sent.
    pub bytes_out: u64,
}

struct Shared {
    routes: Routes,
    counts: Counts,
}

/// The port. Clones are of the same one; it closes when the last is dropped.
#[derive(Clone)]
pub struct Ingress {
    shared: Arc<Shared>,
    address: SocketAddr,
    plain: Option<SocketAddr>,
    _tasks: Arc<Tasks>,
}

struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Ingress {
    /// Opens the port for TLS, and that for plain HTTP where one is named; 0 takes a free one.
    ///
    /// # Errors
    /// [`HostError::BindIngress`].
    pub async fn bind(address: SocketAddr, plain: Option<SocketAddr>) -> Result<Self, HostError> {
        let shared = Arc::new(Shared { routes: Routes::default(), counts: Counts::default() });
        let mut tasks = Tasks(vec![tokio::spawn(log_counts(Arc::clone(&shared)))]);
        let (listener, address) = listening(address).await?;
        tasks.0.push(tokio::spawn(relay::accept(listener, Arc::clone(&shared), Speech::Tls)));
        let plain = match plain {
            None => None,
            Some(address) => {
                let (listener, address) = listening(address).await?;
                tasks.0.push(tokio::spawn(relay::accept(listener, Arc::clone(&shared), Speech::Http)));
                Some(address)
            }
        };
        Ok(Self { shared, address, plain, _tasks: Arc::new(tasks) })
    }

    /// Where it listens for plain HTTP.
    pub const fn plain_address(&self) -> Option<SocketAddr> {
        self.plain
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed so far.
    pub fn counts(&self) -> IngressCounts {
        self.shared.counts.now()
    }

    /// Leads an app's names to the socket that its instance takes TLS on, while the value lives. What is given besides: the domains
    /// that another app of this machine has already, which do not lead here.
    pub(crate) fn offer(&self, app: AppId, domains: &[String], socket: PathBuf) -> (Route, Vec<String>) {
        Route::open(Arc::clone(&self.shared), app, domains, socket)
    }
}

async fn listening(address: SocketAddr) -> Result<(TcpListener, SocketAddr), HostError> {
    let failed = |source| HostError::BindIngress { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Counts {
    fn now(&self) -> IngressCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        IngressCounts {
            routed: read(&self.routed),
            unnamed: read(&self.unnamed),
            unknown: read(&self.unknown),
            malformed: read(&self.malformed),
            slow: read(&self.slow),
            unavailable: read(&self.unavailable),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
        }
    }
}

/// Writes the counts to the log now and then, where they changed.
async fn log_counts(shared: Arc<Shared>) {
    let mut before = IngressCounts::default();
    loop {
        sleep(COUNTS_PAUSE).await;
        let now = shared.counts.now();
        if now != before {
            let IngressCounts { routed, unnamed, unknown, malformed, slow, unavailable, bytes_in, bytes_out } = now;
            tracing::info!(
                routed,
                unnamed,
                unknown,
                malformed,
                slow,
                unavailable,
                bytes_in,
                bytes_out,
                "ingress so far"
            );
            before = now;
        }
    }
}
