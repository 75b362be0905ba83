//! Seeds of the fuzz entries, for the smoke of the ordinary tests and for the corpora of coverage-guided runs.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Signature, TxKind, U256, hex};
use freehold_crypto::{AccountKey, FailureForm, seal_call, wrap_call};
use freehold_primitives::{
    Blob, Canonical as _, Digest, Dispute, Ed25519Key, NetworkKey, PayloadBody, TermOutcome, TermTurn, X25519Key,
};
use rand::{SeedableRng as _, rngs::StdRng};

/// Words of zeros with some that could be offsets, lengths and numbers.
fn words(first: u8, values: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    for value in values {
        out.extend([0; 31]);
        out.push(*value);
    }
    out
}

/// Seeds of an entry.
///
/// # Panics
/// When there is no such entry.
pub fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let public = X25519Key([9; 32]);
    let sealed = seal_call((&public, 0), b"data", FailureForm::Sealed, &mut StdRng::seed_from_u64(1)).0;
    match entry {
        "cbor" => {
            vec![sealed, hex!("a262746f5500112233445566778899aabbccddeeff00112233").to_vec(), vec![0x82, 0x41, 1, 0x40]]
        }
        "call_data" | "signed_query" => vec![sealed, wrap_call(b"data")],
        "call_inner" => {
            vec![wrap_call(b"data"), hex!("a264626f6479446461746f6f7365616c65645f6661696c75726573f5").to_vec()]
        }
        "call_answer" => {
            vec![hex!("a1626f6b4464617461").to_vec(), hex!("a1646661696ca264636f646502666d6f64756c656365766d").to_vec()]
        }
        "precompiles" => (0..31).map(|place| words(place, &[64, 128, 160, 192, 32, 0, 32, 0, 32, 0, 32, 0])).collect(),
        "subcall" => {
            (0..16).flat_map(|method| [vec![method, 0xf6], [&[method, 0x55][..], &[0; 21]].concat()]).collect()
        }
        "modules" => (0..44).map(|function| words(function, &[64, 96, 128, 32, 1, 32, 1, 32, 1])).collect(),
        "transaction" => transactions(),
        "turn" => turns(),
        other => panic!("{other} has no seeds"),
    }
}

/// A transaction of two types, signed.
fn transactions() -> Vec<Vec<u8>> {
    let key = AccountKey::from_bytes(&[7; 32]).expect("a secret key");
    let sign = |hash: alloy_primitives::B256| {
        Signature::from_raw_array(&key.sign(&Digest(hash.0))).expect("a signature of ours")
    };
    let (chain_id, gas, to) = (23_293, 100_000, TxKind::Call(Address::repeat_byte(0x22)));
    let one = TxEip1559 {
        chain_id,
        gas_limit: gas,
        max_fee_per_gas: 2_000_000_000,
        to,
        value: U256::from(1),
        input: wrap_call(b"data").into(),
        ..TxEip1559::default()
    };
    let old =
        TxLegacy { chain_id: Some(chain_id), gas_limit: gas, gas_price: 2_000_000_000, to, ..TxLegacy::default() };
    let (one_hash, old_hash) = (one.signature_hash(), old.signature_hash());
    let one = TxEnvelope::from(one.into_signed(sign(one_hash)));
    let old = TxEnvelope::from(old.into_signed(sign(old_hash)));
    vec![one.encoded_2718(), old.encoded_2718()]
}

/// Turns after a round that ended well and after one that failed, and a body without one.
fn turns() -> Vec<Vec<u8>> {
    let key = |number: u8| Ed25519Key([number; 32]);
    let well = TermTurn {
        term: 1,
        members: (1..=4).map(key).collect(),
        consensus_polynomial: Blob(vec![5; 8]),
        derivation_polynomial: vec![NetworkKey([1; 96])],
        outcome: TermOutcome::Reshared,
        silent: Vec::new(),
        disputes: Vec::new(),
        waiting: None,
        masters: Vec::new(),
    };
    let dispute = |dealer, player| Dispute { dealer: key(dealer), player: key(player) };
    let failed = TermTurn {
        outcome: TermOutcome::Kept,
        silent: vec![key(3), key(9)],
        disputes: vec![dispute(1, 2), dispute(1, 3), dispute(2, 1)],
        ..well.clone()
    };
    vec![well.to_canonical(), failed.to_canonical(), PayloadBody::default().to_canonical()]
}
