//! Proofs seen from outside: the whole valid one, the walk over its leaves, and every malformed form.
#![allow(clippy::unwrap_used)]

mod support;

use freehold_primitives::{
    Account, AppId, Blob, Canonical, Digest, Genesis, NetworkKey,
    entries::{AppEntry, AuditVerdict, Denial, DenyEntry, DenySubject, UpgradeRule},
};
use freehold_verify::{
    AnchorSection, ChainTrust, FinalityProof, HeaderFileError, InstanceClaim, InstanceError, Link, LinkStatus,
    Objection, OptionalEntryProof, PROMISE_AUDITS_MAX, ProofDocument, Skip, UpgradeDemand, UpgradeShortfall, ValidNow,
    Verdict, VerifyOptions, mutations, verify_bundle, verify_finality, verify_instance,
};
use support::{ANCHOR_HEIGHT, GENESIS_TIME, Made, Plan, Promised, RECEIPT_HEIGHT, STATE_HEIGHT, made, made_with};

const NOW: u64 = GENESIS_TIME + 100;

fn judge(made: &Made, document: &ProofDocument) -> Verdict {
    judge_text(made, &document.to_text().unwrap())
}

fn judge_text(made: &Made, text: &str) -> Verdict {
    verify_bundle(text, &VerifyOptions::new(made.network_key, NOW)).unwrap()
}

fn report(verdict: &Verdict) -> String {
    verdict.links().iter().map(|link| format!("{}: {} {}\n", link.link, link.status.as_str(), link.reason())).collect()
}

fn valid(made: &Made) -> Verdict {
    let verdict = judge(made, &made.document);
    assert!(verdict.is_valid(), "{}{:?}", report(&verdict), verdict.objections());
    verdict
}

fn assert_failed(verdict: &Verdict, link: Link, code: u16) {
    let found = verdict.links().iter().find(|report| report.link == link).unwrap();
    assert_eq!(found.code(), Some(code), "{}", report(verdict));
    assert!(!verdict.is_valid());
}

#[test]
fn a_whole_proof_is_valid() {
    let made = made();
    let verdict = valid(&made);
    assert!(verdict.links().iter().all(|report| matches!(report.status, LinkStatus::Ok)), "{}", report(&verdict));
    let claims = verdict.claims().unwrap();
    assert!(claims.valid_then && claims.anchored && claims.tainted.is_empty());
    assert_eq!(claims.valid_now, ValidNow::Yes);
    assert_eq!((claims.not_before.height, claims.as_of.height), (RECEIPT_HEIGHT, STATE_HEIGHT));
    assert_eq!(claims.not_after.unwrap().height, ANCHOR_HEIGHT);
}

#[test]
fn the_verdict_has_the_members_of_its_format() {
    let made = made();
    let verdict = valid(&made);
    let json: serde_json::Value = serde_json::from_str(&verdict.to_json()).unwrap();
    let start = format!(
        "{{\"format\":\"freehold.verdict/1\",\"verdict\":\"valid\",\"trust_domain\":\"emulated\",\"valid_then\":true,\
         \"valid_now\":\"yes\",\"tainted\":[],\"anchored\":true,\"as_of\":{{\"height\":45,\"time_unix_s\":{}}},\
         \"network_key\":\"{}\",\"app_id\":\"{}\",\"model\":{{\"name\":\"SmolLM2-135M-Instruct\",\"sha256\":\"",
        GENESIS_TIME + 45,
        made.network_key,
        made.instance.app_id,
    );
    assert!(verdict.to_json().starts_with(&start), "{}", verdict.to_json());
    let links: Vec<&str> = json["links"].as_array().unwrap().iter().map(|l| l["link"].as_str().unwrap()).collect();
    let order = [
        "request",
        "response",
        "receipt",
        "keyset",
        "quote",
        "registration",
        "anchor",
        "state_proof",
        "header",
        "commitment",
        "finality",
    ];
    assert_eq!(links, order);
}

