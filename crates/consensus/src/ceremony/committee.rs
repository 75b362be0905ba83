//! Who holds a key: the members and the public polynomial of their shares.

use commonware_codec::{Copying, Decode as _, Encode as _};
use commonware_cryptography::{
    bls12381::{
        dkg::feldman_desmedt::Output,
        primitives::{
            sharing::{Mode, ModeVersion, Sharing},
            variant::MinSig,
        },
    },
    ed25519,
};
use commonware_utils::{Participant, ordered::Set};
use freehold_crypto::hash;
use freehold_primitives::{Digest, Ed25519Key, NetworkKey};

use crate::keys::{
    KeyError, KeyShare, ShareKind, VALIDATORS_COUNT_MAX, coefficients, constant_term, engine_key, our_key,
    read_polynomial, validator_set,
};

/// The members that hold shares of a key, and the public polynomial of the shares.
#[derive(Clone, PartialEq, Eq)]
pub struct Committee {
    members: Set<ed25519::PublicKey>,
    polynomial: Sharing<MinSig>,
}

impl Committee {
    /// A committee from the polynomial in the engine's encoding (`Genesis::consensus_polynomial`).
    ///
    /// # Errors
    /// [`KeyError::Count`], [`KeyError::Validators`], [`KeyError::Polynomial`].
    pub fn new(members: &[Ed25519Key], polynomial: &[u8]) -> Result<Self, KeyError> {
        let members = validator_set(members)?;
        let polynomial = read_polynomial(&members, polynomial)?;
        Ok(Self { members, polynomial })
    }

    /// A committee from the polynomial's coefficients, constant term first (`Genesis::derivation_polynomial`).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_coefficients(members: &[Ed25519Key], coefficients: &[NetworkKey]) -> Result<Self, KeyError> {
        let total = u32::try_from(members.len()).map_err(|_| KeyError::Count(members.len()))?;
        let mut bytes = Mode::NonZeroCounter.encode().to_vec();
        bytes.extend_from_slice(&total.encode());
        bytes.extend_from_slice(&coefficients.len().encode());
        bytes.extend(coefficients.iter().flat_map(|point| point.0));
        Self::new(members, &bytes)
    }

    pub(super) fn from_output(output: &Output<MinSig, ed25519::PublicKey>) -> Self {
        Self { members: output.players().clone(), polynomial: output.public().clone() }
    }

    /// The members, sorted.
    pub fn keys(&self) -> Vec<Ed25519Key> {
        self.members.iter().map(our_key).collect()
    }

    /// The public key: the polynomial's constant term. Resharing does not change it.
    pub fn public_key(&self) -> NetworkKey {
        constant_term(&self.polynomial)
    }

    /// The polynomial in the engine's encoding.
    pub fn polynomial(&self) -> Vec<u8> {
        self.polynomial.encode().to_vec()
    }

    /// The polynomial's coefficients, constant term first; as many as shares make the key.
    pub fn coefficients(&self) -> Vec<NetworkKey> {
        coefficients(&self.polynomial)
    }

    /// Whether a share is `member`'s share of this key.
    pub(crate) fn is_share_of(&self, member: &Ed25519Key, share: &KeyShare, kind: ShareKind) -> bool {
        share.kind() == kind && engine_key(member).is_some_and(|member| self.holds(&member, share))
    }

    /// Whether a share is `member`'s share of this polynomial.
    pub(super) fn holds(&self, member: &ed25519::PublicKey, share: &KeyShare) -> bool {
        let Ok(engine) = share.to_engine() else { return false };
        if self.members.position(member) != usize::try_from(share.index()).ok() {
            return false;
        }
        let public = self.polynomial.partial_public(Participant::new(share.index()));
        public.is_ok_and(|public| public == engine.public::<MinSig>())
    }

    pub(crate) fn parts(&self) -> (Set<ed25519::PublicKey>, Sharing<MinSig>) {
        (self.members.clone(), self.polynomial.clone())
    }

    pub(super) const fn members(&self) -> &Set<ed25519::PublicKey> {
        &self.members
    }

    /// Names members and polynomial.
    pub(super) fn digest(&self) -> Digest {
        hash("freehold key committee", &[&self.members.encode(), &self.polynomial.encode()])
    }

    /// The engine's form of a finished round. Which dealers made it does not matter to the next; nobody's share was
    /// revealed, for only clean rounds count.
    pub(super) fn output(&self) -> Output<MinSig, ed25519::PublicKey> {
        let mut bytes = self.digest().0.to_vec();
        bytes.extend_from_slice(&self.polynomial.encode());
        bytes.extend_from_slice(&self.members.encode());
        bytes.extend_from_slice(&self.members.encode());
        bytes.extend_from_slice(&Set::<ed25519::PublicKey>::default().encode());
        Output::decode_cfg(Copying(&bytes), &(VALIDATORS_COUNT_MAX, ModeVersion::v0()))
            .expect("the parts of a committee are the parts of an output")
    }
}
