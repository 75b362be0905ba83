//! The agent beside the app: its program, its way to the host, and the app's settings, which PID 1 asks it for.
//!
//! An image may hold none; then nothing here runs. Invariant: the agent's folder is nobody's but root's, and the app reaches
//! the agent by the local API's socket alone.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use freehold_image::{AppStart, StartKind};
use serde_json::Value;

use crate::{InitError, app, children::Children, containers, disk::ROOT, state, sys};

/// Its program, in the initramfs.
pub(crate) const PROGRAM: &str = "/agent";
/// Its own folder.
const OWN: &str = "/run/agent";
/// The agent's socket to the gate outside, and PID 1's for the state disk.
pub(crate) const GATE: &str = "/run/agent/egress.sock";
const STATE: &str = "/run/agent/disk.sock";
/// The agent's variables with how the app is reached over TLS, and with the scopes of its keys.
const INGRESS_VARIABLE: &str = "FREEHOLD_INGRESS";
const SCOPES_VARIABLE: &str = "FREEHOLD_SCOPES";
/// Name of the port to the host (`spec/vm-image.md` §8).
const LINK: &str = "freehold.link";
/// Ports that the app's words go to where there is no TEE.
const WORDS: [&str; 2] = ["freehold.out", "freehold.err"];
/// Where the kernel lists ports.
const PORTS: &str = "/sys/class/virtio-ports";
/// The owner's setting with the key that the app's words are sealed to (`spec/logs.md`); it is for the agent, not for the app.
pub(crate) const LOG_KEY: &str = "OWNER_LOG_KEY";
/// What the agent's program calls the two streams.
const STREAMS: [&str; 2] = ["output", "error"];
/// Devices of a TEE: where one is, the app's words in the clear are nobody's.
const TEES: [&str; 2] = ["/dev/tdx_guest", "/dev/sev-guest"];
/// How long the host may take to be there.
const LINK_WAIT: Duration = Duration::from_secs(20);
/// How long the agent has to end when the app has.
const END_WAIT: Duration = Duration::from_secs(5);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);
/// Longest answer of the agent, in bytes, and longest wait for one.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// What the app's owner set: names and values. No `Debug`: values may be secret.
pub(crate) type Settings = Vec<(String, Vec<u8>)>;

/// Whether this image holds an agent.
pub(crate) fn is_there() -> bool {
    Path::new(PROGRAM).exists()
}

/// Starts the agent; the number of its process.
pub(crate) fn start(start: &AppStart) -> Result<u32, InitError> {
    let (failed, storage) = (InitError::system, start.storage);
    fs::create_dir_all(OWN).map_err(failed("making the agent's folder"))?;
    let link = port(LINK).ok_or(InitError::NoHost)?;
    sys::wait_for_host(&link, LINK_WAIT).map_err(failed("waiting for the host"))?;
    state::serve(STATE, storage)?;
    let mut command = Command::new(PROGRAM);
    command.args([OWN, &local_api(), &format!("{ROOT}{}", app::APP_SOCKET)]);
    command.args([state::DISK, STATE, state::AGENTS, &storage.state_mib().to_string()]).env_clear();
    if start.kind == StartKind::Containers {
        command.arg(containers::SOCKETS_TOLD);
    }
    command.env(INGRESS_VARIABLE, serde_json::to_string(&start.ingress).map_err(InitError::Start)?);
    command.env(SCOPES_VARIABLE, serde_json::to_string(&start.scopes).map_err(InitError::Start)?);
    let child = command.stdin(link).spawn().map_err(failed("starting the agent"))?;
    println!("freehold: agent started");
    Ok(child.id())
}

/// The local API's socket, as PID 1 sees it.
pub(crate) fn local_api() -> String {
    format!("{ROOT}{}", app::LOCAL_API)
}

/// Whether a TEE keeps anything from the host.
pub(crate) fn has_tee() -> bool {
    TEES.iter().any(|device| Path::new(device).exists())
}

