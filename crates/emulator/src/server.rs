//! One machine's evidence over a UNIX socket (`spec/evidence.md` §4): the emulator's side of the guest's evidence source,
//! whose other side on hardware is the kernel's configfs.
//!
//! On connecting, a client is told the provider; then each request of 64 bytes is answered by a generation, the evidence,
//! and what the host gives beside it. The server decides nothing: whoever reaches the socket gets evidence of this one TD
//! or SEV-SNP guest.

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

use freehold_primitives::SnpSigningKey;

use crate::{
    platform::Platform,
    report::TdReport,
    snp::{REPORT_BYTES, SnpCondition, SnpGuest, SnpPlatform},
};

/// The VCEK's name in a host's certificate table (GHCB 2.03 §4.1.8.1), its first three fields little-endian.
const VCEK: [u8; 16] = [0x8d, 0x75, 0xda, 0x63, 0x64, 0xe6, 0x64, 0x45, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd];
/// Bytes of an entry of the table.
const TABLE_ENTRY_BYTES: usize = 24;
/// Most connections served at once; a guest needs one.
const CONNECTIONS_MAX: usize = 8;

/// The machine whose evidence is served.
pub enum EvidenceMachine {
    /// A TD: quotes of version 4.
    Td(Arc<Platform>, Box<TdReport>),
    /// An SEV-SNP guest: reports signed by the chip's VCEK, whose certificate the host gives beside them.
    Snp(Arc<SnpPlatform>, Box<SnpGuest>),
}

impl EvidenceMachine {
    /// What the kernel calls its provider.
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::Td(..) => "tdx_guest",
            Self::Snp(..) => "sev_guest",
        }
    }

    /// Evidence over these bytes, and the host's certificate table, as the kernel's `outblob` and `auxblob`.
    fn evidence(&self, report_data: &[u8; 64]) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Td(platform, report) => (platform.quote_v4(report, report_data), Vec::new()),
            Self::Snp(platform, guest) => {
                let mut report = platform.evidence(guest, report_data, SnpSigningKey::Vcek, SnpCondition::Good);
                let certificate = report.split_off(REPORT_BYTES);
                (report, certificate_table(&certificate))
            }
        }
    }
}

/// A host's table with a VCEK certificate: its entry, an entry of zeros, the certificate.
fn certificate_table(certificate: &[u8]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).expect("a certificate is a few KiB").to_le_bytes();
    let entry = [&VCEK[..], &number(2 * TABLE_ENTRY_BYTES), &number(certificate.len())].concat();
    [&entry, &[0; TABLE_ENTRY_BYTES][..], certificate].concat()
}

/// A running server. Dropping it stops it.
pub struct EvidenceServer {
    shared: Arc<Shared>,
    path: PathBuf,
    acceptor: Option<JoinHandle<()>>,
}

/// A connection by its number.
type Connection = (u64, UnixStream);

struct Shared {
    machine: EvidenceMachine,
    generation: AtomicU64,
    stopping: AtomicBool,
    connections: Mutex<Vec<Connection>>,
}

impl EvidenceServer {
    /// Serves evidence of a machine on a bound listener, on threads of its own.
    ///
    /// # Errors
    /// When the listener has no path, or no thread can be started.
    pub fn start(listener: UnixListener, machine: EvidenceMachine) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let path = address.as_pathname().ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?.to_owned();
        let shared = Arc::new(Shared {
            machine,
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
    let provider = shared.machine.provider();
    let length = u8::try_from(provider.len()).expect("the provider's name is short");
    connection.write_all(&[length])?;
    connection.write_all(provider.as_bytes())?;
    loop {
        let mut report_data = [0; 64];
        connection.read_exact(&mut report_data)?;
        let generation = shared.generation.fetch_add(1, Ordering::SeqCst) + 1;
        let (evidence, beside) = shared.machine.evidence(&report_data);
        let mut answer = generation.to_be_bytes().to_vec();
        for part in [evidence, beside] {
            let length = u32::try_from(part.len()).expect("evidence is a few KiB");
            answer.extend(length.to_be_bytes());
            answer.extend(part);
        }
        connection.write_all(&answer)?;
    }
}
