//! Executors that differ in everything but the payloads: stores on disk, a restart or a crash in the middle, a plain map in
//! place of a tree, senders recovered beforehand in another order, a block prepared twice. Over random transactions (public,
//! confidential, encrypted, broken; deployments, deep calls, precompiles, modules, key rotations) they make the same blocks.
//!
//! `FREEHOLD_SIM_TRANSACTIONS` says how many (default below; 100,000 in the acceptance run), `FREEHOLD_SEED` which ones.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../../../ledger/tests/all/common/mod.rs"]
mod common;
mod keeper;
mod plain;
mod precompiles;
mod traffic;

use std::{collections::BTreeMap, time::Instant};

use self::common::genesis;
use self::keeper::{Keeper, Stop};
use self::plain::Plain;
use self::traffic::{Sealed, Traffic};
use freehold_crypto::{CallResult, payload_digest};
use freehold_ledger::{ChainContext, ExecutedBlock, Status, call_data_key};
use freehold_primitives::{
    Blob, Canonical as _, Digest, Ed25519Signature, Executed, G1Point, Genesis, Payload, PayloadBody, PayloadHead,
    X25519Key,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Transactions of an ordinary run.
const TRANSACTIONS: usize = 3_000;
/// Most transactions of a payload: their gas limits fill a block.
const PAYLOAD_MAX: usize = 60;
/// Seconds of an epoch: short, so that a run meets many.
const EPOCH_S: u64 = 20;

/// What happened, so that a run which never met something fails.
#[derive(Debug, Default)]
struct Seen {
    transactions: usize,
    blocks: usize,
    failed: usize,
    skipped: usize,
    answers_opened: usize,
    failures_opened: usize,
    restarts: usize,
    rotations: u32,
    epochs: u64,
}

struct Simulation {
    rng: StdRng,
    traffic: Traffic,
    steady: Keeper,
    restarted: Keeper,
    plain: Plain,
    head: PayloadHead,
    seen: Seen,
}

fn chain() -> Genesis {
    Genesis { epoch_s: EPOCH_S, ..genesis(Vec::new()) }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let steady = Keeper::new(chain());
        let restarted = Keeper::new(chain());
        let genesis_header = steady.tip().clone();
        let context = ChainContext::new(chain()).unwrap();
        let head = PayloadHead {
            chain_id: context.chain_id(),
            height: 0,
            term: 0,
            view: 0,
            parent: Digest::ZERO,
            timestamp_ms: context.genesis().timestamp_ms,
            proposer: 0,
            executed: Executed { height: 0, block_hash: Digest(genesis_header.hash_slow().0) },
            parent_seed: None,
            body: freehold_crypto::body_digest(&PayloadBody::default().to_canonical()),
        };
        let plain = Plain::new(chain(), genesis_header);
        let mut simulation = Self {
            rng: StdRng::seed_from_u64(seed),
            traffic: Traffic::new(seed),
            steady,
            restarted,
            plain,
            head,
            seen: Seen::default(),
        };
        let first = simulation.traffic.deployments();
        simulation.execute(first);
        simulation
    }

    fn payload(&mut self, transactions: Vec<Vec<u8>>) -> Payload {
        let passed_ms = match self.rng.random_range(0..20) {
            0 => self.rng.random_range(1..8 * EPOCH_S) * 1000,
            _ => self.rng.random_range(0..2_000),
        };
        let body = PayloadBody { transactions: transactions.into_iter().map(Blob).collect(), ..PayloadBody::default() }
            .to_canonical();
        let height = self.head.height + 1;
        let tip = self.steady.tip();
        let head = PayloadHead {
            height,
            view: height,
            parent: payload_digest(&self.head),
            timestamp_ms: self.head.timestamp_ms + passed_ms,
            executed: Executed { height: tip.number, block_hash: Digest(tip.hash_slow().0) },
            body: freehold_crypto::body_digest(&body),
            ..self.head.clone()
        };
        Payload { head, body: Blob(body), signature: Ed25519Signature::ZERO }
    }

    /// Executes a payload everywhere and compares everything.
    fn execute(&mut self, transactions: Vec<Vec<u8>>) -> ExecutedBlock {
        let payload = self.payload(transactions);
        let mut seed = [0; 48];
        self.rng.fill(&mut seed);
        let seed = G1Point(seed);
        let block = self.steady.execute(&payload, &seed);
        let stop = match self.rng.random_range(0..40) {
            0 => Stop::Clean,
            1 => Stop::BeforeBlock,
            2 => Stop::Flushed,
            _ => Stop::Never,
        };
        self.seen.restarts += usize::from(stop != Stop::Never);
        let again = self.restarted.execute_and(&payload, &seed, stop);
        assert_eq!(again, block, "height {}", payload.head.height);
        let prepared = self.plain.execute(&payload, &seed, &mut self.rng, Digest(block.header.state_root.0));
        assert_eq!(prepared, block, "height {}", payload.head.height);
        self.head = payload.head;
        self.seen.blocks += 1;
        self.seen.transactions += block.transactions.len() + block.skipped.len();
        self.seen.skipped += block.skipped.len();
        self.seen.failed += block.receipts.iter().filter(|receipt| !receipt.envelope.status()).count();
        block
    }

    fn step(&mut self) {
        let nonces = self.steady.nonces();
        let key = call_data_key(self.steady.context(), self.steady.parent(), self.steady.tree()).unwrap().unwrap();
        self.seen.epochs = self.seen.epochs.max(key.epoch);
        self.traffic.begin(nonces, (X25519Key(key.public_key), key.epoch));
        let count = self.rng.random_range(0..PAYLOAD_MAX);
        let mut transactions: Vec<Vec<u8>> = (0..count).map(|_| self.traffic.transaction()).collect();
        // While values still move, a second request is refused; that is compared too.
        if self.rng.random_bool(0.02) {
            transactions.push(self.traffic.rotation());
        }
        let block = self.execute(transactions);
        self.check_answers(&block);
        self.traffic.learn(&block);
    }

    /// Whoever sealed a call reads its answer.
    fn check_answers(&mut self, block: &ExecutedBlock) {
        let mut sealed: BTreeMap<_, Sealed> = self.traffic.take_sealed();
        for (transaction, receipt) in block.transactions.iter().zip(&block.receipts) {
            let Some(call) = sealed.remove(&transaction.hash) else { continue };
            if receipt.contract_address.is_some() {
                continue;
            }
            match (receipt.envelope.status(), call.opener.open(&receipt.output)) {
                (true, Ok(CallResult::Returned(_))) => self.seen.answers_opened += 1,
                (false, Ok(CallResult::Failed(_))) if call.seals_failures => self.seen.failures_opened += 1,
                // In the open, or a refusal that nobody could seal.
                (false, _) if !call.seals_failures || receipt.output.is_empty() => {}
                (status, answer) => panic!("status {status}, answer {answer:?}"),
            }
        }
    }
}

