//! Validators as desks over real keys: honest ones make the key in every term, and no lie of the others gets in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use freehold_consensus::{Committee, HeldMaster, IdentityKey, KeyShare, TermKeys, trusted_dealer};
use freehold_crypto::{
    Derivation, Ed25519Secret, EncryptedShare, Polynomial, Share, TransportSecret, encrypt_share, share_message,
    slots::grant_id, verify_ed25519,
};
use freehold_primitives::{
    AppId, Blob, Canonical as _, Digest, Ed25519Key, Ed25519Signature, Generation, Term, entries::GrantEntry,
};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

use super::{
    Released, ShareError,
    board::GRANTS_MAX,
    desk::{Desk, Signer, Wanted},
    grants::{Grants, LiveGrant},
};
use crate::wire::{ShareMessage, SignedShare};

/// Grants that a test sets.
#[derive(Clone, Default)]
struct Granted(Arc<Mutex<BTreeMap<Digest, Result<LiveGrant, ShareError>>>>);

impl Granted {
    fn set(&self, id: Digest, entry: Result<GrantEntry, ShareError>) {
        self.set_under(id, entry, 0);
    }

    fn set_under(&self, id: Digest, entry: Result<GrantEntry, ShareError>, master: Generation) {
        self.0.lock().unwrap().insert(id, entry.map(|entry| LiveGrant { entry, master }));
    }

    fn get(&self, id: &Digest) -> GrantEntry {
        self.0.lock().unwrap()[id].clone().unwrap().entry
    }
}

impl Grants for Granted {
    fn live(&self, grant: &Digest) -> Result<LiveGrant, ShareError> {
        self.0.lock().unwrap().get(grant).cloned().unwrap_or(Err(ShareError::Unknown))
    }
}

struct Validator {
    identity: Ed25519Key,
    secret: IdentityKey,
    terms: watch::Sender<TermKeys>,
    desk: Desk<Granted>,
}

/// Four validators that hold one master key, and an instance with a transport key.
struct Net {
    validators: Vec<Validator>,
    granted: Granted,
    transport: TransportSecret,
    grant: Digest,
}

const GENESIS: Digest = Digest([0x6e; 32]);

/// Members sorted, as a genesis has them.
fn secrets() -> Vec<IdentityKey> {
    let mut all: Vec<_> = (0..4).map(|seed| IdentityKey::from_bytes(&[seed + 1; 32])).collect();
    all.sort_by_key(IdentityKey::public);
    all
}

fn identities() -> Vec<Ed25519Key> {
    secrets().iter().map(IdentityKey::public).collect()
}

/// A share as a validator signs it.
fn signed(by: &IdentityKey, (term, master): (Term, Generation), grant: &Digest, share: &[u8]) -> SignedShare {
    let message = share_message(&GENESIS, (term, master), grant, share);
    let signature = Ed25519Signature(Ed25519Secret::from_seed(&by.to_bytes()).sign(&message));
    SignedShare { term, master, share: Blob(share.to_vec()), signature }
}

/// What is in force for each member after a deal; another deal is another master, so terms here differ in more than they
/// do on a chain, and a mixed share shows all the more.
fn dealt(seed: u64, term: u64) -> Vec<TermKeys> {
    let members = identities();
    let dealt = trusted_dealer(&mut StdRng::seed_from_u64(seed), &members).unwrap();
    let keys = |share: &KeyShare| {
        let consensus = Committee::new(&members, &dealt.consensus_polynomial.0).unwrap();
        let derivation = Committee::from_coefficients(&members, &dealt.derivation_polynomial).unwrap();
        let mut keys = TermKeys::first(consensus, derivation, Digest::ZERO);
        keys.term = term;
        keys.derivation_share = Some(share.clone());
        keys
    };
    dealt.derivation_shares.iter().map(keys).collect()
}

fn app() -> AppId {
    AppId::new([7; 20])
}

fn entry(id: Digest, instance: Digest, transport: &TransportSecret) -> GrantEntry {
    GrantEntry {
        grant_id: id,
        app_id: app(),
        instance_id: instance,
        context: "root".to_owned(),
        generation: 0,
        transport_key: transport.public(),
        granted_at: 1,
        until: 1_000,
        closed_at: None,
    }
}

