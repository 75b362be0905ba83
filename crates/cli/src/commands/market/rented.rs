//! The market as a deployer uses it: which offer, what it costs, the rental, and its end.

use alloy_primitives::{Address, B256, FixedBytes};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use anyhow::{Context as _, Result, bail};
use freehold_primitives::{Account, AppId};
use freehold_rpc::{Endpoint, NodeClient, TransactionReceipt};
use serde_json::json;

use super::{CONTRACT, IMarket, reason_shown, view};
use crate::{
    commands::sender::{Contract, Sender, units},
    output::Output,
};

/// An offer that a machine stands behind.
pub(in crate::commands) struct Offered {
    pub(in crate::commands) id: u64,
    pub(in crate::commands) provider: Address,
    /// Where its `host run` takes commands.
    pub(in crate::commands) endpoint: Endpoint,
    pub(in crate::commands) terms: IMarket::Terms,
}

/// A rental as it stands.
pub(in crate::commands) struct Rented {
    pub(in crate::commands) offer: u64,
    pub(in crate::commands) app: FixedBytes<21>,
    pub(in crate::commands) ends_at: u64,
    pub(in crate::commands) is_over: bool,
    pub(in crate::commands) seconds_paid: u64,
}

impl Offered {
    /// An offer by its number.
    pub(in crate::commands) async fn find(node: &NodeClient, id: u64) -> Result<Self> {
        let offer = view(node, &IMarket::offerOfCall { id }).await?;
        if offer.provider.is_zero() {
            bail!("there is no offer {id}: see `freehold market list`");
        }
        let endpoint = endpoint(&offer.terms.details);
        let endpoint = endpoint.with_context(|| {
            format!(
                "offer {id} names no address of a `freehold host run` in its details: ask the provider, or take another"
            )
        })?;
        Ok(Self { id, provider: offer.provider, endpoint, terms: offer.terms })
    }

    /// The cheapest open offer of a provider that can be rented now; where none is named, of any but those of `besides`.
    pub(in crate::commands) async fn cheapest(
        node: &NodeClient,
        of: Option<Address>,
        besides: &[Account],
    ) -> Result<Self> {
        let mut best: Option<(u128, u64)> = None;
        for id in 1..=view(node, &IMarket::offerCountCall {}).await? {
            let offer = view(node, &IMarket::offerOfCall { id }).await?;
            let is_wanted = match of {
                Some(of) => of == offer.provider,
                None => !besides.contains(&Account(offer.provider.0.0)),
            };
            let can_be = offer.open && offer.rented < offer.terms.capacity && offer.terms.token.is_zero();
            let is_reachable = endpoint(&offer.terms.details).is_some();
            let price = offer.terms.pricePerSecond;
            if is_wanted && can_be && is_reachable && best.is_none_or(|(least, _)| price < least) {
                best = Some((price, id));
            }
        }
        let (_, id) = best.context(
            "there is no open offer, in the native coin, of a machine that can be reached: see `freehold market list`",
        )?;
        Self::find(node, id).await
    }

    /// What so many seconds cost, in base units of the offer's token.
    pub(in crate::commands) fn price(&self, seconds: u32) -> Result<u128> {
        u128::from(seconds).checked_mul(self.terms.pricePerSecond).context("the price is beyond reason")
    }

    /// A sentence about the price.
    pub(in crate::commands) fn costs(&self, seconds: u32) -> Result<String> {
        let price = self.price(seconds)?;
        let token = self.terms.token;
        Ok(if token.is_zero() { units(price) } else { format!("{price} base units of token {token}") })
    }

    /// Rents it for an app; the rental's number.
    pub(in crate::commands) async fn rent(
        &self,
        sender: &Sender,
        app: &AppId,
        seconds: u32,
        output: Output,
    ) -> Result<u64> {
        let call = IMarket::rentCall {
            offerId: self.id,
            app: (*app.as_bytes()).into(),
            measurement: B256::ZERO,
            secondsAhead: seconds,
        };
        let value = if self.terms.token.is_zero() { self.price(seconds)? } else { 0 };
        let receipt = sender.receipt(&CONTRACT, &call, value, output).await?.context("nothing was sent")?;
        number(&receipt).context("the market logged no rental: this network's block 0 was made by another release")
    }
}

/// The number of the rental that a transaction began.
fn number(receipt: &TransactionReceipt) -> Option<u64> {
    let log = receipt.logs.iter().find(|log| {
        log.address == CONTRACT.address
            && log.topics.first().is_some_and(|topic| topic.0 == IMarket::Rented::SIGNATURE_HASH.as_slice())
    })?;
    let topic: [u8; 32] = log.topics.get(1)?.0.as_slice().try_into().ok()?;
    u64::try_from(alloy_primitives::U256::from_be_bytes(topic)).ok()
}

/// The address of a machine in an offer's details: the first word, where it is one.
fn endpoint(details: &str) -> Option<Endpoint> {
    let word = details.split_whitespace().next().filter(|word| word.starts_with("http://"))?;
    word.parse().ok()
}

/// A rental by its number.
pub(in crate::commands) async fn rented(node: &NodeClient, id: u64) -> Result<Rented> {
    let found = view(node, &IMarket::rentalOfCall { id }).await?;
    Ok(Rented {
        offer: found.offer,
        app: found.app,
        ends_at: found.endsAt,
        is_over: found.endedAt != 0 || found.renter.is_zero(),
        seconds_paid: found.secondsPaid,
    })
}

/// Pays a rental for longer.
pub(in crate::commands) async fn top_up(
    sender: &Sender,
    (rental, offer): (u64, &Offered),
    seconds: u32,
    output: Output,
) -> Result<()> {
    let call = IMarket::topUpCall { id: rental, secondsMore: seconds };
    super::pay(sender, &call, &offer.terms, seconds, output).await
}

/// Ends a rental. Where its instance was closed since it was settled, the closing block is shown first.
pub(in crate::commands) async fn cancel(sender: &Sender, rental: u64, output: Output) -> Result<()> {
    let call = IMarket::cancelCall { id: rental };
    let asked = json!({
        "from": format!("0x{}", sender.account.account()), "to": format!("0x{}", CONTRACT.address),
        "data": format!("0x{}", hex::encode(call.abi_encode())),
    });
    let refused = sender.node.call::<serde_json::Value>("eth_estimateGas", (asked,)).await.err();
    if let Some(height) = refused.as_ref().and_then(reason_shown) {
        let header = sender.node.raw_headers(height, 1).await?.into_iter().next();
        let header = header.with_context(|| format!("the node has no header of block {height} any more"))?;
        let shown = IMarket::settleClosedCall { id: rental, header: header.0.into() };
        let contract: &Contract = &CONTRACT;
        sender.send(contract, &shown, 0, output).await?;
    }
    sender.send(&CONTRACT, &call, 0, output).await
}
