//! The files of an image: a tree without times, owners or links, in one order.

use std::collections::BTreeMap;

use crate::error::ImageError;

/// Most files and folders.
const NODES_MAX: u64 = 65_536;
/// Longest name of one part, in bytes.
const NAME_MAX: usize = 255;
/// Longest path, in bytes.
const PATH_MAX: usize = 1024;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Its bytes.
        data: Vec<u8>,
        /// Whether it may be run.
        executable: bool,
    },
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
        self.put(path, Node::File { data, executable })
    }

    /// Adds a folder, and those above it; one that is there stays.
    ///
    /// # Errors
    /// [`ImageError::Path`], [`ImageError::TooLarge`].
    pub fn folder(&mut self, path: &str) -> Result<(), ImageError> {
        if self.0.get(path) == Some(&Node::Folder) {
            return Ok(());
        }
        self.put(path, Node::Folder)
    }

    /// Adds a file or folder as another tree has it.
    ///
    /// # Errors
    /// [`ImageError::Path`], [`ImageError::TooLarge`].
    pub(crate) fn add(&mut self, path: &str, node: Node) -> Result<(), ImageError> {
        match node {
            Node::Folder => self.folder(path),
            file @ Node::File { .. } => self.put(path, file),
        }
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
