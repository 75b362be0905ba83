//! Key release on a network of four validators over loopback: from the question for shares until the key is open, each
//! time for a grant that no validator has served before.
//!
//! What is counted: the RPC call, the other validators' shares, the check of each by the collecting validator, combination
//! and opening. What is not: the registration that grants the key.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use freehold_crypto::{
    AccountKey, Derivation, DerivedKey, EncryptedShare, Polynomial, Share, TransportSecret, app_id_from_creator_nonce,
    encrypt_share, genesis_hash, slots,
};
use freehold_emulator::{AppImage, TdReport};
use freehold_node::Clock;
use freehold_primitives::{Account, AppId, BlockMoment, Digest, Genesis};
use freehold_rpc::{CallTransaction, Endpoint, FeeQuote, NodeClient};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Samples, cpu_s,
    network::{KEY_AIM_MS, missed},
    registration::{KEYSET_S, Registrant, app_calls},
    round,
};
use crate::{
    accounts,
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{Stack, StackConfig},
};

const CHAIN_ID: u64 = 23_291;
const VALIDATORS: u32 = 4;
/// Releases under way at a time where releases a second are measured.
const CONCURRENT: usize = 8;
/// Most releases of a kind: each of the two kinds has instances of its own, and an app has 64 at most.
const COUNT_MAX: u32 = 32;
/// Registrations sent before they are waited for: a block holds 24.
const BATCH: usize = 24;
const CONTEXT: &str = "root";
const GAS: u64 = 2_400_000;
const GAS_CREATE: u64 = 12_000_000;
const RECEIPT_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for one key, and the pause between two tries.
const KEY_WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// Runs a network of its own and prints the figures of `count` releases (32 at most) one by one, and of as many eight at a
/// time.
pub(crate) async fn run(count: u32, output: Output) -> Result<()> {
    let count = count.min(COUNT_MAX);
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let wanted = Wanted::development(CHAIN_ID, VALIDATORS);
    let config = StackConfig { wanted, rpc: SocketAddr::from(([127, 0, 0, 1], 0)), app: None };
    let stack = Stack::start(&held, config, output).await?;
    let node = NodeClient::new(stack.endpoints.rpc.parse::<Endpoint>()?);
    let measured = measure(node, count).await;
    stack.stop().await;
    let figures = measured?;
    let p50 = figures.end_to_end.quantile_ms(0.5);
    output.text(&format!(
        "{VALIDATORS} validators: key release p50 {p50:.1} ms, p99 {:.1} ms (n={count}); {:.2} ms CPU a share, {:.1} ms CPU \
         a release of all together; {:.1} releases/s{}",
        figures.end_to_end.quantile_ms(0.99),
        figures.cpu_s_per_share * 1_000.0,
        figures.cpu_s_per_release * 1_000.0,
        figures.releases_per_s,
        missed(p50, KEY_AIM_MS),
    ));
    output.object(&json!({
        "event": "bench",
        "bench": "key-release",
        "validators": VALIDATORS,
        "end_to_end": figures.end_to_end.json(),
        "cpu_ms_per_share": round(figures.cpu_s_per_share * 1_000.0),
        "cpu_ms_per_release": round(figures.cpu_s_per_release * 1_000.0),
        "releases_per_s": round(figures.releases_per_s),
    }));
    Ok(())
}

/// What key releases take.
struct Figures {
    /// Question for shares to open key, one after another.
    end_to_end: Samples,
    /// Processor seconds of one release: all validators and the asking side.
    cpu_s_per_release: f64,
    /// Processor seconds of deriving and encrypting one share.
    cpu_s_per_share: f64,
    /// Releases a second, eight at a time.
    releases_per_s: f64,
}

