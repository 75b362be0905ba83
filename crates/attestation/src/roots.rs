//! The rule for a genesis's roots of trust.

use freehold_primitives::{Genesis, TrustDomain, TrustRoot};
use x509_cert::{
    Certificate,
    der::{Decode as _, Encode as _},
};

use crate::refusal::Refusal;

/// What the subject of every root for development says.
const MARK: &[u8] = b"EMULATED";

/// Checks a genesis's roots of trust: each can be read and stands there once, and a production network lists none for
/// development. A root counts as one for development by its domain, and also when its subject carries the emulator's
/// mark under another domain's name.
///
/// # Errors
/// [`Refusal::RootRepeated`], [`Refusal::RootMalformed`], [`Refusal::EmulatedRoot`].
pub fn check_roots(genesis: &Genesis) -> Result<(), Refusal> {
    for (index, root) in genesis.trust_roots.iter().enumerate() {
        if genesis.trust_roots[..index].iter().any(|other| other.certificate == root.certificate) {
            return Err(Refusal::RootRepeated);
        }
        check_root(root, genesis.is_production())?;
    }
    Ok(())
}

fn check_root(root: &TrustRoot, production: bool) -> Result<(), Refusal> {
    let certificate = Certificate::from_der(&root.certificate.0).map_err(|_| Refusal::RootMalformed)?;
    let subject = certificate.tbs_certificate().subject().to_der().map_err(|_| Refusal::RootMalformed)?;
    let marked = subject.windows(MARK.len()).any(|window| window == MARK);
    if production && (marked || root.domain == TrustDomain::Emulated) {
        return Err(Refusal::EmulatedRoot);
    }
    // A marked root under a vendor's name would show emulated evidence as hardware, whatever the network is for.
    if marked && root.domain != TrustDomain::Emulated { Err(Refusal::EmulatedRoot) } else { Ok(()) }
}
