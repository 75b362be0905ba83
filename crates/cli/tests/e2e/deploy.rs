//! A machine that is let and an app that is deployed to it: from an offer to an answer, logs, commands, kills, refusals, and
//! what comes back.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use freehold_crypto::{AccountKey, keccak256};
use freehold_primitives::{Account, Digest};
use freehold_rpc::{RentalAction, RentalCommand, SignedCommand};
use serde_json::{Value, json};

use crate::{
    containers::{COMPOSE, OwnContainerd, containers_work, gvisor_works, saved},
    support::{
        OwnRegistry, Running, free_address, get, holding, post_path, run, said, sandbox_works, told, turn, until,
    },
};

/// The provider, the renter and a stranger among the development accounts.
const PROVIDER: &str = "1";
const RENTER: &str = "2";
const STRANGER: &str = "3";
/// Secret of the renter's account, which everybody knows.
const RENTER_SECRET: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
/// Price of a second, in wei.
const PRICE: u64 = 1_000;

/// A network, a provider's folder, and where its machine takes commands.
struct Place {
    dir: tempfile::TempDir,
    network: Running,
    endpoint: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("net");
        let up = ["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
        let network = Running::start(&up);
        let place = Self { dir, network, endpoint: format!("http://{}", free_address()) };
        place.market(&["host", "bond", "--add", "1000000"], PROVIDER).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn market(&self, words: &[&str], user: &str) -> Result<Value, String> {
        told(self.dir.path(), &[words, &["--rpc", &self.network.text("rpc"), "--dev-user", user]].concat())
    }

    fn offer(&self, memory_mib: &str) {
        let shape = ["--cpus", "2", "--memory-mib", memory_mib, "--seconds-min", "60", "--capacity", "4"];
        let price = PRICE.to_string();
        let kind = ["--price", &price, "--bond", "5000", "--evidence-kind", "1", "--trust-domain", "1"];
        let add = [&["host", "offer", "add", "--details", &self.endpoint], &shape[..], &kind].concat();
        self.market(&add, PROVIDER).unwrap();
    }

    /// Starts the provider's machine; `rules` are lines of its policy.
    fn host(&self, rules: &str) -> Running {
        let listen = self.endpoint.trim_start_matches("http://");
        let text = format!(
            "data_dir = \"net\"\ndev_user = {PROVIDER}\nstate_dir = \"state\"\nlisten = \"{listen}\"\ningress = \"127.0.0.1:0\"\nlook_every_ms = \
             200\nclaim_every_s = 1\n\n[policy]\nstores = [\"store\"]\n{rules}\n"
        );
        fs::write(self.path("host.toml"), text).unwrap();
        Running::start(&["host", "run", "--config", self.path("host.toml").to_str().unwrap()])
    }

    fn app(&self, words: &[&str], user: &str) -> Result<Value, String> {
        told(self.dir.path(), &[&["app"], words, &["--data-dir", "net", "--dev-user", user]].concat())
    }

    fn deploy(&self, name: &str, offer: &str) -> Result<Value, String> {
        self.app(&["deploy", name, "--offer", offer, "--seconds", "600", "--store", "store", "--yes"], RENTER)
    }

    /// The rest of a line of the app's log.
    fn said(&self, beginning: &str) -> String {
        let (folder, data) = (self.path("one"), self.path("net"));
        let place = [folder.to_str().unwrap(), "--data-dir", data.to_str().unwrap(), "--dev-user", RENTER, "--json"];
        let mut found = None;
        until("the app says it", || {
            let output = run(&[&["app", "logs"], &place[..]].concat());
            let lines = String::from_utf8(output.stdout).unwrap();
            let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["line"].clone());
            found = lines.filter_map(|line| Some(line.as_str()?.strip_prefix(beginning)?.to_owned())).next();
            found.is_some()
        });
        found.unwrap()
    }

