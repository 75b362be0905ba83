//! Two executors, random transactions over public and confidential contracts: the same root after every block, the same
//! again from the stored payloads, and every value as a plain model has it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;

use crate::common::{
    Chain, Fields, address, genesis, key,
    machine::{Op, confidential, public},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use freehold_crypto::slots;
use freehold_ledger::to_address;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const SENDERS: std::ops::RangeInclusive<u8> = 1..=5;
const SLOTS: u64 = 12;

/// What the contracts' slots should hold.
type Model = BTreeMap<(Address, U256), U256>;

struct Network {
    rng: StdRng,
    one: Chain,
    two: Chain,
    contracts: Vec<Address>,
    blocks: Vec<Vec<Vec<u8>>>,
    model: Model,
}

impl Network {
    fn new(seed: u64) -> Self {
        let chain = || Chain::new(genesis(Vec::new()));
        let mut network = Self {
            rng: StdRng::seed_from_u64(seed),
            one: chain(),
            two: chain(),
            contracts: Vec::new(),
            blocks: Vec::new(),
            model: Model::new(),
        };
        let deploys = [confidential(), public(), confidential(), public()].into_iter().zip(0..).map(|(data, nonce)| {
            network.contracts.push(address(&key(1)).create(nonce));
            network.one.sign_with(&key(1), Fields { nonce, data, ..Fields::default() })
        });
        let deploys = deploys.collect();
        network.execute(deploys);
        network
    }

    /// Executes a block on both executors and compares everything.
    fn execute(&mut self, transactions: Vec<Vec<u8>>) {
        let one = self.one.block(transactions.clone());
        let two = self.two.block(transactions.clone());
        assert_eq!(one, two);
        assert_eq!(self.one.root(), self.two.root());
        assert_eq!(one.skipped, vec![]);
        self.blocks.push(transactions);
    }

    fn op(&mut self, contract: Address) -> Op {
        let slot = U256::from(self.rng.random_range(0..SLOTS));
        // Zeros and repeated values are as interesting as new ones.
        let value = U256::from(self.rng.random_range(0..4_u64)) * U256::from(0x1234_5678_9abc_u64);
        let other = self.contracts[self.rng.random_range(0..self.contracts.len())];
        match self.rng.random_range(0..12) {
            0 => Op::Load(slot),
            1 => Op::StoreAndRevert(slot, value),
            2 => Op::Create(if self.rng.random_bool(0.5) { confidential() } else { public() }),
            3 => Op::Create2(slot, if self.rng.random_bool(0.5) { confidential() } else { public() }),
            4 => Op::Destroy,
            5 => Op::Call(other, Op::StoreAndRevert(slot, value).data()),
            6 => {
                self.model.insert((other, slot), value);
                Op::Call(other, Op::Store(slot, value).data())
            }
            7 => {
                self.model.insert((contract, slot), value);
                Op::Delegate(other, Op::Store(slot, value).data())
            }
            _ => {
                self.model.insert((contract, slot), value);
                Op::Store(slot, value)
            }
        }
    }

    fn step(&mut self) {
        let mut transactions = Vec::new();
        let mut nonces: BTreeMap<u8, u64> = SENDERS.map(|seed| (seed, self.one.nonce(&key(seed)))).collect();
        for _ in 0..self.rng.random_range(0..12) {
            let sender = self.rng.random_range(SENDERS);
            let nonce = nonces.get_mut(&sender).unwrap();
            let contract = self.contracts[self.rng.random_range(0..self.contracts.len())];
            let data = self.op(contract).data();
            let fields = Fields { to: Some(contract), data, nonce: *nonce, gas: 1_000_000, ..Fields::default() };
            transactions.push(self.one.sign_with(&key(sender), fields));
            *nonce += 1;
        }
        if self.rng.random_bool(0.02) {
            let data = Bytes::copy_from_slice(&keccak256("rotateStateKey()")[..4]);
            let to = Some(to_address(&slots::KEYS));
            transactions.push(self.one.sign_with(&key(1), Fields { to, data, nonce: nonces[&1], ..Fields::default() }));
        }
        self.execute(transactions);
    }

    /// Compares every slot with the model.
    fn check(&self) {
        for contract in &self.contracts {
            for slot in (0..SLOTS).map(U256::from) {
                let expected = self.model.get(&(*contract, slot)).copied().unwrap_or_default();
                let outcome = self.one.call(Address::ZERO, *contract, Op::Read(slot).data());
                assert_eq!(U256::from_be_slice(&outcome.output), expected, "{contract} {slot}");
            }
        }
    }
}

fn simulate(seed: u64, blocks: usize) {
    println!("seed {seed}");
    let mut network = Network::new(seed);
    for number in 0..blocks {
        network.step();
        if number % 40 == 0 {
            network.check();
        }
    }
    network.check();
    // A third one that executes the stored payloads again comes to the same block.
    let mut again = Chain::new(genesis(Vec::new()));
    for transactions in network.blocks {
        again.block(transactions);
    }
    assert_eq!((again.root(), again.tip()), (network.one.root(), network.one.tip()));
    let hash: B256 = again.tip().hash_slow();
    assert_eq!(hash, network.two.tip().hash_slow());
}

#[test]
fn two_executors_never_disagree() {
    let one = std::env::var("FREEHOLD_SEED").ok().map(|text| text.parse::<u64>().unwrap());
    for seed in one.map_or(1..=4, |seed| seed..=seed) {
        simulate(seed, 120);
    }
}
