//! Every precompile against its vectors, with exactly its gas and one less; and input that means nothing.
#![allow(clippy::unwrap_used)]

use alloy_primitives::hex;
use proptest::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use super::*;

const PRECOMPILES: &str = include_str!("../../../../spec/vectors/sapphire/precompiles.json");
const RANDOMNESS: &str = include_str!("../../../../spec/vectors/sapphire/randomness.json");
/// More gas than any vector needs.
const PLENTY: u64 = 1_000_000;

const NAMES: [(&str, SapphirePrecompile); 14] = [
    ("RANDOM_BYTES", SapphirePrecompile::RandomBytes),
    ("X25519_DERIVE", SapphirePrecompile::X25519Derive),
    ("DEOXYSII_SEAL", SapphirePrecompile::DeoxysSeal),
    ("DEOXYSII_OPEN", SapphirePrecompile::DeoxysOpen),
    ("KEYPAIR_GENERATE", SapphirePrecompile::KeyPairGenerate),
    ("SIGN", SapphirePrecompile::Sign),
    ("VERIFY", SapphirePrecompile::Verify),
    ("CURVE25519_PUBLIC", SapphirePrecompile::Curve25519Public),
    ("GAS_USED", SapphirePrecompile::GasUsed),
    ("PAD_GAS", SapphirePrecompile::PadGas),
    ("SHA512_256", SapphirePrecompile::Sha512Half),
    ("SHA512", SapphirePrecompile::Sha512),
    ("SUBCALL", SapphirePrecompile::Subcall),
    ("SHA384", SapphirePrecompile::Sha384),
];

fn context() -> SapphireContext {
    let root = Zeroizing::new(core::array::from_fn(|at| at as u8));
    SapphireContext { randomness: Some(BlockRandomness::new(root)), ..SapphireContext::default() }
}

/// Answer, and gas that is left.
fn answer(precompile: SapphirePrecompile, input: &[u8], gas: u64) -> (Result<Vec<u8>, Failure>, u64) {
    let (mut meter, mut draws) = (GasMeter::new(gas), 0);
    let mut surroundings = Surroundings { context: &context(), tx_index: 0, draws: &mut draws, gas_available: gas };
    let result = run(precompile, input, &mut meter, &mut surroundings);
    (result, meter.left())
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("{field} of {}", vector["name"]))
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(vector, field)).unwrap()
}

fn vectors(file: &str) -> Vec<Value> {
    serde_json::from_str(file).unwrap()
}

#[test]
fn addresses_are_sapphires() {
    let places = NAMES.map(|(_, precompile)| hex::encode(precompile.address()));
    for (at, place) in places.iter().enumerate() {
        let last = if at < 10 { at + 1 } else { 0x101 + at - 10 };
        assert_eq!(*place, format!("01{last:038x}"));
    }
    for (_, precompile) in NAMES {
        assert_eq!(SapphirePrecompile::at(&precompile.address()), Some(precompile));
    }
    for none in [0x00, 0x0b, 0x100, 0x105, 0x201] {
        let mut address = [0; 20];
        address[0] = 1;
        address[18..].copy_from_slice(&u16::to_be_bytes(none));
        assert_eq!(SapphirePrecompile::at(&address.into()), None);
        address[0] = 0;
        assert_eq!(SapphirePrecompile::at(&address.into()), None);
    }
    let mut address = SapphirePrecompile::Sign.address().into_array();
    address[9] = 1;
    assert_eq!(SapphirePrecompile::at(&address.into()), None);
}

#[test]
fn precompiles_match_their_vectors() {
    let vectors = vectors(PRECOMPILES);
    for vector in &vectors {
        let name = text(vector, "name");
        let (_, precompile) = *NAMES.iter().find(|(name, _)| *name == text(vector, "precompile")).unwrap();
        let (input, gas) = (bytes(vector, "input"), vector["gas"].as_u64().unwrap());
        if let Some(kind) = vector["fails"].as_str() {
            let (failure, left) = answer(precompile, &input, gas + PLENTY);
            match kind {
                "refused" => assert!(matches!(failure, Err(Failure::Refused(_))), "{name}: {failure:?}"),
                _ => assert_eq!((failure, left), (Err(Failure::Revert), PLENTY), "{name}"),
            }
            continue;
        }
        let output = Ok(bytes(vector, "output"));
        assert_eq!(answer(precompile, &input, gas), (output.clone(), 0), "{name}");
        assert_eq!(answer(precompile, &input, gas + 7).0, output, "{name}");
        assert_eq!(answer(precompile, &input, gas - 1).0, Err(Failure::OutOfGas), "{name}");
        if gas > 10 {
            assert_eq!(answer(precompile, &input, 9).0, Err(Failure::OutOfGas), "{name}");
        }
    }
    let seen = |wanted: &str| vectors.iter().any(|vector| vector["precompile"] == wanted);
    assert!(NAMES.iter().all(|(name, _)| *name == "SUBCALL" || seen(name)));
}

