//! The agent with a wallet, against a server that speaks Telegram's Bot API over TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::Ground;
use crate::support::{BINARY, quantity, sandbox_works, turn, until};

const TOKEN: &str = "123456:canary-9a17_Token";
const OWNER: i64 = 4_711;
/// Whom the owner allows to be paid, and whom not.
const PAYEE: &str = "0x00000000000000000000000000000000000a11ce";
const OTHER: &str = "0x0000000000000000000000000000000000000b0b";

/// What people wrote to the bot, and what it answered.
#[derive(Default)]
struct Chats {
    updates: Vec<Value>,
    sent: Vec<Value>,
}

/// A server of the Bot API.
struct Server {
    chats: Arc<Mutex<Chats>>,
    address: String,
    certificate: String,
}

impl Server {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.key_pair.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let chats = Arc::new(Mutex::new(Chats::default()));
        let held = Arc::clone(&chats);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, chats) = (Arc::clone(&config), Arc::clone(&held));
                thread::spawn(move || serve(stream, config, &chats));
            }
        });
        Self { chats, address, certificate: made.cert.pem() }
    }

    /// Writes to the bot, and waits for its answer.
    fn says(&self, from: i64, text: &str) -> String {
        let answered = {
            let mut chats = self.chats.lock().unwrap();
            let id = chats.updates.len() + 1;
            let user = json!({"id": from, "is_bot": false, "first_name": "Somebody"});
            chats.updates.push(json!({"update_id": id, "message": {
                "message_id": id, "from": user, "chat": {"id": from, "type": "private"}, "date": 0, "text": text}}));
            chats.sent.len()
        };
        until("the bot answers", || self.chats.lock().unwrap().sent.len() > answered);
        let sent = self.chats.lock().unwrap().sent[answered].clone();
        assert_eq!(sent["chat_id"], from, "{sent}");
        sent["text"].as_str().unwrap().to_owned()
    }
}

/// One exchange.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, chats: &Mutex<Chats>) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut text = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let Ok(length @ 1..) = stream.read(&mut chunk) else { return };
        text.extend_from_slice(&chunk[..length]);
        let said = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = said.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let (status, answer) = match path.strip_prefix(&format!("/bot{TOKEN}/")) {
        Some("getUpdates") => (200, json!({"ok": true, "result": updates(chats, &asked)})),
        Some("sendMessage") => {
            let mut chats = chats.lock().unwrap();
            chats.sent.push(asked);
            (200, json!({"ok": true, "result": {"message_id": chats.sent.len()}}))
        }
        _ => (401, json!({"ok": false, "error_code": 401, "description": "Unauthorized"})),
    };
    let body = answer.to_string();
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let _gone = stream.write_all((head + &body).as_bytes());
    stream.conn.send_close_notify();
    let _gone = stream.flush();
}

/// What is newer than the bot has seen; it waits a while for something.
fn updates(chats: &Mutex<Chats>, asked: &Value) -> Vec<Value> {
    let offset = asked["offset"].as_i64().unwrap_or(0);
    for _ in 0..40 {
        let found = chats.lock().unwrap().updates.clone();
        let found: Vec<Value> =
            found.into_iter().filter(|update| update["update_id"].as_i64().unwrap() >= offset).collect();
        if !found.is_empty() {
            return found;
        }
        thread::sleep(Duration::from_millis(50));
    }
    Vec::new()
}

/// The example as cargo built it beside the binary; where it was not built, says so loudly.
fn program() -> Option<PathBuf> {
    let path = Path::new(BINARY).parent().unwrap().join("examples/telegram-bot");
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: the example telegram-bot is not built: cargo build -p freehold-cli --example telegram-bot");
    None
}

#[test]
fn the_agent_pays_for_its_owner_within_the_limits_on_the_chain() {
    let (true, Some(program)) = (sandbox_works(), program()) else { return };
    let _turn = turn();
    let (server, ground) = (Server::start(), Ground::new("telegram-bot"));
    fs::create_dir_all(ground.folder.join("app")).unwrap();
    fs::copy(program, ground.folder.join("app/telegram-bot")).unwrap();
    let running = ground.run("");
    // It begins once it has a token and an owner: whatever was set before, the limits too, holds from its first payment on.
    let amounts = ["--per-transaction", "1000000000000000", "--per-day", "4000000000000000", "--per-day-count", "99"];
    ground.owner("", &[&["limits", "set", "--contract", PAYEE], &amounts[..]].concat());
    for (name, value) in [("TELEGRAM_API", &server.address), ("TELEGRAM_CA", &server.certificate)] {
        ground.owner("", &["env", "set", name, value]);
    }
    ground.secret("", "TELEGRAM_TOKEN", TOKEN);
    ground.owner("", &["env", "set", "TELEGRAM_OWNER", &OWNER.to_string()]);

    let address = server.says(1, "/address");
    assert!(address.starts_with("0x") && address.len() == 42, "{address}");
    let has = |account: &str| quantity(&ground.up.call("eth_getBalance", json!([account, "latest"])).unwrap());
    assert_eq!(server.says(1, "/balance"), format!("{} wei", has(&address)));
    let pay = |to: &str, wei: &str| format!("/pay {to} {wei}");
    // Who is not its owner, what is above one transaction, whom the owner does not name, and what is no address.
    for (from, text, reason) in [
        (1, pay(PAYEE, "5"), "only my owner"),
        (OWNER, pay(PAYEE, "1000000000000001"), "spending_per_transaction"),
        (OWNER, pay(OTHER, "5"), "spending_contract"),
        (OWNER, pay("0x12", "5"), "malformed address"),
        (OWNER, "/anything".to_owned(), "/pay"),
    ] {
        let said = server.says(from, &text);
        assert!(said.contains(reason), "{text}: {said}");
    }
    assert_eq!((has(PAYEE), has(OTHER)), (0, 0));
    assert_eq!(server.says(OWNER, &pay(PAYEE, "5")), format!("paid 5 wei to {PAYEE}"));
    assert_eq!(has(PAYEE), 5);
    // What a day may cost ends it, and what was refused was not paid.
    let mut paid = 5;
    let mut said = String::new();
    for _ in 0..8 {
        said = server.says(OWNER, &pay(PAYEE, "900000000000000"));
        if !said.starts_with("paid") {
            break;
        }
        paid += 900_000_000_000_000;
    }
    assert!(said.contains("spending_per_day"), "{said}");
    assert!(has(PAYEE) == paid && paid < 4_000_000_000_000_000);
    assert_eq!(ground.holding(b"canary-9a17"), Vec::<PathBuf>::new());
    running.interrupt();
    ground.up.interrupt();
}
