//! A chain whose network key was replaced twice: who trusts the first key checks every term, and no record leads astray.
#![allow(clippy::unwrap_used)]

mod support;

use freehold_crypto::{CertificateError, SuccessionError};
use freehold_primitives::{Canonical as _, Digest, NetworkKey, SUCCESSIONS_MAX, SuccessionRecord};
use freehold_verify::{
    ChainTrust, FinalityError, KeysError, Link, LinkStatus, NetworkKeys, SUCCESSION_FORMAT, SuccessionFileError,
    VerifyOptions, read_succession, verify_bundle, verify_finality, verify_finality_under, write_succession,
};
use support::{GENESIS_TIME, Network, headers, made};

const GENESIS: Digest = Digest([1; 32]);

/// The first key's network in its last term, then its successors in theirs.
fn networks() -> [Network; 3] {
    [Network::of(42, 3), Network::of(43, 9), Network::of(44, 10)]
}

fn trust(key: NetworkKey) -> ChainTrust {
    ChainTrust { network_key: key, chain_id: Network::CHAIN, genesis_hash: GENESIS }
}

fn records() -> Vec<SuccessionRecord> {
    let [first, second, third] = networks();
    vec![first.naming(GENESIS, second.key()), second.naming(GENESIS, third.key())]
}

#[test]
fn whoever_trusts_the_first_key_checks_every_term() {
    let [first, second, third] = networks();
    let trust = trust(first.key());
    let keys = NetworkKeys::walk(&trust, &records()).unwrap();
    let expected = [(0, &first), (3, &first), (4, &second), (9, &second), (10, &third), (u64::MAX, &third)];
    for (term, network) in expected {
        assert_eq!(*keys.at(term), network.key(), "term {term}");
    }
    assert_eq!(*keys.newest(), third.key());
    let run = headers(10, 2, Digest([7; 32]));
    for network in networks() {
        let proof = network.finality(GENESIS, &run);
        verify_finality_under(&trust, &keys, &proof).unwrap();
    }
    // Without the records later terms are refused, and the first key's stay.
    assert!(verify_finality(&trust, &first.finality(GENESIS, &run)).is_ok());
    let refused = verify_finality(&trust, &second.finality(GENESIS, &run));
    assert_eq!(refused.unwrap_err(), FinalityError::Signature(CertificateError::Signature));
}

#[test]
fn a_replaced_key_signs_no_later_term_and_a_new_one_no_earlier() {
    let [first, ..] = networks();
    let trust = trust(first.key());
    let keys = NetworkKeys::walk(&trust, &records()).unwrap();
    let run = headers(10, 2, Digest([7; 32]));
    for (seed, term) in [(42, 4), (42, 10), (43, 3), (43, 10), (44, 9), (44, 0)] {
        let proof = Network::of(seed, term).finality(GENESIS, &run);
        let refused = verify_finality_under(&trust, &keys, &proof).unwrap_err();
        assert_eq!(refused, FinalityError::Signature(CertificateError::Signature), "key {seed} in term {term}");
    }
}

#[test]
fn records_count_only_in_order_and_under_the_key_before() {
    let [first, second, third] = networks();
    let trust = trust(first.key());
    let [one, two] = records().try_into().unwrap();
    let refused = |records: &[SuccessionRecord]| NetworkKeys::walk(&trust, records).unwrap_err();
    let signature = SuccessionError::Certificate(CertificateError::Signature);
    assert_eq!(refused(&[two.clone(), one.clone()]), KeysError::Record { index: 0, source: signature });
    assert_eq!(refused(std::slice::from_ref(&two)), KeysError::Record { index: 0, source: signature });
    // The key in force names one of an earlier term.
    let back = Network::of(43, 2).naming(GENESIS, third.key());
    assert_eq!(refused(&[one.clone(), back]), KeysError::Order(1));
    // The replaced key names another one once more.
    let again = first.naming(GENESIS, third.key());
    assert_eq!(refused(&[one.clone(), again]), KeysError::Record { index: 1, source: signature });
    let itself = first.naming(GENESIS, first.key());
    assert_eq!(refused(&[itself]), KeysError::Record { index: 0, source: SuccessionError::SameKey });
    let point = first.naming(GENESIS, NetworkKey([7; 96]));
    assert_eq!(refused(&[point]), KeysError::Record { index: 0, source: SuccessionError::Key });
    let foreign = first.naming(Digest([2; 32]), second.key());
    assert_eq!(refused(&[foreign]), KeysError::Record { index: 0, source: signature });
    assert_eq!(refused(&vec![one; SUCCESSIONS_MAX + 1]), KeysError::Count(SUCCESSIONS_MAX + 1));
}

#[test]
fn a_file_holds_records_and_nothing_else() {
    let text = write_succession(&records()).unwrap();
    assert_eq!(read_succession(&text).unwrap(), records());
    assert!(text.contains(SUCCESSION_FORMAT));
    let shorter = text.replacen("01", "02", 1);
    for bad in [text.trim_end().to_owned(), text.replace("records", "recordz"), "{}\n".to_owned(), shorter] {
        assert!(read_succession(&bad).is_err());
    }
    let many = write_succession(&vec![records()[0].clone(); SUCCESSIONS_MAX + 1]).unwrap();
    assert!(matches!(read_succession(&many), Err(SuccessionFileError::Record { .. })));
    // Every cut of a record is refused, and none panics.
    let whole = records()[0].to_canonical();
    for length in 0..whole.len() {
        assert!(SuccessionRecord::from_canonical(&whole[..length]).is_err());
    }
}

#[test]
fn a_proof_of_before_stays_valid_and_records_that_lead_nowhere_fail_it() {
    let made = made();
    let text = made.document.to_text().unwrap();
    let genesis_hash = freehold_crypto::genesis_hash(&support::genesis(&Network::new()));
    let good = [Network::of(42, 3).naming(genesis_hash, Network::of(43, 4).key())];
    let base = VerifyOptions::new(made.network_key, GENESIS_TIME + 100);
    assert!(verify_bundle(&text, &VerifyOptions { succession: &good, ..base }).unwrap().is_valid());
    let bad = [Network::of(45, 3).naming(genesis_hash, Network::of(43, 4).key())];
    let verdict = verify_bundle(&text, &VerifyOptions { succession: &bad, ..base }).unwrap();
    let status = &verdict.links().iter().find(|report| report.link == Link::Finality).unwrap().status;
    assert!(matches!(status, LinkStatus::Failed(error) if error.code() == 1103), "{status:?}");
}
