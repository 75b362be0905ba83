//! Encrypted call data, its answers, and signed queries (`spec/call-data.md`).

use freehold_crypto::{
    AccountKey, CallData, CallFailure, CallResult, FailureForm, Leash, QueryCall, QueryProof, SignedQuery, seal_call,
    wrap_call, x25519_public,
};
use freehold_primitives::{Digest, X25519Key};
use serde_json::{Value, json};

use crate::{Counter, check};

const EPOCH: u64 = 2_933_333;
const SECRET: [u8; 32] = [0x42; 32];
const NONCE: [u8; 15] = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0];

fn envelope(name: &str, data: &[u8], failures: FailureForm, rng: &mut Counter) -> Value {
    let (sent, opener) = seal_call((&X25519Key(x25519_public(&SECRET)), EPOCH), data, failures, rng);
    let CallData::Sealed(call) = CallData::read(&sent) else { panic!("not sealed") };
    let opened = call.open(&SECRET).unwrap();
    assert_eq!((opened.data.as_slice(), opened.answer.failures()), (data, failures));
    let failure = CallFailure { module: "evm".to_owned(), code: 8, message: "reverted: ".to_owned() };
    let (returned, failed) = (CallResult::Returned(b"result".to_vec()), CallResult::Failed(failure));
    let (ok, fail) = (opened.answer.seal(&NONCE, &returned), opened.answer.seal(&NONCE, &failed));
    assert_eq!((opener.open(&ok), opener.open(&fail)), (Ok(returned), Ok(failed)));
    json!({
        "name": name, "data": hex::encode(data), "sealed_failures": failures == FailureForm::Sealed,
        "envelope": hex::encode(sent), "answer_ok": hex::encode(ok), "answer_fail": hex::encode(fail),
    })
}

fn query(rng: &mut Counter) -> Value {
    let key = AccountKey::from_bytes(&[0x51; 32]).unwrap();
    let leash = Leash { nonce: 18, block_number: 4_660, block_hash: Digest([0x2e; 32]), block_range: 15 };
    let mut gas_price = [0; 32];
    gas_price[24..].copy_from_slice(&100_000_000_000_u64.to_be_bytes());
    let data = [0xe2, 0x1f, 0x37, 0xce];
    let call = QueryCall {
        from: key.account(),
        to: "595cce2312b7dfb068eb7dbb8c2b0b593b5c8883".parse().unwrap(),
        gas_limit: 30_000_000,
        gas_price,
        value: [0; 32],
        data: &data,
    };
    let digest = call.digest(23_293, &leash);
    let proof = QueryProof { leash, signature: key.sign(&digest) };
    assert_eq!(proof.verify(23_293, &call), Ok(()));
    let (sent, _) = seal_call((&X25519Key(x25519_public(&SECRET)), EPOCH), &data, FailureForm::Plain, rng);
    let pack = |call: &[u8]| {
        let pack = proof.pack(call).unwrap();
        assert_eq!(SignedQuery::read(&pack).unwrap().proof, proof);
        hex::encode(pack)
    };
    json!({
        "chain_id": 23_293, "secret_key": hex::encode([0x51; 32]), "from": call.from.to_string(),
        "to": call.to.to_string(), "gas_limit": call.gas_limit, "gas_price": hex::encode(gas_price),
        "value": hex::encode(call.value), "data": hex::encode(data),
        "leash": {
            "nonce": leash.nonce, "block_number": leash.block_number,
            "block_hash": leash.block_hash.to_string(), "block_range": leash.block_range,
        },
        "digest": digest.to_string(), "signature": hex::encode(proof.signature),
        "packed_wrapped": pack(&wrap_call(&data)), "packed_sealed": pack(&sent),
    })
}

#[test]
fn call_data_vectors() {
    let mut rng = Counter::new("freehold vectors call data");
    let envelopes = [
        envelope("selector", &[0xe2, 0x1f, 0x37, 0xce], FailureForm::Plain, &mut rng),
        envelope("empty", &[], FailureForm::Plain, &mut rng),
        envelope("long", &[0x5a; 300], FailureForm::Plain, &mut rng),
        envelope("sealed_failures", &[0xe2, 0x1f, 0x37, 0xce], FailureForm::Sealed, &mut rng),
    ];
    check(
        "../sapphire/envelopes.json",
        &json!({
            "epoch": EPOCH, "epoch_secret": hex::encode(SECRET), "epoch_key": hex::encode(x25519_public(&SECRET)),
            "answer_nonce": hex::encode(NONCE), "envelopes": envelopes, "wrapped": hex::encode(wrap_call(b"data")),
            "query": query(&mut rng),
        }),
    );
}
