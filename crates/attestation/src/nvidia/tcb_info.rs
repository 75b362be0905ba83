//! The DICE TcbInfo extension of a GPU's leaf certificate: which firmware the key belongs to.
//!
//! Two shapes are known. Hopper writes version, key of the layer below, and one firmware id under
//! `2.23.133.5.4.1`; Blackwell writes `DiceTcbInfo` under `2.23.133.5.4.1.1` (TCG DICE Attestation Architecture §6.1.1).
//! Both are walked field by field; nothing is found by searching bytes.

use x509_cert::der::{
    Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber,
    asn1::{AnyRef, BitStringRef, OctetStringRef},
    oid::ObjectIdentifier,
};

use super::certificate::Certificate;
use crate::refusal::Refusal;

/// Hopper's extension.
const HOPPER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1");
/// Blackwell's extension.
const BLACKWELL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1.1");
/// Both.
pub(crate) const IDS: &[ObjectIdentifier] = &[HOPPER, BLACKWELL];
/// `id-sha384` (FIPS 180-4; RFC 5758 §2).
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
/// Flags of `DiceTcbInfo`, most significant bit first: not secure (1), recovery (2), debug (3).
const FLAGS_DEBUG: u8 = 0b0111_0000;
/// Most firmware ids in one extension.
const FIRMWARE_IDS_MAX: usize = 8;

/// What the extension says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcbInfo {
    /// SHA-384 of the firmware that holds the key.
    pub(crate) fwid: [u8; 48],
    /// Whether the flags say debug, recovery or not secure. Hopper's shape has no flags.
    pub(crate) debug: bool,
}

/// Reads the extension of `leaf`, whose issuer is `device`.
///
/// # Errors
/// [`Refusal::GpuTcbInfo`] unless exactly one of both shapes is there, well-formed, and (Hopper) names the device's key.
pub(crate) fn read(leaf: &Certificate, device: &Certificate) -> Result<TcbInfo, Refusal> {
    let found = match (leaf.extension(HOPPER), leaf.extension(BLACKWELL)) {
        (Some(content), None) => hopper(content, device.key_info()),
        (None, Some(content)) => blackwell(content),
        _ => None,
    };
    found.ok_or(Refusal::GpuTcbInfo)
}

fn hopper(content: &[u8], device_key_info: &[u8]) -> Option<TcbInfo> {
    let mut fields = sequence(content)?;
    let version = fields.decode::<u8>().ok()?;
    let key = fields.tlv_bytes().ok()?;
    let fwid = firmware_id(fields.tlv_bytes().ok()?)?;
    fields.finish().ok()?;
    (version == 1 && key == device_key_info).then_some(TcbInfo { fwid, debug: false })
}

fn blackwell(content: &[u8]) -> Option<TcbInfo> {
    let mut fields = sequence(content)?;
    let mut fwid = None;
    let mut debug = false;
    let mut last = None;
    while !fields.is_finished() {
        let field = fields.decode::<AnyRef<'_>>().ok()?;
        let Tag::ContextSpecific { constructed, number } = field.header().tag() else { return None };
        if last.is_some_and(|last| last >= number) {
            return None;
        }
        last = Some(number);
        match number {
            TagNumber(6) if constructed => fwid = Some(first_firmware_id(field.value())?),
            TagNumber(7) if !constructed => debug = flags(field.value())?,
            TagNumber(0..=5 | 8 | 9) if !constructed => {}
            _ => return None,
        }
    }
    Some(TcbInfo { fwid: fwid?, debug })
}

/// The first of a list of firmware ids; all must be well-formed.
fn first_firmware_id(content: &[u8]) -> Option<[u8; 48]> {
    let mut list = SliceReader::new(content).ok()?;
    let mut ids = Vec::new();
    while !list.is_finished() {
        ids.push(firmware_id(list.tlv_bytes().ok()?)?);
    }
    if ids.len() > FIRMWARE_IDS_MAX { None } else { ids.first().copied() }
}

/// `FWID ::= SEQUENCE { hashAlg OBJECT IDENTIFIER, digest OCTET STRING }`, SHA-384 only.
fn firmware_id(der: &[u8]) -> Option<[u8; 48]> {
    let mut fields = sequence(der)?;
    let algorithm = fields.decode::<ObjectIdentifier>().ok()?;
    let digest: [u8; 48] = fields.decode::<&OctetStringRef>().ok()?.as_bytes().try_into().ok()?;
    fields.finish().ok()?;
    (algorithm == SHA384).then_some(digest)
}

/// Operational flags: a bit string, tagged implicitly.
fn flags(content: &[u8]) -> Option<bool> {
    let der = AnyRef::new(Tag::BitString, content).ok()?.to_der().ok()?;
    let flags = BitStringRef::from_der(&der).ok()?;
    Some(flags.raw_bytes().first().is_some_and(|byte| byte & FLAGS_DEBUG != 0))
}

fn sequence(der: &[u8]) -> Option<SliceReader<'_>> {
    let outer = AnyRef::from_der(der).ok()?;
    if outer.header().tag() != Tag::Sequence {
        return None;
    }
    SliceReader::new(outer.value()).ok()
}
