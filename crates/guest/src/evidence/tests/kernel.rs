//! Files that behave as the kernel documents ([`super::fuse`] mounts them): configfs-tsm under `config/tsm/report`, a
//! TD's registers under `measurements`, and `/dev/tdx_guest` as `device`.
//!
//! What it keeps of the kernel (drivers/virt/coco/guest/report.c, fs/configfs/file.c,
//! drivers/virt/coco/guest/tsm-mr.c): an entry is made by `mkdir` and needs a provider; its generation counts writes;
//! an `inblob` is committed when the file is closed, and its failure is told to nobody; the report is made when it is
//! read; `auxblob` exists for `sev_guest` only; a register takes 48 bytes at once. Commands of the device arrive as
//! FUSE passes them on: with what their number declares, so that a request whose number declares no input arrives
//! empty.

use std::collections::BTreeMap;

use freehold_attestation::extended;
use freehold_primitives::Register;
use rustix::io::Errno;

/// Fixed nodes; those of entries follow.
const FIXED: [(u64, u64, &str, Kind); 8] = [
    (2, 1, "config", Kind::Directory),
    (3, 2, "tsm", Kind::Directory),
    (REPORT, 3, "report", Kind::Directory),
    (5, 1, "measurements", Kind::Directory),
    (RTMR3, 5, "rtmr3:sha384", Kind::File),
    (DEVICE, 1, "device", Kind::File),
    (8, 1, "bare", Kind::Directory),
    (9, 8, "config", Kind::Directory),
];
const REPORT: u64 = 4;
const RTMR3: u64 = 6;
const DEVICE: u64 = 7;
/// Nodes of entry n begin at `ENTRIES + 16 n`: the directory, then its files.
const ENTRIES: u64 = 1024;
const FILES: [&str; 7] = ["inblob", "outblob", "auxblob", "provider", "generation", "privlevel", "privlevel_floor"];

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// Makes a report of 64 bytes.
pub(super) type Maker = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, Errno> + Send>;

/// What the kernel holds, and how it misbehaves.
pub(super) struct State {
    pub(super) provider: Option<&'static str>,
    pub(super) maker: Maker,
    pub(super) auxblob: Vec<u8>,
    pub(super) privlevel_floor: u32,
    /// Answers to opening these files, or to making an entry (`mkdir`): the errors of the next attempts.
    pub(super) fail: Vec<(&'static str, Errno)>,
    /// So many of the next writes of an inblob are lost, as when the kernel refuses them after the file was closed.
    pub(super) lose_writes: u32,
    /// So many of the next reports are made while somebody else writes to the entry.
    pub(super) interfere: u32,
    /// The provider after the next report.
    pub(super) provider_next: Option<&'static str>,
    /// So many of the next reads find their entry removed.
    pub(super) remove: u32,
    pub(super) entries: BTreeMap<u64, Entry>,
    next_entry: u64,
    pub(super) rtmr3: Register,
    /// Something else extends the register behind our back.
    pub(super) rtmr3_contended: bool,
    /// Commands of the device: number, bytes that came in.
    pub(super) commands: Vec<(u32, usize)>,
}

#[derive(Default)]
pub(super) struct Entry {
    pub(super) name: String,
    inblob: Vec<u8>,
    writing: Option<Vec<u8>>,
    pub(super) privlevel: Option<u32>,
    generation: u64,
    report: Option<(u64, Vec<u8>)>,
}

impl State {
    pub(super) fn new(provider: Option<&'static str>, maker: Maker) -> Self {
        Self {
            provider,
            maker,
            auxblob: Vec::new(),
            privlevel_floor: 0,
            fail: Vec::new(),
            lose_writes: 0,
            interfere: 0,
            provider_next: None,
            remove: 0,
            entries: BTreeMap::new(),
            next_entry: 0,
            rtmr3: Register::ZERO,
            rtmr3_contended: false,
            commands: Vec::new(),
        }
    }

