//! Random blocks from a seed: accounts, programs that mean something, and transactions of every type.

use std::collections::BTreeMap;

use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, b256};
use freehold_crypto::AccountKey;
use freehold_evm::{TxEnv, signed_authorizations};
use freehold_primitives::Digest;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

pub(crate) const BENEFICIARY: Address = address!("0x00000000000000000000000000000000c0ffee00");
pub(crate) const BLOCK_GAS: u64 = 60_000_000;
pub(crate) const PARENT_HASH: B256 = b256!("0x1111111111111111111111111111111111111111111111111111111111111111");

const SENDERS: usize = 5;
const CONTRACTS: u8 = 6;
const TRANSACTIONS: usize = 24;

/// An account before the block.
#[derive(Debug, Default)]
pub(crate) struct Before {
    pub(crate) balance: U256,
    pub(crate) code: Bytes,
}

/// A transaction to be.
#[derive(Debug)]
pub(crate) struct Tx {
    /// Type of the transaction: 0, 1, 2 or 4.
    pub(crate) kind: u8,
    /// Index of the key that signs.
    pub(crate) sender: usize,
    from: Address,
    pub(crate) nonce: u64,
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
    pub(crate) data: Bytes,
    pub(crate) gas_limit: u64,
    pub(crate) fee_max: u128,
    pub(crate) tip_max: u128,
    pub(crate) access_list: AccessList,
    pub(crate) authorizations: Vec<SignedAuthorization>,
}

impl Tx {
    /// The transaction as our machine takes it.
    pub(crate) fn environment(&self) -> TxEnv {
        TxEnv {
            tx_type: self.kind,
            caller: self.from,
            gas_limit: self.gas_limit,
            gas_price: self.fee_max,
            gas_priority_fee: (self.kind >= 2).then_some(self.tip_max),
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            nonce: self.nonce,
            chain_id: Some(1),
            access_list: self.access_list.clone(),
            authorization_list: signed_authorizations(&self.authorizations),
            ..TxEnv::default()
        }
    }
}

/// A block to be.
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) keys: Vec<AccountKey>,
    pub(crate) alloc: BTreeMap<Address, Before>,
    pub(crate) time_unix_s: u64,
    pub(crate) base_fee: u64,
    pub(crate) prev_randao: B256,
    pub(crate) transactions: Vec<Tx>,
}

impl Case {
    /// The block of a seed.
    pub(crate) fn generate(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let keys: Vec<AccountKey> = (0..SENDERS).map(|_| AccountKey::generate(&mut rng)).collect();
        let mut alloc = BTreeMap::new();
        for key in &keys {
            let balance = U256::from(10).pow(U256::from(18));
            alloc.insert(Address::from(key.account().0), Before { balance, code: Bytes::new() });
        }
        for index in 0..CONTRACTS {
            let code = program(&mut rng, 0);
            alloc.insert(contract(index), Before { balance: U256::from(rng.random_range(0..1_000u32)), code });
        }
        let mut case = Self {
            seed,
            keys,
            alloc,
            time_unix_s: 1_795_000_000 + seed,
            base_fee: rng.random_range(1..1_000),
            prev_randao: B256::from(rng.random::<[u8; 32]>()),
            transactions: Vec::new(),
        };
        let mut nonces = [0u64; SENDERS];
        for _ in 0..TRANSACTIONS {
            let tx = case.transaction(&mut rng, &mut nonces);
            case.transactions.push(tx);
        }
        case
    }

