//! Several instances of one app: a contract draws some of them and takes what they agree on, and one of them leads at a time.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_sol_types::{SolCall as _, SolConstructor as _, sol};
use freehold_primitives::AppId;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Running, app_answer, post_path, put_program, quantity, sandbox_works, signal, told, turn, until};

sol! {
    struct Terms { bytes21 app; uint8 asked; uint8 needed; uint8 tier; bool apart; uint32 answerS; uint256 tolerance; }
    contract AgreedAnswers {
        constructor(Terms terms);
        event RoundOpened(uint256 indexed round, bytes21 indexed app, bytes32[] candidates);
        event Drawn(uint256 indexed round, bytes32[] instances, uint64 endsAt);
        function ask(bytes32 question) external returns (uint256 round);
        function draw(uint256 round, bytes32[] candidates, bytes header) external;
        function read(bytes32 question) external view returns (int256 value);
    }
    #[derive(Debug)]
    contract Apps {
        event LeaseTaken(bytes21 indexed app, bytes32 indexed instance, string name, uint64 fence, uint64 expiresAt);
    }
}

const APPS: &str = "0x0000000000000000000000000000000000f4ee01";
const QUESTION: B256 = B256::repeat_byte(0x51);
/// Length of the leader's lease in the program, in seconds, and how much later another one may have it: a try each quarter of a second,
/// and a block.
const LEASE_S: u64 = 10;
const LATE_S: u64 = 5;

/// A network, and three hosts that run one app.
struct Chorus {
    dir: TempDir,
    up: Running,
    hosts: Vec<Running>,
}

impl Chorus {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("0");
        let data = data.to_str().unwrap();
        let up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
        told(dir.path(), &["app", "init", "chorus"]).unwrap();
        let app = dir.path().join("chorus/app");
        put_program(&app, "chorus");
        fs::create_dir(app.join("freehold_local")).unwrap();
        let client = "freehold_local/__init__.py";
        fs::copy(beside("../../clients/python").join(client), app.join(client)).unwrap();
        let mut chorus = Self { dir, up, hosts: Vec::new() };
        for number in 0..3 {
            let host = chorus.host(number);
            chorus.hosts.push(host);
        }
        chorus
    }

    /// One more host, with a data directory of its own.
    fn host(&self, number: usize) -> Running {
        let folder = self.dir.path().join("chorus");
        let place = self.dir.path().join(number.to_string());
        let (folder, data) = (folder.to_str().unwrap(), place.to_str().unwrap());
        let run = ["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
        if number == 0 {
            return Running::start(&run);
        }
        let known = "apps/chorus/app.json";
        fs::create_dir_all(place.join("apps/chorus")).unwrap();
        fs::copy(self.dir.path().join("0").join(known), place.join(known)).unwrap();
        let (rpc, key) = (self.up.text("rpc"), self.up.text("network_key"));
        let elsewhere = ["--keep-policy", "--rpc", &rpc, "--network-key", &key];
        Running::start(&[&run[..], &elsewhere].concat())
    }

    fn tell(&self, host: usize, path: &str, body: &Value) -> Value {
        let api = self.hosts[host].text("api");
        let answer = post_path(api.trim_start_matches("http://"), path, body.to_string().as_bytes());
        serde_json::from_str(&answer).unwrap()
    }

    /// Has an instance's account call a contract, or make one.
    fn send(&self, to: &str, data: &[u8]) -> String {
        let answer = self.tell(0, "/send", &json!({"to": to, "data": hex::encode(data)}));
        // CBOR of {"ok": bytes}.
        let outcome = answer["data"].as_str().filter(|outcome| outcome.starts_with("a1626f6b"));
        outcome.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn log<T: alloy_sol_types::SolEvent>(&self, address: &str) -> Vec<(u64, T)> {
        let topic = format!("{:?}", T::SIGNATURE_HASH);
        let filter = json!([{"fromBlock": "0x0", "toBlock": "latest", "address": address, "topics": [topic]}]);
        let logs = self.up.call("eth_getLogs", filter).unwrap();
        let one = |log: &Value| {
            let topics: Vec<B256> = serde_json::from_value(log["topics"].clone()).unwrap();
            let data: Bytes = serde_json::from_value(log["data"].clone()).unwrap();
            (quantity(&log["blockNumber"]), T::decode_raw_log(topics, &data).unwrap())
        };
        logs.as_array().unwrap().iter().map(one).collect()
    }

    /// Who took the leader's lease: height, fence and instance, oldest first.
    fn taken(&self) -> Vec<(u64, Apps::LeaseTaken)> {
        self.log::<Apps::LeaseTaken>(APPS).into_iter().filter(|(_, taken)| taken.name == "leader").collect()
    }

    fn time(&self, height: u64) -> u64 {
        let block = self.up.call("eth_getBlockByNumber", json!([format!("{height:#x}"), false])).unwrap();
        quantity(&block["timestamp"])
    }

    /// What an instance did as the leader: fence, height, and the end of the lease as it stood then.
    fn steps(&self, host: usize) -> Vec<[u64; 3]> {
        serde_json::from_value(app_answer(&self.hosts[host])["steps"].clone()).unwrap()
    }
}

/// A file of this repository, by its path from this crate.
fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn id_of(answer: &Value) -> B256 {
    answer["instance"]["instance_id"].as_str().unwrap().parse().unwrap()
}

#[test]
fn three_instances_agree_on_an_answer_and_one_leads_at_a_time() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let mut chorus = Chorus::start();
    let ids: Vec<B256> = chorus.hosts.iter().map(|host| id_of(&app_answer(host))).collect();
    what_drawn_instances_agree_on_counts(&chorus, &ids);
    one_leads_at_a_time(&mut chorus, &ids);
    chorus.up.interrupt();
}

