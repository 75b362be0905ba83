//! The collateral bot against a whole network with a live instance: a local server speaks the paths of Intel's service
//! with the emulator's documents. Intel's own service is never contacted.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use freehold_attestation::CollateralDocument;
use freehold_emulator::{CollateralPlan, Condition, DEVELOPMENT_SEED, Platform};
use freehold_primitives::Canonical as _;
use serde_json::Value;

use crate::{
    answer::model_is_here,
    support::{Running, run, said, signal, turn},
};

/// The first account of every development network: its key is public.
const USER_SECRET: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// What the vendor publishes.
#[derive(Clone)]
struct Published {
    standard: CollateralPlan,
    early: CollateralPlan,
    is_forged: bool,
}

/// A vendor's service; what it publishes can be changed while it runs.
struct Vendor {
    url: String,
    published: Arc<Mutex<Published>>,
}

impl Vendor {
    fn start() -> Self {
        let published =
            Published { standard: CollateralPlan::default(), early: CollateralPlan::default(), is_forged: false };
        let published = Arc::new(Mutex::new(published));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = published.clone();
        thread::spawn(move || {
            let platform = Platform::new(&DEVELOPMENT_SEED);
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                while lines.next().is_some_and(|line| !line.is_empty()) {}
                let path = first.split(' ').nth(1).unwrap_or_default();
                let answer = answer(&platform, &shared.lock().unwrap(), path);
                let _closed = stream.write_all(&answer);
            }
        });
        Self { url, published }
    }

    fn publish(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.published.lock().unwrap());
    }
}

