//! Inputs of precompiles and modules: well formed, nearly so, and not at all.

use alloy_primitives::{Address, U256, address as literal};
use freehold_crypto::{SignatureAlgorithm, slots};
use freehold_ledger::to_address;
use rand::{RngExt as _, rngs::StdRng};

pub(crate) const SUBCALL: Address = literal!("0x0100000000000000000000000000000000000103");

/// Sapphire's precompiles, all of them.
pub(crate) const ADDRESSES: [Address; 14] = [
    literal!("0x0100000000000000000000000000000000000001"),
    literal!("0x0100000000000000000000000000000000000002"),
    literal!("0x0100000000000000000000000000000000000003"),
    literal!("0x0100000000000000000000000000000000000004"),
    literal!("0x0100000000000000000000000000000000000005"),
    literal!("0x0100000000000000000000000000000000000006"),
    literal!("0x0100000000000000000000000000000000000007"),
    literal!("0x0100000000000000000000000000000000000008"),
    literal!("0x0100000000000000000000000000000000000009"),
    literal!("0x010000000000000000000000000000000000000a"),
    literal!("0x0100000000000000000000000000000000000101"),
    literal!("0x0100000000000000000000000000000000000102"),
    SUBCALL,
    literal!("0x0100000000000000000000000000000000000104"),
];

/// One argument.
enum Argument {
    Word(U256),
    Bytes(Vec<u8>),
}

/// Arguments as Solidity encodes them.
fn encode(arguments: &[Argument]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for argument in arguments {
        let word = match argument {
            Argument::Word(word) => *word,
            Argument::Bytes(_) => U256::from(32 * arguments.len() + tail.len()),
        };
        head.extend_from_slice(&word.to_be_bytes::<32>());
        if let Argument::Bytes(bytes) = argument {
            tail.extend_from_slice(&U256::from(bytes.len()).to_be_bytes::<32>());
            tail.extend_from_slice(bytes);
            tail.resize(tail.len().next_multiple_of(32), 0);
        }
    }
    [head, tail].concat()
}

/// `core.CallDataPublicKey`, as clients ask for it.
pub(crate) fn subcall_of_the_key() -> Vec<u8> {
    encode(&[Argument::Bytes(b"core.CallDataPublicKey".to_vec()), Argument::Bytes(vec![0xf6])])
}

fn bytes(rng: &mut StdRng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.random()).collect()
}

fn some(rng: &mut StdRng) -> Argument {
    let length = [0, 1, 31, 32, 33, 64, 65, 96, 200][rng.random_range(0..9)];
    Argument::Bytes(bytes(rng, length))
}

fn word(rng: &mut StdRng) -> Argument {
    Argument::Word(U256::from_be_bytes::<32>(bytes(rng, 32).try_into().unwrap()))
}

/// A call to `SUBCALL`.
fn subcall(rng: &mut StdRng) -> Vec<u8> {
    let method = [
        "core.CallDataPublicKey",
        "core.CurrentEpoch",
        "accounts.Transfer",
        "rofl.IsAuthorizedOrigin",
        "rofl.OriginApp",
        "rofl.App",
        "rofl.Create",
        "consensus.Delegate",
        "evm.Call",
        "",
    ][rng.random_range(0..10)];
    let body = match rng.random_range(0..4) {
        0 => vec![0xf6],
        // A byte string of 21 bytes: an account or an app.
        1 => [vec![0x55], bytes(rng, 21)].concat(),
        2 => {
            let (to, amount) = (bytes(rng, 20), rng.random_range(0..3_u8));
            [&b"\xa2\x62to\x55\x00"[..], &to, b"\x66amount\x82\x41", &[amount], b"\x40"].concat()
        }
        _ => {
            let length = rng.random_range(0..40);
            bytes(rng, length)
        }
    };
    encode(&[Argument::Bytes(method.as_bytes().to_vec()), Argument::Bytes(body)])
}

/// A precompile or module and what it is sent.
pub(crate) fn call(rng: &mut StdRng) -> (Address, Vec<u8>) {
    let modules = [slots::APPS, slots::KEYS, slots::LOG, slots::COLLATERAL, slots::VISIBILITY];
    let place = rng.random_range(0..ADDRESSES.len() + 2);
    let (to, mut input) = match place {
        0 => (ADDRESSES[0], encode(&[Argument::Word(U256::from(rng.random_range(0..1_100))), some(rng)])),
        1 => (ADDRESSES[1], bytes(rng, 64)),
        2 | 3 => (ADDRESSES[place], encode(&[word(rng), word(rng), some(rng), some(rng)])),
        4 => (ADDRESSES[4], encode(&[kind(rng), Argument::Bytes(bytes(rng, 32))])),
        5 => (ADDRESSES[5], encode(&[kind(rng), Argument::Bytes(bytes(rng, 32)), some(rng), some(rng)])),
        6 => (ADDRESSES[6], encode(&[kind(rng), some(rng), some(rng), some(rng), some(rng)])),
        7 => (ADDRESSES[7], bytes(rng, 32)),
        9 => (ADDRESSES[9], encode(&[Argument::Word(U256::from(rng.random_range(0..900_000)))])),
        12 => (SUBCALL, subcall(rng)),
        14 => (Address::with_last_byte(rng.random_range(1..=0x11)), bytes(rng, 213)),
        15 => (to_address(&modules[rng.random_range(0..modules.len())]), bytes(rng, 68)),
        _ => (ADDRESSES[place], bytes(rng, 77)),
    };
    match rng.random_range(0..8) {
        0 => input.truncate(rng.random_range(0..=input.len())),
        1 if !input.is_empty() => {
            let at = rng.random_range(0..input.len());
            input[at] ^= 1 << rng.random_range(0..8);
        }
        _ => {}
    }
    (to, input)
}

/// A signature kind, or the number behind the last.
fn kind(rng: &mut StdRng) -> Argument {
    Argument::Word(U256::from(rng.random_range(0..=SignatureAlgorithm::ALL.len())))
}
