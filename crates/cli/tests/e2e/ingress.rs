//! TLS that ends inside: unmodified clients and `freehold proxy` reach the app through the machine's ingress, which passes on bytes
//! that it cannot read; somebody in the middle is refused. The network and the app are another test's.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{Running, run, said, signal, until};

/// A domain that the app's manifest names.
pub(crate) const DOMAIN: &str = "app.example";
/// What is never to be seen between client and instance.
const SECRET: &str = "wie-ein-freies-lehen";

/// Sits between clients and the ingress: leads to a port that can be changed, and keeps every byte that passes.
struct Between {
    address: String,
    leads_to: Arc<AtomicU16>,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Between {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (leads_to, seen) = (Arc::new(AtomicU16::new(port)), Arc::new(Mutex::new(Vec::new())));
        let (port, kept) = (Arc::clone(&leads_to), Arc::clone(&seen));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port.load(Ordering::SeqCst))) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to, kept) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&kept));
                    thread::spawn(move || carry(from, to, &kept));
                }
            }
        });
        Self { address, leads_to, seen }
    }

    fn lead_to(&self, port: u16) {
        self.leads_to.store(port, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, kept: &Mutex<Vec<u8>>) {
    let mut piece = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        kept.lock().unwrap().extend_from_slice(&piece[..count]);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(Shutdown::Write);
}

pub(crate) fn port(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// `thief` is a port of this machine with TLS of somebody else's.
pub(crate) fn reached_over_tls(dir: &Path, data: &str, running: &Running, thief: u16) {
    let (ingress, app) = (port(&running.text("ingress")), running.text("app_id"));
    let between = Between::start(ingress);
    let start = |address: &str| {
        Running::try_start(&[
            "proxy",
            "--app",
            &app,
            "--ingress",
            address,
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data,
        ])
    };
    let proxy = start(&between.address).unwrap();
    assert_eq!((proxy.text("app_id"), proxy.text("trust_domain")), (app.clone(), "emulated".to_owned()));
    let said_back = format!("{{\"said\": \"{SECRET}\"}}");
    assert_eq!(ask(&proxy), (200, said_back.clone()));

    // Clients that know nothing of Freehold, each with the pin or the certificate.
    let pin = proxy.text("spki_sha256");
    assert_eq!(curl(&between.address, &pin).stdout, said_back.as_bytes());
    assert_eq!(curl(&between.address, &"0".repeat(64)).status.code(), Some(90), "a wrong pin is refused");
    let python = python(dir, &between.address);
    assert_eq!(String::from_utf8(python.stdout.clone()).unwrap().trim(), said_back, "{}", said(&python));
    let seen = between.seen.lock().unwrap().clone();
    let holds = |text: &str| seen.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(seen.len() > 4_000 && holds(DOMAIN), "the name is seen, as TLS sends it");
    assert!(!holds(SECRET) && !holds("/say") && !holds("said"), "plaintext passed between client and instance");

    // Somebody in the middle, before and after the instance was verified.
    let refused = start(&format!("127.0.0.1:{thief}")).err().unwrap();
    assert!(said(&refused).contains("nothing was sent") || said(&refused).contains("TLS failed"), "{}", said(&refused));
    between.lead_to(thief);
    let (status, body) = ask(&proxy);
    assert!(status == 502 && body.contains("wrong_key"), "{status} {body}");
    between.lead_to(ingress);
    assert_eq!(ask(&proxy), (200, said_back.clone()));
    // Names of nobody are told so.
    let other = format!("--ingress={}", between.address);
    let app = "rofl1qqn9xndja7e2pnxhttktmecvwzz0yqwxsquqyxdf";
    let nobody = run(&["proxy", "--app", app, &other, "--listen", "127.0.0.1:0", "--data-dir", data]);
    assert!(said(&nobody).contains("no instance of this app"), "{}", said(&nobody));

    replaced(running, &proxy, &said_back);
    proxy.interrupt();
}

/// A guest that is killed has a successor with other keys: the proxy verifies it and goes on.
fn replaced(running: &Running, proxy: &Running, said_back: &str) {
    let started = running.told.iter().find(|event| event["event"] == "guest");
    let pid = started.unwrap_or_else(|| panic!("no guest in {:?}", running.told))["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), "KILL");
    until("the successor is verified", || ask(proxy) == (200, said_back.to_owned()));
}

/// Says the secret to the app through the proxy, in plain text on this machine.
fn ask(proxy: &Running) -> (u16, String) {
    let address = proxy.text("proxy").trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /say HTTP/1.1\r\nhost: {address}\r\nx-secret: {SECRET}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn curl(address: &str, spki_sha256: &str) -> Output {
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&spki_sha256[2 * at..2 * at + 2], 16).unwrap()).collect();
    Command::new("curl")
        .args(["-sS", "-k", "--http1.1", "--pinnedpubkey"])
        .arg(format!("sha256//{}", freehold_rpc::Base64Text(bytes)))
        .args(["--connect-to", &format!("{DOMAIN}:443:{address}")])
        .args(["-H", &format!("x-secret: {SECRET}"), &format!("https://{DOMAIN}/say")])
        .output()
        .unwrap()
}

/// Python's own client, with the instance's certificate as its one authority: chain and name are checked as ever.
fn python(dir: &Path, address: &str) -> Output {
    let script = format!(
        r#"
import http.client, socket, ssl
def connect(context):
    return context.wrap_socket(socket.create_connection(("127.0.0.1", {port}), timeout=20), server_hostname="{DOMAIN}")
any = ssl.create_default_context()
any.check_hostname, any.verify_mode = False, ssl.CERT_NONE
certificate = connect(any).getpeercert(True)
client = http.client.HTTPSConnection("{DOMAIN}", timeout=20)
client.sock = connect(ssl.create_default_context(cadata=certificate))
client.request("GET", "/say", headers={{"x-secret": "{SECRET}"}})
print(client.getresponse().read().decode())
"#,
        port = port(address)
    );
    Command::new("python3").arg("-c").arg(script).current_dir(dir).output().unwrap()
}
