//! Envelopes, answers and signed queries: known values of Sapphire's clients, round trips, and every way to be wrong.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Account, CborValue, Digest, X25519Key};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use freehold_crypto::{
    AccountKey, CallData, CallDataRefusal, CallFailure, CallResult, Deoxys, FailureForm, Leash, OpenedCall, QueryCall,
    QueryProof, ResultError, SignedQuery, deoxys_shared_key, seal_call, wrap_call, x25519_public,
};

const EPOCH: u64 = 2_933_333;

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn epoch_secret() -> [u8; 32] {
    [0x42; 32]
}

fn epoch_key() -> X25519Key {
    X25519Key(x25519_public(&epoch_secret()))
}

fn open(data: &[u8]) -> Result<OpenedCall, CallDataRefusal> {
    match CallData::read(data) {
        CallData::Sealed(call) => call.open(&epoch_secret()),
        CallData::Refused { refusal, .. } => Err(refusal),
        other => panic!("not sealed: {other:?}"),
    }
}

fn map<'a, const N: usize>(fields: [(&'a str, CborValue<'a>); N]) -> CborValue<'a> {
    CborValue::map(fields)
}

/// An envelope around any plaintext, as a client with the secret key [9; 32] makes it.
fn envelope(plaintext: &[u8], outer: Vec<(&'static str, CborValue<'static>)>) -> Vec<u8> {
    let key = Deoxys::new(&deoxys_shared_key(&epoch_key().0, &[9; 32]));
    let (data, own, nonce) = (key.seal(&[1; 15], plaintext, &[]), x25519_public(&[9; 32]), [1; 15]);
    let body = map([
        ("pk", CborValue::Bytes(&own)),
        ("data", CborValue::Bytes(&data)),
        ("epoch", CborValue::Unsigned(EPOCH)),
        ("nonce", CborValue::Bytes(&nonce)),
    ]);
    let mut fields = vec![("body", body), ("format", CborValue::Unsigned(1))];
    fields.extend(outer);
    CborValue::map(fields).to_vec()
}

#[test]
fn shared_key_of_sapphires_clients() {
    // `cipher_test.go`, also in the clients for JavaScript and Python.
    let secret = unhex("c07b151fbc1e7a11dff926111188f8d872f62eba0396da97c0a24adb75161750");
    let public = unhex("3046db3fa70ce605457dc47c48837ebd8bd0a26abfde5994d033e1ced68e2576");
    assert_eq!(x25519_public(&secret), public);
    let expected: [u8; 32] = unhex("e69ac21066a8c2284e8fdc690e579af4513547b9b31dd144792c1904b45cf586");
    assert_eq!(*deoxys_shared_key(&public, &secret), expected);
}

#[test]
fn sealed_call_opens_and_its_answer_returns() {
    for failures in [FailureForm::Plain, FailureForm::Sealed] {
        let (sent, opener) = seal_call((&epoch_key(), EPOCH), b"\xe2\x1f\x37\xce", failures, &mut rng());
        let CallData::Sealed(call) = CallData::read(&sent) else { panic!("not sealed") };
        assert_eq!(call.epoch(), Some(EPOCH));
        let opened = call.open(&epoch_secret()).unwrap();
        assert_eq!(opened.data, b"\xe2\x1f\x37\xce");
        assert_eq!(opened.answer.failures(), failures);
        let failure = CallFailure { module: "evm".to_owned(), code: 8, message: "reverted: ".to_owned() };
        for result in [CallResult::Returned(b"secret".to_vec()), CallResult::Failed(failure)] {
            let answer = opened.answer.seal(&[3; 15], &result);
            assert!(!answer.windows(6).any(|part| part == b"secret" || part == b"revert"));
            assert_eq!(opener.open(&answer), Ok(result));
        }
    }
}