#[test]
fn every_changed_leaf_is_refused_by_the_link_of_its_section() {
    for plan in [
        Plan::default(),
        Plan { unanchored: true, ..Plan::default() },
        Plan {
            denied: vec![DenySubject::Platform],
            denied_by_chain: vec![DenySubject::TcbLevel],
            lifted_at: Some(45),
            ..Plan::default()
        },
        Plan { promise: Some(promised(3_600)), ..Plan::default() },
        Plan { promise: Some(Promised::default()), ..Plan::default() },
    ] {
        let made = made_with(&plan);
        for document in [made.document.clone(), made.document.clone().redacted()] {
            let text = document.to_text().unwrap();
            let mut count = 0;
            for mutation in mutations(&text).unwrap() {
                let verdict = judge_text(&made, &mutation.text);
                assert_ne!(mutation.text, text, "{}", mutation.pointer);
                assert!(!verdict.is_valid(), "{} was accepted", mutation.pointer);
                for link in mutation.link.map_or(Link::ALL.to_vec(), |link| vec![link]) {
                    let refused = matches!(verdict.status(link), LinkStatus::Failed(_));
                    assert!(refused, "{}: {link} did not fail\n{}", mutation.pointer, report(&verdict));
                }
                count += 1;
            }
            assert!(count > 70, "{count} leaves");
        }
    }
}

#[test]
fn every_hex_digit_of_the_certified_documents_counts() {
    let made = made();
    let text = made.document.to_text().unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (pointer, link) in [
        ("/commitment/receipt", Link::Commitment),
        ("/finality/state", Link::Finality),
        ("/state_proof/instance/proof", Link::StateProof),
        ("/state_proof/denied/2/proof", Link::StateProof),
        ("/registration/signature", Link::Registration),
        ("/receipt/signature", Link::Receipt),
        ("/header/receipt/0", Link::Header),
    ] {
        let whole = document.pointer(pointer).unwrap().as_str().unwrap();
        // Every third digit keeps the test short and meets high and low halves alike.
        for place in (0..whole.len()).step_by(3) {
            let digit = u8::from_str_radix(&whole[place..=place], 16).unwrap();
            let changed = format!("{}{:x}{}", &whole[..place], digit ^ 8, &whole[place + 1..]);
            let verdict = judge_text(&made, &text.replacen(whole, &changed, 1));
            assert!(
                matches!(verdict.status(link), LinkStatus::Failed(_)),
                "{pointer} at {place}\n{}",
                report(&verdict)
            );
            assert!(!verdict.is_valid());
        }
    }
}

#[test]
fn a_redacted_proof_is_valid_and_says_so() {
    let made = made();
    let document = made.document.clone().redacted();
    let text = document.to_text().unwrap();
    assert!(!text.contains("sky"));
    let verdict = judge(&made, &document);
    assert!(verdict.is_valid());
    for link in [Link::Request, Link::Response] {
        assert!(matches!(verdict.status(link), LinkStatus::Skipped(Skip::Redacted)));
    }
}

#[test]
fn an_unanchored_proof_is_valid_and_says_so() {
    let made = made_with(&Plan { unanchored: true, ..Plan::default() });
    let verdict = valid(&made);
    assert!(matches!(verdict.status(Link::Anchor), LinkStatus::Skipped(Skip::NotAnchored)));
    let claims = verdict.claims().unwrap();
    assert!(!claims.anchored && claims.not_after.is_none());
}

#[test]
fn an_anchor_is_taken_away_or_added_only_whole() {
    let made = made();
    let mut document = made.document.clone();
    document.anchor = None;
    assert_failed(&judge(&made, &document), Link::Anchor, 701);
    let mut document = made_with(&Plan { unanchored: true, ..Plan::default() }).document;
    document.anchor = Some(AnchorSection { path: Vec::new() });
    assert_failed(&judge(&made, &document), Link::Anchor, 701);
}

