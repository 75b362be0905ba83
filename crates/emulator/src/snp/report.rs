//! A guest as its report shows it, and the report's bytes (AMD 56860, table 23).

use freehold_primitives::{Digest, Register, SnpMeasurement, SnpProduct, SnpSigningKey, SnpTcb};

use super::{SnpCondition, SnpPlatform, boot_measurement, measurement};
use crate::{AppImage, VmBoot, keys::derive_bytes, x509::P384Key};

/// ABI 1.51 at least, multithreading allowed, and the bit that is always one.
const GUEST_POLICY: u64 = 51 | 1 << 8 | 1 << 16 | 1 << 17;
const MIGRATE_MA: u64 = 1 << 18;
const DEBUG: u64 = 1 << 19;
/// Multithreading, ECC, ciphertext hiding, alias check complete.
const PLATFORM_INFO: u64 = 1 | 1 << 2 | 1 << 4 | 1 << 5;
const ALIAS_CHECK: u64 = 1 << 5;

/// A guest and the platform around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpGuest {
    /// Version of the report: 2 to 5.
    pub report_version: u32,
    /// GUEST_SVN.
    pub guest_svn: u32,
    /// Guest policy.
    pub guest_policy: u64,
    /// FAMILY_ID.
    pub family_id: [u8; 16],
    /// IMAGE_ID.
    pub image_id: [u8; 16],
    /// VMPL.
    pub vmpl: u32,
    /// Platform information.
    pub platform_info: u64,
    /// Launch measurement.
    pub measurement: Register,
    /// HOST_DATA.
    pub host_data: Digest,
    /// Digest of the ID key; zeros without one.
    pub id_key_digest: Register,
    /// Digest of the author's key, where one certified the ID key.
    pub author_key_digest: Option<Register>,
    /// TCB that runs.
    pub current_tcb: SnpTcb,
    /// TCB that is committed.
    pub committed_tcb: SnpTcb,
    /// TCB that is reported.
    pub reported_tcb: SnpTcb,
    /// TCB at launch.
    pub launch_tcb: SnpTcb,
    /// Mitigations at launch and now; only version 5 shows them.
    pub mitigations: u64,
}

impl SnpGuest {
    /// A guest whose executable has SHA-256 `guest` and that will start `app`, on a machine with today's firmware.
    pub fn launch(guest: &Digest, app: &AppImage) -> Self {
        Self::of(&measurement(guest, app))
    }

    /// A guest that boots a VM image which holds `app`, on the same machine.
    pub fn boot(boot: &VmBoot, app: &AppImage) -> Self {
        Self::of(&boot_measurement(boot, app))
    }

    fn of(launch: &SnpMeasurement) -> Self {
        let tcb = SnpTcb { fmc: 0, bootloader: 0x0a, tee: 0, snp: 0x19, microcode: 0x60 };
        Self {
            report_version: 5,
            guest_svn: 1,
            guest_policy: GUEST_POLICY,
            family_id: [0; 16],
            image_id: [0; 16],
            vmpl: 0,
            platform_info: PLATFORM_INFO,
            measurement: launch.measurement,
            host_data: launch.host_data.unwrap_or(Digest::ZERO),
            id_key_digest: Register::ZERO,
            author_key_digest: None,
            current_tcb: tcb,
            committed_tcb: tcb,
            reported_tcb: tcb,
            launch_tcb: tcb,
            mitigations: 3,
        }
    }

    /// The same guest under a condition.
    pub(super) fn under(&self, condition: SnpCondition, product: SnpProduct) -> Self {
        let mut guest = self.clone();
        let oldest = SnpTcb::default();
        match condition {
            SnpCondition::Debug => guest.guest_policy |= DEBUG,
            SnpCondition::Migratable => guest.guest_policy |= MIGRATE_MA,
            SnpCondition::LowerPrivilege => guest.vmpl = 1,
            SnpCondition::TcbOld => {
                guest.current_tcb = oldest;
                guest.committed_tcb = oldest;
                guest.reported_tcb = oldest;
                guest.launch_tcb = oldest;
            }
            SnpCondition::LaunchTcbOld => guest.launch_tcb = oldest,
            SnpCondition::TcbOutOfOrder => guest.committed_tcb = oldest,
            SnpCondition::AliasUnchecked => guest.platform_info &= !ALIAS_CHECK,
            _ => {}
        }
        if product != SnpProduct::Turin {
            let all = [&mut guest.current_tcb, &mut guest.committed_tcb, &mut guest.reported_tcb];
            for tcb in all.into_iter().chain([&mut guest.launch_tcb]) {
                tcb.fmc = 0;
            }
        }
        guest
    }
}

