//! The certificate table that a host hands its guest beside a report (AMD 56421, extended guest request): what Linux
//! gives as `auxblob`.
//!
//! It comes from the host and vouches for nothing; the certificates in it are verified like any others.

use freehold_primitives::SnpSigningKey;

use crate::refusal::Refusal;

/// Longest table, in bytes.
pub const SNP_TABLE_BYTES_MAX: usize = 64 * 1024;
/// GUID, offset, length.
const ENTRY_BYTES: usize = 24;
/// Longest list of entries.
const ENTRIES_MAX: usize = 16;

/// `63da758d-e664-4564-adc5-f4b93be8accd`, in the order of RFC 4122.
const VCEK: [u8; 16] = [0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd];
/// `a8074bc2-a25a-483e-aae6-39c045a0b8a1`.
const VLEK: [u8; 16] = [0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1];

/// Whether an entry has this name. Public tools write a GUID's first three fields in either byte order, and no GUID here is
/// another's mirror.
fn is_named(entry: &[u8; 16], guid: &[u8; 16]) -> bool {
    let mut mirrored = *guid;
    mirrored[..4].reverse();
    mirrored[4..6].reverse();
    mirrored[6..8].reverse();
    entry == guid || *entry == mirrored
}

/// A table's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpCertificateTable<'a> {
    entries: Vec<([u8; 16], &'a [u8])>,
}

impl<'a> SnpCertificateTable<'a> {
    /// Reads a table. An empty one, or one of zeros, has no entries: the host provisioned nothing.
    ///
    /// # Errors
    /// [`Refusal::EvidenceTooLong`]; [`Refusal::EvidenceTruncated`] where an entry points beyond the table or into its
    /// list, or nothing ends the list; [`Refusal::SnpEndorsement`] where two entries overlap or have one name.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > SNP_TABLE_BYTES_MAX {
            return Err(Refusal::EvidenceTooLong);
        }
        let mut entries: Vec<([u8; 16], &[u8])> = Vec::new();
        if bytes.is_empty() {
            return Ok(Self { entries });
        }
        let mut used: Vec<(usize, usize)> = Vec::new();
        let (rows, _) = bytes.as_chunks::<ENTRY_BYTES>();
        for row in rows.iter().take(ENTRIES_MAX) {
            if row == &[0; ENTRY_BYTES] {
                let head = (entries.len() + 1) * ENTRY_BYTES;
                let is_in_head = used.iter().any(|(from, _)| *from < head);
                return if is_in_head { Err(Refusal::EvidenceTruncated) } else { Ok(Self { entries }) };
            }
            let mut guid = [0; 16];
            guid.copy_from_slice(&row[..16]);
            let word = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]) as usize;
            let from = word(16);
            let to = from.checked_add(word(20)).ok_or(Refusal::EvidenceTruncated)?;
            let value = bytes.get(from..to).ok_or(Refusal::EvidenceTruncated)?;
            let overlaps = used.iter().any(|(other_from, other_to)| from < *other_to && *other_from < to);
            if overlaps || entries.iter().any(|(known, _)| is_named(known, &guid)) {
                return Err(Refusal::SnpEndorsement);
            }
            used.push((from, to));
            entries.push((guid, value));
        }
        Err(Refusal::EvidenceTruncated)
    }

    /// The certificate of the key that signs reports, DER.
    pub fn endorsement(&self, key: SnpSigningKey) -> Option<&'a [u8]> {
        let guid = match key {
            SnpSigningKey::Vcek => VCEK,
            SnpSigningKey::Vlek => VLEK,
        };
        self.entries.iter().find(|(entry, _)| is_named(entry, &guid)).map(|(_, value)| *value)
    }
}
