//! A chain of one test: accounts that sign, payloads that follow each other, and blocks that come out.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod machine;

use std::collections::BTreeMap;

use alloy_consensus::{Header, SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{Encodable2718 as _, eip7702::Authorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use freehold_crypto::{AccountKey, ContractCipher, StateCipher, StateKeys, body_digest, payload_digest, slots};
use freehold_ledger::{
    CallRequest, ChainContext, ExecutedBlock, LedgerError, MemoryTree, Outcome, Parent, StateTree as _, Transaction,
    Visibility, call, execute_payload, genesis_block, read_account, read_committee, read_entry, read_masters,
    read_players, read_storage, to_address,
};
use freehold_primitives::{
    Account, Allocation, Blob, Canonical as _, Digest, Dispute, Ed25519Key, Ed25519Signature, Executed, G1Point,
    Genesis, KeyCeremony, Membership, Payload, PayloadBody, PayloadHead, TermOutcome, TermTurn, TrustRoot,
    entries::{EntryKind, StateKeyStatus},
};
use zeroize::Zeroizing;

pub(crate) const CHAIN_ID: u64 = 23_293;
pub(crate) const START_MS: u64 = 1_760_000_000_000;
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Price that tests pay: above the floor of the base fee.
pub(crate) const PRICE: u128 = 2 * GWEI;

/// An account that signs.
pub(crate) fn key(seed: u8) -> AccountKey {
    AccountKey::from_bytes(&[seed; 32]).unwrap()
}

pub(crate) fn address(key: &AccountKey) -> Address {
    to_address(&key.account())
}

pub(crate) fn signature(key: &AccountKey, prehash: B256) -> Signature {
    let bytes = key.sign(&Digest(prehash.0));
    let parity = bytes[64] == 1 || bytes[64] == 28;
    Signature::from_bytes_and_parity(&bytes[..64], parity)
}

pub(crate) fn genesis(trust_roots: Vec<TrustRoot>) -> Genesis {
    let mut balance = [0; 32];
    balance.copy_from_slice(&U256::from(10).pow(U256::from(22)).to_be_bytes::<32>());
    let allocations = (1..=9).map(|seed| Allocation { account: key(seed).account(), balance }).collect();
    Genesis {
        chain_id: CHAIN_ID,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: START_MS,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots,
        allocations,
        membership: Membership::default(),
    }
}

/// A chain in memory.
pub(crate) struct Chain {
    pub(crate) ctx: ChainContext,
    pub(crate) state: MemoryTree,
    pub(crate) content: BTreeMap<Digest, Vec<u8>>,
    pub(crate) headers: BTreeMap<u64, Header>,
    pub(crate) head: PayloadHead,
    pub(crate) time_ms: u64,
    pub(crate) keys: Option<StateKeys>,
    pub(crate) seed: Option<G1Point>,
    /// How the running term's round of key generation ends.
    pub(crate) round: Round,
}

/// How a round of key generation ends: by default well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Round {
    pub(crate) failed: bool,
    pub(crate) silent: Vec<Ed25519Key>,
    pub(crate) disputes: Vec<Dispute>,
}

/// The state keys of a chain of these tests.
pub(crate) fn state_keys() -> StateKeys {
    StateKeys::development(Zeroizing::new([0x5e; 32]))
}

impl Chain {
    pub(crate) fn new(genesis: Genesis) -> Self {
        let ctx = ChainContext::new(genesis).unwrap();
        let mut state = MemoryTree::default();
        let block = genesis_block(&ctx, &mut state).unwrap();
        let head = PayloadHead {
            chain_id: ctx.chain_id(),
            height: 0,
            term: 0,
            view: 0,
            parent: Digest::ZERO,
            timestamp_ms: ctx.genesis().timestamp_ms,
            proposer: 0,
            executed: Executed { height: 0, block_hash: Digest(block.hash.0) },
            parent_seed: None,
            body: body_digest(&PayloadBody::default().to_canonical()),
        };
        let time_ms = ctx.genesis().timestamp_ms;
        let content = block.content.into_iter().collect();
        let headers = BTreeMap::from([(0, block.header)]);
        Self {
            ctx,
            state,
            content,
            headers,
            head,
            time_ms,
            keys: Some(state_keys()),
            seed: None,
            round: Round::default(),
        }
    }

    pub(crate) fn tip(&self) -> &Header {
        self.headers.last_key_value().unwrap().1
    }

    pub(crate) fn parent(&self) -> Parent<'_> {
        Parent { header: self.tip(), content: &self.content, hashes: &self.headers, keys: self.keys.as_ref() }
    }

    /// The payload that comes next, with these transactions.
    pub(crate) fn payload(&self, transactions: Vec<Vec<u8>>) -> Payload {
        let height = self.head.height + 1;
        let term = height.checked_div(self.ctx.genesis().membership.term_blocks).unwrap_or_default();
        let turn = (term > self.head.term).then(|| self.turn(term));
        let transactions = transactions.into_iter().map(Blob).collect();
        let body = PayloadBody { transactions, turn, ..PayloadBody::default() }.to_canonical();
        let head = PayloadHead {
            height,
            term,
            view: height,
            parent: payload_digest(&self.head),
            timestamp_ms: self.time_ms,
            executed: Executed { height: self.tip().number, block_hash: Digest(self.tip().hash_slow().0) },
            body: body_digest(&body),
            ..self.head.clone()
        };
        Payload { head, body: Blob(body), signature: Ed25519Signature::ZERO }
    }

    /// The turn to a term, as consensus would compute it.
    pub(crate) fn turn(&self, term: u64) -> TermTurn {
        let Round { failed, silent, disputes } = self.round.clone();
        let before = read_committee(term - 1, &self.state, &self.content).unwrap().unwrap();
        let players = read_players(term - 1, &self.state, &self.content).unwrap().unwrap().players;
        let members = if failed { before.members } else { players.into_iter().map(|player| player.identity).collect() };
        let outcome = if failed { TermOutcome::Kept } else { TermOutcome::Reshared };
        let masters = read_masters(term - 1, &self.state, &self.content).unwrap();
        let masters = masters.map_or_else(Vec::new, |entry| {
            entry.live.into_iter().filter(|master| entry.reshared.contains(&master.generation)).collect()
        });
        let (consensus_polynomial, derivation_polynomial) = (before.consensus_polynomial, before.derivation_polynomial);
        TermTurn {
            term,
            members,
            consensus_polynomial,
            derivation_polynomial,
            outcome,
            silent,
            disputes,
            waiting: None,
            masters,
        }
    }

    /// Executes the next payload, one second later.
    pub(crate) fn block(&mut self, transactions: Vec<Vec<u8>>) -> ExecutedBlock {
        self.time_ms += 1000;
        self.block_now(transactions)
    }

    /// Executes the next payload in the same second.
    pub(crate) fn block_now(&mut self, transactions: Vec<Vec<u8>>) -> ExecutedBlock {
        self.try_block(transactions).unwrap()
    }

    /// Executes the next payload, or says why that cannot be.
    pub(crate) fn try_block(&mut self, transactions: Vec<Vec<u8>>) -> Result<ExecutedBlock, LedgerError> {
        let payload = self.payload(transactions);
        let header = self.headers.last_key_value().unwrap().1;
        let parent = Parent { header, content: &self.content, hashes: &self.headers, keys: self.keys.as_ref() };
        let block = execute_payload(&self.ctx, parent, &payload, self.seed.as_ref(), &mut self.state)?;
        if payload.head.term > self.head.term {
            self.round = Round::default();
        }
        self.head = payload.head;
        self.content.extend(block.content.iter().cloned());
        self.headers.insert(block.header.number, block.header.clone());
        Ok(block)
    }

    pub(crate) fn balance(&self, address: &Address) -> U256 {
        read_account(&self.state, address).unwrap().balance
    }

    pub(crate) fn nonce(&self, key: &AccountKey) -> u64 {
        read_account(&self.state, &address(key)).unwrap().nonce
    }

    /// A slot: plain where it is public, and opened under the newest generation where it is confidential.
    pub(crate) fn storage(&self, address: &Address, slot: u64) -> U256 {
        let slot = U256::from(slot);
        if self.visibility(address) == Visibility::Public {
            return read_storage(&self.state, address, &slot).unwrap();
        }
        assert_eq!(read_storage(&self.state, address, &slot).unwrap(), U256::ZERO);
        let contract = self.contract_cipher(self.state_key_status().newest, address);
        let (slot, key) = (slot.to_be_bytes(), contract.tree_key(&slot.to_be_bytes()));
        let sealed = self.state.get(&key).unwrap();
        sealed.map_or(U256::ZERO, |sealed| U256::from_be_bytes(contract.open(&key, &slot, &sealed).unwrap()))
    }

    pub(crate) fn visibility(&self, address: &Address) -> Visibility {
        read_account(&self.state, address).unwrap().visibility
    }

    pub(crate) fn contract_cipher(&self, generation: u32, address: &Address) -> ContractCipher {
        let root = state_keys().get(generation).unwrap();
        StateCipher::new(root, self.ctx.genesis_hash()).contract(&account(address))
    }

    pub(crate) fn state_key_status(&self) -> StateKeyStatus {
        let id = slots::STATE_KEY_STATUS_ID;
        read_entry(EntryKind::StateKeyStatus, &id, &self.state, &self.content).unwrap().unwrap_or_default()
    }

    /// Signs a call with the account's next nonce.
    pub(crate) fn sign(&self, key: &AccountKey, to: Address, value: u128, data: impl Into<Bytes>) -> Vec<u8> {
        self.sign_with(
            key,
            Fields { to: Some(to), value, data: data.into(), nonce: self.nonce(key), ..Fields::default() },
        )
    }

    pub(crate) fn sign_with(&self, key: &AccountKey, fields: Fields) -> Vec<u8> {
        sign(key, fields)
    }

    /// A call over the newest state.
    pub(crate) fn call(&self, from: Address, to: Address, data: impl Into<Bytes>) -> Outcome {
        let request = CallRequest { from, to: Some(to), data: data.into(), ..CallRequest::default() };
        call(&self.ctx, self.parent(), &self.state, &request).unwrap()
    }

    pub(crate) fn root(&self) -> Digest {
        self.state.root()
    }
}

