//! The first state of a CPU of an SEV-SNP guest, as QEMU and KVM leave it (AMD 24593, "APM volume 2", table B-4).

/// Where the first CPU starts.
pub(super) const BOOT_START: u32 = 0xffff_fff0;

/// Models of CPUs, as QEMU names them: they differ in what `CPUID` says, which the first state carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnpCpu {
    /// `EPYC-v4`: any machine.
    EpycV4,
    /// `EPYC-Milan`.
    Milan,
    /// `EPYC-Genoa`.
    Genoa,
}

impl SnpCpu {
    /// QEMU's name of the model.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EpycV4 => "EPYC-v4",
            Self::Milan => "EPYC-Milan",
            Self::Genoa => "EPYC-Genoa",
        }
    }

    /// Family, model and stepping as `CPUID` leaf 1 packs them.
    const fn signature(self) -> u64 {
        let (family, model, stepping) = match self {
            Self::EpycV4 => (0x17, 0x01, 2),
            Self::Milan => (0x19, 0x01, 1),
            Self::Genoa => (0x19, 0x11, 0),
        };
        ((family - 0xf) << 20) | ((model >> 4) << 16) | (0xf << 8) | ((model & 0xf) << 4) | stepping
    }
}

/// The page of one CPU that starts at an address.
pub(super) fn page(start: u32, cpu: SnpCpu, features: u64) -> [u8; 4096] {
    let mut page = [0; 4096];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    // Segments of 16 bytes: selector, attributes, limit, base.
    let mut segment = |at: usize, selector: u16, attributes: u16, base: u64| {
        put(at, &selector.to_le_bytes());
        put(at + 2, &attributes.to_le_bytes());
        put(at + 4, &0xffff_u32.to_le_bytes());
        put(at + 8, &base.to_le_bytes());
    };
    for at in [0x00, 0x20, 0x30, 0x40, 0x50] {
        segment(at, 0, 0x93, 0); // ES, SS, DS, FS, GS
    }
    segment(0x10, 0xf000, 0x9b, u64::from(start & 0xffff_0000)); // CS
    segment(0x60, 0, 0, 0); // GDTR
    segment(0x70, 0, 0x82, 0); // LDTR
    segment(0x80, 0, 0, 0); // IDTR
    segment(0x90, 0, 0x8b, 0); // TR
    for (at, value) in [
        (0x0d0, 0x1000),                    // EFER: SVME
        (0x148, 0x40),                      // CR4: MCE
        (0x158, 0x10),                      // CR0: ET
        (0x160, 0x400),                     // DR7
        (0x168, 0xffff_0ff0),               // DR6
        (0x170, 2),                         // RFLAGS
        (0x178, u64::from(start & 0xffff)), // RIP
        (0x268, 0x0007_0406_0007_0406),     // G_PAT
        (0x310, cpu.signature()),           // RDX
        (0x3b0, features),                  // SEV_FEATURES
        (0x3e8, 1),                         // XCR0
    ] {
        put(at, &u64::to_le_bytes(value));
    }
    put(0x408, &0x1f80_u32.to_le_bytes()); // MXCSR
    put(0x410, &0x037f_u16.to_le_bytes()); // x87 FCW
    page
}
