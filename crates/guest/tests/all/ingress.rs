//! TLS that ends in the guest: what a client is shown is the keyset's, what it says reaches the app alone, and an authority that
//! speaks ACME (Let's Encrypt's own test server, Debian's package `pebble`) certifies the app's domains.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{FakeHost, Misbehaviour};
use freehold_crypto::{report_data, sha256};
use freehold_guest::{AcmeConfig, GuestConfig, IngressConfig, StopReason, run};
use freehold_primitives::Digest;
use freehold_rpc::{
    Base64Text, CHANNEL_ALPN, CHANNEL_FORMAT, ChannelAnswer, InstanceInfo, channel_nonce, instance_server_name,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
        server::ParsedCertificate,
    },
};

const WAIT: Duration = Duration::from_secs(20);
const DOMAIN: &str = "app.example";

/// Takes any certificate whose key signs, so that what was shown can be looked at.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &ring::default_provider().signature_verification_algorithms,
        )
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &ring::default_provider().signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn connect(socket: &Path, name: &str, alpn: &[u8]) -> std::io::Result<TlsStream<UnixStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = if alpn.is_empty() { Vec::new() } else { vec![alpn.to_vec()] };
    let stream = UnixStream::connect(socket).await?;
    let connector = TlsConnector::from(Arc::new(config));
    timeout(WAIT, connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream)).await.unwrap()
}

/// SHA-256 of the shown key.
fn shown(stream: &TlsStream<UnixStream>) -> Digest {
    let certificate = &stream.get_ref().1.peer_certificates().unwrap()[0];
    sha256(&ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info())
}

/// An app that says back what it hears.
fn echo(socket: &Path) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    })
}

fn config(host: &FakeHost, acme: Option<AcmeConfig>) -> GuestConfig {
    let mut config = host.config();
    config.paths.ingress = Some(IngressConfig {
        socket: host.dir.path().join("tls.sock"),
        app_socket: host.dir.path().join("app.sock"),
        domains: vec![DOMAIN.to_owned()],
        acme,
    });
    config
}

/// Waits for the socket that TLS comes by.
async fn there(socket: &Path) {
    for _ in 0..400 {
        if UnixStream::connect(socket).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{} is not there", socket.display());
}

async fn instance(host: &FakeHost) -> InstanceInfo {
    host.local().instance().await.unwrap()
}

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
    let acme = |directory: &str| Some(AcmeConfig { directory: directory.to_owned(), roots: Vec::new() });
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

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Let's Encrypt's test server and the resolver that it asks.
struct Authority {
    directory: String,
    /// Root of its own TLS, DER.
    root: Vec<u8>,
    management: u16,
    port: u16,
    _processes: [Process; 2],
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Authority {
    /// Starts it; it checks challenges at `tls_port`. `None`, said loudly, where it is not installed.
    fn start(folder: &Path, tls_port: u16) -> Option<Self> {
        if Command::new("pebble").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            eprintln!("SKIPPED: Let's Encrypt's test server is missing here; install Debian's package `pebble`");
            return None;
        }
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = authority.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority, &authority_key).unwrap();
        fs::write(folder.join("ca.pem"), server.pem()).unwrap();
        fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
        let (port, management, dns) = (free_port(), free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("ca.pem"),
            "privateKey": folder.join("ca.key"),
            "httpPort": free_port(),
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        fs::write(folder.join("pebble.json"), config.to_string()).unwrap();
        let quiet =
            |command: &mut Command| Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let resolver = quiet(Command::new("pebble-challtestsrv").args([
            "-dns01",
            &format!("127.0.0.1:{dns}"),
            "-management",
            &format!("127.0.0.1:{}", free_port()),
            "-defaultIPv4=127.0.0.1",
            "-defaultIPv6=",
            "-http01=",
            "-https01=",
            "-tlsalpn01=",
        ]));
        let server = quiet(
            Command::new("pebble")
                .arg("-config")
                .arg(folder.join("pebble.json"))
                .args(["-dnsserver", &format!("127.0.0.1:{dns}"), "-strict"])
                .env("PEBBLE_VA_NOSLEEP", "1"),
        );
        Some(Self {
            directory: format!("https://127.0.0.1:{port}/dir"),
            root: authority.der().to_vec(),
            management,
            port,
            _processes: [server, resolver],
        })
    }

    /// The root under which it certifies others, DER.
    fn issuing_root(&self, folder: &Path) -> Vec<u8> {
        // Its management interface is of the same certificate; nothing rests on this fetch in the test.
        let output = Command::new("curl")
            .args(["-sSk", &format!("https://127.0.0.1:{}/roots/0", self.management)])
            .output()
            .unwrap();
        fs::write(folder.join("root.pem"), &output.stdout).unwrap();
        let der =
            Command::new("openssl").args(["x509", "-outform", "der", "-in"]).arg(folder.join("root.pem")).output();
        der.unwrap().stdout
    }

    async fn up(&self) {
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the authority does not listen");
    }
}

/// What stands at the host's gate: it leads to the authority, or counts who asks after it is closed.
fn gate(dir: &Path, port: u16) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let socket = dir.join("egress.sock");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(socket).unwrap();
    let count = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                assert!(head.starts_with(format!("CONNECT 127.0.0.1:{port} ").as_bytes()));
                let mut outside = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut outside).await;
            });
        }
    });
    (task, asked)
}

