//! The outer layer of a certificate or revocation list: `SEQUENCE { tbs, algorithm, BIT STRING }`, in DER.
//!
//! Invariant: [`split`] accepts one encoding of its three parts only.

/// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of salt (RFC 4055 §3.1), without and with the default
/// trailer field, which AMD writes in its older certificates though DER forbids it.
pub(super) const RSA_PSS: [&[u8]; 2] = [
    &[
        0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f, 0x30,
        0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a,
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
        0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30,
    ],
    &[
        0x30, 0x46, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x39, 0xa0, 0x0f, 0x30,
        0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a,
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
        0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30, 0xa3, 0x03, 0x02, 0x01, 0x01,
    ],
];

/// ECDSA with SHA-384 (RFC 5758 §3.2).
pub(super) const ECDSA_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

/// What is signed.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Certificate,
    RevocationList,
}

/// The three parts.
pub(crate) struct Signed<'a> {
    /// What was signed: tag, length and value.
    pub(crate) tbs: &'a [u8],
    /// The algorithm: tag, length and value.
    pub(crate) algorithm: &'a [u8],
    /// The signature's bytes.
    pub(crate) signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the algorithm inside the signed part is, byte for byte, the one outside (RFC 5280 §4.1.1.2).
    pub(super) fn names_algorithm_inside(&self, kind: Kind) -> bool {
        let Some((0x30, fields, [])) = read_tlv(self.tbs) else { return false };
        // A certificate: [0] version, serial, algorithm. A list of version 2: version, algorithm.
        let before = match kind {
            Kind::Certificate => 2,
            Kind::RevocationList => 1,
        };
        let mut rest = fields;
        for _ in 0..before {
            let Some((_, _, behind)) = read_tlv(rest) else { return false };
            rest = behind;
        }
        rest.starts_with(self.algorithm)
    }
}

/// Splits the outer layer.
pub(crate) fn split(der: &[u8]) -> Option<Signed<'_>> {
    let (0x30, fields, []) = read_tlv(der)? else { return None };
    let (0x30, _, behind_tbs) = read_tlv(fields)? else { return None };
    let (0x30, _, behind_algorithm) = read_tlv(behind_tbs)? else { return None };
    let (0x03, [0, signature @ ..], []) = read_tlv(behind_algorithm)? else { return None };
    Some(Signed {
        tbs: &fields[..fields.len() - behind_tbs.len()],
        algorithm: &behind_tbs[..behind_tbs.len() - behind_algorithm.len()],
        signature,
    })
}

/// Tag, value and what stands behind, with the length in its shortest form and below 2^24.
pub(super) fn read_tlv(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            let shortest = if digits.len() == 1 { length >= 0x80 } else { digits[0] != 0 };
            (shortest.then_some(length)?, rest)
        }
        _ => return None,
    };
    let (value, behind) = rest.split_at_checked(length)?;
    Some((tag, value, behind))
}

#[cfg(test)]
mod tests;
