//! OVMF firmware: the table of GUIDs at its end, and the sections that it asks a hypervisor to load and measure.
//!
//! Every offset comes from the file, so each is checked before it is used. Not here: what follows from the sections
//! (`tdx`, `snp`).

use std::ops::Range;

use crate::error::MeasureFault;

/// Bytes behind the table: the reset vector.
const TAIL: usize = 32;
/// Length and GUID of an entry, behind its data.
const ENTRY: usize = 18;
/// Largest firmware, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most sections of either kind.
const SECTIONS_MAX: u32 = 64;
/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// `96b582de-1fb2-45f7-baea-a366c55a082d`: the table's foot. GUIDs stand in the order of their bytes in memory.
const FOOT: [u8; 16] = guid(0x96b5_82de, 0x1fb2, 0x45f7, 0xbaea_a366_c55a_082d);
/// `e47a6535-984a-4798-865e-4685a7bf8ec2`: offset of the TDX sections from the end.
const TDX_OFFSET: [u8; 16] = guid(0xe47a_6535, 0x984a, 0x4798, 0x865e_4685_a7bf_8ec2);
/// `dc886566-984a-4798-a75e-5585a7bf67cc`: offset of the SEV sections from the end.
const SEV_OFFSET: [u8; 16] = guid(0xdc88_6566, 0x984a, 0x4798, 0xa75e_5585_a7bf_67cc);
/// `7255371f-3a3b-4b04-927b-1da6efa8d454`: address and length of the table of kernel hashes.
const SEV_HASHES: [u8; 16] = guid(0x7255_371f, 0x3a3b, 0x4b04, 0x927b_1da6_efa8_d454);
/// `00f771de-1a7e-4fcb-890e-68c77e2fb44e`: where further CPUs start.
const SEV_RESET: [u8; 16] = guid(0x00f7_71de, 0x1a7e, 0x4fcb, 0x890e_68c7_7e2f_b44e);

/// The bytes of a GUID as UEFI stores it: the first three parts little-endian, the last as written.
pub(crate) const fn guid(one: u32, two: u16, three: u16, last: u64) -> [u8; 16] {
    let (a, b, c, d) = (one.to_le_bytes(), two.to_le_bytes(), three.to_le_bytes(), last.to_be_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// A section for TDX (Intel 344991, "TDVF Design Guide" §11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TdxSection {
    /// Where its bytes stand in the firmware; shorter than the section where the rest is zero.
    pub(crate) data: Range<usize>,
    /// First address in the TD, of a page.
    pub(crate) address: u64,
    /// Its pages.
    pub(crate) pages: u64,
    /// What it is: 0 code, 1 configuration volume, 2 TD HOB, 3 temporary memory.
    pub(crate) kind: u32,
    /// Whether its content is measured.
    pub(crate) extended: bool,
    /// Whether its pages come later and are not measured at all.
    pub(crate) added_later: bool,
}

/// A section for SEV-SNP (OVMF, `OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SevSection {
    /// First address in the guest, of a page.
    pub(crate) address: u64,
    /// Its pages.
    pub(crate) pages: u64,
    /// What it is: 1 memory, 2 secrets, 3 CPUID, 4 calling area of an SVSM, 16 kernel hashes.
    pub(crate) kind: u32,
}

/// A firmware image, its table read.
#[derive(Debug, Clone)]
pub struct Firmware<'a> {
    bytes: &'a [u8],
    entries: Vec<([u8; 16], Range<usize>)>,
}