#[test]
fn what_is_no_call_is_plain() {
    let (sealed, _) = seal_call((&epoch_key(), EPOCH), b"data", FailureForm::Plain, &mut rng());
    let bytes = |field| map([("body", CborValue::Bytes(b"x")), field]).to_vec();
    let trailing = [sealed.as_slice(), &[0]].concat();
    let indefinite = [&[0xbf], &sealed[1..], &[0xff]].concat();
    let cases: [(&str, Vec<u8>); 12] = [
        ("empty", vec![]),
        ("selector", vec![0xe2, 0x1f, 0x37, 0xce]),
        ("truncated", sealed[..sealed.len() - 1].to_vec()),
        ("trailing", trailing),
        ("indefinite", indefinite),
        ("unknown_field", bytes(("bodies", CborValue::Null))),
        ("format_unknown", bytes(("format", CborValue::Unsigned(2)))),
        ("format_text", bytes(("format", CborValue::Text("1")))),
        ("format_not_shortest", hex::decode("a264626f6479417866666f726d61741800").unwrap()),
        ("keys_out_of_order", hex::decode("a266666f726d61740064626f64794178").unwrap()),
        ("flag_number", bytes(("ro", CborValue::Unsigned(1)))),
        ("no_body", map([("format", CborValue::Unsigned(1))]).to_vec()),
    ];
    for (name, data) in cases {
        assert_eq!(CallData::read(&data), CallData::Plain, "{name}");
        assert!(!CallData::read(&data).is_sealed(), "{name}");
    }
}

#[test]
fn wrapped_call_is_unwrapped() {
    assert_eq!(CallData::read(&wrap_call(b"data")), CallData::Wrapped(b"data"));
    let explicit = map([("body", CborValue::Bytes(b"data")), ("format", CborValue::Unsigned(0))]).to_vec();
    assert_eq!(CallData::read(&explicit), CallData::Wrapped(b"data"));
    let body = map([("body", CborValue::Text("data"))]).to_vec();
    assert_eq!(CallData::read(&body), CallData::Refused { refusal: CallDataRefusal::Body, sealed: false });
}

#[test]
fn envelope_malformed() {
    let good = |name: &'static str, value: CborValue<'static>| {
        let mut fields = vec![
            ("pk", CborValue::Bytes(&[7; 32])),
            ("data", CborValue::Bytes(&[7; 20])),
            ("epoch", CborValue::Unsigned(EPOCH)),
            ("nonce", CborValue::Bytes(&[7; 15])),
        ];
        fields.retain(|field| field.0 != name);
        if !value.is_null() {
            fields.push((name, value));
        }
        map([("body", CborValue::map(fields)), ("format", CborValue::Unsigned(1))]).to_vec()
    };
    let cases = [
        ("pk_missing", good("pk", CborValue::Null)),
        ("pk_short", good("pk", CborValue::Bytes(&[7; 31]))),
        ("pk_long", good("pk", CborValue::Bytes(&[7; 33]))),
        ("pk_text", good("pk", CborValue::Text("key"))),
        ("data_missing", good("data", CborValue::Null)),
        ("data_below_tag", good("data", CborValue::Bytes(&[7; 15]))),
        ("nonce_missing", good("nonce", CborValue::Null)),
        ("nonce_short", good("nonce", CborValue::Bytes(&[7; 14]))),
        ("nonce_long", good("nonce", CborValue::Bytes(&[7; 16]))),
        ("epoch_text", good("epoch", CborValue::Text("1"))),
        ("field_unknown", good("key", CborValue::Unsigned(1))),
    ];
    for (name, data) in &cases {
        let read = CallData::read(data);
        assert_eq!(read, CallData::Refused { refusal: CallDataRefusal::Envelope, sealed: true }, "{name}");
        assert!(read.is_sealed(), "{name}");
    }
    let bytes = map([("body", CborValue::Bytes(b"x")), ("format", CborValue::Unsigned(1))]).to_vec();
    assert_eq!(CallData::read(&bytes), CallData::Refused { refusal: CallDataRefusal::Envelope, sealed: true });
    for epoch in [CborValue::Null, CborValue::Unsigned(0)] {
        let data = good("epoch", epoch);
        assert!(matches!(CallData::read(&data), CallData::Sealed(call) if call.epoch().is_none()));
    }
}

