//! The examples of `examples/`, as their own READMEs say, against the real binary: an oracle, an agent with a wallet, an unmodified
//! server, and one that tries to get out.

mod bot;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    containers::containers_work,
    support::{Running, clients_folder, get, landlock_works, rofl_packages, sandbox_works, told, turn, until},
};

/// Somebody who is no instance: account 0 of the test mnemonic.
const STRANGER: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
/// First four bytes of keccak-256 of `read(bytes32,uint64)`, `observations(bytes32)`, `feed(bytes32,int256,uint64)` and of the
/// refusal `NotAnInstance(bytes21,address)`.
const READ: &str = "f8182f9d";
const OBSERVATIONS: &str = "7e74709c";
const FEED: &str = "a17d432d";
const NOT_AN_INSTANCE: &str = "1b09531c";

/// A network, and a copy of an example.
pub(crate) struct Ground {
    dir: TempDir,
    pub(crate) up: Running,
    folder: PathBuf,
}

impl Ground {
    fn new(example: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(example);
        copy(&examples().join(example), &folder);
        let data = dir.path().join("net");
        let data = data.to_str().unwrap();
        let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
        Self { up, folder, dir }
    }

    /// Runs the app that is in a folder of the example.
    fn run(&self, below: &str) -> Running {
        self.run_with(below, &[])
    }

    fn run_with(&self, below: &str, more: &[&str]) -> Running {
        let (folder, data) = (self.folder.join(below), self.dir.path().join("net"));
        let (folder, data) = (folder.to_str().unwrap(), data.to_str().unwrap());
        let words = ["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
        Running::start(&[&words, more].concat())
    }

    /// Acts as the app's owner.
    fn owner(&self, below: &str, words: &[&str]) -> Value {
        let (folder, data) = (self.folder.join(below), self.dir.path().join("net"));
        let place = ["--folder", folder.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
        told(self.dir.path(), &[&["app"], words, &place].concat()).unwrap()
    }

    fn secret(&self, below: &str, name: &str, value: &str) {
        let file = self.dir.path().join("secret");
        fs::write(&file, value).unwrap();
        self.owner(below, &["secret", "set", name, "--from-file", file.to_str().unwrap()]);
        fs::remove_file(file).unwrap();
    }

    /// Every file of the network, the host and the example that holds these bytes.
    fn holding(&self, bytes: &[u8]) -> Vec<PathBuf> {
        crate::support::holding(self.dir.path(), bytes)
    }

    /// Makes an image by the examples' script; packages are kept between runs. `None`, said loudly, where there are none.
    fn image(&self, name: &str, words: &[&str]) -> Option<()> {
        let debs = clients_folder(&format!("debs-{name}-1"));
        let mut command = Command::new("python3");
        command.arg(examples().join("debian-image.py")).arg("--debs").arg(debs).args(["--name", name]).args(words);
        let output = command.current_dir(&self.folder).output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(());
        }
        eprintln!("SKIPPED: the image {name} cannot be made of Debian's packages here: {output:?}");
        None
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// Copies a folder, but for what its builds left.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            fs::copy(path, place).unwrap();
        } else if entry.file_name() != "images" && entry.file_name() != "bundle" {
            copy(&path, &place);
        }
    }
}

/// A source of prices: the same JSON for every path, by its number.
fn sources() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let body = match path {
                "/one" => json!({"data": {"amount": "100.5"}}).to_string(),
                "/two" => json!({"result": [{"last": 101.25}]}).to_string(),
                // It lies, and the median does not follow.
                "/three" => "9999999".to_owned(),
                _ => "no price".to_owned(),
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _gone = stream.write_all((head + &body).as_bytes());
        }
    });
    format!(
        "http://{address}/one#data.amount http://{address}/two#result.0.last http://{address}/three http://{address}/four"
    )
}

/// A name as the oracle's contract has it.
fn name_word(name: &str) -> String {
    format!("{:0<64}", hex::encode(name))
}

