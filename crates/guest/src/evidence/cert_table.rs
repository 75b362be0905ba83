//! The certificate table beside an SNP report (GHCB specification 2.03 §4.1.8.1): entries of GUID, offset and length,
//! then an entry of zeros, then the certificates.
//!
//! The host writes it and nothing signs it, so it is read strictly and believed for nothing: whether a certificate is
//! genuine is the verifier's to say. Public tools write a GUID's first three fields in either byte order; both are
//! read, since no GUID here is another's mirror.

use thiserror::Error;

/// Bytes of one entry.
const ENTRY_BYTES: usize = 24;
/// Most entries of a table.
const ENTRIES_MAX: usize = 16;
/// Longest certificate, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 4096;

/// 63da758d-e664-4564-adc5-f4b93be8accd
const VCEK: [u8; 16] = guid(0x63da_758d, 0xe664, 0x4564, 0xadc5_f4b9_3be8_accd);
/// a8074bc2-a25a-483e-aae6-39c045a0b8a1
const VLEK: [u8; 16] = guid(0xa807_4bc2, 0xa25a, 0x483e, 0xaae6_39c0_45a0_b8a1);
/// 4ab7b379-bbac-4fe4-a02f-05aef327c782
const ASK: [u8; 16] = guid(0x4ab7_b379, 0xbbac, 0x4fe4, 0xa02f_05ae_f327_c782);
/// c0b406a4-a803-4952-9743-3fb6014cd0ae
const ARK: [u8; 16] = guid(0xc0b4_06a4, 0xa803, 0x4952, 0x9743_3fb6_014c_d0ae);

const fn guid(first: u32, second: u16, third: u16, rest: u64) -> [u8; 16] {
    let value = (first as u128) << 96 | (second as u128) << 80 | (third as u128) << 64 | rest as u128;
    value.to_be_bytes()
}

/// The same GUID with its first three fields in the other byte order.
fn mirrored(guid: [u8; 16]) -> [u8; 16] {
    let mut other = guid;
    other[..4].reverse();
    other[4..6].reverse();
    other[6..8].reverse();
    other
}

/// Why a table is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertTableError {
    /// It has no closing entry of zeros, or too many entries.
    #[error("the certificate table beside the report does not end")]
    Endless,
    /// An entry points outside the table, into its head, or at nothing.
    #[error("an entry of the certificate table beside the report points outside of it")]
    Range,
    /// Two entries share bytes.
    #[error("two certificates of the table beside the report overlap")]
    Overlap,
    /// A kind of certificate stands twice.
    #[error("a certificate stands twice in the table beside the report")]
    Repeated,
    /// A certificate is not one DER structure of its entry's length.
    #[error("a certificate of the table beside the report is not DER")]
    NotDer,
}

/// The certificates that a host put beside a report, DER; none of them is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertTable {
    vcek: Option<Vec<u8>>,
    vlek: Option<Vec<u8>>,
    ask: Option<Vec<u8>>,
    ark: Option<Vec<u8>>,
}

impl CertTable {
    /// Reads a table. Nothing, or nothing but zeros, is a table without certificates. Entries of unknown GUIDs are
    /// checked for their place and otherwise left alone.
    ///
    /// # Errors
    /// Every [`CertTableError`].
    pub fn read(bytes: &[u8]) -> Result<Self, CertTableError> {
        let mut table = Self::default();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(table);
        }
        let entries = entries(bytes)?;
        let head = (entries.len() + 1) * ENTRY_BYTES;
        let mut used: Vec<(usize, usize)> = Vec::new();
        for (guid, offset, length) in entries {
            let end = offset.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(CertTableError::Range)?;
            if offset < head || length == 0 {
                return Err(CertTableError::Range);
            }
            if used.iter().any(|(from, to)| offset < *to && *from < end) {
                return Err(CertTableError::Overlap);
            }
            used.push((offset, end));
            let Some(place) = table.place(guid) else { continue };
            let certificate = &bytes[offset..end];
            if !is_der(certificate) {
                return Err(CertTableError::NotDer);
            }
            if place.replace(certificate.to_vec()).is_some() {
                return Err(CertTableError::Repeated);
            }
        }
        Ok(table)
    }

    fn place(&mut self, guid: [u8; 16]) -> Option<&mut Option<Vec<u8>>> {
        let places = [(VCEK, &mut self.vcek), (VLEK, &mut self.vlek), (ASK, &mut self.ask), (ARK, &mut self.ark)];
        let mut places = places.into_iter();
        places.find(|(known, _)| guid == *known || guid == mirrored(*known)).map(|(_, place)| place)
    }

    /// Certificate of the chip's key.
    pub fn vcek(&self) -> Option<&[u8]> {
        self.vcek.as_deref()
    }

    /// Certificate of a cloud's key.
    pub fn vlek(&self) -> Option<&[u8]> {
        self.vlek.as_deref()
    }

    /// AMD's intermediate certificate.
    pub fn ask(&self) -> Option<&[u8]> {
        self.ask.as_deref()
    }

    /// AMD's root certificate.
    pub fn ark(&self) -> Option<&[u8]> {
        self.ark.as_deref()
    }

    /// The certificate of the key that signs reports: the chip's, or else the cloud's.
    pub fn endorsement(&self) -> Option<&[u8]> {
        self.vcek().or(self.vlek())
    }
}

type Entry = ([u8; 16], usize, usize);

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, CertTableError> {
    let mut entries = Vec::new();
    let (chunks, _) = bytes.as_chunks::<ENTRY_BYTES>();
    for chunk in chunks.iter().take(ENTRIES_MAX + 1) {
        if *chunk == [0; ENTRY_BYTES] {
            return Ok(entries);
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&chunk[..16]);
        let number = |at: usize| u32::from_le_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]) as usize;
        entries.push((guid, number(16), number(20)));
    }
    Err(CertTableError::Endless)
}

/// Whether the bytes are one DER sequence with a length of two bytes, as every certificate of AMD's is.
fn is_der(bytes: &[u8]) -> bool {
    let [0x30, 0x82, high, low, rest @ ..] = bytes else { return false };
    bytes.len() <= CERTIFICATE_BYTES_MAX && usize::from(u16::from_be_bytes([*high, *low])) == rest.len()
}

#[cfg(test)]
mod tests;
