//! Ethereum's executable specification as a program: a block in, receipts and state out.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use alloy_primitives::{B256, U64, hex};
use serde_json::{Value, json};

use super::generate::{self, Case, PARENT_HASH};

const PACKAGE: &str = "ethereum-execution==2.20.0";

/// The specification, installed.
pub(crate) struct Oracle {
    program: PathBuf,
    folder: PathBuf,
}

/// A receipt as the specification gives it.
pub(crate) struct Receipt {
    pub(crate) succeeded: bool,
    pub(crate) gas_cumulative: u64,
}

/// What the specification makes of a block.
pub(crate) struct Verdict {
    pub(crate) receipts: Vec<Receipt>,
    /// Transactions that may not stand in the block, with the reason.
    pub(crate) rejected: BTreeMap<usize, String>,
    pub(crate) logs_hash: B256,
    pub(crate) state_root: B256,
    pub(crate) alloc: Value,
}

impl Oracle {
    /// Installs the package once into the user's cache; `None`, said loudly, where that fails.
    pub(crate) fn install() -> Option<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let folder = cache.unwrap_or_else(std::env::temp_dir).join("freehold-tests/specification-1");
        let program = folder.join("bin/ethereum-spec-evm");
        if !folder.join("done").exists() {
            done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            done(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "-q", PACKAGE]))?;
            fs::write(folder.join("done"), []).unwrap();
        }
        Some(Self { program, folder })
    }

    /// Runs a block.
    pub(crate) fn judge(&self, case: &Case) -> Verdict {
        let input = json!({ "alloc": alloc(case), "env": environment(case), "txs": transactions(case) });
        let mut child = Command::new(&self.program)
            .args(["t8n", "--state.fork", "Osaka", "--state.chainid", "1"])
            .args(["--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin"])
            .args(["--output.result", "stdout", "--output.alloc", "stdout", "--output.basedir"])
            .arg(scratch(&self.folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "seed {}: the specification failed: {said}", case.seed);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let result = &answer["result"];
        let receipts = result["receipts"].as_array().unwrap();
        let rejected = result["rejected"].as_array().unwrap();
        Verdict {
            receipts: receipts.iter().map(receipt).collect(),
            rejected: rejected
                .iter()
                .map(|one| (usize::try_from(one["index"].as_u64().unwrap()).unwrap(), one["error"].to_string()))
                .collect(),
            logs_hash: serde_json::from_value(result["logsHash"].clone()).unwrap(),
            state_root: serde_json::from_value(result["stateRoot"].clone()).unwrap(),
            alloc: answer["alloc"].clone(),
        }
    }
}

fn receipt(value: &Value) -> Receipt {
    let gas = value["cumulativeGasUsed"].as_str().or_else(|| value["gasUsed"].as_str()).unwrap();
    let status = value["status"].as_str().map_or_else(|| value["succeeded"].as_bool().unwrap(), |text| text == "0x1");
    Receipt { succeeded: status, gas_cumulative: gas.parse::<U64>().unwrap().to() }
}

/// The tool deletes old output in its folder, so it gets one of its own.
fn scratch(folder: &std::path::Path) -> PathBuf {
    let scratch = folder.join(format!("scratch-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    scratch
}

fn alloc(case: &Case) -> Value {
    let accounts = case.alloc.iter().map(|(address, account)| {
        let nonce = if account.code.is_empty() { "0x0" } else { "0x1" };
        let value = json!({
            "balance": account.balance, "nonce": nonce, "code": account.code, "storage": {},
        });
        (address.to_string().to_lowercase(), value)
    });
    Value::Object(accounts.collect())
}

fn environment(case: &Case) -> Value {
    json!({
        "currentCoinbase": generate::BENEFICIARY,
        "currentGasLimit": format!("{:#x}", generate::BLOCK_GAS),
        "currentNumber": "0x1",
        "currentTimestamp": format!("{:#x}", case.time_unix_s),
        "currentRandom": case.prev_randao,
        "currentBaseFee": format!("{:#x}", case.base_fee),
        "currentDifficulty": "0x0",
        "currentExcessBlobGas": "0x0",
        "parentBeaconBlockRoot": B256::ZERO,
        "blockHashes": { "0": PARENT_HASH },
        "withdrawals": [],
    })
}

fn transactions(case: &Case) -> Value {
    case.transactions
        .iter()
        .map(|tx| {
            let mut value = json!({
                "type": format!("{:#x}", tx.kind),
                "chainId": "0x1",
                "nonce": format!("{:#x}", tx.nonce),
                "gas": format!("{:#x}", tx.gas_limit),
                "value": tx.value,
                "input": tx.data,
                "to": tx.to,
                "secretKey": format!("0x{}", hex::encode(case.keys[tx.sender].to_bytes().as_slice())),
                "v": "0x0", "r": "0x0", "s": "0x0",
            });
            if tx.kind < 2 {
                value["gasPrice"] = json!(format!("{:#x}", tx.fee_max));
            } else {
                value["maxFeePerGas"] = json!(format!("{:#x}", tx.fee_max));
                value["maxPriorityFeePerGas"] = json!(format!("{:#x}", tx.tip_max));
            }
            if tx.kind > 0 {
                value["accessList"] = json!(tx.access_list);
            }
            if tx.kind == 4 {
                value["authorizationList"] = tx.authorizations.iter().map(authorization).collect();
            }
            value
        })
        .collect()
}

fn authorization(signed: &alloy_eips::eip7702::SignedAuthorization) -> Value {
    json!({
        "chainId": signed.chain_id,
        "address": signed.address,
        "nonce": format!("{:#x}", signed.nonce),
        "v": format!("{:#x}", signed.y_parity()),
        "r": signed.r(),
        "s": signed.s(),
    })
}

fn done(command: &mut Command) -> Option<()> {
    match command.output() {
        Ok(output) if output.status.success() => Some(()),
        Ok(output) => skipped(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => skipped(&error.to_string()),
    }
}

fn skipped(why: &str) -> Option<()> {
    eprintln!("SKIPPED: {PACKAGE} could not be installed: {}", why.lines().last().unwrap_or_default());
    None
}
