//! Mempool: transactions that wait for their turn, in order by account.
//!
//! Invariants: at most one transaction per (account, nonce); the cost of an account's waiting transactions never exceeds
//! its balance as of the newest executed block; total count, total bytes and transactions per account are bounded, and
//! what is refused changes nothing. Not here: static validity (`freehold_ledger::admit`), gossip, the clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::{Address, B256, U256};
use freehold_crypto::slots::account_key;
use freehold_primitives::{Account, Digest};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Most transactions in the pool.
pub(crate) const POOL_COUNT_MAX: usize = 16_384;
/// Most bytes of transactions in the pool.
pub(crate) const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most transactions of one account, and how far a nonce may lie ahead of the account's.
pub(crate) const ACCOUNT_COUNT_MAX: usize = 256;
/// A replacement must raise both fees by this many percent.
pub(crate) const REPLACEMENT_PERCENT: u128 = 10;

/// A transaction as the pool sees it: already decoded, recovered and statically valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Hash.
    pub(crate) hash: B256,
    /// Account that signed it.
    pub(crate) sender: Address,
    /// Its nonce.
    pub(crate) nonce: u64,
    /// Gas limit.
    pub(crate) gas_limit: u64,
    /// Highest fee per gas, in wei.
    pub(crate) fee_max: u128,
    /// Highest priority fee per gas, in wei.
    pub(crate) tip_max: u128,
    /// Most that it can cost: gas limit times highest fee, plus value.
    pub(crate) cost_max: U256,
    /// EIP-2718 bytes.
    pub(crate) raw: Vec<u8>,
}

/// Why the pool refuses a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum PoolError {
    /// The account has already used this nonce.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// Nonce the account needs.
        next: u64,
        /// Nonce of the transaction.
        nonce: u64,
    },
    /// The nonce lies too far ahead.
    #[error("nonce too high: next nonce {next}, tx nonce {nonce}, at most {ACCOUNT_COUNT_MAX} ahead")]
    NonceTooHigh {
        /// Nonce the account needs.
        next: u64,
        /// Nonce of the transaction.
        nonce: u64,
    },
    /// The account cannot pay for this and for what it already has waiting.
    #[error("insufficient funds for gas * price + value: have {have}, need {need} with what already waits")]
    Funds {
        /// Balance.
        have: U256,
        /// Cost of all of the account's waiting transactions with this one.
        need: U256,
    },
    /// The same transaction waits already.
    #[error("already known")]
    Known,
    /// A transaction with this nonce waits and pays too much to be replaced.
    #[error("replacement transaction underpriced: raise both fees by {REPLACEMENT_PERCENT} % at least")]
    Underpriced,
    /// The pool is full and this pays no more than the cheapest in it.
    #[error("the pool is full: raise the fee or try again later")]
    Full,
}

/// What the newest executed block says of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AccountState {
    /// Next nonce.
    pub(crate) nonce: u64,
    /// Balance in wei.
    pub(crate) balance: U256,
}

#[derive(Debug, Default)]
struct Queue {
    state: AccountState,
    waiting: BTreeMap<u64, Pending>,
}

impl Queue {
    fn cost(&self) -> U256 {
        self.waiting.values().fold(U256::ZERO, |sum, tx| sum.saturating_add(tx.cost_max))
    }
}

/// The pool.
#[derive(Debug, Default)]
pub(crate) struct Mempool {
    accounts: BTreeMap<Address, Queue>,
    by_hash: HashMap<B256, (Address, u64)>,
    /// Keys of the accounts' leaves in the state tree.
    by_key: HashMap<Digest, Address>,
    bytes: usize,
}