    fn rental(&self, id: u64) -> Value {
        let view = ["market", "list", "--all", "--json", "--rpc", &self.network.text("rpc")];
        let output = run(&view);
        let lines = String::from_utf8(output.stdout).unwrap();
        let mut objects = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.find(|object| object["event"] == "rental" && object["rental"] == id).unwrap()
    }

    /// What the market owes an account, in wei.
    fn credit(&self, account: &Account) -> u64 {
        let mut data = keccak256(&[b"creditOf(address,address)"]).0[..4].to_vec();
        data.extend_from_slice(&[[0; 12].as_slice(), &account.0, &[0; 32]].concat());
        let to = "0x0000000000000000000000000000000000f4ee10";
        let call = json!([{"to": to, "data": format!("0x{}", hex::encode(data))}, "latest"]);
        let answer = self.network.call("eth_call", call).unwrap();
        u64::from_str_radix(&answer.as_str().unwrap()[50..], 16).unwrap()
    }

    /// A command of the renter.
    fn signed(&self, rental: u64, sent_at_ms: u64, action: RentalAction) -> SignedCommand {
        let info: Value = serde_json::from_str(&get(&self.endpoint, "/v1/host").1).unwrap();
        let secret: [u8; 32] = hex::decode(RENTER_SECRET).unwrap().try_into().unwrap();
        let command = RentalCommand {
            genesis_hash: info["genesis_hash"].as_str().unwrap().parse::<Digest>().unwrap(),
            provider: info["provider"].as_str().unwrap().parse::<Account>().unwrap(),
            rental,
            sent_at_ms,
            action,
        };
        command.sign(&AccountKey::from_bytes(&secret).unwrap())
    }

