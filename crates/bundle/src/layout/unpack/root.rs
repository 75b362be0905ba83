//! The folder that an image is unpacked into: every change of it goes through here, and none leaves it.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchmod, fchown, fstat, linkat, mkdirat,
        open, openat, openat2, statat, symlinkat, unlinkat,
    },
    io::Errno,
};

use super::{Fault, Member};
use crate::layout::error::{ArchiveFault, BundleError};

/// Most users and groups of an image.
const IDS: u64 = 65_536;
/// Rights that are kept: no setuid, no setgid.
const MODE_KEPT: u32 = 0o1777;
/// Rights of a link, which nobody asks for.
const LINK_MODE: u32 = 0o777;
/// Rights of a folder that no layer describes.
const FOLDER_MODE: u32 = 0o755;

/// Whose the unpacked files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// All of them the user's who unpacks.
    Own,
    /// The image's users 0 to 65,535 are the system's from this number on. Only root can unpack so.
    Mapped(u32),
    /// All of them the user's who unpacks, with rights of its own; the image's are remembered beside them.
    Noted,
}

/// Rights and owner that an image gives a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dress {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The folder.
pub(super) struct Root {
    top: OwnedFd,
    owner: Ownership,
    /// Paths that the layer at work has placed, with the folders above them: its whiteouts spare them.
    placed: HashSet<String>,
    /// Under [`Ownership::Noted`], what the image says of each file, by its number: links share it, and whoever comes after with the
    /// same number is noted anew.
    noted: RefCell<HashMap<u64, Dress>>,
}

