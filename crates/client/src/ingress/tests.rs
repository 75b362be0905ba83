//! Connections held to a key, and others' answers to a question for evidence, over real TLS. Whole chains are the e2e tests'.
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;

/// How somebody behind an ingress behaves.
#[derive(Clone)]
struct Somebody {
    alpn: Option<&'static [u8]>,
    /// What it says to whoever asks for evidence.
    answer: Vec<u8>,
    key: Arc<KeyPair>,
    /// Bytes that it was told.
    heard: Arc<AtomicUsize>,
}

impl Somebody {
    fn new(alpn: Option<&'static [u8]>, answer: &[u8]) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { alpn, answer: answer.to_vec(), key: Arc::new(key), heard: Arc::default() }
    }

    fn spki(&self) -> Digest {
        sha256(&self.key.public_key_der())
    }

    async fn listen(&self) -> String {
        let certificate =
            CertificateParams::new(vec!["any.example".to_owned()]).unwrap().self_signed(&self.key).unwrap();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = self.alpn.map(<[u8]>::to_vec).into_iter().collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let somebody = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, somebody) = (acceptor.clone(), somebody.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut asked = [0; 32];
                    let count = stream.read(&mut asked).await.unwrap_or(0);
                    somebody.heard.fetch_add(count, Ordering::Relaxed);
                    let _ = stream.write_all(&somebody.answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        address
    }
}

fn client(address: String) -> IngressClient {
    IngressClient::new(IngressTarget {
        address,
        rpc: "http://127.0.0.1:1".parse().unwrap(),
        network_key: NetworkKey([1; 96]),
        app_id: AppId::new([1; 20]),
        instance_id: None,
    })
}

#[tokio::test]
async fn another_key_is_refused_before_a_byte_is_sent() {
    let honest = Somebody::new(None, b"hello");
    let client = client(honest.listen().await);
    let handshake = |key| client.handshake("a.example".to_owned(), KeyExpected::Key(key), None);
    let mut stream = handshake(honest.spki()).await.unwrap();
    stream.write_all(b"a secret").await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!((heard.as_slice(), honest.heard.load(Ordering::Relaxed)), (&b"hello"[..], 8));

    let thief = Somebody::new(None, b"hello");
    for key in [thief.spki(), Digest([0; 32])] {
        let refused = handshake(key).await.unwrap_err();
        assert_eq!(refused.code(), "wrong_key", "{refused}");
    }
    assert_eq!(honest.heard.load(Ordering::Relaxed), 8);
}

#[tokio::test]
async fn what_is_no_evidence_is_refused() {
    let long = vec![b'['; CHANNEL_ANSWER_BYTES_MAX + 1];
    for (alpn, answer, code) in [
        (Some(CHANNEL_ALPN), &b""[..], "no_evidence"),
        (Some(CHANNEL_ALPN), b"{}", "no_evidence"),
        (Some(CHANNEL_ALPN), br#"{"format":"other","keyset":{},"quote":""}"#, "unverified"),
        (Some(CHANNEL_ALPN), br#"{"format":"freehold.channel/1","keyset":{},"quote":"00"}"#, "unverified"),
        (Some(CHANNEL_ALPN), br#"{"format":"freehold.channel/1","keyset":{},"quote":"","more":1}"#, "no_evidence"),
        (Some(CHANNEL_ALPN), &long, "no_evidence"),
        // Somebody who serves TLS and knows nothing of this.
        (None, b"HTTP/1.1 400 Bad Request\r\n\r\n", "no_evidence"),
        (Some(b"http/1.1"), b"", "tls"),
    ] {
        let somebody = Somebody::new(alpn, answer);
        let refused = client(somebody.listen().await).verify().await.unwrap_err();
        let begin = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
        assert_eq!(refused.code(), code, "{begin}: {refused}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_or_no_tls_is_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(client(free.to_string()).verify().await.unwrap_err().code(), "unreachable");
    for (said, code) in [(&[21, 3, 3, 0, 2, 2, 112][..], "no_instance"), (b"HTTP/1.1 400 Bad\r\n\r\n", "tls")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut piece = [0; 4096];
            let _ = stream.read(&mut piece).await;
            let _ = stream.write_all(said).await;
        });
        let refused = client(address).verify().await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
}

#[tokio::test]
async fn a_proxy_that_verifies_nobody_does_not_open() {
    let somebody = Somebody::new(None, b"hello");
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let listen = ([127, 0, 0, 1], 0).into();
    let refused = Proxy::start(client(somebody.listen().await), listen, events).await.err().unwrap();
    assert_eq!(refused.code(), "no_evidence");
    assert!(heard.recv().await.is_none());
}
