//! The two halves of ECDSA's `s` on P-256: `(r, s)` and `(r, n - s)` verify alike, so one of them must be refused.

/// Order of P-256, big-endian (SP 800-186 §3.2.1.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// Half of the order, rounded down: the largest canonical `s`.
const ORDER_HALF: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d,
    0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Whether `s` is in the lower, canonical half.
pub(crate) fn is_lower_half(s: &[u8; 32]) -> bool {
    *s <= ORDER_HALF
}

/// Replaces `s` by `n - s`; `None` for what is no scalar.
pub(crate) fn negate(s: &mut [u8; 32]) -> Option<()> {
    if *s >= ORDER {
        return None;
    }
    let mut borrow = 0i16;
    for (byte, order) in s.iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
    Some(())
}

#[cfg(test)]
mod tests;
