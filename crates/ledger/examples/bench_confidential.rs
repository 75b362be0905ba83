//! Prints ERC-20 transfers a second over public and over confidential storage, alternating, and their ratio: execution and
//! sealing, with and without recovery of the senders. The store is in memory and not measured.
//!
//! `cargo run --release -p freehold-ledger --example bench_confidential`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/all/common/mod.rs"]
mod common;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use common::{
    Chain, Fields, genesis, key,
    machine::{constructor, make_public},
};
use freehold_ledger::{Admitted, Ordered, Recovered, admit, prepare_payload};

const ACCOUNTS: u64 = 10_000;
const TRANSFERS: u64 = 700;
const BLOCKS: usize = 30;

/// Balances in a mapping at slot 0, `transfer(address,uint256)` and its event; no check of the balance.
fn token() -> Vec<u8> {
    let topic = keccak256("Transfer(address,address,uint256)");
    let debit = hex!("335f5260405f208054602435809103909155");
    let credit = hex!("6004355f5260405f20805482019055");
    let log = [&hex!("5f52600435337f")[..], topic.as_slice(), &hex!("60205fa3")].concat();
    [&debit[..], &credit, &log, &hex!("60015f5260205ff3")].concat()
}

struct Kept(BTreeMap<B256, Recovered>);

impl Admitted for Kept {
    fn get(&self, hash: &B256) -> Option<Recovered> {
        self.0.get(hash).cloned()
    }
}

struct Bench {
    chain: Chain,
    token: Address,
    sent: u64,
    execution: Duration,
    whole: Duration,
}

impl Bench {
    fn new(before: &[u8]) -> Self {
        let mut chain = Chain::new(genesis(Vec::new()));
        let deploy = chain.sign_with(&key(1), Fields { data: constructor(before, &token()), ..Fields::default() });
        let token = chain.block(vec![deploy]).receipts[0].contract_address.unwrap();
        Self { chain, token, sent: 0, execution: Duration::ZERO, whole: Duration::ZERO }
    }

    fn transfers(&mut self) -> Vec<Vec<u8>> {
        let mut nonces: BTreeMap<u8, u64> = (1..=9).map(|seed| (seed, self.chain.nonce(&key(seed)))).collect();
        let mut transactions = Vec::new();
        for _ in 0..TRANSFERS {
            let seed = (self.sent % 9) as u8 + 1;
            let to = Address::from_word(keccak256((self.sent * 7 % ACCOUNTS).to_be_bytes())).into_word();
            let data = [&hex!("a9059cbb")[..], to.as_slice(), B256::with_last_byte(1).as_slice()].concat();
            let nonce = nonces.get_mut(&seed).unwrap();
            let fields = Fields {
                to: Some(self.token),
                data: Bytes::from(data),
                nonce: *nonce,
                gas: 80_000,
                ..Fields::default()
            };
            transactions.push(self.chain.sign_with(&key(seed), fields));
            *nonce += 1;
            self.sent += 1;
        }
        transactions
    }

    /// Prepares one block twice, with senders known and unknown, and executes it.
    fn block(&mut self) {
        let transactions = self.transfers();
        let recovered = transactions.iter().map(|raw| admit(&self.chain.ctx, raw).unwrap());
        let kept = Kept(recovered.map(|recovered| (recovered.hash(), recovered)).collect());
        self.chain.time_ms += 1_000;
        let payload = self.chain.payload(transactions.clone());
        let prepare = |admitted: &dyn Admitted| {
            let ordered = Ordered { payload: &payload, seed: None, admitted };
            let start = Instant::now();
            prepare_payload(&self.chain.ctx, self.chain.parent(), ordered, &self.chain.state).unwrap();
            start.elapsed()
        };
        self.execution += prepare(&kept);
        self.whole += prepare(&());
        let block = self.chain.block_now(transactions);
        assert!(block.skipped.is_empty() && block.receipts.iter().all(|receipt| receipt.envelope.status()));
    }
}

fn main() {
    let mut public = Bench::new(&[make_public(), vec![0x50]].concat());
    let mut confidential = Bench::new(&[]);
    for bench in [&mut public, &mut confidential] {
        for _ in 0..ACCOUNTS.div_ceil(TRANSFERS) {
            bench.block();
        }
        (bench.execution, bench.whole) = (Duration::ZERO, Duration::ZERO);
    }
    for _ in 0..BLOCKS {
        public.block();
        confidential.block();
    }
    let rate = |time: Duration| (TRANSFERS * BLOCKS as u64) as f64 / time.as_secs_f64();
    for (name, of) in [("execution", 0), ("with senders", 1)] {
        let time = |bench: &Bench| if of == 0 { bench.execution } else { bench.whole };
        let (open, sealed) = (rate(time(&public)), rate(time(&confidential)));
        println!("{name:13} public {open:.0}/s, confidential {sealed:.0}/s, ratio {:.2}", sealed / open);
    }
}
