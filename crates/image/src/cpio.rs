//! The initramfs: a cpio archive in the kernel's `newc` form (Linux, `Documentation/driver-api/early-userspace`), the same
//! bytes for the same files. Times, owners and inode numbers say nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    error::ImageError,
    tree::{Node, NodeKind, Tree},
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
        // Number 0 is left out: the kernel takes files with one number for links of each other.
        entry(&mut archive, (path.as_str(), index + 1), node)?;
    }
    let end = Node { kind: NodeKind::File(Vec::new()), mode: 0, uid: 0, gid: 0 };
    write(&mut archive, ("TRAILER!!!", 0), 0, &end)?;
    Ok(archive)
}

fn entry(archive: &mut Vec<u8>, at: (&str, usize), node: &Node) -> Result<(), ImageError> {
    write(archive, at, node.st_mode(), node)
}

fn write(archive: &mut Vec<u8>, (path, number): (&str, usize), mode: u16, node: &Node) -> Result<(), ImageError> {
    let data = node.data();
    if data.len() as u64 > FILE_BYTES_MAX {
        return Err(ImageError::TooLarge { what: "bytes in a file", limit: FILE_BYTES_MAX });
    }
    let links = if node.kind == NodeKind::Folder { 2 } else { 1 };
    archive.extend(b"070701");
    // Number, mode, owner, group, links, time, length, four numbers of devices, length of the name with its zero, check.
    let (uid, gid) = (node.uid as usize, node.gid as usize);
    let numbers = [number, mode.into(), uid, gid, links, 0, data.len(), 0, 0, 0, 0, path.len() + 1, 0];
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