/// Port of this machine that leads to the guest's TLS, as a host's ingress does.
async fn relay(socket: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let Ok(mut guest) = UnixStream::connect(&socket).await else { continue };
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut guest).await });
        }
    });
    port
}

/// Waits until another key than this is shown for the domain, and gives the chain.
async fn certified(socket: &Path, own: &Digest) -> Vec<CertificateDer<'static>> {
    for _ in 0..600 {
        if let Ok(stream) = connect(socket, DOMAIN, b"").await
            && shown(&stream) != *own
        {
            return stream.get_ref().1.peer_certificates().unwrap().to_vec();
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the domain was not certified");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_certifies_the_domains_and_a_restart_orders_nothing() {
    let host = FakeHost::new(Misbehaviour::default());
    let folder = tempfile::tempdir().unwrap();
    let socket = host.dir.path().join("tls.sock");
    let tls_port = relay(socket.clone()).await;
    let Some(authority) = Authority::start(folder.path(), tls_port) else { return };
    authority.up().await;
    let (_gate, asked) = gate(host.dir.path(), authority.port);
    let _app = echo(&host.dir.path().join("app.sock"));
    let acme = AcmeConfig { directory: authority.directory.clone(), roots: vec![Base64Text(authority.root.clone())] };
    let (stop, asked_to_stop) = tokio::sync::oneshot::channel::<()>();
    let guest = tokio::spawn(run(config(&host, Some(acme.clone())), async { drop(asked_to_stop.await) }));
    host.serving().await;
    there(&socket).await;
    let info = instance(&host).await;
    let own: Digest = info.keyset["tls_public_keys"][0]["spki_sha256"].as_str().unwrap().parse().unwrap();
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
    let own: Digest =
        instance(&host).await.keyset["tls_public_keys"][0]["spki_sha256"].as_str().unwrap().parse().unwrap();
    assert_eq!(certified(&socket, &own).await, chain);
    assert_eq!(asked.load(Ordering::Relaxed), orders);
    second.abort();
}

/// A client that knows the authority takes the chain for the domain, and for no other.
fn webpki_takes(chain: &[CertificateDer<'static>], root: &[u8]) {
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from(root.to_vec())).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
    let judge = |name: &'static str| {
        verifier.verify_server_cert(&chain[0], &chain[1..], &ServerName::try_from(name).unwrap(), &[], UnixTime::now())
    };
    judge(DOMAIN).unwrap();
    assert!(judge("other.example").is_err());
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
