//! The trusted dealer: one process makes both threshold keys and knows them for a moment. Development only.
//!
//! Invariant: the two keys come from two dealings with their own randomness, so knowing everything about one says
//! nothing about the other.

use commonware_codec::Encode as _;
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::deal,
        primitives::{
            group::Share,
            sharing::{Mode, Sharing},
            variant::MinSig,
        },
    },
    ed25519,
};
use commonware_utils::{N3f1, ordered::Set};
use freehold_primitives::{Blob, Ed25519Key, NetworkKey};
use rand_core::CryptoRng;

use crate::keys::{KeyError, KeyShare, ShareKind, coefficients, constant_term, validator_set};

/// What a dealer made. Shares stand in the order of the validators.
pub struct Dealt {
    /// Public polynomial of the consensus key, in the engine's encoding: `Genesis::consensus_polynomial`.
    pub consensus_polynomial: Blob,
    /// The network key: its constant term.
    pub network_key: NetworkKey,
    /// Shares of the consensus key.
    pub consensus_shares: Vec<KeyShare>,
    /// Public polynomial of the derivation key, constant term first: `Genesis::derivation_polynomial`.
    pub derivation_polynomial: Vec<NetworkKey>,
    /// Shares of the derivation key.
    pub derivation_shares: Vec<KeyShare>,
}

/// Deals both keys to `validators`, which must be sorted; any `2f + 1` of `n = 3f + 1` shares make the key.
///
/// # Errors
/// [`KeyError::Count`], [`KeyError::Validators`].
pub fn trusted_dealer(rng: &mut impl CryptoRng, validators: &[Ed25519Key]) -> Result<Dealt, KeyError> {
    let set = validator_set(validators)?;
    let (consensus, consensus_shares) = deal_one(rng, &set, ShareKind::Consensus)?;
    let (derivation, derivation_shares) = deal_one(rng, &set, ShareKind::Derivation)?;
    Ok(Dealt {
        network_key: constant_term(&consensus),
        consensus_polynomial: Blob(consensus.encode().to_vec()),
        consensus_shares,
        derivation_polynomial: coefficients(&derivation),
        derivation_shares,
    })
}

fn deal_one(
    rng: &mut impl CryptoRng,
    set: &Set<ed25519::PublicKey>,
    kind: ShareKind,
) -> Result<(Sharing<MinSig>, Vec<KeyShare>), KeyError> {
    let (output, shares) =
        deal::<MinSig, _, N3f1>(rng, Mode::NonZeroCounter, set.clone()).map_err(|_| KeyError::Count(set.len()))?;
    let shares = shares.values().iter().map(|share: &Share| KeyShare::from_engine(kind, share)).collect();
    Ok((output.public().clone(), shares))
}

#[cfg(test)]
mod tests;
