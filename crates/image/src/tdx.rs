//! MRTD and RTMR0 to RTMR2 of a TD that QEMU boots directly: firmware, kernel, initrd and command line, no disk.
//!
//! What cannot follow from these is an input: the digests of QEMU's ACPI tables, which depend on its version and devices,
//! and of the firmware's boot entry. RTMR3 is the guest's own (`spec/vm-image.md` §5).

mod hob;
mod kernel;

#[cfg(test)]
mod tests;

use freehold_primitives::{Register, TdxMeasurement};
use sha2::{Digest as _, Sha384};

use crate::{
    boot::CommandLine,
    error::MeasureFault,
    firmware::{Firmware, PAGE, TdxSection, guid},
    shape::VmShape,
};

/// Bytes that one `TDH.MR.EXTEND` takes.
const CHUNK: usize = 256;
/// Kinds of sections.
const SECTION_CONFIGURATION: u32 = 1;
/// `8be4df61-93ca-11d2-aa0d-00e098032b8c`: UEFI's own variables.
const GLOBAL: [u8; 16] = guid(0x8be4_df61, 0x93ca, 0x11d2, 0xaa0d_00e0_9803_2b8c);
/// `d719b2cb-3d3a-4596-a3bc-dad00e67656f`: signature databases.
const SECURITY: [u8; 16] = guid(0xd719_b2cb, 0x3d3a, 0x4596, 0xa3bc_dad0_0e67_656f);
/// What OVMF adds to the command line where there is an initrd.
const INITRD_ARGUMENT: &str = " initrd=initrd";

/// SHA-384 of OVMF's variable `Boot0000`, its own shell in a firmware volume, until 2025-02: what `TdxMachine` takes as
/// `boot_entry` (recorded in quotes of real TDs).
pub const OVMF_BOOT_ENTRY: Register = Register([
    0x23, 0xad, 0xa0, 0x7f, 0x52, 0x61, 0xf1, 0x2f, 0x34, 0xa0, 0xbd, 0x8e, 0x46, 0x76, 0x09, 0x62, 0xd6, 0xb4, 0xd5,
    0x76, 0xa4, 0x16, 0xf1, 0xfe, 0xa1, 0xc6, 0x4b, 0xc6, 0x56, 0xb1, 0xd2, 0x8e, 0xac, 0xf7, 0x04, 0x7a, 0xe6, 0xe9,
    0x67, 0xc5, 0x8f, 0xd2, 0xa9, 0x8b, 0xfa, 0x74, 0xc2, 0x98,
]);

/// In which order a hypervisor adds and measures the pages of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOrder {
    /// All pages are added, then all are measured: QEMU 8 with Intel's patches.
    AddThenMeasure,
    /// Each page is measured as soon as it is added: QEMU 9 and later, upstream (`TDX_INIT_MEM_REGION`).
    PageByPage,
}

/// Where the firmware puts the separator that ends its own configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// A second one into RTMR0, behind the boot entry.
    InRtmr0,
    /// Into RTMR1, behind the boot option: OVMF until 2025-02.
    InRtmr1,
}

/// SHA-384 of the ACPI tables that QEMU makes: they depend on its version and on every device of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcpiTables {
    /// Of `etc/table-loader`.
    pub loader: Register,
    /// Of `etc/acpi/rsdp`.
    pub rsdp: Register,
    /// Of `etc/acpi/tables`.
    pub tables: Register,
}

/// What QEMU and the firmware contribute that no file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TdxMachine {
    /// CPUs and memory.
    pub shape: VmShape,
    /// Order of pages.
    pub order: PageOrder,
    /// Place of the separator.
    pub separator: Separator,
    /// QEMU's ACPI tables; without them RTMR0 cannot be told.
    pub acpi: Option<AcpiTables>,
    /// SHA-384 of the variable `Boot0000`: the firmware's entry for a kernel that it is given.
    pub boot_entry: Register,
}

/// What a TD boots.
#[derive(Debug, Clone, Copy)]
pub struct TdxBoot<'a> {
    /// The firmware.
    pub firmware: &'a Firmware<'a>,
    /// The kernel's file, a bzImage.
    pub kernel: &'a [u8],
    /// The initrd's file; empty where there is none.
    pub initrd: &'a [u8],
    /// The command line, as QEMU is given it.
    pub line: &'a CommandLine,
}

impl TdxBoot<'_> {
    /// What a quote shows once the kernel runs. RTMR3 is left to the guest, RTMR0 is told where the ACPI tables are known.
    ///
    /// # Errors
    /// [`MeasureFault`]: the firmware or the kernel is malformed, or the initrd does not fit.
    pub fn measurement(&self, machine: &TdxMachine) -> Result<TdxMeasurement, MeasureFault> {
        let sections = self.firmware.tdx_sections()?;
        let rtmr0 = machine.acpi.as_ref().map(|acpi| self.rtmr0(&sections, machine, acpi)).transpose()?;
        Ok(TdxMeasurement {
            mrtd: mrtd(self.firmware, machine.order)?,
            rtmr0: rtmr0.map(|events| extended(&events)),
            rtmr1: Some(extended(&self.rtmr1(machine)?)),
            rtmr2: Some(extended(&self.rtmr2())),
            rtmr3: None,
        })
    }

    /// Events of the firmware's configuration.
    fn rtmr0(
        &self,
        sections: &[TdxSection],
        machine: &TdxMachine,
        acpi: &AcpiTables,
    ) -> Result<Vec<Register>, MeasureFault> {
        let volume = sections.iter().find(|section| section.kind == SECTION_CONFIGURATION);
        let volume = sha384(&self.firmware.bytes()[volume.ok_or(MeasureFault::Section)?.data.clone()]);
        Ok(configuration(hob::measured(sections, machine.shape)?, volume, machine, acpi))
    }

    /// Events of the kernel, and of the firmware's end.
    fn rtmr1(&self, machine: &TdxMachine) -> Result<Vec<Register>, MeasureFault> {
        Ok(boot(kernel::measured(self.kernel, self.initrd.len(), machine.shape)?, machine.separator))
    }

    fn rtmr2(&self) -> Vec<Register> {
        stub(self.initrd, self.line)
    }
}