    fn transaction(&self, rng: &mut StdRng, nonces: &mut [u64; SENDERS]) -> Tx {
        let sender = rng.random_range(0..SENDERS);
        let to = match rng.random_range(0..10) {
            0 => None,
            1 => Some(Address::from(self.keys[rng.random_range(0..SENDERS)].account().0)),
            2 => Some(any_address(rng)),
            _ => Some(contract(rng.random_range(0..CONTRACTS))),
        };
        let kind = match rng.random_range(0..8) {
            0 | 1 => 0,
            2 => 1,
            3 if to.is_some() => 4,
            _ => 2,
        };
        let data = if to.is_none() { init_code(rng) } else { blob(rng, 100) };
        let fee_max = u128::from(self.base_fee) + rng.random_range(0..500);
        let mut tx = Tx {
            kind,
            sender,
            from: Address::from(self.keys[sender].account().0),
            nonce: nonces[sender],
            to,
            value: U256::from(if rng.random_bool(0.3) { rng.random_range(0..2_000u32) } else { 0 }),
            data,
            gas_limit: rng.random_range(60_000..1_500_000),
            fee_max,
            tip_max: fee_max.min(rng.random_range(0..300)),
            access_list: if kind > 0 { access_list(rng) } else { AccessList::default() },
            authorizations: Vec::new(),
        };
        if kind == 4 {
            tx.authorizations = (0..rng.random_range(1..4)).map(|_| self.authorization(rng, nonces, sender)).collect();
        }
        // Most transactions may stand in the block; a few may not, each for a reason of its own.
        match rng.random_range(0..30) {
            0 => tx.nonce += 1,
            1 => tx.gas_limit = rng.random_range(20_000..22_000),
            2 => tx.value = U256::from(10).pow(U256::from(19)),
            3 => tx.gas_limit = (1 << 24) + 1,
            4 => tx.fee_max = u128::from(self.base_fee) - 1,
            _ => nonces[sender] += 1,
        }
        tx.tip_max = tx.tip_max.min(tx.fee_max);
        tx
    }

    /// An authorization; about half of them count.
    fn authorization(&self, rng: &mut StdRng, nonces: &mut [u64; SENDERS], sender: usize) -> SignedAuthorization {
        let authority = rng.random_range(0..SENDERS);
        let expected = nonces[authority] + u64::from(authority == sender);
        let authorization = Authorization {
            chain_id: U256::from(*pick(rng, &[0, 1, 1, 2])),
            address: if rng.random_bool(0.2) { Address::ZERO } else { contract(rng.random_range(0..CONTRACTS)) },
            nonce: if rng.random_bool(0.7) { expected } else { expected + 5 },
        };
        let signature = self.keys[authority].sign(&Digest(authorization.signature_hash().0));
        let word = |at: usize| U256::from_be_slice(&signature[at..at + 32]);
        SignedAuthorization::new_unchecked(authorization, signature[64] % 27, word(0), word(32))
    }
}

fn contract(index: u8) -> Address {
    Address::with_last_byte(0xa0 + index)
}

fn pick<'a, T>(rng: &mut StdRng, list: &'a [T]) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

/// Contracts mostly, and what else can be called: precompiles, P-256, accounts that do not exist.
fn any_address(rng: &mut StdRng) -> Address {
    match rng.random_range(0..6) {
        0 => Address::with_last_byte(rng.random_range(1..=0x11)),
        1 => Address::left_padding_from(&[1, 0]),
        2 => Address::with_last_byte(0xe0 + rng.random_range(0..3)),
        _ => contract(rng.random_range(0..CONTRACTS)),
    }
}

fn blob(rng: &mut StdRng, length_max: usize) -> Bytes {
    let mut bytes = vec![0; rng.random_range(0..length_max)];
    rng.fill(&mut bytes[..]);
    bytes.into()
}

fn access_list(rng: &mut StdRng) -> AccessList {
    let item = |rng: &mut StdRng| AccessListItem {
        address: any_address(rng),
        storage_keys: (0..rng.random_range(0..3)).map(|_| B256::with_last_byte(rng.random_range(0..4))).collect(),
    };
    AccessList((0..rng.random_range(0..3)).map(|_| item(rng)).collect())
}

/// Code that makes a contract of a random program, or fails to.
fn init_code(rng: &mut StdRng) -> Bytes {
    let mut code = Code::default();
    for _ in 0..rng.random_range(0..4) {
        snippet(rng, &mut code, 2);
    }
    let runtime = match rng.random_range(0..6) {
        0 => Bytes::from_static(&[0xef, 0x00]),
        1 => Bytes::new(),
        _ => program(rng, 2),
    };
    if rng.random_bool(0.1) {
        code.push(0).push(0).op(0xfd);
        return code.bytes.into();
    }
    // The runtime stands behind the code: offset is patched once its length is known.
    let length = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    let at = u16::try_from(code.bytes.len() + 13).unwrap().to_be_bytes();
    code.raw(&[0x61, length[0], length[1], 0x61, at[0], at[1], 0x5f, 0x39]);
    code.raw(&[0x61, length[0], length[1], 0x5f, 0xf3]);
    code.raw(&runtime);
    code.bytes.into()
}