impl Root {
    pub(super) fn open(folder: &Path, owner: Ownership) -> Result<Self, BundleError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = open(folder, flags, Mode::empty()).map_err(|error| BundleError::system(folder)(error.into()))?;
        let root = Self { top, owner, placed: HashSet::new(), noted: RefCell::default() };
        root.dress_plain(root.top.as_fd()).map_err(|error| BundleError::system(folder)(error.into()))?;
        Ok(root)
    }

    pub(super) fn begin_layer(&mut self) {
        self.placed.clear();
    }

    /// Rights and owner of the folder itself.
    pub(super) fn dress_top(&self, member: &Member) -> Result<(), Fault> {
        self.dress(self.top.as_fd(), member)
    }

    pub(super) fn folder(&mut self, above: &[String], name: &str, member: &Member) -> Result<(), Fault> {
        let parent = self.reach(above)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if kind(&parent, name)? != Some(FileType::Directory) {
                    remove(parent.as_fd(), name)?;
                    mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.dress(open_folder(parent.as_fd(), name)?.as_fd(), member)?;
        self.note(above, name);
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        above: &[String],
        name: &str,
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<(), Fault> {
        let parent = self.reach(above)?;
        remove(parent.as_fd(), name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&parent, name, flags, Mode::from_raw_mode(0o600))?);
        io::copy(content, &mut file)?;
        self.dress(file.as_fd(), member)?;
        self.note(above, name);
        Ok(())
    }

    pub(super) fn symlink(&mut self, above: &[String], name: &str, member: &Member) -> Result<(), Fault> {
        if member.link.is_empty() || member.link.contains('\0') {
            return Err(ArchiveFault::Link.into());
        }
        let parent = self.reach(above)?;
        remove(parent.as_fd(), name)?;
        symlinkat(&member.link, &parent, name)?;
        match self.ids(member.uid, member.gid)? {
            Some((uid, gid)) if self.owner == Ownership::Noted => {
                let (uid, gid) = (uid.as_raw(), gid.as_raw());
                let number = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
                self.noted.borrow_mut().insert(number, Dress { mode: LINK_MODE, uid, gid });
            }
            Some((uid, gid)) => chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?,
            None => {}
        }
        self.note(above, name);
        Ok(())
    }

    /// A second name of a file that is in the folder already.
    pub(super) fn hardlink(&mut self, above: &[String], name: &str, target: &[String]) -> Result<(), Fault> {
        let (target_name, target_above) = target.split_last().ok_or(ArchiveFault::Link)?;
        let from = self.resolve(target_above).map_err(|_| ArchiveFault::Link)?;
        if !matches!(kind(&from, target_name)?, Some(FileType::RegularFile | FileType::Symlink)) {
            return Err(ArchiveFault::Link.into());
        }
        let parent = self.reach(above)?;
        if above == target_above && name == target_name {
            return Ok(());
        }
        remove(parent.as_fd(), name)?;
        // It may have been the target, by another way.
        linkat(&from, target_name.as_str(), &parent, name, AtFlags::empty()).map_err(|error| match error {
            Errno::NOENT => ArchiveFault::Link.into(),
            error => Fault::from(error),
        })?;
        self.note(above, name);
        Ok(())
    }

    /// Removes what lower layers put there.
    pub(super) fn hide(&mut self, above: &[String], name: &str) -> Result<(), Fault> {
        let Ok(parent) = self.resolve(above) else { return Ok(()) };
        self.clear_one(parent.as_fd(), &above.join("/"), name)
    }

    /// Removes what lower layers put into a folder.
    pub(super) fn hide_all(&mut self, above: &[String]) -> Result<(), Fault> {
        let Ok(folder) = self.resolve(above) else { return Ok(()) };
        self.clear(folder.as_fd(), &above.join("/"))
    }

    fn clear(&self, folder: BorrowedFd<'_>, path: &str) -> Result<(), Fault> {
        for name in names(folder)? {
            self.clear_one(folder, path, &name)?;
        }
        Ok(())
    }

    fn clear_one(&self, folder: BorrowedFd<'_>, path: &str, name: &str) -> Result<(), Fault> {
        let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        if !self.placed.contains(&below) {
            return remove(folder, name);
        }
        if kind(&folder, name)? == Some(FileType::Directory) {
            return self.clear(open_folder(folder, name)?.as_fd(), &below);
        }
        Ok(())
    }

    fn note(&mut self, above: &[String], name: &str) {
        let mut path = String::new();
        for part in above.iter().map(String::as_str).chain([name]) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
            if !self.placed.contains(&path) {
                self.placed.insert(path.clone());
            }
        }
    }

    /// The folder at a path, links resolved inside the root.
    fn resolve(&self, parts: &[String]) -> Result<OwnedFd, Errno> {
        let path = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
        resolve(self.top.as_fd(), &path, OFlags::DIRECTORY)
    }

    /// The same, made where it is missing.
    fn reach(&self, parts: &[String]) -> Result<OwnedFd, Fault> {
        match self.resolve(parts) {
            Ok(folder) => return Ok(folder),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(ArchiveFault::Through.into()),
            Err(error) => return Err(error.into()),
        }
        let (name, above) = parts.split_last().ok_or(ArchiveFault::Through)?;
        let parent = self.reach(above)?;
        mkdirat(&parent, name.as_str(), Mode::from_raw_mode(0o700)).map_err(|error| match error {
            // A link that leads nowhere.
            Errno::EXIST => ArchiveFault::Through.into(),
            error => Fault::from(error),
        })?;
        let folder = open_folder(parent.as_fd(), name)?;
        self.dress_plain(folder.as_fd())?;
        Ok(folder)
    }

    fn dress(&self, what: BorrowedFd<'_>, member: &Member) -> Result<(), Fault> {
        let ids = self.ids(member.uid, member.gid)?;
        Ok(self.give(what, member.mode & MODE_KEPT, ids)?)
    }

    /// A folder that no layer describes: root's.
    fn dress_plain(&self, what: BorrowedFd<'_>) -> Result<(), Errno> {
        self.give(what, FOLDER_MODE, self.ids(0, 0).ok().flatten())
    }

    fn give(&self, what: BorrowedFd<'_>, mode: u32, ids: Option<(Uid, Gid)>) -> Result<(), Errno> {
        match ids {
            Some((uid, gid)) if self.owner == Ownership::Noted => {
                let dress = Dress { mode, uid: uid.as_raw(), gid: gid.as_raw() };
                self.noted.borrow_mut().insert(fstat(what)?.st_ino, dress);
                return Ok(());
            }
            Some((uid, gid)) => fchown(what, Some(uid), Some(gid))?,
            None => {}
        }
        fchmod(what, Mode::from_raw_mode(mode))
    }

    /// What was noted.
    pub(super) fn into_noted(self) -> HashMap<u64, Dress> {
        self.noted.into_inner()
    }

    fn ids(&self, uid: u64, gid: u64) -> Result<Option<(Uid, Gid)>, ArchiveFault> {
        let base = match self.owner {
            Ownership::Own => return Ok(None),
            Ownership::Mapped(base) => base,
            Ownership::Noted => 0,
        };
        let shift = |id: u64| {
            let id = u32::try_from(id).ok().filter(|id| u64::from(*id) < IDS)?;
            base.checked_add(id)
        };
        let (uid, gid) = shift(uid).zip(shift(gid)).ok_or(ArchiveFault::Form)?;
        Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid))))
    }
}

/// Reads a plain file of an unpacked image, links resolved inside it; `None` if it is not there.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::FileTooLarge`] above the bound.
pub fn read_in_root(root: &Path, path: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let top = open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let file = match resolve(top.as_fd(), path, OFlags::NONBLOCK) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max);
    if fits { Ok(Some(bytes)) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}

fn resolve(top: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(top, path, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), how)
}

fn open_folder(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    openat(parent, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// What stands under a name, no link followed.
fn kind(parent: &impl std::os::fd::AsFd, name: &str) -> Result<Option<FileType>, Errno> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(about) => Ok(Some(FileType::from_raw_mode(about.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn names(folder: BorrowedFd<'_>) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_str().map_err(|_| ArchiveFault::Path)?.to_owned();
        if !matches!(name.as_str(), "." | "..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes what stands under a name, if anything does; folders with all that is in them. No deeper than paths may be.
fn remove(parent: BorrowedFd<'_>, name: &str) -> Result<(), Fault> {
    match kind(&parent, name)? {
        None => Ok(()),
        Some(FileType::Directory) => {
            let folder = open_folder(parent, name)?;
            for below in names(folder.as_fd())? {
                remove(folder.as_fd(), &below)?;
            }
            Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
        }
        Some(_) => Ok(unlinkat(parent, name, AtFlags::empty())?),
    }
}