impl Net {
    fn new() -> Self {
        let granted = Granted::default();
        let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(5));
        let instance = Digest([9; 32]);
        let grant = grant_id(&instance, "root", 0);
        granted.set(grant, Ok(entry(grant, instance, &transport)));
        let validators = secrets()
            .into_iter()
            .zip(dealt(1, 0))
            .map(|(secret, keys)| {
                let (terms, receiver) = watch::channel(keys);
                let signer = Signer { identity: secret.clone(), genesis: GENESIS };
                let desk = Desk::new(granted.clone(), signer, receiver);
                Validator { identity: secret.public(), secret, terms, desk }
            })
            .collect();
        Self { validators, granted, transport, grant }
    }

    /// All validators enter another term.
    fn enter(&self, seed: u64, term: u64) {
        for (validator, keys) in self.validators.iter().zip(dealt(seed, term)) {
            validator.terms.send_replace(keys);
        }
    }

    fn begin(&self) -> Wanted {
        self.validators[0].desk.begin(&self.grant).unwrap().0
    }

    /// Validator `from` answers validator 0.
    fn answer(&self, from: usize) -> Result<(), ShareError> {
        let signed = self.validators[from].desk.own(&self.grant)?;
        self.validators[0].desk.take(&self.validators[from].identity, &self.grant, &signed)
    }

    /// Validator `from` signs these bytes as its share, and sends them.
    fn send(&self, from: usize, term: u64, share: &[u8]) -> Result<(), ShareError> {
        let signed = signed(&self.validators[from].secret, (term, 0), &self.grant, share);
        self.validators[0].desk.take(&self.validators[from].identity, &self.grant, &signed)
    }

    /// Opens what was released under the polynomial in force.
    fn open(&self, released: &Released) -> [u8; 48] {
        let keys = self.validators[0].terms.borrow().clone();
        assert_eq!(released.term, keys.term);
        let polynomial = Polynomial::new(&keys.derivation.coefficients()).unwrap();
        let derivation = Derivation::new(polynomial.master(), &app(), "root", 0).unwrap();
        let shares: Vec<_> = released.shares.values().map(|share| EncryptedShare::from_bytes(share).unwrap()).collect();
        *self.transport.recover(&polynomial, &derivation, &shares).unwrap().as_bytes()
    }

    /// A share of a validator, made for anything.
    fn made(&self, of: usize, for_entry: &GrantEntry) -> Vec<u8> {
        let keys = self.validators[of].terms.borrow().clone();
        let derivation =
            Derivation::new(&keys.derivation.public_key(), &for_entry.app_id, &for_entry.context, for_entry.generation);
        let share = keys.derivation_share.unwrap();
        let share = Share::from_bytes(share.index(), share.scalar()).unwrap();
        let mut rng = StdRng::seed_from_u64(6);
        encrypt_share(&share, &derivation.unwrap(), &for_entry.transport_key, &mut rng).unwrap().to_bytes().to_vec()
    }
}

#[test]
fn a_quorum_makes_the_key_and_any_quorum_the_same() {
    let keys: Vec<_> = [[1, 2], [2, 3], [1, 3]]
        .into_iter()
        .map(|others| {
            let net = Net::new();
            let wanted = net.begin();
            assert_eq!(wanted.released().unwrap_err(), ShareError::TooFew { have: 1, need: 3 });
            for other in others {
                assert!(!wanted.is_done());
                net.answer(other).unwrap();
            }
            assert!(wanted.is_done());
            net.open(&wanted.released().unwrap())
        })
        .collect();
    assert!(keys.iter().all(|key| *key == keys[0]));
}

/// Wrong share, other grant's share, another instance's transport key, another index, garbage: none counts, the liar is
/// not heard again, and the honest rest makes the key.
#[test]
fn lies_do_not_count() {
    let other_transport = TransportSecret::generate(&mut StdRng::seed_from_u64(8));
    for lie in 0..6 {
        let net = Net::new();
        let wanted = net.begin();
        let good = net.granted.get(&net.grant);
        let share = match lie {
            0 => net.made(1, &GrantEntry { context: "disk".to_owned(), ..good }),
            1 => net.made(1, &GrantEntry { generation: 1, ..good }),
            2 => net.made(1, &GrantEntry { app_id: AppId::new([8; 20]), ..good }),
            3 => net.made(1, &GrantEntry { transport_key: other_transport.public(), ..good }),
            4 => net.made(2, &good),
            _ => vec![0xab; 196],
        };
        assert_eq!(net.send(1, 0, &share), Err(ShareError::Wrong), "lie {lie}");
        assert_eq!(net.send(1, 0, &net.made(1, &net.granted.get(&net.grant))), Err(ShareError::Unasked));
        net.answer(2).unwrap();
        assert!(!wanted.is_done());
        net.answer(3).unwrap();
        let released = wanted.released().unwrap();
        assert!(!released.shares.contains_key(&1), "lie {lie}");
        net.open(&released);
    }
}

