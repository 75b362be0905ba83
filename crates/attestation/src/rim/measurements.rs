//! What a RIM file says: model, version, and the accepted values of each measurement (TCG RIM information model; NVIDIA's
//! use of it as its files show it).

use freehold_primitives::{GPU_VERSION_BYTES_MAX, GpuMeasurement, GpuReference, POLICY_LIST_MAX, Register};

use super::xml::Element;
use crate::refusal::Refusal;

const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const HASHES: &str = "http://www.w3.org/2001/04/xmlenc#sha384";

/// Reads the measurements of a verified tag.
pub(crate) fn read(tag: &Element) -> Result<GpuReference, Refusal> {
    let (model, version, payload) = head(tag).ok_or(Refusal::RimFormat)?;
    let resources = payload.elements().ok_or(Refusal::RimFormat)?;
    let mut measurements = Vec::new();
    for resource in resources {
        if let Some(measurement) = measurement(resource).ok_or(Refusal::RimMeasurements)? {
            measurements.push(measurement);
        }
    }
    let reference = GpuReference { model, version, measurements };
    if reference.is_well_formed() { Ok(reference) } else { Err(Refusal::RimMeasurements) }
}

/// Model, version and payload.
fn head(tag: &Element) -> Option<(String, String, &Element)> {
    let elements: [&Element; 4] = tag.elements()?.try_into().ok()?;
    let [entity, meta, payload, signature] = elements;
    let expected = [(entity, SWID, "Entity"), (meta, SWID, "Meta"), (payload, SWID, "Payload")];
    if !tag.is(SWID, "SoftwareIdentity") || !expected.iter().all(|(element, space, name)| element.is(space, name)) {
        return None;
    }
    let model = meta.attribute("", "product")?;
    let version = meta.attribute("", "colloquialVersion")?;
    let text = |text: &str| {
        !text.is_empty()
            && text.len() <= GPU_VERSION_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    let direct = meta.attribute("", "PayloadType") == Some("direct");
    let sound = signature.is(XMLDSIG, "Signature") && direct && tag.attribute("", "name") == Some(model);
    (sound && text(model) && text(version)).then(|| (model.to_owned(), version.to_owned(), payload))
}

/// One resource: a measurement where it is active, else nothing. `None` when it is malformed.
fn measurement(resource: &Element) -> Option<Option<GpuMeasurement>> {
    let plain = |name: &str| resource.attribute("", name);
    if !resource.is(SWID, "Resource") || !resource.children.is_empty() || plain("type")? != "Measurement" {
        return None;
    }
    let index = number(plain("index")?)?;
    let alternatives = number(plain("alternatives")?)?;
    let hashes = resource.attributes().filter(|(namespace, ..)| !namespace.is_empty()).count();
    if plain("size")? != "48" || alternatives == 0 || alternatives > POLICY_LIST_MAX || hashes != alternatives {
        return None;
    }
    let value = |at: usize| register(resource.attribute(HASHES, &format!("Hash{at}"))?);
    let values = (0..alternatives).map(value).collect::<Option<Vec<_>>>()?;
    match plain("active")? {
        "True" => Some(Some(GpuMeasurement { index: u8::try_from(index).ok()?, values })),
        "False" => Some(None),
        _ => None,
    }
}

/// A decimal number without leading zeros, below 1000.
fn number(text: &str) -> Option<usize> {
    let plain = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse::<usize>().ok())??;
    (number.to_string() == text).then_some(number)
}

/// 48 bytes in lower-case hex.
fn register(text: &str) -> Option<Register> {
    let digits = text.as_bytes();
    if digits.len() != 96 {
        return None;
    }
    let mut register = [0; 48];
    for (byte, pair) in register.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(Register(register))
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
