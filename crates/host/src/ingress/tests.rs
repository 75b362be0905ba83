//! The port over real sockets: honest clients reach their instance byte by byte, everyone else is closed and counted.
#![allow(clippy::unwrap_used)]

use std::{path::Path, time::Duration};

use freehold_primitives::Digest;
use freehold_rpc::{app_server_name, instance_server_name};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixListener},
    time::timeout,
};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring, pki_types::ServerName};

use super::*;

const WAIT: Duration = Duration::from_secs(20);

fn app(byte: u8) -> AppId {
    AppId::new([byte; 20])
}

/// A first message of a real client.
fn first_message(name: &str, with_name: bool) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.enable_sni = with_name;
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// An instance that says its name, and back what it hears.
fn instance(dir: &Path, name: &'static str) -> PathBuf {
    let socket = dir.join(name);
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(name.as_bytes()).await;
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    socket
}

async fn ingress() -> Ingress {
    Ingress::bind(([127, 0, 0, 1], 0).into(), Some(([127, 0, 0, 1], 0).into())).await.unwrap()
}

/// What comes back for these bytes.
async fn said(ingress: &Ingress, pieces: &[&[u8]]) -> Vec<u8> {
    let mut client = TcpStream::connect(ingress.address()).await.unwrap();
    client.set_nodelay(true).unwrap();
    for piece in pieces {
        let _ = client.write_all(piece).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _ = client.shutdown().await;
    let mut heard = Vec::new();
    let _ = timeout(WAIT, client.read_to_end(&mut heard)).await.expect("it is closed");
    heard
}

#[tokio::test]
async fn names_lead_to_their_instance_and_every_byte_arrives_as_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let ingress = ingress().await;
    let id = Digest([0xcd; 32]);
    let (one, _) = ingress.offer(app(1), &["one.example".to_owned()], instance(dir.path(), "one"));
    one.instance(Some(id));
    let (_two, _) = ingress.offer(app(2), &[], instance(dir.path(), "two"));
    for (name, wanted) in [
        ("one.example".to_owned(), "one"),
        ("ONE.example".to_owned(), "one"),
        (app_server_name(&app(1)), "one"),
        (instance_server_name(&app(1), &id), "one"),
        (format!("{}.apps.example.org", app(2)), "two"),
    ] {
        let hello = first_message(&name, true);
        let sent = [hello.as_slice(), b"and all that follows"].concat();
        let whole = said(&ingress, &[&sent]).await;
        assert_eq!(whole, [wanted.as_bytes(), &sent].concat(), "{name}");
        // In pieces, as slow networks bring it.
        let (first, second) = hello.split_at(hello.len() / 2);
        assert_eq!(said(&ingress, &[&first[..1], &first[1..], second]).await, [wanted.as_bytes(), &hello].concat());
    }
    let counts = ingress.counts();
    assert_eq!((counts.routed, counts.unknown, counts.malformed), (10, 0, 0));
    assert!(counts.bytes_in > 2_000 && counts.bytes_out > 2_000, "{counts:?}");
}

#[tokio::test]
async fn what_leads_to_nobody_is_closed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let ingress = ingress().await;
    let (route, _) = ingress.offer(app(1), &["one.example".to_owned()], instance(dir.path(), "one"));
    route.instance(Some(Digest([1; 32])));
    let other = instance_server_name(&app(1), &Digest([2; 32]));
    for name in ["two.example", "www.one.example", &other, &app_server_name(&app(3))] {
        assert_eq!(said(&ingress, &[&first_message(name, true)]).await, [21, 3, 3, 0, 2, 2, 112], "{name}");
    }
    assert_eq!(said(&ingress, &[&first_message("one.example", false)]).await, [21, 3, 3, 0, 2, 2, 112]);
    let hello = first_message("one.example", true);
    let mut unfinished = hello.clone();
    unfinished.truncate(hello.len() - 1);
    // A record that says it is longer than it may be, and one message over records without end.
    let long = [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 20_000]].concat();
    let endless = [&[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff][..], &[0x16, 3, 1, 0, 1, 0].repeat(4_000)].concat();
    for garbage in [&b"GET / HTTP/1.1\r\nhost: one.example\r\n\r\n"[..], &[0; 64], &unfinished, &long, &endless, b""] {
        assert_eq!(said(&ingress, &[garbage]).await, b"", "{:?}", &garbage[..garbage.len().min(8)]);
    }
    let counts = ingress.counts();
    assert_eq!((counts.routed, counts.unknown, counts.unnamed, counts.malformed), (0, 4, 1, 6));
}

