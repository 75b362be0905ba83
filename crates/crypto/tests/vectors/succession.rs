//! Succession records of the network key.

use freehold_crypto::{
    CertificateError, SuccessionError, body_digest, chain_namespace, payload_digest, verify_succession,
};
use freehold_primitives::{
    Canonical as _, Digest, Executed, G1Point, NetworkKey, PayloadBody, PayloadHead, SuccessionRecord, succession_body,
};
use serde_json::{Value, json};

use crate::{check, signatures::certify};

/// The last payload of a term, which names a key and nothing else.
fn naming(term: u64, key: &NetworkKey) -> PayloadHead {
    PayloadHead {
        chain_id: 4_919,
        height: term * 100 + 99,
        term,
        view: 120,
        parent: Digest([4; 32]),
        timestamp_ms: 1_767_225_600_123,
        proposer: 2,
        executed: Executed { height: term * 100 + 98, block_hash: Digest([5; 32]) },
        parent_seed: Some(G1Point([6; 48])),
        body: body_digest(&succession_body(key)),
    }
}

#[test]
fn succession_vectors() {
    let chain = (4_919, &Digest([1; 32]));
    let namespace = chain_namespace(chain.0, chain.1);
    let seeds = ["freehold vectors network", "freehold vectors network 2", "freehold vectors network 3"];
    let keys = seeds.map(|seed| certify(seed, &namespace, (0, 2, Digest::ZERO)).0);
    let record = |of: usize, term| {
        let payload_head = naming(term, &keys[of + 1]);
        let signed = (payload_head.term, payload_head.view, payload_digest(&payload_head));
        let (_, certificate) = certify(seeds[of], &namespace, signed);
        SuccessionRecord { payload_head, network_key: keys[of + 1], certificate }
    };
    let good = [record(0, 3), record(1, 9)];
    for (index, record) in good.iter().enumerate() {
        let found = verify_succession(&keys[index], chain, record).unwrap();
        assert_eq!((found.from_term, found.network_key), (record.payload_head.term + 1, keys[index + 1]));
    }
    type Change = fn(&mut SuccessionRecord, &SuccessionRecord);
    let changes: [(&str, SuccessionError, Change); 8] = [
        ("other chain", SuccessionError::ForeignChain { found: 4_920, expected: 4_919 }, |r, _| {
            r.payload_head.chain_id = 4_920;
        }),
        ("key that the body does not name", SuccessionError::Body, |r, o| r.network_key = o.network_key),
        ("body with more than a key", SuccessionError::Body, |r, _| {
            r.payload_head.body = body_digest(&PayloadBody::default().to_canonical());
        }),
        ("head that the certificate does not sign", SuccessionError::OtherPayload, |r, _| r.payload_head.height += 1),
        ("certificate of another term", SuccessionError::Term, |r, _| r.certificate.term += 1),
        ("signed by the key that it names", SuccessionError::Certificate(CertificateError::Signature), |r, o| {
            r.certificate.signature = o.certificate.signature;
        }),
        ("signature is the identity", SuccessionError::Certificate(CertificateError::SignaturePoint), |r, _| {
            r.certificate.signature = G1Point::ZERO;
            r.certificate.signature.0[0] = 0xc0;
        }),
        ("no seed", SuccessionError::Certificate(CertificateError::SeedPoint), |r, _| {
            r.certificate.seed = G1Point::ZERO;
        }),
    ];
    let refused: Vec<Value> = changes
        .into_iter()
        .map(|(fault, error, change)| {
            let mut changed = good[0].clone();
            change(&mut changed, &good[1]);
            assert_eq!(verify_succession(&keys[0], chain, &changed), Err(error), "{fault}");
            json!({"fault": fault, "record": hex::encode(changed.to_canonical())})
        })
        .collect();
    // Signed by another key than the one in force, and naming the one that signs.
    let foreign = verify_succession(&keys[2], chain, &good[0]);
    assert!(matches!(foreign, Err(SuccessionError::Certificate(_))));
    assert_eq!(verify_succession(&keys[1], chain, &good[0]), Err(SuccessionError::SameKey));
    check(
        "succession.json",
        &json!({
            "chain_id": 4_919, "genesis_hash": Digest([1; 32]), "keys": keys,
            "bodies": [hex::encode(succession_body(&keys[1])), hex::encode(succession_body(&keys[2]))],
            "records": [
                {"from_term": 4, "record": hex::encode(good[0].to_canonical())},
                {"from_term": 10, "record": hex::encode(good[1].to_canonical())},
            ],
            "refused": refused,
        }),
    );
}
