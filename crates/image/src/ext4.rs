//! An empty ext4 for a state disk (Linux, `Documentation/filesystems/ext4`), written here, so that no tool need be in the VM's
//! image: with a journal, without checksums, which the encryption below it makes superfluous.
//!
//! Only the blocks that are not zero are given: whoever writes them has written zeros to all others. Not here: growing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::error::MeasureFault;

/// Bytes of a block.
pub const EXT4_BLOCK: usize = 4096;
/// Blocks of a group: what one block of bits covers.
const GROUP: u64 = 8 * EXT4_BLOCK as u64;
/// Inodes of a group, and bytes of one: one for each 64 KiB of a whole group.
const INODES: u64 = 2048;
const INODE: usize = 256;
/// Blocks of a group's inodes.
const INODE_BLOCKS: u64 = INODES * INODE as u64 / EXT4_BLOCK as u64;
/// Blocks of the journal: the fewest that the kernel takes.
const JOURNAL_BLOCKS: u64 = 1024;
/// Bytes of a group's description.
const DESCRIPTION: u64 = 32;
/// Inodes with a number of their own.
const ROOT: u64 = 2;
const JOURNAL: u64 = 8;
const LOST_AND_FOUND: u64 = 11;
/// Smallest and largest file system, in MiB: journal and inodes leave half of the smallest.
const MIB: std::ops::RangeInclusive<u64> = 12..=1024 * 1024;
/// `has_journal`, `ext_attr`, `dir_index`, `sparse_super2`: no copies of the superblock.
const COMPATIBLE: u32 = 0x4 | 0x8 | 0x20 | 0x200;
/// `filetype`, `extents`.
const INCOMPATIBLE: u32 = 0x2 | 0x40;
/// `large_file`, `dir_nlink`, `extra_isize`.
const READ_ONLY_COMPATIBLE: u32 = 0x2 | 0x20 | 0x40;
/// `EXT4_EXTENTS_FL`.
const BY_EXTENTS: u32 = 0x8_0000;
/// Folder, and file of the system's.
const FOLDER_MODE: u16 = 0o040_755;
const FILE_MODE: u16 = 0o100_600;

/// An empty file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ext4 {
    /// How many blocks it has.
    pub blocks: u64,
    /// Those that are not zero, by number.
    pub written: BTreeMap<u64, Vec<u8>>,
}

/// Sizes of a file system under way.
struct Plan {
    blocks: u64,
    groups: u64,
    /// Blocks of the descriptions.
    descriptions: u64,
    /// Kept for root, in blocks.
    kept: u64,
    id: [u8; 16],
}

/// An empty file system of `mib` MiB, of which only root fills the last `kept_mib`. `id` is its UUID.
///
/// # Errors
/// [`MeasureFault::StateSize`]: it is smaller than 12 MiB, larger than 1 TiB, or all kept.
pub fn ext4(mib: u64, kept_mib: u64, id: [u8; 16]) -> Result<Ext4, MeasureFault> {
    if !MIB.contains(&mib) || kept_mib >= mib {
        return Err(MeasureFault::StateSize);
    }
    let per_mib = (1 << 20) / EXT4_BLOCK as u64;
    let mut plan = Plan { blocks: mib * per_mib, groups: 0, descriptions: 0, kept: kept_mib * per_mib, id };
    // A last group without room for anything but its own books is left out.
    if plan.blocks > GROUP && (1..2 * (2 + INODE_BLOCKS)).contains(&(plan.blocks % GROUP)) {
        plan.blocks -= plan.blocks % GROUP;
    }
    plan.groups = plan.blocks.div_ceil(GROUP);
    plan.descriptions = (plan.groups * DESCRIPTION).div_ceil(EXT4_BLOCK as u64);
    Ok(plan.write())
}

impl Plan {
    /// First block of a group's books: its bits of blocks, then those of inodes, then its inodes.
    const fn books(&self, group: u64) -> u64 {
        group * GROUP + if group == 0 { 1 + self.descriptions } else { 0 }
    }

    /// Blocks that a group has.
    fn size(&self, group: u64) -> u64 {
        GROUP.min(self.blocks - group * GROUP)
    }

    /// Where the two folders and the journal lie, behind the books of the first group.
    const fn contents(&self) -> [u64; 3] {
        let first = self.books(0) + 2 + INODE_BLOCKS;
        [first, first + 1, first + 2]
    }

    /// Blocks of a group that are taken.
    fn taken(&self, group: u64) -> u64 {
        let books = self.books(group) - group * GROUP + 2 + INODE_BLOCKS;
        if group == 0 { books + 2 + JOURNAL_BLOCKS } else { books }
    }

