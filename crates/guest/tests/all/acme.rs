//! Certificates over time and over several machines, from an authority that speaks ACME (`pebble`): a chain is replaced while
//! connections go on, an authority that is not there changes nothing, and one name leads to two instances.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use freehold_guest::{AcmeChallenge, AcmeConfig, GuestError, StopReason, run};
use freehold_primitives::Digest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{client::TlsStream, rustls::pki_types::CertificateDer};

use crate::support::{
    FakeChain, FakeHost, Misbehaviour,
    tls::{
        Asks, Authority, DOMAIN, certified, config, connect, echo, free_port, gate, own_key, relay, shown, there,
        webpki_takes,
    },
};

/// Life of a certificate: it is replaced two thirds later, well within the instance's own lease.
const LIFE_S: u64 = 300;
/// Pause after a first failure, and a little more.
const PAUSE_S: u64 = 61;

type Guest = JoinHandle<Result<StopReason, GuestError>>;

/// An instance that serves, with its app.
async fn serving(host: &FakeHost, acme: AcmeConfig) -> (Guest, JoinHandle<()>, PathBuf) {
    let app = echo(&host.dir.path().join("app.sock"));
    let guest = tokio::spawn(run(config(host, Some(acme)), std::future::pending()));
    host.serving().await;
    let socket = host.dir.path().join("tls.sock");
    there(&socket).await;
    (guest, app, socket)
}

/// What the domain shows now.
async fn chain(socket: &Path) -> Vec<CertificateDer<'static>> {
    connect(socket, DOMAIN, b"").await.unwrap().get_ref().1.peer_certificates().unwrap().to_vec()
}