/// Events of the kernel's EFI stub: command line and initrd.
fn stub(initrd: &[u8], line: &CommandLine) -> Vec<Register> {
    if initrd.is_empty() {
        return vec![sha384(&line.utf16(""))];
    }
    vec![sha384(&line.utf16(INITRD_ARGUMENT)), sha384(initrd)]
}

/// What a TD's registers take of a boot below the firmware: the events of RTMR1 and RTMR2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEvents {
    /// The kernel, and the firmware's steps to it as OVMF made them until 2025-02.
    pub rtmr1: Vec<Register>,
    /// Command line and initrd.
    pub rtmr2: Vec<Register>,
}

impl BootEvents {
    /// The events of a kernel with its initrd and command line in a VM of some shape.
    ///
    /// # Errors
    /// [`MeasureFault::Kernel`], [`MeasureFault::Initrd`].
    pub fn of(kernel: &[u8], initrd: &[u8], line: &CommandLine, shape: VmShape) -> Result<Self, MeasureFault> {
        let digest = kernel::measured(kernel, initrd.len(), shape)?;
        Ok(Self { rtmr1: boot(digest, Separator::InRtmr1), rtmr2: stub(initrd, line) })
    }
}

/// Events of RTMR0 from the digests of the TD HOB and the configuration volume on.
fn configuration(hob: Register, volume: Register, machine: &TdxMachine, acpi: &AcpiTables) -> Vec<Register> {
    let mut events = vec![
        hob,
        volume,
        variable(&GLOBAL, "SecureBoot"),
        variable(&GLOBAL, "PK"),
        variable(&GLOBAL, "KEK"),
        variable(&SECURITY, "db"),
        variable(&SECURITY, "dbx"),
        separator(),
        acpi.loader,
        acpi.rsdp,
        acpi.tables,
        sha384(&[0, 0]), // BootOrder
        machine.boot_entry,
    ];
    if machine.separator == Separator::InRtmr0 {
        events.push(separator());
    }
    events
}

/// Events of RTMR1 from the digest of the kernel on.
fn boot(kernel: Register, place: Separator) -> Vec<Register> {
    let mut events = vec![kernel, sha384(b"Calling EFI Application from Boot Option")];
    if place == Separator::InRtmr1 {
        events.push(separator());
    }
    events.extend([sha384(b"Exit Boot Services Invocation"), sha384(b"Exit Boot Services Returned with Success")]);
    events
}

/// MRTD of a firmware (Intel 348551, "TDX Module ABI", `TDH.MEM.PAGE.ADD` and `TDH.MR.EXTEND`).
///
/// # Errors
/// [`MeasureFault`]: the firmware was not built for TDX, or is malformed.
pub fn mrtd(firmware: &Firmware<'_>, order: PageOrder) -> Result<Register, MeasureFault> {
    let mut hasher = Sha384::new();
    for section in firmware.tdx_sections()? {
        let pages = |step: &mut dyn FnMut(u64)| (0..section.pages).for_each(step);
        let add = |hasher: &mut Sha384, page: u64| {
            if !section.added_later {
                hasher.update(record(b"MEM.PAGE.ADD", section.address + page * PAGE));
            }
        };
        let measure = |hasher: &mut Sha384, page: u64| {
            if section.extended {
                let begin = section.data.start + (page * PAGE) as usize;
                let address = section.address + page * PAGE;
                for (index, chunk) in firmware.bytes()[begin..begin + PAGE as usize].chunks(CHUNK).enumerate() {
                    hasher.update(record(b"MR.EXTEND", address + (index * CHUNK) as u64));
                    hasher.update(chunk);
                }
            }
        };
        match order {
            PageOrder::AddThenMeasure => {
                pages(&mut |page| add(&mut hasher, page));
                pages(&mut |page| measure(&mut hasher, page));
            }
            PageOrder::PageByPage => pages(&mut |page| {
                add(&mut hasher, page);
                measure(&mut hasher, page);
            }),
        }
    }
    Ok(Register(hasher.finalize().into()))
}

/// What the module hashes of one operation: its name, and an address at byte 16.
fn record(name: &[u8], address: u64) -> [u8; 128] {
    let mut record = [0; 128];
    record[..name.len()].copy_from_slice(name);
    record[16..24].copy_from_slice(&address.to_le_bytes());
    record
}

/// A register that these events extended, from zero.
pub fn extended(events: &[Register]) -> Register {
    let extend = |register: Register, event: &Register| {
        Register(Sha384::new().chain_update(register.0).chain_update(event.0).finalize().into())
    };
    events.iter().fold(Register([0; 48]), extend)
}

/// The event of an absent UEFI variable (TCG PC Client, `UEFI_VARIABLE_DATA`).
fn variable(vendor: &[u8; 16], name: &str) -> Register {
    let mut data = vendor.to_vec();
    data.extend((name.len() as u64).to_le_bytes());
    data.extend(0_u64.to_le_bytes());
    data.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    sha384(&data)
}

fn separator() -> Register {
    sha384(&[0; 4])
}

fn sha384(data: &[u8]) -> Register {
    Register(Sha384::digest(data).into())
}
