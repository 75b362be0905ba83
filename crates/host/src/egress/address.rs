//! Which addresses are public (IANA's registries of special-purpose addresses, RFC 6890): only those are dialled for a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not public: first address, length of the prefix.
const SPECIAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// Blocks of IPv6 inside of what is public (`2000::/3`) that are not: protocols that hold other addresses, documentation.
const SPECIAL_V6: [([u16; 2], u32); 4] =
    [([0x2001, 0x0000], 23), ([0x2001, 0x0db8], 32), ([0x2002, 0x0000], 16), ([0x3fff, 0x0000], 20)];

/// Whether an address is one of the public network.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(first, length)| (bits ^ u32::from_be_bytes(*first)) >> (32 - length) == 0)
}

/// Addresses of IPv4 inside of IPv6 lie outside of `2000::/3`, or in the blocks above: none is public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = (address.to_bits() >> 96) as u32;
    let within =
        |first: [u16; 2], length: u32| (bits ^ (u32::from(first[0]) << 16 | u32::from(first[1]))) >> (32 - length) == 0;
    within([0x2000, 0], 3) && !SPECIAL_V6.iter().any(|(first, length)| within(*first, *length))
}
