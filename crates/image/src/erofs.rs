//! The file system of the app's files: EROFS without compression (Linux, `Documentation/filesystems/erofs.rst`), written
//! here, so that the same files give the same bytes whatever tools a machine has.
//!
//! Blocks of 4,096 bytes: superblock and inodes first, then folders, files and links, each from a block of its own; files with the same
//! bytes share theirs. Everything is dated 1970.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    error::ImageError,
    tree::{Node, NodeKind, Tree},
};

/// Bytes of a block.
const BLOCK: usize = 4096;
/// Where the superblock stands, and its length.
const SUPERBLOCK: usize = 1024;
const SUPERBLOCK_BYTES: usize = 128;
/// Bytes of an inode, in its long form, and of a slot that inode numbers count.
const INODE: usize = 64;
const SLOT: usize = 32;
/// Bytes of a folder's entry, before its name.
const ENTRY: usize = 12;
/// The file system's UUID.
const UUID: [u8; 16] = *b"freehold-erofs-1";
/// Kinds of files in folders.
const IS_FILE: u8 = 1;
const IS_FOLDER: u8 = 2;
const IS_LINK: u8 = 7;

/// The image of one folder with files of these lengths, up to where the first file begins. The files follow in the order of their
/// names, each padded to whole blocks.
///
/// # Errors
/// [`ImageError::TooLarge`].
pub(crate) fn erofs_head(files: &BTreeMap<String, u64>) -> Result<Vec<u8>, ImageError> {
    let numbered = files.keys().zip(1..).map(|(name, at)| (name.as_str(), (number(at), IS_FILE)));
    let folders = [".", ".."].map(|name| (name, (number(0), IS_FOLDER)));
    let names = blocks_of(&folders.into_iter().chain(numbered).collect());
    let folder = About { mode: 0o040_755, owner: (0, 0), links: 2, bytes: names.len() as u64 };
    let file = |bytes: &u64| About { mode: 0o100_644, owner: (0, 0), links: 1, bytes: *bytes };
    let mut image = vec![0; (SUPERBLOCK + SUPERBLOCK_BYTES + (files.len() + 1) * INODE).next_multiple_of(BLOCK)];
    let mut block = (image.len() / BLOCK) as u64;
    for (index, about) in std::iter::once(folder).chain(files.values().map(file)).enumerate() {
        let first = u32::try_from(block).map_err(|_| TOO_MANY)?;
        let at = SUPERBLOCK + SUPERBLOCK_BYTES + index * INODE;
        image[at..at + INODE].copy_from_slice(&about.written(index as u32 + 1, first));
        block = block.saturating_add(about.bytes.div_ceil(BLOCK as u64));
    }
    let blocks = u32::try_from(block).map_err(|_| TOO_MANY)?;
    image[SUPERBLOCK..SUPERBLOCK + SUPERBLOCK_BYTES].copy_from_slice(&superblock(files.len() as u64 + 1, blocks));
    image.extend_from_slice(&names);
    image.resize(image.len().next_multiple_of(BLOCK), 0);
    Ok(image)
}

/// Why a file system is not made whose blocks have no numbers.
const TOO_MANY: ImageError = ImageError::TooLarge { what: "blocks of 4,096 bytes", limit: u32::MAX as u64 };

/// What an inode says of its file.
#[derive(Clone, Copy)]
struct About {
    mode: u16,
    owner: (u32, u32),
    links: u32,
    bytes: u64,
}

impl About {
    /// The inode in its long form, its data whole in blocks.
    fn written(self, serial: u32, block: u32) -> [u8; INODE] {
        let mut bytes = [0; INODE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &1_u16.to_le_bytes()); // long form, plain layout
        put(4, &self.mode.to_le_bytes());
        put(8, &self.bytes.to_le_bytes());
        put(16, &block.to_le_bytes());
        put(20, &serial.to_le_bytes());
        put(24, &self.owner.0.to_le_bytes());
        put(28, &self.owner.1.to_le_bytes());
        put(44, &self.links.to_le_bytes());
        bytes
    }
}

/// One inode and its bytes.
struct Inode<'a> {
    about: About,
    data: std::borrow::Cow<'a, [u8]>,
}