/// Fields of a type 2 transaction.
#[derive(Clone)]
pub(crate) struct Fields {
    pub(crate) chain_id: u64,
    pub(crate) nonce: u64,
    pub(crate) gas: u64,
    pub(crate) price: u128,
    pub(crate) priority: u128,
    pub(crate) to: Option<Address>,
    pub(crate) value: u128,
    pub(crate) data: Bytes,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            chain_id: CHAIN_ID,
            nonce: 0,
            gas: 10_000_000,
            price: PRICE,
            priority: GWEI / 10,
            to: None,
            value: 0,
            data: Bytes::new(),
        }
    }
}

/// A signed type 2 transaction.
pub(crate) fn sign(key: &AccountKey, fields: Fields) -> Vec<u8> {
    let tx = TxEip1559 {
        chain_id: fields.chain_id,
        nonce: fields.nonce,
        gas_limit: fields.gas,
        max_fee_per_gas: fields.price,
        max_priority_fee_per_gas: fields.priority,
        to: fields.to.map_or(TxKind::Create, TxKind::Call),
        value: U256::from(fields.value),
        input: fields.data,
        ..TxEip1559::default()
    };
    let signature = signature(key, tx.signature_hash());
    Transaction::from(tx.into_signed(signature)).encoded_2718()
}