/// What a validator signed wrongly is proven to everybody; what it did not sign, or signed under another master, is
/// dropped and proves nothing.
#[test]
fn a_wrong_share_that_is_signed_makes_a_report() {
    let net = Net::new();
    let _wanted = net.begin();
    let (desk, liar) = (&net.validators[0].desk, &net.validators[1]);
    let lie = signed(&liar.secret, (0, 0), &net.grant, &[7; 196]);
    assert_eq!(desk.take(&liar.identity, &net.grant, &lie), Err(ShareError::Wrong));
    let report = desk.report(&liar.identity, &net.grant, lie.clone()).unwrap();
    assert_eq!((report.term, report.master, report.member, report.state), (0, 0, 1, None));
    let message = share_message(&GENESIS, (report.term, report.master), &report.grant, &report.share.0);
    verify_ed25519(&liar.identity, &message, report.signature.as_bytes()).unwrap();
    // Another's signature, one over another term, and another master.
    let good = net.made(2, &net.granted.get(&net.grant));
    let unsigned = [
        SignedShare { signature: lie.signature, ..signed(&net.validators[2].secret, (0, 0), &net.grant, &good) },
        SignedShare { term: 0, ..signed(&net.validators[2].secret, (1, 0), &net.grant, &good) },
        signed(&net.validators[2].secret, (0, 1), &net.grant, &good),
    ];
    for sent in unsigned {
        let net = Net::new();
        let _wanted = net.begin();
        let desk = &net.validators[0].desk;
        assert_eq!(desk.take(&net.validators[2].identity, &net.grant, &sent), Err(ShareError::Unsigned));
    }
    // Once its term is over nothing is kept.
    net.enter(2, 1);
    assert!(net.validators[0].desk.report(&net.validators[1].identity, &net.grant, lie).is_none());
}

#[test]
fn with_two_liars_there_is_no_key_and_a_typed_refusal() {
    let net = Net::new();
    let wanted = net.begin();
    for liar in [1, 2] {
        assert_eq!(net.send(liar, 0, &[1; 10]), Err(ShareError::Wrong));
    }
    net.answer(3).unwrap();
    // All have answered: nobody waits for more.
    assert!(wanted.is_done());
    assert_eq!(wanted.released().unwrap_err(), ShareError::TooFew { have: 2, need: 3 });
}

#[test]
fn strangers_and_unasked_shares_are_dropped() {
    let net = Net::new();
    let share = net.made(1, &net.granted.get(&net.grant));
    // Nobody asked yet.
    assert_eq!(net.send(1, 0, &share), Err(ShareError::Unasked));
    let _wanted = net.begin();
    let stranger = Ed25519Key([0x55; 32]);
    let sent = signed(&net.validators[1].secret, (0, 0), &net.grant, &share);
    assert_eq!(net.validators[0].desk.take(&stranger, &net.grant, &sent), Err(ShareError::Stranger));
    let other = Digest([1; 32]);
    assert_eq!(net.validators[0].desk.take(&net.validators[1].identity, &other, &sent), Err(ShareError::Unasked));
    net.send(1, 0, &share).unwrap();
    assert_eq!(net.send(1, 0, &share), Err(ShareError::Unasked));
}

