#![doc = include_str!("../README.md")]
#![allow(clippy::print_stdout, reason = "PID 1's standard output is the console, its only log")]

mod agent;
mod app;
mod children;
mod containers;
mod disk;
mod health;
mod mapper;
mod outlet;
mod state;
mod sys;

use std::{
    path::Path,
    process, thread,
    time::{Duration, Instant},
};

use freehold_image::{AppStart, CommandLine, StartKind};
use thiserror::Error;

/// Why the VM does not run its app. Every one powers it off.
#[derive(Debug, Error)]
enum InitError {
    /// A call of the kernel failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The disk does not say how the app is started.
    #[error("the disk does not say how the app is started: {0}")]
    Start(serde_json::Error),
    /// The disk is of another app than the command line names.
    #[error("the disk holds another app than the command line names")]
    OtherApp,
    /// There is no port to the host.
    #[error("there is an agent and no port to the host")]
    NoHost,
    /// There are containers, and no agent that gives them their sockets.
    #[error("the disk holds containers, and the image no agent")]
    NoAgent,
    /// The register did not take the event.
    #[error("RTMR3 did not take the app's event")]
    Register,
}

impl InitError {
    fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// How a VM came to its end.
enum End {
    /// No image was named: it boots, and that is all.
    SelfTest,
    /// The app ended and is not started again.
    App(i32),
    /// The agent ended: the host asked, or its instance is over.
    Agent(i32),
}

/// Shortest and longest pause before an app is started again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// An app that ran so long begins with the shortest pause.
const LONG_RUN: Duration = Duration::from_secs(60);

fn main() {
    if process::id() != 1 {
        println!("freehold-init is PID 1 of a VM, and does nothing elsewhere");
        process::exit(2);
    }
    let ended = run();
    children::end_all();
    state::close();
    // A panic of PID 1 is a panic of the kernel, which ends the VM: so it may be left to itself.
    match ended {
        Ok(End::App(status)) => println!("freehold: app ended with {status}"),
        Ok(End::Agent(status)) => println!("freehold: agent ended with {status}"),
        Ok(End::SelfTest) => println!("freehold: self-test passed"),
        Err(error) => println!("freehold: refused: {error}"),
    }
    sys::power_off();
}

/// From the first mount to the VM's end.
fn run() -> Result<End, InitError> {
    sys::mount("proc", "/proc", "proc", 0, "").map_err(InitError::system("mounting /proc"))?;
    sys::mount("sysfs", "/sys", "sysfs", 0, "").map_err(InitError::system("mounting /sys"))?;
    sys::mount("devtmpfs", "/dev", "devtmpfs", 0, "").map_err(InitError::system("mounting /dev"))?;
    let text = std::fs::read_to_string("/proc/cmdline").map_err(InitError::system("reading the command line"))?;
    let line = CommandLine::new(text.trim()).ok();
    let Some((root, app)) = line.as_ref().and_then(CommandLine::image) else { return Ok(End::SelfTest) };
    disk::load_modules(Path::new("/modules"))?;
    sys::mount("configfs", "/sys/kernel/config", "configfs", sys::NO_RIGHTS, "")
        .map_err(InitError::system("mounting configfs"))?;
    disk::open(&root)?;
    println!("freehold: disk opened under {}", root.hash);
    let start = app::read_start(&app)?;
    if let Some(models) = line.as_ref().and_then(CommandLine::models) {
        disk::open_models(&models)?;
        println!("freehold: models opened under {}", models.hash);
    }
    app::extend_register(&start.event)?;
    app::prepare(&start)?;
    match (start.kind, agent::is_there()) {
        (StartKind::Process, true) => with_agent(&start),
        (StartKind::Process, false) => alone(&start),
        (StartKind::Containers, true) => with_containers(&start),
        (StartKind::Containers, false) => Err(InitError::NoAgent),
    }
}

/// An image without an agent: the app runs once, and has health alone.
fn alone(start: &AppStart) -> Result<End, InitError> {
    let health = health::serve().map_err(InitError::system("serving the app's socket"))?;
    let mut children = children::Children::default();
    let app = app::start(start, &Vec::new())?;
    children.add(app.process);
    let (_, status) = children.wait().map_err(InitError::system("waiting for the app"))?;
    drop((health, app));
    Ok(End::App(status))
}

/// The agent, and beside it the app again and again, as its manifest says.
fn with_agent(start: &AppStart) -> Result<End, InitError> {
    let mut children = children::Children::default();
    let agent = agent::start(start)?;
    children.add(agent);
    if let Err(status) = agent::wait_for_socket(agent, &mut children)? {
        return Ok(End::Agent(status));
    }
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    loop {
        let settings = match agent::wait_for_settings(agent, &mut children) {
            Ok(settings) => settings,
            Err(status) => return Ok(End::Agent(status)),
        };
        let begun = Instant::now();
        let app = app::start(start, &settings)?;
        children.add(app.process);
        let (process, status) = children.wait().map_err(InitError::system("waiting for the app"))?;
        if process == agent {
            return Ok(End::Agent(status));
        }
        app::clear();
        if !app::starts_again(start.restart, status) {
            app.last_words(&mut children);
            agent::end(agent, &mut children);
            return Ok(End::App(status));
        }
        if begun.elapsed() >= LONG_RUN {
            pause = shortest;
        }
        println!("freehold: app ended with status {status}, it starts again");
        thread::sleep(pause);
        pause = (2 * pause).min(longest);
    }
}

/// The agent, and beside it the app's containers, which start again by their own policies; the VM ends when all of them have.
fn with_containers(start: &AppStart) -> Result<End, InitError> {
    containers::prepare()?;
    let mut children = children::Children::default();
    let agent = agent::start(start)?;
    children.add(agent);
    if let Err(status) = agent::wait_for_socket(agent, &mut children)? {
        return Ok(End::Agent(status));
    }
    // Nobody starts before the instance serves: until then there is no storage and no setting.
    if let Err(status) = agent::wait_for_settings(agent, &mut children) {
        return Ok(End::Agent(status));
    }
    let running = containers::start(start)?;
    children.add(running);
    let (process, status) = children.wait().map_err(InitError::system("waiting for the containers"))?;
    if process == agent {
        containers::end(running, &mut children);
        return Ok(End::Agent(status));
    }
    agent::end(agent, &mut children);
    Ok(End::App(status))
}
