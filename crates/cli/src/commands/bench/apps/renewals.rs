//! Many instances that renew their leases at once: from the first transaction sent to the last one executed.
//!
//! What is counted: JSON-RPC, admission, blocks by their gas, and the verification of every quote. What is not: making the quotes, which each
//! instance does on its own machine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use freehold_crypto::{AccountKey, TransportSecret, app_id_from_creator_nonce, genesis_hash, slots};
use freehold_emulator::{AppImage, TdReport};
use freehold_primitives::{AppId, BlockMoment, Digest, G1Point, Genesis};
use freehold_rpc::{CallTransaction, Endpoint, FeeQuote, NodeClient};
use rand::{SeedableRng as _, rngs::StdRng};

use super::super::{
    Samples,
    registration::{KEYSET_S, Registrant, app_calls},
};
use crate::accounts;

/// User's account of the development network that owns the app and pays.
const PAYER: u32 = 16;
const GAS_CREATE: u64 = 12_000_000;
const GWEI: u128 = 1_000_000_000;
/// Longest wait for a transaction.
const RECEIPT_WAIT: Duration = Duration::from_secs(60);
/// Live instances of one app (`spec/apps.md` §3).
const APP_INSTANCES_MAX: usize = 64;

/// A payer of many instances, on a running network.
struct Payer {
    node: NodeClient,
    genesis: Genesis,
    key: AccountKey,
    nonce: u64,
    apps: Vec<AppId>,
    td: TdReport,
    /// Key that shares of the app's keys would be sealed to.
    transport: G1Point,
    /// End of every keyset.
    not_after: u64,
}

/// Registers `instances`, and lets them all renew `count` times.
pub(super) async fn run(rpc: &str, instances: u8, count: u32) -> Result<Samples> {
    let apps = usize::from(instances).div_ceil(APP_INSTANCES_MAX);
    let mut payer = Payer::new(NodeClient::new(rpc.parse::<Endpoint>()?), apps).await?;
    let mut samples = Samples::default();
    payer.all(instances).await?;
    for _ in 0..count {
        samples.push(payer.all(instances).await?);
    }
    Ok(samples)
}

impl Payer {
    /// One that has created so many apps.
    async fn new(node: NodeClient, apps: usize) -> Result<Self> {
        let genesis = node.genesis().await?;
        let key = accounts::user(PAYER)?;
        let nonce = node.nonce(&key.account()).await?;
        let image = AppImage { executable: Digest([7; 32]), arguments: Vec::new(), model: None };
        let td = TdReport::launch(&Digest([9; 32]), &image);
        let now = node.block("latest").await?.context("there is no block")?.timestamp.0;
        let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(7)).public();
        let mut payer = Self { node, genesis, key, nonce, apps: Vec::new(), td, transport, not_after: now + KEYSET_S };
        let [(to, data), (store, collateral)] = app_calls(&payer.td, now);
        // A host that ran here before may have brought the platform's collateral: then this is refused, and not needed.
        if payer.node.estimate_gas(&payer.key.account(), &store, collateral.clone()).await.is_ok() {
            let hash = payer.send(store, collateral, GAS_CREATE).await?;
            payer.executed(&hash).await?;
        }
        for _ in 0..apps {
            payer.apps.push(app_id_from_creator_nonce(&payer.key.account(), payer.nonce));
            let hash = payer.send(to, data.clone(), GAS_CREATE).await?;
            payer.executed(&hash).await?;
        }
        Ok(payer)
    }

    /// Registers or renews all, and says how long that took.
    async fn all(&mut self, instances: u8) -> Result<Duration> {
        let block = self.node.block("latest").await?.context("there is no block")?;
        let mut calls = Vec::new();
        for number in 1..=instances {
            let registrant = Registrant {
                chain_id: self.genesis.chain_id,
                genesis_hash: genesis_hash(&self.genesis),
                app: self.apps[usize::from(number) % self.apps.len()],
                provider: self.key.account(),
                transport_key: self.transport,
                block: BlockMoment { height: block.number.0, block_hash: block.hash, time_unix_s: block.timestamp.0 },
                not_after: self.not_after,
            };
            let account = AccountKey::from_bytes(&[number; 32])?;
            calls.push(registrant.call(&account, u32::from(number), &self.td).1);
        }
        let first = calls.first().context("there are instances")?;
        // What the chain refuses it tells in its own words here. As a host does, a quarter is given on top.
        let gas = self.node.estimate_gas(&self.key.account(), &slots::APPS, first.clone()).await?;
        let begun = Instant::now();
        let mut waiting = Vec::new();
        for call in calls {
            waiting.push(self.send(slots::APPS, call, gas + gas / 4).await?);
        }
        for hash in waiting {
            self.executed(&hash).await?;
        }
        Ok(begun.elapsed())
    }

    async fn send(&mut self, to: freehold_primitives::Account, data: Vec<u8>, gas_limit: u64) -> Result<Digest> {
        let fees = FeeQuote { max_fee_per_gas: 10 * GWEI, max_priority_fee_per_gas: 0 };
        let (chain_id, nonce) = (self.genesis.chain_id, self.nonce);
        let call = CallTransaction { chain_id, nonce, to, value_wei: 0, gas_limit, fees, data };
        self.nonce += 1;
        Ok(self.node.send_raw_transaction(call.sign(&self.key).0).await?)
    }

    async fn executed(&self, hash: &Digest) -> Result<()> {
        let receipt = self.node.wait_for_receipt(hash, RECEIPT_WAIT).await?;
        ensure!(receipt.status.0 == 1, "transaction {hash} fails, having used {} gas", receipt.gas_used.0);
        Ok(())
    }
}