#[test]
fn another_network_key_is_refused_by_finality() {
    let made = made();
    let text = made.document.to_text().unwrap();
    for key in [NetworkKey::ZERO, NetworkKey([0xff; 96])] {
        let verdict = verify_bundle(&text, &VerifyOptions::new(key, NOW)).unwrap();
        assert_failed(&verdict, Link::Finality, 1102);
        assert!(verdict.claims().is_none());
    }
}

#[test]
fn parts_of_other_proofs_are_refused() {
    let (made, other) = (made(), made_with(&Plan { unanchored: true, ..Plan::default() }));
    let mut document = made.document.clone();
    document.commitment.state = other.document.commitment.receipt.clone();
    assert_failed(&judge(&made, &document), Link::Commitment, 1001);
    let mut document = made.document.clone();
    (document.header.state, document.header.receipt) = (document.header.receipt, document.header.state);
    assert_failed(&judge(&made, &document), Link::Header, 902);
    let mut document = made.document.clone();
    document.state_proof = other.document.state_proof.clone();
    assert_failed(&judge(&made, &document), Link::StateProof, 801);
    let mut document = made.document.clone();
    document.state_proof.app = document.state_proof.app_version.clone();
    assert_failed(&judge(&made, &document), Link::StateProof, 801);
}

#[test]
fn a_stale_quote_is_refused_by_the_quote_link() {
    let made = made_with(&Plan { stale_quote: true, ..Plan::default() });
    assert_failed(&judge(&made, &made.document), Link::Quote, 504);
}

#[test]
fn a_measurement_outside_the_policy_is_refused_by_the_quote_link() {
    let made = made_with(&Plan { other_measurement: true, ..Plan::default() });
    assert_failed(&judge(&made, &made.document), Link::Quote, 503);
}

#[test]
fn another_signer_is_refused_by_the_registration_link() {
    let made = made_with(&Plan { other_signer: true, ..Plan::default() });
    assert_failed(&judge(&made, &made.document), Link::Registration, 603);
}

#[test]
fn state_older_than_the_receipt_is_refused() {
    let made = made_with(&Plan { unanchored: true, state_height: Some(RECEIPT_HEIGHT - 1), ..Plan::default() });
    assert_failed(&judge(&made, &made.document), Link::Header, 904);
}

#[test]
fn valid_then_needs_an_open_registration_over_the_span() {
    let closed = |height| Plan { closed_at: Some(height), ..Plan::default() };
    let cases = [
        (closed(ANCHOR_HEIGHT), false),
        (closed(ANCHOR_HEIGHT + 1), true),
        (Plan { opened_at: Some(RECEIPT_HEIGHT + 1), ..Plan::default() }, false),
        (Plan { expires_at: Some(GENESIS_TIME + ANCHOR_HEIGHT), ..Plan::default() }, true),
        (Plan { expires_at: Some(GENESIS_TIME + ANCHOR_HEIGHT - 1), ..Plan::default() }, false),
        (Plan { app_closed_at: Some(ANCHOR_HEIGHT), ..Plan::default() }, false),
        (Plan { adopted: true, ..closed(RECEIPT_HEIGHT + 1) }, true),
        (Plan { unanchored: true, ..closed(RECEIPT_HEIGHT) }, false),
    ];
    for (index, (plan, expected)) in cases.into_iter().enumerate() {
        let made = made_with(&plan);
        let verdict = judge(&made, &made.document);
        let claims = verdict.claims().unwrap_or_else(|| panic!("case {index}\n{}", report(&verdict)));
        assert_eq!(claims.valid_then, expected, "case {index}");
        assert_eq!(verdict.is_valid(), expected, "case {index}");
        assert_eq!(verdict.objections().contains(&Objection::NotValidThen), !expected);
    }
}

