//! The state disk of a VM (`spec/vm-image.md` §10): where things stand on it, and the two devices that the kernel makes of it.
//! Everything that steers them is fixed here, and measured with the image; nothing of it is read from the disk.
//!
//! `integrity` keeps a tag beside each sector and is trusted with nothing; `crypt` above it encrypts each sector and knows by the
//! tag whether it is what was written there.

#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::error::MeasureFault;

/// Bytes at the disk's beginning for its header, which the agent writes.
pub const STATE_HEADER_BYTES: u64 = 1 << 20;
/// Bytes of a disk's key: AES-256 in XTS twice 32, HMAC-SHA-256 32.
pub const STATE_KEY_BYTES: usize = 96;
/// What of a disk is the agent's alone, in MiB: receipts, records, the newest header.
pub const STATE_AGENT_MIB: u64 = 16;
/// Largest disk, in MiB.
const MIB_MAX: u64 = 1024 * 1024;
/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Bytes that are encrypted at once.
const UNIT: u64 = 4096;
/// Bytes beside each unit: a random start value and HMAC-SHA-256.
const TAG: u64 = 16 + 32;
/// Sectors of the journal of `integrity`, without which a unit and its tag could part when the machine stops.
const JOURNAL_SECTORS: u64 = 8192;
/// Room for superblock, journal and rounding, in bytes.
const ROOM: u64 = 16 << 20;
/// Units to one unit of tags, rounded down: 4,096 / 48 = 85.
const UNITS_PER_TAGS: u64 = 64;

/// Whether `integrity` writes through its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagJournal {
    /// Units and tags go together or not at all.
    Kept,
    /// For the first writing of a whole disk, which counts only when it came to its end.
    Left,
}

/// A state disk by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLayout {
    mib: u64,
}

impl StateLayout {
    /// A disk on which a file system of `mib` MiB has room.
    ///
    /// # Errors
    /// [`MeasureFault::StateSize`]: it is smaller than the agent's part or larger than 1 TiB.
    pub const fn new(mib: u64) -> Result<Self, MeasureFault> {
        if STATE_AGENT_MIB <= mib && mib <= MIB_MAX { Ok(Self { mib }) } else { Err(MeasureFault::StateSize) }
    }

    /// Size of the file system, in MiB.
    pub const fn mib(self) -> u64 {
        self.mib
    }

    /// Size of the file system, in sectors.
    pub const fn sectors(self) -> u64 {
        (self.mib << 20) / SECTOR
    }

    /// What the disk must hold, in bytes: header, file system, a tag for each unit, journal.
    pub const fn disk_bytes(self) -> u64 {
        let files = self.mib << 20;
        STATE_HEADER_BYTES + files + (files / UNITS_PER_TAGS).next_multiple_of(UNIT) + ROOM
    }

    /// Parameters of the target `integrity` over `device` (`/dev/…`).
    pub fn integrity(self, device: &str, journal: TagJournal) -> String {
        let mode = match journal {
            TagJournal::Kept => 'J',
            TagJournal::Left => 'D',
        };
        let header = STATE_HEADER_BYTES / SECTOR;
        format!("{device} {header} {TAG} {mode} 2 block_size:{UNIT} journal_sectors:{JOURNAL_SECTORS}")
    }

    /// Parameters of the target `crypt` over that of `integrity`.
    pub fn crypt(self, device: &str, key: &[u8; STATE_KEY_BYTES]) -> Zeroizing<String> {
        let key = Zeroizing::new(hex::encode(key));
        Zeroizing::new(format!(
            "capi:authenc(hmac(sha256),xts(aes))-random {} 0 {device} 0 2 integrity:{TAG}:aead sector_size:{UNIT}",
            *key
        ))
    }
}
