//! dm-verity's format, version 1 over SHA-256 (Linux, `Documentation/admin-guide/device-mapper/verity.rst`; cryptsetup's
//! superblock): blocks of 4,096 bytes, a hash tree behind the data, one root.
//!
//! The salt is fixed and empty of secrets: it need only be the same for everybody, so that one image has one root.

#[cfg(test)]
mod tests;

use std::io::Write;

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::ImageError;

/// Bytes of a block, of data and of hashes alike.
pub const VERITY_BLOCK: usize = 4096;
/// Hashes in a block.
const FAN: usize = VERITY_BLOCK / 32;
/// Most blocks of data: 64 GiB.
const BLOCKS_MAX: u64 = 16 * 1024 * 1024;
/// The salt of every image.
const SALT: [u8; 32] = *b"freehold vm image, one salt, v1.";
/// The superblock's UUID.
const UUID: [u8; 16] = *b"freehold-verity1";

/// Root of a tree, and how many blocks it is over: both stand on the measured command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerityRoot {
    /// The root hash.
    pub hash: Digest,
    /// Blocks of data.
    pub data_blocks: u64,
}

impl VerityRoot {
    /// The parameters of the device-mapper target `verity` over one disk that holds data, superblock and tree: a changed
    /// block stops the machine.
    pub fn target(&self, disk: &str) -> String {
        let Self { hash, data_blocks } = self;
        let (block, tree, salt) = (VERITY_BLOCK, data_blocks + 1, hex::encode(SALT));
        format!("1 {disk} {disk} {block} {block} {data_blocks} {tree} sha256 {hash} {salt} 1 panic_on_corruption")
    }
}

/// Pads data to whole blocks, two at least (one would be its own root), and puts superblock and hash tree behind it.
///
/// # Errors
/// [`ImageError::TooLarge`].
pub fn verity_sealed(mut data: Vec<u8>) -> Result<(Vec<u8>, VerityRoot), ImageError> {
    data.resize(data.len().next_multiple_of(VERITY_BLOCK).max(2 * VERITY_BLOCK), 0);
    let data_blocks = (data.len() / VERITY_BLOCK) as u64;
    if data_blocks > BLOCKS_MAX {
        return Err(ImageError::TooLarge { what: "blocks of 4,096 bytes", limit: BLOCKS_MAX });
    }
    let mut levels = vec![level(&data)];
    while let Some(last) = levels.last().filter(|last| last.len() > VERITY_BLOCK) {
        levels.push(level(last));
    }
    let root = levels.last().map_or([0; 32], |top| hash(top));
    data.extend(superblock(data_blocks));
    // The root's level stands first.
    for level in levels.iter().rev() {
        data.extend(level);
    }
    Ok((data, VerityRoot { hash: Digest(root), data_blocks }))
}

/// The same, written on as it comes: of the data only the hashes are kept, a 128th of it.
pub(crate) struct Sealing<'a, W> {
    out: &'a mut W,
    hashes: Vec<u8>,
    blocks: u64,
}

impl<'a, W: Write> Sealing<'a, W> {
    /// Nothing yet.
    pub(crate) const fn new(out: &'a mut W) -> Self {
        Self { out, hashes: Vec::new(), blocks: 0 }
    }

    /// Puts bytes behind what was put, padded to whole blocks.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        for block in bytes.chunks(VERITY_BLOCK) {
            if self.blocks == BLOCKS_MAX {
                return Err(ImageError::TooLarge { what: "blocks of 4,096 bytes", limit: BLOCKS_MAX });
            }
            let mut whole = [0; VERITY_BLOCK];
            whole[..block.len()].copy_from_slice(block);
            self.out.write_all(&whole)?;
            self.hashes.extend(hash(&whole));
            self.blocks += 1;
        }
        Ok(())
    }

    /// Puts superblock and tree behind the data.
    pub(crate) fn finish(mut self) -> Result<VerityRoot, ImageError> {
        while self.blocks < 2 {
            self.put(&[0; VERITY_BLOCK])?;
        }
        self.hashes.resize(self.hashes.len().next_multiple_of(VERITY_BLOCK), 0);
        let mut levels = vec![self.hashes];
        while let Some(last) = levels.last().filter(|last| last.len() > VERITY_BLOCK) {
            levels.push(level(last));
        }
        let root = levels.last().map_or([0; 32], |top| hash(top));
        self.out.write_all(&superblock(self.blocks))?;
        for level in levels.iter().rev() {
            self.out.write_all(level)?;
        }
        Ok(VerityRoot { hash: Digest(root), data_blocks: self.blocks })
    }
}

/// The hashes of each block, in whole blocks.
fn level(blocks: &[u8]) -> Vec<u8> {
    let mut hashes: Vec<u8> = blocks.chunks(VERITY_BLOCK).flat_map(hash).collect();
    hashes.resize(hashes.len().next_multiple_of(FAN * 32), 0);
    hashes
}

fn hash(block: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(SALT).chain_update(block).finalize().into()
}

/// The superblock, in a block of its own.
fn superblock(data_blocks: u64) -> Vec<u8> {
    let mut block = vec![0; VERITY_BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"verity\0\0");
    put(8, &1_u32.to_le_bytes()); // version of the superblock
    put(12, &1_u32.to_le_bytes()); // version of the tree
    put(16, &UUID);
    put(32, b"sha256");
    put(64, &(VERITY_BLOCK as u32).to_le_bytes());
    put(68, &(VERITY_BLOCK as u32).to_le_bytes());
    put(72, &data_blocks.to_le_bytes());
    put(80, &(SALT.len() as u16).to_le_bytes());
    put(88, &SALT);
    block
}
