//! The policy and the roots of trust to judge by.

use anyhow::{Context as _, Result};
use freehold_attestation::{container::Container, default_policy, vendor_roots};
use freehold_client::{POLICY_FILE_BYTES_MAX, PolicyFile};
use freehold_emulator::{DEVELOPMENT_SEED, NitroPlatform, SnpPlatform, gpu_root_certificate, root_certificate};
use freehold_primitives::{Blob, SnpProduct, TrustDomain, TrustRoot};

use crate::args::AttestVerifyArgs;

/// What every certificate of the emulator's SEV-SNP machines says.
const EMULATED: &[u8] = b"EMULATED";

/// The policy of the arguments: that of a file, over the defaults, or the default policy.
pub(super) fn of(args: &AttestVerifyArgs) -> Result<PolicyFile> {
    let mut policy = match &args.policy {
        None => PolicyFile::any_measurement(default_policy()),
        Some(path) => {
            let bytes = super::read_bounded(path)?;
            let bytes = &bytes[..bytes.len().min(POLICY_FILE_BYTES_MAX + 1)];
            let text = core::str::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
            PolicyFile::read(text, &default_policy()).with_context(|| format!("{} is no policy", path.display()))?
        }
    };
    if args.require_hardware {
        policy.refuse_emulated();
    }
    Ok(policy)
}

/// The vendors' roots and the emulator's. Those of its SEV-SNP machines take a while to derive, and are added only for
/// evidence that names them.
pub(super) fn roots(container: &Container, beside: &[Vec<u8>]) -> Vec<TrustRoot> {
    let mut ders = vec![
        root_certificate(&DEVELOPMENT_SEED),
        NitroPlatform::new(&DEVELOPMENT_SEED).root_certificate(),
        gpu_root_certificate(&DEVELOPMENT_SEED),
    ];
    let names_it = |bytes: &[u8]| bytes.windows(EMULATED.len()).any(|window| window == EMULATED);
    let snp = match container {
        Container::Snp { certificate: Some(certificate), .. } => names_it(certificate),
        Container::Snp { .. } => beside.iter().any(|file| names_it(file)),
        Container::Bundle(bytes) => names_it(bytes),
        _ => false,
    };
    if snp {
        let products = [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin];
        ders.extend(products.map(|product| SnpPlatform::new(&DEVELOPMENT_SEED, product).root_certificate()));
    }
    let emulated = ders.into_iter().map(|der| TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(der) });
    vendor_roots().into_iter().chain(emulated).collect()
}
