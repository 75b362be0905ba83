//! Random transactions of every kind, some of them meant to fail, some not even transactions.

use std::{collections::BTreeMap, ops::RangeInclusive};

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use freehold_crypto::{FailureForm, ResultOpener, seal_call, slots, wrap_call};
use freehold_ledger::{ExecutedBlock, to_address};
use freehold_primitives::X25519Key;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    common::{
        self, CHAIN_ID, Fields, GWEI, access_list, address, delegate, key, legacy,
        machine::{self, Op},
    },
    precompiles,
};

pub(crate) const SENDERS: RangeInclusive<u8> = 1..=9;
const SLOTS: u64 = 24;
/// Contracts that are called; later ones take the place of earlier ones.
const CONTRACTS_MAX: usize = 40;
/// Envelopes and transactions that are kept to be sent again.
const KEPT_MAX: usize = 200;
/// Kinds of transactions.
const KINDS: usize = 16;
/// Above any base fee that these blocks reach.
const PRICE: u128 = 50 * GWEI;

/// Calls the address in the first word with what follows; keeps a digest of what came and whether it worked, and logs
/// what gas is left.
const PROBE: &[u8] = &hex!(
    "6020360380 6020 5f37 50"
    "5f5f 60203603 5f 5f 5f35 5a f1"
    "3d5f5f3e 3d5f20 01 80 60ff16 55"
    "5a5f52 60205f a0 00"
);
/// The same by STATICCALL and by DELEGATECALL.
const PROBE_STATIC: &[u8] =
    &hex!("6020360380 6020 5f37 50 5f5f 60203603 5f 5f35 5a fa 3d5f5f3e 3d5f20 01 80 60ff16 55 00");
const PROBE_DELEGATE: &[u8] =
    &hex!("6020360380 6020 5f37 50 5f5f 60203603 5f 5f35 5a f4 3d5f5f3e 3d5f20 01 80 60ff16 55 00");
/// Calls itself while there is gas, then writes on the way back.
const DIVER: &[u8] = &hex!("5a 613a98 10 600957 00 5b 5f5f5f5f5f 30 5a f1 5a 01 80 6007 16 55 00");

/// An envelope that opens, and how its answer is read.
pub(crate) struct Sealed {
    pub(crate) opener: ResultOpener,
    pub(crate) seals_failures: bool,
}

pub(crate) struct Traffic {
    rng: StdRng,
    machines: Vec<Address>,
    probes: Vec<Address>,
    divers: Vec<Address>,
    nonces: Vec<u64>,
    key: (X25519Key, u64),
    sealed: BTreeMap<B256, Sealed>,
    envelopes: Vec<Bytes>,
    sent: Vec<Vec<u8>>,
    met: [usize; KINDS],
}

fn deployed(code: &[u8], is_public: bool) -> Bytes {
    let before = if is_public { [machine::make_public(), vec![0x50]].concat() } else { Vec::new() };
    machine::constructor(&before, code)
}

