//! Messages to peers and from peers: numbered, sealed, and opened once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use freehold_crypto::AccountKey;
use freehold_primitives::Digest;
use freehold_rpc::{Base64Text, OpenedFromPeer, PEER_MESSAGE_BYTES_MAX, SealedForPeer};
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use zeroize::Zeroizing;

use super::{
    Ground, PeerError, Peers,
    envelope::{Envelope, Letter},
    replay::SeenNumbers,
};
use crate::keys::BootKeys;

/// Senders that are remembered in one boot. An app has 64 live instances at most, each for hours: this many are years of them.
const SENDERS_MAX: usize = 4_096;

/// Numbers of what was sent, and of what came.
#[derive(Default)]
pub(crate) struct Channels {
    sent: Mutex<BTreeMap<Digest, u64>>,
    seen: Mutex<BTreeMap<Digest, SeenNumbers>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channels {
    /// The next number to a peer.
    fn next(&self, to: &Digest) -> Result<u64, PeerError> {
        let mut sent = lock(&self.sent);
        if sent.len() >= SENDERS_MAX && !sent.contains_key(to) {
            return Err(PeerError::TooManySenders);
        }
        let next = sent.entry(*to).or_default();
        let number = *next;
        *next += 1;
        Ok(number)
    }

    fn admit(&self, from: Digest, sequence: u64) -> Result<(), PeerError> {
        let mut seen = lock(&self.seen);
        // Forgetting one would let its messages be opened again.
        if seen.len() >= SENDERS_MAX && !seen.contains_key(&from) {
            return Err(PeerError::TooManySenders);
        }
        let is_new = seen.entry(from).or_default().admit(sequence);
        if is_new { Ok(()) } else { Err(PeerError::Replayed { from, sequence }) }
    }
}

impl Peers {
    /// Seals a message for a peer.
    pub(crate) async fn seal(
        &self,
        ground: Ground<'_>,
        keys: &BootKeys,
        (to, message): (Digest, Vec<u8>),
    ) -> Result<SealedForPeer, PeerError> {
        if message.len() > PEER_MESSAGE_BYTES_MAX {
            return Err(PeerError::TooLong);
        }
        let standing = self.standing(ground, &to).await?;
        let keyset = standing.keyset.ok_or(PeerError::NoKeyset(to))?;
        if keyset.not_after <= ground.now {
            return Err(PeerError::NotLive(to));
        }
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|_| PeerError::Randomness)?;
        let sequence = self.channels.next(&to)?;
        let message = Zeroizing::new(message);
        let letter = Letter { from: ground.own.instance_id, to, sequence, sealed_at: ground.now, message };
        let genesis = ground.own.subject.genesis_hash;
        let account: &AccountKey = &keys.account;
        // A key that nothing can be sealed to stands in no keyset that the chain has checked.
        let sealed = Envelope::seal(&letter, genesis, (&keyset.hpke_key, account), &mut rng);
        let envelope = sealed.map_err(|_| PeerError::NoKeyset(to))?;
        Ok(SealedForPeer { envelope: Base64Text(envelope), sequence })
    }

    /// Opens a message of a peer, once.
    pub(crate) async fn open(
        &self,
        ground: Ground<'_>,
        keys: &BootKeys,
        envelope: &[u8],
    ) -> Result<OpenedFromPeer, PeerError> {
        let envelope = Envelope::read(envelope)?;
        let sealed = &envelope.sealed;
        if sealed.to != ground.own.instance_id || sealed.genesis != ground.own.subject.genesis_hash {
            return Err(PeerError::NotAuthentic);
        }
        let from = sealed.from;
        let standing = self.standing(ground, &from).await?;
        if !envelope.is_of(&standing.entry.account) {
            return Err(PeerError::NotAuthentic);
        }
        let letter = envelope.open(&keys.hpke)?;
        self.channels.admit(from, letter.sequence)?;
        let (sequence, sealed_at) = (letter.sequence, letter.sealed_at);
        Ok(OpenedFromPeer { from, sequence, sealed_at, plaintext: Base64Text(letter.message.to_vec()) })
    }
}
