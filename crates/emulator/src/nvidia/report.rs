//! An attestation report, byte for byte as GPUs lay it out (DSP0274 1.1 §10.11; opaque data as NVIDIA's).

use freehold_primitives::{GPU_MEASUREMENTS, GpuArchitecture, GpuMode};
use sha2::{Digest as _, Sha256, Sha384};

use super::{
    GpuCondition, GpuPlan,
    keys::Key384,
    model,
    rim::{self, Part},
};

/// Request, response, signature.
pub(crate) fn report(key: &Key384, nonce: &[u8; 32], architecture: GpuArchitecture, plan: &GpuPlan) -> Vec<u8> {
    let mut nonce = *nonce;
    if plan.condition == GpuCondition::NonceForeign {
        nonce[0] ^= 1;
    }
    let mut bytes = vec![0x11, 0xe0, 0x01, 0xff];
    bytes.extend(nonce);
    bytes.push(0);
    bytes.extend([0x11, 0x60, 0, 0, 64, 0xc0, 0x0d, 0]);
    for (index, value) in (0u8..).zip(measurements(architecture, plan)) {
        bytes.extend([index + 1, 0x01, 0x33, 0x00, 0x01, 0x30, 0x00]);
        bytes.extend(value);
    }
    // A real GPU's own nonce is random.
    bytes.extend(Sha256::new().chain_update(b"freehold emulated gpu nonce\n").chain_update(nonce).finalize());
    let opaque = opaque(architecture, plan);
    bytes.extend(u16::try_from(opaque.len()).expect("the opaque data is a few hundred bytes").to_le_bytes());
    bytes.extend(opaque);
    let mut signature = key.sign(&bytes);
    if plan.condition == GpuCondition::SignatureForeign {
        signature = key.sign(b"something else");
    }
    bytes.extend(signature);
    bytes
}

/// Measurements of this driver and firmware, by index.
fn measurements(architecture: GpuArchitecture, plan: &GpuPlan) -> [[u8; 48]; GPU_MEASUREMENTS] {
    let mut values = [[0; 48]; GPU_MEASUREMENTS];
    for (index, value) in (0u8..).zip(&mut values) {
        if Part::Driver.indexes().contains(&index) {
            *value = rim::value(architecture, Part::Driver, &plan.driver_version, index);
        } else if Part::Firmware.indexes().contains(&index) {
            *value = rim::value(architecture, Part::Firmware, &plan.vbios_version, index);
        }
    }
    match plan.condition {
        GpuCondition::DriverChanged => values[30][47] ^= 1,
        GpuCondition::FirmwareChanged => values[1][0] ^= 1,
        GpuCondition::MeasurementExtra => values[63][0] = 1,
        _ => {}
    }
    values
}

/// SHA-384 of the emulated firmware.
pub(crate) fn fwid(architecture: GpuArchitecture, plan: &GpuPlan) -> [u8; 48] {
    let text = format!("freehold emulated gpu firmware\n{} {}", model(architecture), plan.vbios_version);
    Sha384::digest(text).into()
}

fn opaque(architecture: GpuArchitecture, plan: &GpuPlan) -> Vec<u8> {
    let mut out = Vec::new();
    let mut field = |id: u16, value: &[u8]| {
        out.extend(id.to_le_bytes());
        out.extend(u16::try_from(value.len()).expect("values are at most 256 bytes").to_le_bytes());
        out.extend(value);
    };
    let text = |text: &str| [text.as_bytes(), &[0]].concat();
    field(6, &vbios(&plan.vbios_version));
    field(14, &0x3b1u32.to_le_bytes());
    field(15, b"882\0\0\0\0\0\0");
    field(16, b"0\0\0\0\0");
    field(17, &text("1010"));
    field(18, &text("0200"));
    field(19, &[0, 0]);
    field(3, &text(&plan.driver_version));
    field(12, &[0; 256]);
    field(11, &[0x55]);
    field(20, &fwid(architecture, plan));
    if architecture == GpuArchitecture::Hopper {
        field(21, &[if plan.mode == GpuMode::ProtectedPcie { 0xaa } else { 0x55 }]);
    } else {
        let chip = if plan.condition == GpuCondition::ChipForeign { "GH100" } else { "GB202" };
        field(35, &text(chip));
    }
    field(34, &1u16.to_le_bytes());
    field(36, &(plan.mode as u16 - 1).to_le_bytes());
    out
}

/// `98.02.74.00.01` as its eight bytes.
fn vbios(version: &str) -> [u8; 8] {
    let pairs: Vec<u8> = version.split('.').filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
    let [z, a, b, c, d] = pairs.try_into().expect("a plan's VBIOS version has five pairs");
    [c, b, a, z, d, 0, 0, 0]
}
