//! The state disk (`spec/vm-image.md` §10): the agent, which alone has its key, asks for it over a socket in its own folder; PID 1
//! makes a file system on a disk that the agent found to be all zero, or opens the one that is there, and mounts it.
//!
//! Invariant: what does not open is never written to. Asked once; nothing is opened twice.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        fs::chown,
        net::{UnixListener, UnixStream},
    },
    thread,
};

use freehold_image::{
    AppStorage, EXT4_BLOCK, STATE_AGENT_MIB, STATE_KEY_BYTES, StateLayout, StorageRule, TagJournal, ext4,
};
use zeroize::Zeroizing;

use crate::{
    InitError,
    disk::ROOT,
    mapper::{Access, Mapper, Target},
    sys,
};

/// The disk.
pub(crate) const DISK: &str = "/dev/vdb";
/// Where it is mounted; the agent's folder in it, and the app's, of the one kind and of the other.
const MOUNTED: &str = "/state";
pub(crate) const AGENTS: &str = "/state/agent";
const KEPT: &str = "/state/storage";
const PASSING: &str = "/state/passing";
/// Where the app sees its storage.
pub(crate) const STORAGE: &str = "/storage";
/// Names of the two devices.
const LOWER: &str = "tags";
const UPPER: &str = "state";
/// What the agent asks for: its first byte. Behind the first two: size in MiB (u64, big-endian), key; behind the last: a reason.
const OPEN: u8 = 1;
const MAKE: u8 = 2;
const REFUSED: u8 = 3;
/// Longest reason, in bytes.
const REASON_BYTES_MAX: u64 = 1024;
/// Blocks that are written at once.
const PIECE_BLOCKS: u64 = 256;

/// Serves the socket that the agent asks at.
pub(crate) fn serve(socket: &str, storage: AppStorage) -> Result<(), InitError> {
    let listener = UnixListener::bind(socket).map_err(InitError::system("binding the state disk's socket"))?;
    let answering = move || {
        let mut is_open = false;
        for mut stream in listener.incoming().flatten() {
            let answered = answer(&mut stream, storage, &mut is_open);
            let said = match &answered {
                Ok(()) => "ok".to_owned(),
                Err(error) => error.to_string(),
            };
            let _ = stream.write_all(said.as_bytes());
        }
    };
    thread::Builder::new()
        .name("state disk".to_owned())
        .spawn(answering)
        .map(drop)
        .map_err(InitError::system("starting a thread"))
}

fn answer(stream: &mut UnixStream, storage: AppStorage, is_open: &mut bool) -> io::Result<()> {
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    if kind == [REFUSED] {
        let mut reason = Vec::new();
        stream.take(REASON_BYTES_MAX).read_to_end(&mut reason)?;
        println!("freehold: state disk refused: {}", String::from_utf8_lossy(&reason));
        return Ok(());
    }
    let (mut mib, mut key) = ([0; 8], Zeroizing::new([0; STATE_KEY_BYTES]));
    stream.read_exact(&mut mib)?;
    stream.read_exact(&mut key[..])?;
    let layout = StateLayout::new(u64::from_be_bytes(mib)).map_err(io::Error::other)?;
    if *is_open || !matches!(kind[0], OPEN | MAKE) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let there = File::open(DISK)?.seek(SeekFrom::End(0))?;
    if there < layout.disk_bytes() {
        let wanted = layout.disk_bytes();
        return Err(io::Error::other(format!("it has {there} bytes of {wanted}: it was cut off, or made for less")));
    }
    let disk = StateDisk { mapper: Mapper::open()?, layout, key };
    if kind == [MAKE] {
        disk.make()?;
    }
    disk.open()?;
    *is_open = true;
    folders(storage)?;
    println!("freehold: state disk {}, {} MiB", if kind == [MAKE] { "made" } else { "opened" }, layout.mib());
    Ok(())
}

/// The disk under a key.
struct StateDisk {
    mapper: Mapper,
    layout: StateLayout,
    key: Zeroizing<[u8; STATE_KEY_BYTES]>,
}