/// Two of three are drawn by lot, answer each in its own way, and the contract takes what they agree on; the third is not heard.
fn what_drawn_instances_agree_on_counts(chorus: &Chorus, ids: &[B256]) {
    let app: AppId = chorus.hosts[0].text("app_id").parse().unwrap();
    let terms = Terms {
        app: (*app.as_bytes()).into(),
        asked: 2,
        needed: 2,
        tier: 1,
        apart: false,
        answerS: 600,
        tolerance: U256::from(4),
    };
    let artifact = fs::read_to_string(beside("../../contracts/artifacts/AgreedAnswers.json")).unwrap();
    let artifact: Value = serde_json::from_str(&artifact).unwrap();
    let mut code = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
    code.extend(AgreedAnswers::constructorCall { terms }.abi_encode());
    let made = chorus.send("", &code);
    let contract = format!("0x{}", &made[made.len() - 40..]);
    chorus.send(&contract, &AgreedAnswers::askCall { question: QUESTION }.abi_encode());
    let (opened, round) = chorus.log::<AgreedAnswers::RoundOpened>(&contract).pop().expect("a round is open");
    assert_eq!(round.candidates.len(), 3);
    // The chain knows a block's hash from the next one on.
    chorus.up.reach(opened + 2);
    let header = chorus.up.call("debug_getRawHeader", json!([format!("{:#x}", opened + 1)])).unwrap();
    let header = Bytes::from(hex::decode(header.as_str().unwrap()).unwrap());
    let draw = AgreedAnswers::drawCall { round: round.round, candidates: round.candidates, header };
    chorus.send(&contract, &draw.abi_encode());
    let (_, drawn) = chorus.log::<AgreedAnswers::Drawn>(&contract).pop().expect("the lot fell");
    assert_eq!(drawn.instances.len(), 2);

    let read = || {
        let call = format!("0x{}", hex::encode(AgreedAnswers::readCall { question: QUESTION }.abi_encode()));
        let answer = chorus.up.call("eth_call", json!([{"to": contract, "data": call}, "latest"])).ok()?;
        Some(U256::from_str_radix(answer.as_str().unwrap().trim_start_matches("0x"), 16).unwrap().to::<u64>())
    };
    let answer = |host: usize| chorus.tell(host, "/answer", &json!({"contract": contract, "number": 1}));
    let (asked, left_out): (Vec<usize>, Vec<usize>) = (0..3).partition(|host| drawn.instances.contains(&ids[*host]));
    let not_heard = answer(left_out[0]).to_string();
    assert!(not_heard.contains("refused") || not_heard.contains("6661696c"), "{not_heard}");
    answer(asked[0]);
    assert_eq!(read(), None, "one answer is no agreement");
    answer(asked[1]);
    let value = read().expect("two agree");
    assert!((998..=1002).contains(&value), "{value}");
}

