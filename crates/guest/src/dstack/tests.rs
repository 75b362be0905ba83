//! What dstack's verifiers would check of our answers, checked here: chains, containers, report data, bounds.
#![allow(clippy::unwrap_used)]

use freehold_attestation::{DstackAttestation, Rtmr};
use freehold_crypto::{AccountKey, Ed25519Secret, keccak256, recover_account, report_data, sha256};
use freehold_emulator::{AppImage, TdReport};
use freehold_primitives::{AppId, Canonical as _, Digest};
use freehold_rpc::EventLogEntry;

use super::*;

const ROOT: [u8; 32] = [7; 32];

fn account() -> AccountKey {
    AccountKey::from_bytes(&[9; 32]).unwrap()
}

fn app() -> AppId {
    AppId::new([5; 20])
}

#[test]
fn a_chain_leads_from_the_key_to_the_instances_account() {
    let account = account();
    let keys = AppKeys::new(&ROOT, &account, app()).unwrap();
    let key = keys.derive("a/b", "ethereum", Curve::Secp256k1).unwrap();
    let public = AccountKey::from_bytes(&key.secret).unwrap().public_sec1();
    let v = |mut signature: [u8; 65]| {
        assert!(signature[64] < 2, "dstack's recovery ids are 0 and 1");
        signature[64] += 27;
        signature
    };
    let message = format!("ethereum:{}", hex::encode(public));
    let by_app = recover_account(&keccak256(&[message.as_bytes()]), &v(key.chain[0])).unwrap();
    assert_eq!(by_app, keys.app_key.account());
    let issued = [b"dstack-kms-issued:".as_slice(), &[5; 20], &keys.app_key.public_sec1()].concat();
    assert_eq!(recover_account(&keccak256(&[&issued]), &v(key.chain[1])).unwrap(), account.account());
    // Another instance has the same key, and vouches for it by its own account.
    let other = AccountKey::from_bytes(&[8; 32]).unwrap();
    let again = AppKeys::new(&ROOT, &other, app()).unwrap().derive("a/b", "ethereum", Curve::Secp256k1).unwrap();
    assert_eq!((*again.secret, again.chain[0]), (*key.secret, key.chain[0]));
    assert_ne!(again.chain[1], key.chain[1]);
}

#[test]
fn paths_and_curves_give_different_keys_and_purposes_the_same() {
    let account = account();
    let keys = AppKeys::new(&ROOT, &account, app()).unwrap();
    let secret = |path, purpose, curve| *keys.derive(path, purpose, curve).unwrap().secret;
    let first = secret("a", "", Curve::Secp256k1);
    assert_eq!(first, secret("a", "other", Curve::Secp256k1));
    assert_ne!(first, secret("b", "", Curve::Secp256k1));
    assert_ne!(first, secret("a", "", Curve::Ed25519));
    assert!(matches!(keys.derive(&"x".repeat(1025), "", Curve::Ed25519), Err(DstackError::Name(1024))));
    assert!(matches!(Curve::parse("p256"), Err(DstackError::Algorithm)));
}

#[test]
fn signatures_verify_under_their_key_alone() {
    let account = account();
    let keys = AppKeys::new(&ROOT, &account, app()).unwrap();
    let digest = sha256(b"text");
    for (scheme, data) in [
        (Scheme::Ed25519, b"text".as_slice()),
        (Scheme::Secp256k1, b"text"),
        (Scheme::Secp256k1Prehashed, digest.as_bytes()),
    ] {
        let signed = keys.sign(scheme, data).unwrap();
        assert!(verify(scheme, data, &signed.signature, &signed.public).unwrap());
        let mut other = data.to_vec();
        other[0] ^= 1;
        assert!(!verify(scheme, &other, &signed.signature, &signed.public).unwrap());
        assert!(verify(scheme, data, &signed.signature[1..], &signed.public).is_err());
        assert!(verify(scheme, data, &signed.signature, &signed.public[1..]).is_err());
    }
    // A digest made by the caller, or by us, is the same signature.
    let whole = keys.sign(Scheme::Secp256k1, b"text").unwrap();
    assert_eq!(whole.signature, keys.sign(Scheme::Secp256k1Prehashed, digest.as_bytes()).unwrap().signature);
    assert!(matches!(keys.sign(Scheme::Secp256k1Prehashed, b"text"), Err(DstackError::Prehash(4))));
    assert!(matches!(keys.sign(Scheme::Ed25519, &vec![0; 1024 * 1024 + 1]), Err(DstackError::Data(_))));
}

