//! Accounts, certificates and derived keys.

use commonware_codec::Encode as _;
use commonware_consensus::{
    simplex::{
        scheme::bls12381_threshold::vrf,
        types::{Finalization, Finalize, Proposal},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{
    Signer as _,
    bls12381::{
        dkg::feldman_desmedt::deal_anonymous,
        primitives::{
            group::Share as EngineShare,
            sharing::{Mode, Sharing},
            variant::MinSig,
        },
    },
    ed25519, sha256,
};
use commonware_parallel::Sequential;
use commonware_utils::{N3f1, NZU32, TryCollect as _, non_empty, ordered::Set};
use freehold_crypto::{
    AccountKey, Derivation, EncryptedShare, KEY_INPUT, Polynomial, Share, TransportSecret, chain_namespace, combine,
    encrypt_share, recover_registration, registration_digest, verify_certificate, verify_seed, verify_share,
};
use freehold_primitives::{AppId, Canonical as _, Certificate, Digest, G1Point, NetworkKey};
use serde_json::{Value, json};

use crate::{Counter, check};

fn deal(seed: &'static str) -> (Sharing<MinSig>, Vec<EngineShare>) {
    deal_anonymous::<MinSig, N3f1>(Counter::new(seed), Mode::NonZeroCounter, NZU32!(4))
}

#[test]
fn account_vectors() {
    let key = AccountKey::from_bytes(&[1; 32]).unwrap();
    let digest = registration_digest(b"document", b"evidence");
    let signature = key.sign(&digest);
    assert_eq!(recover_registration(b"document", b"evidence", &signature), Ok(key.account()));
    check(
        "accounts.json",
        &json!({
            "secret_key": hex::encode([1; 32]), "account": key.account(),
            "registration": {
                "document": hex::encode("document"), "evidence": hex::encode("evidence"), "digest": digest,
                "signature": hex::encode(signature),
            },
        }),
    );
}

/// The network of a seed certifies a payload in the view of a term; its key beside it.
pub(crate) fn certify(
    seed: &'static str,
    namespace: &[u8],
    (term, view, payload): (u64, u64, Digest),
) -> (NetworkKey, Certificate) {
    let (sharing, shares) = deal(seed);
    let set: Set<ed25519::PublicKey> =
        (0..4).map(|i| ed25519::PrivateKey::from_seed(i).public_key()).try_collect().unwrap();
    let schemes: Vec<_> = shares
        .into_iter()
        .map(|share| vrf::Scheme::<_, MinSig>::signer(namespace, set.clone(), sharing.clone(), share).unwrap())
        .collect();
    let round = Round::new(Epoch::new(term), View::new(view));
    let proposal = Proposal::new(round, View::new(view - 1), sha256::Digest(payload.0));
    let votes: Vec<_> = schemes[1..].iter().map(|scheme| Finalize::sign(scheme, proposal.clone()).unwrap()).collect();
    let finalization = Finalization::from_finalizes(&schemes[0], non_empty![@votes.iter()], &Sequential).unwrap();
    let pair = finalization.certificate.get().unwrap();
    let point = |bytes: &[u8]| G1Point(bytes.try_into().unwrap());
    let certificate = Certificate {
        term,
        view,
        parent_view: view - 1,
        payload,
        signature: point(&pair.vote_signature.encode()),
        seed: point(&pair.seed_signature.encode()),
    };
    (NetworkKey(sharing.public().encode().as_ref().try_into().unwrap()), certificate)
}

fn certificate(namespace: &[u8], view: u64) -> (NetworkKey, Certificate) {
    certify("freehold vectors certificate", namespace, (2, view, Digest([9; 32])))
}

#[test]
fn certificate_vectors() {
    let namespace = chain_namespace(4_919, &Digest([1; 32]));
    let (key, first) = certificate(&namespace, 127);
    let (_, second) = certificate(&namespace, 128);
    for good in [&first, &second] {
        verify_certificate(&key, &namespace, good).unwrap();
        verify_seed(&key, &namespace, good.term, good.view, &good.seed).unwrap();
    }
    type Change = fn(&mut Certificate, &Certificate);
    let changes: [(&str, Change); 8] = [
        ("other term", |c, _| c.term += 1),
        ("other view", |c, _| c.view += 1),
        ("other parent view", |c, _| c.parent_view -= 1),
        ("other payload", |c, _| c.payload.0[0] ^= 1),
        ("signature of another view", |c, o| c.signature = o.signature),
        ("seed of another view", |c, o| c.seed = o.seed),
        ("signature and seed exchanged", |c, _| core::mem::swap(&mut c.signature, &mut c.seed)),
        ("signature is the identity", |c, _| {
            c.signature = G1Point::ZERO;
            c.signature.0[0] = 0xc0;
        }),
    ];
    let refused: Vec<Value> = changes
        .into_iter()
        .map(|(fault, change)| {
            let mut changed = first.clone();
            change(&mut changed, &second);
            assert!(verify_certificate(&key, &namespace, &changed).is_err(), "{fault}");
            json!({"fault": fault, "certificate": hex::encode(changed.to_canonical())})
        })
        .collect();
    let describe = |c: &Certificate| {
        json!({
            "term": c.term, "view": c.view, "parent_view": c.parent_view, "payload": c.payload,
            "signature": c.signature, "seed": c.seed, "certificate": hex::encode(c.to_canonical()),
        })
    };
    check(
        "certificates.json",
        &json!({
            "chain_id": 4_919, "genesis_hash": Digest([1; 32]), "namespace": hex::encode(&namespace),
            "network_key": key, "valid": [describe(&first), describe(&second)], "refused": refused,
        }),
    );
}

#[test]
fn key_service_vectors() {
    let (sharing, shares) = deal("freehold vectors keys");
    let bytes = sharing.encode();
    let coefficients: Vec<NetworkKey> = bytes[bytes.len() - 3 * NetworkKey::SIZE..]
        .chunks_exact(NetworkKey::SIZE)
        .map(|chunk| NetworkKey(chunk.try_into().unwrap()))
        .collect();
    let polynomial = Polynomial::new(&coefficients).unwrap();
    let (app, context, generation) = (AppId::new([2; 20]), "root", 1);
    let derivation = Derivation::new(polynomial.master(), &app, context, generation).unwrap();
    let transport = TransportSecret::from_bytes(&[7; 32]).unwrap();
    let mut rng = Counter::new("freehold vectors shares");
    let mut secrets = Vec::new();
    let mut encrypted = Vec::new();
    for share in &shares {
        let secret: [u8; 32] = share.private.expose(|scalar| scalar.encode().as_ref().try_into().unwrap());
        let share = Share::from_bytes(share.index.get(), &secret).unwrap();
        share.check(&polynomial).unwrap();
        let made = encrypt_share(&share, &derivation, &transport.public(), &mut rng).unwrap();
        verify_share(&polynomial, &derivation, &transport.public(), &made).unwrap();
        secrets.push(hex::encode(secret));
        encrypted.push(made);
    }
    let combined = combine(&encrypted, 3).unwrap();
    let key = transport.open(&combined, &derivation).unwrap();
    let refused: Vec<Value> =
        [("index of another validator", 3, 1u8), ("randomness of another share", 4, 0), ("other share", 148, 0)]
            .into_iter()
            .map(|(fault, at, index)| {
                let mut wire = encrypted[0].to_bytes();
                let other = encrypted[1].to_bytes();
                if at == 3 {
                    wire[3] = index
                } else {
                    wire[at..at + 48].copy_from_slice(&other[at..at + 48])
                }
                let changed = EncryptedShare::from_bytes(&wire).unwrap();
                assert!(verify_share(&polynomial, &derivation, &transport.public(), &changed).is_err(), "{fault}");
                json!({"fault": fault, "share": hex::encode(wire)})
            })
            .collect();
    check(
        "key-service.json",
        &json!({
            "polynomial": coefficients, "shares": secrets, "app_id": app, "context": context,
            "generation": generation, "input": hex::encode(KEY_INPUT), "derived_public_key": derivation.public_key(),
            "transport_secret": hex::encode(*transport.to_bytes()), "transport_key": transport.public(),
            "encrypted_shares": encrypted.iter().map(|share| hex::encode(share.to_bytes())).collect::<Vec<_>>(),
            "encrypted_key": hex::encode(combined.to_bytes()), "key": hex::encode(key.as_bytes()),
            "secret": {"purpose": "freehold app root", "secret": hex::encode(*key.secret("freehold app root"))},
            "refused": refused,
        }),
    );
}
