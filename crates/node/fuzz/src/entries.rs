//! One entry for everything that a peer can send to a validator: gossip of transactions, messages about key shares, frames of a
//! founding, messages and statements of key generation, payloads. Bytes in, and neither a panic nor a broken promise may come
//! out.
//!
//! Shared by the coverage-guided targets and by the short smoke of the ordinary tests. The promises checked here: what is read
//! is canonical, a refused message changes nothing that a later one needs, and no stranger's bytes end a founding or a round.

use std::net::SocketAddr;

use freehold_consensus::{
    Ceremony, Effect, Founding, IdentityKey, Plan, Position, Reach, ShareKind, Statement, check_payload,
    founding_input, genesis_payload, payload_input,
};
use freehold_ledger::{ChainContext, admit};
use freehold_node::{catch_up_input, key_share_input, state_key_input, transactions_input};
use freehold_primitives::{
    Blob, Canonical as _, Ed25519Key, Genesis, KeyCeremony, Membership, PAYLOAD_BYTES_MAX, Payload, PayloadBody,
    Purpose,
};
use rand::{SeedableRng as _, rngs::StdRng};

/// A parser under test.
pub type Entry = fn(&[u8]);

/// Every entry by name.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("gossip_transactions", gossip_transactions),
    ("gossip_key_shares", gossip_key_shares),
    ("gossip_state_keys", gossip_state_keys),
    ("gossip_catch_up", gossip_catch_up),
    ("founding_frames", founding_frames),
    ("ceremony_messages", ceremony_messages),
    ("ceremony_statements", ceremony_statements),
    ("peer_payload", peer_payload),
];

/// Members of a round, or founders.
const MEMBERS: u64 = 4;
/// Most messages in one input.
const MESSAGES_MAX: usize = 8;

thread_local! {
    static CHAIN: ChainContext = ChainContext::new(draft(&identities())).expect("a genesis for development");
}

pub fn identities() -> Vec<IdentityKey> {
    let make = |seed| IdentityKey::generate(&mut StdRng::seed_from_u64(seed));
    let mut identities: Vec<_> = (0..MEMBERS).map(make).collect();
    identities.sort_by_key(IdentityKey::public);
    identities
}

fn draft(identities: &[IdentityKey]) -> Genesis {
    Genesis {
        chain_id: 7,
        purpose: Purpose::Development,
        timestamp_ms: 1_760_000_000_000,
        epoch_s: 600,
        lease_s: 600,
        validators: identities.iter().map(IdentityKey::public).collect(),
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::Distributed,
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership::default(),
    }
}

/// A founding as the founder at a place has it.
pub fn founding(place: usize) -> Founding {
    let mut identities = identities();
    let draft = draft(&identities);
    let address = SocketAddr::from(([127, 0, 0, 1], 9_000));
    let peers = identities.iter().map(|identity| (identity.public(), address)).collect();
    let identity = identities.remove(place);
    Founding { identity, draft, listen: address, peers, reach: Reach::Local, partition: "p".to_owned(), finished: None }
}

/// A round of a fresh key as the member at a place has it, and what it sends.
pub fn ceremony(place: usize) -> (Ceremony, Vec<Effect>) {
    let identities = identities();
    let plan = Plan {
        namespace: b"fuzz".to_vec(),
        kind: ShareKind::Derivation,
        round: 3,
        previous: None,
        players: identities.iter().map(IdentityKey::public).collect(),
    };
    let rng = &mut StdRng::seed_from_u64(place as u64);
    Ceremony::begin(plan, &identities[place], None, &[], rng).expect("four members begin a round")
}

/// Messages of an input: each a byte for who sent it, two for its length, and its bytes.
fn messages(mut bytes: &[u8]) -> Vec<(Ed25519Key, &[u8])> {
    let keys: Vec<Ed25519Key> = identities().iter().map(IdentityKey::public).collect();
    let mut found = Vec::new();
    while let Some(([sender, length @ ..], rest)) = bytes.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (message, after) = rest.split_at(length);
        // One sender is no member.
        let stranger = Ed25519Key([*sender; 32]);
        found.push((keys.get(usize::from(*sender)).copied().unwrap_or(stranger), message));
        bytes = after;
        if found.len() == MESSAGES_MAX {
            break;
        }
    }
    found
}

fn gossip_transactions(bytes: &[u8]) {
    let Some((transactions, again)) = transactions_input(bytes) else { return };
    assert_eq!(again, bytes, "a message that is read is canonical");
    CHAIN.with(|chain| {
        for raw in transactions {
            let first = admit(chain, &raw).map(|admitted| admitted.hash());
            assert_eq!(first, admit(chain, &raw).map(|admitted| admitted.hash()), "admission has one answer");
        }
    });
}

fn gossip_key_shares(bytes: &[u8]) {
    if let Some(again) = key_share_input(bytes) {
        assert_eq!(again, bytes, "a message that is read is canonical");
    }
}

fn gossip_state_keys(bytes: &[u8]) {
    if let Some(again) = state_key_input(bytes) {
        assert_eq!(again, bytes, "a message that is read is canonical");
    }
}

fn gossip_catch_up(bytes: &[u8]) {
    if let Some(again) = catch_up_input(bytes) {
        assert_eq!(again, bytes, "a message that is read is canonical");
    }
}

fn founding_frames(bytes: &[u8]) {
    let frames = messages(bytes);
    let sent = frames.len();
    let taken = founding_input(founding(0), frames.into_iter(), &mut StdRng::seed_from_u64(5));
    assert!(taken.expect("no frame ends a founding") <= sent);
}

fn ceremony_messages(bytes: &[u8]) {
    let (mut ceremony, _) = ceremony(0);
    for (from, message) in messages(bytes) {
        let _refused = ceremony.receive(&from, message);
    }
    // Whatever came, the round can still be closed.
    let _outcome = ceremony.close(&mut StdRng::seed_from_u64(6));
}

fn ceremony_statements(bytes: &[u8]) {
    let (mut ceremony, _) = ceremony(0);
    for (_, statement) in messages(bytes) {
        let checked = ceremony.check(statement).is_ok();
        let _round = Statement::round_of(statement);
        let ordered = ceremony.ordered(statement).is_ok();
        assert!(checked || !ordered, "what is ordered passes the check");
    }
    let _outcome = ceremony.close(&mut StdRng::seed_from_u64(6));
}

fn peer_payload(bytes: &[u8]) {
    let Some(again) = payload_input(bytes) else { return };
    assert_eq!(again, bytes, "a payload that is read is canonical");
    let payload = Payload::from_canonical(bytes).expect("it was read before");
    let genesis = genesis_payload(&draft(&identities())).head;
    let Payload { head, .. } = &payload;
    let at = Position { term: head.term, view: head.view, proposer: head.proposer, parent: head.parent };
    if check_payload(7, &at, &genesis, &payload).is_ok() {
        assert_eq!((head.chain_id, head.height), (7, 1), "what passes the check follows its parent");
    }
    let body = PayloadBody::from_canonical(&payload.body.0);
    assert!(body.is_err() || payload.body.0.len() <= PAYLOAD_BYTES_MAX);
}