/// The oracle feeds the median to its contract, which anybody reads and nobody else feeds.
fn oracle_feeds(ground: &Ground, below: &str, running: &Running) {
    ground.owner(below, &["env", "set", "PRICE_SOURCES", &sources()]);
    ground.owner(below, &["env", "set", "PRICE_PERIOD_S", "1"]);
    let mut answer = Value::Null;
    until("the oracle feeds", || {
        let (status, text) = try_get(&running.text("api"));
        answer = serde_json::from_str(&text).unwrap_or_default();
        status == 200 && answer["fed"].as_u64().is_some_and(|fed| fed > 0)
    });
    assert_eq!(answer["value"], 10_125_000_000u64, "{answer}");
    let contract = answer["contract"].as_str().unwrap();
    let (name, up) = (name_word("BTC/USD"), &ground.up);
    let call =
        |from: &str, data: String| up.call("eth_call", json!([{"from": from, "to": contract, "data": data}, "latest"]));
    let found = call(STRANGER, format!("0x{READ}{name}{:064x}", 3600)).unwrap();
    assert_eq!(&found.as_str().unwrap()[2..66], format!("{:064x}", 10_125_000_000u64));
    // The contract takes the word of this app's instance, and of nobody else.
    let observed = call(STRANGER, format!("0x{OBSERVATIONS}{name}")).unwrap();
    let instance = format!("0x{}", &observed.as_str().unwrap()[2 + 128 + 24..]);
    let now = u64::MAX >> 32;
    let feed = |at: u64| format!("0x{FEED}{name}{:064x}{at:064x}", 1);
    let refused = call(STRANGER, feed(now)).unwrap_err().to_string();
    assert!(refused.contains(NOT_AN_INSTANCE), "{refused}");
    let taken = call(&instance, feed(now)).unwrap_err().to_string();
    assert!(!taken.contains(NOT_AN_INSTANCE), "an instance is only too far in the future: {taken}");
}

/// Asks for `/`; 0 where nothing answers.
fn try_get(url: &str) -> (u16, String) {
    let host = url.trim_start_matches("http://");
    if TcpStream::connect(host).is_err() { (0, String::new()) } else { get(url, "/") }
}

#[test]
fn the_oracle_feeds_a_contract_that_accepts_it_alone() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let ground = Ground::new("price-oracle");
    let app = ground.folder.join("process/app");
    fs::create_dir_all(&app).unwrap();
    fs::copy(ground.folder.join("oracle.py"), app.join("oracle.py")).unwrap();
    fs::copy(artifact(), app.join("AttestedOracle.json")).unwrap();
    let running = ground.run("process");
    oracle_feeds(&ground, "process", &running);
    running.interrupt();
    ground.up.interrupt();
}

#[test]
fn the_oracle_feeds_its_contract_through_the_released_client_too() {
    if !sandbox_works() {
        return;
    }
    let Some(packages) = rofl_packages() else { return };
    let _turn = turn();
    let ground = Ground::new("price-oracle");
    let app = ground.folder.join("released/process/app");
    copy(&packages, &app.join("packages"));
    fs::copy(ground.folder.join("oracle.py"), app.join("oracle.py")).unwrap();
    fs::copy(ground.folder.join("released/released.py"), app.join("released.py")).unwrap();
    fs::copy(artifact(), app.join("AttestedOracle.json")).unwrap();
    let running = ground.run("released/process");
    oracle_feeds(&ground, "released/process", &running);
    running.interrupt();
    ground.up.interrupt();
}

#[test]
fn the_oracle_runs_from_its_compose_file_with_the_released_client_too() {
    if !containers_work() {
        return;
    }
    let Some(packages) = rofl_packages() else { return };
    let _turn = turn();
    let ground = Ground::new("price-oracle");
    fs::copy(artifact(), ground.folder.join("AttestedOracle.json")).unwrap();
    let packages = format!("{}:/app/packages", packages.display());
    let copied = [
        "--compose",
        "released/compose.yaml",
        "--copy",
        "oracle.py:/app/oracle.py",
        "--copy",
        "released/released.py:/app/released.py",
        "--copy",
        "AttestedOracle.json:/app/AttestedOracle.json",
        "--copy",
        &packages,
    ];
    let Some(()) = ground.image("oracle", &[&copied[..], &["python3", "ca-certificates"]].concat()) else { return };
    let running = ground.run("released");
    oracle_feeds(&ground, "released", &running);
    running.interrupt();
    ground.up.interrupt();
}

fn artifact() -> PathBuf {
    examples().join("../contracts/artifacts/AttestedOracle.json")
}

