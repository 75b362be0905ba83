//! A chain with terms, and validators whose keys the test holds.
#![allow(dead_code)]

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use freehold_crypto::{Ed25519Secret, possession_message, slots};
use freehold_ledger::{
    ExecutedBlock, ModuleRefusal, StateTree as _, read_account, read_account_value, read_committee, read_players,
    read_roster, read_storage, read_turn, read_validator, to_address,
};
use freehold_primitives::{
    Account, Blob, Digest, Diversity, Ed25519Key, Genesis, Membership, NetworkKey, Seat,
    entries::{CommitteeEntry, RosterEntry, TurnAct, TurnEntry, ValidatorEntry, ValidatorState},
};

use crate::{
    common::{Chain, Fields, GWEI, address, genesis, key},
    registry::{IValidators, Refused, module},
};

/// Payloads of a term.
pub(crate) const TERM: u64 = 4;
/// Least bond.
pub(crate) const BOND: u128 = 1_000 * GWEI;

/// The secret identity of a validator.
pub(crate) fn secret(seed: u8) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[seed; 32])
}

/// Its public key.
pub(crate) fn identity(seed: u8) -> Ed25519Key {
    secret(seed).public()
}

pub(crate) fn identities(seeds: &[u8]) -> Vec<Ed25519Key> {
    let mut all: Vec<_> = seeds.iter().copied().map(identity).collect();
    all.sort_unstable();
    all
}

/// Seeds of the validators of a genesis of four.
pub(crate) const FOUNDERS: [u8; 4] = [1, 2, 3, 4];

/// A genesis with these validators, each owned by the account of the same seed.
pub(crate) fn genesis_of(founders: &[u8]) -> Genesis {
    let mut seeds = founders.to_vec();
    seeds.sort_by_key(|seed| identity(*seed));
    let bond = U256::from(BOND).to_be_bytes();
    let seat = |seed: &u8| Seat { account: key(*seed).account(), bond, address: format!("10.0.0.{seed}:9000") };
    Genesis {
        validators: seeds.iter().map(|seed| identity(*seed)).collect(),
        consensus_polynomial: Blob(vec![7; 96]),
        derivation_polynomial: vec![NetworkKey([8; 96])],
        membership: Membership {
            term_blocks: TERM,
            seats: seeds.iter().map(seat).collect(),
            bond_min: bond,
            unbond_terms: 2,
            jail_terms: 2,
            diversity: Diversity::Required,
            app: None,
        },
        ..genesis(Vec::new())
    }
}

pub(crate) fn validators() -> Address {
    module(slots::VALIDATORS)
}

