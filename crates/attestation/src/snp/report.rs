//! The attestation report of AMD 56860 (SEV-SNP firmware ABI 1.58), table 23: versions 2 to 5, 1184 bytes, little-endian.
//!
//! Invariant: one report has one accepted byte string. Everything outside the signed part (bytes 0 to 671) is the
//! signature, whose unused bytes are zero and whose `s` is in the lower half.

use freehold_primitives::{Digest, Register, SnpProduct, SnpSigningKey, SnpTcb};
use sha2::{Digest as _, Sha256};

use crate::{refusal::Refusal, scalar::P384};

/// Bytes of a report.
pub const SNP_REPORT_BYTES: usize = 1184;
/// Bytes of a report that its key signs.
pub(super) const SIGNED_BYTES: usize = 0x2a0;
/// Bytes that `r` and `s` take each, little-endian; a P-384 scalar fills 48 of them.
const COMPONENT_BYTES: usize = 72;
const SCALAR_BYTES: usize = 48;
const S_AT: usize = SIGNED_BYTES + COMPONENT_BYTES;

const VERSIONS: core::ops::RangeInclusive<u32> = 2..=5;
const ECDSA_P384_SHA384: u32 = 1;
/// Guest policy bit 17 is always one; bits 26 to 63 are not in use (table 10).
const POLICY_ALWAYS_ONE: u64 = 1 << 17;
const POLICY_UNUSED: u64 = !0 << 26;
/// Bits of the flags at 0x48.
const AUTHOR_KEY: u32 = 1;
const MASK_CHIP_KEY: u32 = 1 << 1;
const FLAGS_UNUSED: u32 = !0 << 5;

/// CPU of a report of version 3 or newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnpCpu {
    /// Family, extended family included: 0x19 or 0x1a.
    pub family: u8,
    /// Model, extended model included.
    pub model: u8,
    /// Stepping.
    pub stepping: u8,
}

impl SnpCpu {
    /// The product that this CPU is of.
    pub const fn product(self) -> Option<SnpProduct> {
        match (self.family, self.model) {
            (0x19, 0x00..=0x0f) => Some(SnpProduct::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(SnpProduct::Genoa),
            (0x1a, 0x00..=0x1f) => Some(SnpProduct::Turin),
            _ => None,
        }
    }
}

/// Version of the SNP firmware: its ABI and its build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnpFirmware {
    /// Major ABI version.
    pub major: u8,
    /// Minor ABI version.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

/// A report's fields. Whether they are vouched for depends on where the report comes from: a
/// [`SnpClaims`](super::SnpClaims) holds a verified one, an [`UnverifiedSnp`](super::UnverifiedSnp) does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpReport {
    pub(super) bytes: Box<[u8; SNP_REPORT_BYTES]>,
    signing_key: SnpSigningKey,
}

impl SnpReport {
    /// Reads a report in canonical form.
    pub(super) fn read(bytes: &[u8; SNP_REPORT_BYTES]) -> Result<Self, Refusal> {
        let signing_key = Self::check_layout(bytes)?;
        if !P384.is_lower_half(&s_of(bytes)) {
            return Err(Refusal::SignatureNotCanonical);
        }
        Ok(Self { bytes: Box::new(*bytes), signing_key })
    }

    /// Checks everything that has one permitted value, apart from the half of `s`.
    fn check_layout(bytes: &[u8; SNP_REPORT_BYTES]) -> Result<SnpSigningKey, Refusal> {
        let version = u32_at(bytes, 0);
        if !VERSIONS.contains(&version) || u32_at(bytes, 0x34) != ECDSA_P384_SHA384 {
            return Err(Refusal::SnpReportFormat);
        }
        let cpu_end = if version >= 3 { 0x18b } else { 0x188 };
        let mitigations_end = if version >= 5 { 0x208 } else { 0x1f8 };
        let unused = [
            0x4c..0x50,
            cpu_end..0x1a0,
            0x1eb..0x1ec,
            0x1ef..0x1f0,
            mitigations_end..SIGNED_BYTES,
            SIGNED_BYTES + SCALAR_BYTES..S_AT,
            S_AT + SCALAR_BYTES..SNP_REPORT_BYTES,
        ];
        let policy = u64_at(bytes, 8);
        let flags = u32_at(bytes, 0x48);
        let zero = unused.into_iter().all(|range| bytes[range].iter().all(|byte| *byte == 0));
        let policy_right = policy & POLICY_UNUSED == 0 && policy & POLICY_ALWAYS_ONE != 0;
        if !zero || !policy_right || flags & FLAGS_UNUSED != 0 {
            return Err(Refusal::SnpReserved);
        }
        // The key that would vouch for the report is withheld, or there is none: the signature is then zeros.
        if flags & MASK_CHIP_KEY != 0 {
            return Err(Refusal::SnpUnsigned);
        }
        match flags >> 2 & 7 {
            0 => Ok(SnpSigningKey::Vcek),
            1 => Ok(SnpSigningKey::Vlek),
            7 => Err(Refusal::SnpUnsigned),
            _ => Err(Refusal::SnpReserved),
        }
    }