async fn measure(node: NodeClient, count: u32) -> Result<Figures> {
    let genesis = node.genesis().await?;
    let mut app = App::deploy(node, genesis).await?;
    let mut together = app.register(2 * count).await?;
    let alone = together.split_off(count as usize);
    let app = Arc::new(app);
    let mut end_to_end = Samples::default();
    let cpu = cpu_s();
    for instance in &alone {
        let begun = Instant::now();
        app.release(instance).await?;
        end_to_end.push(begun.elapsed());
    }
    let cpu_s_per_release = (cpu_s() - cpu) / f64::from(count.max(1));
    let begun = Instant::now();
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for instance in together {
        if tasks.len() >= CONCURRENT {
            tasks.join_next().await.context("a release is under way")???;
        }
        let app = Arc::clone(&app);
        tasks.spawn(async move { app.release(&instance).await.map(|_| ()) });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let releases_per_s = f64::from(count) / begun.elapsed().as_secs_f64();
    Ok(Figures { end_to_end, cpu_s_per_release, cpu_s_per_share: cpu_of_a_share(&app)?, releases_per_s })
}

/// Processor seconds of what a validator does for one share of a grant that it has not served before.
fn cpu_of_a_share(app: &App) -> Result<f64> {
    const ROUNDS: u32 = 50;
    let mut rng = StdRng::seed_from_u64(1);
    let transport = TransportSecret::generate(&mut rng).public();
    let share = Share::from_bytes(0, &[1; 32])?;
    let begun = cpu_s();
    for _ in 0..ROUNDS {
        encrypt_share(&share, &app.derivation()?, &transport, &mut rng)?;
    }
    Ok((cpu_s() - begun) / f64::from(ROUNDS))
}

/// A registered instance, as far as its keys matter here.
#[derive(Clone)]
struct Instance {
    grant: Digest,
    transport: Arc<TransportSecret>,
}

/// An app on a running network.
struct App {
    node: NodeClient,
    genesis: Genesis,
    polynomial: Polynomial,
    td: TdReport,
    id: AppId,
    nonce: u64,
}

impl App {
    /// Brings the emulator's collateral and makes an app.
    async fn deploy(node: NodeClient, genesis: Genesis) -> Result<Self> {
        let image = AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None };
        let td = TdReport::launch(&Digest([1; 32]), &image);
        let polynomial = Polynomial::new(&genesis.derivation_polynomial)?;
        let owner = accounts::user(0)?.account();
        let nonce = node.nonce(&owner).await?;
        let id = app_id_from_creator_nonce(&owner, nonce);
        let mut app = Self { node, genesis, polynomial, td, id, nonce };
        let mut hashes = Vec::new();
        for (module, data) in app_calls(&app.td, Clock::system().now_s()) {
            hashes.push(app.send(module, data, GAS_CREATE).await?);
        }
        app.executed(&hashes).await?;
        Ok(app)
    }

    /// Registers instances, each on a machine of its own.
    async fn register(&mut self, count: u32) -> Result<Vec<Instance>> {
        let mut rng = StdRng::seed_from_u64(7);
        let block = self.node.block("latest").await?.context("the chain has a block")?;
        let block = BlockMoment { height: block.number.0, block_hash: block.hash, time_unix_s: block.timestamp.0 };
        let (mut instances, mut hashes) = (Vec::new(), Vec::new());
        for machine in 0..count {
            let transport = TransportSecret::generate(&mut rng);
            let registrant = Registrant {
                chain_id: CHAIN_ID,
                genesis_hash: genesis_hash(&self.genesis),
                app: self.id,
                provider: accounts::user(0)?.account(),
                transport_key: transport.public(),
                block,
                not_after: block.time_unix_s + KEYSET_S,
            };
            let (instance, call) = registrant.call(&AccountKey::generate(&mut rng), machine, &self.td);
            hashes.push(self.send(slots::APPS, call, GAS).await?);
            let grant = slots::grant_id(&instance, CONTEXT, 0);
            instances.push(Instance { grant, transport: Arc::new(transport) });
            if hashes.len() == BATCH {
                self.executed(&std::mem::take(&mut hashes)).await?;
            }
        }
        self.executed(&hashes).await?;
        Ok(instances)
    }

    async fn send(&mut self, to: Account, data: Vec<u8>, gas_limit: u64) -> Result<Digest> {
        let fees = FeeQuote { max_fee_per_gas: 10_000_000_000, max_priority_fee_per_gas: 0 };
        let call = CallTransaction { chain_id: CHAIN_ID, nonce: self.nonce, to, value_wei: 0, gas_limit, fees, data };
        self.nonce += 1;
        Ok(self.node.send_raw_transaction(call.sign(&accounts::user(0)?).0).await?)
    }

    async fn executed(&self, hashes: &[Digest]) -> Result<()> {
        for hash in hashes {
            let receipt = self.node.wait_for_receipt(hash, RECEIPT_WAIT).await?;
            ensure!(receipt.status.0 == 1, "transaction {hash} fails");
        }
        Ok(())
    }

    fn derivation(&self) -> Result<Derivation> {
        Ok(Derivation::new(self.polynomial.master(), &self.id, CONTEXT, 0)?)
    }

    /// The key of an instance, asked for as a guest asks for it.
    async fn release(&self, instance: &Instance) -> Result<DerivedKey> {
        let end = Instant::now() + KEY_WAIT;
        let derivation = self.derivation()?;
        loop {
            match self.node.key_shares(&instance.grant).await {
                Ok(answer) => {
                    let read = |share: &freehold_rpc::KeyShare| EncryptedShare::from_bytes(&share.share.0);
                    let shares: Vec<EncryptedShare> = answer.shares.iter().map(read).collect::<Result<_, _>>()?;
                    return Ok(instance.transport.recover(&self.polynomial, &derivation, &shares)?);
                }
                Err(error) if Instant::now() >= end => return Err(error.into()),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
