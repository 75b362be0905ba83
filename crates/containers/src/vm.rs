//! The containers of a VM: run by a program of its own, which PID 1 starts in the app's place (`spec/vm-image.md` §6).
//!
//! Plan and unpacked images stand on the measured disk, so nothing is read, judged or unpacked here. What happens is written as
//! JSON, an event a line, which PID 1 gives to the host: in a TEE nothing but lines that are sealed to the app's owner.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use freehold_rpc::SEALED_LINE;
use thiserror::Error;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Duration, sleep},
};

use crate::{
    containers::{Containers, Surroundings},
    error::ContainerError,
    event::{ContainerEvent, Teller},
    inside::WayOut,
    plan::Plan,
};

/// Longest piece of a line that is told at once, in characters: as JSON it stays below what a host reads of a line. What is sealed
/// stays whole: it is bounded, and no letter of it grows.
const PIECE_CHARS: usize = 1_000;
/// Connections to the gate at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the containers of a VM do not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VmContainersError {
    /// They cannot be prepared.
    #[error(transparent)]
    Containers(#[from] ContainerError),
    /// The plan cannot be read, or the wish to end not be heard.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Where things stand in the VM: PID 1's to say.
#[derive(Debug, Clone)]
pub struct VmContainerPlaces {
    /// The plan, as JSON.
    pub plan: PathBuf,
    /// Folder of the unpacked images, by digest.
    pub images: PathBuf,
    /// Folder of the agent's sockets for the services, and of the app's, which is made here.
    pub sockets: PathBuf,
    /// The app's storage.
    pub storage: PathBuf,
    /// Folder of the app's model files, where it has any.
    pub models: PathBuf,
    /// Socket of the way to the gate.
    pub gate: PathBuf,
    /// The agent's program, which starts others with the owner's settings.
    pub launcher: PathBuf,
    /// Folder in memory for what is mounted.
    pub run: PathBuf,
    /// Whether everything is told, or sealed lines alone.
    pub tells_all: bool,
}

/// Runs the containers until every service has ended for good, or SIGTERM; the first exit code that is not 0, `None` for that of
/// a signal.
///
/// # Errors
/// Every [`VmContainersError`].
pub async fn run_in_vm(places: VmContainerPlaces) -> Result<Option<i32>, VmContainersError> {
    let failed = |what| move |source| VmContainersError::System { what, source };
    let text = std::fs::read(&places.plan).map_err(failed("the plan cannot be read"))?;
    let plan: Plan = serde_json::from_slice(&text).map_err(ContainerError::from)?;
    let mut containers = Containers::in_vm(plan, places.run, places.images, places.storage, places.models)?;
    containers.launched_by(&places.launcher)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("the signal to end cannot be caught"))?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        terminate.recv().await;
        stop.send_replace(true);
        // Kept until the process ends, so that nobody takes it for a wish.
        std::future::pending::<()>().await;
    });
    let tells_all = places.tells_all;
    let teller = Teller::new(move |event| {
        if tells_all || is_sealed(&event) {
            pieces(event).for_each(|piece| write(&piece));
        }
    });
    let way_out = ToGate(places.gate);
    let around = Surroundings { app_dir: &places.sockets, teller: &teller, stopping: &stopping, way_out: &way_out };
    Ok(containers.run(&around).await?)
}

fn is_sealed(event: &ContainerEvent) -> bool {
    matches!(event, ContainerEvent::Said { line, .. } if line.starts_with(SEALED_LINE))
}

/// An event in pieces that are short enough.
fn pieces(event: ContainerEvent) -> Box<dyn Iterator<Item = ContainerEvent>> {
    match event {
        ContainerEvent::Said { service, stream, line }
            if line.len() > PIECE_CHARS && !line.starts_with(SEALED_LINE) =>
        {
            let letters: Vec<char> = line.chars().collect();
            let texts: Vec<String> = letters.chunks(PIECE_CHARS).map(|piece| piece.iter().collect()).collect();
            let said = move |line| ContainerEvent::Said { service: service.clone(), stream, line };
            Box::new(texts.into_iter().map(said))
        }
        event => Box::new(std::iter::once(event)),
    }
}

/// Whoever listened may be gone: then nobody needs it.
fn write(event: &ContainerEvent) {
    let mut line = serde_json::to_vec(event).expect("plain data has a JSON form");
    line.push(b'\n');
    let _ = io::stdout().lock().write_all(&line);
}

/// The way to the gate: each connection is carried to its socket.
struct ToGate(PathBuf);

impl WayOut for ToGate {
    fn serve(&self, listener: TcpListener) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(listener, self.0.clone()));
        tasks
    }
}

async fn carry(listener: TcpListener, gate: PathBuf) {
    let mut open = JoinSet::new();
    loop {
        while open.len() >= CONNECTIONS_MAX {
            open.join_next().await;
        }
        while open.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => drop(open.spawn(carry_one(stream, gate.clone()))),
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn carry_one(mut stream: TcpStream, gate: impl AsRef<Path>) {
    if let Ok(mut out) = UnixStream::connect(gate).await
        && let Err(error) = copy_bidirectional(&mut stream, &mut out).await
    {
        tracing::debug!(%error, "a connection to the gate broke");
    }
}

#[cfg(test)]
mod tests {
    use freehold_primitives::X25519Key;
    use freehold_rpc::{LOG_LINE_BYTES_MAX, LogSealer, LogSource, SEALED_LINE};

    use super::{ContainerEvent, is_sealed, pieces};
    use crate::logs::{LINE_BYTES_MAX, LogStream};

    #[test]
    fn what_is_told_fits_a_line_of_the_host_and_is_read_back() {
        let said = |line: &str| ContainerEvent::Said {
            service: "web".to_owned(),
            stream: LogStream::Error,
            line: line.to_owned(),
        };
        let longest = "\u{1}".repeat(8_192);
        let mut back = String::new();
        for piece in pieces(said(&longest)) {
            let text = serde_json::to_string(&piece).unwrap();
            assert!((text.len() as u64) < LINE_BYTES_MAX, "{}", text.len());
            let ContainerEvent::Said { line, .. } = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
            back.push_str(&line);
        }
        assert_eq!(back, longest);
        assert!(!is_sealed(&said(&longest)));
        // The longest that is sealed stays whole.
        let mut sealer = LogSealer::new(&X25519Key([9; 32]), &[7; 32].into()).of_service(&"s".repeat(64));
        let record = sealer.seal(LogSource::Error, &[b'x'; LOG_LINE_BYTES_MAX]);
        let sealed = said(&format!("{SEALED_LINE}{record}"));
        assert!(is_sealed(&sealed));
        let told: Vec<ContainerEvent> = pieces(sealed.clone()).collect();
        assert_eq!(told, std::slice::from_ref(&sealed));
        assert!((serde_json::to_string(&sealed).unwrap().len() as u64) < LINE_BYTES_MAX);
        let exited = ContainerEvent::Exited { service: "job".to_owned(), code: Some(3), restart_in: None };
        let text = serde_json::to_string(&exited).unwrap();
        assert_eq!(serde_json::from_str::<ContainerEvent>(&text).unwrap(), exited, "{text}");
        assert!(serde_json::from_str::<ContainerEvent>(r#"{"said":{"service":"a"}}"#).is_err());
    }
}