    /// Checks the bytes of its four TCB versions that this product does not use.
    pub(super) fn check_tcb_unused(&self, product: SnpProduct) -> Result<(), Refusal> {
        let unused = match product {
            SnpProduct::Milan | SnpProduct::Genoa => 2..6,
            SnpProduct::Turin => 4..7,
        };
        let zero = [0x38, 0x180, 0x1e0, 0x1f0]
            .into_iter()
            .all(|at| self.bytes[at + unused.start..at + unused.end].iter().all(|byte| *byte == 0));
        if zero { Ok(()) } else { Err(Refusal::SnpReserved) }
    }

    /// The signed part.
    pub(super) fn signed_part(&self) -> &[u8] {
        &self.bytes[..SIGNED_BYTES]
    }

    /// `r ‖ s`, big-endian.
    pub(super) fn signature(&self) -> [u8; 96] {
        let mut signature = [0; 96];
        for (half, at) in signature.chunks_exact_mut(SCALAR_BYTES).zip([SIGNED_BYTES, S_AT]) {
            half.copy_from_slice(&self.bytes[at..at + SCALAR_BYTES]);
            half.reverse();
        }
        signature
    }

    /// SHA-256 of the signed part.
    pub(super) fn signed_part_digest(&self) -> Digest {
        Digest(Sha256::digest(self.signed_part()).into())
    }

    /// Version of the report: 2 to 5.
    pub fn version(&self) -> u32 {
        u32_at(&*self.bytes, 0)
    }

    /// GUEST_SVN of the ID block.
    pub fn guest_svn(&self) -> u32 {
        u32_at(&*self.bytes, 4)
    }

    /// Guest policy (table 10): ABI in bits 0 to 15, then flags; bit 19 is DEBUG.
    pub fn guest_policy(&self) -> u64 {
        u64_at(&*self.bytes, 8)
    }

    /// FAMILY_ID of the ID block.
    pub fn family_id(&self) -> [u8; 16] {
        self.array(0x10)
    }

    /// IMAGE_ID of the ID block.
    pub fn image_id(&self) -> [u8; 16] {
        self.array(0x20)
    }

    /// Virtual machine privilege level that asked for the report; 0 has the most privileges.
    pub fn vmpl(&self) -> u32 {
        u32_at(&*self.bytes, 0x30)
    }

    /// Platform information (table 23): bit 0 SMT, 1 TSME, 2 ECC, 3 RAPL disabled, 4 ciphertext hiding, 5 alias check
    /// complete, 7 trusted I/O. Bits beyond are set in the field and are left to the policy.
    pub fn platform_info(&self) -> u64 {
        u64_at(&*self.bytes, 0x40)
    }

    /// Whether the author's key certified the ID key.
    pub fn has_author_key(&self) -> bool {
        u32_at(&*self.bytes, 0x48) & AUTHOR_KEY != 0
    }

    /// The kind of key that signed.
    pub const fn signing_key(&self) -> SnpSigningKey {
        self.signing_key
    }

    /// The 64 bytes that the guest asked to be signed.
    pub fn report_data(&self) -> [u8; 64] {
        self.array(0x50)
    }

    /// Launch measurement.
    pub fn measurement(&self) -> Register {
        Register(self.array(0x90))
    }

    /// What the host set at launch.
    pub fn host_data(&self) -> Digest {
        Digest(self.array(0xc0))
    }

