//! The two halves of ECDSA's `s`: `(r, s)` and `(r, n - s)` verify alike, so one of them must be refused.

/// The scalars of a curve of `N` bytes, big-endian.
pub(crate) struct Scalars<const N: usize> {
    /// Order of the curve's group.
    order: [u8; N],
    /// Half of the order, rounded down: the largest canonical `s`.
    half: [u8; N],
}

/// Those of P-256 (SP 800-186 §3.2.1.3).
pub(crate) const P256: Scalars<32> = Scalars::of([
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
]);

/// Those of P-384 (SP 800-186 §3.2.1.4).
pub(crate) const P384: Scalars<48> = Scalars::of([
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0,
    0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
]);

impl<const N: usize> Scalars<N> {
    const fn of(order: [u8; N]) -> Self {
        let mut half = order;
        let (mut at, mut carry) = (0, 0);
        while at < N {
            half[at] = carry << 7 | order[at] >> 1;
            carry = order[at] & 1;
            at += 1;
        }
        Self { order, half }
    }

    /// Whether `s` is in the lower, canonical half.
    pub(crate) fn is_lower_half(&self, s: &[u8; N]) -> bool {
        *s <= self.half
    }

    /// Replaces `s` by `n - s`; `None` for what is no scalar.
    pub(crate) fn negate(&self, s: &mut [u8; N]) -> Option<()> {
        if *s >= self.order {
            return None;
        }
        let mut borrow = 0i16;
        for (byte, order) in s.iter_mut().zip(self.order).rev() {
            let difference = i16::from(order) - i16::from(*byte) - borrow;
            borrow = i16::from(difference < 0);
            *byte = difference.rem_euclid(256) as u8;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
