//! Transactions that an app asks for in appd's words: signed by the instance's account, read back from certified blocks, and
//! never above what the owner allows, however many ask at once and however often the guest starts.

use std::path::{Path, PathBuf};

use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use freehold_crypto::CallData;
use freehold_primitives::{
    Account, Blob,
    entries::{AppSettings, Setting, SettingForm, SpendingLimits},
};
use serde_json::{Value, json};

use crate::support::{FakeHost, Misbehaviour, raw, transactions::FAILING};

const PAYEE: Account = Account([0x77; 20]);
const SECRET: [u8; 32] = [0x42; 32];

fn ask(to: &str, value: u64, encrypt: bool) -> Value {
    let data = json!({ "gas_limit": 50_000, "to": to, "value": value.to_string(), "data": "dae1ee1f" });
    json!({ "encrypt": encrypt, "tx": { "kind": "eth", "data": data } })
}

/// Status and body of an ask.
async fn submit(socket: &Path, ask: Value) -> (u16, String) {
    let socket = socket.to_owned();
    let exchange = move || raw(&socket, "POST", "/rofl/v1/tx/sign-submit", &ask.to_string());
    let (head, body) = tokio::task::spawn_blocking(exchange).await.unwrap();
    (head["http/1.1 ".len()..][..3].parse().unwrap(), body)
}

fn limits(per_day_wei: u128, contracts: &[Account]) -> AppSettings {
    let spending = SpendingLimits {
        per_transaction_wei: 10_u128.pow(18),
        per_day_wei,
        per_day_count: 5,
        contracts: contracts.to_vec(),
        may_create: false,
    };
    let name = "LIMITED".to_owned();
    let set = Setting { name, set_at: 1, form: SettingForm::Public, key_generation: 0, value: Blob(Vec::new()) };
    AppSettings { generation: 1, settings: vec![set], spending: Some(spending) }
}

fn socket(host: &FakeHost) -> PathBuf {
    host.dir.path().join("local.sock")
}