pub(crate) fn legacy(key: &AccountKey, nonce: u64, to: Address, chain_id: Option<u64>) -> Vec<u8> {
    let tx = TxLegacy {
        chain_id,
        nonce,
        gas_price: PRICE,
        gas_limit: 21_000,
        to: TxKind::Call(to),
        value: U256::from(1),
        input: Bytes::new(),
    };
    let signature = signature(key, tx.signature_hash());
    Transaction::from(tx.into_signed(signature)).encoded_2718()
}

pub(crate) fn access_list(key: &AccountKey, nonce: u64, to: Address) -> Vec<u8> {
    let tx = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce,
        gas_price: PRICE,
        gas_limit: 30_000,
        to: TxKind::Call(to),
        value: U256::from(1),
        access_list: alloy_eips::eip2930::AccessList(vec![alloy_eips::eip2930::AccessListItem {
            address: to,
            storage_keys: vec![B256::ZERO],
        }]),
        input: Bytes::new(),
    };
    let signature = signature(key, tx.signature_hash());
    Transaction::from(tx.into_signed(signature)).encoded_2718()
}

/// A type 4 transaction of `sender` in which `authority` takes on the code at `code`.
pub(crate) fn delegate(
    sender: &AccountKey,
    nonce: u64,
    authority: &AccountKey,
    authority_nonce: u64,
    code: Address,
) -> Vec<u8> {
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: code, nonce: authority_nonce };
    let signed = signature(authority, authorization.signature_hash());
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: PRICE,
        max_priority_fee_per_gas: 0,
        to: address(authority),
        value: U256::ZERO,
        access_list: Default::default(),
        authorization_list: vec![authorization.into_signed(signed)],
        input: Bytes::new(),
    };
    let signature = signature(sender, tx.signature_hash());
    Transaction::from(tx.into_signed(signature)).encoded_2718()
}

/// Init code that deploys `runtime`.
pub(crate) fn init_code(runtime: &[u8]) -> Bytes {
    let length = u8::try_from(runtime.len()).unwrap();
    // PUSH1 length, DUP1, PUSH1 11, PUSH0, CODECOPY, PUSH0, RETURN, padded to eleven bytes.
    let mut code = vec![0x60, length, 0x80, 0x60, 0x0b, 0x5f, 0x39, 0x5f, 0xf3, 0x00, 0x00];
    code.extend_from_slice(runtime);
    code.into()
}

pub(crate) fn account(address: &Address) -> Account {
    Account(address.0.0)
}
