//! What runs in an emulated TD, as its registers show it (`spec/evidence.md` §3).
//!
//! MRTD stands for the guest executable, RTMR0 to RTMR2 are fixed, RTMR3 is extended by the app's image digest before
//! the guest starts: the host measures the very files that it then starts.

#[cfg(test)]
mod tests;

use freehold_primitives::{Canonical as _, Digest, Register, TdxMeasurement, canonical_struct};
use sha2::{Digest as _, Sha256, Sha384};

use crate::{platform::CPU_SVN, quote::TdBody};

/// `SEPT_VE_DISABLE` alone, as on real guests.
const TD_ATTRIBUTES: u64 = 1 << 28;
/// x87, SSE, AVX, AVX-512, PKRU, AMX.
const XFAM: u64 = 0x0006_02e7;
/// SVNs of the emulated TDX module and its loader; byte 0 is the module's ISVSVN, byte 1 its major version.
pub(crate) const TEE_TCB_SVN: [u8; 16] = [11, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// MRSEAM of the emulated TDX module.
const MR_SEAM: Register = Register([0xee; 48]);

canonical_struct! {
    /// An app as the host starts it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AppImage {
        /// SHA-256 of the executable.
        pub executable: Digest,
        /// Its arguments, without the executable's own name.
        pub arguments: Vec<String>,
        /// SHA-256 of the model file, for apps that load one.
        pub model: Option<Digest>,
    }
}

impl AppImage {
    /// The event that RTMR3 is extended by: SHA-384 of the domain line and the canonical document.
    pub fn digest(&self) -> Register {
        hash(b"freehold app image\n", &self.to_canonical())
    }
}

/// What an emulated VM boots, hashed as hardware hashes it (`spec/evidence.md` §3): all but the firmware, which the emulator's
/// host has none of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmBoot {
    /// Events of RTMR1, as a TD's firmware extends it: the kernel, and the firmware's steps to it.
    pub rtmr1: Vec<Register>,
    /// Events of RTMR2: command line and initrd.
    pub rtmr2: Vec<Register>,
    /// SHA-256 of the kernel's file.
    pub kernel: Digest,
    /// SHA-256 of the initrd's file.
    pub initrd: Digest,
    /// SHA-256 of the command line and the zero byte behind it.
    pub command_line: Digest,
}

/// A runtime measurement register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rtmr {
    /// Firmware configuration.
    Rtmr0 = 0,
    /// Kernel.
    Rtmr1 = 1,
    /// Command line and initrd.
    Rtmr2 = 2,
    /// What the guest itself measures.
    Rtmr3 = 3,
}

/// One extension of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtmrEvent {
    /// Which register.
    pub rtmr: Rtmr,
    /// The digest that it was extended by.
    pub digest: Register,
}

/// The part of a TD's report that its launch decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdReport {
    /// TD attributes; bit 0 is DEBUG, bit 28 `SEPT_VE_DISABLE`, bit 29 MIGRATABLE.
    pub td_attributes: u64,
    /// Extended features.
    pub xfam: u64,
    /// MRTD.
    pub mrtd: Register,
    /// MRCONFIGID.
    pub mr_config_id: Register,
    /// MROWNER.
    pub mr_owner: Register,
    /// MROWNERCONFIG.
    pub mr_owner_config: Register,
    /// SVNs of the TDX module under which the TD was launched.
    pub tee_tcb_svn: [u8; 16],
    /// MRSEAM.
    pub mr_seam: Register,
    /// MRSIGNERSEAM; zero is Intel.
    pub mr_signer_seam: Register,
    /// Hash of the service TDs bound when the TD was made (bodies from TD 1.5 on).
    pub mr_service_td: Register,
    /// Hash of the service TDs bound now (TD 1.5ex).
    pub service_td_hash: Register,
    rtmrs: [Register; 4],
    events: Vec<RtmrEvent>,
}

impl TdReport {
    /// A TD whose guest executable has SHA-256 `guest` and that will start `app`.
    pub fn launch(guest: &Digest, app: &AppImage) -> Self {
        let fixed = |text: &[u8]| vec![hash(text, &[])];
        let mrtd = hash(b"freehold emulated mrtd\n", guest.as_ref());
        let between = [fixed(b"freehold emulated rtmr1\n"), fixed(b"freehold emulated rtmr2\n")];
        Self::of(mrtd, between, app)
    }

