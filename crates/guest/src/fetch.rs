//! Attested fetch (`spec/fetch.md`): an HTTPS exchange that ends in this process, and what the instance signs of it.
//!
//! Invariants: TLS ends here, under the web's roots or those that the record names, judged at certified time; redirects are
//! not followed, so a record is of the URL that was asked for. The host relays ciphertext: it can withhold, not forge. Which
//! hosts the app may reach is enforced where the bytes leave (`freehold-host`).

mod ask;
mod error;
mod exchange;
mod tls;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use freehold_crypto::{AccountKey, fetch_certificates_digest, fetch_headers_digest, sha256, sign_fetch};
use freehold_primitives::{BlockMoment, Digest, FetchRecord, UnixSeconds};
use freehold_rpc::{BareHex, Base64Text, FETCH_FORMAT, FetchAsk, Fetched};
use tokio::{sync::Semaphore, time::timeout};

pub(crate) use error::FetchError;
pub(crate) use exchange::pass;
pub(crate) use tls::connector;

use ask::Asked;
use exchange::Response;

/// Exchanges at once.
const PLACES: usize = 16;

/// Who fetches: what every record of an instance says.
pub(crate) struct Fetching<'a> {
    pub(crate) chain_id: u64,
    pub(crate) genesis_hash: Digest,
    pub(crate) app_id: freehold_primitives::AppId,
    pub(crate) instance_id: Digest,
    pub(crate) account: &'a AccountKey,
}

/// The way out.
pub(crate) struct Fetcher {
    /// Socket of the host's gate; without one nothing is fetched.
    gate: Option<PathBuf>,
    places: Semaphore,
}

impl Fetcher {
    pub(crate) fn new(gate: Option<PathBuf>) -> Self {
        Self { gate, places: Semaphore::new(PLACES) }
    }

    /// Makes the exchange and signs what came. `newest` is the newest certified block now, `now` reads certified time.
    pub(crate) async fn fetch(
        &self,
        who: &Fetching<'_>,
        ask: FetchAsk,
        newest: BlockMoment,
        now: impl Fn() -> Option<UnixSeconds>,
    ) -> Result<Fetched, FetchError> {
        let asked = Asked::check(ask)?;
        let gate = self.gate.as_ref().ok_or(FetchError::NoGate)?;
        let _place = self.places.try_acquire().map_err(|_| FetchError::Busy)?;
        let judged_at = now().ok_or(FetchError::NoTime)?;
        let limit = Duration::from_millis(asked.timeout_ms);
        let exchange = exchange::run(gate, &asked, judged_at);
        let response = timeout(limit, exchange).await.map_err(|_| FetchError::Timeout(limit))??;
        let time_unix_s = now().ok_or(FetchError::NoTime)?;
        let Response { status, headers, body, certificates } = response;
        let record = FetchRecord {
            chain_id: who.chain_id,
            genesis_hash: who.genesis_hash,
            app_id: who.app_id,
            instance_id: who.instance_id,
            height: newest.height,
            block_hash: newest.block_hash,
            time_unix_s,
            method: asked.method,
            url: asked.url.text(),
            request_headers: fetch_headers_digest(&asked.headers),
            request_body: asked.body.as_ref().map_or(Digest([0; 32]), |body| sha256(body)),
            roots: asked.roots_digest(),
            certificates: fetch_certificates_digest(&certificates),
            status,
            response_body: sha256(&body),
        };
        let signature = BareHex(sign_fetch(who.account, &record).to_vec());
        Ok(Fetched { format: FETCH_FORMAT.to_owned(), record, signature, headers, body: Base64Text(body.to_vec()) })
    }
}
