//! An executor that is no validator, by the words of docs/operations.md: it registers, gets the state root keys from the
//! quorum, answers confidential calls with its signature, and ends when the chain ends it.

use std::{fs, path::Path, process::Command};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall as _;
use bip32::{DerivationPath, XPrv};
use freehold_crypto::{
    AccountKey, app_id_from_creator_nonce,
    slots::{APPS, KEYS},
};
use freehold_primitives::{Account, Digest};
use serde_json::{Value, json};

use crate::support::{BINARY, Running, free_address, quantity, run, said, turn, until};

#[allow(clippy::too_many_arguments, reason = "generated from Solidity by alloy")]
mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IApps.sol");
    alloy_sol_types::sol!("../../contracts/interfaces/IKeys.sol");
}

/// Keeps the first word of its call data in slot 0 and logs it; without call data, answers with the slot.
const CONTRACT: &str = "6019806009 5f39 5ff3 36600c575f545f5260205ff35b5f35805f555f5260205fa000";

/// An account of the well-known test mnemonic.
fn account(path: &str) -> AccountKey {
    let words = "test test test test test test test test test test test junk";
    let seed = bip39::Mnemonic::parse_normalized(words).unwrap().to_seed("");
    let path: DerivationPath = path.parse().unwrap();
    AccountKey::from_bytes(&XPrv::derive_from_path(seed, &path).unwrap().to_bytes()).unwrap()
}

/// The operator's account that owns apps on development networks.
fn owner() -> AccountKey {
    account("m/44'/60'/1'/0/0")
}

/// The first account of a development genesis, which governs it.
pub(crate) fn governor() -> AccountKey {
    account("m/44'/60'/0'/0/0")
}

/// Sends a transaction and waits until it has succeeded; its receipt.
pub(crate) fn send(node: &Running, key: &AccountKey, to: Option<Account>, input: impl Into<Bytes>) -> Value {
    let from = format!("0x{}", key.account());
    let transaction = TxEip1559 {
        chain_id: quantity(&node.call("eth_chainId", json!([])).unwrap()),
        nonce: quantity(&node.call("eth_getTransactionCount", json!([from, "pending"])).unwrap()),
        gas_limit: 1_000_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: to.map_or(TxKind::Create, |to| TxKind::Call(Address::from(to.0))),
        input: input.into(),
        ..TxEip1559::default()
    };
    let signed = key.sign(&Digest(transaction.signature_hash().0));
    let signature = Signature::from_bytes_and_parity(&signed[..64], signed[64] == 28);
    let raw = Bytes::from(transaction.into_signed(signature).encoded_2718());
    let hash = node.call("eth_sendRawTransaction", json!([raw])).unwrap();
    let mut receipt = Value::Null;
    until("a transaction is executed", || {
        receipt = node.call("eth_getTransactionReceipt", json!([hash])).unwrap();
        !receipt.is_null()
    });
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    receipt
}

/// A network of one validator, founded without a dealer, whose genesis names the app of executors.
fn found(root: &Path) -> Running {
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let (folder, network) = (path("validator"), path("network.toml"));
    let made = run(&["genesis", "contribute", "--data-dir", &folder, "--address", &free_address()]);
    assert!(made.status.success(), "{}", said(&made));
    let app_owner = format!("0x{}", owner().account());
    let contribution = format!("{folder}/contribution.toml");
    let made = run(&["genesis", "combine", "--out", &network, "--app-owner", &app_owner, &contribution]);
    assert!(made.status.success(), "{}", said(&made));
    let made = run(&["genesis", "join", "--data-dir", &folder, "--network", &network]);
    assert!(made.status.success(), "{}", said(&made));
    Running::start(&["node", "--data-dir", &folder, "--rpc", "127.0.0.1:0"])
}

/// The word that a contract keeps, by the light client and this node alone; the executor that signed it.
fn light(node: &Running, contract: &str) -> Result<(U256, String), String> {
    let (key, rpc) = (node.text("network_key"), node.text("rpc"));
    let asked = run(&["light", "--network-key", &key, "--node", &rpc, "--json", "call", contract, "0x"]);
    if !asked.status.success() {
        return Err(said(&asked));
    }
    let told: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&told["proven"], &told["by"]), (&json!(true), &json!("executor")));
    let word: B256 = told["value"].as_str().unwrap().parse().unwrap();
    Ok((word.into(), told["executor"].as_str().unwrap().to_owned()))
}

/// How the key service answers, in its stable code; 0 where it serves.
fn served(node: &Running, instance: &str, generation: u32) -> u64 {
    match node.call("freehold_stateKeyShares", json!([format!("0x{instance}"), generation])) {
        Ok(shares) => {
            assert_eq!(shares["shares"].as_array().unwrap().len(), 1, "{shares}");
            0
        }
        Err(error) if error["code"] == json!(-32_001) => 1,
        Err(error) => error["data"]["code"].as_u64().unwrap_or_else(|| panic!("{error}")),
    }
}

/// How the chain ends an executor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The governor denies the instance.
    Denied,
    /// The app's owner revokes it.
    Revoked,
}

