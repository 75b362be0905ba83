//! The gate against whoever wants past it: names that lead inside, addresses in disguise, heads that read in two ways, floods.

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use freehold_bundle::EgressTarget;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::{
    address::is_public,
    gate::{Gate, Passed, accept_tcp},
};
use crate::config::Reach;

/// Every name leads to these, one answer after the other, the last for ever; the names that were asked for are noted.
fn gate(reach: Reach, answers: &[&[&str]]) -> (Arc<Gate>, Arc<Mutex<Vec<String>>>) {
    let answers: Vec<Vec<IpAddr>> =
        answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).collect();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let resolve = move |name: String, port: u16| -> Pin<Box<dyn Future<Output = _> + Send>> {
        let mut noted = noted.lock().unwrap();
        let answer = answers.get(noted.len()).or(answers.last()).cloned().unwrap_or_default();
        noted.push(name);
        Box::pin(async move { Ok(answer.into_iter().map(|address| SocketAddr::new(address, port)).collect()) })
    };
    (Gate::resolving(reach, Box::new(resolve)), asked)
}

fn listed(targets: &[&str]) -> Reach {
    Reach::Listed(targets.iter().map(|target| EgressTarget::parse(target).unwrap()).collect())
}

/// What the gate says to these bytes.
async fn say(gate: &Arc<Gate>, bytes: &[u8]) -> Vec<u8> {
    let (mut outside, inside) = duplex(64 * 1024);
    let gate = Arc::clone(gate);
    let served = tokio::spawn(async move { gate.serve(inside).await });
    outside.write_all(bytes).await.unwrap();
    outside.shutdown().await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(Duration::from_secs(20), outside.read_to_end(&mut said)).await.unwrap();
    served.await.unwrap();
    said
}

/// Status and word of an answer.
async fn connect(gate: &Arc<Gate>, target: &str) -> String {
    verdict(&say(gate, format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await)
}

fn verdict(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said).into_owned();
    let status = said.strip_prefix("HTTP/1.1 ").map_or("", |rest| &rest[..3]).to_owned();
    let word = said.lines().find_map(|line| line.strip_prefix("freehold-refusal: ")).unwrap_or_default();
    format!("{status} {word}").trim().to_owned()
}

/// A server that says what it hears, and closes.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = Vec::new();
                let _ = stream.read_to_end(&mut heard).await;
                let _ = stream.write_all(&[b"heard ", heard.as_slice()].concat()).await;
            });
        }
    });
    address
}