    fn command(&self, command: &SignedCommand) -> Value {
        let body = serde_json::to_vec(command).unwrap();
        let host = self.endpoint.trim_start_matches("http://");
        let answer = post_path(host, "/v1/command", &body);
        serde_json::from_str(&answer).unwrap()
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// What the app answers, once it does.
fn answered(api: &str) -> Value {
    let mut body = String::new();
    until("the app answers", || {
        let Ok(_) = std::net::TcpStream::connect(api.trim_start_matches("http://")) else { return false };
        let (status, text) = get(api, "/");
        body = text;
        status == 200
    });
    serde_json::from_str(&body).unwrap()
}

/// Processes that have both in their arguments.
fn running_with(one: &str, other: &str) -> usize {
    let lines =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let has = |line: &Vec<u8>| {
        let line = String::from_utf8_lossy(line);
        line.contains(one) && line.contains(other)
    };
    lines.filter(has).count()
}

#[test]
fn an_app_is_deployed_to_a_rented_machine_commanded_and_paid_for() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let place = Place::new();
    place.offer("512");
    let host = place.host("rentals_max = 2");
    place.app_init("one");
    place.says_of_itself("one");
    let deployed = place.deploy("one", "1").unwrap();
    let api = deployed["api"].as_str().unwrap().to_owned();
    let (rental, first) = (deployed["rental"].as_u64().unwrap(), answered(&api));
    assert_eq!(first["app"], deployed["app_id"]);
    assert_eq!(place.reached_by_name(&deployed), first);

    // What it said is the owner's alone; the host has no word of it.
    let key = place.said("serving; key ");
    assert_eq!(holding(&place.path("state"), key.as_bytes()), Vec::<PathBuf>::new());
    let refused = place.app(&["logs", "one"], STRANGER).unwrap_err();
    assert!(refused.contains("only the account that rented it"), "{refused}");

    // What it says of itself is for all to read.
    until("it stands on the chain", || {
        place.app(&["list"], RENTER).unwrap()["metadata"] == json!({"says": "hello\u{1b}[2J"})
    });
    let data = place.path("net");
    let listed = ["app", "list", "--data-dir", data.to_str().unwrap(), "--dev-user", RENTER];
    let text = String::from_utf8(run(&listed).stdout).unwrap();
    assert!(text.contains("says = hello\u{fffd}[2J"), "{text:?}");
    place.commands_are_the_renters_and_counted_once(rental, &api);

    // Killed with all that it ran, it goes on where it was: the same address, the same key, one instance.
    until("it is attached", || place.rental(rental)["instance"].is_string());
    let before = place.rental(rental)["instance"].clone();
    let rules = format!("rentals_max = 2\napps = [{}]", deployed["app_id"]);
    host.kill();
    let host = place.host(&rules);
    assert_eq!(answered(&api), first);
    until("another instance is attached", || {
        let now = place.rental(rental)["instance"].clone();
        now.is_string() && now != before
    });
    // Of bubblewrap's two processes each has the folder among its words.
    let unpacked = format!("rentals/{rental}/app/unpacked");
    until("one app runs, not two", || running_with(&place.path("state").display().to_string(), &unpacked) <= 2);

    let besides = place.a_replica_has_the_same_keys_and_another_build_leaves_the_first_alone(&first, &api);

    // An app that the policy does not name is given back, and nothing was paid.
    place.app_init("two");
    let refused = place.deploy("two", "1").unwrap_err();
    assert!(refused.contains("runs only apps that it names"), "{refused}");
    assert_eq!(place.rental(rental + 2)["seconds_paid"], 0);
    assert_ne!(place.rental(rental + 2)["ended_at"], 0);

    place.the_rest_comes_back(rental, &api, besides);
    until("nothing is left of it", || !place.path("state/rentals").join(rental.to_string()).exists());
    host.interrupt();
    place.network.interrupt();
}

#[test]
fn anybody_reads_a_log_that_its_manifest_makes_public_and_no_other() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let place = Place::new();
    place.offer("512");
    let host = place.host("rentals_max = 2");
    let deployed = |name: &str| {
        place.app_init(name);
        let manifest = place.path(name).join("rofl.yaml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("freehold:\n", &format!("freehold:\n  logs: {name}\n"))).unwrap();
        place.deploy(name, "1").unwrap()["rental"].as_u64().unwrap().to_string()
    };
    let (public, owner) = (deployed("public"), deployed("owner"));
    let data = place.path("net");
    let read = |rental: &str| run(&["app", "logs", "--rental", rental, "--data-dir", data.to_str().unwrap()]);
    let mut key = String::new();
    until("anybody reads it", || {
        let text = String::from_utf8(read(&public).stdout).unwrap();
        key = text
            .lines()
            .find_map(|line| Some(line.strip_prefix("out | serving; key ")?.to_owned()))
            .unwrap_or_default();
        !key.is_empty()
    });
    let refused = read(&owner);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(said(&refused).contains("only the account that rented it"), "{}", said(&refused));
    // Made public later, its owner keeps what was said before.
    let manifest = place.path("owner/rofl.yaml");
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace("logs: owner", "logs: public")).unwrap();
    place.deploy("owner", "1").unwrap();
    until("anybody reads what it says from then on", || {
        String::from_utf8_lossy(&read(&owner).stdout).contains("out | serving; key ")
    });
    let both = read(&owner);
    assert!(both.status.success() && said(&both).contains("is its owner's alone"), "{}", said(&both));
    assert_eq!(String::from_utf8_lossy(&both.stdout).matches("serving; key ").count(), 1);
    // What is everybody's is still sealed at rest, and its owner's to read as any other.
    assert_eq!(holding(&place.path("state"), key.as_bytes()), Vec::<PathBuf>::new());
    assert!(place.app(&["logs", "public"], RENTER).unwrap()["line"].is_string());
    host.interrupt();
    place.network.interrupt();
}