#[test]
fn valid_now_is_said_as_of_a_recent_header_only() {
    let made = made();
    let text = made.document.to_text().unwrap();
    let now = |now: u64, max_age_s: u64, header: Option<&str>| {
        let options = VerifyOptions { max_age_s, header, ..VerifyOptions::new(made.network_key, now) };
        let verdict = verify_bundle(&text, &options).unwrap();
        assert!(verdict.is_valid());
        let claims = verdict.claims().unwrap();
        (claims.valid_now, claims.as_of.height)
    };
    let as_of = GENESIS_TIME + STATE_HEIGHT;
    assert_eq!(now(as_of + 50, 50, None), (ValidNow::Yes, 45));
    assert_eq!(now(as_of + 51, 50, None), (ValidNow::Unknown, 45));
    let later = made.header_file(90, None).to_text().unwrap();
    assert_eq!(now(as_of + 51, 50, Some(&later)), (ValidNow::Yes, 90));
    let closed = made.header_file(91, Some(60)).to_text().unwrap();
    assert_eq!(now(as_of + 51, 50, Some(&closed)), (ValidNow::No, 91));
    let expired = made.header_file(601, None).to_text().unwrap();
    assert_eq!(now(as_of + 601, 50, Some(&expired)).0, ValidNow::No);
    let older = made.header_file(20, Some(19)).to_text().unwrap();
    assert_eq!(now(as_of + 51, 50, Some(&older)), (ValidNow::Unknown, 45));
}

#[test]
fn a_header_file_that_does_not_count_is_an_error() {
    let made = made();
    let text = made.document.to_text().unwrap();
    let with = |header: &str| {
        let options = VerifyOptions { header: Some(header), ..VerifyOptions::new(made.network_key, NOW) };
        verify_bundle(&text, &options).map(|_| ())
    };
    assert!(matches!(with("{}\n"), Err(HeaderFileError::Document(_))));
    assert!(matches!(with(&text), Err(HeaderFileError::Document(_))));
    let mut changed = made.header_file(90, None);
    changed.certificate = made.document.finality.state.clone();
    assert!(matches!(with(&changed.to_text().unwrap()), Err(HeaderFileError::Finality(_))));
    let mut changed = made.header_file(90, Some(60));
    changed.instance.content = made.header_file(90, None).instance.content;
    assert!(matches!(with(&changed.to_text().unwrap()), Err(HeaderFileError::Entry(_))));
}

#[test]
fn denied_subjects_taint() {
    for kind in DenySubject::ALL {
        let made = made_with(&Plan { denied: vec![kind], closed_at: Some(44), ..Plan::default() });
        let verdict = valid(&made);
        let claims = verdict.claims().unwrap();
        assert_eq!(claims.valid_now, ValidNow::No);
        let [taint] = claims.tainted.as_slice() else { panic!("one taint") };
        assert_eq!((taint.since_height, taint.reason), (44, "extracted_key"));
        assert!(
            verdict.to_json().contains("\"tainted\":[{\"since_height\":44,\"reason\":\"extracted_key\",\"subject\":\"")
        );
        // The claim that it is not denied does not stand under the same root.
        let mut document = made.document.clone();
        let clean = made_with(&Plan::default()).document.state_proof.denied;
        document.state_proof.denied = clean;
        assert_failed(&judge(&made, &document), Link::StateProof, 801);
    }
}

#[test]
fn what_the_chain_denies_taints_and_ends() {
    for kind in DenySubject::ALL {
        let plan = Plan { denied_by_chain: vec![kind], ..Plan::default() };
        let made = made_with(&plan);
        let verdict = valid(&made);
        let claims = verdict.claims().unwrap();
        assert_eq!((claims.valid_then, claims.valid_now), (true, ValidNow::No), "denied after the answer: {kind}");
        let [taint] = claims.tainted.as_slice() else { panic!("one taint") };
        assert_eq!((taint.since_height, taint.by, taint.lifted_height), (44, "chain", None));
        assert!(taint.subject.starts_with(&format!("{kind}:")));
        assert!(verdict.to_json().contains(",\"by\":\"chain\",\"lifted_height\":null}]"));
        let mut document = made.document.clone();
        document.state_proof.denied = made_with(&Plan::default()).document.state_proof.denied;
        assert_failed(&judge(&made, &document), Link::StateProof, 801);

        // Lifted, the registration stands again and the taint remains.
        let lifted = made_with(&Plan { lifted_at: Some(45), ..plan });
        let verdict = valid(&lifted);
        let claims = verdict.claims().unwrap();
        assert_eq!((claims.valid_then, claims.valid_now), (true, ValidNow::Yes));
        assert_eq!(claims.tainted[0].lifted_height, Some(45));
    }
}