#[test]
fn special_addresses_are_not_public() {
    let special = [
        "0.0.0.0",
        "0.1.2.3",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ];
    for text in special {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
    ];
    for text in public {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

#[tokio::test]
async fn a_listed_host_is_reached_and_carried_both_ways() {
    let server = server().await;
    let target = format!("127.0.0.1:{}", server.port());
    let (gate, _) = gate(listed(&[&target]), &[]);
    let said = say(&gate, format!("CONNECT {target} HTTP/1.1\r\n\r\nearly").as_bytes()).await;
    assert_eq!(String::from_utf8(said).unwrap(), "HTTP/1.1 200 OK\r\n\r\nheard early");
    // RFC 1928: no authentication, connect, IPv4.
    let port = server.port().to_be_bytes();
    let ask = [&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1][..], &port, b"hello"].concat();
    assert_eq!(say(&gate, &ask).await, [&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"heard hello"].concat());
    let Passed { opened, refused, failed, bytes_out, bytes_in } = gate.passed();
    assert_eq!((opened, refused, failed, bytes_out, bytes_in), (2, 0, 0, 10, 22));
}

#[tokio::test]
async fn what_is_not_listed_is_refused_unresolved() {
    let (gate, asked) = gate(listed(&["api.example.org:443", "*.cdn.example:443", "10.0.0.7:443"]), &[&["8.8.8.8"]]);
    for target in [
        "example.org:443",
        "api.example.org:80",
        "api.example.org:22",
        "api.example.org.evil.net:443",
        "xapi.example.org:443",
        "cdn.example:443",
        "10.0.0.8:443",
        "10.0.0.7:80",
        "8.8.8.8:443",
        "[::1]:443",
        "[::ffff:10.0.0.7]:443",
        "localhost:443",
        "169.254.169.254:80",
    ] {
        assert_eq!(connect(&gate, target).await, "403 not_listed", "{target}");
    }
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
    assert_eq!(gate.passed(), Passed { refused: 13, ..Passed::default() });
    let (nobody, asked) = self::gate(Reach::Nobody, &[&["8.8.8.8"]]);
    assert_eq!(connect(&nobody, "api.example.org:443").await, "403 not_listed");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_inside_leads_nowhere() {
    let server = server().await;
    let name = format!("api.example.org:{}", server.port());
    for inside in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1", "0.0.0.0"] {
        for reach in [listed(&[&name]), Reach::Everybody] {
            let (gate, _) = gate(reach, &[&[inside]]);
            assert_eq!(connect(&gate, &name).await, "403 not_public", "{inside}");
        }
    }
    let (nowhere, _) = gate(listed(&[&name]), &[&[]]);
    assert_eq!(connect(&nowhere, &name).await, "502 unreachable");
}

/// The name is resolved once for each connection, and what was judged is what is dialled: a second answer is never asked for.
#[tokio::test]
async fn rebinding_finds_no_second_look() {
    let server = server().await;
    let name = format!("api.example.org:{}", server.port());
    let (gate, asked) = gate(listed(&[&name]), &[&["127.0.0.1", "192.0.2.1"], &["127.0.0.1"]]);
    assert_eq!(connect(&gate, &name).await, "403 not_public");
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(connect(&gate, &name).await, "403 not_public");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn open_means_the_public_network() {
    let (gate, _) = gate(Reach::Everybody, &[&["127.0.0.1"]]);
    for target in
        ["127.0.0.1:80", "[::1]:80", "10.1.2.3:80", "[::ffff:10.1.2.3]:80", "169.254.169.254:80", "localhost:80"]
    {
        assert_eq!(connect(&gate, target).await, "403 not_public", "{target}");
    }
}

#[tokio::test]
async fn addresses_in_disguise_are_no_hosts() {
    let (gate, asked) = gate(Reach::Everybody, &[&["127.0.0.1"]]);
    for target in [
        "127.1:80",
        "2130706433:80",
        "0x7f000001:80",
        "0177.0.0.1:80",
        "127.0.0.1.:80",
        "[127.0.0.1]:80",
        "::1:80",
        "example.org",
        "example.org:0",
        "example.org:+80",
        "example.org:080000",
        "example.org:80:80",
        "user@example.org:80",
        "http://example.org:80",
        "exam\u{ff50}le.org:80",
        ":80",
    ] {
        assert_eq!(connect(&gate, target).await, "400 malformed", "{target}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn heads_that_read_in_two_ways_are_refused() {
    let (gate, asked) = gate(listed(&["good.example:443"]), &[&["127.0.0.1"]]);
    let heads: [&str; 18] = [
        "CONNECT good.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\nHost: evil.example\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nx: y\nHost: evil.example\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nx: y\r z\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nx: y\r\n folded\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nno colon\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nx : y\r\n\r\n",
        "CONNECT good.example:443 HTTP/1.1\r\nx: \0\r\n\r\n",
        "CONNECT good.example:443  HTTP/1.1\r\n\r\n",
        "CONNECT  good.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT good.example:443 evil.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT good.example:443\tHTTP/1.1\r\n\r\n",
        "CONNECT good.example:443 HTTP/2.0\r\n\r\n",
        "CONNECT good.example:443\r\n\r\n",
        "\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
    ];
    for head in heads {
        assert_eq!(verdict(&say(&gate, head.as_bytes()).await), "400 malformed", "{head:?}");
    }
    for head in ["GET http://good.example/ HTTP/1.1\r\n\r\n", "connect good.example:443 HTTP/1.1\r\n\r\n"] {
        assert_eq!(verdict(&say(&gate, head.as_bytes()).await), "405 method", "{head:?}");
    }
    let long = format!("CONNECT good.example:443 HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(8 * 1024));
    assert_eq!(verdict(&say(&gate, long.as_bytes()).await), "400 malformed");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn socks_is_judged_alike() {
    let (gate, asked) = gate(listed(&["good.example:443"]), &[&["127.0.0.1"]]);
    let named = |name: &[u8], port: u16| {
        [&[5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()][..], name, &port.to_be_bytes()].concat()
    };
    let code = async |bytes: Vec<u8>| say(&gate, &bytes).await.get(3).copied();
    assert_eq!(code(named(b"evil.example", 443)).await, Some(2));
    assert_eq!(code(named(b"good.example", 80)).await, Some(2));
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(code(named(b"good.example", 443)).await, Some(2), "it leads inside");
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(code(named(b"good.example\0.evil", 443)).await, Some(1));
    assert_eq!(code(named(b"", 443)).await, Some(1));
    assert_eq!(code(vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 1, 187]).await, Some(2));
    // Bind and UDP are no connections; another address type, version or reserved byte is nothing.
    assert_eq!(code(vec![5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 1, 187]).await, Some(7));
    assert_eq!(code(vec![5, 1, 0, 5, 3, 0, 1, 127, 0, 0, 1, 1, 187]).await, Some(7));
    assert_eq!(code(vec![5, 1, 0, 5, 1, 0, 9]).await, Some(1));
    assert_eq!(code(vec![5, 1, 0, 4, 1, 0, 1, 127, 0, 0, 1, 1, 187]).await, Some(1));
    // Who asks for a password, or goes away, gets nowhere.
    assert_eq!(say(&gate, &[5, 1, 2]).await, [5, 0xff]);
    for cut in [&[5][..], &[5, 3, 0], &[5, 1, 0, 5, 1], &[5, 1, 0, 5, 1, 0, 3, 200, b'a']] {
        assert!(say(&gate, cut).await.len() <= 2);
    }
}

#[tokio::test]
async fn a_flood_waits_and_those_inside_go_on() {
    let server = server().await;
    let target = format!("127.0.0.1:{}", server.port());
    let (gate, _) = gate(listed(&[&target]), &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(accept_tcp(Arc::clone(&gate), listener));
    let ask = format!("CONNECT {target} HTTP/1.1\r\n\r\n");
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(ask.as_bytes()).await.unwrap();
    let mut head = [0; 19];
    first.read_exact(&mut head).await.unwrap();
    // More than there are places, and they say nothing.
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(TcpStream::connect(address).await.unwrap());
    }
    first.write_all(b"still here").await.unwrap();
    first.shutdown().await.unwrap();
    let mut said = Vec::new();
    first.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"heard still here");
    // Once they are gone, the next is served.
    drop(flood);
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(ask.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(5), next.read_exact(&mut head)).await.unwrap().unwrap();
    sleep(Duration::from_millis(1)).await;
    accepting.abort();
}
