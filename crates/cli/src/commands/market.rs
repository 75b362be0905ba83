//! `market` and `host`: renting machines and letting them, through the contract of the genesis (`spec/market.md`). Says
//! what is signed and what it costs first.
//!
//! What is shown is what the node tells; whoever trusts no node asks through `freehold light`.

mod rented;

use std::process::ExitCode;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolInterface as _};
use anyhow::{Context as _, Result, bail};
use freehold_ledger::MARKET;
use freehold_primitives::Account;
use freehold_rpc::{Endpoint, NodeClient, NodeError};
use serde_json::json;

pub(super) use rented::{Offered, Rented, cancel, rented, top_up};

use super::sender::{Contract, Sender};
use crate::{
    args::{
        ActingArgs, HostCommand, HostOfferAddArgs, HostOfferCommand, MarketCommand, MarketListArgs, MarketRentArgs,
    },
    output::Output,
};

#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated from Solidity by alloy")]
mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IMarket.sol");
}
use abi::IMarket::{self, IMarketErrors};

/// The contract as JSON-RPC names it. What a call takes depends on the second in which it is executed, as seconds are settled.
const CONTRACT: Contract = Contract { name: "Market", address: Account(MARKET.0.0), told, gas_min: 400_000 };

/// Runs a command of who rents.
pub(crate) async fn run(command: MarketCommand, output: Output) -> Result<ExitCode> {
    match command {
        MarketCommand::List(args) => list(&args, output).await?,
        MarketCommand::Rent(args) => rent(args, output).await?,
        MarketCommand::TopUp(args) => {
            let sender = Sender::acting(&args.acting).await?;
            let rental = view(&sender.node, &IMarket::rentalOfCall { id: args.rental }).await?;
            let offer = view(&sender.node, &IMarket::offerOfCall { id: rental.offer }).await?;
            let call = IMarket::topUpCall { id: args.rental, secondsMore: args.seconds };
            pay(&sender, &call, &offer.terms, args.seconds, output).await?;
        }
        MarketCommand::Cancel(args) => cancel(&Sender::acting(&args.acting).await?, args.rental, output).await?,
        MarketCommand::Withdraw(args) => {
            let sender = Sender::acting(&args.acting).await?;
            let to = args.to.unwrap_or_else(|| Address::new(sender.account.account().0));
            sender
                .send(&CONTRACT, &IMarket::withdrawCall { token: args.token.unwrap_or_default(), to }, 0, output)
                .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command of who lets machines.
pub(crate) async fn host(command: HostCommand, output: Output) -> Result<ExitCode> {
    match command {
        HostCommand::Run(args) => return super::provider::run(args, output).await,
        HostCommand::Attend(args) => return super::attend::run(*args, output).await,
        HostCommand::Check(args) => {
            let checked = tokio::task::spawn_blocking(move || super::provider::check(args, output));
            return checked.await?;
        }
        HostCommand::Offer(HostOfferCommand::Add(args)) => {
            let terms = terms(&args);
            act(&args.acting, IMarket::offerCall { terms }, output).await?;
        }
        HostCommand::Offer(HostOfferCommand::List(args)) => list(&args, output).await?,
        HostCommand::Offer(HostOfferCommand::Rm(args)) => {
            act(&args.acting, IMarket::closeOfferCall { id: args.offer }, output).await?;
        }
        HostCommand::Bond(args) => {
            Sender::acting(&args.acting).await?.send(&CONTRACT, &IMarket::addBondCall {}, args.add, output).await?;
        }
        HostCommand::Attach(args) => {
            let call = IMarket::attachCall { id: args.rental, instance: args.instance };
            act(&args.acting, call, output).await?;
        }
        HostCommand::Claim(args) => act(&args.acting, IMarket::settleCall { id: args.rental }, output).await?,
        HostCommand::Release(args) => act(&args.acting, IMarket::releaseCall { id: args.rental }, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends a call that pays for seconds, by the offer's terms: as value, or out of what the token allows.
async fn pay<C: SolCall>(
    sender: &Sender,
    call: &C,
    terms: &IMarket::Terms,
    seconds: u32,
    output: Output,
) -> Result<()> {
    let price = u128::from(seconds).checked_mul(terms.pricePerSecond).context("the price is beyond reason")?;
    if terms.token.is_zero() {
        return sender.send(&CONTRACT, call, price, output).await;
    }
    let token = terms.token;
    output.text(&format!("escrow     {price} base units of token {token}; allow them to {MARKET} first (approve)"));
    output.object(&json!({ "event": "escrow", "token": token.to_string(), "amount": price.to_string() }));
    sender.send(&CONTRACT, call, 0, output).await
}

async fn act<C: SolCall>(args: &ActingArgs, call: C, output: Output) -> Result<()> {
    Sender::acting(args).await?.send(&CONTRACT, &call, 0, output).await
}

async fn rent(args: MarketRentArgs, output: Output) -> Result<()> {
    let sender = Sender::acting(&args.acting).await?;
    let offer = view(&sender.node, &IMarket::offerOfCall { id: args.offer }).await?;
    if offer.provider.is_zero() {
        bail!("there is no offer {}: see `freehold market list`", args.offer);
    }
    if offer.terms.trustDomain == 1 {
        output.note("this machine shows emulated evidence, which protects nothing");
    }
    let call = IMarket::rentCall {
        offerId: args.offer,
        app: (*args.app.as_bytes()).into(),
        measurement: args.measurement.unwrap_or_default(),
        secondsAhead: args.seconds,
    };
    pay(&sender, &call, &offer.terms, args.seconds, output).await
}

fn terms(args: &HostOfferAddArgs) -> IMarket::Terms {
    IMarket::Terms {
        token: args.token.unwrap_or_default(),
        pricePerSecond: args.price,
        bond: args.bond,
        secondsMin: args.seconds_min,
        secondsMax: args.seconds_max,
        capacity: args.capacity,
        evidenceKind: args.evidence_kind,
        trustDomain: args.trust_domain,
        tier: args.tier,
        gpus: args.gpus,
        exclusive: args.exclusive,
        platform: args.platform.unwrap_or_default(),
        cpus: args.cpus,
        memoryMib: args.memory_mib,
        details: args.details.clone(),
    }
}

async fn list(args: &MarketListArgs, output: Output) -> Result<()> {
    let node = NodeClient::new(args.rpc.parse::<Endpoint>()?);
    let wanted = |account: Address| args.of.is_none_or(|of| of == account);
    for id in 1..=view(&node, &IMarket::offerCountCall {}).await? {
        let offer = view(&node, &IMarket::offerOfCall { id }).await?;
        if !wanted(offer.provider) || !(offer.open || args.all) {
            continue;
        }
        let seen = view(&node, &IMarket::reputationOfCall { provider: offer.provider }).await?;
        let terms = &offer.terms;
        output.object(&json!({
            "event": "offer", "offer": id, "provider": offer.provider.to_string(), "open": offer.open,
            "token": terms.token.to_string(), "price_per_second": terms.pricePerSecond.to_string(),
            "bond_wei": terms.bond.to_string(), "seconds_min": terms.secondsMin, "seconds_max": terms.secondsMax,
            "capacity": terms.capacity, "rented": offer.rented, "evidence_kind": terms.evidenceKind,
            "trust_domain": terms.trustDomain, "tier": terms.tier, "gpus": terms.gpus, "exclusive": terms.exclusive,
            "cpus": terms.cpus, "memory_mib": terms.memoryMib, "details": terms.details,
            "seconds_served": seen.secondsServed, "seconds_missed": seen.secondsMissed, "slashes": seen.slashes,
        }));
        let (state, money) = (if offer.open { "open" } else { "closed" }, coin(terms.token));
        let shape = format!("{} CPUs, {} MiB, {} GPUs, tier {}", terms.cpus, terms.memoryMib, terms.gpus, terms.tier);
        let record =
            format!("served {} s, missed {} s, slashed {}", seen.secondsServed, seen.secondsMissed, seen.slashes);
        output.text(&format!(
            "offer {id}   {state}, {} of {} rented, {} {money} a second, {shape}, {}\n          by {}: {record}",
            offer.rented,
            terms.capacity,
            terms.pricePerSecond,
            vouched(terms.trustDomain),
            offer.provider
        ));
    }
    for id in 1..=view(&node, &IMarket::rentalCountCall {}).await? {
        let rental = view(&node, &IMarket::rentalOfCall { id }).await?;
        if !wanted(rental.renter) || !(rental.endedAt == 0 || args.all) {
            continue;
        }
        let serves = (rental.instance != B256::ZERO).then(|| rental.instance.to_string());
        output.object(&json!({
            "event": "rental", "rental": id, "offer": rental.offer, "renter": rental.renter.to_string(),
            "starts_at": rental.startsAt, "ends_at": rental.endsAt, "ended_at": rental.endedAt,
            "seconds_paid": rental.secondsPaid, "instance": serves, "unfit_since": rental.unfitSince,
        }));
        let serves = serves.unwrap_or_else(|| "nothing attached".to_owned());
        output.text(&format!(
            "rental {id}  of offer {} by {}, paid until {}, {} s served and paid, {serves}",
            rental.offer, rental.renter, rental.endsAt, rental.secondsPaid
        ));
    }
    Ok(())
}

fn coin(token: Address) -> String {
    if token.is_zero() { "wei".to_owned() } else { format!("of token {token}") }
}

const fn vouched(trust_domain: u8) -> &'static str {
    match trust_domain {
        1 => "emulated: protects nothing",
        2 => "Intel",
        3 => "AMD",
        4 => "AWS",
        _ => "NVIDIA",
    }
}

async fn view<C: SolCall>(node: &NodeClient, call: &C) -> Result<C::Return> {
    let answer = node.eth_call(&CONTRACT.address, call.abi_encode()).await.map_err(told)?;
    C::abi_decode_returns(&answer).context("this network has no market: its block 0 was made by an older release")
}

/// The market's own words where it was the market that refused.
fn told(error: NodeError) -> anyhow::Error {
    match reason(&error) {
        Some(words) => anyhow::Error::msg(words),
        None => error.into(),
    }
}

fn reason(error: &NodeError) -> Option<String> {
    refused(error).map(words)
}

/// The height of the block that the market wants to be shown.
fn reason_shown(error: &NodeError) -> Option<u64> {
    match refused(error)? {
        IMarketErrors::ShowHeader(at) => Some(at.closedAt),
        _ => None,
    }
}

fn refused(error: &NodeError) -> Option<IMarketErrors> {
    let NodeError::Refused { data: Some(data), .. } = error else { return None };
    let bytes = hex::decode(data.as_str()?.trim_start_matches("0x")).ok()?;
    IMarketErrors::abi_decode(&bytes).ok()
}

fn words(error: IMarketErrors) -> String {
    let bounded = |found: U256, needed: U256| format!("{found} wei are free of the bond, and {needed} are needed");
    match error {
        IMarketErrors::BadTerms(at) => format!("member {} of the terms is out of bounds (spec/market.md)", at.member),
        IMarketErrors::OfferNotOpen(at) => format!("offer {} does not exist or is closed", at.offer),
        IMarketErrors::OfferFull(at) => format!("offer {} is rented to its capacity", at.offer),
        IMarketErrors::BondTooSmall(at) => bounded(at.free, at.needed),
        IMarketErrors::BadLength(at) => format!("{} seconds ahead are not what the offer allows", at.secondsAhead),
        IMarketErrors::RentalNotOpen(at) => format!("rental {} does not exist or has ended", at.rental),
        IMarketErrors::NotYours(_) => "it is another account's: name yours with --key".to_owned(),
        IMarketErrors::NotOverYet(at) => format!("it is paid until {}", at.endsAt),
        IMarketErrors::Over(at) => format!("its paid time was over at {}", at.endsAt),
        IMarketErrors::WrongValue(at) => format!("{} wei are to be sent, not {}", at.needed, at.sent),
        IMarketErrors::TokenRefused(at) => format!("token {} did not bring {}: allow it first", at.token, at.amount),
        IMarketErrors::NotServing(at) => format!("{} is no live instance of app and provider", at.instance),
        IMarketErrors::NotAsOffered(at) => format!("{} is not as offered: fact {}", at.instance, at.fact),
        IMarketErrors::AlreadyServing(at) => format!("rental {} is served already: detach first", at.rental),
        IMarketErrors::MachineTaken(at) => format!("the machine {} serves another rental", at.machine),
        IMarketErrors::ShowHeader(at) => {
            format!(
                "the instance was closed in block {}: show its header with settleClosed (docs/market.md)",
                at.closedAt
            )
        }
        IMarketErrors::NothingToShow(_) => "the instance was not closed".to_owned(),
        IMarketErrors::NoFault(_) => "what was reported shows no fault".to_owned(),
        IMarketErrors::StillLocked(at) => format!("the bond is locked until {}", at.until),
        IMarketErrors::NothingToTake(_) => "the market owes this account nothing of it".to_owned(),
        IMarketErrors::NotSent(at) => format!("{} refused what was sent", at.to),
        IMarketErrors::Reentered(_) => "a call from within a call".to_owned(),
    }
}

#[cfg(test)]
mod tests;
