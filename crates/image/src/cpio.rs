//! The initramfs: a cpio archive in the kernel's `newc` form (Linux, `Documentation/driver-api/early-userspace`), the same
//! bytes for the same files. Times, owners and inode numbers say nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    error::ImageError,
    tree::{Node, Tree},
};

/// Largest file: the format has 32 bits.
const FILE_BYTES_MAX: u64 = u32::MAX as u64;

/// The archive of a tree.
///
/// # Errors
/// [`ImageError::TooLarge`].
pub fn cpio(tree: &Tree) -> Result<Vec<u8>, ImageError> {
    let mut archive = Vec::new();
    let nodes: &BTreeMap<String, Node> = tree.nodes();
    for (index, (path, node)) in nodes.iter().enumerate() {
        let (mode, data): (u32, &[u8]) = match node {
            Node::Folder => (0o040_755, &[]),
            Node::File { data, executable } => (if *executable { 0o100_755 } else { 0o100_644 }, data),
        };
        // Number 0 is left out: the kernel takes files with one number for links of each other.
        entry(&mut archive, path, index + 1, mode, data)?;
    }
    entry(&mut archive, "TRAILER!!!", 0, 0, &[])?;
    Ok(archive)
}

fn entry(archive: &mut Vec<u8>, path: &str, number: usize, mode: u32, data: &[u8]) -> Result<(), ImageError> {
    if data.len() as u64 > FILE_BYTES_MAX {
        return Err(ImageError::TooLarge { what: "bytes in a file", limit: FILE_BYTES_MAX });
    }
    let links = if mode & 0o040_000 == 0 { 1 } else { 2 };
    archive.extend(b"070701");
    // Number, mode, owner, group, links, time, length, four numbers of devices, length of the name with its zero, check.
    let numbers = [number, mode as usize, 0, 0, links, 0, data.len(), 0, 0, 0, 0, path.len() + 1, 0];
    for value in numbers {
        archive.extend(format!("{value:08x}").bytes());
    }
    archive.extend(path.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(data);
    archive.resize(archive.len().next_multiple_of(4), 0);
    Ok(())
}
