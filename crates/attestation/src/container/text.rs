//! Forms in text: hex, base64, PEM and JSON around bytes.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Container, binary, json};
use crate::refusal::Refusal;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Reads text by its beginning; `None` where it is none, or says nothing.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Container>, Refusal> {
    let Ok(text) = core::str::from_utf8(bytes) else { return Ok(None) };
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with(['{', '[']) {
        return json::read(text).map(Some);
    }
    if text.starts_with("-----BEGIN ") {
        let blocks = pem::parse_many(text).map_err(|_| Refusal::ContainerText)?;
        let evidence = blocks.iter().find(|block| !matches!(block.tag(), "CERTIFICATE" | "X509 CRL"));
        return match evidence {
            Some(block) => binary::read(block.contents()),
            None => Err(Refusal::ContainerPart),
        };
    }
    match decode(text.as_bytes()) {
        Some(inner) => binary::read(&inner),
        None => Ok(None),
    }
}

/// Bytes behind hex (`0x` or not) or base64 (either alphabet), white space ignored; `None` where it is neither.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digits = text.strip_prefix(b"0x").unwrap_or(&text);
    if digits.is_empty() {
        return None;
    }
    hex::decode(digits).or_else(|_| STANDARD.decode(&text)).or_else(|_| URL_SAFE.decode(&text)).ok()
}
