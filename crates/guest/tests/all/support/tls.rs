//! What tests of TLS need: clients that look at what is shown, an app that says back what it hears, the ways that a host gives,
//! and an authority that speaks ACME (Let's Encrypt's own test server, Debian's package `pebble`).
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code)]

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

use freehold_crypto::sha256;
use freehold_guest::{AcmeChallenge, AcmeConfig, GuestConfig, IngressConfig};
use freehold_primitives::Digest;
use freehold_rpc::{Base64Text, InstanceInfo, KeyExpected, key_connector};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{
    client::TlsStream,
    rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime},
        server::ParsedCertificate,
    },
};

use super::FakeHost;

pub(crate) const WAIT: Duration = Duration::from_secs(20);
pub(crate) const DOMAIN: &str = "app.example";

/// A connection to whoever has the key that is shown, so that it can be looked at.
pub(crate) async fn connect(socket: &Path, name: &str, alpn: &[u8]) -> std::io::Result<TlsStream<UnixStream>> {
    let stream = UnixStream::connect(socket).await?;
    let connector = key_connector(KeyExpected::Anybody, Some(alpn).filter(|alpn| !alpn.is_empty()));
    timeout(WAIT, connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream)).await.unwrap()
}

/// SHA-256 of the shown key.
pub(crate) fn shown(stream: &TlsStream<UnixStream>) -> Digest {
    let certificate = &stream.get_ref().1.peer_certificates().unwrap()[0];
    sha256(&ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info())
}

/// An app that says back what it hears.
pub(crate) fn echo(socket: &Path) -> JoinHandle<()> {
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

pub(crate) fn config(host: &FakeHost, acme: Option<AcmeConfig>) -> GuestConfig {
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
pub(crate) async fn there(socket: &Path) {
    for _ in 0..400 {
        if UnixStream::connect(socket).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{} is not there", socket.display());
}

pub(crate) async fn instance(host: &FakeHost) -> InstanceInfo {
    host.local().instance().await.unwrap()
}

/// Ends with the test.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports at which it asks for domains.
pub(crate) struct Asks {
    pub(crate) tls: u16,
    pub(crate) http: u16,
}

/// Let's Encrypt's test server and the resolver that it asks.
pub(crate) struct Authority {
    pub(crate) directory: String,
    /// Root of its own TLS, DER.
    pub(crate) root: Vec<u8>,
    management: u16,
    pub(crate) port: u16,
    _processes: [Process; 2],
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Authority {
    /// What a guest is told of it.
    pub(crate) fn told(&self, challenge: AcmeChallenge) -> AcmeConfig {
        AcmeConfig { directory: self.directory.clone(), roots: vec![Base64Text(self.root.clone())], challenge }
    }

    /// Starts it; what it certifies lives for so many seconds. `None`, said loudly, where it is not installed.
    pub(crate) fn start(folder: &Path, ports: Asks, life_s: u64) -> Option<Self> {
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
            "httpPort": ports.http,
            "tlsPort": ports.tls,
            "certificateValidityPeriod": life_s,
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
    pub(crate) fn issuing_root(&self, folder: &Path) -> Vec<u8> {
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

    pub(crate) async fn up(&self) {
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the authority does not listen");
    }
}

/// What stands at a host's gate: it leads to the authority, and the domain's port of HTTPS to another one; who asks for the
/// authority is counted.
pub(crate) fn gate(dir: &Path, authority: u16, domain: u16) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let socket = dir.join("egress.sock");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(socket).unwrap();
    let count = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let port = if head.starts_with(format!("CONNECT 127.0.0.1:{authority} ").as_bytes()) {
                    count.fetch_add(1, Ordering::Relaxed);
                    authority
                } else {
                    assert!(head.starts_with(format!("CONNECT {DOMAIN}:443 ").as_bytes()));
                    domain
                };
                let mut outside = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut outside).await;
            });
        }
    });
    (task, asked)
}

/// Port of this machine that leads to the guest's TLS, as a host's ingress does.
pub(crate) async fn relay(socket: PathBuf) -> u16 {
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

/// The instance's own key, as its keyset names it.
pub(crate) async fn own_key(host: &FakeHost) -> Digest {
    instance(host).await.keyset["tls_public_keys"][0]["spki_sha256"].as_str().unwrap().parse().unwrap()
}

/// Waits until another key than this is shown for the domain, and gives the chain.
pub(crate) async fn certified(socket: &Path, own: &Digest) -> Vec<CertificateDer<'static>> {
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

/// A client that knows the authority takes the chain for the domain, and for no other.
pub(crate) fn webpki_takes(chain: &[CertificateDer<'static>], root: &[u8]) {
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