/// Ended by the chain, an executor gets nothing, and it ends by itself.
fn end(validator: &Running, executor: Running, by: End) {
    let instance = executor.text("instance");
    let id = instance.parse::<Digest>().unwrap().0;
    let app = app_id_from_creator_nonce(&owner().account(), 0);
    let deny = abi::IApps::denyCall { app: [0; 21].into(), kind: 4, subject: id.to_vec().into(), reason: 1 };
    let revoke = abi::IApps::revokeCall { app: (*app.as_bytes()).into(), instance: id.into(), reason: 1 };
    match by {
        End::Denied => send(validator, &governor(), Some(APPS), deny.abi_encode()),
        End::Revoked => send(validator, &owner(), Some(APPS), revoke.abi_encode()),
    };
    assert_eq!(served(validator, &instance, 0), if by == End::Denied { 3 } else { 2 });
    let pid = executor.pid().to_string();
    until("the executor ends", || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
    drop(executor);
}

/// A contract with confidential storage that keeps 41.
fn deploy(node: &Running, user: &AccountKey) -> String {
    let made = send(node, user, None, hex::decode(CONTRACT.replace(' ', "")).unwrap());
    let contract = made["contractAddress"].as_str().unwrap().to_owned();
    keep(node, user, &contract, 41);
    contract
}

fn keep(node: &Running, user: &AccountKey, contract: &str, word: u64) {
    send(node, user, Some(contract.parse().unwrap()), B256::from(U256::from(word)).to_vec());
}

#[test]
fn an_executor_gets_state_keys_signs_answers_and_ends_when_revoked() {
    let _turn = turn();
    let root = tempfile::tempdir().unwrap();
    let validator = found(root.path());
    validator.reach(2);
    let (rpc, key) = (validator.text("rpc"), validator.text("network_key"));
    let user = account("m/44'/60'/0'/0/5");
    let contract = deploy(&validator, &user);
    let refused = light(&validator, &contract).unwrap_err();
    assert!(refused.contains("no node that was asked is a registered executor"), "{refused}");

    // Nothing for who is not registered, and no executor without its flag.
    let nobody = "09".repeat(32);
    assert_eq!(served(&validator, &nobody, 0), 1);
    let folder = root.path().join("executor");
    let folder = folder.to_str().unwrap();
    let arguments = [
        "node",
        "--follow",
        &rpc,
        "--network-key",
        &key,
        "--data-dir",
        folder,
        "--rpc",
        "127.0.0.1:0",
        "--emulated-executor",
    ];
    let executor = Running::start(&arguments);
    assert_eq!(executor.text("role"), "executor");
    let instance = executor.text("instance");
    assert!(!Path::new(folder).join("state.keys").exists(), "state root keys stay in memory");

    // It executes the same blocks, and its word counts with a light client that trusts the network key alone.
    executor.reach(validator.height());
    let height = executor.height();
    assert_eq!(executor.block_hash(height), validator.block_hash(height));
    assert_eq!(executor.call("freehold_health", json!([])).unwrap()["role"], "executor");
    assert_eq!(light(&executor, &contract).unwrap(), (U256::from(41), instance.clone()));

    // Shares of every generation up to three ahead, and of none beyond.
    assert_eq!([0, 3, 4].map(|generation| served(&validator, &instance, generation)), [0, 0, 17]);
    assert_eq!(served(&executor, &instance, 0), 0, "a follower hands the question on");

    // A rotation: it holds the next generation already, and reads what was moved.
    send(&validator, &governor(), Some(KEYS), abi::IKeys::rotateStateKeyCall {}.abi_encode());
    keep(&validator, &user, &contract, 42);
    executor.reach(validator.height() + 2);
    assert_eq!(light(&executor, &contract).unwrap().0, U256::from(42));
    until("the next generation may be had", || served(&validator, &instance, 4) == 0);

    // Killed, it registers anew: another instance, with keys of its own.
    executor.kill();
    let executor = Running::start(&arguments);
    let second = executor.text("instance");
    assert_ne!(second, instance);
    executor.reach(validator.height());
    assert_eq!(light(&executor, &contract).unwrap(), (U256::from(42), second.clone()));
    assert_eq!(served(&validator, &instance, 0), 2, "its host closed the instance that was killed");

    end(&validator, executor, End::Denied);
    end(&validator, Running::start(&arguments), End::Revoked);
    // A copy of its folder without a registration is a plain follower: it holds no state keys.
    let arguments: Vec<&str> = arguments[..arguments.len() - 1].to_vec();
    let follower = Running::start(&arguments);
    assert_eq!(follower.text("role"), "follower");
    let refused = light(&follower, &contract).unwrap_err();
    assert!(refused.contains("no node that was asked is a registered executor"), "{refused}");
    follower.interrupt();
    validator.interrupt();
    let away = Command::new(BINARY)
        .args(["node", "--follow", &rpc, "--network-key", &key, "--data-dir", folder, "--emulated-executor"])
        .output()
        .unwrap();
    assert_eq!(away.status.code(), Some(1), "without a source there is no registration");
}
