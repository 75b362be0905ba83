//! Seeds of the fuzz entries: messages as validators send them.

use freehold_consensus::{Effect, founding_seeds, genesis_payload};
use freehold_primitives::{Blob, Canonical as _, G1Point};
use rand::{SeedableRng as _, rngs::StdRng};

use super::entries;

/// Seeds of an entry.
///
/// # Panics
/// When there is no such entry.
pub fn seeds(entry: &str) -> Vec<Vec<u8>> {
    match entry {
        "gossip_transactions" => {
            vec![vec![Blob(vec![2, 0xc0]), Blob(vec![0xf8; 110])].to_canonical(), vec![Blob::default()].to_canonical()]
        }
        "gossip_key_shares" => {
            vec![document(1, &[&[7; 32]]), document(2, &[&[7; 32], &[0; 12], &[0, 0, 0, 3, 1, 2, 3], &[9; 64]])]
        }
        "gossip_state_keys" => vec![
            document(1, &[&[0, 0, 0, 1], G1Point::ZERO.as_bytes()]),
            document(2, &[&[0, 0, 0, 1], &[0, 0, 0, 1], &[5; 96], &[0, 0, 0, 2, 8, 9]]),
        ],
        "gossip_catch_up" => vec![
            document(1, &[&[0; 8], &[0, 0, 0, 2, 0x7b, 0x7d]]),
            document(2, &[&[0; 8], &[0, 0, 0, 1], &[1], &[0, 0, 0, 2, 8, 9]]),
            document(3, &[&[0; 8]]),
        ],
        "founding_frames" => {
            let from = |place: usize| {
                let frames = founding_seeds(entries::founding(place), &mut StdRng::seed_from_u64(4));
                frames.expect("a founding begins").into_iter().map(move |frame| sent(place, &frame))
            };
            let all: Vec<Vec<u8>> = (1..4).flat_map(from).collect();
            [vec![all.concat()], all].concat()
        }
        "ceremony_messages" => {
            let to = entries::identities()[0].public();
            let from = |place: usize| {
                let (_, effects) = entries::ceremony(place);
                effects.into_iter().filter_map(move |effect| match effect {
                    Effect::Send { to: player, message } if player == to => Some(sent(place, &message)),
                    _ => None,
                })
            };
            let all: Vec<Vec<u8>> = (1..4).flat_map(from).collect();
            [vec![all.concat()], all].concat()
        }
        "ceremony_statements" => {
            // A dealer that hears nothing complains.
            let complaints = entries::ceremony(1).0.complain().into_iter().filter_map(|effect| match effect {
                Effect::Post(statement) => Some(sent(1, &statement)),
                _ => None,
            });
            let log = document(1, &[&[0, 0, 0, 4, 1, 2, 3, 4]]);
            complaints.chain([sent(2, &[&[1][..], &[3; 32], &log[1..]].concat())]).collect()
        }
        "peer_payload" => {
            let genesis = entries::founding(0).draft;
            vec![genesis_payload(&genesis).to_canonical()]
        }
        other => panic!("no seeds for {other}"),
    }
}

/// A document of a tag and parts.
fn document(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[freehold_primitives::VERSION, tag][..], &parts.concat()].concat()
}

/// A message as an input holds it.
fn sent(place: usize, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("messages of members are short");
    let place = u8::try_from(place).expect("four members");
    [&[place][..], &length.to_be_bytes(), message].concat()
}
