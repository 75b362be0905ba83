//! Asking against a small app and node in one server on the loopback, made of the parts that `verify` tests with: the
//! evidence, signatures, entries, headers and certificates are real, the network's secret is known.
#![allow(clippy::unwrap_used)]

mod server;
#[path = "../../verify/tests/support/mod.rs"]
mod support;

use freehold_client::{
    AskError, AskEvent, AskOptions, AskTarget, Asker, Chat, ExchangeError, Message, Texts, UpgradeDemand,
    UpgradeShortfall, UpgradesError, fetch_header,
};
use freehold_primitives::{Account, AppId, NetworkKey};
use freehold_verify::{
    InstanceError, Link, LinkStatus, ProofDocument, ValidNow, VerifyOptions, mutations, verify_bundle,
};
use server::{ANSWER, Fault, Served, serve};

async fn asker(fault: Fault) -> (Asker, Served) {
    let served = serve(fault).await;
    let target = AskTarget {
        api: served.endpoint.clone(),
        rpc: served.endpoint.clone(),
        network_key: served.network_key,
        app_id: Some(served.app_id),
    };
    (Asker::new(target), served)
}

async fn ask(fault: Fault) -> Result<freehold_client::Answer, AskError> {
    let (asker, served) = asker(fault).await;
    let result = asker.ask(&[Message::user("why?")], &AskOptions::default(), &mut |_| ()).await;
    if !matches!(fault, Fault::None | Fault::Unanchored | Fault::Unsealed | Fault::OtherReceipt) {
        assert_eq!(served.requests(), 0, "nothing is sent to an instance that does not verify");
    }
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_with_a_proof_that_verifies_offline() {
    let (asker, served) = asker(Fault::None).await;
    let mut steps = Vec::new();
    let mut text = String::new();
    let mut heard = |event: AskEvent<'_>| match event {
        AskEvent::InstanceVerified { .. } => steps.push("instance"),
        AskEvent::RequestSealed { .. } => steps.push("sealed"),
        AskEvent::Text(piece) => text.push_str(piece),
        AskEvent::ReceiptChecked { .. } => steps.push("receipt"),
        AskEvent::Anchored { height: Some(_) } => steps.push("anchored"),
        AskEvent::Proven { .. } => steps.push("proven"),
        _ => steps.push("other"),
    };
    let answer = asker.ask(&[Message::user("why?")], &AskOptions::default(), &mut heard).await.unwrap();
    assert_eq!(steps, ["instance", "sealed", "receipt", "anchored", "proven"]);
    assert_eq!((answer.text.as_str(), text.as_str()), (ANSWER, ANSWER));
    assert!(answer.verdict.is_valid(), "{}", answer.verdict.to_json());
    let claims = answer.verdict.claims().unwrap();
    assert!(claims.anchored && claims.valid_now == ValidNow::Yes);
    // The app never promised anything, which the proof shows.
    let promise = claims.promise.as_ref().unwrap();
    assert!(promise.entry.is_none() && promise.audits.is_empty(), "{promise:?}");

    // Another machine has the file and the key only, and no changed copy passes.
    let options = VerifyOptions::new(served.network_key, claims.as_of.time_unix_s + 10);
    assert!(verify_bundle(&answer.proof, &options).unwrap().is_valid());
    for mutation in mutations(&answer.proof).unwrap().step_by(7) {
        let verdict = verify_bundle(&mutation.text, &options).unwrap();
        let link = mutation.link.unwrap_or(Link::Finality);
        assert!(matches!(verdict.status(link), LinkStatus::Failed(_)), "{}", mutation.pointer);
    }

    let header = fetch_header(asker.node(), served.network_key, served.instance_id).await.unwrap().text;
    let options = VerifyOptions { header: Some(&header), ..options };
    assert!(verify_bundle(&answer.proof, &options).unwrap().is_valid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redacted_proof_holds_no_text() {
    let (asker, _) = asker(Fault::None).await;
    let options = AskOptions { texts: Texts::Redacted, ..AskOptions::default() };
    // On a task of its own: asking is `Send`.
    let asked = tokio::spawn(async move { asker.ask(&[Message::user("a secret")], &options, &mut |_| ()).await });
    let answer = asked.await.unwrap().unwrap();
    assert!(answer.verdict.is_valid());
    assert!(!answer.proof.contains("secret") && !answer.proof.contains(ANSWER));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_carried_on() {
    let (asker, served) = asker(Fault::None).await;
    let mut chat = Chat::new(asker, AskOptions::default());
    chat.instruct("be brief");
    chat.say("one", &mut |_| ()).await.unwrap();
    let answer = chat.say("two", &mut |_| ()).await.unwrap();
    assert!(answer.verdict.is_valid());
    assert_eq!(chat.messages().len(), 5);
    let last = served.last_request();
    assert!(last.contains("be brief") && last.contains("one") && last.contains(ANSWER) && last.contains("two"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unanchored_answer_says_so_and_is_completed_later() {
    let (asker, served) = asker(Fault::Unanchored).await;
    let options = AskOptions { anchor_wait: std::time::Duration::ZERO, ..AskOptions::default() };
    let answer = asker.ask(&[Message::user("why?")], &options, &mut |_| ()).await.unwrap();
    assert!(answer.verdict.is_valid());
    assert!(!answer.verdict.claims().unwrap().anchored);
    served.anchor();
    let document = ProofDocument::from_text(&answer.proof).unwrap();
    let (proof, verdict) = asker.complete(&document, &answer.token).await.unwrap();
    assert!(verdict.is_valid() && verdict.claims().unwrap().anchored);
    assert_ne!(proof, answer.proof);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_verify_is_refused() {
    assert!(matches!(ask(Fault::OtherNonce).await, Err(AskError::Instance(InstanceError::ReportData))));
    assert!(matches!(ask(Fault::OtherKeyset).await, Err(AskError::Instance(InstanceError::OtherKeyset))));
    assert!(matches!(ask(Fault::OtherState).await, Err(AskError::Chain(_))));
    assert!(matches!(ask(Fault::OldHeaders).await, Err(AskError::StaleNode { .. })));
    assert!(matches!(ask(Fault::Unsealed).await, Err(AskError::Exchange(ExchangeError::NotSealed))));
    assert!(matches!(ask(Fault::OtherReceipt).await, Err(AskError::OtherReceipt("response"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_promises_less_than_is_demanded_is_not_asked() {
    let (asker, served) = asker(Fault::None).await;
    let asker = asker.demanding(UpgradeDemand { notice_s_min: 60, ..UpgradeDemand::default() });
    let refused = asker.ask(&[Message::user("why?")], &AskOptions::default(), &mut |_| ()).await.unwrap_err();
    let AskError::Upgrades(UpgradesError::Shortfall(shortfall)) = refused else { panic!("{refused}") };
    assert_eq!(shortfall, UpgradeShortfall::Notice { promised_s: 0, demanded_s: 60 });
    assert_eq!(served.requests(), 0);
    // An auditor's word is demanded by proof too.
    let demand = UpgradeDemand { auditors: vec![Account([7; 20])], ..UpgradeDemand::default() };
    let refused = asker.demanding(demand).ask(&[Message::user("why?")], &AskOptions::default(), &mut |_| ()).await;
    let unaudited = UpgradeShortfall::Unaudited(Account([7; 20]));
    assert!(matches!(refused, Err(AskError::Upgrades(UpgradesError::Shortfall(found))) if found == unaudited));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_app_or_network_is_refused() {
    let served = serve(Fault::None).await;
    let target = AskTarget {
        api: served.endpoint.clone(),
        rpc: served.endpoint.clone(),
        network_key: served.network_key,
        app_id: Some(AppId::new([0x44; 20])),
    };
    let say = [Message::user("why?")];
    let other = Asker::new(target.clone()).ask(&say, &AskOptions::default(), &mut |_| ()).await;
    assert!(matches!(other, Err(AskError::OtherApp { .. })));
    let target = AskTarget { network_key: NetworkKey::ZERO, app_id: None, ..target };
    let other = Asker::new(target).ask(&say, &AskOptions::default(), &mut |_| ()).await;
    assert!(matches!(other, Err(AskError::Chain(_))));
    assert_eq!(served.requests(), 0);
}