/// A chain with validators. Accounts of seeds 1 to 9 hold coins.
pub(crate) struct Net {
    pub(crate) chain: Chain,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self::of(genesis_of(&FOUNDERS))
    }

    /// With terms in which more than the four can be dealt to.
    pub(crate) fn with_terms_of(blocks: u64) -> Self {
        let mut genesis = genesis_of(&FOUNDERS);
        genesis.membership.term_blocks = blocks;
        Self::of(genesis)
    }

    pub(crate) fn of(genesis: Genesis) -> Self {
        Self { chain: Chain::new(genesis) }
    }

    pub(crate) fn send(&mut self, from: u8, call: impl SolCall, value: u128) -> Result<ExecutedBlock, Refused> {
        let transaction = self.sign(from, &call, value);
        let block = self.chain.block(vec![transaction]);
        assert_eq!(block.skipped, vec![], "the transaction stands in the block");
        let receipt = &block.receipts[0];
        if receipt.envelope.status() { Ok(block) } else { Err(Refused(ModuleRefusal::from_revert(&receipt.output))) }
    }

    pub(crate) fn sign(&self, from: u8, call: &impl SolCall, value: u128) -> Vec<u8> {
        let key = key(from);
        let fields = Fields {
            to: Some(validators()),
            value,
            data: call.abi_encode().into(),
            nonce: self.chain.nonce(&key),
            ..Fields::default()
        };
        self.chain.sign_with(&key, fields)
    }

    /// The call by which the account of seed `owner` joins with the identity of seed `seed`.
    pub(crate) fn joining(&self, seed: u8, owner: u8) -> IValidators::joinCall {
        IValidators::joinCall {
            identity: identity(seed).0.into(),
            payee: Address::ZERO,
            reachedAt: format!("10.0.0.{seed}:9000"),
            possession: possession(&self.chain, seed, &key(owner).account()).into(),
        }
    }

    pub(crate) fn join(&mut self, seed: u8, owner: u8) -> Result<ExecutedBlock, Refused> {
        let call = self.joining(seed, owner);
        self.send(owner, call, BOND)
    }

    pub(crate) fn resign(&mut self, seed: u8, owner: u8) -> Result<ExecutedBlock, Refused> {
        self.send(owner, IValidators::resignCall { identity: identity(seed).0.into() }, 0)
    }

    pub(crate) fn withdraw(&mut self, seed: u8, owner: u8) -> Result<ExecutedBlock, Refused> {
        self.send(owner, IValidators::withdrawCall { identity: identity(seed).0.into() }, 0)
    }

    pub(crate) fn unjail(&mut self, seed: u8, owner: u8) -> Result<ExecutedBlock, Refused> {
        self.send(owner, IValidators::unjailCall { identity: identity(seed).0.into() }, 0)
    }

    /// Goes on to the first block of the next term.
    pub(crate) fn next_term(&mut self) -> TurnEntry {
        let term = self.roster().term;
        while self.roster().term == term {
            self.chain.block(vec![]);
        }
        read_turn(term + 1, &self.chain.state, &self.chain.content).unwrap().unwrap()
    }

    pub(crate) fn roster(&self) -> RosterEntry {
        read_roster(&self.chain.state, &self.chain.content).unwrap().unwrap()
    }

    pub(crate) fn committee(&self) -> CommitteeEntry {
        read_committee(self.roster().term, &self.chain.state, &self.chain.content).unwrap().unwrap()
    }

    pub(crate) fn players(&self) -> Vec<Ed25519Key> {
        let entry = read_players(self.roster().term, &self.chain.state, &self.chain.content).unwrap().unwrap();
        entry.players.into_iter().map(|player| player.identity).collect()
    }

    pub(crate) fn validator(&self, seed: u8) -> ValidatorEntry {
        self.entry(&identity(seed))
    }

    pub(crate) fn entry(&self, identity: &Ed25519Key) -> ValidatorEntry {
        read_validator(identity, &self.chain.state, &self.chain.content).unwrap().unwrap()
    }

    pub(crate) fn state_of(&self, seed: u8) -> ValidatorState {
        self.validator(seed).state
    }

    pub(crate) fn bonded(&self) -> U256 {
        read_storage(&self.chain.state, &validators(), &U256::from_be_bytes(slots::bonded_slot())).unwrap()
    }

    pub(crate) fn held(&self) -> U256 {
        read_account(&self.chain.state, &validators()).unwrap().balance
    }

    /// All coins of the chain.
    pub(crate) fn coins(&self) -> U256 {
        let leaves = self.chain.state.leaves(&Digest::ZERO, usize::MAX).unwrap();
        leaves
            .iter()
            .filter_map(|(_, value)| read_account_value(value))
            .fold(U256::ZERO, |sum, account| sum + account.balance)
    }

    pub(crate) fn paid(&self, account: &Account) -> U256 {
        self.chain.balance(&to_address(account))
    }

    pub(crate) fn balance(&self, seed: u8) -> U256 {
        self.chain.balance(&address(&key(seed)))
    }
}

/// The signature by which an identity joins in the name of an account.
pub(crate) fn possession(chain: &Chain, seed: u8, account: &Account) -> Vec<u8> {
    let message = possession_message(chain.ctx.chain_id(), &chain.ctx.genesis_hash(), account);
    secret(seed).sign(&message).to_vec()
}

/// What a turn did to a validator, beside paying it.
pub(crate) fn acts(turn: &TurnEntry, seed: u8) -> Vec<TurnAct> {
    let identity = identity(seed);
    let of = turn.events.iter().filter(|event| event.identity == identity && event.act != TurnAct::Rewarded);
    of.map(|event| event.act).collect()
}
