//! Attested fetch against a real TLS server: what is signed is what came, and whoever stands between can only withhold.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use freehold_crypto::{fetch_certificates_digest, fetch_headers_digest, fetch_roots_digest, recover_fetch, sha256};
use freehold_primitives::{Digest, FetchMethod};
use freehold_rpc::{Base64Text, FETCH_FORMAT, FetchAsk, HttpError, LocalErrorBody, LocalErrorCode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use crate::support::{FakeHost, Misbehaviour};

const HOST: &str = "prices.example";

/// An authority, and a server's certificate under it.
struct Pki {
    root: Vec<u8>,
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
}

/// Certificates count at the time of the test's chain, whenever that is.
fn pki(name: &str, years: std::ops::Range<i32>) -> Pki {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = authority.self_signed(&authority_key).unwrap();
    let mut server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    server.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    server.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let server = server.signed_by(&key, &authority, &authority_key).unwrap();
    Pki { root: authority.der().to_vec(), chain: vec![server.der().to_vec()], key: key.serialize_der() }
}

fn acceptor(pki: &Pki) -> TlsAcceptor {
    let chain = pki.chain.iter().map(|one| CertificateDer::from(one.clone())).collect();
    let key = PrivateKeyDer::try_from(pki.key.clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A server that answers by path; it shows the request's head and body back at `/echo`.
async fn server(pki: &Pki) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(pki);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let head = head(&mut stream).await;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                stream.read_exact(&mut body).await.unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = answer(&path, &head, &body);
                let _ = stream.write_all(&answer).await;
                if path == "/hang" {
                    std::future::pending::<()>().await;
                }
                // One that is cut off ends without TLS's own end.
                if path != "/cut" {
                    let _ = stream.shutdown().await;
                }
            });
        }
    });
    port
}

fn answer(path: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let whole = |status: &str, more: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    match path {
        "/echo" => whole("200 OK", "x-kind: echo\r\n", &[head.as_bytes(), body].concat()),
        "/moved" => whole("302 Found", "location: https://elsewhere.example/\r\n", b""),
        "/large" => whole("200 OK", "", &vec![b'a'; 100_000]),
        "/short" => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec(),
        "/cut" => b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc".to_vec(),
        "/garbage" => b"not http at all\r\n\r\n".to_vec(),
        "/hang" => Vec::new(),
        _ => whole("404 Not Found", "", b"nothing here"),
    }
}

/// What stands at the gate: it leads every name to one port, changes the tenth byte that the server sends, or refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Lead(u16),
    Meddle(u16),
    Answer(&'static str),
}

fn gate(dir: &Path, how: Gate) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(dir.join("egress.sock")).unwrap();
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(lead(stream, how));
        }
    });
    passed
}