    fn failure(&mut self, what: &str) -> Option<Errno> {
        let at = self.fail.iter().position(|(name, _)| *name == what)?;
        Some(self.fail.remove(at).1)
    }

    fn entry(&mut self, node: u64) -> Option<(&'static str, &mut Entry)> {
        let offset = node.checked_sub(ENTRIES)?;
        let file = FILES.get(usize::try_from(offset % 16).ok()?.checked_sub(1)?)?;
        Some((file, self.entries.get_mut(&(offset / 16))?))
    }

    pub(super) fn find(&self, parent: u64, name: &str) -> Option<(u64, Kind)> {
        if let Some((node, _, _, kind)) = FIXED.iter().find(|(_, above, known, _)| (*above, *known) == (parent, name)) {
            return Some((*node, *kind));
        }
        if parent == REPORT {
            let (number, _) = self.entries.iter().find(|(_, entry)| entry.name == name)?;
            return Some((ENTRIES + number * 16, Kind::Directory));
        }
        let number = parent.checked_sub(ENTRIES)? / 16;
        let known = self.entries.contains_key(&number) && parent.is_multiple_of(16);
        let at = FILES.iter().position(|file| *file == name).filter(|_| known)?;
        let of_snp = ["auxblob", "privlevel", "privlevel_floor"].contains(&name);
        (!of_snp || self.provider == Some("sev_guest")).then_some((parent + at as u64 + 1, Kind::File))
    }

    /// The content of a file, when it is opened for reading.
    pub(super) fn content(&mut self, node: u64) -> Result<Vec<u8>, Errno> {
        if node == RTMR3 {
            return Ok(self.rtmr3.0.to_vec());
        }
        let number = node.checked_sub(ENTRIES).ok_or(Errno::INVAL)? / 16;
        let (provider, floor) = (self.provider.ok_or(Errno::NXIO)?, self.privlevel_floor);
        let file = self.entry(node).ok_or(Errno::NOENT)?.0;
        match file {
            "provider" => Ok(format!("{provider}\n").into_bytes()),
            "privlevel_floor" => Ok(format!("{floor}\n").into_bytes()),
            "outblob" | "auxblob" => {
                if self.remove > 0 {
                    self.remove -= 1;
                    self.entries.remove(&number);
                    return Err(Errno::NOENT);
                }
                let report = self.report(number)?;
                Ok(if file == "outblob" { report } else { self.auxblob.clone() })
            }
            "generation" => Ok(format!("{}\n", self.entries[&number].generation).into_bytes()),
            _ => Err(Errno::ACCESS),
        }
    }

    fn report(&mut self, number: u64) -> Result<Vec<u8>, Errno> {
        let interferes = self.interfere > 0;
        let entry = self.entries.get_mut(&number).ok_or(Errno::NOENT)?;
        if let Some((generation, report)) = &entry.report
            && *generation == entry.generation
        {
            return Ok(report.clone());
        }
        if interferes {
            self.interfere -= 1;
            entry.inblob = vec![0xee; 64];
            entry.generation += 1;
        }
        if entry.inblob.is_empty() {
            return Err(Errno::INVAL);
        }
        let report = (self.maker)(&entry.inblob)?;
        entry.report = Some((entry.generation, report.clone()));
        if let Some(next) = self.provider_next.take() {
            self.provider = Some(next);
        }
        Ok(report)
    }