fn answer(platform: &Platform, published: &Published, path: &str) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let plan = if path.contains("update=early") { &published.early } else { &published.standard };
    let document = CollateralDocument::from_canonical(&platform.collateral_with(now, plan)).unwrap();
    let signed = |name: &str, text: &str, signature: &[u8; 64]| {
        format!("{{\"{name}\":{text},\"signature\":\"{}\"}}", hex::encode(signature)).into_bytes()
    };
    let (header, chain, body) = match path.split('?').next().unwrap_or_default() {
        "/tdx/certification/v4/tcb" if path.contains("fmspc=E0F4EE000001") => {
            let mut text = document.tcb_info;
            if published.is_forged {
                text = text.replace("\"tcbEvaluationDataNumber\":20", "\"tcbEvaluationDataNumber\":99");
            }
            let body = signed("tcbInfo", &text, &document.tcb_info_signature);
            ("TCB-Info-Issuer-Chain", document.tcb_info_issuer_chain, body)
        }
        "/tdx/certification/v4/qe/identity" => {
            let body = signed("enclaveIdentity", &document.qe_identity, &document.qe_identity_signature);
            ("SGX-Enclave-Identity-Issuer-Chain", document.qe_identity_issuer_chain, body)
        }
        "/sgx/certification/v4/pckcrl" => {
            ("SGX-PCK-CRL-Issuer-Chain", document.pck_crl_issuer_chain, document.pck_crl.0)
        }
        "/sgx/certification/v4/rootcacrl" => ("X-None", String::new(), document.root_ca_crl.0),
        _ => return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    let chain: String = chain.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let head = format!("HTTP/1.1 200 OK\r\n{header}: {chain}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

/// What one round of a command told: exit status and events.
fn told(arguments: &[&str]) -> (i32, Vec<Value>) {
    let output = run(&[&["--json", "collateral"], arguments].concat());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap_or_else(|| panic!("{}", said(&output))), events)
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn secret(folder: &Path) -> String {
    let path = folder.join("payer");
    std::fs::write(&path, USER_SECRET).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn operators_are_warned_before_a_promotion_and_it_is_submitted_when_asked() {
    let _turn = turn();
    if !model_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let data = data.to_str().unwrap();
    let up = ["up", "--data-dir", data, "--rpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--threads", "1"];
    let network = Running::start(&up);
    let (vendor, payer) = (Vendor::start(), secret(folder.path()));
    let watch = ["watch", "--once", "--data-dir", data, "--intel", &vendor.url, "--payer", &payer];

    // Nothing is coming: the chain has what the vendor has.
    let (code, events) = told(&watch);
    assert_eq!(code, 0, "{events:?}");
    assert_eq!((of(&events, "fetched").len(), of(&events, "current").len()), (2, 1), "{events:?}");
    let round = of(&events, "round")[0];
    assert_eq!((&round["instances"], &round["submitted"]), (&1.into(), &0.into()));

    // A forged answer is refused before anybody pays for it.
    vendor.publish(|published| published.is_forged = true);
    let (code, events) = told(&watch);
    assert_eq!(code, 1, "{events:?}");
    assert!(of(&events, "failed")[0]["reason"].as_str().unwrap().contains("code 123"), "{events:?}");
    vendor.publish(|published| published.is_forged = false);

    // A TCB recovery is published early: the instance will be refused, and nothing is submitted.
    let recovery =
        CollateralPlan { condition: Condition::OutOfDate, tcb_evaluation_data_number: 21, ..CollateralPlan::default() };
    vendor.publish(|published| published.early = recovery.clone());
    let (code, events) = told(&watch);
    assert_eq!(code, 3, "{events:?}");
    let warning = of(&events, "warning")[0];
    assert_eq!((&warning["code"], &warning["basis"]), (&507.into(), &"early".into()), "{warning}");
    assert_eq!((&warning["app"], &warning["family"]), (&network.text("app_id").into(), &"e0f4ee000001".into()));
    assert_eq!((&warning["tcb_status"], of(&events, "submitted").len()), (&"OutOfDate".into(), 0));
    // Another provider's machines are none of his.
    let foreign = [&watch[..], &["--provider", "0x00000000000000000000000000000000000000ff"]].concat();
    assert_eq!(told(&foreign).0, 0);

    // Promoted on purpose: the warning comes first, then the chain has it, and says the same.
    let (code, events) = told(&[&watch[..], &["--submit-early"]].concat());
    assert_eq!(code, 3, "{events:?}");
    let place = |name: &str| events.iter().position(|event| event["event"] == name).unwrap();
    assert!(place("warning") < place("submitted"), "{events:?}");
    let (code, events) = told(&["status", "--data-dir", data]);
    assert_eq!((code, of(&events, "fetched").len()), (3, 0), "{events:?}");
    assert_eq!(of(&events, "standing")[0]["numbers"][0], 21, "{events:?}");
    let warning = of(&events, "warning")[0];
    assert_eq!((&warning["code"], &warning["basis"]), (&507.into(), &"on_chain".into()), "{warning}");
    // Far ahead the collateral's own end is in sight.
    let (_, events) = told(&["status", "--data-dir", data, "--expiry-days", "40"]);
    assert!(of(&events, "warning").iter().any(|warning| warning["warning"] == "expiring"), "{events:?}");
    network.interrupt();
}

#[test]
fn the_watch_submits_what_the_chain_lacks_goes_on_and_stops_when_asked() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let data = data.to_str().unwrap();
    let network = Running::start(&["up", "--no-app", "--data-dir", data, "--rpc", "127.0.0.1:0"]);
    network.reach(2);
    let (vendor, payer) = (Vendor::start(), secret(folder.path()));
    let tdx = ["--data-dir", data, "--tdx", "e0f4ee000001"];
    let (code, events) = told(&[&["status"], &tdx[..]].concat());
    assert_eq!((code, &of(&events, "warning")[0]["warning"]), (3, &"missing".into()), "{events:?}");

    // Without an account that pays it only tells.
    let watch = [&["watch", "--intel", &vendor.url], &tdx[..]].concat();
    let (code, events) = told(&[&watch[..], &["--once"]].concat());
    assert_eq!((code, of(&events, "not_submitted").len()), (3, 1), "{events:?}");

    let mut child = std::process::Command::new(crate::support::BINARY)
        .args([&["--json", "collateral"], &watch[..], &["--payer", &payer]].concat())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let round: Vec<String> = lines.by_ref().take_while(|line| !line.contains("\"event\":\"pause\"")).collect();
    assert!(round.iter().any(|line| line.contains("\"event\":\"submitted\"")), "{round:?}");
    assert_eq!(told(&[&["status"], &tdx[..]].concat()).0, 0);
    signal(child.id(), "TERM");
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());

    // A secret that others can read is not used; a vendor that is away is a failure.
    std::fs::set_permissions(&payer, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = run(&[&["collateral"], &watch[..], &["--once", "--payer", &payer]].concat());
    assert!(!open.status.success() && said(&open).contains("chmod 600"), "{}", said(&open));
    let away = [&["watch", "--once", "--intel", "http://127.0.0.1:1"], &tdx[..]].concat();
    assert_eq!(told(&away).0, 1);
    network.interrupt();
}