/// Bytes of a report (AMD 56860 table 22).
pub(crate) const REPORT_BYTES: usize = 1184;

/// The bytes of a report in canonical form.
pub(super) fn report(
    platform: &SnpPlatform,
    guest: &SnpGuest,
    report_data: &[u8; 64],
    (signing_key, key): (SnpSigningKey, &P384Key),
    condition: SnpCondition,
) -> Vec<u8> {
    let mut bytes = vec![0; REPORT_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let unsigned = condition == SnpCondition::Unsigned;
    let kind = if unsigned { 7 } else { signing_key as u32 };
    let flags = kind << 2 | u32::from(guest.author_key_digest.is_some());
    let product = platform.product;

    put(0x00, &guest.report_version.to_le_bytes());
    put(0x04, &guest.guest_svn.to_le_bytes());
    put(0x08, &guest.guest_policy.to_le_bytes());
    put(0x10, &guest.family_id);
    put(0x20, &guest.image_id);
    put(0x30, &guest.vmpl.to_le_bytes());
    put(0x34, &1u32.to_le_bytes());
    put(0x38, &tcb_bytes(&guest.current_tcb, product));
    put(0x40, &guest.platform_info.to_le_bytes());
    put(0x48, &flags.to_le_bytes());
    put(0x50, report_data);
    put(0x90, guest.measurement.as_bytes());
    put(0xc0, guest.host_data.as_ref());
    put(0xe0, guest.id_key_digest.as_bytes());
    put(0x110, guest.author_key_digest.unwrap_or(Register::ZERO).as_bytes());
    put(0x140, &derive_bytes(&platform.seed, "snp report id", 0));
    put(0x160, &[0xff; 32]);
    put(0x180, &tcb_bytes(&guest.reported_tcb, product));
    if guest.report_version >= 3 {
        put(0x188, &cpu(product, condition));
    }
    put(0x1a0, &platform.chip_id);
    put(0x1e0, &tcb_bytes(&guest.committed_tcb, product));
    put(0x1e8, &[1, 58, 1, 0, 1, 58, 1, 0]);
    put(0x1f0, &tcb_bytes(&guest.launch_tcb, product));
    if guest.report_version >= 5 {
        put(0x1f8, &guest.mitigations.to_le_bytes());
        put(0x200, &guest.mitigations.to_le_bytes());
    }
    if !unsigned {
        let signature = key.sign(&bytes[..0x2a0]);
        for (scalar, at) in signature.chunks_exact(48).zip([0x2a0, 0x2e8]) {
            let little: Vec<u8> = scalar.iter().rev().copied().collect();
            bytes[at..at + 48].copy_from_slice(&little);
        }
    }
    bytes
}

/// Family, model and stepping.
fn cpu(product: SnpProduct, condition: SnpCondition) -> [u8; 3] {
    let foreign = condition == SnpCondition::CpuForeign;
    match product {
        SnpProduct::Milan if !foreign => [0x19, 0x01, 1],
        SnpProduct::Turin if !foreign => [0x1a, 0x02, 1],
        SnpProduct::Genoa if foreign => [0x19, 0x01, 1],
        _ => [0x19, 0x11, 1],
    }
}

/// A TCB version as this product lays it out (tables 4 and 5).
const fn tcb_bytes(tcb: &SnpTcb, product: SnpProduct) -> [u8; 8] {
    match product {
        SnpProduct::Turin => [tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode],
        SnpProduct::Milan | SnpProduct::Genoa => [tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode],
    }
}
