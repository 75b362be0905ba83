//! One run of an app's VM: QEMU, the link to the agent in it, and what the host offers and asks over that link.
//!
//! The VM is a stranger to its host too: its words are bounded and its streams reach what any guest reaches, evidence, relay, control
//! and the gate. The host in turn reaches the app's socket, the agent's health and a wish to end: the local API stays inside.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use freehold_bundle::Kind;
use freehold_containers::{ContainerEvent, LogStream};
use freehold_image::{HostPort, QEMU, QemuLaunch};
use freehold_rpc::{
    AskedStream, Endpoint, Health, LinkEnd, LinkService, LinkStream, LocalClient, StartedLink, VM_LINK_PORT, VmLink,
    relay,
};
use tokio::{
    net::{UnixListener, UnixStream},
    process::{Child, Command},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{Ended, POLL, Supervisor, process::exit_code};
use crate::{
    container,
    event::HostEvent,
    host::{CHAIN_SOCKET, CONTROL_SOCKET, EVIDENCE_SOCKET, TLS_SOCKET},
    logs::{lines, read_lines},
    sandbox::GATE_SOCKET,
    vm::VmApp,
};

/// Ports that the app's words come by.
const WORDS: [(&str, LogStream); 2] = [("freehold.out", LogStream::Output), ("freehold.err", LogStream::Error)];
/// How long QEMU may take to connect to its ports.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long the VM may take to accept a stream.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// Pause between two asks of the VM, whose every answer costs an emulated one work.
const ASK_PAUSE: Duration = Duration::from_millis(250);
/// How long it has to end once it was asked: the agent anchors its last receipts.
const END_WAIT: Duration = Duration::from_secs(7);
/// The same where containers have to end behind it, each within its own time.
const END_WAIT_CONTAINERS: Duration = Duration::from_secs(25);
/// Largest health document, in bytes.
const HEALTH_BYTES_MAX: usize = 64 * 1024;
/// What PID 1 says when the app has ended for good.
const ENDED: &str = "freehold: app ended with ";

/// Passes on what the containers of a VM do and say: an event a line. What is none is a stranger's word, and told as such.
async fn container_words(from: UnixStream, events: mpsc::UnboundedSender<HostEvent>) {
    let pass = |line: String| {
        let event = match serde_json::from_str::<ContainerEvent>(&line) {
            Ok(event) => container::told(event),
            Err(_) => Some(HostEvent::AppLog { service: None, stream: LogStream::Output, line }),
        };
        drop(event.map(|event| events.send(event)));
    };
    read_lines(from, &events, pass).await;
}

/// A VM that boots.
struct Booted {
    qemu: Child,
    link: VmLink,
    /// Everything that lives as long as the VM.
    tasks: JoinSet<()>,
    /// Reads the console to its end; what PID 1 said of the app's end.
    console: JoinHandle<Option<i32>>,
}

impl Supervisor {
    /// Runs the VM to its end.
    pub(super) async fn run_vm(&self, app: &VmApp) -> Ended {
        let booted = match self.boot(app).await {
            Ok(booted) => booted,
            Err(error) => {
                self.trouble("the VM cannot be started (is `qemu-system-x86` installed?)", &error);
                return Ended::Guest(None);
            }
        };
        let Booted { mut qemu, link, tasks, console } = booted;
        self.tell(HostEvent::GuestStarted { pid: qemu.id().unwrap_or(0) });
        let wait = if app.executor() == Kind::Container { END_WAIT_CONTAINERS } else { END_WAIT };
        let ended = tokio::select! {
            status = qemu.wait() => Ended::Guest(status.ok().and_then(exit_code)),
            () = self.keep_vm(&link, wait) => Ended::Guest(None),
            () = self.stopped() => Ended::Stopping,
        };
        if matches!(ended, Ended::Stopping) {
            self.end_vm(&link, &mut qemu, wait).await;
        }
        let _ = qemu.kill().await;
        self.ready.send_replace(false);
        drop(tasks);
        for socket in ["app.sock", "local.sock"] {
            let _ = std::fs::remove_file(self.app_dir.join(socket));
        }
        match (ended, console.await) {
            (Ended::Guest(_), Ok(Some(code))) => Ended::App(Some(code)),
            (ended, _) => ended,
        }
    }

    /// Starts QEMU and the link.
    async fn boot(&self, app: &VmApp) -> io::Result<Booted> {
        let bind = |name: &'static str| {
            let socket = self.dir.join(name);
            let _ = std::fs::remove_file(&socket);
            Ok::<_, io::Error>((UnixListener::bind(&socket)?, HostPort { name, socket }))
        };
        let (link, link_port) = bind(VM_LINK_PORT)?;
        let (mut words, mut ports) = (Vec::new(), vec![link_port]);
        for (name, stream) in WORDS {
            let (listener, port) = bind(name)?;
            words.push((listener, stream));
            ports.push(port);
        }
        let launch = QemuLaunch {
            accel: app.accel(),
            shape: app.shape(),
            image: app.image(),
            line: app.line(),
            ports: &ports,
            state: Some(app.state()),
        };
        let mut qemu = Command::new(QEMU)
            .args(launch.arguments())
            .process_group(0)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut tasks = JoinSet::new();
        let console = tokio::spawn(console(qemu.stdout.take(), self.events.clone()));
        tasks.spawn(complaints(qemu.stderr.take(), self.events.clone()));
        let pipe = connected(&link).await?;
        for (listener, stream) in words {
            let pipe = connected(&listener).await?;
            match (app.executor(), stream) {
                (Kind::Container, LogStream::Output) => drop(tasks.spawn(container_words(pipe, self.events.clone()))),
                _ => drop(tasks.spawn(lines(pipe, (None, stream), self.events.clone()))),
            }
        }
        let (reader, writer) = pipe.into_split();
        let StartedLink { link, asked, carrier } = VmLink::start(LinkEnd::Host, reader, writer);
        let events = self.events.clone();
        tasks.spawn(async move {
            let error = carrier.await;
            // The end of the VM closes it too.
            if error.code().is_some() {
                let _ = events.send(HostEvent::Trouble { message: error.to_string() });
            }
        });
        tasks.spawn(serve(asked, self.dir.clone(), self.guest_config.clone()));
        let health = UnixListener::bind(self.app_dir.join("local.sock"))?;
        tasks.spawn(serve_health(health, link.clone()));
        let tls = self.dir.join(TLS_SOCKET);
        let _ = std::fs::remove_file(&tls);
        tasks.spawn(carry(UnixListener::bind(&tls)?, link.clone(), LinkService::Tls));
        Ok(Booted { qemu, link, tasks, console })
    }

    /// Tells how far the VM has come and offers its app, until the link is over and the VM had time to end.
    async fn keep_vm(&self, link: &VmLink, wait: Duration) {
        let health = LocalClient::new(Endpoint::Unix(self.app_dir.join("local.sock")));
        let over = async {
            while !link.is_over() {
                sleep(POLL).await;
            }
        };
        tokio::select! {
            () = self.announce_serving(&health, ASK_PAUSE) => {}
            () = self.offer_app(link) => {}
            () = over => {}
        }
        self.ready.send_replace(false);
        sleep(wait).await;
    }

    /// Makes `app.sock` once the app in the VM listens, and carries its connections.
    async fn offer_app(&self, link: &VmLink) {
        while open(link, LinkService::App).await.is_err() {
            sleep(ASK_PAUSE).await;
        }
        let socket = self.app_dir.join("app.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = match UnixListener::bind(&socket) {
            Ok(listener) => listener,
            Err(error) => {
                self.trouble("the app's socket cannot be bound", &error);
                return std::future::pending().await;
            }
        };
        self.ready.send_replace(true);
        self.tell(HostEvent::AppReady);
        carry(listener, link.clone(), LinkService::App).await;
        std::future::pending().await
    }

    /// Asks the VM to power off, and ends it when it does not.
    async fn end_vm(&self, link: &VmLink, qemu: &mut Child, wait: Duration) {
        let ask = async {
            let asked = open(link, LinkService::Stop).await;
            if let Err(error) = asked {
                tracing::debug!(%error, "the VM was not asked to end");
                // It has not come so far that it could be asked, or it does not listen.
                return;
            }
            let _ = qemu.wait().await;
        };
        if timeout(wait, ask).await.is_err() {
            self.tell(HostEvent::Trouble { message: "the VM did not power off in time and was ended".to_owned() });
        }
    }
}