/// The image of a tree.
///
/// # Errors
/// [`ImageError::TooLarge`].
pub fn erofs(tree: &Tree) -> Result<Vec<u8>, ImageError> {
    let nodes = tree.nodes();
    // The root first, whose number must be small; then everything in its order.
    let numbers: BTreeMap<&str, u64> = std::iter::once("")
        .chain(nodes.keys().map(String::as_str))
        .zip(0..)
        .map(|(path, at)| (path, number(at)))
        .collect();
    let top = Node { kind: NodeKind::Folder, mode: 0o755, uid: 0, gid: 0 };
    let mut inodes = vec![inode(("", &top), nodes, &numbers)];
    inodes.extend(nodes.iter().map(|(path, node)| inode((path.as_str(), node), nodes, &numbers)));
    let mut shared: BTreeMap<&[u8], u32> = BTreeMap::new();
    let mut image = vec![0; (SUPERBLOCK + SUPERBLOCK_BYTES + inodes.len() * INODE).next_multiple_of(BLOCK)];
    for (index, inode) in inodes.iter().enumerate() {
        let next = u32::try_from(image.len() / BLOCK).map_err(|_| TOO_MANY)?;
        let block = *shared.entry(&inode.data).or_insert(next);
        let at = SUPERBLOCK + SUPERBLOCK_BYTES + index * INODE;
        image[at..at + INODE].copy_from_slice(&inode.about.written(index as u32 + 1, block));
        if block == next {
            image.extend_from_slice(&inode.data);
            image.resize(image.len().next_multiple_of(BLOCK), 0);
        }
    }
    let blocks = (image.len() / BLOCK) as u32;
    image[SUPERBLOCK..SUPERBLOCK + SUPERBLOCK_BYTES].copy_from_slice(&superblock(inodes.len() as u64, blocks));
    Ok(image)
}

/// Number of the inode at a place.
const fn number(index: u64) -> u64 {
    ((SUPERBLOCK + SUPERBLOCK_BYTES) as u64 + index * INODE as u64) / SLOT as u64
}

/// What is written of a node.
fn inode<'a>(
    (path, node): (&str, &'a Node),
    nodes: &BTreeMap<String, Node>,
    numbers: &BTreeMap<&str, u64>,
) -> Inode<'a> {
    let (links, data) = match node.kind {
        NodeKind::Folder => {
            let (links, data) = folder(path, nodes, numbers);
            (links, data.into())
        }
        _ => (1, node.data().into()),
    };
    let data: std::borrow::Cow<'_, [u8]> = data;
    let about = About { mode: node.st_mode(), owner: (node.uid, node.gid), links, bytes: data.len() as u64 };
    Inode { about, data }
}

/// A folder's links and its entries.
fn folder(path: &str, nodes: &BTreeMap<String, Node>, numbers: &BTreeMap<&str, u64>) -> (u32, Vec<u8>) {
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    let mut entries = BTreeMap::from([(".", (numbers[path], IS_FOLDER)), ("..", (numbers[above], IS_FOLDER))]);
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    for (below, node) in nodes.range(prefix.clone()..) {
        let Some(name) = below.strip_prefix(&prefix) else { break };
        if !name.is_empty() && !name.contains('/') {
            let kind = match node.kind {
                NodeKind::Folder => IS_FOLDER,
                NodeKind::File(_) => IS_FILE,
                NodeKind::Symlink(_) => IS_LINK,
            };
            entries.insert(name, (numbers[below.as_str()], kind));
        }
    }
    let folders = entries.values().filter(|(_, kind)| *kind == IS_FOLDER).count();
    (folders as u32, blocks_of(&entries))
}

/// A folder's blocks: each holds whole entries, the names behind them. Names are in the order of their bytes.
fn blocks_of(entries: &BTreeMap<&str, (u64, u8)>) -> Vec<u8> {
    let (mut bytes, mut group, mut length) = (Vec::new(), Vec::new(), 0);
    for (name, (number, kind)) in entries {
        if length + ENTRY + name.len() > BLOCK {
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            bytes.extend(block_of(&group));
            (group, length) = (Vec::new(), 0);
        }
        length += ENTRY + name.len();
        group.push((*name, *number, *kind));
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.extend(block_of(&group));
    bytes
}

fn block_of(group: &[(&str, u64, u8)]) -> Vec<u8> {
    let mut block = Vec::new();
    let mut name_at = group.len() * ENTRY;
    for (name, number, kind) in group {
        block.extend(number.to_le_bytes());
        block.extend((name_at as u16).to_le_bytes());
        block.extend([*kind, 0]);
        name_at += name.len();
    }
    block.extend(group.iter().flat_map(|(name, ..)| name.bytes()));
    block
}

fn superblock(inodes: u64, blocks: u32) -> [u8; SUPERBLOCK_BYTES] {
    let mut bytes = [0; SUPERBLOCK_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &0xe0f5_e1e2_u32.to_le_bytes());
    put(12, &[12]); // log2 of the block
    put(14, &(number(0) as u16).to_le_bytes());
    put(16, &inodes.to_le_bytes());
    put(36, &blocks.to_le_bytes());
    put(48, &UUID);
    bytes
}
