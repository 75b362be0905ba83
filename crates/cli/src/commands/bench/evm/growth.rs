//! How state grows: bytes on disk, memory, time of a block and time to open the stores, as accounts grow tenfold; at the
//! largest size what a million transfers add, and how fast a newcomer takes the state.
//!
//! Accounts are made by a contract that sends one unit each to fresh addresses, so that each has its own leaf of the tree.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use anyhow::{Context as _, Result};
use serde_json::json;

use super::{
    super::{Samples, network_sync, round},
    CHAIN_ID,
    load::{Fields, Target},
    token::{Storage, init_code},
};
use crate::{
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{Stack, StackConfig},
};

/// Sends one unit to `keccak(i)` for each `i` from the first word to below the second.
const SPREADER: [u8; 36] = hex!("5f355b602035811015602257805f525f5f5f5f600160205f205af1506001016002565b00");
/// Fresh accounts of a transaction, and what one costs at most.
const EACH: u64 = 400;
const GAS_EACH: u64 = 36_000;
/// Transactions that are sent at once.
const BURST: usize = 20;
/// Blocks that are timed at each size, and transfers in each.
const TIMED: u32 = 20;
const TRANSFERS: usize = 100;
/// The first size that is told.
const FIRST: u64 = 10_000;
/// Transfers between accounts that exist, of which the growth by a million is told: rounds, and transfers of a round.
const ROUNDS: u64 = 20;
const ROUND: u64 = 5_000;

/// Runs the benchmark.
pub(super) async fn run(accounts: u64, output: Output) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let path = folder.path().to_path_buf();
    let mut size = FIRST.min(accounts.max(1));
    let mut made = 0;
    loop {
        let held = Held::take(&path)?;
        let (stack, _) = start(&held, output).await?;
        let host = stack.endpoints.rpc.trim_start_matches("http://").to_owned();
        let grown = tokio::task::spawn_blocking(move || grow(&host, made, size)).await;
        stack.stop().await;
        let grown = grown.context("the client ended early")??;
        let (stack, opened) = start(&held, output).await?;
        if size >= accounts {
            let (rpc, network_key) = (stack.endpoints.rpc.clone(), stack.endpoints.network_key);
            let synced = network_sync::state(&rpc.parse()?, &network_key, output).await;
            let (host, validator) = (rpc.trim_start_matches("http://").to_owned(), path.join("validator-0"));
            let added = tokio::task::spawn_blocking(move || added(&host, size, &validator)).await;
            stack.stop().await;
            tell(size, &path, &grown, opened, output)?;
            synced?;
            tell_added(added.context("the client ended early")??, output);
            return Ok(());
        }
        stack.stop().await;
        tell(size, &path, &grown, opened, output)?;
        made = size;
        size = (size * 10).min(accounts);
    }
}

/// What was measured at a size.
struct Grown {
    blocks: Samples,
    grow_s: f64,
    resident_bytes: u64,
}

/// Makes accounts until there are `size`, then times blocks of transfers to them.
fn grow(host: &str, made: u64, size: u64) -> Result<Grown> {
    let mut target = Target::resume(host, CHAIN_ID)?;
    let spreader = target.deploy(init_code(&SPREADER, Storage::Public))?;
    let begun = Instant::now();
    let mut next = made;
    while next < size {
        let mut burst = Vec::new();
        for sender in 0..BURST {
            let end = (next + EACH).min(size);
            if next < end {
                burst.push((sender, spread(spreader, next, end)));
            }
            next = end;
        }
        target.run(burst)?;
    }
    let grow_s = begun.elapsed().as_secs_f64();
    let mut blocks = Samples::default();
    for number in 0..TIMED {
        blocks.push(target.run(transfers(u64::from(number) * 7_919, TRANSFERS as u64, size))?);
    }
    Ok(Grown { blocks, grow_s, resident_bytes: resident_bytes()? })
}

/// One unit each to `count` accounts of `size`, spread over all.
fn transfers(from: u64, count: u64, size: u64) -> Vec<(usize, Fields)> {
    let to = |index: u64| Fields {
        to: Some(fresh((from + index * 104_729) % size)),
        gas: 21_000,
        value: 1,
        data: Bytes::new(),
    };
    (0..count).zip((0..BURST).cycle()).map(|(index, sender)| (sender, to(index))).collect()
}

/// Bytes that one transfer adds to the folder of a validator, on average.
fn added(host: &str, size: u64, validator: &Path) -> Result<f64> {
    let mut target = Target::resume(host, CHAIN_ID)?;
    let before = bytes_below(validator)?;
    for round in 0..ROUNDS {
        target.run(transfers(round * 15_485_863, ROUND, size))?;
    }
    let more = bytes_below(validator)?.saturating_sub(before);
    Ok(more as f64 / (ROUNDS * ROUND) as f64)
}

fn tell_added(bytes: f64, output: Output) {
    output.text(&format!("a million transfers add {bytes:.0} MB to the folder of a validator"));
    output.object(&json!({
        "event": "bench",
        "bench": "evm",
        "figure": "growth",
        "transfers": ROUNDS * ROUND,
        "bytes_each": round(bytes),
    }));
}

fn fresh(index: u64) -> Address {
    Address::from_word(keccak256(U256::from(index).to_be_bytes::<32>()))
}

fn spread(spreader: Address, from: u64, to: u64) -> Fields {
    let words = [U256::from(from), U256::from(to)].map(|word| word.to_be_bytes::<32>());
    Fields {
        to: Some(spreader),
        gas: 50_000 + GAS_EACH * (to - from),
        value: u128::from(to - from),
        data: words.concat().into(),
    }
}

/// Starts the validator on what is there, and says how long it took until a new block was final.
async fn start(held: &Held, output: Output) -> Result<(Stack, Duration)> {
    let begun = Instant::now();
    let rpc = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = StackConfig { wanted: Wanted::development(CHAIN_ID, 1), rpc, app: None };
    let stack = Stack::start(held, config, output).await?;
    Ok((stack, begun.elapsed()))
}

fn tell(size: u64, path: &Path, grown: &Grown, opened: Duration, output: Output) -> Result<()> {
    let validator = path.join("validator-0");
    let state = bytes_below(&validator.join("state"))?;
    let blocks = fs::metadata(validator.join("blocks.redb")).map_or(0, |file| file.len());
    let (block_ms, open_s) = (grown.blocks.quantile_ms(0.5), opened.as_secs_f64());
    output.text(&format!(
        "{size} accounts: state {:.1} MB, blocks {:.1} MB, memory {:.0} MB, {TRANSFERS} transfers to their receipts p50 {block_ms:.0} ms, open {open_s:.2} s ({:.0} s to grow)",
        state as f64 / 1e6,
        blocks as f64 / 1e6,
        grown.resident_bytes as f64 / 1e6,
        grown.grow_s,
    ));
    output.object(&json!({
        "event": "bench",
        "bench": "evm",
        "accounts": size,
        "state_bytes": state,
        "blocks_bytes": blocks,
        "resident_bytes": grown.resident_bytes,
        "transfers": TRANSFERS,
        "submit_to_receipts": grown.blocks.json(),
        "open_s": round(open_s),
        "grow_s": round(grown.grow_s),
    }));
    Ok(())
}

fn bytes_below(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let kind = entry.metadata()?;
        total += if kind.is_dir() { bytes_below(&entry.path())? } else { kind.len() };
    }
    Ok(total)
}

/// Memory of this process, client and node together.
fn resident_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status").context("this benchmark needs /proc")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("/proc/self/status")?;
    Ok(kib * 1024)
}
