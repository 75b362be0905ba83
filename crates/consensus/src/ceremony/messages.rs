//! What members tell each other (dealings, acknowledgements) and what they have ordered (logs, complaints).
//!
//! Every message names its round's digest, because the engine's own dealings carry neither chain nor round.

use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::{
    Signer as _, Verifier as _,
    bls12381::{dkg::feldman_desmedt::SignedDealerLog, primitives::variant::MinSig},
    ed25519,
};
use freehold_primitives::{Blob, Canonical, CodecError, Digest, Ed25519Key, Reader, STATEMENT_BYTES_MAX};
use zeroize::Zeroizing;

use super::Refusal;
use crate::keys::{IdentityKey, VALIDATORS_MAX, engine_key};

/// Largest public part of a dealing: a length and one point for each of at most 64 coefficients.
const PUBLIC_BYTES_MAX: usize = 8 + 96 * VALIDATORS_MAX;
/// Private part of a dealing: one scalar.
const PRIVATE_BYTES: usize = 32;
/// An Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// Largest message between two members, in bytes.
pub const DIRECT_BYTES_MAX: usize = 1 + 32 + 1 + 4 + PUBLIC_BYTES_MAX + 4 + PRIVATE_BYTES;

const COMPLAINT_NAMESPACE: &[u8] = b"freehold key ceremony complaint";

/// A message from one member to another.
pub(super) struct Direct {
    pub(super) plan: Digest,
    pub(super) body: DirectBody,
}

/// What a member tells another.
pub(super) enum DirectBody {
    /// A dealer's dealing to this player. The private part is secret: the link is encrypted.
    Dealing { public: Vec<u8>, private: Zeroizing<Vec<u8>> },
    /// A player's acknowledgement.
    Acknowledgement { signature: Vec<u8> },
}

impl Direct {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Sized in advance, so that no outgrown buffer keeps a scalar.
        let mut out = Zeroizing::new(Vec::with_capacity(DIRECT_BYTES_MAX));
        out.push(freehold_primitives::VERSION);
        self.plan.write(&mut out);
        match &self.body {
            DirectBody::Dealing { public, private } => {
                out.push(1);
                write_bytes(public, &mut out);
                out.extend_from_slice(private);
            }
            DirectBody::Acknowledgement { signature } => {
                out.push(2);
                write_bytes(signature, &mut out);
            }
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > DIRECT_BYTES_MAX {
            return Err(Refusal::Format);
        }
        Self::read(bytes).map_err(|_| Refusal::Format)
    }

    fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        match u8::read(&mut reader)? {
            freehold_primitives::VERSION => {}
            other => return Err(CodecError::Version(other)),
        }
        let plan = Digest::read(&mut reader)?;
        let body = match u8::read(&mut reader)? {
            1 => {
                let public = Blob::read(&mut reader)?.0;
                let private = Zeroizing::new(<[u8; PRIVATE_BYTES]>::read(&mut reader)?);
                DirectBody::Dealing { public, private: Zeroizing::new(private.to_vec()) }
            }
            2 => DirectBody::Acknowledgement { signature: Blob::read(&mut reader)?.0 },
            other => return Err(CodecError::Tag(other)),
        };
        reader.finish()?;
        Ok(Self { plan, body })
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    freehold_primitives::write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// What a dealer has ordered. Public.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// Digest of the round.
    pub(super) plan: Digest,
    pub(super) body: StatementBody,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum StatementBody {
    /// The dealer's signed log, in the engine's encoding.
    Log(Vec<u8>),
    /// Players whose acknowledgement the dealer lacks, signed by it.
    Complaint { dealer: Ed25519Key, missing: Vec<Ed25519Key>, signature: Vec<u8> },
}

impl Canonical for Statement {
    fn write(&self, out: &mut Vec<u8>) {
        self.plan.write(out);
        match &self.body {
            StatementBody::Log(log) => {
                out.push(1);
                write_bytes(log, out);
            }
            StatementBody::Complaint { dealer, missing, signature } => {
                out.push(2);
                dealer.write(out);
                missing.write(out);
                write_bytes(signature, out);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let plan = Digest::read(reader)?;
        let body = match u8::read(reader)? {
            1 => StatementBody::Log(Blob::read(reader)?.0),
            2 => StatementBody::Complaint {
                dealer: Canonical::read(reader)?,
                missing: Vec::read(reader)?,
                signature: Blob::read(reader)?.0,
            },
            other => return Err(CodecError::Tag(other)),
        };
        Ok(Self { plan, body })
    }
}

impl Statement {
    /// The round a statement speaks of, without any check.
    ///
    /// # Errors
    /// [`Refusal::Format`].
    pub fn round_of(bytes: &[u8]) -> Result<Digest, Refusal> {
        Self::read_bounded(bytes).map(|statement| statement.plan)
    }

    pub(super) fn complaint(plan: Digest, identity: &IdentityKey, missing: Vec<Ed25519Key>) -> Self {
        let signature = identity.engine().sign(COMPLAINT_NAMESPACE, &complaint_message(&plan, &missing));
        let signature = signature.encode().to_vec();
        Self { plan, body: StatementBody::Complaint { dealer: identity.public(), missing, signature } }
    }

    pub(super) fn read_bounded(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(Refusal::Format);
        }
        Self::from_canonical(bytes).map_err(|_| Refusal::Format)
    }
}

/// Whether `dealer` signed that it lacks the acknowledgements of `missing`.
pub(super) fn is_complaint(plan: &Digest, dealer: &Ed25519Key, missing: &[Ed25519Key], signature: &[u8]) -> bool {
    let Some(key) = engine_key(dealer) else { return false };
    if signature.len() != SIGNATURE_BYTES {
        return false;
    }
    let Ok(signature) = ed25519::Signature::decode(Copying(signature)) else { return false };
    key.verify(COMPLAINT_NAMESPACE, &complaint_message(plan, missing), &signature)
}

fn complaint_message(plan: &Digest, missing: &[Ed25519Key]) -> Vec<u8> {
    let mut message = Vec::new();
    plan.write(&mut message);
    missing.to_vec().write(&mut message);
    message
}

/// The engine's log of a dealer.
pub(super) type SignedLog = SignedDealerLog<MinSig, ed25519::PublicKey>;