#[test]
fn shares_of_two_terms_are_never_mixed() {
    let net = Net::new();
    let before = net.begin();
    net.answer(1).unwrap();
    let old_share = net.validators[2].desk.own(&net.grant).unwrap();
    net.enter(2, 1);
    // A share of the old term comes late, then the same bytes under the new term's name.
    let _now = net.begin();
    assert_eq!(net.send(2, old_share.term, &old_share.share.0), Err(ShareError::OtherTerm));
    assert_eq!(net.send(3, 7, &old_share.share.0), Err(ShareError::OtherTerm));
    assert_eq!(net.send(2, 1, &old_share.share.0), Err(ShareError::Wrong));
    let now = net.begin();
    net.answer(1).unwrap();
    net.answer(3).unwrap();
    let released = now.released().unwrap();
    assert_eq!((released.term, released.shares.len()), (1, 3));
    net.open(&released);
    // Whoever waited in the old term gets none of the new one's.
    assert_eq!(before.released().unwrap_err(), ShareError::TooFew { have: 2, need: 3 });
}

#[test]
fn a_validator_without_a_share_says_so_and_collects_the_others() {
    let net = Net::new();
    net.validators[0].terms.send_modify(|keys| {
        keys.term = 1;
        keys.derivation_share = None;
    });
    for validator in &net.validators[1..] {
        validator.terms.send_modify(|keys| keys.term = 1);
    }
    assert_eq!(net.validators[0].desk.own(&net.grant), Err(ShareError::NoShare));
    let wanted = net.begin();
    for other in [1, 2, 3] {
        assert!(!wanted.is_done());
        net.answer(other).unwrap();
    }
    net.open(&wanted.released().unwrap());
    // A share that does not lie on the polynomial is as good as none.
    let foreign = dealt(3, 0)[1].derivation_share.clone();
    net.validators[1].terms.send_modify(|keys| {
        keys.term = 2;
        keys.derivation_share = foreign;
    });
    assert_eq!(net.validators[1].desk.own(&net.grant), Err(ShareError::NoShare));
}

/// Another master beside the first: each grant's shares come from its own, and never mix.
#[test]
fn a_grant_is_served_under_its_master_and_no_other() {
    let net = Net::new();
    let first = net.begin();
    net.answer(1).unwrap();
    net.answer(2).unwrap();
    let old = net.open(&first.released().unwrap());
    for (validator, other) in net.validators.iter().zip(dealt(3, 0)) {
        validator.terms.send_modify(|keys| {
            keys.term = 1;
            keys.masters =
                vec![HeldMaster { generation: 1, committee: other.derivation, share: other.derivation_share }];
        });
    }
    // The key of the generation before is the same as ever.
    let before = net.begin();
    net.answer(1).unwrap();
    net.answer(2).unwrap();
    assert_eq!(net.open(&before.released().unwrap()), old);
    // The newest generation is under the new master: shares of the first, for whatever, are none of it.
    let good = net.granted.get(&net.grant);
    let id = grant_id(&good.instance_id, "root", 1);
    net.granted.set_under(id, Ok(GrantEntry { grant_id: id, generation: 1, ..good.clone() }), 1);
    let entry = net.granted.get(&id);
    let newest = net.validators[0].desk.begin(&id).unwrap().0;
    let of_first = net.made(3, &entry);
    let (desk, peer) = (&net.validators[0].desk, |index: usize| &net.validators[index].identity);
    let of_first = signed(&net.validators[3].secret, (1, 1), &id, &of_first);
    assert_eq!(desk.take(peer(3), &id, &of_first), Err(ShareError::Wrong));
    for other in [1, 2] {
        let signed = net.validators[other].desk.own(&id).unwrap();
        assert_eq!((signed.term, signed.master), (1, 1));
        desk.take(peer(other), &id, &signed).unwrap();
    }
    let released = newest.released().unwrap();
    let held = net.validators[0].terms.borrow().masters[0].committee.coefficients();
    let polynomial = Polynomial::new(&held).unwrap();
    let derivation = Derivation::new(polynomial.master(), &app(), "root", 1).unwrap();
    let shares: Vec<_> = released.shares.values().map(|share| EncryptedShare::from_bytes(share).unwrap()).collect();
    assert_ne!(*net.transport.recover(&polynomial, &derivation, &shares).unwrap().as_bytes(), old);
    // One that does not live in this term serves nothing.
    net.granted.set_under(net.grant, Ok(good), 2);
    net.enter(1, 2);
    assert_eq!(net.validators[0].desk.own(&net.grant), Err(ShareError::Retired));
}