impl Traffic {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed ^ 0x7aff1c),
            machines: Vec::new(),
            probes: Vec::new(),
            divers: Vec::new(),
            nonces: vec![0; SENDERS.count()],
            key: (X25519Key([9; 32]), 0),
            sealed: BTreeMap::new(),
            envelopes: Vec::new(),
            sent: Vec::new(),
            met: [0; KINDS],
        }
    }

    /// The first contracts: each code public and confidential.
    pub(crate) fn deployments(&mut self) -> Vec<Vec<u8>> {
        let runtime = machine::runtime();
        let codes = [&runtime, PROBE, PROBE_STATIC, PROBE_DELEGATE, DIVER];
        let mut transactions = Vec::new();
        for (place, code) in codes.into_iter().enumerate() {
            for is_public in [false, true] {
                let made = address(&key(1)).create(self.nonces[0]);
                match place {
                    0 => self.machines.push(made),
                    4 => self.divers.push(made),
                    _ => self.probes.push(made),
                }
                transactions.push(self.sign(1, None, deployed(code, is_public), 0));
            }
        }
        transactions
    }

    /// What the next transactions are made for.
    pub(crate) fn begin(&mut self, nonces: Vec<u64>, key: (X25519Key, u64)) {
        self.nonces = nonces;
        self.key = key;
        self.sealed.clear();
    }

    pub(crate) fn take_sealed(&mut self) -> BTreeMap<B256, Sealed> {
        std::mem::take(&mut self.sealed)
    }

    /// Takes note of new machines.
    pub(crate) fn learn(&mut self, block: &ExecutedBlock) {
        for made in block.receipts.iter().filter(|receipt| receipt.envelope.status()) {
            if let Some(made) = made.contract_address {
                if self.machines.len() >= CONTRACTS_MAX {
                    let at = self.rng.random_range(2..CONTRACTS_MAX);
                    self.machines[at] = made;
                } else {
                    self.machines.push(made);
                }
            }
        }
    }

    pub(crate) fn check_met(&self) {
        assert!(self.met.iter().all(|count| *count > 0), "kinds of transactions: {:?}", self.met);
    }

    /// `Keys.rotateStateKey()`.
    pub(crate) fn rotation(&mut self) -> Vec<u8> {
        let data = Bytes::copy_from_slice(&keccak256("rotateStateKey()")[..4]);
        self.sign(1, Some(to_address(&slots::KEYS)), data, 0)
    }

    fn sign(&mut self, sender: u8, to: Option<Address>, data: Bytes, value: u128) -> Vec<u8> {
        let nonce = &mut self.nonces[usize::from(sender - 1)];
        let fields = Fields { to, data, value, nonce: *nonce, gas: 1_000_000, price: PRICE, ..Fields::default() };
        *nonce += 1;
        common::sign(&key(sender), fields)
    }

    fn pick(&mut self, from: fn(&Self) -> &Vec<Address>) -> Address {
        let count = from(self).len();
        let at = self.rng.random_range(0..count);
        from(self)[at]
    }

    fn op(&mut self, depth: usize) -> Op {
        let slot = U256::from(self.rng.random_range(0..SLOTS));
        let value = U256::from(self.rng.random_range(0..4_u64)) * U256::from(0x1234_5678_9abc_u64);
        let code = deployed(&machine::runtime(), self.rng.random_bool(0.5));
        match self.rng.random_range(0..14) {
            0 => Op::Load(slot),
            1 => Op::StoreAndRevert(slot, value),
            2 => Op::Create(code),
            3 => Op::Create2(slot, code),
            4 => Op::Destroy,
            5..=7 if depth > 0 => {
                let (other, inner) = (self.pick(|traffic| &traffic.machines), self.op(depth - 1).data());
                if self.rng.random_bool(0.7) { Op::Call(other, inner) } else { Op::Delegate(other, inner) }
            }
            8 => {
                let (to, input) = precompiles::call(&mut self.rng);
                Op::Call(to, input.into())
            }
            9 => Op::Read(slot),
            _ => Op::Store(slot, value),
        }
    }

    /// Call data sealed as a client does it, to an epoch's key.
    fn seal(&mut self, data: &[u8], key: (X25519Key, u64)) -> (Bytes, Sealed) {
        let seals_failures = self.rng.random_bool(0.5);
        let form = if seals_failures { FailureForm::Sealed } else { FailureForm::Plain };
        let (sent, opener) = seal_call((&key.0, key.1), data, form, &mut self.rng);
        let sent = Bytes::from(sent);
        if self.envelopes.len() < KEPT_MAX {
            self.envelopes.push(sent.clone());
        } else {
            let at = self.rng.random_range(0..KEPT_MAX);
            self.envelopes[at] = sent.clone();
        }
        (sent, Sealed { opener, seals_failures })
    }

    /// An envelope with something wrong about it, or an old one sent again.
    fn bad_envelope(&mut self) -> Bytes {
        let data = self.op(1).data();
        let (public, epoch) = self.key;
        let away = self.rng.random_range(0..40);
        match self.rng.random_range(0..7) {
            0 => self.seal(&data, (public, epoch + away)).0,
            1 => self.seal(&data, (public, epoch.saturating_sub(away))).0,
            2 => self.seal(&data, (X25519Key([7; 32]), epoch)).0,
            3 => self.seal(&data, (public, 0)).0,
            4 if !self.envelopes.is_empty() => {
                let at = self.rng.random_range(0..self.envelopes.len());
                self.envelopes[at].clone()
            }
            5 => {
                let sent = self.seal(&data, (public, epoch)).0;
                sent.slice(..self.rng.random_range(0..sent.len()))
            }
            _ => {
                let mut sent = self.seal(&data, (public, epoch)).0.to_vec();
                let at = self.rng.random_range(0..sent.len());
                sent[at] ^= 1 << self.rng.random_range(0..8);
                sent.into()
            }
        }
    }

    /// One more transaction.
    pub(crate) fn transaction(&mut self) -> Vec<u8> {
        let kind = self.rng.random_range(0..KINDS);
        self.met[kind] += 1;
        let sender = self.rng.random_range(SENDERS);
        let raw = match kind {
            0..=3 => {
                let (to, data) = (self.pick(|traffic| &traffic.machines), self.op(6).data());
                let value = u128::from(self.rng.random_range(0..3_u8));
                self.sign(sender, Some(to), data, value)
            }
            4..=6 => self.sealed_call(sender),
            7 | 8 => {
                let (to, data) = (self.pick(|traffic| &traffic.machines), self.bad_envelope());
                let to = if self.rng.random_bool(0.1) { None } else { Some(to) };
                self.sign(sender, to, data, 0)
            }
            9 | 10 => {
                let (to, input) = precompiles::call(&mut self.rng);
                let probe = self.pick(|traffic| &traffic.probes);
                let data = [to.into_word().as_slice(), &input].concat();
                match self.rng.random_range(0..8) {
                    0 => self.sign(sender, Some(to), input.into(), 0),
                    _ => self.sign(sender, Some(probe), data.into(), 0),
                }
            }
            11 => {
                let diver = self.pick(|traffic| &traffic.divers);
                self.sign(sender, Some(diver), Bytes::new(), 0)
            }
            12 => {
                let mut data = deployed(&machine::runtime(), self.rng.random_bool(0.5));
                if self.rng.random_bool(0.3) {
                    data = self.seal(&data, self.key).0;
                }
                self.sign(sender, None, data, 0)
            }
            13 => self.other_type(sender),
            14 => {
                let (to, op) = (self.pick(|traffic| &traffic.machines), self.op(2));
                self.sign(sender, Some(to), wrap_call(&op.data()).into(), 0)
            }
            _ => return self.broken(sender),
        };
        if self.sent.len() < KEPT_MAX {
            self.sent.push(raw.clone());
        } else {
            let at = self.rng.random_range(0..KEPT_MAX);
            self.sent[at] = raw.clone();
        }
        raw
    }

    fn sealed_call(&mut self, sender: u8) -> Vec<u8> {
        let (to, data) = (self.pick(|traffic| &traffic.machines), self.op(4).data());
        let (sent, sealed) = self.seal(&data, self.key);
        let raw = self.sign(sender, Some(to), sent, 0);
        self.sealed.insert(keccak256(&raw), sealed);
        raw
    }

    /// Types 0, 1 and 4.
    fn other_type(&mut self, sender: u8) -> Vec<u8> {
        let at = usize::from(sender - 1);
        let nonce = self.nonces[at];
        self.nonces[at] += 1;
        let to = address(&key(self.rng.random_range(SENDERS)));
        match self.rng.random_range(0..3) {
            0 => legacy(&key(sender), nonce, to, Some(CHAIN_ID)),
            1 => access_list(&key(sender), nonce, to),
            _ => {
                let authority = sender % 9 + 1;
                let code = self.pick(|traffic| &traffic.machines);
                let theirs = self.nonces[usize::from(authority - 1)];
                self.nonces[usize::from(authority - 1)] += 1;
                delegate(&key(sender), nonce, &key(authority), theirs, code)
            }
        }
    }

    /// What no block holds: it must be left out by everyone.
    fn broken(&mut self, sender: u8) -> Vec<u8> {
        let nonce = self.nonces[usize::from(sender - 1)];
        let to = Some(address(&key(sender)));
        let fields = Fields { to, nonce, gas: 100_000, price: PRICE, ..Fields::default() };
        match self.rng.random_range(0..6) {
            0 => {
                let length = self.rng.random_range(0..200);
                (0..length).map(|_| self.rng.random()).collect()
            }
            1 if !self.sent.is_empty() => {
                let at = self.rng.random_range(0..self.sent.len());
                self.sent[at].clone()
            }
            2 => common::sign(&key(sender), Fields { nonce: nonce + 5, ..fields }),
            3 => common::sign(&key(sender), Fields { chain_id: 1, ..fields }),
            4 => common::sign(&key(100 + sender), Fields { nonce: 0, ..fields }),
            _ => {
                let mut raw = common::sign(&key(sender), fields);
                let at = self.rng.random_range(0..raw.len());
                raw[at] ^= 0x40;
                raw
            }
        }
    }
}
