//! Finalization certificates of commonware-consensus under our verifier: the real one passes, every change is refused.

use std::time::Instant;

use commonware_consensus::{
    simplex::{
        scheme::bls12381_threshold::vrf,
        types::{Finalization, Finalize, Notarization, Notarize, Proposal},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{Signer as _, bls12381::primitives::variant::MinSig, ed25519, sha256};
use commonware_parallel::Sequential;
use commonware_utils::{TryCollect as _, non_empty, ordered::Set};
use freehold_crypto::{
    CertificateError, CertificateVerifier, chain_namespace, genesis_hash, verify_certificate, verify_seed,
};
use freehold_primitives::{Certificate, Digest, G1Point, Genesis, KeyCeremony, Membership, NetworkKey};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{deal, network_key};

type Scheme = vrf::Scheme<ed25519::PublicKey, MinSig>;

struct Network {
    key: NetworkKey,
    namespace: Vec<u8>,
    schemes: Vec<Scheme>,
}

fn network(seed: u64) -> Network {
    let namespace = chain_namespace(1_234, &Digest([7; 32]));
    let (sharing, shares) = deal(seed);
    let set: Set<ed25519::PublicKey> =
        (0..4).map(|i| ed25519::PrivateKey::from_seed(i).public_key()).try_collect().unwrap();
    let schemes = shares
        .into_iter()
        .map(|share| Scheme::signer(&namespace, set.clone(), sharing.clone(), share).unwrap())
        .collect();
    Network { key: network_key(&sharing), namespace, schemes }
}

fn g1(point: &impl commonware_codec::Encode) -> G1Point {
    G1Point(point.encode().as_ref().try_into().unwrap())
}

/// A certificate over (term, view, parent view, payload), assembled by the engine from three of four votes.
fn certify(network: &Network, fields: (u64, u64, u64, Digest)) -> Certificate {
    let (term, view, parent_view, payload) = fields;
    let proposal =
        Proposal::new(Round::new(Epoch::new(term), View::new(view)), View::new(parent_view), sha256::Digest(payload.0));
    let votes: Vec<_> =
        network.schemes[1..].iter().map(|scheme| Finalize::sign(scheme, proposal.clone()).unwrap()).collect();
    let finalization =
        Finalization::from_finalizes(&network.schemes[0], non_empty![@votes.iter()], &Sequential).unwrap();
    assert!(finalization.verify(&mut StdRng::seed_from_u64(0), &network.schemes[0], &Sequential));
    let pair = finalization.certificate.get().unwrap();
    Certificate {
        term,
        view,
        parent_view,
        payload,
        signature: g1(&pair.vote_signature),
        seed: g1(&pair.seed_signature),
    }
}

fn check(network: &Network, certificate: &Certificate) -> Result<(), CertificateError> {
    verify_certificate(&network.key, &network.namespace, certificate)
}

#[test]
fn certificate_of_the_engine_is_accepted() {
    let network = network(1);
    // Around the lengths of the variable-length integers.
    for (term, view, parent) in
        [(0, 1, 0), (0, 127, 126), (1, 128, 127), (300, 16_384, 16_383), (u64::MAX, u64::MAX, 5)]
    {
        let certificate = certify(&network, (term, view, parent, Digest([9; 32])));
        assert_eq!(check(&network, &certificate), Ok(()), "term {term} view {view}");
        assert_eq!(verify_seed(&network.key, &network.namespace, term, view, &certificate.seed), Ok(()));
    }
}

#[test]
fn certificate_with_a_changed_field_is_refused() {
    let network = network(1);
    let good = certify(&network, (3, 500, 499, Digest([9; 32])));
    let other = certify(&network, (3, 501, 500, Digest([8; 32])));
    let with = |change: fn(&mut Certificate, &Certificate)| {
        let mut changed = good.clone();
        change(&mut changed, &other);
        check(&network, &changed).unwrap_err()
    };
    assert_eq!(with(|c, _| c.term += 1), CertificateError::Signature);
    assert_eq!(with(|c, _| c.view += 1), CertificateError::Signature);
    assert_eq!(with(|c, _| c.parent_view -= 1), CertificateError::Signature);
    assert_eq!(with(|c, _| c.payload.0[31] ^= 1), CertificateError::Signature);
    assert_eq!(with(|c, o| c.signature = o.signature), CertificateError::Signature);
    assert_eq!(with(|c, o| c.seed = o.seed), CertificateError::Seed);
    assert_eq!(with(|c, _| core::mem::swap(&mut c.signature, &mut c.seed)), CertificateError::Signature);
    assert_eq!(with(|c, _| c.signature = G1Point::ZERO), CertificateError::SignaturePoint);
    assert_eq!(with(|c, _| c.seed.0[0] &= 0x7f), CertificateError::SeedPoint);
    // The identity, which signs everything under no key.
    assert_eq!(
        with(|c, _| {
            c.signature = G1Point::ZERO;
            c.signature.0[0] = 0xc0;
        }),
        CertificateError::SignaturePoint
    );
}

#[test]
fn certificate_under_another_chain_or_key_is_refused() {
    let network_one = network(1);
    let certificate = certify(&network_one, (3, 500, 499, Digest([9; 32])));
    let (key, namespace) = (&network_one.key, &network_one.namespace);
    let other_chain = chain_namespace(1_235, &Digest([7; 32]));
    let other_genesis = chain_namespace(1_234, &Digest([6; 32]));
    for namespace in [&other_chain, &other_genesis] {
        assert_eq!(verify_certificate(key, namespace, &certificate), Err(CertificateError::Signature));
    }
    let other = network(2);
    assert_eq!(verify_certificate(&other.key, namespace, &certificate), Err(CertificateError::Signature));
    assert_eq!(verify_certificate(&NetworkKey::ZERO, namespace, &certificate), Err(CertificateError::NetworkKey));
}

#[test]
fn notarization_is_no_finality_but_carries_the_seed() {
    let network = network(1);
    let round = Round::new(Epoch::new(0), View::new(9));
    let proposal = Proposal::new(round, View::new(8), sha256::Digest([9; 32]));
    let votes: Vec<_> =
        network.schemes[..3].iter().map(|scheme| Notarize::sign(scheme, proposal.clone()).unwrap()).collect();
    let notarization =
        Notarization::from_notarizes(&network.schemes[0], non_empty![@votes.iter()], &Sequential).unwrap();
    let pair = notarization.certificate.get().unwrap();
    let certificate = Certificate {
        term: 0,
        view: 9,
        parent_view: 8,
        payload: Digest([9; 32]),
        signature: g1(&pair.vote_signature),
        seed: g1(&pair.seed_signature),
    };
    assert_eq!(check(&network, &certificate), Err(CertificateError::Signature));
    assert_eq!(verify_seed(&network.key, &network.namespace, 0, 9, &certificate.seed), Ok(()));
    assert_eq!(verify_seed(&network.key, &network.namespace, 0, 10, &certificate.seed), Err(CertificateError::Seed));
}

#[test]
fn errors_of_both_signatures_cannot_cancel() {
    // Shift the vote by +D and the seed by −D: the plain sum of both equations would still hold.
    use commonware_codec::DecodeExt as _;
    use commonware_cryptography::bls12381::primitives::group::G1;
    use commonware_math::algebra::CryptoGroup as _;
    let network = network(1);
    let mut certificate = certify(&network, (3, 500, 499, Digest([9; 32])));
    let shift = G1::generator();
    let moved = |point: &G1Point, up: bool| {
        let point = G1::decode(bytes::Bytes::copy_from_slice(&point.0)).unwrap();
        g1(&if up { point + &shift } else { point - &shift })
    };
    certificate.signature = moved(&certificate.signature, true);
    certificate.seed = moved(&certificate.seed, false);
    assert_eq!(check(&network, &certificate), Err(CertificateError::Signature));
}

#[test]
fn namespace_names_chain_and_genesis() {
    let genesis = Genesis {
        chain_id: 5,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: 0,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: freehold_primitives::Blob(Vec::new()),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership::default(),
    };
    let namespace = chain_namespace(genesis.chain_id, &genesis_hash(&genesis));
    assert_eq!(namespace.len(), 49);
    assert_eq!(&namespace[..17], b"freehold:\0\0\0\0\0\0\0\x05");
}

/// Prints what verification costs; the bound is loose because the machine is shared.
#[test]
fn certificate_verification_is_fast() {
    let network = network(1);
    let certificate = certify(&network, (3, 500, 499, Digest([9; 32])));
    let verifier = CertificateVerifier::new(&network.key, &network.namespace).unwrap();
    let mut best = u128::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        verifier.verify(&certificate).unwrap();
        best = best.min(start.elapsed().as_micros());
    }
    println!("certificate (two signatures) verified in {best} us at best");
    assert!(best < 20_000);
}