    /// SHA-384 of the key that signed the ID block; zeros without one.
    pub fn id_key_digest(&self) -> Register {
        Register(self.array(0xe0))
    }

    /// SHA-384 of the author's key; zeros without one.
    pub fn author_key_digest(&self) -> Register {
        Register(self.array(0x110))
    }

    /// Id of the guest, chosen by the firmware at launch.
    pub fn report_id(&self) -> [u8; 32] {
        self.array(0x140)
    }

    /// Id of the guest's migration agent; all ones without one.
    pub fn report_id_of_migration_agent(&self) -> [u8; 32] {
        self.array(0x160)
    }

    /// The CPU, in version 3 and newer.
    pub fn cpu(&self) -> Option<SnpCpu> {
        let [family, model, stepping] = self.array(0x188);
        (self.version() >= 3).then_some(SnpCpu { family, model, stepping })
    }

    /// CHIP_ID: 64 bytes, on Turin 8 and zeros; all zero where the platform hides it.
    pub fn chip_id(&self) -> [u8; 64] {
        self.array(0x1a0)
    }

    /// TCB that runs now.
    pub fn current_tcb(&self, product: SnpProduct) -> SnpTcb {
        tcb(self.array(0x38), product)
    }

    /// TCB that the report claims and that its key was derived for.
    pub fn reported_tcb(&self, product: SnpProduct) -> SnpTcb {
        tcb(self.array(0x180), product)
    }

    /// TCB below which the platform can no longer go.
    pub fn committed_tcb(&self, product: SnpProduct) -> SnpTcb {
        tcb(self.array(0x1e0), product)
    }

    /// TCB that ran when the guest was launched or imported.
    pub fn launch_tcb(&self, product: SnpProduct) -> SnpTcb {
        tcb(self.array(0x1f0), product)
    }

    /// Firmware that runs now.
    pub fn current_firmware(&self) -> SnpFirmware {
        let [build, minor, major] = self.array(0x1e8);
        SnpFirmware { major, minor, build }
    }

    /// Firmware below which the platform can no longer go.
    pub fn committed_firmware(&self) -> SnpFirmware {
        let [build, minor, major] = self.array(0x1ec);
        SnpFirmware { major, minor, build }
    }

    /// Mitigations verified at launch, in version 5.
    pub fn launch_mitigations(&self) -> Option<u64> {
        (self.version() >= 5).then(|| u64_at(&*self.bytes, 0x1f8))
    }

    /// Mitigations verified now, in version 5.
    pub fn current_mitigations(&self) -> Option<u64> {
        (self.version() >= 5).then(|| u64_at(&*self.bytes, 0x200))
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at..at + N]);
        bytes
    }
}

/// A TCB version as this product lays it out (tables 4 and 5).
const fn tcb(bytes: [u8; 8], product: SnpProduct) -> SnpTcb {
    match product {
        SnpProduct::Milan | SnpProduct::Genoa => {
            SnpTcb { fmc: 0, bootloader: bytes[0], tee: bytes[1], snp: bytes[6], microcode: bytes[7] }
        }
        SnpProduct::Turin => {
            SnpTcb { fmc: bytes[0], bootloader: bytes[1], tee: bytes[2], snp: bytes[3], microcode: bytes[7] }
        }
    }
}

/// Puts `s` of a report as the firmware gives it into its lower half; what was signed does not change.
pub(super) fn canonicalise(bytes: &mut [u8; SNP_REPORT_BYTES]) -> Result<(), Refusal> {
    SnpReport::check_layout(bytes)?;
    let mut s = s_of(bytes);
    if !P384.is_lower_half(&s) {
        P384.negate(&mut s).ok_or(Refusal::SignatureNotCanonical)?;
        s.reverse();
        bytes[S_AT..S_AT + SCALAR_BYTES].copy_from_slice(&s);
    }
    Ok(())
}

/// `s` of the signature, big-endian.
fn s_of(bytes: &[u8; SNP_REPORT_BYTES]) -> [u8; SCALAR_BYTES] {
    let mut s = [0; SCALAR_BYTES];
    s.copy_from_slice(&bytes[S_AT..S_AT + SCALAR_BYTES]);
    s.reverse();
    s
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