#[test]
fn what_could_be_a_statement_gets_no_quote() {
    let statement = report_data(&Digest([3; 32]), Some(&Digest([4; 32])));
    for data in [&statement[..], &statement[..32], &[1; 17], &[0xff; 32]] {
        assert!(matches!(padded_report_data(data), Err(DstackError::Statement)), "{}", hex::encode(data));
    }
    let tagged = [&statement[..32], b"!"].concat();
    for data in [&b""[..], b"hello", &[1; 16], &tagged, &[1; 64]] {
        let made = padded_report_data(data).unwrap();
        assert_eq!((&made[..data.len()], made[data.len()..].iter().all(|&byte| byte == 0)), (data, true));
    }
    assert!(matches!(padded_report_data(&[1; 65]), Err(DstackError::ReportData(65))));
    // What is hashed here is no statement, whatever goes in; raw bytes are those of the caller.
    for algorithm in ["", "sha256", "sha384", "sha512", "keccak256"] {
        hashed_report_data(&statement, algorithm).unwrap();
    }
    assert!(matches!(hashed_report_data(&statement, "raw"), Err(DstackError::Statement)));
    assert!(matches!(hashed_report_data(b"x", "md5"), Err(DstackError::Hash)));
    let known = sha256(b"app-data:x");
    assert_eq!(hashed_report_data(b"x", "sha256").unwrap()[..32], known.0);
}

fn measured() -> (TdReport, Vec<EventLogEntry>) {
    let image = AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None };
    let event = EventLogEntry {
        imr: 3,
        event_type: 0x0800_0001,
        digest: image.digest().to_string(),
        event: "freehold-app".to_owned(),
        event_payload: hex::encode(image.to_canonical()),
    };
    (TdReport::launch(&Digest([1; 32]), &image), vec![event])
}

#[test]
fn the_container_is_read_by_our_own_reader_and_replays() {
    let (report, log) = measured();
    let mut with_emitted = log.clone();
    let mut emitted = EmittedEvents::default();
    emitted.emit("later".to_owned(), vec![1; 100]).unwrap();
    with_emitted.extend_from_slice(emitted.events());
    let bytes = container(&[0xaa; 5000], &with_emitted, &[6; 64], "{}");
    let read = DstackAttestation::read(&bytes).unwrap();
    assert_eq!((read.quote.len(), read.report_data, read.configuration.as_str()), (5000, [6; 64], "{}"));
    assert_eq!(read.log.app_events().count(), 1, "emitted events extend no register of the TD");
    let replayed = read.log.rtmrs();
    assert_eq!(Some(replayed.get(Rtmr::Rtmr3)), report.measurement().rtmr3);
}

#[test]
fn emitted_events_extend_a_register_that_the_receipt_key_signs() {
    let mut emitted = EmittedEvents::default();
    let key = Ed25519Secret::from_seed(&[1; 32]);
    let before = emitted.sign(&key, &[0; 64]);
    emitted.emit("a".to_owned(), b"1".to_vec()).unwrap();
    let digest = freehold_crypto::sha384(&[&0x0800_0001_u32.to_le_bytes()[..], b":a:1"].concat());
    let register = freehold_crypto::sha384(&[[0; 48], digest.0].concat());
    assert_eq!(*emitted.register(), register);
    let signed = [b"freehold event register\n".as_slice(), &[0; 64], &register.0].concat();
    freehold_crypto::verify_ed25519(&key.public(), &signed, &emitted.sign(&key, &[0; 64])).unwrap();
    assert_ne!(emitted.sign(&key, &[0; 64]), before);
    for (name, payload) in [("", 1), (&"n".repeat(129), 1), ("n", 1025)] {
        assert!(matches!(emitted.emit(name.to_owned(), vec![0; payload]), Err(DstackError::EventLength { .. })));
    }
    for _ in 1..256 {
        emitted.emit("n".to_owned(), Vec::new()).unwrap();
    }
    assert!(matches!(emitted.emit("n".to_owned(), Vec::new()), Err(DstackError::EventsFull(256))));
}

#[test]
fn certificates_are_bounded() {
    let authority = TlsAuthority::new(&ROOT, "app").unwrap();
    let key = authority.key_of("a").unwrap();
    assert_eq!(key.pem(), authority.key_of("a").unwrap().pem());
    assert_ne!(key.pem(), authority.key_of("b").unwrap().pem());
    let now = 1_800_000_000;
    let ask = |change: fn(&mut CertificateAsk)| {
        let mut ask = CertificateAsk { subject: "s".to_owned(), ..CertificateAsk::default() };
        change(&mut ask);
        authority.issue(&key, ask, now)
    };
    assert_eq!(ask(|_| {}).unwrap().len(), 2);
    assert!(matches!(ask(|ask| ask.subject = "s".repeat(257)), Err(DstackError::Subject { .. })));
    assert!(matches!(ask(|ask| ask.names = vec!["n".to_owned(); 65]), Err(DstackError::Subject { .. })));
    assert!(matches!(ask(|ask| ask.names = vec!["n".repeat(254)]), Err(DstackError::Subject { .. })));
    assert!(matches!(ask(|ask| ask.names = vec!["\u{fc}".to_owned()]), Err(DstackError::Certificate(_))));
    assert!(matches!(ask(|ask| ask.not_after = Some(1)), Err(DstackError::Validity)));
    assert!(matches!(ask(|ask| ask.not_after = Some(u64::MAX)), Err(DstackError::Validity)));
    assert!(ask(|ask| ask.not_before = Some(0)).is_ok());
    assert!(matches!(ask(|ask| ask.not_before = Some(u64::MAX)), Err(DstackError::Validity)));
}