impl Mempool {
    /// Transactions that wait.
    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Their bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A waiting transaction.
    pub(crate) fn get(&self, hash: &B256) -> Option<&Pending> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.accounts.get(sender)?.waiting.get(nonce)
    }

    /// Nonce that the account's next transaction should have, with what waits counted without a gap.
    pub(crate) fn next_nonce(&self, sender: &Address, state: AccountState) -> u64 {
        let mut next = state.nonce;
        if let Some(queue) = self.accounts.get(sender) {
            while queue.waiting.contains_key(&next) {
                next += 1;
            }
        }
        next
    }

    /// Adds a transaction; `state` is its account's as of the newest executed block.
    ///
    /// # Errors
    /// Every [`PoolError`]; the pool is unchanged then.
    pub(crate) fn add(&mut self, tx: Pending, state: AccountState) -> Result<(), PoolError> {
        if self.by_hash.contains_key(&tx.hash) {
            return Err(PoolError::Known);
        }
        if tx.nonce < state.nonce {
            return Err(PoolError::NonceTooLow { next: state.nonce, nonce: tx.nonce });
        }
        if tx.nonce - state.nonce >= ACCOUNT_COUNT_MAX as u64 {
            return Err(PoolError::NonceTooHigh { next: state.nonce, nonce: tx.nonce });
        }
        let replaced = self.accounts.get(&tx.sender).and_then(|queue| queue.waiting.get(&tx.nonce)).cloned();
        if replaced.as_ref().is_some_and(|old| !outbids(&tx, old)) {
            return Err(PoolError::Underpriced);
        }
        let waiting = self.accounts.get(&tx.sender).map_or(U256::ZERO, Queue::cost);
        let freed = replaced.as_ref().map_or(U256::ZERO, |old| old.cost_max);
        let need = waiting.saturating_sub(freed).saturating_add(tx.cost_max);
        if need > state.balance {
            return Err(PoolError::Funds { have: state.balance, need });
        }
        if replaced.is_none() {
            self.make_room(&tx)?;
        }
        if let Some(old) = replaced {
            self.remove(&old.hash);
        }
        self.bytes += tx.raw.len();
        self.by_hash.insert(tx.hash, (tx.sender, tx.nonce));
        self.by_key.entry(key_of(&tx.sender)).or_insert(tx.sender);
        let queue = self.accounts.entry(tx.sender).or_default();
        queue.state = state;
        queue.waiting.insert(tx.nonce, tx);
        Ok(())
    }

    /// Makes room for `tx`: drops cheaper transactions from the ends of their accounts' queues.
    fn make_room(&mut self, tx: &Pending) -> Result<(), PoolError> {
        while self.by_hash.len() >= POOL_COUNT_MAX || self.bytes + tx.raw.len() > POOL_BYTES_MAX {
            let cheapest = self
                .accounts
                .iter()
                .filter(|(sender, _)| **sender != tx.sender)
                .filter_map(|(_, queue)| queue.waiting.values().next_back())
                .min_by_key(|last| (last.tip_max, last.fee_max, last.hash))
                .map(|last| (last.hash, last.tip_max));
            match cheapest {
                Some((hash, tip)) if tip < tx.tip_max => self.remove(&hash),
                _ => return Err(PoolError::Full),
            }
        }
        Ok(())
    }

    /// Drops one transaction.
    pub(crate) fn remove(&mut self, hash: &B256) {
        let Some((sender, nonce)) = self.by_hash.remove(hash) else { return };
        let Some(queue) = self.accounts.get_mut(&sender) else { return };
        if let Some(old) = queue.waiting.remove(&nonce) {
            self.bytes -= old.raw.len();
        }
        if queue.waiting.is_empty() {
            self.accounts.remove(&sender);
            self.by_key.remove(&key_of(&sender));
        }
    }

    /// The account with waiting transactions whose leaf in the state tree this is: it must be refreshed after a block
    /// that wrote it.
    pub(crate) fn sender_at(&self, key: &Digest) -> Option<Address> {
        self.by_key.get(key).copied()
    }

    /// Takes note of an account's state after a block: used nonces go, and so does what it can no longer pay, from the
    /// end of its queue. Says what went unused.
    pub(crate) fn refresh(&mut self, sender: &Address, state: AccountState) -> Vec<B256> {
        let Some(queue) = self.accounts.get_mut(sender) else { return Vec::new() };
        queue.state = state;
        let used: Vec<B256> = queue.waiting.range(..state.nonce).map(|(_, tx)| tx.hash).collect();
        let mut unpaid = Vec::new();
        let mut cost = U256::ZERO;
        for tx in queue.waiting.range(state.nonce..).map(|(_, tx)| tx) {
            cost = cost.saturating_add(tx.cost_max);
            if cost > state.balance {
                unpaid.push(tx.hash);
            }
        }
        for hash in used.iter().chain(&unpaid) {
            self.remove(hash);
        }
        unpaid
    }

    /// Whether anything is ready for a payload that follows blocks holding `taken`.
    pub(crate) fn has_ready(&self, base_fee: u128, taken: &BTreeSet<B256>) -> bool {
        self.accounts.values().any(|queue| ready(queue, base_fee, taken).next().is_some())
    }

    /// Picks transactions for a payload: by tip, in nonce order within an account, within the bounds; `taken` are those
    /// of ancestors that are not executed yet.
    pub(crate) fn pick(&self, base_fee: u128, taken: &BTreeSet<B256>, bounds: Bounds) -> Vec<Vec<u8>> {
        let mut heads: BTreeSet<(u128, std::cmp::Reverse<B256>, Address, u64)> = BTreeSet::new();
        for (sender, queue) in &self.accounts {
            if let Some(tx) = ready(queue, base_fee, taken).next() {
                heads.insert(rank(tx, base_fee, *sender));
            }
        }
        let (mut picked, mut gas, mut bytes) = (Vec::new(), 0_u64, 0_usize);
        while let Some((_, _, sender, nonce)) = heads.pop_last() {
            let Some(queue) = self.accounts.get(&sender) else { continue };
            let Some(tx) = queue.waiting.get(&nonce) else { continue };
            // Four bytes of length before each transaction in the body.
            let fits = gas + tx.gas_limit <= bounds.gas_max && bytes + tx.raw.len() + 4 <= bounds.bytes_max;
            if !fits {
                continue;
            }
            gas += tx.gas_limit;
            bytes += tx.raw.len() + 4;
            picked.push(tx.raw.clone());
            if let Some(next) = queue.waiting.get(&(nonce + 1)).filter(|next| next.fee_max >= base_fee) {
                heads.insert(rank(next, base_fee, sender));
            }
        }
        picked
    }

    /// All waiting transactions by account and nonce.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.accounts.values().flat_map(|queue| queue.waiting.values())
    }
}

