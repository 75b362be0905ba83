//! The way out of an app: a list of hosts that holds, and an attested fetch that is checked offline.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    ingress,
    support::{Running, app_answer, sandbox_works, told, turn},
};

/// A server over TLS, with the certificate beside it; it says its port.
const SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"price":"12.5"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// An app that tries ways out, and tells what came of each.
const APP: &str = r#"
import base64, http.client, http.server, json, os, socket, socketserver, ssl, sys, threading, urllib.parse
LISTED, OTHER = int(open("listed").read()), int(open("other").read())
CERTIFICATE = ssl.PEM_cert_to_DER_cert(open("cert.pem").read())
class Guest(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("guest", timeout=20)
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["FREEHOLD_LOCAL_API"])
def fetch(url):
    guest = Guest()
    ask = {"url": url, "roots": [base64.b64encode(CERTIFICATE).decode()]}
    guest.request("POST", "/freehold/v1/fetch", json.dumps(ask))
    return json.loads(guest.getresponse().read())
def tried(work):
    try:
        return work()
    except Exception as error:
        return str(error)
def direct(port):
    return socket.create_connection(("127.0.0.1", port), timeout=5).close()
def proxied(host, port):
    proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
    context = ssl.create_default_context(cadata=CERTIFICATE)
    client = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context, timeout=20)
    client.set_tunnel(host, port)
    client.request("GET", "/")
    return client.getresponse().read().decode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"said": self.headers["x-secret"]} if self.path == "/say" else {
            "fetched": fetch(f"https://127.0.0.1:{LISTED}/price"),
            "refused": fetch(f"https://127.0.0.1:{OTHER}/price"),
            "name": fetch(f"https://localhost:{LISTED}/price"),
            "proxied": tried(lambda: proxied("127.0.0.1", LISTED)),
            "proxied_other": tried(lambda: proxied("127.0.0.1", OTHER)),
            "proxied_name": tried(lambda: proxied("localhost", LISTED)),
            "direct": tried(lambda: direct(LISTED)),
            "resolved": tried(lambda: socket.getaddrinfo("example.org", 443)),
            "all_proxy": os.environ["ALL_PROXY"],
        }).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "client"
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
Server(os.environ["FREEHOLD_APP_SOCKET"], Handler).serve_forever()
"#;

/// Ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        let mut child =
            Command::new("python3").arg("-c").arg(SERVER).current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut lines, &mut said).unwrap();
        Self { child, port: said.trim().parse().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for this machine's loopback, its own authority; where it cannot be made, says so loudly.
pub(crate) fn certificate(folder: &Path) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"])
        .args(["-subj", "/CN=price", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
    let made = made.is_ok_and(|status| status.success());
    if !made {
        eprintln!("SKIPPED: the server's certificate is made by `openssl`, which is missing here");
    }
    made
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[test]
fn an_app_reaches_what_its_list_names_and_its_fetch_is_checked_offline() {
    let dir = tempfile::tempdir().unwrap();
    if !sandbox_works() || !certificate(dir.path()) {
        return;
    }
    let _turn = turn();
    let (listed, other) = (Server::start(dir.path()), Server::start(dir.path()));
    let data = dir.path().join("net");
    let data = data.to_str().unwrap();
    let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    told(dir.path(), &["app", "init", "out"]).unwrap();
    let folder = dir.path().join("out");
    fs::write(folder.join("app/main.py"), APP).unwrap();
    fs::write(folder.join("app/listed"), listed.port.to_string()).unwrap();
    fs::write(folder.join("app/other"), other.port.to_string()).unwrap();
    fs::copy(dir.path().join("cert.pem"), folder.join("app/cert.pem")).unwrap();
    let manifest = fs::read_to_string(folder.join("rofl.yaml")).unwrap();
    let list = format!("egress: ['127.0.0.1:{port}', 'localhost:{port}']", port = listed.port);
    let list = format!("{list}\n  ingress: {{domains: [{}]}}", ingress::DOMAIN);
    fs::write(folder.join("rofl.yaml"), manifest.replace("egress: deny", &list)).unwrap();
    let folder = folder.to_str().unwrap();
    let any = "127.0.0.1:0";
    let running = Running::start(&["app", "run", folder, "--data-dir", data, "--api", any, "--ingress", any, "--once"]);
    let answer = app_answer(&running);

    let price = r#"{"price":"12.5"}"#;
    assert_eq!(answer["proxied"], price);
    assert!(answer["proxied_other"].as_str().unwrap().contains("403"), "{answer}");
    // A name that leads into the machine leads nowhere, even where the list has it.
    assert!(answer["proxied_name"].as_str().unwrap().contains("403"), "{answer}");
    assert!(answer["direct"].as_str().unwrap().contains("refused"), "{answer}");
    assert!(answer["resolved"].is_string(), "{answer}");
    assert!(answer["all_proxy"].as_str().unwrap().starts_with("socks5h://127.0.0.1:"), "{answer}");
    assert_eq!((code(&answer["refused"]), code(&answer["name"])), ("egress_denied", "egress_denied"));

    let fetched = &answer["fetched"];
    let record = &fetched["record"];
    assert_eq!((&record["app_id"], &record["status"]), (&running.ready["app_id"], &json!(200)), "{fetched}");
    check_offline(dir.path(), data, fetched);
    ingress::reached_over_tls(dir.path(), data, &running, other.port);
    running.interrupt();
    up.interrupt();
}

pub(crate) fn check_offline(dir: &Path, data: &str, fetched: &Value) {
    let path = dir.join("fetched.json");
    fs::write(&path, fetched.to_string()).unwrap();
    let instance = fetched["record"]["instance_id"].as_str().unwrap();
    told(dir, &["header", "--data-dir", data, "--instance", instance, "--save", "header.json"]).unwrap();
    let check = || told(dir, &["app", "fetch-check", "fetched.json", "--header", "header.json", "--data-dir", data]);
    let checked = check().unwrap();
    assert_eq!((&checked["record"], &checked["trust_domain"]), (&fetched["record"], &json!("emulated")));
    for (member, value) in [("status", json!(201)), ("url", json!("https://127.0.0.1/")), ("height", json!(0))] {
        let mut changed = fetched.clone();
        changed["record"][member] = value;
        fs::write(&path, changed.to_string()).unwrap();
        assert!(check().unwrap_err().contains("signed by"), "{member}");
    }
    let mut changed = fetched.clone();
    changed["body"] = json!("e30=");
    fs::write(&path, changed.to_string()).unwrap();
    assert!(check().unwrap_err().contains("not the one that was signed"));
}