/// Where the app's words go: to the host where there is nothing to keep from it, else nowhere.
pub(crate) fn words() -> [Stdio; 2] {
    if has_tee() { [Stdio::null(), Stdio::null()] } else { ports() }
}

/// The host's end of the app's words.
pub(crate) fn ports() -> [Stdio; 2] {
    WORDS.map(|name| port(name).map_or_else(Stdio::null, Stdio::from))
}

/// The key that the app's words are sealed to, where its owner set one.
pub(crate) fn log_key(settings: &Settings) -> Option<String> {
    let (_, key) = settings.iter().find(|(name, value)| name == LOG_KEY && !value.is_empty())?;
    String::from_utf8(key.clone()).ok()
}

/// Has what the app says sealed to its owner on its way to the host; the numbers of the processes, which end when it says no more.
pub(crate) fn seal(key: &str, said: [Option<Stdio>; 2]) -> io::Result<Vec<u32>> {
    let sealed = said.into_iter().zip(STREAMS).zip(ports()).filter_map(|((said, stream), port)| {
        let mut command = Command::new(PROGRAM);
        command.args(["--seal", key, stream]).env_clear().stdin(said?).stdout(port);
        Some(command.spawn().map(|child| child.id()))
    });
    sealed.collect()
}

/// Opens a port by its name.
fn port(name: &str) -> Option<File> {
    let ports = fs::read_dir(PORTS).ok()?;
    let device = ports.flatten().find_map(|entry| {
        let found = fs::read_to_string(entry.path().join("name")).ok()?;
        (found.trim() == name).then(|| PathBuf::from("/dev").join(entry.file_name()))
    })?;
    File::options().read(true).write(true).open(device).ok()
}

/// Waits until the agent serves its socket and lets the app use it; the agent's status where it ended first.
pub(crate) fn wait_for_socket(agent: u32, children: &mut Children) -> Result<Result<(), i32>, InitError> {
    let path = local_api();
    while UnixStream::connect(&path).is_err() {
        if let Some(status) = children.ended(agent) {
            return Ok(Err(status));
        }
        thread::sleep(POLL);
    }
    app::allow_all(&path).map_err(InitError::system("opening the local API to the app"))?;
    Ok(Ok(()))
}

/// Waits for what the app's owner set, as environment; the agent's status where it ended first.
pub(crate) fn wait_for_settings(agent: u32, children: &mut Children) -> Result<Settings, i32> {
    loop {
        if let Ok(Some(settings)) = settings() {
            return Ok(settings);
        }
        if let Some(status) = children.ended(agent) {
            return Err(status);
        }
        thread::sleep(POLL);
    }
}

/// Asks the agent to end and waits a moment for it.
pub(crate) fn end(agent: u32, children: &mut Children) {
    let begun = Instant::now();
    sys::terminate(agent);
    while children.ended(agent).is_none() && begun.elapsed() < END_WAIT {
        thread::sleep(POLL);
    }
}

/// `GET /freehold/v1/environment`; `None` where the agent does not serve yet.
fn settings() -> io::Result<Option<Settings>> {
    let mut stream = UnixStream::connect(local_api())?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    stream.set_write_timeout(Some(ANSWER_WAIT))?;
    stream.write_all(b"GET /freehold/v1/environment HTTP/1.0\r\nhost: agent\r\n\r\n")?;
    let mut reader = BufReader::new(stream.take(ANSWER_BYTES_MAX));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.split(' ').nth(1) != Some("200") {
        return Ok(None);
    }
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let answer: Value = serde_json::from_reader(reader)?;
    let Some(values) = answer.get("environment").and_then(Value::as_object) else { return Ok(None) };
    let value = |(name, value): (&String, &Value)| Some((name.clone(), base64(value.as_str()?)?));
    Ok(values.iter().map(value).collect())
}

/// Standard base64 with its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).ok()
}