#[test]
fn an_answer_of_a_denied_instance_was_not_valid_then() {
    // The answer lies between heights 40 and 42.
    for (since, lifted_at, valid_then) in
        [(43, None, true), (42, None, false), (30, None, false), (30, Some(41), false), (30, Some(40), true)]
    {
        let denied_by_chain = vec![DenySubject::Generation];
        let made = made_with(&Plan { denied_by_chain, denied_since: Some(since), lifted_at, ..Plan::default() });
        let text = made.document.to_text().unwrap();
        let verdict = verify_bundle(&text, &VerifyOptions::new(made.network_key, NOW)).unwrap();
        assert_eq!(verdict.claims().unwrap().valid_then, valid_then, "from {since} to {lifted_at:?}");
        assert_eq!(verdict.is_valid(), valid_then);
    }
}

#[test]
fn a_level_of_earlier_evidence_taints_and_does_not_end() {
    let plan = Plan { denied_by_chain: vec![DenySubject::TcbLevel], earlier_level: true, ..Plan::default() };
    let verdict = valid(&made_with(&plan));
    let claims = verdict.claims().unwrap();
    assert_eq!((claims.tainted.len(), claims.valid_now), (1, ValidNow::Yes));
}

#[test]
fn hardware_and_now_are_required_on_demand() {
    let made = made();
    let text = made.document.to_text().unwrap();
    let base = VerifyOptions::new(made.network_key, NOW);
    let hardware = verify_bundle(&text, &VerifyOptions { require_hardware: true, ..base }).unwrap();
    assert_eq!(hardware.objections(), [Objection::Emulated]);
    assert!(!hardware.is_valid() && hardware.to_json().contains("\"verdict\":\"refused\""));
    assert!(verify_bundle(&text, &VerifyOptions { require_now: true, ..base }).unwrap().is_valid());
    let late = VerifyOptions { now_unix_s: NOW + 90_000, ..base };
    assert!(verify_bundle(&text, &late).unwrap().is_valid());
    let late = verify_bundle(&text, &VerifyOptions { require_now: true, ..late }).unwrap();
    assert_eq!(late.objections(), [Objection::NotValidNow]);
}

/// Seconds for which the policy was public when the receipt was made.
const PUBLIC_S: u64 = 5_000;
const AUDITORS: [Account; 3] = [Account([0x11; 20]), Account([0x22; 20]), Account([0x33; 20])];

/// A promise of notice and of one co-signer of two, which one auditor calls sound and another flawed; a third says nothing.
fn promised(notice_s: u64) -> Promised {
    let at = GENESIS_TIME + RECEIPT_HEIGHT;
    Promised {
        rule: Some(UpgradeRule { notice_s, cosigners: vec![Account([1; 20]), Account([2; 20])], cosigners_needed: 1 }),
        since_unix_s: at - PUBLIC_S - notice_s,
        public_since_unix_s: at - PUBLIC_S,
        audits: vec![
            (AUDITORS[0], Some(AuditVerdict::Sound)),
            (AUDITORS[1], Some(AuditVerdict::Flawed)),
            (AUDITORS[2], None),
        ],
        ..Promised::default()
    }
}

