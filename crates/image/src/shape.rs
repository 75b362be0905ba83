//! How large a VM is. Shapes are part of what is measured, so they are few and checked.

use crate::error::MeasureFault;

/// CPUs and memory of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmShape {
    cpus: u16,
    memory_mib: u32,
}

impl VmShape {
    /// One CPU, 2 GiB.
    pub const DEFAULT: Self = Self { cpus: 1, memory_mib: 2048 };

    /// A shape of 1 to 512 CPUs and 128 MiB to 1 TiB of memory.
    ///
    /// # Errors
    /// [`MeasureFault::Shape`].
    pub fn new(cpus: u16, memory_mib: u32) -> Result<Self, MeasureFault> {
        if (1..=512).contains(&cpus) && (128..=1024 * 1024).contains(&memory_mib) {
            Ok(Self { cpus, memory_mib })
        } else {
            Err(MeasureFault::Shape)
        }
    }

    /// CPUs.
    pub const fn cpus(self) -> u16 {
        self.cpus
    }

    /// Memory, in MiB.
    pub const fn memory_mib(self) -> u32 {
        self.memory_mib
    }

    /// Memory, in bytes.
    pub(crate) const fn memory(self) -> u64 {
        (self.memory_mib as u64) << 20
    }
}