#[test]
fn a_rented_app_runs_in_a_vm_whose_measurement_its_renter_computed() {
    let Some(kernel) = crate::vm::kernel() else { return };
    let _turn = turn();
    let place = Place::new();
    place.offer("1024");
    let package = kernel.to_str().unwrap();
    let vm = format!("[vm]\nlauncher = 'qemu'\naccel = 'tcg'\nkernel = '{package}'\n");
    let kinds = "kinds = ['process', 'container']";
    let host = place.host(&format!("{kinds}\ncpus_max = 2\nmemory_mib_max = 1024\n\n{vm}"));
    let info: Value = serde_json::from_str(&get(&place.endpoint, "/v1/host").1).unwrap();
    assert!(info["vm"]["programs"].is_string() && info["vm"]["tee"].is_null(), "{info}");
    crate::vm::app(&place.path("one"), ("rented", 1), "");
    let manifest = "name: one\nversion: 0.1.0\ntee: tdx\nkind: raw\nresources:\n  memory: 256\n  cpus: 1\nfreehold:\n  process:\n    \
                    files: app\n    command: [./keyed]\n    environment:\n      GREETING: hello\n  \
                    upgrade_notice_s: 7200\n";
    fs::write(place.path("one/rofl.yaml"), manifest).unwrap();
    let deploy =
        ["deploy", "one", "--offer", "1", "--seconds", "600", "--store", "store", "--yes", "--kernel", package];

    // A renter whose PID 1 and agent are another build's would pay for what its policy refuses.
    let other = place.app(&[&deploy[..], &["--agent", "/bin/true"]].concat(), RENTER).unwrap_err();
    assert!(other.contains("another build of PID 1 and agent"), "{other}");

    let begun = Instant::now();
    let deployed = place.app(&deploy, RENTER).unwrap();
    eprintln!("deployed into a VM: {:?}", begun.elapsed());
    let answer = answered(deployed["api"].as_str().unwrap());
    assert_eq!((&answer["app"], &answer["greeting"]), (&deployed["app_id"], &json!("hello")), "{answer}");
    assert_eq!((answer["network"].as_u64(), answer["key"]["key"].as_str().map(str::len)), (Some(0), Some(64)));
    let rental = deployed["rental"].as_u64().unwrap();
    let image = format!("rentals/{rental}/app/image/kernel");
    assert_eq!(running_with("qemu-system-x86_64", &image), 1);
    until("it is attached", || place.rental(rental)["instance"].is_string());

    // What the app says leaves the VM sealed to who rented it; the host has no word of it.
    let streams = [place.said("words on the output"), place.said("words on the error")];
    assert_eq!(streams, ["", ""].map(str::to_owned));
    assert_eq!(
        holding(&place.path("state/rentals").join(rental.to_string()).join("log"), b"words on the"),
        Vec::<PathBuf>::new()
    );
    // The notice that its manifest names is promised: another build waits for it.
    let shown = place.app(&["deploy", "one", "--dry-run", "--kernel", package], RENTER).unwrap();
    assert_eq!(shown["upgrade_notice_s"], Value::Null, "it is promised: {shown}");
    fs::write(place.path("one/app/note"), "another build").unwrap();
    let early = place.app(&deploy, RENTER).unwrap_err();
    assert!(early.contains("freehold app upgrade"), "{early}");
    place.app(&["stop", "one"], RENTER).unwrap();
    until("the VM is gone", || running_with("qemu-system-x86_64", &image) == 0);
    place.app(&["remove", "one"], RENTER).unwrap();
    until("nothing is left of it", || !place.path("state/rentals").join(rental.to_string()).exists());
    if containers_work() {
        containers_in_a_rented_vm(&place, package);
    }
    host.interrupt();
    place.network.interrupt();
}

/// Containers measure as their renter computed, with the runtime in it.
fn containers_in_a_rented_vm(place: &Place, package: &str) {
    boxes(place);
    let deploy =
        ["deploy", "boxes", "--offer", "1", "--seconds", "600", "--store", "store", "--yes", "--kernel", package];
    let other = place.app(&[&deploy[..], &["--containers", "/bin/true"]].concat(), RENTER).unwrap_err();
    assert!(other.contains("run containers by other programs"), "{other}");
    let begun = Instant::now();
    let deployed = place.app(&deploy, RENTER).unwrap();
    assert_eq!(answered(deployed["api"].as_str().unwrap())["store"], "1");
    eprintln!("containers deployed into a VM: {:?}", begun.elapsed());
    each_service_is_heard(place);
    place.app(&["remove", "boxes"], RENTER).unwrap();
}

