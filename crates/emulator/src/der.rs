//! Writing DER: what emulated certificates and revocation lists of AMD and AWS are made of.

use freehold_primitives::UnixSeconds;
use time::OffsetDateTime;

/// Tag, length in its shortest form, value; values are below 64 KiB.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("certificates and lists are a few KiB").to_be_bytes();
    let mut out = vec![tag];
    match length {
        [0, low] if low < 0x80 => out.push(low),
        [0, low] => out.extend([0x81, low]),
        [high, low] => out.extend([0x82, high, low]),
    }
    out.extend(value);
    out
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// An OBJECT IDENTIFIER.
pub(crate) fn oid(arcs: &[u32]) -> Vec<u8> {
    let (head, tail) = arcs.split_at(2);
    let mut value = vec![u8::try_from(head[0] * 40 + head[1]).expect("our arcs begin below 120")];
    for arc in tail {
        let digits =
            (1..5).rev().filter(|digit| arc >> (7 * digit) != 0).map(|digit| (arc >> (7 * digit)) as u8 | 0x80);
        value.extend(digits);
        value.push(*arc as u8 & 0x7f);
    }
    tlv(0x06, &value)
}

/// A non-negative INTEGER from big-endian bytes.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let digits = &bytes[first..];
    let sign: &[u8] = if digits.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    tlv(0x02, &[sign, digits].concat())
}

pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bytes].concat())
}

/// UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
pub(crate) fn moment(unix_s: UnixSeconds) -> Vec<u8> {
    let unix_s = i64::try_from(unix_s).expect("block times are far below 2^63");
    let at = OffsetDateTime::from_unix_timestamp(unix_s).expect("block times are within the years of certificates");
    let year = at.year();
    let rest = [u8::from(at.month()), at.day(), at.hour(), at.minute(), at.second()];
    let rest: String = rest.iter().map(|part| format!("{part:02}")).collect();
    if year < 2050 {
        tlv(0x17, format!("{:02}{rest}Z", year % 100).as_bytes())
    } else {
        tlv(0x18, format!("{year:04}{rest}Z").as_bytes())
    }
}

#[cfg(test)]
mod tests;
