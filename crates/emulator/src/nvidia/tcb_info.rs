//! The TcbInfo extension in the shapes of both architectures (TCG DICE Attestation Architecture §6.1.1, and Hopper's own).

use rcgen::CustomExtension;

use super::GpuCondition;

const HOPPER: &[u64] = &[2, 23, 133, 5, 4, 1];
const BLACKWELL: &[u64] = &[2, 23, 133, 5, 4, 1, 1];
/// `id-sha384`, DER.
const SHA384: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
/// Not configured, and the width is fixed: as production GPUs have it.
const FLAGS: [u8; 5] = [0, 0x80, 0, 0, 0x01];
/// As above, and debug.
const FLAGS_DEBUG: [u8; 5] = [0, 0x90, 0, 0, 0x01];

/// Version, key of the device, firmware id.
pub(crate) fn hopper(device_key_info: &[u8], fwid: &[u8; 48]) -> CustomExtension {
    let content = tlv(0x30, &[&tlv(0x02, &[1]), device_key_info, &firmware_id(fwid)].concat());
    CustomExtension::from_oid_content(HOPPER, content)
}

/// `DiceTcbInfo` with two firmware ids, the second of which is zero.
pub(crate) fn blackwell(fwid: &[u8; 48], condition: GpuCondition) -> CustomExtension {
    let flags = if condition == GpuCondition::Debug { FLAGS_DEBUG } else { FLAGS };
    let fields = [
        tlv(0x80, b"EMULATED"),
        tlv(0x81, b"GB20X A01 GSP"),
        tlv(0x82, b"02"),
        tlv(0x83, &[2]),
        tlv(0x84, &[0]),
        tlv(0x85, &[0]),
        tlv(0xa6, &[firmware_id(fwid), firmware_id(&[0; 48])].concat()),
        tlv(0x87, &flags),
        tlv(0x88, &[0xc0]),
        tlv(0x89, &[0]),
    ];
    CustomExtension::from_oid_content(BLACKWELL, tlv(0x30, &fields.concat()))
}

fn firmware_id(fwid: &[u8; 48]) -> Vec<u8> {
    tlv(0x30, &[SHA384, &tlv(0x04, fwid)].concat())
}

/// DER tag, length, value; values here are below 256 bytes.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("the extension is below 256 bytes");
    let head: &[u8] = if length < 0x80 { &[tag, length] } else { &[tag, 0x81, length] };
    [head, value].concat()
}