/// Each service's words are the owner's alone, and told apart.
fn each_service_is_heard(place: &Place) {
    let (folder, data) = (place.path("boxes"), place.path("net"));
    let said = |service: &str| {
        let words = ["app", "logs", folder.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
        let output = run(&[&words[..], &["--dev-user", RENTER, "--service", service, "--json"]].concat());
        assert!(!String::from_utf8_lossy(&output.stderr).contains("missing"), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (line["service"].clone(), line["line"].clone())).collect::<Vec<_>>()
    };
    until("both are heard", || !said("web").is_empty() && !said("store").is_empty());
    assert_eq!(said("web")[0], (json!("web"), json!("serving")));
    assert_eq!(said("store")[0], (json!("store"), json!("stored 1")));
}

/// An app of containers in its folder, built.
fn boxes(place: &Place) {
    let (archive, id) = saved(place.dir.path(), "one");
    fs::write(place.path("compose.yaml"), COMPOSE.replace("IMAGE", &id)).unwrap();
    told(place.dir.path(), &["app", "init", "boxes", "--kind", "container", "--from", "compose.yaml"]).unwrap();
    fs::create_dir(place.path("boxes/images")).unwrap();
    fs::write(place.path("boxes/images/test.tar"), archive).unwrap();
    told(place.dir.path(), &["app", "build", "boxes"]).unwrap();
}

#[test]
fn containers_of_a_rented_machine_seal_what_they_say_and_come_from_a_registry() {
    if containers_work() {
        containers_seal_what_they_say("");
    }
}

#[test]
fn containers_under_gvisor_seal_what_they_say() {
    if containers_work() && gvisor_works() {
        containers_seal_what_they_say("[backend]\noci_runtime = 'runsc'\n");
    }
}

#[test]
fn containers_of_a_containerd_seal_what_they_say() {
    if !containers_work() {
        return;
    }
    let Some(containerd) = OwnContainerd::start() else { return };
    let backend = format!("[backend]\nkind = 'containerd'\ncontainerd_socket = '{}'\n", containerd.socket());
    containers_seal_what_they_say(&backend);
}

/// On this backend of the provider's.
fn containers_seal_what_they_say(backend: &str) {
    let _turn = turn();
    let place = Place::new();
    place.offer("1024");
    boxes(&place);
    // From a registry where there is one, from a store otherwise.
    let registry = OwnRegistry::start();
    let source = registry.as_ref().map(|registry| format!("{}/shop/boxes", registry.address));
    let sources = source.iter().map(|source| format!("sources = ['oci://{source}']\n")).collect::<String>();
    let host = place.host(&format!("kinds = ['container']\nmemory_mib_max = 1024\n{sources}{backend}"));
    let deploy = ["deploy", "boxes", "--offer", "1", "--seconds", "600", "--yes"];
    let deployed = match &source {
        Some(source) => {
            told(place.dir.path(), &["app", "push", source, "boxes/bundle"]).unwrap();
            place.app(&[&deploy[..], &["--source", &format!("oci://{source}")]].concat(), RENTER)
        }
        None => place.app(&[&deploy[..], &["--store", "store"]].concat(), RENTER),
    };
    let deployed = deployed.unwrap();
    assert_eq!(answered(deployed["api"].as_str().unwrap())["store"], "1");
    each_service_is_heard(&place);
    assert_eq!(holding(&place.path("state/rentals/1/log"), b"stored"), Vec::<PathBuf>::new());
    host.interrupt();
    place.network.interrupt();
}

impl Place {
    /// One more machine of the same app; the first one serves on while the second runs another build.
    /// Gives the seconds that it served.
    fn a_replica_has_the_same_keys_and_another_build_leaves_the_first_alone(&self, first: &Value, api: &str) -> u64 {
        let words = ["deploy", "one", "--replica", "b", "--seconds", "600", "--store", "store", "--yes"];
        let refused = self.app(&words, RENTER).unwrap_err();
        assert!(refused.contains("no open offer"), "the only provider has a machine of it: {refused}");
        let words = [&words[..], &["--offer", "1"]].concat();
        let replica = self.app(&words, RENTER).unwrap();
        let its_api = replica["api"].as_str().unwrap();
        assert_ne!(its_api, api);
        assert_eq!(&answered(its_api), first, "its keys are the app's");
        let program = self.path("one/app/main.py");
        fs::write(&program, fs::read_to_string(&program).unwrap() + "\n# Another build.\n").unwrap();
        let words = ["deploy", "one", "--replica", "b", "--store", "store", "--yes"];
        assert_ne!(self.app(&words, RENTER).unwrap()["digest"], replica["digest"]);
        assert_eq!((&answered(its_api), &answered(api)), (first, first));
        assert_eq!(self.app(&["restart", "one", "--replica", "b"], RENTER).unwrap()["replica"], "b");
        let removed = self.app(&["remove", "one", "--replica", "b"], RENTER).unwrap();
        assert!(self.app(&["stop", "one", "--replica", "b"], RENTER).unwrap_err().contains("no machine b"));
        assert_eq!(&answered(api), first);
        removed["seconds_paid"].as_u64().unwrap()
    }

    /// What the app says through the machine's ingress, where its name leads to it, to a client that verifies the instance first.
    fn reached_by_name(&self, deployed: &Value) -> Value {
        let ingress = self.app(&["list"], RENTER).unwrap()["ingress"].as_str().unwrap().to_owned();
        let (app, data) = (deployed["app_id"].as_str().unwrap(), self.path("net"));
        let words = ["proxy", "--app", app, "--ingress", &ingress, "--listen", "127.0.0.1:0", "--data-dir"];
        let proxy = Running::start(&[&words[..], &[data.to_str().unwrap()]].concat());
        let answer = answered(&proxy.text("proxy"));
        proxy.interrupt();
        // A name of nobody's on this machine.
        let other = ["proxy", "--app", "rofl1qqn9xndja7e2pnxhttktmecvwzz0yqwxsquqyxdf", "--ingress", &ingress];
        let nobody = run(&[&other[..], &["--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]].concat());
        assert!(said(&nobody).contains("no instance of this app"), "{}", said(&nobody));
        answer
    }

    fn app_init(&self, name: &str) {
        told(self.dir.path(), &["app", "init", name]).unwrap();
    }

    /// Has the app set its metadata, with a word that would clear a terminal.
    fn says_of_itself(&self, name: &str) {
        let path = self.path(name).join("app/main.py");
        let code = fs::read_to_string(&path).unwrap();
        let line = r#"ask("POST", "/rofl/v1/metadata", {"says": "hello\x1b[2J"})"#;
        fs::write(&path, code.replace("KEY = fingerprint()", &format!("KEY = fingerprint()\n{line}"))).unwrap();
    }

    fn commands_are_the_renters_and_counted_once(&self, rental: u64, api: &str) {
        assert_eq!(self.app(&["restart", "one"], RENTER).unwrap()["starts"], 2);
        answered(api);
        let refused = self.app(&["stop", "one"], STRANGER).unwrap_err();
        assert!(refused.contains("only the account that rented it"), "{refused}");
        let stop = self.signed(rental, now_ms(), RentalAction::Stop);
        assert_eq!(self.command(&stop)["rental"], rental);
        until("it is stopped", || {
            self.command(&self.signed(rental, now_ms(), RentalAction::Report))["stage"] == "stopped"
        });
        // Stopped, it is attached to nothing: the seconds come back.
        assert_eq!(self.rental(rental)["instance"], Value::Null);
        assert_eq!(self.app(&["start", "one"], RENTER).unwrap()["stage"], "serving");
        // Replayed, old, of another rental, and changed.
        assert_eq!(self.command(&stop)["error"]["code"], "replayed");
        let stale = self.signed(rental, now_ms() - 3_600_000, RentalAction::Stop);
        assert_eq!(self.command(&stale)["error"]["code"], "stale");
        let other = self.signed(rental + 7, now_ms(), RentalAction::Stop);
        assert_eq!(self.command(&other)["error"]["code"], "unknown_rental");
        let changed = SignedCommand { command: stop.command.replace("\"stop\"", "\"start\""), ..stop };
        assert_eq!(self.command(&changed)["error"]["code"], "not_the_renter");
        assert_eq!(self.app(&["list"], RENTER).unwrap()["stage"], "serving");
    }

    /// The rental is ended: what was served is the provider's, the rest the renter's, and nothing else.
    fn the_rest_comes_back(&self, rental: u64, api: &str, besides: u64) {
        let account = |index: usize| {
            let list = [
                "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
                "70997970c51812dc3a010c7d01b50e0d17dc79c8",
                "3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
            ];
            list[index].parse::<Account>().unwrap()
        };
        let given_back = self.credit(&account(2));
        let removed = self.app(&["remove", "one"], RENTER).unwrap();
        let paid = removed["seconds_paid"].as_u64().unwrap();
        assert!(paid > 0 && paid < 600, "{paid}");
        assert_eq!(self.credit(&account(2)) - given_back, (600 - paid) * PRICE);
        assert_eq!(self.credit(&account(1)), (besides + paid) * PRICE);
        assert_eq!(self.rental(rental)["seconds_paid"], paid);
        until("the app is gone", || std::net::TcpStream::connect(api.trim_start_matches("http://")).is_err());
        assert!(self.app(&["stop", "one"], RENTER).unwrap_err().contains("not deployed"));
    }
}

#[test]
fn a_bundle_that_lies_or_wants_too_much_is_refused_and_its_rental_given_back() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let place = Place::new();
    place.offer("512");
    place.offer("64");
    let host = place.host("");
    place.app_init("one");
    // Another content under the digest that was ordered.
    let built = place.built("one");
    let folder = place.path("store").join(&built);
    copy(&place.path("one/bundle"), &folder);
    for blob in fs::read_dir(folder.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if bytes.starts_with(b"\"\"\"An app") {
            bytes[10] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let refused = place.deploy("one", "1").unwrap_err();
    assert!(refused.contains("the bundle is refused") && refused.contains("has the digest"), "{refused}");
    // More memory than was rented.
    fs::remove_dir_all(&folder).unwrap();
    let refused = place.deploy("one", "2").unwrap_err();
    assert!(refused.contains("wants 256 MiB of memory, and 64 are given"), "{refused}");
    // A source that the policy does not name, and a store that has nothing.
    let words = ["deploy", "one", "--offer", "1", "--seconds", "600", "--yes"];
    let away = [&words[..], &["--source", "http://127.0.0.1:1/bundle"]].concat();
    let refused = place.app(&away, RENTER).unwrap_err();
    assert!(refused.contains("fetches no bundle from"), "{refused}");
    fs::remove_dir_all(place.path("store")).unwrap();
    let refused = place.app(&words, RENTER).unwrap_err();
    assert!(refused.contains("no store of this provider has"), "{refused}");
    for rental in 1..=4 {
        let found = place.rental(rental);
        assert!(found["ended_at"].as_u64().unwrap() > 0 && found["seconds_paid"] == 0, "{found}");
    }
    // Nobody was asked, and nothing signed.
    let refused = place.app(&["deploy", "one", "--offer", "1", "--store", "store"], RENTER).unwrap_err();
    assert!(refused.contains("--yes"), "{refused}");
    host.interrupt();
    place.network.interrupt();
}

impl Place {
    fn built(&self, name: &str) -> String {
        told(self.dir.path(), &["app", "build", name]).unwrap()["digest"].as_str().unwrap().to_owned()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
