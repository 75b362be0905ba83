//! What all members of a round agree on before it begins.

use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::{Info, Reveal},
        primitives::{sharing::Mode, variant::MinSig},
    },
    ed25519,
};
use commonware_utils::{N3f1, ordered::Set};
use freehold_crypto::hash;
use freehold_primitives::{Canonical as _, Digest, Ed25519Key};

use super::{CeremonyError, Committee};
use crate::keys::{ShareKind, validator_set};

/// What all members of a round agree on before it begins.
#[derive(Clone)]
pub struct Plan {
    /// Name of the chain, or of the genesis in the making; fixed for the life of a key on that chain.
    pub namespace: Vec<u8>,
    /// Which key.
    pub kind: ShareKind,
    /// Number of the round: it only rises, failures included.
    pub round: u64,
    /// The committee that holds the key and deals; `None` where the key is being made, by the players themselves.
    pub previous: Option<Committee>,
    /// Members that shall hold shares afterwards, sorted.
    pub players: Vec<Ed25519Key>,
}

/// A plan in the engine's terms.
pub(super) struct Round {
    pub(super) plan: Plan,
    pub(super) digest: Digest,
    pub(super) info: Info<MinSig, ed25519::PublicKey>,
    pub(super) dealers: Set<ed25519::PublicKey>,
    pub(super) players: Set<ed25519::PublicKey>,
}

impl Plan {
    pub(super) fn round(self) -> Result<Round, CeremonyError> {
        let players = validator_set(&self.players)?;
        let dealers = self.previous.as_ref().map_or_else(|| players.clone(), |previous| previous.members().clone());
        let namespace = [&self.namespace[..], b" key generation ", &[self.kind.tag()]].concat();
        let previous = self.previous.as_ref().map(Committee::output);
        let info = Info::new::<N3f1>(
            &namespace,
            self.round,
            previous,
            Mode::NonZeroCounter,
            Reveal::V1,
            dealers.clone(),
            players.clone(),
        )
        .map_err(|_| CeremonyError::Plan)?;
        Ok(Round { digest: self.digest(&namespace), plan: self, info, dealers, players })
    }

    fn digest(&self, namespace: &[u8]) -> Digest {
        let previous = self.previous.as_ref().map_or(Digest::ZERO, Committee::digest);
        let (mut round, mut players) = (Vec::new(), Vec::new());
        self.round.write(&mut round);
        self.players.write(&mut players);
        hash(
            "freehold key ceremony",
            &[&namespace.to_vec().len().to_be_bytes(), namespace, &round, previous.as_bytes(), &players],
        )
    }
}

impl Round {
    pub(super) fn is_dealer(&self, key: &ed25519::PublicKey) -> bool {
        self.dealers.position(key).is_some()
    }

    pub(super) fn is_player(&self, key: &ed25519::PublicKey) -> bool {
        self.players.position(key).is_some()
    }
}