/// Why a proof with this promise is refused where this is demanded; `None` where it is not.
fn shortfall(promise: Option<Promised>, demand: &UpgradeDemand) -> Option<UpgradeShortfall> {
    let made = made_with(&Plan { promise, ..Plan::default() });
    let base = VerifyOptions::new(made.network_key, NOW);
    let text = made.document.to_text().unwrap();
    let verdict = verify_bundle(&text, &VerifyOptions { demand: Some(demand), ..base }).unwrap();
    assert!(verdict.claims().is_some(), "{}", report(&verdict));
    match verdict.objections() {
        [] => None,
        [Objection::Promise(shortfall)] => Some(*shortfall),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_proof_shows_what_its_app_promised_and_less_is_refused() {
    let demand = |notice_s_min, cosigners_min, auditor: Option<usize>| UpgradeDemand {
        notice_s_min,
        cosigners_min,
        auditors: auditor.map(|at| AUDITORS.get(at).copied().unwrap_or(Account([9; 20]))).into_iter().collect(),
    };
    let kept = |demand: &UpgradeDemand| shortfall(Some(promised(3_600)), demand);
    for met in [demand(0, 0, None), demand(3_600, 1, None), demand(1, 0, Some(0))] {
        assert_eq!(kept(&met), None, "{met:?}");
    }
    let (promised_s, demanded_s) = (3_600, 3_601);
    assert_eq!(kept(&demand(3_601, 0, None)), Some(UpgradeShortfall::Notice { promised_s, demanded_s }));
    assert_eq!(kept(&demand(0, 2, None)), Some(UpgradeShortfall::Cosigners { needed: 1, demanded: 2 }));
    assert_eq!(kept(&demand(0, 0, Some(1))), Some(UpgradeShortfall::Flawed(AUDITORS[1])));
    assert_eq!(kept(&demand(0, 0, Some(2))), Some(UpgradeShortfall::Unaudited(AUDITORS[2])));
    assert_eq!(kept(&demand(0, 0, Some(3))), Some(UpgradeShortfall::AuditUnproven(Account([9; 20]))));

    // What came after the answer does not count for it.
    let at = GENESIS_TIME + RECEIPT_HEIGHT;
    let young = Promised { public_since_unix_s: at - 3_599, ..promised(3_600) };
    let (public_s, demanded_s) = (3_599, 3_600);
    let found = shortfall(Some(young), &demand(3_600, 0, None));
    assert_eq!(found, Some(UpgradeShortfall::Young { public_s, demanded_s }));
    let late = Promised { since_unix_s: at + 1, ..promised(3_600) };
    let since_unix_s = at + 1;
    assert_eq!(shortfall(Some(late), &demand(0, 1, None)), Some(UpgradeShortfall::Late { since_unix_s }));

    // An app that never promised anything, and a proof that says nothing of it.
    let nothing = shortfall(Some(Promised::default()), &demand(1, 0, None));
    assert_eq!(nothing, Some(UpgradeShortfall::Notice { promised_s: 0, demanded_s: 1 }));
    assert_eq!(shortfall(None, &demand(1, 0, None)), Some(UpgradeShortfall::Unproven));
    assert_eq!(shortfall(None, &UpgradeDemand::default()), None);
}

#[test]
fn a_promise_of_another_policy_or_app_is_not_taken_for_this_one() {
    let other = Promised { other_policy: true, ..promised(3_600) };
    let made = made_with(&Plan { promise: Some(other), ..Plan::default() });
    assert_failed(&judge(&made, &made.document), Link::StateProof, 802);

    let made = made_with(&Plan { promise: Some(promised(3_600)), ..Plan::default() });
    let changed = |change: &dyn Fn(&mut freehold_verify::PromiseProof)| {
        let mut document = made.document.clone();
        change(document.state_proof.promise.as_mut().unwrap());
        judge(&made, &document)
    };
    // An entry that is there cannot be called absent, nor can one auditor's word be another's.
    assert_failed(&changed(&|promise| promise.upgrade.content = None), Link::StateProof, 801);
    let swapped = changed(&|promise| {
        let word = promise.audits[&AUDITORS[0]].clone();
        promise.audits.insert(AUDITORS[1], word);
    });
    assert_failed(&swapped, Link::StateProof, 801);
    let many = changed(&|promise| {
        let word: OptionalEntryProof = promise.audits[&AUDITORS[2]].clone();
        let more = (0..=u8::try_from(PROMISE_AUDITS_MAX).unwrap()).map(|number| Account([number; 20]));
        promise.audits.extend(more.map(|auditor| (auditor, word.clone())));
    });
    assert_failed(&many, Link::StateProof, 805);
    // Less is said without them, and stays true.
    assert!(changed(&|promise| promise.audits.clear()).is_valid());
}

#[test]
fn a_live_instance_is_judged_by_the_same_rules() {
    let made = made();
    let document = &made.document;
    let genesis = Genesis::from_canonical(&document.finality.genesis.0).unwrap();
    let trust = ChainTrust {
        network_key: made.network_key,
        chain_id: genesis.chain_id,
        genesis_hash: document.keyset.subject.genesis_hash,
    };
    let proof = FinalityProof {
        headers: document.header.state.iter().map(|header| header.0.clone()).collect(),
        payload_head: document.commitment.state.0.clone(),
        certificate: document.finality.state.0.clone(),
    };
    let header = *verify_finality(&trust, &proof).unwrap().first();
    let app = AppEntry::from_canonical(&document.state_proof.app.content.0).unwrap();
    let keyset = document.keyset.keyset();
    let (quote, collateral) = (&document.quote.evidence.0, [document.quote.collateral[0].0.as_slice()]);
    let nonce = document.registration.nonce;
    let claim = InstanceClaim {
        keyset: &keyset,
        quote,
        nonce: &nonce,
        collateral: &collateral,
        genesis: &genesis,
        header: &header,
        instance: &made.instance,
        app: &app,
        denied: &[],
    };
    let verified = verify_instance(&claim).unwrap();
    assert_eq!((verified.instance_id(), verified.hpke_key()), (keyset.subject, keyset.hpke_key));

    assert_eq!(verified.tier(), 1);
    let denial = Denial { level: None, reason: 1, since: 3, lifted_at: None };
    let (subject_kind, subject) = made.instance.deny_subjects().remove(4);
    let mut denied = [DenyEntry { app_id: AppId::CHAIN, subject_kind, subject: Blob(subject), denials: vec![denial] }];
    let refused = Err(InstanceError::Denied(DenySubject::Generation));
    assert_eq!(verify_instance(&InstanceClaim { denied: &denied, ..claim }), refused);
    denied[0].denials[0].lifted_at = Some(4);
    assert!(verify_instance(&InstanceClaim { denied: &denied, ..claim }).is_ok());
    let other = InstanceClaim { nonce: &Digest::ZERO, ..claim };
    assert_eq!(verify_instance(&other), Err(InstanceError::ReportData));
    for other in [&[quote.as_slice()][..], &[], &[collateral[0], collateral[0]]] {
        let other = InstanceClaim { collateral: other, ..claim };
        assert_eq!(verify_instance(&other), Err(InstanceError::OtherCollateral));
    }
    let mut keys = keyset.clone();
    keys.hpke_key.0[0] ^= 1;
    assert_eq!(verify_instance(&InstanceClaim { keyset: &keys, ..claim }), Err(InstanceError::OtherKeyset));
    let mut entry = made.instance.clone();
    entry.closed_at = Some(3);
    assert_eq!(verify_instance(&InstanceClaim { instance: &entry, ..claim }), Err(InstanceError::Closed(3)));
    entry.closed_at = None;
    entry.expires_at = header.time_unix_s() - 1;
    let expired = Err(InstanceError::Expired(entry.expires_at));
    assert_eq!(verify_instance(&InstanceClaim { instance: &entry, ..claim }), expired);
    let mut policy = app.clone();
    policy.policy.evidence.tdx.as_mut().unwrap().measurements.clear();
    let refused = verify_instance(&InstanceClaim { app: &policy, ..claim });
    assert!(matches!(refused, Err(InstanceError::Evidence(_))));
    policy.closed_at = Some(9);
    assert_eq!(verify_instance(&InstanceClaim { app: &policy, ..claim }), Err(InstanceError::AppClosed(9)));
}
