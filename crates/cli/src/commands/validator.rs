//! `validator`: join, leave, come out of jail, and where a validator stands. Says what is signed and what it costs first.
//!
//! What is shown is what the node tells; whoever trusts no node asks through `freehold light`.

use std::{path::Path, process::ExitCode};

use alloy_primitives::Bytes;
use alloy_sol_types::{SolCall, SolError as _};
use anyhow::{Context as _, Result, bail};
use freehold_crypto::{AccountKey, Ed25519Secret, genesis_hash, possession_message, slots};
use freehold_ledger::ModuleRefusal;
use freehold_primitives::{
    Canonical, Ed25519Key,
    entries::{RosterEntry, ValidatorEntry, ValidatorState},
};
use freehold_rpc::{Endpoint, NodeClient, NodeError};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sender::{Contract, Sender, account_secret, units};
use crate::{
    accounts::{self, UNIT},
    args::{ValidatorArgs, ValidatorCommand, ValidatorJoinArgs, ValidatorReportArgs, ValidatorStatusArgs},
    output::Output,
    peers_file::{KnownPeer, PeersFile},
};

mod masters;
mod succession;

#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated from Solidity by alloy")]
mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IValidators.sol");
}
use abi::IValidators;

/// The module, which says no by a code.
const MODULE: Contract = Contract { name: "Validators", address: slots::VALIDATORS, told, gas_min: 0 };

