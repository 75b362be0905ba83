//! A node under load: transactions signed beforehand, sent as fast as the node takes them, until every receipt is there.

use std::{
    thread,
    time::{Duration, Instant},
};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use anyhow::{Context as _, Result, bail, ensure};
use freehold_crypto::{AccountKey, FailureForm, seal_call};
use freehold_primitives::{Digest, X25519Key};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use serde_json::{Value, json};

use super::{
    token::{self, Storage},
    wire::Wire,
};
use crate::accounts;

/// Connections of the client, each with senders of its own.
const CONNECTIONS: usize = 4;
/// Pause after a refusal for want of room, and between two looks for the last receipts.
const PAUSE: Duration = Duration::from_millis(2);
/// Only a hang lasts as long.
const WAIT: Duration = Duration::from_secs(120);
/// Above every base fee that a run reaches.
const FEE_MAX: u128 = 1_000_000_000_000;
const FEE_TIP: u128 = 1_000_000_000;

/// What is transferred, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// The chain's own unit.
    Plain,
    /// A token whose balances everybody reads.
    Token,
    /// A token with confidential balances.
    ConfidentialToken,
    /// The same, and nobody else reads to whom and how much.
    EncryptedTransfer,
}

impl Work {
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Token, Self::ConfidentialToken, Self::EncryptedTransfer];

    /// For people and for JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "transfer",
            Self::Token => "erc20",
            Self::ConfidentialToken => "erc20 confidential",
            Self::EncryptedTransfer => "erc20 confidential, encrypted call data",
        }
    }
}

/// Fields of a transaction that differ.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) to: Option<Address>,
    pub(super) gas: u64,
    pub(super) value: u128,
    pub(super) data: Bytes,
}

/// Makes the next transaction to an account.
type Maker = Box<dyn FnMut(&Address) -> Fields>;

/// A node and what is known of it.
pub(super) struct Target {
    host: String,
    chain_id: u64,
    keys: Vec<AccountKey>,
    addresses: Vec<Address>,
    nonces: Vec<u64>,
    public_token: Address,
    confidential_token: Option<Address>,
}

impl Target {
    /// Deploys tokens and gives every account some.
    pub(super) fn prepare(host: &str, chain_id: u64, storages: &[Storage]) -> Result<Self> {
        let mut target = Self::resume(host, chain_id)?;
        for storage in storages {
            let made = target.deploy(token::token(*storage))?;
            match storage {
                Storage::Public => target.public_token = made,
                Storage::Confidential => target.confidential_token = Some(made),
            }
            let mint = Fields { to: Some(made), gas: 100_000, value: 0, data: Bytes::from_static(&[0; 4]) };
            target.run((0..target.keys.len()).map(|sender| (sender, mint.clone())).collect())?;
        }
        Ok(target)
    }

    /// The test accounts as they are on a node.
    pub(super) fn resume(host: &str, chain_id: u64) -> Result<Self> {
        let keys = (0..accounts::USERS).map(accounts::user).collect::<Result<Vec<_>>>()?;
        let addresses: Vec<Address> = keys.iter().map(|key| Address::from(key.account().0)).collect();
        let mut wire = Wire::connect(host)?;
        let mut nonces = Vec::new();
        for address in &addresses {
            let nonce = wire.ask("eth_getTransactionCount", &json!([address, "latest"]))?;
            let nonce = nonce.as_str().and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
            nonces.push(nonce.context("a nonce that is no number")?);
        }
        let (public_token, confidential_token) = (Address::ZERO, None);
        Ok(Self { host: host.to_owned(), chain_id, keys, addresses, nonces, public_token, confidential_token })
    }

    /// Deploys a contract.
    pub(super) fn deploy(&mut self, init_code: Bytes) -> Result<Address> {
        let made = self.addresses[0].create(self.nonces[0]);
        self.run(vec![(0, Fields { to: None, gas: 1_000_000, value: 0, data: init_code })])?;
        Ok(made)
    }

    /// Whether the node does this kind of work.
    pub(super) fn does(&self, work: Work) -> bool {
        matches!(work, Work::Plain | Work::Token) || self.confidential_token.is_some()
    }

    /// One round: transactions a second.
    pub(super) fn round(&mut self, work: Work, count: u32) -> Result<f64> {
        let mut fields = self.fields(work)?;
        let each = (count as usize).div_ceil(self.keys.len());
        let mut all = Vec::with_capacity(each * self.keys.len());
        for _ in 0..each {
            for sender in 0..self.keys.len() {
                let to = self.addresses[(sender + 1) % self.addresses.len()];
                all.push((sender, fields(&to)));
            }
        }
        let total = all.len() as f64;
        Ok(total / self.run(all)?.as_secs_f64())
    }