impl<'a> Firmware<'a> {
    /// Reads the table of a firmware image, which ends at 4 GiB in the guest.
    ///
    /// # Errors
    /// [`MeasureFault::FirmwareTable`], [`MeasureFault::FirmwareEntry`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MeasureFault> {
        let end = bytes.len().checked_sub(TAIL).ok_or(MeasureFault::FirmwareTable)?;
        if bytes.len() > BYTES_MAX || array::<16>(bytes, end.wrapping_sub(16)).ok() != Some(FOOT) {
            return Err(MeasureFault::FirmwareTable);
        }
        let foot = end.checked_sub(ENTRY).ok_or(MeasureFault::FirmwareTable)?;
        let length = usize::from(u16::from_le_bytes(array(bytes, foot)?));
        let start = end.checked_sub(length).filter(|_| length >= ENTRY).ok_or(MeasureFault::FirmwareEntry)?;
        let mut entries = Vec::new();
        let mut at = foot;
        while at > start {
            let foot = at.checked_sub(ENTRY).filter(|foot| *foot >= start).ok_or(MeasureFault::FirmwareEntry)?;
            let length = usize::from(u16::from_le_bytes(array(bytes, foot)?));
            let begin = at.checked_sub(length).filter(|begin| *begin >= start && *begin <= foot);
            let begin = begin.ok_or(MeasureFault::FirmwareEntry)?;
            entries.push((array(bytes, foot + 2)?, begin..foot));
            at = begin;
        }
        Ok(Self { bytes, entries })
    }

    /// The whole image.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Address of its first byte.
    pub(crate) fn address(&self) -> u64 {
        (1 << 32) - self.bytes.len() as u64
    }

    /// A number in the table.
    fn number(&self, name: &[u8; 16]) -> Option<u32> {
        let (_, data) = self.entries.iter().find(|(entry, _)| entry == name)?;
        array(self.bytes, data.start).ok().filter(|_| data.len() >= 4).map(u32::from_le_bytes)
    }

    /// Where a header starts that an entry points at, and how many sections follow it.
    fn sections(&self, offset: u32, magic: &[u8; 4]) -> Result<(usize, u32), MeasureFault> {
        let start = usize::try_from(offset).ok().and_then(|offset| self.bytes.len().checked_sub(offset));
        let start = start.ok_or(MeasureFault::FirmwareEntry)?;
        let (found, version) = (array::<4>(self.bytes, start)?, self.u32(start + 8)?);
        let count = self.u32(start + 12)?;
        if &found != magic || version != 1 || count > SECTIONS_MAX {
            return Err(MeasureFault::FirmwareEntry);
        }
        Ok((start + 16, count))
    }

    /// The sections for TDX, in the firmware's order.
    pub(crate) fn tdx_sections(&self) -> Result<Vec<TdxSection>, MeasureFault> {
        let offset = self.number(&TDX_OFFSET).ok_or(MeasureFault::NoTdx)?;
        let (start, count) = self.sections(offset, b"TDVF")?;
        (0..count as usize).map(|index| self.tdx_section(start + 32 * index)).collect()
    }

    fn tdx_section(&self, at: usize) -> Result<TdxSection, MeasureFault> {
        let (data, length) = (self.u32(at)? as usize, self.u32(at + 4)? as usize);
        let (address, size) = (self.u64(at + 8)?, self.u64(at + 16)?);
        let (kind, attributes) = (self.u32(at + 24)?, self.u32(at + 28)?);
        let extended = attributes & 1 != 0;
        let fits = data.checked_add(length).is_some_and(|end| end <= self.bytes.len())
            && address % PAGE == 0
            && size % PAGE == 0
            && length as u64 <= size
            && address.checked_add(size).is_some_and(|end| end <= 1 << 32);
        // What is measured must all be there.
        if !fits || (extended && length as u64 != size) {
            return Err(MeasureFault::Section);
        }
        let added_later = attributes & 2 != 0;
        Ok(TdxSection { data: data..data + length, address, pages: size / PAGE, kind, extended, added_later })
    }

    /// The sections for SEV-SNP, in the firmware's order.
    pub(crate) fn sev_sections(&self) -> Result<Vec<SevSection>, MeasureFault> {
        let offset = self.number(&SEV_OFFSET).ok_or(MeasureFault::NoSnp)?;
        let (start, count) = self.sections(offset, b"ASEV")?;
        let section = |index: usize| {
            let at = start + 12 * index;
            let (address, size) = (u64::from(self.u32(at)?), u64::from(self.u32(at + 4)?));
            let section = SevSection { address, pages: size / PAGE, kind: self.u32(at + 8)? };
            if address % PAGE == 0 && size % PAGE == 0 { Ok(section) } else { Err(MeasureFault::Section) }
        };
        (0..count as usize).map(section).collect()
    }

    /// Address of the table of kernel hashes; `None` where the firmware leaves no room for one.
    pub(crate) fn sev_hashes_address(&self) -> Option<u32> {
        self.number(&SEV_HASHES).filter(|address| *address != 0)
    }

    /// Where further CPUs start.
    pub(crate) fn sev_reset_address(&self) -> Result<u32, MeasureFault> {
        self.number(&SEV_RESET).ok_or(MeasureFault::NoSnp)
    }

    fn u32(&self, at: usize) -> Result<u32, MeasureFault> {
        array(self.bytes, at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Result<u64, MeasureFault> {
        array(self.bytes, at).map(u64::from_le_bytes)
    }
}

/// Bytes at an offset.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], MeasureFault> {
    let piece = at.checked_add(N).and_then(|end| bytes.get(at..end));
    piece.and_then(|piece| piece.try_into().ok()).ok_or(MeasureFault::FirmwareEntry)
}