/// Every reason of the chain, also for what was served a moment ago and is still at hand.
#[test]
fn what_the_chain_ends_is_served_no_more() {
    let net = Net::new();
    let wanted = net.begin();
    net.answer(1).unwrap();
    net.answer(2).unwrap();
    assert!(wanted.released().is_ok());
    let reasons = [ShareError::Closed, ShareError::Denied, ShareError::Retired, ShareError::Stale, ShareError::State];
    for reason in reasons {
        net.granted.set(net.grant, Err(reason));
        assert_eq!(net.validators[0].desk.own(&net.grant), Err(reason));
        assert_eq!(net.validators[0].desk.begin(&net.grant).err(), Some(reason));
        assert_eq!(net.answer(3), Err(reason));
    }
    assert_eq!(net.validators[0].desk.own(&Digest([3; 32])), Err(ShareError::Unknown));
}

#[test]
fn refusals_end_the_wait_and_are_forgotten_when_asked_again() {
    let net = Net::new();
    let wanted = net.begin();
    for other in [1, 2, 3] {
        assert!(!wanted.is_done());
        net.validators[0].desk.refused(&net.validators[other].identity, &net.grant);
    }
    assert!(wanted.is_done());
    let again = net.begin();
    assert!(!again.is_done());
    net.answer(1).unwrap();
    net.answer(2).unwrap();
    net.open(&again.released().unwrap());
}

/// More grants than are kept: the oldest goes, the newest stays, and what went is made again.
#[test]
fn a_flood_of_grants_is_bounded() {
    let net = Net::new();
    let _wanted = net.begin();
    net.answer(1).unwrap();
    for number in 0..GRANTS_MAX as u64 {
        let mut instance = [0; 32];
        instance[..8].copy_from_slice(&number.to_be_bytes());
        let instance = Digest(instance);
        let id = grant_id(&instance, "root", 0);
        net.granted.set(id, Ok(entry(id, instance, &net.transport)));
        net.validators[0].desk.own(&id).unwrap();
    }
    assert_eq!(net.answer(2), Err(ShareError::Unasked));
    let wanted = net.begin();
    assert_eq!(wanted.released().unwrap_err(), ShareError::TooFew { have: 1, need: 3 });
}

#[test]
fn codes_are_stable_and_specified() {
    let all = [
        ShareError::Unknown,
        ShareError::Closed,
        ShareError::Denied,
        ShareError::Stale,
        ShareError::TransportKey,
        ShareError::Context,
        ShareError::State,
        ShareError::NoShare,
        ShareError::TooFew { have: 1, need: 3 },
        ShareError::Unasked,
        ShareError::OtherTerm,
        ShareError::Stranger,
        ShareError::Wrong,
        ShareError::Retired,
        ShareError::NoExecutors,
        ShareError::OtherApp,
        ShareError::NoGeneration,
        ShareError::NoQuorum,
        ShareError::Unsigned,
    ];
    let spec = include_str!("../../../../spec/key-service.md");
    for (number, error) in (1..).zip(all) {
        assert_eq!(error.code(), number);
        assert!(spec.contains(&format!("| {number} | ")), "code {number} is in the specification");
    }
}

/// What a peer sends is one message in one form, or nothing: noise, cuts and additions are refused, and none panics.
#[test]
fn messages_have_one_form() {
    let grant = Digest([3; 32]);
    let messages = [
        ShareMessage::Ask { grant },
        ShareMessage::Share { grant, signed: signed(&secrets()[0], (7, 1), &grant, &[1; 196]) },
        ShareMessage::Refused { grant, code: 8 },
        ShareMessage::AskState { instance: Digest([4; 32]), generation: 2 },
    ];
    for message in messages {
        let bytes = message.to_canonical();
        assert!(bytes.len() <= crate::wire::KEY_SHARES.message_bytes_max);
        assert_eq!(ShareMessage::from_canonical(&bytes), Ok(message));
        for length in 0..bytes.len() {
            assert!(ShareMessage::from_canonical(&bytes[..length]).is_err());
        }
        assert!(ShareMessage::from_canonical(&[&bytes[..], &[0]].concat()).is_err());
    }
    let mut rng = StdRng::seed_from_u64(4);
    for _ in 0..10_000 {
        let mut noise = vec![0; rng.random_range(0..300)];
        rng.fill_bytes(&mut noise);
        if let Ok(message) = ShareMessage::from_canonical(&noise) {
            assert_eq!(message.to_canonical(), noise);
        }
    }
}
