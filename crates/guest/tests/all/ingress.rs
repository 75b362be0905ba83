//! TLS that ends in the guest: what a client is shown is the keyset's, what it says reaches the app alone, and an authority that
//! speaks ACME (Let's Encrypt's own test server, Debian's package `pebble`) certifies the app's domains.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use freehold_crypto::report_data;
use freehold_guest::{AcmeChallenge, AcmeConfig, StopReason, run};
use freehold_primitives::Digest;
use freehold_rpc::{CHANNEL_ALPN, CHANNEL_FORMAT, ChannelAnswer, InstanceInfo, channel_nonce, instance_server_name};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::support::{
    FakeHost, Misbehaviour,
    tls::{
        Asks, Authority, DOMAIN, WAIT, certified, config, connect, echo, free_port, gate, instance, own_key, relay,
        shown, there, webpki_takes,
    },
};

/// Life of certificates that are not to be renewed, in seconds.
const YEAR_S: u64 = 365 * 86_400;

#[tokio::test]
async fn tls_ends_inside_with_the_key_that_the_keyset_names() {
    let host = FakeHost::new(Misbehaviour::default());
    let _app = echo(&host.dir.path().join("app.sock"));
    let guest = tokio::spawn(run(config(&host, None), std::future::pending()));
    host.serving().await;
    let socket = host.dir.path().join("tls.sock");
    there(&socket).await;
    let info = instance(&host).await;
    let named = info.keyset["tls_public_keys"][0]["spki_sha256"].as_str().unwrap().to_owned();
    let name = instance_server_name(&info.app_id, &info.instance_id);
    for name in [name.as_str(), DOMAIN] {
        let mut stream = connect(&socket, name, b"").await.unwrap();
        assert_eq!(shown(&stream).to_string(), named);
        stream.write_all(b"a secret").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"a secret");
    }
    evidence(&socket, &name, &info).await;
    // Another boot is another key.
    guest.abort();
    let _ = guest.await;
    let second = tokio::spawn(run(config(&host, None), std::future::pending()));
    host.wait(WAIT, |health| health.ready).await;
    assert_ne!(instance(&host).await.keyset["tls_public_keys"][0]["spki_sha256"].as_str().unwrap(), named);
    second.abort();
}

/// The quote that comes over a connection is of this keyset, for the caller's bytes and the connection's key.
async fn evidence(socket: &Path, name: &str, info: &InstanceInfo) {
    let random = [5; 32];
    let mut stream = connect(socket, name, CHANNEL_ALPN).await.unwrap();
    let spki = shown(&stream);
    stream.write_all(&random).await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    let answer: ChannelAnswer = serde_json::from_slice(&text).unwrap();
    assert_eq!((answer.format.as_str(), &answer.keyset), (CHANNEL_FORMAT, &info.keyset));
    let binds = |random: &[u8; 32], spki: &Digest| {
        let wanted = report_data(&info.keyset_digest, Some(&channel_nonce(random, spki)));
        answer.quote.0.windows(64).any(|part| part == wanted)
    };
    assert!(binds(&random, &spki));
    assert!(!binds(&[6; 32], &spki) && !binds(&random, &Digest([6; 32])));
}

#[tokio::test]
async fn whoever_does_not_speak_tls_reaches_nothing() {
    let host = FakeHost::new(Misbehaviour::default());
    let reached = Arc::new(AtomicUsize::new(0));
    let listener = UnixListener::bind(host.dir.path().join("app.sock")).unwrap();
    let count = Arc::clone(&reached);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let guest = tokio::spawn(run(config(&host, None), std::future::pending()));
    host.serving().await;
    let socket = host.dir.path().join("tls.sock");
    there(&socket).await;
    for sent in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff, 1], b""] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let _ = timeout(WAIT, stream.read_to_end(&mut heard)).await.unwrap();
        // At most an alert.
        assert!(heard.len() <= 16, "{heard:?}");
    }
    // No authority asked anything.
    assert!(connect(&socket, DOMAIN, b"acme-tls/1").await.is_err());
    assert_eq!(reached.load(Ordering::Relaxed), 0);
    guest.abort();
}

#[tokio::test]
async fn a_guest_that_is_told_nonsense_does_not_start() {
    let host = FakeHost::new(Misbehaviour::default());
    let acme = |directory: &str| {
        let challenge = AcmeChallenge::TlsAlpn01;
        Some(AcmeConfig { directory: directory.to_owned(), roots: Vec::new(), challenge })
    };
    let mut cases = vec![config(&host, acme("http://ca.example/"))];
    for domains in [vec!["A.example".to_owned()], vec![String::new()], vec!["a.example".to_owned(); 9]] {
        let mut config = config(&host, None);
        config.paths.ingress.as_mut().unwrap().domains = domains;
        cases.push(config);
    }
    let mut nameless = config(&host, acme("https://ca.example/"));
    nameless.paths.ingress.as_mut().unwrap().domains.clear();
    cases.push(nameless);
    for config in cases {
        let refused = run(config, std::future::pending()).await.unwrap_err();
        assert!(refused.to_string().contains("paths.ingress"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_certifies_the_domains_and_a_restart_orders_nothing() {
    let host = FakeHost::new(Misbehaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let socket = host.dir.path().join("tls.sock");
    let tls_port = relay(socket.clone()).await;
    let asks = Asks { tls: tls_port, http: free_port() };
    let Some(authority) = Authority::start(folder.path(), asks, YEAR_S) else { return };
    authority.up().await;
    let (_gate, asked) = gate(host.dir.path(), authority.port, tls_port);
    let _app = echo(&host.dir.path().join("app.sock"));
    let acme = authority.told(AcmeChallenge::TlsAlpn01);
    let (stop, asked_to_stop) = tokio::sync::oneshot::channel::<()>();
    let guest = tokio::spawn(run(config(&host, Some(acme.clone())), async { drop(asked_to_stop.await) }));
    host.serving().await;
    there(&socket).await;
    let info = instance(&host).await;
    let own = own_key(&host).await;
    let chain = certified(&socket, &own).await;
    webpki_takes(&chain, &authority.issuing_root(folder.path()));
    bound(&socket, &info, &own).await;
    let orders = asked.load(Ordering::Relaxed);
    assert!(orders > 5);

    stop.send(()).unwrap();
    assert_eq!(guest.await.unwrap().unwrap(), StopReason::Asked);
    let second = tokio::spawn(run(config(&host, Some(acme)), std::future::pending()));
    host.wait(WAIT, |health| health.ready).await;
    there(&socket).await;
    let own = own_key(&host).await;
    assert_eq!(certified(&socket, &own).await, chain);
    assert_eq!(asked.load(Ordering::Relaxed), orders);
    second.abort();
}

/// The certified key is not the keyset's, and still under evidence: the quote over its connection binds it. The instance's own
/// name goes on with the keyset's key.
async fn bound(socket: &Path, info: &InstanceInfo, own: &Digest) {
    let mut stream = connect(socket, DOMAIN, CHANNEL_ALPN).await.unwrap();
    let spki = shown(&stream);
    assert_ne!(spki, *own);
    stream.write_all(&[1; 32]).await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    let answer: ChannelAnswer = serde_json::from_slice(&text).unwrap();
    let wanted = report_data(&info.keyset_digest, Some(&channel_nonce(&[1; 32], &spki)));
    assert!(answer.quote.0.windows(64).any(|part| part == wanted));
    assert!(answer.acme_account.unwrap().starts_with("https://127.0.0.1:"));
    let name = instance_server_name(&info.app_id, &info.instance_id);
    assert_eq!(shown(&connect(socket, &name, b"").await.unwrap()), *own);
}