#[test]
fn sealed_call_refused() {
    let inner = |fields: Vec<(&'static str, CborValue<'static>)>| CborValue::map(fields).to_vec();
    let body = ("body", CborValue::Bytes(b"data"));
    let read_only = ("ro", CborValue::Bool(true));
    let method = ("method", CborValue::Text("evm.Call"));
    let refused = |name: &str, data: &[u8], expect| assert_eq!(open(data).err(), Some(expect), "{name}");
    assert_eq!(open(&envelope(&inner(vec![body.clone()]), vec![])).unwrap().data, b"data");
    assert!(open(&envelope(&inner(vec![body.clone(), read_only.clone()]), vec![read_only.clone()])).is_ok());
    refused("method_outside", &envelope(&inner(vec![body.clone()]), vec![method]), CallDataRefusal::Method);
    refused(
        "read_only_inside",
        &envelope(&inner(vec![body.clone(), read_only.clone()]), vec![]),
        CallDataRefusal::ReadOnly,
    );
    refused("read_only_outside", &envelope(&inner(vec![body.clone()]), vec![read_only]), CallDataRefusal::ReadOnly);
    refused(
        "inner_body_text",
        &envelope(&inner(vec![("body", CborValue::Text("data"))]), vec![]),
        CallDataRefusal::Body,
    );
    refused("inner_empty", &envelope(&[], vec![]), CallDataRefusal::Inner);
    refused("inner_no_map", &envelope(b"data", vec![]), CallDataRefusal::Inner);
    refused(
        "inner_trailing",
        &envelope(&[inner(vec![body.clone()]), vec![0]].concat(), vec![]),
        CallDataRefusal::Inner,
    );
    let unknown = inner(vec![body.clone(), ("bodies", CborValue::Null)]);
    refused("inner_field_unknown", &envelope(&unknown, vec![]), CallDataRefusal::Inner);
    let flag = inner(vec![body, ("sealed_failures", CborValue::Unsigned(1))]);
    refused("inner_flag_number", &envelope(&flag, vec![]), CallDataRefusal::Inner);
    let (sealed, _) = seal_call((&X25519Key(x25519_public(&[8; 32])), EPOCH), b"data", FailureForm::Plain, &mut rng());
    refused("other_key", &sealed, CallDataRefusal::Tag);
}

#[test]
fn answer_malformed() {
    let (sent, opener) = seal_call((&epoch_key(), EPOCH), b"data", FailureForm::Plain, &mut rng());
    let good = open(&sent).unwrap().answer.seal(&[1; 15], &CallResult::Returned(b"x".to_vec()));
    assert!(opener.open(&good).is_ok());
    assert!(matches!(opener.open(&good[..good.len() - 1]), Err(ResultError::Form(_))));
    let plain = map([("ok", CborValue::Bytes(b"x"))]).to_vec();
    assert_eq!(opener.open(&plain), Err(ResultError::Plain));
    let failed = map([("fail", map([("code", CborValue::Unsigned(8)), ("module", CborValue::Text("evm"))]))]).to_vec();
    assert!(matches!(opener.open(&failed), Err(ResultError::Form(_))));
    let mut changed = good;
    let last = changed.len() - 20;
    changed[last] ^= 1;
    assert_ne!(opener.open(&changed), Ok(CallResult::Returned(b"x".to_vec())));
    let (_, other) = seal_call((&epoch_key(), EPOCH), b"data", FailureForm::Plain, &mut StdRng::seed_from_u64(8));
    let good = open(&sent).unwrap().answer.seal(&[1; 15], &CallResult::Returned(b"x".to_vec()));
    assert_eq!(other.open(&good), Err(ResultError::Tag));
}

