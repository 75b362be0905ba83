//! What the service decides: whose share is served for what, and which of the others' shares count.
//!
//! Invariant: everything that belongs to a term (members, shares and polynomials of all masters, board) stands in one [`InForce`] and is
//! replaced whole when the term changes. Whoever waits for shares of a term that ends keeps that term's, and gets no
//! share of the next among them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use freehold_consensus::{Committee, IdentityKey, KeyShare, TermKeys};
use freehold_crypto::{
    Derivation, Ed25519Secret, EncryptedShare, Polynomial, Share, encrypt_share, share_message, verify_ed25519,
    verify_share,
};
use freehold_primitives::{Blob, Digest, Ed25519Key, Ed25519Signature, Generation, ShareReport, Term};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use tokio::sync::watch;

use super::{
    Released, ShareError,
    board::{Board, Slot},
    grants::{Grants, LiveGrant},
};
use crate::wire::SignedShare;

/// What a validator signs its shares with.
pub(super) struct Signer {
    pub(super) identity: IdentityKey,
    pub(super) genesis: Digest,
}

impl Signer {
    fn sign(&self, (term, master): (Term, Generation), grant: &Digest, share: Vec<u8>) -> SignedShare {
        let message = share_message(&self.genesis, (term, master), grant, &share);
        let signature = Ed25519Secret::from_seed(&self.identity.to_bytes()).sign(&message);
        SignedShare { term, master, share: Blob(share), signature: Ed25519Signature(signature) }
    }

    /// Whether a peer signed what it sent.
    fn is_signed(&self, peer: &Ed25519Key, grant: &Digest, signed: &SignedShare) -> bool {
        let message = share_message(&self.genesis, (signed.term, signed.master), grant, &signed.share.0);
        verify_ed25519(peer, &message, signed.signature.as_bytes()).is_ok()
    }
}

/// What is in force in one term, and the shares of it that came in.
pub(super) struct InForce {
    term: Term,
    members: Vec<Ed25519Key>,
    /// By generation, from that of the genesis on.
    masters: BTreeMap<Generation, Master>,
    board: Mutex<Board>,
}

/// A master in one term.
struct Master {
    polynomial: Polynomial,
    /// This validator's own share.
    share: Option<Share>,
}

impl Master {
    fn new(committee: &Committee, share: Option<&KeyShare>) -> Option<Self> {
        let polynomial = Polynomial::new(&committee.coefficients()).ok()?;
        let share = share.and_then(|share| Share::from_bytes(share.index(), share.scalar()).ok());
        // A share that is not on the polynomial would only ever make wrong answers.
        let share = share.filter(|share| share.check(&polynomial).is_ok());
        Some(Self { polynomial, share })
    }
}

impl InForce {
    fn new(keys: &TermKeys) -> Option<Self> {
        let first = (0, Master::new(&keys.derivation, keys.derivation_share.as_ref())?);
        let mut masters = BTreeMap::from([first]);
        for held in &keys.masters {
            masters.insert(held.generation, Master::new(&held.committee, held.share.as_ref())?);
        }
        let (term, members) = (keys.term, keys.derivation.keys());
        Some(Self { term, members, masters, board: Mutex::default() })
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_of(&self, peer: &Ed25519Key) -> Option<u32> {
        self.members.iter().position(|member| member == peer).and_then(|index| u32::try_from(index).ok())
    }

    /// A master that lives in this term.
    fn master(&self, generation: Generation) -> Result<&Master, ShareError> {
        self.masters.get(&generation).ok_or(ShareError::Retired)
    }

    /// Makes the slot of a live grant, where there is none.
    fn open_slot(&self, live: &LiveGrant) -> Result<(), ShareError> {
        let (entry, master) = (&live.entry, live.master);
        if self.board().get(&entry.grant_id).is_some() {
            return Ok(());
        }
        let public = self.master(master)?.polynomial.master();
        let derivation = Derivation::new(public, &entry.app_id, &entry.context, entry.generation);
        let derivation = Arc::new(derivation.map_err(|_| ShareError::Context)?);
        self.board().slot(entry.grant_id, || Slot::new(master, derivation, entry.transport_key));
        Ok(())
    }

    /// The polynomial that a grant's shares are checked under.
    fn polynomial_of(&self, grant: &Digest) -> Option<&Polynomial> {
        let master = self.board().get(grant)?.master;
        self.masters.get(&master).map(|master| &master.polynomial)
    }

    /// The own share for a live grant, made once a term.
    fn own(&self, live: &LiveGrant) -> Result<Vec<u8>, ShareError> {
        let entry = &live.entry;
        let share = self.master(live.master)?.share.as_ref().ok_or(ShareError::NoShare)?;
        self.open_slot(live)?;
        let (derivation, transport_key) = {
            let board = self.board();
            let slot = board.get(&entry.grant_id).ok_or(ShareError::State)?;
            if let Some(kept) = slot.shares.get(&share.index()) {
                return Ok(kept.clone());
            }
            (Arc::clone(&slot.derivation), slot.transport_key)
        };
        let made = encrypt_share(share, &derivation, &transport_key, &mut UnwrapErr(SysRng));
        let made = made.map_err(|_| ShareError::TransportKey)?.to_bytes().to_vec();
        if let Some(slot) = self.board().get_mut(&entry.grant_id) {
            slot.shares.insert(share.index(), made.clone());
        }
        Ok(made)
    }

    /// Takes a peer's share, once it is known to be its share of this key for this grant.
    fn take(
        &self,
        peer: &Ed25519Key,
        (grant, signer): (&Digest, &Signer),
        signed: &SignedShare,
    ) -> Result<(), ShareError> {
        let index = self.index_of(peer).ok_or(ShareError::Stranger)?;
        let share = &signed.share.0;
        let (master, derivation, transport_key) = {
            let board = self.board();
            let slot = board.get(grant).filter(|slot| slot.is_wanted).ok_or(ShareError::Unasked)?;
            if slot.shares.contains_key(&index) || slot.wrong.contains(&index) {
                return Err(ShareError::Unasked);
            }
            (slot.master, Arc::clone(&slot.derivation), slot.transport_key)
        };
        let is_signed = signed.master == master && signer.is_signed(peer, grant, signed);
        let read = EncryptedShare::from_bytes(share).ok().filter(|read| read.index() == index);
        let polynomial = self.polynomial_of(grant).ok_or(ShareError::Unasked)?;
        let right = is_signed
            && read.filter(|read| verify_share(polynomial, &derivation, &transport_key, read).is_ok()).is_some();
        let mut board = self.board();
        let Some(slot) = board.get_mut(grant) else { return Err(ShareError::Unasked) };
        if right {
            slot.shares.insert(index, share.clone());
            Ok(())
        } else {
            slot.wrong.insert(index);
            Err(if is_signed { ShareError::Wrong } else { ShareError::Unsigned })
        }
    }
}

/// Shares that somebody waits for.
pub(super) struct Wanted {
    in_force: Arc<InForce>,
    grant: Digest,
}

impl Wanted {
    /// Whether there are enough shares, or none to wait for any more.
    pub(super) fn is_done(&self) -> bool {
        let need = self.need();
        let board = self.in_force.board();
        board
            .get(&self.grant)
            .is_none_or(|slot| slot.shares.len() >= need || slot.answered() >= self.in_force.members.len())
    }