#[tokio::test]
async fn slow_clients_are_counted_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let ingress = ingress().await;
    let (_route, _) = ingress.offer(app(1), &["one.example".to_owned()], instance(dir.path(), "one"));
    let hello = first_message("one.example", true);
    let mut slow = TcpStream::connect(ingress.address()).await.unwrap();
    slow.write_all(&hello[..hello.len() - 1]).await.unwrap();
    assert_eq!(said(&ingress, &[&hello]).await, [b"one", hello.as_slice()].concat());
    let mut heard = Vec::new();
    timeout(WAIT, slow.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert_eq!((heard.len(), ingress.counts().slow, ingress.counts().routed), (0, 1, 1));
}

#[tokio::test]
async fn an_instance_that_is_gone_and_a_route_that_is_closed_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let ingress = ingress().await;
    let (route, _) = ingress.offer(app(1), &["one.example".to_owned()], dir.path().join("nobody"));
    let hello = first_message("one.example", true);
    assert_eq!(said(&ingress, &[&hello]).await, [21, 3, 3, 0, 2, 2, 80]);
    drop(route);
    assert_eq!(said(&ingress, &[&hello]).await, [21, 3, 3, 0, 2, 2, 112]);
    assert_eq!((ingress.counts().unavailable, ingress.counts().unknown), (1, 1));
}

#[tokio::test]
async fn a_domain_stays_with_the_app_that_named_it_first() {
    let dir = tempfile::tempdir().unwrap();
    let ingress = ingress().await;
    let domains = ["one.example".to_owned()];
    let (first, taken) = ingress.offer(app(1), &domains, instance(dir.path(), "one"));
    assert!(taken.is_empty());
    let (_thief, taken) = ingress.offer(app(2), &domains, instance(dir.path(), "two"));
    assert_eq!(taken, domains);
    let hello = first_message("one.example", true);
    assert!(said(&ingress, &[&hello]).await.starts_with(b"one"));
    // Its next instance takes it over, whether the one before is gone or not yet.
    let (_second, taken) = ingress.offer(app(1), &domains, instance(dir.path(), "new"));
    assert!(taken.is_empty());
    drop(first);
    assert!(said(&ingress, &[&hello]).await.starts_with(b"new"));
}

#[tokio::test]
async fn plain_http_leads_to_the_instance_of_the_host_that_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let ingress = ingress().await;
    let (_one, _) = ingress.offer(app(1), &["one.example".to_owned()], instance(dir.path(), "one"));
    let plain = ingress.plain_address().unwrap();
    let ask = |text: String| async move {
        let mut client = TcpStream::connect(plain).await.unwrap();
        client.write_all(text.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        let _ = timeout(WAIT, client.read_to_end(&mut heard)).await.expect("it is closed");
        String::from_utf8(heard).unwrap()
    };
    let request = |host: &str| format!("GET /.well-known/acme-challenge/a HTTP/1.1\r\nHost: {host}\r\n\r\nand more");
    for host in ["one.example", "ONE.example:80"] {
        assert_eq!(ask(request(host)).await, format!("one{}", request(host)));
    }
    for host in ["two.example", "", "one.example\r\nHost: two.example"] {
        assert!(ask(request(host)).await.starts_with("HTTP/1.1 421 "), "{host}");
    }
    for malformed in
        ["GET /\r\nHost: one.example\r\n\r\n".to_owned(), "a".repeat(9_000), "GET / HTTP/1.1\r\n".to_owned()]
    {
        assert_eq!(ask(malformed).await, "");
    }
    let counts = ingress.counts();
    assert_eq!((counts.routed, counts.unknown, counts.unnamed, counts.malformed), (2, 1, 2, 3));
}