/// A program of random snippets; `depth` keeps programs inside programs small.
fn program(rng: &mut StdRng, depth: u32) -> Bytes {
    let mut code = Code::default();
    for _ in 0..rng.random_range(2..(26 >> depth)) {
        snippet(rng, &mut code, depth);
    }
    match rng.random_range(0..12) {
        0 => code.push(rng.random_range(0..64)).push(rng.random_range(0..64)).op(0xfd),
        1 => code.address(any_address(rng)).op(0xff),
        2 => code.op(*pick(rng, &[0xfe, 0x0c, 0x56, 0x01])),
        3..=6 => code.push(rng.random_range(0..96)).push(rng.random_range(0..64)).op(0xf3),
        _ => code.op(0x00),
    };
    code.bytes.into()
}

#[derive(Default)]
struct Code {
    bytes: Vec<u8>,
}

impl Code {
    fn op(&mut self, byte: u8) -> &mut Self {
        self.bytes.push(byte);
        self
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    fn push(&mut self, value: u64) -> &mut Self {
        self.word(U256::from(value))
    }

    fn word(&mut self, value: U256) -> &mut Self {
        let bytes = value.to_be_bytes_trimmed_vec();
        self.bytes.push(0x5f + u8::try_from(bytes.len()).unwrap());
        self.raw(&bytes)
    }

    fn address(&mut self, address: Address) -> &mut Self {
        self.op(0x73).raw(address.as_slice())
    }

    /// Keeps the top of the stack in a low slot, so that it shows in the state.
    fn keep(&mut self, rng: &mut StdRng) -> &mut Self {
        self.push(rng.random_range(0..5)).op(0x55)
    }
}

/// Words at the edges of what arithmetic treats differently.
fn edge(rng: &mut StdRng) -> U256 {
    match rng.random_range(0..9) {
        0 => U256::ZERO,
        1 => U256::ONE,
        2 => U256::MAX,
        3 => U256::ONE << 255,
        4 => (U256::ONE << 255) - U256::ONE,
        5 => U256::from(rng.random_range(0..300u32)),
        6 => U256::from(rng.random::<u64>()),
        7 => U256::ONE << rng.random_range(0..256usize),
        _ => U256::from_be_bytes(rng.random::<[u8; 32]>()),
    }
}

fn snippet(rng: &mut StdRng, code: &mut Code, depth: u32) {
    match rng.random_range(0..14) {
        0..=2 => arithmetic(rng, code),
        3 | 4 => memory(rng, code),
        5 | 6 => storage(rng, code),
        7 | 8 => environment(rng, code),
        9 => control(rng, code),
        10 | 11 if depth < 2 => call(rng, code),
        12 if depth < 1 => create(rng, code),
        _ => log(rng, code),
    }
}

fn arithmetic(rng: &mut StdRng, code: &mut Code) {
    let unary = [0x15, 0x19, 0x1e];
    let binary = [
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1a,
        0x1b, 0x1c, 0x1d,
    ];
    match rng.random_range(0..8) {
        0 => code.word(edge(rng)).op(*pick(rng, &unary)),
        1 => code.word(edge(rng)).word(edge(rng)).word(edge(rng)).op(*pick(rng, &[0x08, 0x09])),
        _ => code.word(edge(rng)).word(edge(rng)).op(*pick(rng, &binary)),
    };
    if rng.random_bool(0.7) {
        code.keep(rng);
    } else {
        code.push(rng.random_range(0..128)).op(0x52);
    }
}

fn memory(rng: &mut StdRng, code: &mut Code) {
    let (to, from, length) = (rng.random_range(0..160), rng.random_range(0..160), rng.random_range(0..100));
    match rng.random_range(0..9) {
        0 => code.word(edge(rng)).push(to).op(0x53),
        1 => code.push(length).push(from).push(to).op(0x5e),
        2 => code.push(length).push(from).op(0x20).keep(rng),
        3 => code.push(length).push(from).push(to).op(0x37),
        4 => code.push(length).push(from).push(to).op(0x39),
        5 => code.push(length).push(from).push(to).address(any_address(rng)).op(0x3c),
        6 => code.push(from).op(0x51).keep(rng),
        7 => code.op(0x3d).push(0).push(to).op(0x3e),
        _ => code.op(0x59).keep(rng),
    };
}

fn storage(rng: &mut StdRng, code: &mut Code) {
    let slot = rng.random_range(0..4);
    match rng.random_range(0..6) {
        0 => code.push(slot).op(0x54).keep(rng),
        1 => code.word(edge(rng)).push(slot).op(0x5d),
        2 => code.push(slot).op(0x5c).keep(rng),
        3 => code.push(0).push(slot).op(0x55),
        _ => code.push(rng.random_range(0..3)).push(slot).op(0x55),
    };
}

fn environment(rng: &mut StdRng, code: &mut Code) {
    let plain = [
        0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3a, 0x3d, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4a, 0x58,
        0x5a,
    ];
    match rng.random_range(0..6) {
        0 => code.address(any_address(rng)).op(*pick(rng, &[0x31, 0x3b, 0x3f])),
        1 => code.push(rng.random_range(0..40)).op(0x35),
        2 => code.push(rng.random_range(0..3)).op(*pick(rng, &[0x40, 0x49])),
        _ => code.op(*pick(rng, &plain)),
    };
    code.keep(rng);
}

/// A bounded loop, or a jump over something that would stop.
fn control(rng: &mut StdRng, code: &mut Code) {
    if rng.random_bool(0.5) {
        // PUSH1 condition, PUSH2 target, JUMPI, INVALID, JUMPDEST
        let target = u16::try_from(code.bytes.len() + 7).unwrap().to_be_bytes();
        code.op(0x60).op(u8::from(rng.random_bool(0.9))).raw(&[0x61, target[0], target[1], 0x57, 0xfe, 0x5b]);
        return;
    }
    // count; loop: count - 1, doubled slot; until zero
    code.push(rng.random_range(1..6));
    let start = u16::try_from(code.bytes.len()).unwrap().to_be_bytes();
    code.op(0x5b).push(1).op(0x54).push(3).op(0x02).push(1).op(0x55);
    code.push(1).op(0x90).op(0x03).op(0x80).raw(&[0x61, start[0], start[1], 0x57]).op(0x50);
}

fn call(rng: &mut StdRng, code: &mut Code) {
    let kind = *pick(rng, &[0xf1, 0xf1, 0xf2, 0xf4, 0xfa]);
    let (length_out, out) = (rng.random_range(0..64), rng.random_range(0..96));
    let (length_in, input) = (rng.random_range(0..96), rng.random_range(0..96));
    code.push(length_out).push(out).push(length_in).push(input);
    if matches!(kind, 0xf1 | 0xf2) {
        code.push(if rng.random_bool(0.3) { rng.random_range(0..50) } else { 0 });
    }
    code.address(any_address(rng));
    match rng.random_range(0..3) {
        0 => code.push(rng.random_range(0..100_000)),
        _ => code.op(0x5a),
    };
    code.op(kind).keep(rng);
}

fn create(rng: &mut StdRng, code: &mut Code) {
    let init = init_code(rng);
    for (index, part) in init.chunks(32).enumerate() {
        let mut word = [0; 32];
        word[..part.len()].copy_from_slice(part);
        code.op(0x7f).raw(&word).push(u64::try_from(index).unwrap() * 32).op(0x52);
    }
    let length = u64::try_from(init.len()).unwrap();
    if rng.random_bool(0.5) {
        code.push(rng.random_range(0..2)).push(length).push(0).push(rng.random_range(0..3)).op(0xf5);
    } else {
        code.push(length).push(0).push(rng.random_range(0..3)).op(0xf0);
    }
    code.op(0x80).keep(rng);
    // Call what was made.
    code.raw(&[0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x85, 0x5a, 0xf1]).keep(rng).op(0x50);
}

fn log(rng: &mut StdRng, code: &mut Code) {
    let topics = rng.random_range(0..5u8);
    for _ in 0..topics {
        code.word(edge(rng));
    }
    code.push(rng.random_range(0..70)).push(rng.random_range(0..90)).op(0xa0 + topics);
}
