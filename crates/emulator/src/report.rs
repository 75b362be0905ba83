//! What runs in an emulated TD, as its registers show it (`spec/evidence.md` §3).
//!
//! MRTD stands for the guest executable, RTMR0 to RTMR2 are fixed, RTMR3 is extended by the app's image digest before
//! the guest starts: the host measures the very files that it then starts.

use freehold_primitives::{Canonical as _, Digest, Register, TdxMeasurement, canonical_struct};
use sha2::{Digest as _, Sha384};

/// `SEPT_VE_DISABLE` alone, as on real guests.
const TD_ATTRIBUTES: u64 = 1 << 28;
/// x87, SSE, AVX, AVX-512, PKRU, AMX.
const XFAM: u64 = 0x0006_02e7;

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
    rtmrs: [Register; 4],
}

impl TdReport {
    /// A TD whose guest executable has SHA-256 `guest` and that will start `app`.
    pub fn launch(guest: &Digest, app: &AppImage) -> Self {
        let mut report = Self {
            td_attributes: TD_ATTRIBUTES,
            xfam: XFAM,
            mrtd: hash(b"freehold emulated mrtd\n", guest.as_ref()),
            mr_config_id: Register::ZERO,
            mr_owner: Register::ZERO,
            mr_owner_config: Register::ZERO,
            rtmrs: [
                hash(b"freehold emulated rtmr0\n", &[]),
                hash(b"freehold emulated rtmr1\n", &[]),
                hash(b"freehold emulated rtmr2\n", &[]),
                Register::ZERO,
            ],
        };
        report.extend(Rtmr::Rtmr3, &app.digest());
        report
    }

    /// Extends a register as TDG.MR.RTMR.EXTEND does: SHA-384 of the old value and the digest.
    pub fn extend(&mut self, rtmr: Rtmr, digest: &Register) {
        let register = &mut self.rtmrs[rtmr as usize];
        *register = hash(register.as_bytes(), digest.as_bytes());
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

    pub(crate) const fn rtmrs(&self) -> &[Register; 4] {
        &self.rtmrs
    }
}

fn hash(first: &[u8], second: &[u8]) -> Register {
    Register(Sha384::new().chain_update(first).chain_update(second).finalize().into())
}
