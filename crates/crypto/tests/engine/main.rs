//! Our verification against other implementations: certificates made by the consensus engine's own types, and derived
//! keys opened by the unmodified vetKD client.
#![allow(clippy::unwrap_used)]

mod certificate;
mod vetkd;

use commonware_codec::Encode as _;
use commonware_cryptography::bls12381::{
    dkg::feldman_desmedt::deal_anonymous,
    primitives::{
        group::Share,
        sharing::{Mode, Sharing},
        variant::MinSig,
    },
};
use commonware_utils::{N3f1, NZU32};
use freehold_primitives::NetworkKey;
use rand::{SeedableRng as _, rngs::StdRng};

/// A trusted dealer's shares for four validators.
fn deal(seed: u64) -> (Sharing<MinSig>, Vec<Share>) {
    deal_anonymous::<MinSig, N3f1>(StdRng::seed_from_u64(seed), Mode::NonZeroCounter, NZU32!(4))
}

/// The coefficients stand last in the engine's encoding, constant term first.
fn coefficients(sharing: &Sharing<MinSig>) -> Vec<NetworkKey> {
    let bytes = sharing.encode();
    let coefficients = &bytes[bytes.len() - sharing.required() as usize * NetworkKey::SIZE..];
    coefficients.chunks_exact(NetworkKey::SIZE).map(|chunk| NetworkKey(chunk.try_into().unwrap())).collect()
}

fn network_key(sharing: &Sharing<MinSig>) -> NetworkKey {
    NetworkKey(sharing.public().encode().as_ref().try_into().unwrap())
}
