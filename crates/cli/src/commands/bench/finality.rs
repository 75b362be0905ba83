//! Submit to receipt: from the moment a transaction is sent to the node until its receipt is there (finalised and
//! executed, durable), with 1 and 4 validators.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use anyhow::{Context as _, Result};
use freehold_primitives::Digest;
use freehold_rpc::{Endpoint, NodeClient};
use rand::RngExt as _;
use serde_json::json;

use super::{Samples, cpu_s, round};
use crate::{
    accounts,
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{Stack, StackConfig},
};

const CHAIN_ID: u64 = 23_292;
/// Pause between two looks for a receipt.
const POLL: Duration = Duration::from_millis(1);
const RECEIPT_WAIT: Duration = Duration::from_secs(30);

/// Runs the benchmark.
pub(crate) async fn run(count: u32, output: Output) -> Result<()> {
    for validators in [1, 4] {
        let folder = tempfile::tempdir().context("no temporary directory")?;
        let held = Held::take(folder.path())?;
        let wanted = Wanted::development(CHAIN_ID, validators);
        let config = StackConfig { wanted, rpc: SocketAddr::from(([127, 0, 0, 1], 0)), app: None };
        let stack = Stack::start(&held, config, output).await?;
        let node = NodeClient::new(stack.endpoints.rpc.parse::<Endpoint>()?);
        let measured = measure(&node, validators, count, output).await;
        stack.stop().await;
        measured?;
    }
    Ok(())
}

async fn measure(node: &NodeClient, validators: u32, count: u32, output: Output) -> Result<()> {
    let mut nonce = 0;
    for (name, pause) in [("pause of 300 to 1,300 ms", true), ("no pause", false)] {
        let (mut samples, cpu, begun) = (Samples::default(), cpu_s(), Instant::now());
        for _ in 0..count {
            if pause {
                let wait = rand::rng().random_range(300..1_300);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            let raw = transfer(nonce)?;
            nonce += 1;
            let sent = Instant::now();
            let hash = node.send_raw_transaction(raw).await?;
            await_receipt(node, &hash).await?;
            samples.push(sent.elapsed());
        }
        let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_s() - cpu);
        output.text(&format!(
            "{validators} validators, {name}: submit to receipt p50 {:.1} ms, p99 {:.1} ms (n={count}; {wall:.1} s wall, {cpu:.1} s CPU)",
            samples.quantile_ms(0.5),
            samples.quantile_ms(0.99),
        ));
        output.object(&json!({
            "event": "bench",
            "bench": "finality",
            "validators": validators,
            "pause": pause,
            "submit_to_receipt": samples.json(),
            "wall_s": round(wall),
            "cpu_s": round(cpu),
        }));
    }
    Ok(())
}

/// Waits for a receipt.
pub(super) async fn await_receipt(node: &NodeClient, hash: &Digest) -> Result<()> {
    let end = Instant::now() + RECEIPT_WAIT;
    loop {
        if node.receipt(hash).await?.is_some() {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < end, "no receipt within {} s", RECEIPT_WAIT.as_secs());
        tokio::time::sleep(POLL).await;
    }
}

/// A transfer of one wei between two test accounts.
pub(super) fn transfer(nonce: u64) -> Result<Vec<u8>> {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::from(accounts::user(1)?.account().0)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let hash: B256 = transaction.signature_hash();
    let signature = accounts::user(0)?.sign(&Digest(hash.0));
    let signature = Signature::from_raw_array(&signature).context("a signature of ours")?;
    Ok(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718())
}
