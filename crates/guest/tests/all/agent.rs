//! The guest as a whole against a chain in this process: what it does when all is well, and what it never does.

use std::time::Duration;

use freehold_crypto::{RequestSealer, parse_key_config, receipt_leaf, receipt_text, verify_inclusion, verify_receipt};
use freehold_guest::StopReason;
use freehold_primitives::{Digest, Ed25519Key, Event};
use freehold_rpc::{AppendReceipt, BareHex, Base64Text, HpkeOpen, HttpError, KeyKind};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};

use crate::support::{FakeHost, Misbehaviour, app_id};

fn receipt(id: &str) -> AppendReceipt {
    AppendReceipt {
        receipt_id: id.to_owned(),
        chat_id: Some(format!("chat-{id}")),
        model: None,
        endpoint: "/v1/chat/completions".to_owned(),
        method: "POST".to_owned(),
        access: Some(Digest([7; 32])),
        events: vec![
            Event::RequestReceived { body_hash: format!("sha256:{}", Digest([1; 32])) },
            Event::ResponseReturned { body_hash: format!("sha256:{}", Digest([2; 32])) },
        ],
    }
}

fn status(error: &HttpError) -> u16 {
    match error {
        HttpError::Refused { status, .. } => status.as_u16(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_registers_takes_its_key_and_serves() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    let begun = std::time::Instant::now();
    host.serving().await;
    println!("served {} ms after its start", begun.elapsed().as_millis());
    let local = host.local();
    assert_eq!(local.app_id().await.unwrap(), Some(app_id()));
    let instance = local.instance().await.unwrap();
    assert!(instance.registered && instance.expires_at > instance.header.time_unix_s);
    assert_eq!(instance.trust_domain, "emulated");
    assert!(!instance.capabilities.hardware);

    // Keys: the same name gives the same key, kinds and names differ, the platform's are refused.
    let key = local.generate_key("a", KeyKind::Raw256).await.unwrap().key;
    assert_eq!(key, local.generate_key("a", KeyKind::Raw256).await.unwrap().key);
    assert_ne!(key, local.generate_key("a", KeyKind::Ed25519).await.unwrap().key);
    assert_eq!(local.generate_key("a", KeyKind::Raw384).await.unwrap().key.len(), 96);
    for reserved in ["freehold/x", "rofl-proxy/tls: acme account key v1", "oasis-runtime-sdk/rofl-containers: x"] {
        assert_eq!(status(&local.generate_key(reserved, KeyKind::Raw256).await.err().unwrap()), 400);
    }

    // Quotes.
    let nonce = Digest([4; 32]);
    let quote = local.quote(Some(nonce)).await.unwrap();
    let expected = freehold_crypto::report_data(&instance.keyset_digest, Some(&nonce));
    assert_eq!((&quote.report_data.0[..], &quote.quote.0[568..632]), (&expected[..], &expected[..]));

    // A sealed body.
    let hpke = parse_key_config(&local.hpke_config().await.unwrap().key_config.0).unwrap();
    let mut sealer = RequestSealer::new(&hpke, &mut StdRng::seed_from_u64(1)).unwrap();
    // The sealer frames what it seals; the local API takes the frames' contents.
    let mut chunk = |text: &[u8]| Base64Text(sealer.seal(text).unwrap()[4..].to_vec());
    let chunks = vec![chunk(b"why is "), chunk(b"it blue")];
    let mut ask = HpkeOpen { enc: BareHex(sealer.encapsulated_key().to_vec()), chunks };
    let opened = local.hpke_open(&ask).await.unwrap();
    assert_eq!(opened.plaintext.0, b"why is it blue");
    assert_eq!(opened.exported_secret.0, sealer.exported_secret().as_bytes());
    ask.chunks.swap(0, 1);
    assert_eq!(status(&local.hpke_open(&ask).await.err().unwrap()), 422);

    // Receipts: chained, signed by the keyset's key, durable, anchored.
    let key = instance.keyset["receipt_signing_keys"][0]["public_key"].as_str().unwrap();
    let key: Ed25519Key = key.parse().unwrap();
    let mut previous = Digest::ZERO;
    for sequence in 0..5 {
        let appended = local.append_receipt(&receipt(&format!("r{sequence}"))).await.unwrap();
        assert_eq!(appended.sequence, sequence);
        verify_receipt(&appended.receipt, &key).unwrap();
        let Some(Event::Chain { previous: named, .. }) = appended.receipt.event_log.last() else { panic!() };
        assert_eq!(*named, previous);
        previous = receipt_leaf(&receipt_text(&appended.receipt).unwrap());
    }
    assert_eq!(status(&local.append_receipt(&receipt("r0")).await.unwrap_err()), 409);
    host.wait(Duration::from_secs(5), |health| health.anchored == 5).await;
    assert_eq!(host.chain.anchored(&instance.instance_id), 5);
    let inclusion = local.inclusion("chat-r3").await.unwrap();
    assert!(inclusion.anchor.is_some());
    verify_inclusion(&inclusion.root, inclusion.size, 3, &inclusion.leaf, &inclusion.path).unwrap();
    assert_eq!(local.receipt("r3").await.unwrap().access, Some(Digest([7; 32])));
    assert_eq!(status(&local.receipt("r9").await.unwrap_err()), 404);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_make_no_sense_are_refused() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    let chain = Event::Chain {
        height: 1,
        block_hash: Digest::ZERO,
        time_unix_s: 1,
        sequence: 0,
        previous: Digest::ZERO,
        instance: Digest::ZERO,
    };
    let mut bad = vec![receipt("a/b"), receipt(""), receipt(&"x".repeat(300))];
    bad.push(AppendReceipt { events: Vec::new(), ..receipt("a") });
    bad.push(AppendReceipt { events: vec![chain.clone()], ..receipt("a") });
    bad.push(AppendReceipt { events: [receipt("a").events, vec![chain]].concat(), ..receipt("a") });
    bad.push(AppendReceipt { events: vec![receipt("a").events[0].clone(); 32], ..receipt("a") });
    bad.push(AppendReceipt { endpoint: "x".repeat(1000), ..receipt("a") });
    for ask in bad {
        assert_eq!(status(&local.append_receipt(&ask).await.unwrap_err()), 400, "{ask:?}");
    }
    assert_eq!(local.append_receipt(&receipt("a")).await.unwrap().sequence, 0);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_certificates_count_for_nothing() {
    let host = FakeHost::new(Misbehaviour { foreign_certificates: true, ..Default::default() });
    let guest = host.guest();
    sleep(Duration::from_secs(2)).await;
    let health = host.local().health().await.unwrap();
    assert_eq!((health.ready, health.stage.as_str()), (false, "waiting-for-chain"));
    assert_eq!(host.chain.registrations(), 0);
    assert_eq!(status(&host.local().instance().await.unwrap_err()), 503);
    assert_eq!(status(&host.local().quote(None).await.unwrap_err()), 503);
    assert_eq!(status(&host.local().generate_key("a", KeyKind::Raw256).await.err().unwrap()), 400);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_with_other_keys_stops_it() {
    let host = FakeHost::new(Misbehaviour { foreign_keys: true, ..Default::default() });
    let reason = timeout(Duration::from_secs(20), host.guest()).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::Foreign);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_shares_give_no_key() {
    let host = FakeHost::new(Misbehaviour { wrong_shares: true, ..Default::default() });
    let guest = host.guest();
    host.wait(Duration::from_secs(10), |health| health.stage == "waiting-for-keys").await;
    sleep(Duration::from_secs(2)).await;
    assert!(!host.local().health().await.unwrap().ready);
    assert_eq!(status(&host.local().append_receipt(&receipt("a")).await.unwrap_err()), 503);
    host.chain.set(|chain| chain.wrong_shares = false);
    host.serving().await;
    guest.abort();
}

/// The owner rotates the root context: the instance asks for the new generation, takes it, keeps the one before, tells the
/// app, and lets the old one go once it is retired.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_root_key_reaches_a_running_instance() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    let key = |generation| local.generate_key_of("a", KeyKind::Raw256, generation);
    let first = key(None).await.unwrap();
    assert_eq!(first.generation, 0);
    let before = local.key_generations(None).await.unwrap();
    assert_eq!((before.newest, before.previous), (0, None));
    assert_eq!(status(&key(Some(1)).await.err().unwrap()), 404);

    host.chain.rotate(Some(3_600));
    let rotated = async {
        loop {
            let held = local.key_generations(Some(0)).await.unwrap();
            if held.newest == 1 {
                return held;
            }
        }
    };
    let held = timeout(Duration::from_secs(40), rotated).await.unwrap();
    assert_eq!(held.previous, Some(0));
    assert!(host.chain.requests() >= 1, "the grant of the new generation was asked for");
    let second = key(None).await.unwrap();
    assert_eq!(second.generation, 1);
    assert_ne!(first.key, second.key);
    assert_eq!(key(Some(0)).await.unwrap().key, first.key);

    host.chain.rotate(None);
    let retired = async {
        while local.key_generations(None).await.unwrap().previous.is_some() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(Duration::from_secs(40), retired).await.unwrap();
    assert_eq!(status(&key(Some(0)).await.err().unwrap()), 404);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_renewed_and_silence_ends_them() {
    let host = FakeHost::new(Misbehaviour { lease_s: Some(8), ..Default::default() });
    let guest = host.guest();
    let first = host.serving().await;
    host.wait(Duration::from_secs(10), |health| health.ready && health.expires_at > first.expires_at).await;
    assert!(host.chain.registrations() >= 2);
    host.chain.set(|chain| chain.silent = true);
    let reason = timeout(Duration::from_secs(12), guest).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::LeaseEnd);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_registration_stops_it() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    host.chain.close_all();
    let reason = timeout(Duration::from_secs(20), guest).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_by_the_chain_stops_it() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    host.chain.deny_all();
    let reason = timeout(Duration::from_secs(20), guest).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_guests_do_not_share_a_directory() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let error = freehold_guest::run(host.config(), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, freehold_guest::GuestError::Locked(_)), "{error}");
    guest.abort();
}

/// Not a test of its own: the guest process that [`killed_guests_lose_no_receipt`] kills.
#[tokio::test(flavor = "multi_thread")]
async fn child_guest_process() {
    let Some(config) = std::env::var_os("FREEHOLD_TEST_GUEST_CONFIG") else { return };
    let config = freehold_guest::GuestConfig::read(config.as_ref()).unwrap();
    let _ = freehold_guest::run(config, freehold_guest::asked_by_host()).await;
    std::process::exit(0);
}

fn spawn_child(host: &FakeHost) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["agent::child_guest_process", "--exact", "--nocapture"])
        .env("FREEHOLD_TEST_GUEST_CONFIG", host.config_file())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_guests_lose_no_receipt() {
    let host = FakeHost::new(Misbehaviour { no_anchors: true, ..Default::default() });
    let mut gone = Vec::new();
    for round in 0..3 {
        let mut child = spawn_child(&host);
        host.serving().await;
        let local = host.local();
        let instance = local.instance().await.unwrap().instance_id;
        let mut given = Vec::new();
        // Killed while further receipts are under way: what was answered must survive, whatever else happens.
        let under_way = tokio::spawn({
            let local = host.local();
            async move {
                let mut given = Vec::new();
                for index in 0.. {
                    match local.append_receipt(&receipt(&format!("busy-{round}-{index}"))).await {
                        Ok(appended) => given.push(appended),
                        Err(_) => return given,
                    }
                }
                given
            }
        });
        for index in 0..4 {
            given.push(local.append_receipt(&receipt(&format!("r-{round}-{index}"))).await.unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        given.extend(under_way.await.unwrap());
        gone.push((instance, given));
    }
    // The successor answers for all of them and anchors their tails as adopted.
    host.chain.set(|chain| chain.no_anchors = false);
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    let total: usize = gone.iter().map(|(_, given)| given.len()).sum();
    println!("{total} receipts were given out before three kills");
    for (instance, given) in &gone {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        while host.chain.anchored(instance) < given.len() as u64 {
            assert!(tokio::time::Instant::now() < end, "the tail was not adopted");
            sleep(Duration::from_millis(50)).await;
        }
        for appended in given {
            let stored = local.receipt(&appended.receipt.receipt_id).await.unwrap();
            assert_eq!(stored.receipt, appended.receipt);
        }
    }
    sleep(Duration::from_secs(1)).await;
    let (instance, given) = &gone[0];
    let inclusion = local.inclusion(&given[0].receipt.receipt_id).await.unwrap();
    assert_eq!(inclusion.instance_id, *instance);
    assert!(inclusion.anchor.is_some());
    guest.abort();
}
