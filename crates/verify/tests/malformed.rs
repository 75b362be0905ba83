//! Hostile and broken files: every one gets a verdict that refuses, and none a panic.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::OnceLock;

use freehold_primitives::NetworkKey;
use freehold_verify::{
    FinalityError, FinalityProof, HeaderError, Link, LinkError, LinkStatus, PROOF_BYTES_MAX, SectionError, Verdict,
    VerifyOptions, verify_bundle, verify_finality,
};
use proptest::prelude::*;
use support::{GENESIS_TIME, made};

fn whole() -> &'static (NetworkKey, String) {
    static WHOLE: OnceLock<(NetworkKey, String)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let made = made();
        (made.network_key, made.document.to_text().unwrap())
    })
}

fn judge(text: &str) -> Verdict {
    verify_bundle(text, &VerifyOptions::new(whole().0, GENESIS_TIME + 100)).unwrap()
}

fn assert_no_proof(text: &str, what: &str) {
    let verdict = judge(text);
    assert!(!verdict.is_valid(), "{what}");
    for link in Link::ALL {
        assert!(matches!(verdict.status(link), LinkStatus::Failed(LinkError::Document(_))), "{what}: {link}");
    }
    assert!(verdict.to_json().contains("\"verdict\":\"refused\",\"trust_domain\":null"), "{what}");
}

#[test]
fn texts_that_are_no_proof() {
    let text = &whole().1;
    let line = text.trim_end();
    assert_no_proof("", "empty");
    assert_no_proof("\n", "newline alone");
    assert_no_proof(line, "no newline");
    assert_no_proof(&format!("{line}\n\n"), "two newlines");
    assert_no_proof(&format!(" {text}"), "leading space");
    assert_no_proof(&format!("{line}\r\n"), "carriage return");
    assert_no_proof(&text[..text.len() / 2], "truncated");
    assert_no_proof("[]\n", "array");
    assert_no_proof("null\n", "null");
    assert_no_proof(&text.replacen("{\"anchor\"", "{ \"anchor\"", 1), "space inside");
    assert_no_proof(&text.replacen("{\"anchor\"", "{\"anchor\":null,\"anchor\"", 1), "duplicate key");
    assert_no_proof(&text.replacen("{\"anchor\"", "{\"aaa\":0,\"anchor\"", 1), "unknown member");
    assert_no_proof(&text.replacen("freehold.proof/1", "freehold.proof/2", 1), "another version");
    assert_no_proof(&text.replacen("Why", "\\u0057hy", 1), "another escape");
    assert_no_proof(&text.replacen("\"lease_s\":600", "\"lease_s\":6e2", 1), "another number");
    assert_no_proof(&text.replacen("\"lease_s\":600", "\"lease_s\":600.0", 1), "a float");
    assert_no_proof(&format!("{}{}\n", "[".repeat(100_000), "]".repeat(100_000)), "deep");
    assert_no_proof(&format!("{{\"a\":\"{}\"}}\n", "x".repeat(PROOF_BYTES_MAX)), "oversized");
}

#[test]
fn sections_in_another_form_fail_their_link() {
    let text = &whole().1;
    let genesis = text.find("\"genesis\":\"").unwrap() + 11;
    let upper = format!(
        "{}{}{}",
        &text[..genesis + 20],
        text[genesis + 20..genesis + 60].to_uppercase(),
        &text[genesis + 60..]
    );
    let cases = [
        (text.replacen("\"genesis\":\"", "\"genesis\":\"0x", 1), Link::Finality),
        (upper, Link::Finality),
        (text.replacen("\"genesis\":\"", "\"genesis\":\"0", 1), Link::Finality),
        (text.replacen("\"lease_s\":600", "\"lease_s\":600,\"lease_t\":0", 1), Link::Registration),
        (text.replacen("\"lease_s\":600", "\"lease_s\":\"600\"", 1), Link::Registration),
        (text.replacen("\"lease_s\":600", "\"lease_s\":-600", 1), Link::Registration),
        (text.replacen("\"evidence_kind\":\"tdx\"", "\"evidence_kind\":\"sgx\"", 1), Link::Registration),
        (text.replacen("\"key_id\":\"receipt-1\"", "\"key_id\":\"receipt-2\"", 1), Link::Receipt),
        (text.replacen("\"model\":null,", "", 1), Link::Receipt),
        (text.replacen("\"api_version\":\"aci/1\"", "\"api_version\":\"aci/2\"", 1), Link::Receipt),
        (text.replacen("\"domain\":\"api.example.com\"", "\"domain\":\"api\\\"example.com\"", 1), Link::Keyset),
    ];
    for (index, (changed, link)) in cases.into_iter().enumerate() {
        assert_ne!(&changed, text, "case {index}");
        let verdict = judge(&changed);
        assert!(!verdict.is_valid(), "case {index}");
        assert!(matches!(verdict.status(link), LinkStatus::Failed(_)), "case {index}: {:?}", verdict.status(link));
        let documents = matches!(verdict.status(link), LinkStatus::Failed(LinkError::Document(_)));
        assert!(!documents, "case {index}: a malformed section fails its own link, not all");
    }
}

