//! What a client is shown, by the name and the kind of connection it asks for.

use super::*;

fn ingress(domains: &[&str]) -> Ingress {
    let key = TlsKey::from_secret(&[1; 32]).unwrap();
    let config = IngressConfig {
        socket: "tls.sock".into(),
        app_socket: "app.sock".into(),
        domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        acme: None,
    };
    let own = Face::self_signed(&key, &["a.example".to_owned()], (1_800_000_000, 1_900_000_000)).unwrap();
    Ingress::with(config, Arc::new(own))
}

#[test]
fn only_the_apps_domains_show_what_an_authority_certified() {
    let ingress = ingress(&["app.example"]);
    let own = ingress.own.spki_sha256;
    assert_eq!(ingress.face(Some("app.example")).spki_sha256, own);
    let other = TlsKey::from_secret(&[2; 32]).unwrap();
    ingress.certify(Face::self_signed(&other, &["app.example".to_owned()], (1_800_000_000, 1_900_000_000)).unwrap());
    assert_eq!(ingress.face(Some("app.example")).spki_sha256, other.spki_sha256());
    for name in [None, Some(""), Some("www.app.example"), Some("0000000000000000.rofl1.freehold.internal")] {
        assert_eq!(ingress.face(name).spki_sha256, own, "{name:?}");
    }
}

#[test]
fn an_authoritys_question_is_answered_while_it_stands_and_by_a_key_of_its_own() {
    let ingress = ingress(&["app.example"]);
    assert!(ingress.challenge(Some("app.example")).is_none());
    let face = Face::challenge("app.example", &[7; 32], 1_800_000_000).unwrap();
    assert_ne!(face.spki_sha256, ingress.own.spki_sha256);
    ingress.set_challenges(BTreeMap::from([("app.example".to_owned(), Arc::new(face))]));
    assert!(ingress.challenge(Some("app.example")).is_some());
    assert!(ingress.challenge(Some("b.example")).is_none() && ingress.challenge(None).is_none());
    ingress.set_challenges(BTreeMap::new());
    assert!(ingress.challenge(Some("app.example")).is_none());
}

#[test]
fn orders_that_fail_are_tried_ever_more_rarely_and_a_chain_is_replaced_in_time() {
    let mut record = record::TlsRecord::default();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        record.begins(1_000_000);
        pauses.push(record.not_before - 1_000_000);
    }
    assert_eq!(pauses[..4], [60, 120, 240, 480]);
    assert_eq!(pauses[11], 12 * 3_600);
    record.succeeded("chain".to_owned(), 1_000_000 + 90 * 86_400, 1_000_000);
    assert_eq!((record.failures, record.not_before), (0, 1_003_600));
    // 90 days: a month before the end.
    assert_eq!(record.renew_at(1_000_000 + 90 * 86_400), 1_000_000 + 60 * 86_400);
    // A chain that lives for minutes is replaced in time too, and one that is over already is not asked for again and again.
    record.succeeded("chain".to_owned(), 1_000_600, 1_000_000);
    assert_eq!((record.not_before, record.renew_at(1_000_600)), (1_000_200, 1_000_400));
    record.succeeded("chain".to_owned(), 1, 1_000_000);
    assert_eq!(record.not_before, 1_000_060);
}