fn simulate(seed: u64, transactions: usize) {
    println!("seed {seed}");
    let begun = Instant::now();
    let mut simulation = Simulation::new(seed);
    let first_epoch = simulation.steady.tip().timestamp / EPOCH_S;
    while simulation.seen.transactions < transactions {
        simulation.step();
    }
    simulation.seen.rotations = simulation.steady.generation();
    simulation.seen.epochs -= first_epoch;
    println!("{:?} in {:.1} s", simulation.seen, begun.elapsed().as_secs_f64());
    let Seen { failed, skipped, answers_opened, failures_opened, restarts, rotations, epochs, .. } = simulation.seen;
    assert!(rotations > 0 && restarts > 0 && epochs > 5, "rotations, restarts and epochs");
    assert!(failed > transactions / 50 && skipped > transactions / 100, "failures and left-out transactions");
    assert!(answers_opened > transactions / 50 && failures_opened > 0, "sealed answers");
    simulation.traffic.check_met();
    // From nothing but its stored payloads a fourth one comes to the same place.
    let replayed = simulation.steady.replayed();
    assert_eq!(replayed, (simulation.steady.tip().hash_slow(), simulation.restarted.root()));
    // A call over any of the stores gives the same.
    let calls = [simulation.steady.probe(), simulation.restarted.probe()];
    assert_eq!(calls[0], calls[1]);
    assert!(calls[0].iter().any(|outcome| outcome.status == Status::Success));
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn executors_never_disagree() {
    let transactions = number("FREEHOLD_SIM_TRANSACTIONS").map_or(TRANSACTIONS, |count| count as usize);
    simulate(number("FREEHOLD_SEED").unwrap_or(1), transactions);
}