/// `TestPackSignedCall` of Sapphire's client for Go (`compat_test.go`), chain id 0x5aff.
fn known_query(data: &[u8]) -> (QueryCall<'_>, QueryProof) {
    let mut gas_price = [0; 32];
    gas_price[24..].copy_from_slice(&100_000_000_000_u64.to_be_bytes());
    let call = QueryCall {
        from: "dce075e1c39b1ae0b75d554558b6451a226ffe00".parse().unwrap(),
        to: "595cce2312b7dfb068eb7dbb8c2b0b593b5c8883".parse().unwrap(),
        gas_limit: 30_000_000,
        gas_price,
        value: [0; 32],
        data,
    };
    let leash = Leash {
        nonce: 0x12,
        block_number: 0x1234,
        block_hash: Digest(unhex("2ec361fee28d09a3ad2c4d5f7f95d409ce2b68c39b5d647edf0ea651e069e4a8")),
        block_range: 15,
    };
    // xM1D1tqLQM+lEZ8cNLgQq/KbCTB7Y3G2PVJ/yaR0ViAbH3eorfUZ6KRtRK65wNctZtRSWtCZ931uXkIbbH+Lnhw=
    let signature = unhex(
        "c4cd43d6da8b40cfa5119f1c34b810abf29b09307b6371b63d527fc9a47456201b1f77a8adf519e8a46d44aeb9c0d72d66d4525ad099f77d\
         6e5e421b6c7f8b9e1c",
    );
    (call, QueryProof { leash, signature })
}

fn known_key() -> AccountKey {
    AccountKey::from_bytes(&unhex("c07b151fbc1e7a11dff926111188f8d872f62eba0396da97c0a24adb75161750")).unwrap()
}

#[test]
fn signed_query_of_the_go_client() {
    // That test signs for an account that is not the key's own, and always ends a signature with 28.
    let (call, proof) = known_query(&[0xe2, 0x1f, 0x37, 0xce]);
    assert_eq!(known_key().sign(&call.digest(0x5aff, &proof.leash))[..64], proof.signature[..64]);
    assert_eq!(proof.verify(0x5aff, &call), Err(CallDataRefusal::Signer));
}

/// The pack in the tests of Sapphire's EVM module, made by the first client for JavaScript.
const KNOWN_PACK: &str = "a36464617461a164626f64794401020304656c65617368a4656e6f6e63651903e76a626c6f636b5f6861736858\
    20c92b675c7013e33aa88feaae520eb0ede155e7cacb3c4587e0923cba9953f8bb6b626c6f636b5f72616e6765036c626c6f636b5f6e756d\
    626572182a697369676e6174757265584148bca100e84d13a80b131c62b9b87caf07e4da6542a9e1ea16d8042ba08cc1e31f10ae924d8c13\
    7882204e9217423194014ce04fa2130c14f27b148858733c7b1c";

#[test]
fn signed_query_of_the_first_js_client() {
    let data = hex::decode(KNOWN_PACK).unwrap();
    let query = SignedQuery::read(&data).unwrap();
    let CallData::Wrapped(plain) = query.data else { panic!("not in the open") };
    assert_eq!(query.proof.leash.block_range, 3);
    let (mut gas_price, mut value) = ([0; 32], [0; 32]);
    (gas_price[31], value[31]) = (123, 42);
    let call = QueryCall {
        from: "11e244400cf165ade687077984f09c3a037b868f".parse().unwrap(),
        to: "b5ed90452aac09f294a0be877cbf2dc4d55e096f".parse().unwrap(),
        gas_limit: 10,
        gas_price,
        value,
        data: plain,
    };
    assert_eq!(query.proof.verify(0x5afe, &call), Ok(()));
    assert_eq!(query.proof.pack(&wrap_call(plain)).unwrap(), data);
}

#[test]
fn query_signature_forms() {
    let (call, proof) = known_query(&[0xe2, 0x1f, 0x37, 0xce]);
    let call = QueryCall { from: known_key().account(), ..call };
    let signature = known_key().sign(&call.digest(0x5aff, &proof.leash));
    let (proof, v) = (QueryProof { signature, ..proof }, signature[64]);
    let with = |change: &dyn Fn(&mut [u8; 65])| {
        let mut changed = proof;
        change(&mut changed.signature);
        changed.verify(0x5aff, &call)
    };
    assert_eq!(with(&|_| {}), Ok(()));
    assert_eq!(proof.verify(0x5afe, &call), Err(CallDataRefusal::Signer));
    assert_eq!(with(&|signature| signature[64] = v - 27), Ok(()));
    assert_eq!(with(&|signature| signature[64] = 55 - v), Err(CallDataRefusal::Signer));
    for v in [2, 26, 29, 255] {
        assert_eq!(with(&|signature| signature[64] = v), Err(CallDataRefusal::Signature), "v {v}");
    }
    assert_eq!(with(&|signature| signature[..32].fill(0)), Err(CallDataRefusal::Signature));
    // n − s signs the same, and is refused.
    let high = |signature: &mut [u8; 65]| {
        let order: [u8; 32] = unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        let mut borrow = 0_i16;
        for index in (0..32).rev() {
            let digit = i16::from(order[index]) - i16::from(signature[32 + index]) - borrow;
            borrow = i16::from(digit < 0);
            signature[32 + index] = digit.rem_euclid(256) as u8;
        }
        signature[64] = 55 - v;
    };
    assert_eq!(with(&high), Err(CallDataRefusal::Signature));
}