/// Bounds of one payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Sum of gas limits.
    pub(crate) gas_max: u64,
    /// Sum of encoded transactions.
    pub(crate) bytes_max: usize,
}

/// The account's transactions that can run now: from its nonce on (past what ancestors took), without a gap.
fn ready<'a>(queue: &'a Queue, base_fee: u128, taken: &'a BTreeSet<B256>) -> impl Iterator<Item = &'a Pending> {
    let mut next = queue.state.nonce;
    queue
        .waiting
        .range(queue.state.nonce..)
        .map_while(move |(nonce, tx)| {
            let in_order = *nonce == next;
            next += 1;
            in_order.then_some(tx)
        })
        .filter(move |tx| !taken.contains(&tx.hash))
        .take_while(move |tx| tx.fee_max >= base_fee)
}

fn rank(tx: &Pending, base_fee: u128, sender: Address) -> (u128, std::cmp::Reverse<B256>, Address, u64) {
    let tip = tx.tip_max.min(tx.fee_max.saturating_sub(base_fee));
    (tip, std::cmp::Reverse(tx.hash), sender, tx.nonce)
}

fn outbids(new: &Pending, old: &Pending) -> bool {
    let raised = |old: u128| old.saturating_add((old.saturating_mul(REPLACEMENT_PERCENT) / 100).max(1));
    new.fee_max >= raised(old.fee_max) && new.tip_max >= raised(old.tip_max)
}

fn key_of(sender: &Address) -> Digest {
    account_key(&Account(sender.0.0))
}