/// Runs the command.
pub(crate) async fn run(command: ValidatorCommand, output: Output) -> Result<ExitCode> {
    match command {
        ValidatorCommand::Status(args) => return status(args, output).await,
        ValidatorCommand::Join(args) => join(args, output).await?,
        ValidatorCommand::Leave(args) => act(args, output, |identity| IValidators::resignCall { identity }).await?,
        ValidatorCommand::Withdraw(args) => {
            act(args, output, |identity| IValidators::withdrawCall { identity }).await?;
        }
        ValidatorCommand::Report(args) => report(args, output).await?,
        ValidatorCommand::Unjail(args) => act(args, output, |identity| IValidators::unjailCall { identity }).await?,
        ValidatorCommand::SucceedKey(args) => succession::ask(&args, output).await?,
        ValidatorCommand::SucceedMaster(args) => masters::ask(&args, output).await?,
        ValidatorCommand::Succession(args) => succession::walk(&args, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The validator of a folder, and the account that acts for it.
struct Actor {
    sender: Sender,
    identity: Ed25519Secret,
}

impl Actor {
    async fn open(args: &ValidatorArgs) -> Result<Self> {
        let mut sender = Sender::open(&args.rpc, account(args)?, args.dry_run).await?;
        let own = freehold_node::read_genesis(&args.data_dir)?;
        if own.is_some_and(|own| genesis_hash(&own) != genesis_hash(&sender.genesis)) {
            bail!("the node at {} is of another network than {}", args.rpc, args.data_dir.display());
        }
        let identity = identity(&args.data_dir)?;
        sender.validator = Some(identity.public());
        Ok(Self { sender, identity })
    }
}

async fn join(args: ValidatorJoinArgs, output: Output) -> Result<()> {
    // A newcomer's folder has no identity yet.
    freehold_node::open_or_make_identity(&args.validator.data_dir, &mut UnwrapErr(SysRng))?;
    let actor = Actor::open(&args.validator).await?;
    let network_key = freehold_node::network_key(&actor.sender.genesis)?;
    if args.network_key.is_some_and(|expected| expected != network_key) {
        bail!("the node at {} is of the network {network_key}, not of the one you named", args.validator.rpc);
    }
    output.text(&format!("network    {network_key}"));
    let account = actor.sender.account.account();
    let message = possession_message(actor.sender.genesis.chain_id, &genesis_hash(&actor.sender.genesis), &account);
    let bond = match args.bond {
        Some(units) => u128::from(units) * UNIT,
        None => {
            amount(&actor.sender.genesis.membership.bond_min).context("the genesis' least bond is beyond reason")?
        }
    };
    let call = IValidators::joinCall {
        identity: actor.identity.public().0.into(),
        payee: args.payee.unwrap_or_default(),
        reachedAt: args.address.to_string(),
        possession: actor.identity.sign(&message).to_vec().into(),
    };
    if !actor.sender.dry_run {
        prepare(&actor, &args).await?;
    }
    actor.sender.send(&MODULE, &call, bond, output).await
}

/// Makes a newcomer's folder one that `node` can start: genesis, pinned network key, addresses.
async fn prepare(actor: &Actor, args: &ValidatorJoinArgs) -> Result<()> {
    let folder = &args.validator.data_dir;
    freehold_client::pin_network_key(folder, &freehold_node::network_key(&actor.sender.genesis)?)?;
    if freehold_node::read_genesis(folder)?.is_none() {
        freehold_node::write_genesis(folder, &actor.sender.genesis)?;
    }
    let own = actor.identity.public();
    let roster: RosterEntry = entry(&actor.sender.node, &IValidators::rosterCall {})
        .await?
        .context("the chain has no roster of validators")?;
    let mut peers = Vec::new();
    for identity in roster.seats.iter().chain(&roster.candidates).filter(|identity| **identity != own) {
        let address = validator(&actor.sender.node, identity).await?.and_then(|entry| entry.address.parse().ok());
        peers.extend(address.map(|address| KnownPeer { identity: *identity, address }));
    }
    PeersFile { listen: args.address, sync_from: Vec::new(), peers }.write(folder)
}

/// What a node keeps of a proposer that signed two payloads of one view.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoubleProposalFile {
    head1: Bytes,
    signature1: Bytes,
    head2: Bytes,
    signature2: Bytes,
}

/// What a node keeps of a validator that signed a wrong share of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrongShareFile {
    report: Bytes,
}

/// What a node keeps of a validator's offence.
#[derive(Deserialize)]
#[serde(untagged)]
enum ProofFile {
    DoubleProposal(DoubleProposalFile),
    WrongShare(WrongShareFile),
}

async fn report(args: ValidatorReportArgs, output: Output) -> Result<()> {
    let cannot = || format!("cannot read {}", args.proof.display());
    let text = std::fs::read_to_string(&args.proof).with_context(cannot)?;
    match serde_json::from_str(&text).with_context(cannot)? {
        ProofFile::DoubleProposal(DoubleProposalFile { head1, signature1, head2, signature2 }) => {
            let call = IValidators::reportDoubleProposalCall { head1, signature1, head2, signature2 };
            act(args.validator, output, |_| call).await
        }
        ProofFile::WrongShare(WrongShareFile { report }) => {
            act(args.validator, output, |_| IValidators::reportWrongShareCall { report }).await
        }
    }
}

async fn act<C: SolCall>(
    args: ValidatorArgs,
    output: Output,
    call: impl FnOnce(alloy_primitives::B256) -> C,
) -> Result<()> {
    let actor = Actor::open(&args).await?;
    let call = call(actor.identity.public().0.into());
    actor.sender.send(&MODULE, &call, 0, output).await
}

async fn status(args: ValidatorStatusArgs, output: Output) -> Result<ExitCode> {
    let node = NodeClient::new(args.rpc.parse::<Endpoint>()?);
    let roster: RosterEntry =
        entry(&node, &IValidators::rosterCall {}).await?.context("the chain has no validators")?;
    let own = args.data_dir.as_deref().map(identity).transpose()?.map(|identity| identity.public());
    let mut listed = Vec::new();
    for identity in roster.seats.iter().chain(&roster.candidates) {
        listed.push(validator(&node, identity).await?.context("the roster names a validator that is not there")?);
    }
    output.object(&json!({
        "event": "validators", "term": roster.term, "seats": roster.seats.len(),
        "validators": listed.iter().map(object).collect::<Vec<_>>(),
    }));
    output.text(&format!("term {}: {} seats, {} wait", roster.term, roster.seats.len(), roster.candidates.len()));
    for entry in &listed {
        output.text(&line(entry, own == Some(entry.identity)));
    }
    masters::show(&node, roster.term, output).await?;
    if let Some(own) = own.filter(|own| listed.iter().all(|entry| entry.identity != *own)) {
        let entry = validator(&node, &own).await?;
        output.object(&json!({ "event": "own", "validator": entry.as_ref().map(object) }));
        output.text(&entry.map_or_else(|| format!("{own} never joined"), |entry| line(&entry, true)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn validator(node: &NodeClient, identity: &Ed25519Key) -> Result<Option<ValidatorEntry>> {
    entry(node, &IValidators::validatorCall { identity: identity.0.into() }).await
}

/// An entry that a view of the module answers, `None` where there is none.
async fn entry<C: SolCall<Return = Bytes>, T: Canonical>(node: &NodeClient, call: &C) -> Result<Option<T>> {
    let answer = match node.eth_call(&slots::VALIDATORS, call.abi_encode()).await {
        Ok(answer) => answer,
        Err(error) if refusal(&error) == Some(ModuleRefusal::Unknown) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let bytes = C::abi_decode_returns(&answer).context("the node's answer cannot be read")?;
    Ok(Some(T::from_canonical(&bytes).context("the node's answer cannot be read")?))
}

fn told(error: NodeError) -> anyhow::Error {
    refusal(&error).map_or_else(|| error.into(), anyhow::Error::from)
}

/// What a module said, where it was the module that refused.
fn refusal(error: &NodeError) -> Option<ModuleRefusal> {
    let NodeError::Refused { data: Some(data), .. } = error else { return None };
    let bytes = hex::decode(data.as_str()?.trim_start_matches("0x")).ok()?;
    let refused = IValidators::Refused::abi_decode(&bytes).ok()?;
    ModuleRefusal::from_code(refused.code)
}

fn object(entry: &ValidatorEntry) -> Value {
    json!({
        "identity": entry.identity.to_string(), "state": word(entry.state), "account": format!("0x{}", entry.account),
        "operator": format!("0x{}", entry.operator), "payee": format!("0x{}", entry.payee),
        "address": entry.address, "bond_wei": amount(&entry.bond).map(|bond| bond.to_string()),
        "vendor": entry.vendor.map(|vendor| vendor.as_str()), "jailed_until": entry.jailed_until,
        "locked_until": entry.locked_until,
    })
}

fn line(entry: &ValidatorEntry, is_own: bool) -> String {
    let bond = amount(&entry.bond).map_or_else(|| "beyond reason".to_owned(), units);
    let when = match entry.state {
        ValidatorState::Jailed => format!(", until term {} at least", entry.jailed_until),
        ValidatorState::Left => format!(", bond locked until term {}", entry.locked_until),
        _ => String::new(),
    };
    let own = if is_own { "  (this folder's)" } else { "" };
    let address = if entry.address.is_empty() { "no address" } else { &entry.address };
    format!("{:<10} {}  {address}  bond {bond}{when}{own}", word(entry.state), entry.identity)
}

const fn word(state: ValidatorState) -> &'static str {
    match state {
        ValidatorState::Candidate => "candidate",
        ValidatorState::Active => "active",
        ValidatorState::Leaving => "leaving",
        ValidatorState::Jailed => "jailed",
        ValidatorState::Left => "left",
    }
}

/// The identity of a folder.
fn identity(folder: &Path) -> Result<Ed25519Secret> {
    Ok(Ed25519Secret::from_seed(&freehold_node::read_identity(folder)?.to_bytes()))
}

fn account(args: &ValidatorArgs) -> Result<AccountKey> {
    match args.dev_seat {
        Some(index) => accounts::seat(index),
        None => account_secret(args.key.as_deref()),
    }
}

/// A big-endian word as a number, where it is one that fits.
fn amount(word: &[u8; 32]) -> Option<u128> {
    let (high, low) = word.split_at(16);
    let low: [u8; 16] = low.try_into().ok()?;
    high.iter().all(|byte| *byte == 0).then(|| u128::from_be_bytes(low))
}

#[cfg(test)]
mod tests;