/// The leader is killed, the next one is held up beyond its lease: another one leads each time, and never do two.
fn one_leads_at_a_time(chorus: &mut Chorus, ids: &[B256]) {
    let newest = |chorus: &Chorus| {
        let (height, taken) = chorus.taken().pop().expect("somebody leads");
        (height, taken.fence, ids.iter().position(|id| *id == taken.instance).expect("one of ours leads"))
    };
    let follows = |chorus: &Chorus, fence: u64| {
        until("another one leads", || newest(chorus).1 > fence);
        newest(chorus)
    };
    let mut steps = vec![Vec::new(); ids.len()];
    let (_, fence, first) = newest(chorus);
    until("the leader makes a step", || {
        steps[first] = chorus.steps(first);
        !steps[first].is_empty()
    });
    // `kill -9` of the machine: the instance stays registered, and its lease ends by its time alone.
    steps[first] = chorus.steps(first);
    let begun = Instant::now();
    chorus.hosts.remove(first).kill();
    let mut left: Vec<usize> = (0..ids.len()).filter(|host| *host != first).collect();
    let (height, fence, second) = follows(chorus, fence);
    let (waited, end) = (begun.elapsed().as_secs(), steps[first].last().unwrap()[2]);
    assert!(waited <= LEASE_S + LATE_S && chorus.time(height) <= end + LATE_S, "it took {waited} s");

    // The agent of the next leader stands still, as on a machine that is overcommitted; its clock goes on.
    let place = left.iter().position(|host| *host == second).unwrap();
    let guest = chorus.hosts[place].told.iter().find(|event| event["event"] == "guest").unwrap();
    let guest = u32::try_from(guest["pid"].as_u64().unwrap()).unwrap();
    signal(guest, "STOP");
    let (_, fence, third) = follows(chorus, fence);
    signal(guest, "CONT");
    until("whoever stood still is heard again, and leads no more", || {
        chorus.tell(place, "/send", &json!({"to": APPS, "data": ""})) != Value::Null
    });
    assert_ne!(third, second);
    until("the third makes a step", || {
        let place = left.iter().position(|host| *host == third).unwrap();
        chorus.steps(place).iter().any(|[of, ..]| *of == fence)
    });
    for (place, host) in left.drain(..).enumerate() {
        steps[host] = chorus.steps(place);
    }
    // By the chain's height: under each fence steps were made by its holder alone, from its taking until the next one's.
    let taken = chorus.taken();
    assert!(taken.len() >= 3, "{taken:?}");
    for (number, (height, lease)) in taken.iter().enumerate() {
        assert_eq!(lease.fence, number as u64 + 1);
        let until = taken.get(number + 1).map_or(u64::MAX, |(height, _)| *height);
        for (host, steps) in steps.iter().enumerate() {
            for [_, at, _] in steps.iter().filter(|[fence, ..]| *fence == lease.fence) {
                assert_eq!(ids[host], lease.instance, "another one made a step under fence {}", lease.fence);
                assert!((*height..until).contains(at), "a step at {at} under a lease from {height} to {until}");
            }
        }
    }
}
