//! One TD's evidence over a UNIX socket (`spec/evidence.md` §4): the emulator's side of the guest's evidence source,
//! whose other side on hardware is the kernel's configfs.
//!
//! On connecting, a client is told the provider; then each request of 64 bytes is answered by a generation and a quote.
//! The server decides nothing: whoever reaches the socket gets quotes of this one TD.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{platform::Platform, report::TdReport};

/// What the kernel calls this provider.
pub const PROVIDER: &str = "tdx_guest";
/// Most connections served at once; a guest needs one.
const CONNECTIONS_MAX: usize = 8;

/// A running server. Dropping it stops it.
pub struct EvidenceServer {
    shared: Arc<Shared>,
    path: PathBuf,
    acceptor: Option<JoinHandle<()>>,
}

/// A connection by its number.
type Connection = (u64, UnixStream);

struct Shared {
    platform: Arc<Platform>,
    report: TdReport,
    generation: AtomicU64,
    stopping: AtomicBool,
    connections: Mutex<Vec<Connection>>,
}

impl EvidenceServer {
    /// Serves quotes of `report` by `platform` on a bound listener, on threads of its own.
    ///
    /// # Errors
    /// When the listener has no path, or no thread can be started.
    pub fn start(listener: UnixListener, platform: Arc<Platform>, report: TdReport) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?.to_owned();
        let shared = Arc::new(Shared {
            platform,
            report,
            generation: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            connections: Mutex::new(Vec::new()),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("evidence".to_owned()).spawn(move || accept(&listener, &shared))?
        };
        Ok(Self { shared, path, acceptor: Some(acceptor) })
    }
}

impl Drop for EvidenceServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees the flag. If nobody can connect, nobody is being served either.
        let woken = UnixStream::connect(&self.path).is_ok();
        for (_, connection) in lock(&self.shared.connections).drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        if let (true, Some(acceptor)) = (woken, self.acceptor.take()) {
            let _ = acceptor.join();
        }
    }
}

fn lock(connections: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut next = 0u64;
    for connection in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let Ok(handle) = connection.try_clone() else { continue };
        let number = next;
        next += 1;
        {
            let mut connections = lock(&shared.connections);
            // A guest that comes back must never be locked out by what it left behind: the oldest one goes.
            if connections.len() >= CONNECTIONS_MAX {
                let (_, oldest) = connections.remove(0);
                let _ = oldest.shutdown(std::net::Shutdown::Both);
            }
            connections.push((number, handle));
        }
        let own = Arc::clone(shared);
        let serve = move || {
            // A client that goes away ends its own connection, nothing else.
            let _ = converse(&connection, &own);
            forget(&own, number);
        };
        if thread::Builder::new().name("evidence".to_owned()).spawn(serve).is_err() {
            forget(shared, number);
        }
    }
}

/// Closes a connection that ended.
fn forget(shared: &Shared, number: u64) {
    let mut connections = lock(&shared.connections);
    if let Some(at) = connections.iter().position(|(open, _)| *open == number) {
        let (_, connection) = connections.remove(at);
        let _ = connection.shutdown(std::net::Shutdown::Both);
    }
}

fn converse(mut connection: &UnixStream, shared: &Shared) -> io::Result<()> {
    let length = u8::try_from(PROVIDER.len()).expect("the provider's name is short");
    connection.write_all(&[length])?;
    connection.write_all(PROVIDER.as_bytes())?;
    loop {
        let mut report_data = [0; 64];
        connection.read_exact(&mut report_data)?;
        let generation = shared.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let quote = shared.platform.quote_v4(&shared.report, &report_data);
        let length = u32::try_from(quote.len()).expect("a quote is a few KiB");
        let mut answer = generation.to_be_bytes().to_vec();
        answer.extend(length.to_be_bytes());
        answer.extend(quote);
        connection.write_all(&answer)?;
    }
}
