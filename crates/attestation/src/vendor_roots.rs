//! The vendors' own root certificates, as published: data, for tools and for whoever writes a genesis.
//!
//! A verdict never falls back to them: it knows only the roots that it is given. Sources and SHA-256 of each file stand
//! in `roots/README.md`, and a test compares them.

use freehold_primitives::{Blob, TrustDomain, TrustRoot};

const ROOTS: [(TrustDomain, &[u8]); 6] = [
    (TrustDomain::Intel, include_bytes!("../roots/intel-sgx-root.der")),
    (TrustDomain::Amd, include_bytes!("../roots/amd-ark-milan.der")),
    (TrustDomain::Amd, include_bytes!("../roots/amd-ark-genoa.der")),
    (TrustDomain::Amd, include_bytes!("../roots/amd-ark-turin.der")),
    (TrustDomain::Aws, include_bytes!("../roots/aws-nitro-root.der")),
    (TrustDomain::Nvidia, include_bytes!("../roots/nvidia-device-root.der")),
];

/// The roots of Intel (SGX and TDX), AMD (Milan, Genoa, Turin), AWS (Nitro) and NVIDIA (GPU devices), DER.
pub fn vendor_roots() -> Vec<TrustRoot> {
    ROOTS.iter().map(|(domain, der)| TrustRoot { domain: *domain, certificate: Blob(der.to_vec()) }).collect()
}

#[cfg(test)]
mod tests;