/// Carries each connection of a socket to a service of the VM's.
async fn carry(listener: UnixListener, link: VmLink, service: LinkService) {
    while let Ok((socket, _)) = listener.accept().await {
        let link = link.clone();
        tokio::spawn(async move {
            let carried = async { relay(open(&link, service).await?, socket).await };
            if let Err(error) = carried.await {
                tracing::debug!(%error, ?service, "a connection to the VM broke");
            }
        });
    }
}

/// Takes the one connection that QEMU makes to a port.
async fn connected(listener: &UnixListener) -> io::Result<UnixStream> {
    let accepted = timeout(CONNECT_WAIT, listener.accept()).await.map_err(|_| io::ErrorKind::TimedOut)?;
    accepted.map(|(stream, _)| stream)
}

/// Opens a stream; a VM that does not answer counts as one that refuses.
async fn open(link: &VmLink, service: LinkService) -> io::Result<LinkStream> {
    timeout(OPEN_WAIT, link.open(service)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Answers what the agent asks for: its configuration, and what any guest reaches.
async fn serve(mut asked: mpsc::Receiver<AskedStream>, dir: PathBuf, config: PathBuf) {
    let places = Arc::new((dir, config));
    while let Some(stream) = asked.recv().await {
        let places = Arc::clone(&places);
        tokio::spawn(async move {
            let (dir, config) = &*places;
            if let Err(error) = answer(stream, dir, config).await {
                tracing::debug!(%error, "a stream of the VM's broke");
            }
        });
    }
}

async fn answer(stream: AskedStream, dir: &Path, config: &Path) -> io::Result<()> {
    let socket = match stream.service() {
        LinkService::Chain => CHAIN_SOCKET,
        LinkService::Control => CONTROL_SOCKET,
        LinkService::Evidence => EVIDENCE_SOCKET,
        LinkService::Egress => GATE_SOCKET,
        _ => {
            let text = tokio::fs::read(config).await?;
            let mut stream = stream.accept()?;
            stream.writer.send(&text).await?;
            stream.writer.end().await?;
            return stream.reader.next().await.map(drop);
        }
    };
    let socket = UnixStream::connect(dir.join(socket)).await?;
    relay(stream.accept()?, socket).await
}

/// The one path of the local API that a host may ask for, on the socket where it is under the other launcher.
async fn serve_health(listener: UnixListener, link: VmLink) {
    let router = Router::new().route("/freehold/v1/health", get(health)).with_state(link);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the VM's health is not served");
    }
}

async fn health(State(link): State<VmLink>) -> Response {
    let read = async {
        let mut stream = open(&link, LinkService::Health).await?;
        stream.writer.end().await?;
        stream.reader.to_end(HEALTH_BYTES_MAX).await
    };
    let text = timeout(OPEN_WAIT, read).await.ok().and_then(Result::ok).unwrap_or_default();
    match serde_json::from_slice::<Health>(&text) {
        Ok(health) if health.ready => Json(health).into_response(),
        Ok(health) => (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Passes the console on, line by line, and notes what PID 1 says of the app's end.
async fn console(from: Option<tokio::process::ChildStdout>, events: mpsc::UnboundedSender<HostEvent>) -> Option<i32> {
    let mut ended = None;
    if let Some(from) = from {
        let pass = |line: String| {
            ended = line.strip_prefix(ENDED).and_then(|status| status.parse().ok()).or(ended);
            let _ = events.send(HostEvent::VmSaid { line });
        };
        read_lines(from, &events, pass).await;
    }
    ended
}

/// Passes on what QEMU complains of.
async fn complaints(from: Option<tokio::process::ChildStderr>, events: mpsc::UnboundedSender<HostEvent>) {
    if let Some(from) = from {
        let pass = |line: String| drop(events.send(HostEvent::Trouble { message: format!("QEMU: {line}") }));
        read_lines(from, &events, pass).await;
    }
}
