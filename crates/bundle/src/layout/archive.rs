//! Tar archives that somebody else made: layers of images, and archives of images (POSIX pax, GNU long names).
//!
//! Member by member, nothing written here. Names, links, counts and bytes are bounded before they are kept; what the header of a
//! member says twice must agree. Times, owners' names and extended attributes are not read. Not here: where members go.

use std::io::{self, Read};

use tar::{Archive, EntryType, Header, PaxExtensions};

use super::error::{ArchiveFault, BundleError};

/// Longest path or target of a link, in bytes.
const PATH_BYTES_MAX: usize = 4096;
/// Longest extended header of a member, in bytes.
const EXTENSION_BYTES_MAX: u64 = 256 * 1024;
/// Most parts of a path: trees are walked part by part.
const PARTS_MAX: usize = 128;
/// Longest part of a path, in bytes.
const PART_BYTES_MAX: usize = 255;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    File,
    Folder,
    Symlink,
    Hardlink,
    Special,
}

/// A member's header.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Parts of its path, none of them `.` or `..`; empty for the root.
    pub(super) parts: Vec<String>,
    pub(super) kind: MemberKind,
    /// Permission bits, those of setuid and setgid included.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Where a link leads, as it stands there.
    pub(super) link: String,
}

impl Member {
    /// Its path, for people and for comparing.
    pub(super) fn path(&self) -> String {
        self.parts.join("/")
    }
}

/// What a pax or GNU header says of the member behind it.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
}

/// Reads an archive to its end and hands on each member with its content. `archive` is what errors call it.
pub(super) fn members(
    archive: &str,
    from: impl Read,
    mut each: impl FnMut(&Member, &mut dyn Read) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let refuse =
        |member: &str, fault| BundleError::Archive { archive: archive.to_owned(), member: member.into(), fault };
    let broken = |_: io::Error| refuse("", ArchiveFault::Form);
    let mut reader = Archive::new(from);
    let mut extension = Extension::default();
    for entry in reader.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let header = entry.header().clone();
        let kind = header.entry_type();
        let is_extension = matches!(
            kind,
            EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
        );
        if is_extension {
            let bytes = bounded(&mut entry).map_err(|fault| refuse("", fault))?;
            extension.read(kind, &bytes).map_err(|fault| refuse("", fault))?;
            continue;
        }
        let size = header.entry_size().map_err(broken)?;
        let member = member(&header, std::mem::take(&mut extension), size).map_err(|fault| refuse("", fault))?;
        each(&member, &mut entry)?;
    }
    // What stands behind the end is part of the archive's digest.
    io::copy(&mut reader.into_inner(), &mut io::sink()).map(drop).map_err(broken)
}

fn bounded(entry: &mut impl Read) -> Result<Vec<u8>, ArchiveFault> {
    let mut bytes = Vec::new();
    entry.take(EXTENSION_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|_| ArchiveFault::Form)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= EXTENSION_BYTES_MAX);
    if fits { Ok(bytes) } else { Err(ArchiveFault::Path) }
}

impl Extension {
    fn read(&mut self, kind: EntryType, bytes: &[u8]) -> Result<(), ArchiveFault> {
        match kind {
            EntryType::GNULongName => self.path = Some(text(until_zero(bytes))?),
            EntryType::GNULongLink => self.link = Some(text(until_zero(bytes))?),
            EntryType::XHeader => self.pax(bytes)?,
            // A global header carries comments of whoever made the archive.
            _ => {}
        }
        Ok(())
    }

    fn pax(&mut self, bytes: &[u8]) -> Result<(), ArchiveFault> {
        for record in PaxExtensions::new(bytes) {
            let record = record.map_err(|_| ArchiveFault::Form)?;
            let (Ok(key), value) = (record.key(), record.value_bytes()) else { return Err(ArchiveFault::Form) };
            let number = || text(value)?.parse().map(Some).map_err(|_| ArchiveFault::Form);
            match key {
                "path" => self.path = Some(text(value)?),
                "linkpath" => self.link = Some(text(value)?),
                "size" => self.size = number()?,
                "uid" => self.uid = number()?,
                "gid" => self.gid = number()?,
                // Sparse files have another content than the archive's bytes.
                _ if key.starts_with("GNU.sparse") => return Err(ArchiveFault::Form),
                _ => {}
            }
        }
        Ok(())
    }
}

fn member(header: &Header, extension: Extension, size: u64) -> Result<Member, ArchiveFault> {
    // A size that stands twice and differs makes two readers see two archives.
    if extension.size.is_some_and(|other| other != size) {
        return Err(ArchiveFault::Form);
    }
    let path = match extension.path {
        Some(path) => path,
        None => text(&header.path_bytes())?,
    };
    let link = match extension.link {
        Some(link) => link,
        None => text(header.link_name_bytes().as_deref().unwrap_or_default())?,
    };
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => MemberKind::File,
        EntryType::Directory => MemberKind::Folder,
        EntryType::Symlink => MemberKind::Symlink,
        EntryType::Link => MemberKind::Hardlink,
        _ => MemberKind::Special,
    };
    // Only files have content behind their header.
    if kind != MemberKind::File && size != 0 {
        return Err(ArchiveFault::Form);
    }
    let mode = header.mode().map_err(|_| ArchiveFault::Form)?;
    // Who left the numbers out means 0.
    let uid = extension.uid.or(header.uid().ok()).unwrap_or(0);
    let gid = extension.gid.or(header.gid().ok()).unwrap_or(0);
    Ok(Member { parts: parts(&path)?, kind, mode: mode & 0o7777, uid, gid, link })
}

/// The parts of a path; `/` before and `.` within are without meaning.
pub(super) fn parts(path: &str) -> Result<Vec<String>, ArchiveFault> {
    let parts: Vec<String> = path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect();
    let good = |part: &String| part != ".." && part.len() <= PART_BYTES_MAX && !part.contains('\0');
    if path.len() > PATH_BYTES_MAX || parts.len() > PARTS_MAX || !parts.iter().all(good) {
        return Err(ArchiveFault::Path);
    }
    Ok(parts)
}

fn text(bytes: &[u8]) -> Result<String, ArchiveFault> {
    let fits = bytes.len() <= PATH_BYTES_MAX;
    std::str::from_utf8(bytes).ok().filter(|_| fits).map(str::to_owned).ok_or(ArchiveFault::Path)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}