    /// A TD that boots a VM image which holds `app`. Its MRTD says that no firmware was measured.
    pub fn boot(boot: &VmBoot, app: &AppImage) -> Self {
        Self::of(hash(b"freehold emulated vm mrtd\n", &[]), [boot.rtmr1.clone(), boot.rtmr2.clone()], app)
    }

    fn of(mrtd: Register, [rtmr1, rtmr2]: [Vec<Register>; 2], app: &AppImage) -> Self {
        let mut report = Self {
            td_attributes: TD_ATTRIBUTES,
            xfam: XFAM,
            mrtd,
            mr_config_id: Register::ZERO,
            mr_owner: Register::ZERO,
            mr_owner_config: Register::ZERO,
            tee_tcb_svn: TEE_TCB_SVN,
            mr_seam: MR_SEAM,
            mr_signer_seam: Register::ZERO,
            mr_service_td: Register::ZERO,
            service_td_hash: Register::ZERO,
            rtmrs: [Register::ZERO; 4],
            events: Vec::new(),
        };
        report.extend(Rtmr::Rtmr0, &hash(b"freehold emulated rtmr0\n", &[]));
        for (register, events) in [(Rtmr::Rtmr1, rtmr1), (Rtmr::Rtmr2, rtmr2)] {
            for event in events {
                report.extend(register, &event);
            }
        }
        report.extend(Rtmr::Rtmr3, &app.digest());
        report
    }

    /// Makes the TD one that was launched before the running TDX module was updated: it should be launched again.
    #[must_use]
    pub const fn launched_before_update(mut self) -> Self {
        self.tee_tcb_svn[0] = TEE_TCB_SVN[0] - 1;
        self
    }

    /// Extends a register as TDG.MR.RTMR.EXTEND does: SHA-384 of the old value and the digest.
    pub fn extend(&mut self, rtmr: Rtmr, digest: &Register) {
        let register = &mut self.rtmrs[rtmr as usize];
        *register = hash(register.as_bytes(), digest.as_bytes());
        self.events.push(RtmrEvent { rtmr, digest: *digest });
    }

    /// Every extension in its order: replaying them over zero registers gives the registers.
    pub fn events(&self) -> &[RtmrEvent] {
        &self.events
    }

    /// The registers, as a policy names them.
    pub const fn measurement(&self) -> TdxMeasurement {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = self.rtmrs;
        TdxMeasurement {
            mrtd: self.mrtd,
            rtmr0: Some(rtmr0),
            rtmr1: Some(rtmr1),
            rtmr2: Some(rtmr2),
            rtmr3: Some(rtmr3),
        }
    }

    /// A report body: 584, 648 or 885 bytes.
    pub(crate) fn body(&self, body: TdBody, report_data: &[u8; 64]) -> Vec<u8> {
        let mut out = Vec::with_capacity(885);
        out.extend(self.tee_tcb_svn);
        out.extend(self.mr_seam.0);
        out.extend(self.mr_signer_seam.0);
        out.extend([0; 8]); // SEAMATTRIBUTES
        out.extend(self.td_attributes.to_le_bytes());
        out.extend(self.xfam.to_le_bytes());
        for register in [&self.mrtd, &self.mr_config_id, &self.mr_owner, &self.mr_owner_config] {
            out.extend(register.0);
        }
        for register in &self.rtmrs {
            out.extend(register.0);
        }
        out.extend(report_data);
        if body == TdBody::Td10 {
            return out;
        }
        out.extend(TEE_TCB_SVN); // TEE_TCB_SVN_2: the running module's
        out.extend(self.mr_service_td.0);
        if body == TdBody::Td15Ex {
            self.write_extension(&mut out);
        }
        out
    }

    /// What a TD 1.5ex body has behind a TD 1.5 one: 237 bytes.
    fn write_extension(&self, out: &mut Vec<u8>) {
        out.push(0); // VM index
        out.extend(Sha256::digest(self.mrtd.0)); // TD id: as good as random, and reproducible
        out.extend([0; 48]); // device information
        out.extend(self.mr_service_td.0); // service TDs at creation, and their attributes
        out.extend([0; 8]);
        out.extend(CPU_SVN); // of creation, as the SVNs behind it
        out.extend(self.tee_tcb_svn);
        out.extend([0; 12]); // FMSPC of creation
        out.extend(self.service_td_hash.0); // service TDs now, and their attributes
        out.extend([0; 8]);
    }
}

fn hash(first: &[u8], second: &[u8]) -> Register {
    Register(Sha384::new().chain_update(first).chain_update(second).finalize().into())
}