    fn write(&self) -> Ext4 {
        let mut written = BTreeMap::new();
        let mut free = 0;
        let mut descriptions = vec![0; (self.descriptions as usize) * EXT4_BLOCK];
        for group in 0..self.groups {
            let free_here = self.size(group) - self.taken(group);
            free += free_here;
            let used_inodes = if group == 0 { LOST_AND_FOUND } else { 0 };
            let at = (group * DESCRIPTION) as usize;
            let entry = &mut descriptions[at..at + DESCRIPTION as usize];
            for index in 0..3 {
                put32(entry, 4 * index, self.books(group) + index as u64);
            }
            put16(entry, 12, free_here);
            put16(entry, 14, INODES - used_inodes);
            put16(entry, 16, if group == 0 { 2 } else { 0 });
            written.insert(self.books(group), bits(self.taken(group), self.size(group)));
            written.insert(self.books(group) + 1, bits(used_inodes, INODES));
        }
        for (index, piece) in descriptions.chunks(EXT4_BLOCK).enumerate() {
            written.insert(1 + index as u64, piece.to_vec());
        }
        let mut first = vec![0; EXT4_BLOCK];
        self.superblock(free, &mut first[1024..2048]);
        written.insert(0, first);
        let [root, lost, journal] = self.contents();
        self.inodes(&mut written);
        let sub = ("lost+found", LOST_AND_FOUND);
        written.insert(root, folder(&[(".", ROOT), ("..", ROOT), sub]));
        written.insert(lost, folder(&[(".", LOST_AND_FOUND), ("..", ROOT)]));
        written.insert(journal, self.journal());
        Ext4 { blocks: self.blocks, written }
    }

    fn superblock(&self, free: u64, block: &mut [u8]) {
        let kept = self.kept.min(free);
        let words = [
            (0, self.groups * INODES),
            (4, self.blocks),
            (8, kept),
            (12, free),
            (16, self.groups * INODES - LOST_AND_FOUND),
            (24, 2), // blocks and clusters of 1 KiB << 2
            (28, 2),
            (32, GROUP),
            (36, GROUP),
            (40, INODES),
            (76, 1), // revision
            (84, LOST_AND_FOUND),
            (92, COMPATIBLE.into()),
            (96, INCOMPATIBLE.into()),
            (100, READ_ONLY_COMPATIBLE.into()),
            (224, JOURNAL),
            (352, 1), // hashes of names take bytes as signed
        ];
        for (at, value) in words {
            put32(block, at, value);
        }
        // Not counted mounts, magic, clean; after an error it is read-only.
        let halves = [(54, 0xffff), (56, 0xef53), (58, 1), (60, 2), (88, INODE as u64), (348, 32), (350, 32)];
        for (at, value) in halves {
            put16(block, at, value);
        }
        block[104..120].copy_from_slice(&self.id);
        block[236..252].copy_from_slice(&self.id);
        block[252] = 1;
    }

    fn inodes(&self, written: &mut BTreeMap<u64, Vec<u8>>) {
        let [root, lost, journal] = self.contents();
        let all = [
            (ROOT, FOLDER_MODE, 3, root, 1),
            (LOST_AND_FOUND, FOLDER_MODE, 2, lost, 1),
            (JOURNAL, FILE_MODE, 1, journal, JOURNAL_BLOCKS),
        ];
        let mut block = vec![0; EXT4_BLOCK];
        for (number, mode, links, first, count) in all {
            let at = (number as usize - 1) * INODE;
            let inode = &mut block[at..at + INODE];
            put16(inode, 0, mode.into());
            put32(inode, 4, count * EXT4_BLOCK as u64);
            put16(inode, 26, links);
            put32(inode, 28, count * (EXT4_BLOCK / 512) as u64);
            put32(inode, 32, BY_EXTENTS.into());
            // One extent, in the inode itself: magic, entries, most entries.
            put16(inode, 40, 0xf30a);
            put16(inode, 42, 1);
            put16(inode, 44, 4);
            put16(inode, 56, count);
            put32(inode, 60, first);
            put16(inode, 128, 32);
        }
        written.insert(self.books(0) + 2, block);
    }

    /// The journal's own superblock (JBD2, big-endian): empty, begins at its block 1.
    fn journal(&self) -> Vec<u8> {
        let mut block = vec![0; EXT4_BLOCK];
        let words = [(0, 0xc03b_3998), (4, 4), (12, EXT4_BLOCK as u32), (16, JOURNAL_BLOCKS as u32), (20, 1), (24, 1)];
        for (at, value) in words.into_iter().chain([(64, 1)]) {
            block[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
        }
        block[48..64].copy_from_slice(&self.id);
        block
    }
}

/// A block of bits: the first are set, and those behind the last that counts.
fn bits(set: u64, counted: u64) -> Vec<u8> {
    let mut block = vec![0; EXT4_BLOCK];
    for bit in (0..set).chain(counted..GROUP) {
        block[(bit / 8) as usize] |= 1 << (bit % 8);
    }
    block
}

/// A folder's block: the last entry reaches to its end.
fn folder(entries: &[(&str, u64)]) -> Vec<u8> {
    let mut block = vec![0; EXT4_BLOCK];
    let mut at = 0;
    for (index, (name, inode)) in entries.iter().enumerate() {
        let length = if index + 1 == entries.len() { EXT4_BLOCK - at } else { (8 + name.len()).next_multiple_of(4) };
        put32(&mut block, at, *inode);
        put16(&mut block, at + 4, length as u64);
        block[at + 6] = name.len() as u8;
        block[at + 7] = 2;
        block[at + 8..at + 8 + name.len()].copy_from_slice(name.as_bytes());
        at += length;
    }
    block
}

fn put16(place: &mut [u8], at: usize, value: u64) {
    place[at..at + 2].copy_from_slice(&value.to_le_bytes()[..2]);
}

fn put32(place: &mut [u8], at: usize, value: u64) {
    place[at..at + 4].copy_from_slice(&value.to_le_bytes()[..4]);
}