#[test]
fn query_binds_every_field() {
    let (call, proof) = known_query(&[0xe2, 0x1f, 0x37, 0xce]);
    let digest = call.digest(0x5aff, &proof.leash);
    let leashes = [
        Leash { nonce: 1, ..proof.leash },
        Leash { block_number: 1, ..proof.leash },
        Leash { block_hash: Digest::ZERO, ..proof.leash },
        Leash { block_range: 1, ..proof.leash },
    ];
    for leash in leashes {
        assert_ne!(call.digest(0x5aff, &leash), digest);
    }
    let calls = [
        QueryCall { from: Account([1; 20]), ..call },
        QueryCall { to: Account([1; 20]), ..call },
        QueryCall { gas_limit: 1, ..call },
        QueryCall { gas_price: [1; 32], ..call },
        QueryCall { value: [1; 32], ..call },
        QueryCall { data: b"", ..call },
    ];
    for call in calls {
        assert_ne!(call.digest(0x5aff, &proof.leash), digest);
    }
}

#[test]
fn query_malformed() {
    let good = hex::decode(KNOWN_PACK).unwrap();
    let without = |at: usize, with: &[u8]| [&good[..at], with, &good[at + 1..]].concat();
    let cases = [
        ("truncated", good[..good.len() - 1].to_vec()),
        ("trailing", [good.as_slice(), &[0]].concat()),
        ("four_fields", without(0, &[0xa4])),
        ("data_no_call", without(6, &[0xa0])),
        ("signature_short", [&good[..good.len() - 67], &[0x58, 0x40], &good[good.len() - 64..]].concat()),
        ("empty", vec![]),
    ];
    for (name, data) in cases {
        assert_eq!(SignedQuery::read(&data), None, "{name}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..300), first in 0xa0_u8..0xa6) {
        let data = [&[first][..], &data].concat();
        if let CallData::Sealed(call) = CallData::read(&data) {
            let _refused = call.open(&epoch_secret());
        }
        let _none = SignedQuery::read(&data);
    }

    #[test]
    fn any_changed_byte_is_noticed(data in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (sent, _) = seal_call((&epoch_key(), EPOCH), &data, FailureForm::Plain, &mut rng());
        let mut changed = sent.clone();
        changed[at.index(sent.len())] ^= 1 << bit;
        match CallData::read(&changed) {
            // The epoch only says which key to try.
            // The top bit of an X25519 key is ignored (RFC 7748 §5): the same key, and so the same call.
            CallData::Sealed(call) => prop_assert!(
                call.epoch() != Some(EPOCH)
                    || call.open(&epoch_secret()).map_or(true, |opened| bit == 7 && opened.data == data)
            ),
            CallData::Plain | CallData::Refused { .. } => {}
            CallData::Wrapped(_) => prop_assert!(false, "an envelope became a call in the open"),
        }
    }

    #[test]
    fn every_call_comes_back(data in prop::collection::vec(any::<u8>(), 0..2_000), seed in any::<u64>()) {
        let (sent, opener) =
            seal_call((&epoch_key(), EPOCH), &data, FailureForm::Sealed, &mut StdRng::seed_from_u64(seed));
        let opened = open(&sent).unwrap();
        prop_assert_eq!(&opened.data, &data);
        let answer = opened.answer.seal(&[5; 15], &CallResult::Returned(data.clone()));
        prop_assert_eq!(opener.open(&answer), Ok(CallResult::Returned(data)));
    }
}