    /// Shares that make the key.
    fn need(&self) -> usize {
        self.in_force.polynomial_of(&self.grant).map_or(usize::MAX, Polynomial::threshold)
    }

    /// What came, where it makes the key.
    pub(super) fn released(&self) -> Result<Released, ShareError> {
        let need = self.need();
        let shares = self.in_force.board().get(&self.grant).map(|slot| slot.shares.clone()).unwrap_or_default();
        if shares.len() < need {
            return Err(ShareError::TooFew { have: shares.len(), need });
        }
        Ok(Released { term: self.in_force.term, shares })
    }
}

/// The service's decisions, term by term.
pub(super) struct Desk<G> {
    grants: G,
    signer: Signer,
    terms: watch::Receiver<TermKeys>,
    in_force: Mutex<Option<Arc<InForce>>>,
    changes: watch::Sender<u64>,
}

impl<G: Grants> Desk<G> {
    pub(super) fn new(grants: G, signer: Signer, terms: watch::Receiver<TermKeys>) -> Self {
        Self { grants, signer, terms, in_force: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Which grants are live.
    pub(super) const fn grants(&self) -> &G {
        &self.grants
    }

    /// What is in force now; what was in force before is let go.
    fn in_force(&self) -> Result<Arc<InForce>, ShareError> {
        let keys = self.terms.borrow();
        let mut held = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.term == keys.term) {
            return Ok(Arc::clone(held));
        }
        let next = Arc::new(InForce::new(&keys).ok_or(ShareError::State)?);
        *held = Some(Arc::clone(&next));
        Ok(next)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// This validator's share for a live grant, encrypted to the recorded key and signed.
    pub(super) fn own(&self, grant: &Digest) -> Result<SignedShare, ShareError> {
        let live = self.grants.live(grant)?;
        let in_force = self.in_force()?;
        let share = in_force.own(&live)?;
        Ok(self.signer.sign((in_force.term, live.master), grant, share))
    }

    /// Begins to collect the shares for a live grant. A validator without a share collects the others'.
    pub(super) fn begin(&self, grant: &Digest) -> Result<(Wanted, watch::Receiver<u64>), ShareError> {
        let live = self.grants.live(grant)?;
        let in_force = self.in_force()?;
        match in_force.own(&live) {
            Ok(_) => {}
            Err(ShareError::NoShare) => in_force.open_slot(&live)?,
            Err(error) => return Err(error),
        }
        let changes = self.changes.subscribe();
        if let Some(slot) = in_force.board().get_mut(grant) {
            slot.is_wanted = true;
            slot.refused.clear();
        }
        Ok((Wanted { in_force, grant: *grant }, changes))
    }

    /// Takes a peer's share.
    pub(super) fn take(&self, peer: &Ed25519Key, grant: &Digest, signed: &SignedShare) -> Result<(), ShareError> {
        let in_force = self.in_force()?;
        if in_force.term != signed.term {
            self.refused(peer, grant);
            return Err(ShareError::OtherTerm);
        }
        let taken = in_force.take(peer, (grant, &self.signer), signed);
        self.changed();
        taken
    }

    /// The proof that a peer signed a share that is not its share of the key, of one that [`take`](Self::take) found to be
    /// so; `None` where its term is over.
    pub(super) fn report(&self, peer: &Ed25519Key, grant: &Digest, signed: SignedShare) -> Option<ShareReport> {
        let in_force = self.in_force().ok().filter(|in_force| in_force.term == signed.term)?;
        let (member, state) = (in_force.index_of(peer)?, self.grants.state_of(grant));
        let SignedShare { term, master, share, signature } = signed;
        Some(ShareReport { term, master, member, grant: *grant, state, share, signature })
    }

    /// Notes that a peer serves nothing for a grant.
    pub(super) fn refused(&self, peer: &Ed25519Key, grant: &Digest) {
        let Ok(in_force) = self.in_force() else { return };
        let Some(index) = in_force.index_of(peer) else { return };
        if let Some(slot) = in_force.board().get_mut(grant).filter(|slot| slot.is_wanted) {
            slot.refused.insert(index);
        }
        self.changed();
    }
}