    pub(super) fn write(&mut self, node: u64, data: &[u8]) -> Result<(), Errno> {
        if node == RTMR3 {
            let digest: &[u8; 48] = data.try_into().map_err(|_| Errno::INVAL)?;
            self.rtmr3 = extended(&self.rtmr3, digest);
            if self.rtmr3_contended {
                self.rtmr3 = extended(&self.rtmr3, &[9; 48]);
            }
            return Ok(());
        }
        let floor = self.privlevel_floor;
        let (file, entry) = self.entry(node).ok_or(Errno::NOENT)?;
        match file {
            "inblob" => {
                let buffer = entry.writing.get_or_insert_default();
                buffer.extend_from_slice(data);
                if buffer.len() > 64 { Err(Errno::FBIG) } else { Ok(()) }
            }
            "privlevel" => {
                let level = std::str::from_utf8(data).ok().and_then(|text| text.trim().parse().ok());
                let level: u32 = level.filter(|level| (floor..=3).contains(level)).ok_or(Errno::INVAL)?;
                entry.privlevel = Some(level);
                entry.generation += 1;
                Ok(())
            }
            _ => Err(Errno::ACCESS),
        }
    }

    /// A file was closed: what was written counts now, or is lost.
    pub(super) fn commit(&mut self, node: u64) {
        let lost = self.lose_writes > 0;
        let Some((_, entry)) = self.entry(node) else { return };
        let Some(inblob) = entry.writing.take() else { return };
        if lost {
            self.lose_writes -= 1;
            return;
        }
        entry.inblob = inblob;
        entry.generation += 1;
    }

    /// The directory entries of a node.
    pub(super) fn list(&self, node: u64) -> Vec<(u64, String)> {
        let fixed = FIXED.iter().filter(|fixed| fixed.1 == node).map(|fixed| (fixed.0, fixed.2.to_owned()));
        let mut names: Vec<(u64, String)> = fixed.collect();
        if node == REPORT {
            names.extend(self.entries.iter().map(|(number, entry)| (ENTRIES + number * 16, entry.name.clone())));
        }
        names
    }

    pub(super) fn mkdir(&mut self, parent: u64, name: &str) -> Result<u64, Errno> {
        if let Some(errno) = self.failure("mkdir") {
            return Err(errno);
        }
        if parent != REPORT {
            return Err(Errno::PERM);
        }
        if self.provider.is_none() {
            return Err(Errno::NXIO);
        }
        let number = self.next_entry;
        self.next_entry += 1;
        self.entries.insert(number, Entry { name: name.to_owned(), ..Entry::default() });
        Ok(ENTRIES + number * 16)
    }

    pub(super) fn rmdir(&mut self, parent: u64, name: &str) -> Result<(), Errno> {
        let found = self.find(parent, name).filter(|(node, kind)| *kind == Kind::Directory && *node >= ENTRIES);
        let (node, _) = found.ok_or(Errno::NOENT)?;
        self.entries.remove(&((node - ENTRIES) / 16));
        Ok(())
    }

    pub(super) fn open(&mut self, node: u64) -> Result<(), Errno> {
        let name = usize::try_from(node % 16).ok().and_then(|at| FILES.get(at.checked_sub(1)?).copied());
        self.failure(name.unwrap_or("")).map_or(Ok(()), Err)
    }

    /// A command with what came in; gives what goes out.
    pub(super) fn command(&mut self, node: u64, command: u32, input: &[u8], out_size: u32) -> Result<Vec<u8>, Errno> {
        self.commands.push((command, input.len()));
        match command {
            0xc440_5401 if node == DEVICE => {
                let mut request = input.to_vec();
                request[64 + 864..64 + 912].copy_from_slice(&self.rtmr3.0);
                Ok(request)
            }
            0x8031_5403 if node == DEVICE => {
                // FUSE carries no input for a command that declares none: the digest of the test is taken as read.
                self.rtmr3 = extended(&self.rtmr3, &[5; 48]);
                Ok(vec![0; out_size as usize])
            }
            _ => Err(Errno::NOTTY),
        }
    }
}

/// What the node with this number is.
pub(super) fn kind_of(node: u64) -> Kind {
    match node {
        1 => Kind::Directory,
        0..ENTRIES => FIXED.iter().find(|fixed| fixed.0 == node).map_or(Kind::File, |fixed| fixed.3),
        _ if node.is_multiple_of(16) => Kind::Directory,
        _ => Kind::File,
    }
}
