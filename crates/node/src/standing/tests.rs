//! What the engine's metrics and the payloads say of validators.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Blob, Digest, Ed25519Key, Executed, PayloadBody, PayloadHead, TermOutcome, TermTurn};

use super::{Proposed, Standing};

const KEYS: [Ed25519Key; 4] = [key(1), key(2), key(3), key(4)];

const fn key(byte: u8) -> Ed25519Key {
    Ed25519Key([byte; 32])
}

fn head(height: u64, (term, proposer): (u64, u32), executed: u64) -> PayloadHead {
    PayloadHead {
        chain_id: 1,
        height,
        term,
        view: height,
        parent: Digest::ZERO,
        timestamp_ms: height * 100,
        proposer,
        executed: Executed { height: executed, block_hash: Digest::ZERO },
        parent_seed: None,
        body: Digest::ZERO,
    }
}

/// The engine's text, as it writes it.
fn metrics() -> String {
    format!(
        "# HELP validator_network_tracker_directory_connected when\n\
         validator_network_tracker_directory_connected{{peer=\"{}\"}} 1795655492801\n\
         validator_network_tracker_directory_connected{{peer=\"{}\"}} 0\n\
         validator_network_tracker_directory_connected{{peer=\"no key\"}} 5\n\
         validator_terms_engine_batcher_latest_vote{{term=\"0\",peer=\"{}\"}} 6\n\
         validator_terms_engine_batcher_latest_vote{{term=\"1\",peer=\"{}\"}} 9\n\
         validator_terms_engine_voter_state_current_view{{term=\"0\"}} 7\n\
         validator_terms_engine_voter_state_current_view{{term=\"1\"}} 2\n\
         garbage {{ }} \n",
        KEYS[1], KEYS[2], KEYS[1], KEYS[3]
    )
}

#[test]
fn connections_votes_and_proposals_meet_under_their_validator() {
    let standing = Standing::new(&KEYS);
    standing.note(&head(5, (0, 1), 3), None);
    standing.note(&head(6, (0, 2), 5), None);
    // No member has this place: a payload of a broken store says nothing.
    standing.note(&head(7, (0, 9), 6), None);
    let found = standing.validators(&metrics());
    assert_eq!(found.iter().map(|one| one.validator).collect::<Vec<_>>(), KEYS);
    assert_eq!(found[0].connected_since_ms, None);
    assert_eq!((found[1].connected_since_ms, found[1].voted), (Some(1_795_655_492_801), Some(6)));
    assert_eq!(found[1].proposed, Some(Proposed { height: 5, executed: 3 }));
    assert_eq!((found[2].connected_since_ms, found[2].voted), (None, None));
    assert_eq!(found[2].proposed, Some(Proposed { height: 6, executed: 5 }));
    // A vote of another term is none of this one.
    assert_eq!(found[3].voted, None);
    assert_eq!(standing.view(&metrics()), Some(7));
    assert_eq!(standing.view(""), None);
}

#[test]
fn a_turn_names_the_members_of_its_term() {
    let standing = Standing::new(&KEYS);
    let turn = TermTurn {
        term: 1,
        members: vec![key(2), key(3), key(4), key(5)],
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        outcome: TermOutcome::Kept,
        silent: Vec::new(),
        disputes: Vec::new(),
        waiting: None,
        masters: Vec::new(),
    };
    let body = PayloadBody { turn: Some(turn.clone()), ..PayloadBody::default() };
    standing.note(&head(32, (1, 3), 31), Some(&body));
    assert_eq!(standing.term(), (1, Some(turn.members)));
    assert_eq!(standing.outcome(), Some(TermOutcome::Kept));
    let found = standing.validators(&metrics());
    let fifth = found.iter().find(|one| one.validator == key(5)).unwrap();
    assert_eq!(fifth.proposed, Some(Proposed { height: 32, executed: 31 }));
    assert_eq!(standing.view(&metrics()), Some(2));
    // A term whose beginning was not seen has members that nobody knows.
    standing.note(&head(96, (3, 0), 95), None);
    assert_eq!(standing.term(), (3, None));
}