/// Waits until the domain shows another chain than this.
async fn replaced(socket: &Path, before: &[CertificateDer<'static>]) -> Vec<CertificateDer<'static>> {
    for _ in 0..600 {
        let now = chain(socket).await;
        if now != before {
            return now;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the chain was not replaced");
}

/// Says something to the app over an open connection, and hears it back.
async fn goes_on<S>(stream: &mut TlsStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(b"still there").await.unwrap();
    let mut heard = [0; 11];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still there");
}

/// Time passes for the guest, at once.
async fn passes(chain: &FakeChain, seconds: u64) {
    chain.ahead(seconds);
    sleep(Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_is_replaced_while_connections_go_on_and_a_dead_authority_changes_nothing() {
    let host = FakeHost::new(Misbehaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let tls_port = relay(host.dir.path().join("tls.sock")).await;
    let asks = Asks { tls: tls_port, http: free_port() };
    let Some(authority) = Authority::start(folder.path(), asks, LIFE_S) else { return };
    authority.up().await;
    let (open, asked) = gate(host.dir.path(), authority.port, tls_port);
    let (guest, _app, socket) = serving(&host, authority.told(AcmeChallenge::TlsAlpn01)).await;
    let own = own_key(&host).await;
    let first = certified(&socket, &own).await;
    let root = authority.issuing_root(folder.path());
    let mut stream = connect(&socket, DOMAIN, b"").await.unwrap();
    let key = shown(&stream);
    goes_on(&mut stream).await;
    let orders = asked.load(Ordering::Relaxed);

    // Half its life: nothing is asked for.
    passes(&host.chain, LIFE_S / 2).await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!((chain(&socket).await, asked.load(Ordering::Relaxed)), (first.clone(), orders));

    // It is due, and nobody answers: the old one stays, and the failure is counted on the disk before anything was sent.
    open.abort();
    let _ = open.await;
    fs::remove_file(host.dir.path().join("egress.sock")).unwrap();
    let kept = host.state_dir().join("tls");
    let before = fs::read(&kept).unwrap();
    passes(&host.chain, LIFE_S / 5).await;
    until(|| fs::read(&kept).unwrap() != before).await;
    assert_eq!(chain(&socket).await, first);
    goes_on(&mut stream).await;

    // The authority is back: before the pause is over it is left alone, and asked behind it.
    let (_open, asked) = gate(host.dir.path(), authority.port, tls_port);
    sleep(Duration::from_secs(11)).await;
    assert_eq!((chain(&socket).await, asked.load(Ordering::Relaxed)), (first.clone(), 0));
    passes(&host.chain, PAUSE_S).await;
    let second = replaced(&socket, &first).await;
    webpki_takes(&second, &root);
    assert_eq!(shown(&connect(&socket, DOMAIN, b"").await.unwrap()), key, "the key stays, for those who pin it");
    goes_on(&mut stream).await;
    guest.abort();
}

async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..400 {
        if done() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come to that");
}

/// What a port says to a request over plain HTTP.
async fn plain(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    String::from_utf8(heard).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_leads_to_two_instances_and_one_order_serves_both() {
    let one = FakeHost::new(Misbehaviour::default());
    let two = FakeHost::on(one.chain.clone());
    let folder = tempfile::tempdir().unwrap();
    let sockets = [&one, &two].map(|host| host.dir.path().join("tls.sock"));
    // Whoever asks for the name reaches the second machine, over TLS the first.
    let http = relay(sockets[1].clone()).await;
    let asks = Asks { tls: free_port(), http };
    let Some(authority) = Authority::start(folder.path(), asks, LIFE_S) else { return };
    authority.up().await;
    let acme = authority.told(AcmeChallenge::Http01);
    // The second has no way out yet, so it cannot order; it answers all the same.
    let (_second, _its_app, _) = serving(&two, acme.clone()).await;
    let (_gate, asked) = gate(one.dir.path(), authority.port, relay(sockets[1].clone()).await);
    let (_first, _app, _) = serving(&one, acme).await;
    let keys: [Digest; 2] = [own_key(&one).await, own_key(&two).await];
    let chain_of_one = certified(&sockets[0], &keys[0]).await;
    let root = authority.issuing_root(folder.path());
    webpki_takes(&chain_of_one, &root);
    assert!(asked.load(Ordering::Relaxed) > 5);
    assert_eq!(shown(&connect(&sockets[1], DOMAIN, b"").await.unwrap()), keys[1], "nothing was told to it");

    // Behind its pause the second looks at the name, and takes what the first shows.
    let (_gate, asked) = gate(two.dir.path(), authority.port, relay(sockets[0].clone()).await);
    passes(&one.chain, PAUSE_S).await;
    assert_eq!(certified(&sockets[1], &keys[1]).await, chain_of_one);
    assert_eq!(asked.load(Ordering::Relaxed), 0);

    what_is_said_over_plain_http(http).await;
}

/// Questions are answered by token, everybody else is sent to TLS, and nothing reaches the app.
async fn what_is_said_over_plain_http(port: u16) {
    let get = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let asked = plain(port, &get("/.well-known/acme-challenge/to-ken_1", DOMAIN)).await;
    let (head, said) = asked.split_once("\r\n\r\n").unwrap();
    let thumbprint = said.strip_prefix("to-ken_1.").unwrap_or_else(|| panic!("{asked}"));
    assert!(head.starts_with("HTTP/1.1 200 ") && thumbprint.len() == 43, "{asked}");
    let led = plain(port, &get("/a?b=c", DOMAIN)).await;
    assert!(
        led.starts_with("HTTP/1.1 301 ") && led.contains(&format!("location: https://{DOMAIN}/a?b=c\r\n")),
        "{led}"
    );
    let long = "t".repeat(129);
    for (path, host) in [
        ("/.well-known/acme-challenge/", DOMAIN),
        ("/.well-known/acme-challenge/a/b", DOMAIN),
        (&*format!("/.well-known/acme-challenge/{long}"), DOMAIN),
        ("/", "other.example"),
        ("https://app.example/", DOMAIN),
    ] {
        let said = plain(port, &get(path, host)).await;
        assert!(said.starts_with("HTTP/1.1 404 "), "{path} {host}: {said}");
    }
    assert!(plain(port, "POST / HTTP/1.1\r\nhost: app.example\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
    assert_eq!(plain(port, &"a".repeat(9_000)).await, "");
}