/// Waits until the instance knows a generation of its owner's settings.
async fn knows(host: &FakeHost, generation: u64) {
    host.serving().await;
    for _ in 0..200 {
        if host.local().settings(None).await.is_ok_and(|report| report.generation == generation) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the settings did not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_the_instances_and_sealed_and_their_outcome_is_the_blocks() {
    let host = FakeHost::new(Misbehaviour::default());
    host.chain.set_call_data_key(9, &SECRET);
    let guest = host.guest();
    knows(&host, 0).await;
    let account = host.local().instance().await.unwrap().subject.account;
    let socket = socket(&host);
    assert_eq!(submit(&socket, ask(&PAYEE.to_string(), 3, true)).await, (200, r#"{"data":"a1626f6b40"}"#.to_owned()));
    let sent = host.chain.sent();
    assert_eq!(sent[0].recover_signer().unwrap().0.0, account.0);
    assert_eq!((sent[0].to().unwrap().0.0, sent[0].value().to::<u64>()), (PAYEE.0, 3));
    // What stands on the chain is sealed, and opens to what was asked.
    let CallData::Sealed(call) = CallData::read(sent[0].input()) else { panic!("it is not sealed") };
    assert_eq!(call.open(&SECRET).ok().unwrap().data.as_slice(), [0xda, 0xe1, 0xee, 0x1f]);

    assert_eq!(submit(&socket, ask(&PAYEE.to_string(), 0, false)).await.0, 200);
    assert_eq!(host.chain.sent()[1].input().as_ref(), [0xda, 0xe1, 0xee, 0x1f]);
    // One that fails is 200 all the same, as with appd.
    let (status, body) = submit(&socket, ask(&FAILING.to_string(), 0, false)).await;
    let failure = hex::decode(&body[9..body.len() - 2]).unwrap();
    assert!(status == 200 && failure.starts_with(b"\xa1\x64fail"), "{body}");
    // A contract: its address comes back.
    let create = json!({ "gas_limit": 0, "value": 0, "data": "6000" });
    let create = json!({ "encrypt": false, "tx": { "kind": "eth", "data": create } });
    let (status, body) = submit(&socket, create).await;
    assert!(status == 200 && body.starts_with(r#"{"data":"a1626f6b54"#), "{body}");

    // Refusals of appd, and what is not the app's to send.
    for (bad, status, sentence) in [
        (ask("0102", 0, true), 400, "malformed address"),
        (
            ask("0000000000000000000000000000000000f4ee03", 0, false),
            400,
            "the instance's account calls no system module",
        ),
        (json!({ "tx": { "kind": "std", "data": "a0" } }), 400, "malformed transaction"),
        (json!({ "tx": { "kind": "eth", "data": {} } }), 422, "missing field"),
        (json!({ "tx": { "kind": "other", "data": {} } }), 422, "unknown variant"),
        (json!([]), 422, ""),
    ] {
        let (found, body) = submit(&socket, bad.clone()).await;
        assert!(found == status && body.contains(sentence), "{bad}: {found} {body}");
    }
    assert_eq!(host.chain.sent().len(), 4);
    // A relay that shows a block without the transaction is believed nothing.
    host.chain.set(|chain| chain.empty_blocks = true);
    let (status, body) = submit(&socket, ask(&PAYEE.to_string(), 0, false)).await;
    assert!(status == 400 && body.contains("block is not the certified one"), "{body}");
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_for_many_at_once_and_across_a_restart() {
    let host = FakeHost::new(Misbehaviour::default());
    host.chain.set_settings(limits(10_u128.pow(19), &[PAYEE]));
    let guest = host.guest();
    knows(&host, 1).await;
    let socket = socket(&host);
    let (status, body) = submit(&socket, ask(&FAILING.to_string(), 0, false)).await;
    assert!(status == 400 && body.starts_with("spending_contract"), "{body}");
    let (status, body) = submit(&socket, ask(&PAYEE.to_string(), 10_u64.pow(18), false)).await;
    assert!(status == 400 && body.starts_with("spending_per_transaction"), "{body}");
    let create =
        json!({ "encrypt": false, "tx": { "kind": "eth", "data": { "gas_limit": 1, "value": 0, "data": "" } } });
    assert!(submit(&socket, create).await.1.starts_with("spending_create"));
    assert!(host.chain.sent().is_empty(), "nothing that is refused is sent");

    let many = (0..12).map(|_| {
        let socket = socket.clone();
        tokio::spawn(async move { submit(&socket, ask(&PAYEE.to_string(), 1, false)).await })
    });
    let mut refused = 0;
    for asked in many.collect::<Vec<_>>() {
        let (status, body) = asked.await.unwrap();
        refused += u32::from(status == 400);
        assert!(status == 200 || body.starts_with("spending_count"), "{body}");
    }
    assert_eq!((refused, host.chain.sent().len()), (7, 5));
    guest.abort();
    let _ = guest.await;

    // The same disk under another boot, with another account.
    let guest = host.guest();
    knows(&host, 1).await;
    let (status, body) = submit(&socket, ask(&PAYEE.to_string(), 1, false)).await;
    assert!(status == 400 && body.starts_with("spending_count"), "{body}");
    assert_eq!(host.chain.sent().len(), 5);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_answered_from_proofs_in_appds_words() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    knows(&host, 0).await;
    let socket = socket(&host);
    let query = async |method: &str, args: &str| {
        let (socket, body) = (socket.clone(), json!({ "method": method, "args": args }).to_string());
        tokio::task::spawn_blocking(move || raw(&socket, "POST", "/rofl/v1/query", &body)).await.unwrap()
    };
    // The address of nobody: no balance, no code.
    let nobody = format!("a1676164647265737354{}", "09".repeat(20));
    let (head, body) = query("evm.Balance", &nobody).await;
    assert!(head.starts_with("http/1.1 200") && body == r#"{"data":"40"}"#, "{head} {body}");
    assert_eq!(query("evm.Code", &nobody).await.1, r#"{"data":"40"}"#);
    for (method, args) in
        [("core.Nothing", "f6"), ("evm.Balance", "f6"), ("evm.Balance", "a0"), ("rofl.App", "a0"), ("", "")]
    {
        let (head, body) = query(method, args).await;
        assert!(head.starts_with("http/1.1 500") && body.starts_with("Query failed: "), "{method}: {head} {body}");
    }
    let (head, _) = query("evm.Balance", "zz").await;
    assert!(head.starts_with("http/1.1 422"), "{head}");
    guest.abort();
}
