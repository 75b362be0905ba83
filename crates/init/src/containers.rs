//! The app's containers: the program that runs them stands on the measured disk, and is started where an app of one program would be.
//!
//! It is root in the VM, since it makes roots, users and control groups for others, and its own root folder is the disk: it sees
//! neither the agent's folder nor the state disk's other parts. Invariant: it ends before the state disk is closed.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use freehold_image::AppStart;

use crate::{
    InitError, agent,
    app::{self, OWN_SOCKETS},
    children::Children,
    disk::ROOT,
    sys,
};

/// What the agent is told of the services' sockets, on the disk.
pub(crate) const SOCKETS_TOLD: &str = "/root/containers/sockets.json";
/// The way to the gate, as the containers' program sees it.
const GATE: &str = "/run/freehold/egress.sock";
/// Variable of what the containers' program tells, and its word for the least.
const TOLD: &str = "FREEHOLD_TOLD";
const ONLY_SEALED: &str = "sealed";
/// Devices that a runtime gives to containers beside those of a program.
const DEVICES: [(&str, u32, u32); 2] = [("full", 1, 7), ("tty", 5, 0)];
/// How long containers have to end: each has its own time, of 60 s at most, but the host does not wait for that.
const END_WAIT: Duration = Duration::from_secs(12);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Makes what stands beside the folders of any app: the folder of the sockets, which is root's alone, and further devices.
pub(crate) fn prepare() -> Result<(), InitError> {
    let failed = InitError::system("making the folders of the containers");
    let made = || -> io::Result<()> {
        let own = format!("{ROOT}{OWN_SOCKETS}");
        fs::remove_dir(&own)?;
        DirBuilder::new().mode(0o700).create(&own)?;
        for (name, major, minor) in DEVICES {
            let place = format!("{ROOT}/dev/{name}");
            sys::device(&place, major, minor)?;
            app::allow_all(&place)?;
        }
        Ok(())
    };
    made().map_err(failed)
}

/// Starts the program that runs them; the number of its process. In a TEE it tells the host what is sealed to the app's owner, and
/// nothing else.
pub(crate) fn start(start: &AppStart) -> Result<u32, InitError> {
    let failed = || InitError::system("starting the containers");
    let (program, arguments) = start.command.split_first().ok_or(InitError::OtherApp)?;
    if start.proxy.is_some() {
        let place = format!("{ROOT}{GATE}");
        fs::write(&place, b"").and_then(|()| sys::bind(agent::GATE, &place)).map_err(failed())?;
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/bin");
    let [output, errors] = agent::ports();
    command.stdin(Stdio::null()).stdout(output);
    if agent::has_tee() {
        command.env(TOLD, ONLY_SEALED).stderr(Stdio::null());
    } else {
        command.stderr(errors);
    }
    sys::enter_disk(&mut command, ROOT).map_err(failed())?;
    let child = command.spawn().map_err(failed())?;
    println!("freehold: containers started");
    Ok(child.id())
}

/// Asks them to end and waits a moment for it.
pub(crate) fn end(process: u32, children: &mut Children) {
    let begun = Instant::now();
    sys::terminate(process);
    while children.ended(process).is_none() && begun.elapsed() < END_WAIT {
        thread::sleep(POLL);
    }
}
