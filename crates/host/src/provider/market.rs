//! The market's contract as a provider uses it: what is rented, and who serves it (`spec/market.md`).

use std::sync::Arc;

use alloy_sol_types::{SolCall, SolInterface as _};
use freehold_primitives::{Account, AppId, Digest};
use freehold_rpc::{NodeClient, NodeError};

use super::policy::Wish;
use crate::{
    abi::IMarket::{self, IMarketErrors},
    error::HostError,
    payer::{Call, Payer},
};

/// The contract of the genesis (`spec/market.md`).
const MARKET: Account = Account([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf4, 0xee, 0x10]);

/// Gas that a call is given at least: what it takes depends on the second in which it is executed, as seconds are settled.
const GAS_MIN: u64 = 400_000;

/// A rental as the chain has it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rental {
    pub(crate) offer: u64,
    pub(crate) renter: Account,
    pub(crate) app: [u8; 21],
    pub(crate) ends_at: u64,
    pub(crate) is_over: bool,
    pub(crate) seconds_paid: u64,
    pub(crate) instance: Digest,
}

/// The market, by the provider's own node and account.
pub(crate) struct Market {
    pub(crate) node: NodeClient,
    pub(crate) provider: Arc<Payer>,
}

impl Market {
    pub(crate) async fn rentals(&self) -> Result<u64, HostError> {
        self.view(&IMarket::rentalCountCall {}).await
    }

    pub(crate) async fn rental(&self, id: u64) -> Result<Rental, HostError> {
        let found = self.view(&IMarket::rentalOfCall { id }).await?;
        Ok(Rental {
            offer: found.offer,
            renter: Account(found.renter.0.0),
            app: found.app.0,
            ends_at: found.endsAt,
            is_over: found.endedAt != 0,
            seconds_paid: found.secondsPaid,
            instance: Digest(found.instance.0),
        })
    }

    /// What a rental asks for; `None` where its offer is another provider's.
    pub(crate) async fn wish(&self, rental: &Rental, app_id: AppId) -> Result<Option<Wish>, HostError> {
        let offer = self.view(&IMarket::offerOfCall { id: rental.offer }).await?;
        if Account(offer.provider.0.0) != self.provider.account() {
            return Ok(None);
        }
        let terms = offer.terms;
        Ok(Some(Wish {
            app_id,
            token: Account(terms.token.0.0),
            price_per_second: terms.pricePerSecond,
            cpus: terms.cpus.into(),
            memory_mib: terms.memoryMib.into(),
        }))
    }

    /// Has an instance serve a rental from now on, in place of one that served before.
    pub(crate) async fn attach(&self, id: u64, instance: Digest) -> Result<(), HostError> {
        let now = self.rental(id).await?;
        if now.instance == instance {
            return Ok(());
        }
        if now.instance != Digest::ZERO {
            self.free(id).await?;
        }
        self.act("attach the instance", IMarket::attachCall { id, instance: instance.0.into() }).await
    }

    /// Takes away what serves a rental; paid to the end of it. Nothing where nothing serves.
    pub(crate) async fn free(&self, id: u64) -> Result<(), HostError> {
        if self.rental(id).await?.instance == Digest::ZERO {
            return Ok(());
        }
        let settled = self.act("detach the instance", IMarket::detachCall { id }).await;
        self.shown(id, settled).await
    }

    /// Claims what was served.
    pub(crate) async fn claim(&self, id: u64) -> Result<(), HostError> {
        let settled = self.act("claim what was served", IMarket::settleCall { id }).await;
        self.shown(id, settled).await
    }

    /// Ends a rental whose paid time is over.
    pub(crate) async fn finish(&self, id: u64) -> Result<(), HostError> {
        match self.act("end the rental", IMarket::finishCall { id }).await {
            Err(error) if closed_at(&error).is_some() => {
                self.shown(id, Err(error)).await?;
                self.act("end the rental", IMarket::finishCall { id }).await
            }
            done => done,
        }
    }

    /// Ends a rental that is not served; everything goes back to the renter.
    pub(crate) async fn release(&self, id: u64) -> Result<(), HostError> {
        self.act("release the rental", IMarket::releaseCall { id }).await
    }

    /// Where the contract wants to see the block that closed the instance: shows it.
    async fn shown(&self, id: u64, settled: Result<(), HostError>) -> Result<(), HostError> {
        let Err(error) = settled else { return Ok(()) };
        let Some(height) = closed_at(&error) else { return Err(error) };
        let header = self.node.raw_headers(height, 1).await?.into_iter().next();
        let Some(header) = header else { return Err(error) };
        self.act("show the closing block", IMarket::settleClosedCall { id, header: header.0.into() }).await
    }

    async fn view<C: SolCall>(&self, call: &C) -> Result<C::Return, HostError> {
        let answer = self.node.eth_call(&MARKET, call.abi_encode()).await?;
        C::abi_decode_returns(&answer).map_err(|_| HostError::NoMarket)
    }

    async fn act<C: SolCall>(&self, what: &'static str, call: C) -> Result<(), HostError> {
        let call = Call { to: MARKET, value_wei: 0, gas_min: GAS_MIN, data: call.abi_encode() };
        self.provider.execute(what, call).await.map(drop)
    }
}

/// The height whose header the contract wants to see.
fn closed_at(error: &HostError) -> Option<u64> {
    let HostError::Node(NodeError::Refused { data: Some(data), .. }) = error else { return None };
    let bytes = hex::decode(data.as_str()?.trim_start_matches("0x")).ok()?;
    match IMarketErrors::abi_decode(&bytes) {
        Ok(IMarketErrors::ShowHeader(at)) => Some(at.closedAt),
        _ => None,
    }
}
