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

/// A table's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpCertificateTable<'a> {
    entries: Vec<([u8; 16], &'a [u8])>,
}

impl<'a> SnpCertificateTable<'a> {
    /// Reads a table. An empty one, or one of zeros, has no entries: the host provisioned nothing.
    ///
    /// # Errors
    /// [`Refusal::EvidenceTooLong`]; [`Refusal::EvidenceTruncated`] where an entry points beyond the table or nothing
    /// ends the list.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > SNP_TABLE_BYTES_MAX {
            return Err(Refusal::EvidenceTooLong);
        }
        let mut entries = Vec::new();
        if bytes.is_empty() {
            return Ok(Self { entries });
        }
        let (rows, _) = bytes.as_chunks::<ENTRY_BYTES>();
        for row in rows.iter().take(ENTRIES_MAX) {
            if row == &[0; ENTRY_BYTES] {
                return Ok(Self { entries });
            }
            let mut guid = [0; 16];
            guid.copy_from_slice(&row[..16]);
            let word = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]) as usize;
            let from = word(16);
            let value = from.checked_add(word(20)).and_then(|to| bytes.get(from..to));
            entries.push((guid, value.ok_or(Refusal::EvidenceTruncated)?));
        }
        Err(Refusal::EvidenceTruncated)
    }

    /// The certificate of the key that signs reports, DER.
    pub fn endorsement(&self, key: SnpSigningKey) -> Option<&'a [u8]> {
        let guid = match key {
            SnpSigningKey::Vcek => VCEK,
            SnpSigningKey::Vlek => VLEK,
        };
        self.entries.iter().find(|(entry, _)| *entry == guid).map(|(_, value)| *value)
    }
}