    /// What makes the transactions of a kind of work.
    fn fields(&self, work: Work) -> Result<Maker> {
        let confidential = self.confidential_token;
        Ok(match work {
            Work::Plain => Box::new(|to| Fields { to: Some(*to), gas: 21_000, value: 1, data: Bytes::new() }),
            Work::Token | Work::ConfidentialToken => {
                let of = if work == Work::Token { Some(self.public_token) } else { confidential };
                Box::new(move |to| {
                    let data = token::transfer(to, 1).into();
                    Fields { to: of, gas: token::TRANSFER_GAS, value: 0, data }
                })
            }
            Work::EncryptedTransfer => {
                let key = Wire::connect(&self.host)?.ask("oasis_callDataPublicKey", &json!([]))?;
                let (public, epoch) = read_key(&key).context("a call-data key of no known form")?;
                Box::new(move |to| {
                    let (data, _) = seal_call(
                        (&public, epoch),
                        &token::transfer(to, 1),
                        FailureForm::Plain,
                        &mut UnwrapErr(SysRng),
                    );
                    Fields { to: confidential, gas: token::SEALED_TRANSFER_GAS, value: 0, data: data.into() }
                })
            }
        })
    }

    /// Signs transactions, then sends them and waits for every sender's last receipt: the time from the first byte on.
    pub(super) fn run(&mut self, transactions: Vec<(usize, Fields)>) -> Result<Duration> {
        let mut bodies: Vec<Vec<String>> = vec![Vec::new(); CONNECTIONS];
        let mut last: Vec<Option<B256>> = vec![None; self.keys.len()];
        for (sender, fields) in transactions {
            let raw = self.sign(sender, fields)?;
            last[sender] = Some(keccak256(&raw));
            bodies[sender % CONNECTIONS].push(format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x{}"]}}"#,
                hex::encode(raw)
            ));
        }
        let begun = Instant::now();
        thread::scope(|scope| {
            let clients: Vec<_> = bodies.iter().map(|bodies| scope.spawn(|| send(&self.host, bodies, begun))).collect();
            clients.into_iter().try_for_each(|client| client.join().expect("a client does not panic"))
        })?;
        let mut wire = Wire::connect(&self.host)?;
        for hash in last.iter().flatten() {
            let receipt = receipt(&mut wire, hash, begun)?;
            ensure!(receipt["status"] == "0x1", "transaction {hash} failed: {receipt}");
        }
        Ok(begun.elapsed())
    }

    fn sign(&mut self, sender: usize, fields: Fields) -> Result<Vec<u8>> {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonces[sender],
            gas_limit: fields.gas,
            max_fee_per_gas: FEE_MAX,
            max_priority_fee_per_gas: FEE_TIP,
            to: fields.to.map_or(TxKind::Create, TxKind::Call),
            value: U256::from(fields.value),
            input: fields.data,
            ..TxEip1559::default()
        };
        self.nonces[sender] += 1;
        let signature = self.keys[sender].sign(&Digest(transaction.signature_hash().0));
        let signature = Signature::from_raw_array(&signature).context("a signature of ours")?;
        Ok(TxEnvelope::from(transaction.into_signed(signature)).encoded_2718())
    }
}

/// Sends requests in their order; one that finds no room is sent again.
fn send(host: &str, bodies: &[String], begun: Instant) -> Result<()> {
    let mut wire = Wire::connect(host)?;
    for body in bodies {
        loop {
            let answer = wire.post(body)?;
            let has_error = answer.windows(8).any(|part| part == b"\"error\":");
            if !has_error {
                break;
            }
            let text = String::from_utf8_lossy(&answer).into_owned();
            let is_full = text.contains("full") || text.contains("nonce too high");
            ensure!(is_full && begun.elapsed() < WAIT, "a transaction is refused: {text}");
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn receipt(wire: &mut Wire, hash: &B256, begun: Instant) -> Result<Value> {
    loop {
        let receipt = wire.ask("eth_getTransactionReceipt", &json!([hash]))?;
        if !receipt.is_null() {
            return Ok(receipt);
        }
        if begun.elapsed() > WAIT {
            bail!("no receipt of {hash} within {} s", WAIT.as_secs());
        }
        thread::sleep(PAUSE);
    }
}

fn read_key(report: &Value) -> Option<(X25519Key, u64)> {
    let key = hex::decode(report["key"].as_str()?.trim_start_matches("0x")).ok()?;
    Some((X25519Key(key.try_into().ok()?), report["epoch"].as_u64()?))
}
