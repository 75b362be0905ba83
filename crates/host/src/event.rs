//! What a host tells whoever started it, as it happens: the story that `up` and `demo` show.

use std::{net::SocketAddr, time::Duration};

use freehold_containers::LogStream;
use freehold_primitives::{AppId, Digest, Measurement};

use crate::sandbox::Isolation;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostEvent {
    /// The programs were measured.
    Measured {
        /// SHA-256 of the guest's executable.
        guest: Digest,
        /// SHA-256 of the app's executable.
        app: Digest,
        /// SHA-256 of the model.
        model: Option<Digest>,
        /// What evidence will show of them.
        measurement: Measurement,
    },
    /// The app was created.
    AppCreated {
        /// Its id.
        app_id: AppId,
        /// The transaction.
        tx_hash: Digest,
    },
    /// The programs changed since the last start: the app's policy now names the new measurement.
    PolicyUpdated {
        /// The app.
        app_id: AppId,
        /// Its new version.
        version: u32,
        /// Measurements that it accepted before.
        old: Vec<Measurement>,
        /// Measurement that it accepts now.
        new: Measurement,
    },
    /// Collateral was brought to the chain.
    CollateralSubmitted {
        /// The transaction.
        tx_hash: Digest,
    },
    /// The API is offered here.
    ApiBound {
        /// Where.
        address: SocketAddr,
    },
    /// TLS to the instance is taken here, by these names and by the instance's own.
    IngressOffered {
        /// Where.
        address: SocketAddr,
        /// Names.
        names: Vec<String>,
    },
    /// A guest was started.
    GuestStarted {
        /// Its process.
        pid: u32,
    },
    /// A guest's registration was submitted and paid.
    RegistrationSubmitted {
        /// The instance.
        instance_id: Digest,
        /// The transaction.
        tx_hash: Digest,
    },
    /// A registration was executed.
    RegistrationExecuted {
        /// The instance.
        instance_id: Digest,
        /// Height of its block.
        height: u64,
        /// Gas it used.
        gas_used: u64,
    },
    /// The chain refused a registration.
    RegistrationRefused {
        /// The instance.
        instance_id: Digest,
        /// What the node said.
        reason: String,
    },
    /// The guest holds its keys and serves.
    GuestServing {
        /// End of its lease, Unix seconds.
        expires_at: u64,
    },
    /// The app was started.
    AppStarted {
        /// Its process.
        pid: u32,
        /// What keeps it apart.
        isolation: Isolation,
    },
    /// The app answers on its socket.
    AppReady,
    /// The guest's process ended; a successor is started after the pause.
    GuestExited {
        /// Exit code; `None` after a signal.
        code: Option<i32>,
        /// The pause.
        restart_in: Duration,
    },
    /// The app's process ended; it is started again after the pause.
    AppExited {
        /// Exit code; `None` after a signal.
        code: Option<i32>,
        /// The pause.
        restart_in: Duration,
    },
    /// A container of a service was started.
    ServiceStarted {
        /// The service.
        service: String,
        /// Process of the runtime that runs it.
        pid: u32,
    },
    /// A service's health changed.
    ServiceHealth {
        /// The service.
        service: String,
        /// Whether its check succeeds.
        is_healthy: bool,
    },
    /// A container of a service ended.
    ServiceExited {
        /// The service.
        service: String,
        /// Exit code; `None` after a signal.
        code: Option<i32>,
        /// The pause before it is started again; `None` if it is not.
        restart_in: Option<Duration>,
    },
    /// The app's process ended, and by its manifest it is not started again.
    AppEnded {
        /// Exit code; `None` after a signal.
        code: Option<i32>,
    },
    /// The app said something.
    AppLog {
        /// Which service of it, if it is made of containers.
        service: Option<String>,
        /// Where.
        stream: LogStream,
        /// A line, or a piece of a long one.
        line: String,
    },
    /// The app said more than a host passes on.
    AppLogDropped {
        /// Lines that were dropped.
        lines: u64,
    },
    /// The console of the app's VM said something: the kernel's words and PID 1's, never the app's.
    VmSaid {
        /// A line, or a piece of a long one.
        line: String,
    },
    /// The state disk of the app's VM does not open; it is left as it is, and the instance does not serve.
    StateDiskRefused {
        /// A stable word, a colon, and a sentence.
        reason: String,
    },
    /// The app keeps more files than its manifest says: it was ended, and starts again when it keeps less.
    StorageExceeded {
        /// What its files take, in bytes, as far as was looked.
        used_bytes: u64,
        /// What it may keep, in bytes.
        bytes_max: u64,
    },
    /// A process could not be started, or something else needs attention.
    Trouble {
        /// A sentence.
        message: String,
    },
}