#[test]
fn the_oracle_runs_from_its_compose_file() {
    if !containers_work() {
        return;
    }
    let _turn = turn();
    let ground = Ground::new("price-oracle");
    fs::copy(artifact(), ground.folder.join("AttestedOracle.json")).unwrap();
    let copied = ["--copy", "oracle.py:/app/oracle.py", "--copy", "AttestedOracle.json:/app/AttestedOracle.json"];
    let Some(()) = ground.image("oracle", &[&copied[..], &["python3", "ca-certificates"]].concat()) else { return };
    let running = ground.run("");
    oracle_feeds(&ground, "", &running);
    running.interrupt();
    ground.up.interrupt();
}

#[test]
fn an_unmodified_redis_answers_through_the_relay_with_a_secret_password() {
    if !containers_work() {
        return;
    }
    let _turn = turn();
    let ground = Ground::new("redis");
    let Some(()) = ground.image("redis", &["redis-server", "dash", "grep"]) else { return };
    let running = ground.run("");
    let password = "canary-31f0 'of $two' words";
    ground.secret("", "REDIS_PASSWORD", password);
    let ask = |running: &Running, commands: &[&[&str]]| -> Option<String> {
        let host = running.text("api");
        let mut stream = TcpStream::connect(host.trim_start_matches("http://")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for words in commands {
            // Redis's protocol (RESP): a list of texts with their lengths.
            let mut text = format!("*{}\r\n", words.len());
            words.iter().for_each(|word| text += &format!("${}\r\n{word}\r\n", word.len()));
            stream.write_all(text.as_bytes()).ok()?;
        }
        stream.write_all(b"*1\r\n$4\r\nQUIT\r\n").ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said).filter(|said| !said.is_empty())
    };
    // Until it listens, the relay itself answers.
    let refuses = |running: &Running| ask(running, &[&["GET", "a"]]).is_some_and(|said| said.starts_with("-NOAUTH"));
    until("redis answers", || refuses(&running));
    let enter: &[&str] = &["AUTH", password];
    assert_eq!(ask(&running, &[enter, &["SET", "a", "kept"]]).unwrap(), "+OK\r\n+OK\r\n+OK\r\n");
    assert_eq!(ground.holding(b"canary-31f0"), Vec::<PathBuf>::new());
    running.interrupt();
    let again = ground.run("");
    until("redis answers again", || refuses(&again));
    assert_eq!(ask(&again, &[enter, &["GET", "a"]]).unwrap(), "+OK\r\n$4\r\nkept\r\n+OK\r\n");
    again.interrupt();
    ground.up.interrupt();
}

/// The hostile app's table: nothing escaped, and at least so many attempts were made.
fn nothing_escapes(running: &Running, attempts: usize) {
    let mut table = String::new();
    until("the attempts are over", || {
        let (status, text) = try_get(&running.text("api"));
        table = text;
        status == 200
    });
    eprintln!("{table}");
    let lines: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
    let (last, lines) = lines.split_last().unwrap();
    assert!(lines.iter().all(|line| line.starts_with("stopped ")), "{table}");
    assert!(lines.len() >= attempts && last.ends_with(", 0 escaped"), "{table}");
}

#[test]
fn the_hostile_process_is_stopped_at_each_attempt() {
    if sandbox_works() {
        hostile_process("bwrap");
    }
}

#[test]
fn the_hostile_process_is_stopped_at_each_attempt_under_landlock() {
    if landlock_works() {
        hostile_process("landlock");
    }
}

/// Under a sandbox that is named, so that there is no other, nor none.
fn hostile_process(sandbox: &str) {
    let _turn = turn();
    let ground = Ground::new("hostile");
    let running = ground.run_with("", &["--sandbox", sandbox]);
    nothing_escapes(&running, 75);
    running.interrupt();
    ground.up.interrupt();
}

#[test]
fn the_hostile_container_is_stopped_at_each_attempt() {
    if !containers_work() {
        return;
    }
    let _turn = turn();
    let ground = Ground::new("hostile");
    let words = ["--compose", "container/compose.yaml", "--copy", "app/main.py:/app/main.py", "python3"];
    let Some(()) = ground.image("hostile", &words) else { return };
    let running = ground.run("container");
    nothing_escapes(&running, 70);
    running.interrupt();
    ground.up.interrupt();
}

#[test]
fn examples_build_and_their_manifests_are_read() {
    for example in ["price-oracle", "redis", "hostile"] {
        let dir = tempfile::tempdir().unwrap();
        copy(&examples().join(example), dir.path());
        // Without its images a bundle of containers is built all the same.
        told(dir.path(), &["app", "build", "."]).unwrap();
    }
}
