//! The files of an image: a tree without times, in one order. Most are root's, with the rights 755 and 644; those of an unpacked
//! container have what their own image says.

use std::collections::BTreeMap;

use crate::error::ImageError;

/// Most files and folders.
const NODES_MAX: u64 = 262_144;
/// Longest name of one part, in bytes.
const NAME_MAX: usize = 255;
/// Longest path, in bytes.
const PATH_MAX: usize = 4096;
/// Rights of folders, of files, and of files that may be run.
const FOLDER_MODE: u16 = 0o755;
const FILE_MODE: u16 = 0o644;
const PROGRAM_MODE: u16 = 0o755;
/// Rights that a file may have: no setuid, no setgid.
const MODE_MAX: u16 = 0o1777;
/// Longest target of a link, in bytes.
const TARGET_MAX: usize = 4095;

/// A file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its rights.
    pub mode: u16,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A file, with its bytes.
    File(Vec<u8>),
    /// A link to a path.
    Symlink(String),
}

impl Node {
    const fn of_root(kind: NodeKind, mode: u16) -> Self {
        Self { kind, mode, uid: 0, gid: 0 }
    }

    const fn folder() -> Self {
        Self::of_root(NodeKind::Folder, FOLDER_MODE)
    }

    /// Its rights and what it is, as `st_mode` has them (Linux, inode(7)).
    pub(crate) const fn st_mode(&self) -> u16 {
        self.mode
            | match self.kind {
                NodeKind::Folder => 0o040_000,
                NodeKind::File(_) => 0o100_000,
                NodeKind::Symlink(_) => 0o120_000,
            }
    }

    /// Its bytes, but for a folder.
    pub(crate) const fn data(&self) -> &[u8] {
        match &self.kind {
            NodeKind::Folder => &[],
            NodeKind::File(data) => data.as_slice(),
            NodeKind::Symlink(target) => target.as_bytes(),
        }
    }
}

/// A tree of files, by path: relative, parts joined by `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, and the folders above it.
    ///
    /// # Errors
    /// [`ImageError::Path`], [`ImageError::TooLarge`].
    pub fn file(&mut self, path: &str, data: Vec<u8>, executable: bool) -> Result<(), ImageError> {
        self.put(path, Node::of_root(NodeKind::File(data), if executable { PROGRAM_MODE } else { FILE_MODE }))
    }

    /// Adds a folder, and those above it; one that is there stays.
    ///
    /// # Errors
    /// [`ImageError::Path`], [`ImageError::TooLarge`].
    pub fn folder(&mut self, path: &str) -> Result<(), ImageError> {
        if self.0.get(path).is_some_and(|node| node.kind == NodeKind::Folder) {
            return Ok(());
        }
        self.put(path, Node::folder())
    }

    /// Adds a node with rights and owner of its own, and the folders above it; a plain folder that is there stays.
    ///
    /// # Errors
    /// [`ImageError::Path`]: of the path, the rights, or a link's target; [`ImageError::TooLarge`].
    pub fn add(&mut self, path: &str, node: Node) -> Result<(), ImageError> {
        let is_sound = match &node.kind {
            NodeKind::Symlink(target) => {
                !target.is_empty() && target.len() <= TARGET_MAX && !target.contains('\0') && node.mode <= MODE_MAX
            }
            _ => node.mode <= MODE_MAX,
        };
        if !is_sound {
            return Err(ImageError::Path(path.to_owned()));
        }
        if node == Node::folder() { self.folder(path) } else { self.put(path, node) }
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), ImageError> {
        let refused = || ImageError::Path(path.to_owned());
        let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= NAME_MAX && !part.contains('\0');
        if path.len() > PATH_MAX || !path.split('/').all(plain) || self.0.contains_key(path) {
            return Err(refused());
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above)?;
        }
        if self.0.len() as u64 >= NODES_MAX {
            return Err(ImageError::TooLarge { what: "files and folders", limit: NODES_MAX });
        }
        self.0.insert(path.to_owned(), node);
        Ok(())
    }

    /// What it holds, by path; folders stand before what is in them.
    pub(crate) const fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.0
    }

    /// What it holds, by path.
    pub(crate) fn into_nodes(self) -> BTreeMap<String, Node> {
        self.0
    }
}