#[test]
fn a_missing_section_fails_its_link_and_skips_what_builds_on_it() {
    let document: serde_json::Value = serde_json::from_str(&whole().1).unwrap();
    for link in Link::ALL {
        let mut copy = document.clone();
        copy.as_object_mut().unwrap().remove(link.as_str()).unwrap();
        let verdict = judge(&format!("{}\n", freehold_crypto::to_jcs(&copy).unwrap()));
        let missing = matches!(verdict.status(link), LinkStatus::Failed(LinkError::Section(SectionError::Missing)));
        assert!(missing, "{link}: {:?}", verdict.status(link));
        assert!(!verdict.is_valid());
    }
}

#[test]
fn finality_refuses_each_broken_part() {
    let made = made();
    let document = &made.document;
    let trust = freehold_verify::ChainTrust {
        network_key: made.network_key,
        chain_id: document.keyset.subject.chain_id,
        genesis_hash: document.keyset.subject.genesis_hash,
    };
    let good = FinalityProof {
        headers: document.header.state.iter().map(|header| header.0.clone()).collect(),
        payload_head: document.commitment.state.0.clone(),
        certificate: document.finality.state.0.clone(),
    };
    let headers = verify_finality(&trust, &good).unwrap();
    assert_eq!((headers.first().height(), headers.last().height()), (45, 47));
    assert_eq!(headers.at(46).unwrap().parent_hash(), headers.first().block_hash());
    assert!(headers.at(48).is_none());

    let with = |edit: &dyn Fn(&mut FinalityProof)| {
        let mut proof = good.clone();
        edit(&mut proof);
        verify_finality(&trust, &proof).unwrap_err()
    };
    let rlp = FinalityError::Header { index: 0, source: HeaderError::Rlp };
    assert_eq!(with(&|p| p.headers.clear()), FinalityError::HeaderCount(0));
    assert_eq!(with(&|p| p.headers = vec![Vec::new(); 18]), FinalityError::HeaderCount(18));
    assert_eq!(with(&|p| p.headers[0].push(0)), rlp);
    assert_eq!(with(&|p| p.headers[0].truncate(100)), rlp);
    assert_eq!(
        with(&|p| p.headers[0].resize(2000, 0)),
        FinalityError::Header { index: 0, source: HeaderError::TooLong(2000) }
    );
    assert_eq!(with(&|p| drop(p.headers.remove(1))), FinalityError::NotChild { index: 1 });
    assert_eq!(with(&|p| drop(p.headers.pop())), FinalityError::NotExecuted { height: 47 });
    assert!(matches!(with(&|p| p.payload_head.push(0)), FinalityError::Head(_)));
    assert!(matches!(with(&|p| p.payload_head.resize(5000, 0)), FinalityError::Head(_)));
    assert!(matches!(with(&|p| p.certificate.truncate(10)), FinalityError::Certificate(_)));
    let receipt = document.finality.receipt.0.clone();
    assert_eq!(with(&|p| p.certificate.clone_from(&receipt)), FinalityError::OtherPayload);
    let foreign = freehold_verify::ChainTrust { chain_id: 1, ..trust };
    assert_eq!(
        verify_finality(&foreign, &good).unwrap_err(),
        FinalityError::ForeignChain { found: trust.chain_id, expected: 1 }
    );
    let foreign = freehold_verify::ChainTrust { genesis_hash: freehold_primitives::Digest::ZERO, ..trust };
    assert!(matches!(verify_finality(&foreign, &good), Err(FinalityError::Signature(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text_gets_a_verdict(text in ".{0,400}") {
        prop_assert!(!judge(&text).is_valid());
    }

    #[test]
    fn any_json_gets_a_verdict(value in json(4)) {
        let text = freehold_crypto::to_jcs(&value).unwrap();
        let verdict = judge(&format!("{text}\n"));
        prop_assert!(!verdict.is_valid());
    }

    #[test]
    fn any_byte_changed_is_refused(place in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f) {
        let mut bytes = whole().1.clone().into_bytes();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte && bytes[place].is_ascii());
        bytes[place] = byte;
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(!judge(&text).is_valid());
    }

    #[test]
    fn any_section_replaced_is_refused(index in 0_usize..11, value in json(3)) {
        let mut document: serde_json::Value = serde_json::from_str(&whole().1).unwrap();
        let link = Link::ALL[index];
        document[link.as_str()] = value;
        let text = freehold_crypto::to_jcs(&document).unwrap();
        let verdict = judge(&format!("{text}\n"));
        prop_assert!(!verdict.is_valid());
    }
}

fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (0_u64..1 << 53).prop_map(Into::into),
        "[0-9a-f]{0,80}".prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 24, 6, |inner| {
        let names = prop_oneof![
            Just("format".to_owned()),
            Just("receipt".to_owned()),
            Just("state".to_owned()),
            Just("body".to_owned()),
            Just("content".to_owned()),
            Just("proof".to_owned()),
            "[a-z_]{0,10}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(names, inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}
