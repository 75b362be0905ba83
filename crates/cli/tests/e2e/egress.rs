//! The way out of an app: a list of hosts that holds, and an attested fetch that is checked offline.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    ingress,
    support::{Running, app_answer, put_program, sandbox_works, told, turn},
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
    put_program(&folder.join("app"), "ways_out");
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