#[test]
fn randomness_matches_its_vectors() {
    for vector in vectors(RANDOMNESS) {
        let root = Zeroizing::new(bytes(&vector, "root").try_into().unwrap());
        let context = SapphireContext {
            randomness: Some(BlockRandomness::new(root)),
            query_entropy: bytes(&vector, "entropy").try_into().unwrap(),
            ..SapphireContext::default()
        };
        let context = if text(&vector, "kind") == "query" { context.into_query() } else { context };
        let count = vector["count"].as_u64().unwrap();
        let input = draw_input(count, &bytes(&vector, "personalisation"));
        let gas = vector["gas"].as_u64().unwrap();
        let first = vector["draw"].as_u64().unwrap();
        let run_with = |gas: u64, draws: &mut u64| {
            let mut surroundings = Surroundings {
                context: &context,
                tx_index: vector["tx_index"].as_u64().unwrap().try_into().unwrap(),
                draws,
                gas_available: gas,
            };
            let mut meter = GasMeter::new(gas);
            let result = run(SapphirePrecompile::RandomBytes, &input, &mut meter, &mut surroundings);
            (result, meter.left())
        };
        let mut draws = first;
        assert_eq!(run_with(gas - 1, &mut draws).0, Err(Failure::OutOfGas));
        assert_eq!(draws, first, "nothing was drawn");
        if first < u64::MAX {
            assert_eq!(run_with(gas, &mut draws), (Ok(bytes(&vector, "output")), 0));
            assert_eq!(draws, first + 1);
        }
    }
}

fn draw_input(count: u64, personalisation: &[u8]) -> Vec<u8> {
    abi::encode_word_and_bytes(count, personalisation)
}

#[test]
fn draws_never_repeat() {
    let mut seen = std::collections::BTreeSet::new();
    let (transaction, query) = (context(), context().into_query());
    let other_query = SapphireContext { query_entropy: [1; 32], ..context() }.into_query();
    for context in [&transaction, &query, &other_query] {
        for tx_index in [0, 1, 256] {
            let mut draws = 0;
            for personalisation in [&b""[..], b"", b"\0", b"a", b"ab"] {
                let mut meter = GasMeter::new(PLENTY);
                let mut surroundings = Surroundings { context, tx_index, draws: &mut draws, gas_available: PLENTY };
                let input = draw_input(32, personalisation);
                let out = run(SapphirePrecompile::RandomBytes, &input, &mut meter, &mut surroundings).unwrap();
                assert_eq!(out.len(), 32);
                assert!(seen.insert(out));
            }
        }
    }
}

#[test]
fn draws_are_capped_and_priced_by_what_is_drawn() {
    let gas = 10_000 + 240 * 32;
    for count in [1_024, 1_025, u64::MAX] {
        let (output, left) = answer(SapphirePrecompile::RandomBytes, &draw_input(count, b""), gas);
        assert_eq!((output.unwrap().len(), left), (1_024, 0));
    }
    let mut huge = draw_input(0, b"");
    huge[..32].fill(0xff);
    assert_eq!(answer(SapphirePrecompile::RandomBytes, &huge, gas).0.unwrap().len(), 1_024);
}

#[test]
fn without_state_keys_there_are_no_random_bytes() {
    let mut draws = 0;
    let context = SapphireContext::default();
    let mut surroundings = Surroundings { context: &context, tx_index: 0, draws: &mut draws, gas_available: PLENTY };
    let result =
        run(SapphirePrecompile::RandomBytes, &draw_input(32, b""), &mut GasMeter::new(PLENTY), &mut surroundings);
    assert_eq!(result, Err(Failure::Refused(Refusal::NoRandomness)));
}

/// Words that look like arguments: small numbers, offsets and lengths, now and then something enormous.
fn any_words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        5 => (0_u64..400).prop_map(abi::encode_word),
        2 => (0_u64..12).prop_map(|number| abi::encode_word(number * 32)),
        1 => any::<[u8; 32]>().prop_map(|word| word.to_vec()),
        1 => any::<u64>().prop_map(abi::encode_word),
    ];
    (proptest::collection::vec(word, 0..16), 0_usize..32).prop_map(|(words, cut)| {
        let mut words = words.concat();
        words.truncate(words.len().saturating_sub(cut));
        words
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any input to any precompile: an answer or a refusal, the same again, never more gas than there was.
    #[test]
    fn input_without_sense_is_answered_or_refused(
        input in prop_oneof![any_words(), proptest::collection::vec(any::<u8>(), 0..600)],
        gas in 0_u64..200_000,
    ) {
        for precompile in SapphirePrecompile::ALL {
            let (result, left) = answer(precompile, &input, gas);
            prop_assert!(left <= gas);
            if let Ok(output) = &result {
                prop_assert!(output.len() <= 1_024 + input.len());
                prop_assert!(left < gas);
            }
            prop_assert_eq!(answer(precompile, &input, gas), (result, left));
        }
    }

    #[test]
    fn what_is_sealed_opens(
        key in any::<[u8; 32]>(), nonce in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..300),
        associated in proptest::collection::vec(any::<u8>(), 0..80),
        flipped in any::<prop::sample::Index>(),
    ) {
        let arguments = |text: &[u8]| {
            let mut out = [key, nonce].concat();
            out.extend(abi::encode_two_bytes(text, &associated));
            // The offsets count from the first word, two words further up.
            for at in [64, 96] {
                let offset = u64::from_be_bytes(out[at + 24..at + 32].try_into().unwrap());
                out[at..at + 32].copy_from_slice(&abi::encode_word(offset + 64));
            }
            out
        };
        let (sealed, _) = answer(SapphirePrecompile::DeoxysSeal, &arguments(&message), PLENTY);
        let mut sealed = sealed.unwrap();
        prop_assert_eq!(sealed.len(), message.len() + 16);
        prop_assert_eq!(answer(SapphirePrecompile::DeoxysOpen, &arguments(&sealed), PLENTY).0, Ok(message));
        let at = flipped.index(sealed.len());
        sealed[at] ^= 1;
        prop_assert_eq!(answer(SapphirePrecompile::DeoxysOpen, &arguments(&sealed), PLENTY).0, Err(Failure::Revert));
    }
}