impl StateDisk {
    /// The lower device.
    fn tags<'a>(&self, parameters: &'a str) -> Target<'a> {
        let (sectors, access) = (self.layout.sectors(), Access::Write);
        Target { name: LOWER, kind: "integrity", sectors, parameters, access }
    }

    /// The upper one.
    fn sealed<'a>(&self, parameters: &'a str) -> Target<'a> {
        let (sectors, access) = (self.layout.sectors(), Access::Write);
        Target { name: UPPER, kind: "crypt", sectors, parameters, access }
    }

    /// Does something with the upper device while both are there; they go again where it fails or says so.
    fn mapped(&self, journal: TagJournal, work: impl FnOnce(&str) -> io::Result<After>) -> io::Result<()> {
        let parameters = self.layout.integrity(DISK, journal);
        let tags = self.tags(&parameters);
        let lower = self.mapper.make(&tags)?;
        let parameters = self.layout.crypt(&lower, &self.key);
        let sealed = self.sealed(&parameters);
        let upper = self.mapper.make(&sealed).inspect_err(|_| drop(self.mapper.remove(LOWER)))?;
        let worked = work(&upper);
        if !matches!(worked, Ok(After::Stays)) {
            let removed = self.mapper.remove(UPPER).and_then(|()| self.mapper.remove(LOWER));
            worked?;
            removed?;
        }
        Ok(())
    }

    /// Writes every block once, so that each has its tag: an empty file system.
    fn make(&self) -> io::Result<()> {
        self.mapped(TagJournal::Left, |upper| {
            let mut id = [0; 16];
            File::open("/dev/urandom")?.read_exact(&mut id)?;
            // What the app may not fill; without storage of the app's all of it is the agent's.
            let kept = if self.layout.mib() > STATE_AGENT_MIB { STATE_AGENT_MIB } else { 0 };
            let files = ext4(self.layout.mib(), kept, id).map_err(io::Error::other)?;
            let mut device = OpenOptions::new().write(true).open(upper)?;
            let all = self.layout.sectors() / (EXT4_BLOCK / 512) as u64;
            let mut first = 0;
            while first < all {
                let count = PIECE_BLOCKS.min(all - first);
                let mut piece = vec![0; count as usize * EXT4_BLOCK];
                for (block, bytes) in files.written.range(first..first + count) {
                    let at = (block - first) as usize * EXT4_BLOCK;
                    piece[at..at + EXT4_BLOCK].copy_from_slice(bytes);
                }
                device.write_all(&piece)?;
                first += count;
            }
            device.sync_all()?;
            Ok(After::Goes)
        })
    }

    /// Opens and mounts it.
    fn open(&self) -> io::Result<()> {
        self.mapped(TagJournal::Kept, |upper| {
            sys::mount(upper, MOUNTED, "ext4", sys::NO_RIGHTS, "")?;
            Ok(After::Stays)
        })
    }
}

/// What becomes of the devices.
enum After {
    Stays,
    Goes,
}

/// The folders of agent and app; the app's is mounted where it sees it.
fn folders(storage: AppStorage) -> io::Result<()> {
    fs::create_dir_all(AGENTS)?;
    if fs::exists(PASSING)? {
        fs::remove_dir_all(PASSING)?;
    }
    let folder = match storage.kind {
        StorageRule::None | StorageRule::Ram => return Ok(()),
        StorageRule::DiskEphemeral => PASSING,
        StorageRule::DiskPersistent => KEPT,
    };
    fs::create_dir_all(folder)?;
    chown(folder, Some(sys::APP_USER), Some(sys::APP_USER))?;
    sys::bind(folder, &format!("{ROOT}{STORAGE}"))
}

/// Closes the disk where it is open, so that its journals are empty; one that stays open is made whole from them at the next boot.
pub(crate) fn close() {
    let _ = sys::unmount(&format!("{ROOT}{STORAGE}"));
    if sys::unmount(MOUNTED).is_ok()
        && let Ok(mapper) = Mapper::open()
    {
        let _ = mapper.remove(UPPER).and_then(|()| mapper.remove(LOWER));
    }
}

/// Storage in memory.
pub(crate) fn in_memory(storage: AppStorage) -> io::Result<()> {
    if storage.kind != StorageRule::Ram {
        return Ok(());
    }
    let folder = format!("{ROOT}{STORAGE}");
    sys::mount("tmpfs", &folder, "tmpfs", sys::NO_RIGHTS, &format!("size={}m,mode=700", storage.mib))?;
    chown(&folder, Some(sys::APP_USER), Some(sys::APP_USER))
}
