//! Mounts [`State`] as a file system: as much of the FUSE protocol (version 7.31, `include/uapi/linux/fuse.h`) as a few
//! small files need, over `/dev/fuse`, mounted by `mount(8)`. Requests are answered one by one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};

use rustix::io::Errno;
use tempfile::TempDir;

use super::kernel::{Kind, Maker, State, kind_of};

/// The mounted file system; dropping it unmounts.
pub(super) struct Mounted {
    state: Arc<Mutex<State>>,
    server: Option<JoinHandle<()>>,
    dir: TempDir,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(self.dir.path()).status();
        if let (true, Some(server)) = (done.is_ok_and(|status| status.success()), self.server.take()) {
            let _ = server.join();
        }
    }
}

impl Mounted {
    /// Mounts, or says loudly that it cannot.
    pub(super) fn new(provider: Option<&'static str>, maker: Maker) -> Option<Self> {
        let state = Arc::new(Mutex::new(State::new(provider, maker)));
        let dir = TempDir::new().unwrap();
        match mount(dir.path()) {
            Ok(device) => {
                let served = Arc::clone(&state);
                let server = thread::spawn(move || serve(device, &served));
                Some(Self { state, server: Some(server), dir })
            }
            Err(error) => {
                let text = format!("SKIPPED: FUSE cannot be mounted here ({error}); configfs is not tested\n");
                let _ = io::stderr().write_all(text.as_bytes());
                None
            }
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Where the entries stand.
    pub(super) fn report(&self) -> PathBuf {
        self.path("config/tsm/report")
    }

    /// Names of the entries that are there.
    pub(super) fn entries(&self) -> Vec<String> {
        self.state().entries.values().map(|entry| entry.name.clone()).collect()
    }
}

/// `mount(8)` gets the device as its standard input and names it to the kernel.
fn mount(dir: &Path) -> io::Result<File> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    let output = Command::new("mount")
        .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "freehold-test"])
        .arg(dir)
        .stdin(Stdio::from(device.try_clone()?))
        .output()?;
    if output.status.success() {
        Ok(device)
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// Answers requests until the file system is unmounted.
fn serve(mut device: File, state: &Mutex<State>) {
    let mut buffer = vec![0; 256 * 1024];
    // The device fails once nothing is mounted any more.
    while let Ok(count) = device.read(&mut buffer) {
        let request = Request(&buffer[..count]);
        if let Some(answer) = answer(&request, &mut state.lock().unwrap()) {
            let (errno, body) = match answer {
                Ok(body) => (0, body),
                Err(errno) => (-errno.raw_os_error(), Vec::new()),
            };
            let length = u32::try_from(16 + body.len()).unwrap();
            let head = [&length.to_le_bytes()[..], &errno.to_le_bytes(), &request.u64(8).to_le_bytes()].concat();
            // One write is one answer; the asker may be gone.
            let _ = device.write(&[head, body].concat());
        }
    }
}

/// One request: 40 bytes of head, then its arguments.
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn node(&self) -> u64 {
        self.u64(16)
    }

    /// A name behind so many bytes of arguments, ended by a zero.
    fn name(&self, behind: usize) -> &str {
        let name = &self.0[40 + behind..];
        std::str::from_utf8(&name[..name.iter().position(|byte| *byte == 0).unwrap()]).unwrap()
    }
}

/// The answer to a request; none to those that want none.
fn answer(request: &Request<'_>, state: &mut State) -> Option<Result<Vec<u8>, Errno>> {
    let node = request.node();
    Some(match request.u32(4) {
        // FORGET, INTERRUPT, DESTROY, BATCH_FORGET
        2 | 36 | 38 | 42 => return None,
        // LOOKUP
        1 => state.find(node, request.name(0)).map(|(found, kind)| entry(found, kind)).ok_or(Errno::NOENT),
        // GETATTR, SETATTR
        3 | 4 => Ok([vec![0; 16], attributes(node, kind_of(node))].concat()),
        // MKDIR
        9 => state.mkdir(node, request.name(8)).map(|made| entry(made, Kind::Directory)),
        // RMDIR
        11 => state.rmdir(node, request.name(0)).map(|()| Vec::new()),
        // OPEN, unbuffered
        14 => state.open(node).map(|()| opened(1)),
        // READ
        15 => state.content(node).map(|content| {
            let from = usize::try_from(request.u64(48)).unwrap().min(content.len());
            let to = (from + request.u32(56) as usize).min(content.len());
            content[from..to].to_vec()
        }),
        // WRITE
        16 => {
            let data = &request.0[80..80 + request.u32(56) as usize];
            let length = u32::try_from(data.len()).unwrap();
            state.write(node, data).map(|()| [length.to_le_bytes(), [0; 4]].concat())
        }
        // RELEASE, RELEASEDIR
        18 | 29 => Ok(Vec::new()),
        // FLUSH, when a file is closed
        25 => {
            state.commit(node);
            Ok(Vec::new())
        }
        // INIT: version 7.31, writes of up to 4 KiB
        26 => {
            let mut init = [7u32, 31, 0, 0, 0, 4096, 1].map(u32::to_le_bytes).concat();
            init.resize(64, 0);
            Ok(init)
        }
        // OPENDIR
        27 => Ok(opened(0)),
        // READDIR
        28 => Ok(listing(&state.list(node), request.u64(48), request.u32(56) as usize)),
        // IOCTL
        39 => {
            let input = &request.0[72..72 + request.u32(64) as usize];
            let done = state.command(node, request.u32(52), input, request.u32(68));
            done.map(|output| [vec![0; 16], output].concat())
        }
        _ => Err(Errno::NOSYS),
    })
}

fn opened(flags: u32) -> Vec<u8> {
    [vec![0; 8], flags.to_le_bytes().to_vec(), vec![0; 4]].concat()
}

/// `struct fuse_entry_out`, valid for no time.
fn entry(node: u64, kind: Kind) -> Vec<u8> {
    [node.to_le_bytes().to_vec(), vec![0; 32], attributes(node, kind)].concat()
}

/// `struct fuse_attr`.
fn attributes(node: u64, kind: Kind) -> Vec<u8> {
    let (mode, links): (u32, u32) = if kind == Kind::Directory { (0o40_755, 2) } else { (0o100_600, 1) };
    let numbers = [node, 4096, 0, 0, 0, 0].map(u64::to_le_bytes).concat();
    [numbers, [0, 0, 0, mode, links, 0, 0, 0, 4096, 0].map(u32::to_le_bytes).concat()].concat()
}

/// `struct fuse_dirent` for each name from `offset` on, as many as fit.
fn listing(names: &[(u64, String)], offset: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, (node, name)) in names.iter().enumerate().skip(usize::try_from(offset).unwrap()) {
        let kind: u32 = if kind_of(*node) == Kind::Directory { 4 } else { 8 };
        let mut one = [*node, at as u64 + 1].map(u64::to_le_bytes).concat();
        one.extend([u32::try_from(name.len()).unwrap(), kind].map(u32::to_le_bytes).concat());
        one.extend(name.as_bytes());
        one.resize(one.len().next_multiple_of(8), 0);
        if bytes.len() + one.len() > size {
            break;
        }
        bytes.extend(one);
    }
    bytes
}