async fn lead(mut inside: UnixStream, how: Gate) {
    let head = head(&mut inside).await;
    assert!(head.starts_with("CONNECT "), "{head}");
    let (port, meddles) = match how {
        Gate::Lead(port) => (port, false),
        Gate::Meddle(port) => (port, true),
        Gate::Answer(answer) => return inside.write_all(answer.as_bytes()).await.unwrap(),
    };
    inside.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut outside = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    if !meddles {
        let _ = copy_bidirectional(&mut inside, &mut outside).await;
        return;
    }
    let (mut from_inside, mut to_inside) = inside.split();
    let (mut from_outside, mut to_outside) = outside.split();
    let up = tokio::io::copy(&mut from_inside, &mut to_outside);
    let down = async {
        let mut seen = 0;
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from_outside.read(&mut piece).await {
            // Behind the handshake, so that it is a record with the response that is changed.
            if seen < 2_000 && seen + read >= 1_200 {
                piece[read - 1] ^= 1;
            }
            seen += read;
            if to_inside.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { _ = up => {}, () = down => {} }
}

fn ask(path: &str, pki: &Pki) -> FetchAsk {
    FetchAsk {
        url: format!("https://{HOST}{path}"),
        roots: vec![Base64Text(pki.root.clone())],
        timeout_ms: Some(5_000),
        ..FetchAsk::default()
    }
}

async fn refusal(host: &FakeHost, ask: &FetchAsk) -> (u16, LocalErrorCode) {
    match host.local().fetch(ask).await {
        Err(HttpError::Refused { status, body, .. }) => {
            let body: LocalErrorBody = serde_json::from_str(&body).unwrap();
            (status.as_u16(), body.error.code)
        }
        other => panic!("{ask:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_signed_by_the_instances_account() {
    let pki = pki(HOST, 2000..2100);
    let host = FakeHost::new(Misbehaviour::default());
    gate(host.dir.path(), Gate::Lead(server(&pki).await));
    let guest = host.guest();
    host.serving().await;
    let instance = host.local().instance().await.unwrap();

    let headers = vec![("authorization".to_owned(), "Bearer of a key".to_owned())];
    let asked = FetchAsk {
        method: FetchMethod::Post,
        headers: headers.clone(),
        body: Some(Base64Text(b"{\"ask\":1}".to_vec())),
        ..ask("/echo", &pki)
    };
    let fetched = host.local().fetch(&asked).await.unwrap();
    let record = &fetched.record;
    assert_eq!(fetched.format, FETCH_FORMAT);
    assert_eq!(recover_fetch(record, &fetched.signature.0), Ok(instance.subject.account));
    assert_eq!((record.app_id, record.instance_id), (instance.app_id, instance.instance_id));
    assert_eq!((record.chain_id, record.genesis_hash), (instance.chain_id, instance.genesis_hash));
    assert!(record.height >= instance.header.height, "{}", record.height);
    assert!(record.time_unix_s >= instance.header.time_unix_s, "{}", record.time_unix_s);
    assert_eq!((record.method, record.url.as_str()), (FetchMethod::Post, "https://prices.example/echo"));
    assert_eq!(record.request_headers, fetch_headers_digest(&headers));
    assert_eq!(record.request_body, sha256(b"{\"ask\":1}"));
    assert_eq!(record.roots, fetch_roots_digest(&[&pki.root]));
    assert_eq!(record.certificates, fetch_certificates_digest(&pki.chain));
    assert_eq!((record.status, record.response_body), (200, sha256(&fetched.body.0)));
    assert!(fetched.headers.contains(&("x-kind".to_owned(), "echo".to_owned())));
    let echoed = String::from_utf8(fetched.body.0).unwrap();
    assert!(echoed.starts_with("POST /echo HTTP/1.1\r\nhost: prices.example\r\n"), "{echoed}");
    assert!(echoed.contains("authorization: Bearer of a key\r\n") && echoed.ends_with("{\"ask\":1}"), "{echoed}");

    // A redirect is not followed, and a status that is not good is what came.
    for (path, status) in [("/moved", 302), ("/none", 404)] {
        let fetched = host.local().fetch(&ask(path, &pki)).await.unwrap();
        assert_eq!((fetched.record.status, fetched.record.request_body), (status, Digest([0; 32])));
    }
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_under_no_named_root_is_refused() {
    let (good, other_name, ended, foreign) =
        (pki(HOST, 2000..2100), pki("other.example", 2000..2100), pki(HOST, 2000..2001), pki(HOST, 2000..2100));
    for (shown, root) in [(&good, &foreign.root), (&other_name, &other_name.root), (&ended, &ended.root)] {
        let host = FakeHost::new(Misbehaviour::default());
        gate(host.dir.path(), Gate::Lead(server(shown).await));
        let guest = host.guest();
        host.serving().await;
        let asked = FetchAsk { roots: vec![Base64Text(root.clone())], ..ask("/echo", shown) };
        assert_eq!(refusal(&host, &asked).await, (502, LocalErrorCode::TlsRefused));
        // Under the web's roots it is nobody either.
        let asked = FetchAsk { roots: Vec::new(), ..asked };
        assert_eq!(refusal(&host, &asked).await, (502, LocalErrorCode::TlsRefused));
        guest.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_made_of_a_part_or_of_what_was_changed() {
    let pki = pki(HOST, 2000..2100);
    let port = server(&pki).await;
    let host = FakeHost::new(Misbehaviour::default());
    gate(host.dir.path(), Gate::Lead(port));
    let guest = host.guest();
    host.serving().await;
    for path in ["/short", "/cut", "/garbage"] {
        assert_eq!(refusal(&host, &ask(path, &pki)).await, (502, LocalErrorCode::Unreachable), "{path}");
    }
    let small = FetchAsk { body_bytes_max: Some(99_999), ..ask("/large", &pki) };
    assert_eq!(refusal(&host, &small).await, (502, LocalErrorCode::TooLarge));
    assert_eq!(host.local().fetch(&ask("/large", &pki)).await.unwrap().body.0.len(), 100_000);
    let hanging = FetchAsk { timeout_ms: Some(300), ..ask("/hang", &pki) };
    assert_eq!(refusal(&host, &hanging).await, (504, LocalErrorCode::TimedOut));
    let wrong = FetchAsk { url: format!("http://{HOST}/"), ..ask("/echo", &pki) };
    assert_eq!(refusal(&host, &wrong).await, (400, LocalErrorCode::InvalidRequest));
    let no_root = FetchAsk { roots: vec![Base64Text(vec![1, 2, 3])], ..ask("/echo", &pki) };
    assert_eq!(refusal(&host, &no_root).await, (400, LocalErrorCode::InvalidRequest));
    guest.abort();

    let host = FakeHost::new(Misbehaviour::default());
    let passed = gate(host.dir.path(), Gate::Meddle(port));
    let guest = host.guest();
    host.serving().await;
    let (status, code) = refusal(&host, &ask("/large", &pki)).await;
    assert!(status == 502 && matches!(code, LocalErrorCode::TlsRefused | LocalErrorCode::Unreachable), "{code:?}");
    assert_eq!(passed.load(Ordering::SeqCst), 1);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gate_refuses_is_said() {
    let pki = pki(HOST, 2000..2100);
    let cases = [
        ("HTTP/1.1 403 Forbidden\r\nfreehold-refusal: not_listed\r\n\r\n", (403, LocalErrorCode::EgressDenied)),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", (502, LocalErrorCode::Unreachable)),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", (429, LocalErrorCode::TooManyRequests)),
        ("", (502, LocalErrorCode::Unreachable)),
        ("nonsense\r\n\r\n", (502, LocalErrorCode::Unreachable)),
    ];
    for (answer, expected) in cases {
        let host = FakeHost::new(Misbehaviour::default());
        gate(host.dir.path(), Gate::Answer(answer));
        let guest = host.guest();
        host.serving().await;
        assert_eq!(refusal(&host, &ask("/echo", &pki)).await, expected, "{answer:?}");
        guest.abort();
    }
}
