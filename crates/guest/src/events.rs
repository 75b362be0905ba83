//! Events by subscription (`spec/events.md`): logs of contracts and the app's own life, verified before they are handed on.
//!
//! Invariant: what a line tells stands under a certificate of the network key, and a line of a height is sent only after
//! everything below it was looked at: the headers of a run hang together by parent hashes, a bloom has no false negatives, and receipts
//! come all or none. So the relay can hold events back, and nothing else; that it does shows as a stream that ends.

mod filter;
mod life;

#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use freehold_primitives::Height;
use freehold_rpc::{
    EventLine, EventsTold, HeaderReference, LocalError, LocalErrorBody, LocalErrorCode, VerifiedClient, VerifiedError,
};
use freehold_verify::VerifiedHeader;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep},
};

use crate::{agent::Guest, state::Stage};

pub(crate) use filter::{Filter, read_ask};

/// Subscriptions at once. Each holds the logs of two blocks at most.
const SUBSCRIPTIONS_MAX: usize = 8;
/// Headers that are looked at before a listener is told how far it has come.
const RUN_MAX: u64 = 256;
/// Pause between two looks for newer headers.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);
/// Longest silence while nothing happens.
const PROGRESS_WAIT: Duration = Duration::from_secs(5);
/// How long a relay may give nothing that verifies before a subscription ends.
const TROUBLE_WAIT: Duration = Duration::from_secs(10);

/// Places for subscriptions.
pub(crate) struct Subscriptions(Arc<Semaphore>);

impl Default for Subscriptions {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SUBSCRIPTIONS_MAX)))
    }
}

/// What a listener reads from.
pub(crate) type Lines = mpsc::Receiver<Result<Bytes, io::Error>>;

/// Begins to tell what the filter matches from a height on; `None` where too many listen.
pub(crate) fn subscribe(guest: &Arc<Guest>, filter: Filter, from: Height) -> Option<Lines> {
    let place = Arc::clone(&guest.subscriptions().0).try_acquire_owned().ok()?;
    // A listener that does not read holds up its own subscription and nothing else.
    let (sender, lines) = mpsc::channel(1);
    let subscription = Subscription { guest: Arc::clone(guest), filter, next: from, sender, _place: place };
    tokio::spawn(subscription.run());
    Some(lines)
}

/// The listener is gone.
struct Gone;

struct Subscription {
    guest: Arc<Guest>,
    filter: Filter,
    /// First height that was not looked at.
    next: Height,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    _place: OwnedSemaphorePermit,
}

impl Subscription {
    async fn run(mut self) {
        let closed = self.sender.clone();
        tokio::select! {
            _gone = self.tell() => {}
            () = closed.closed() => {}
        }
    }

    async fn tell(&mut self) -> Result<(), Gone> {
        let (mut told_at, mut well_at) = (Instant::now(), Instant::now());
        while self.guest.stage() == Stage::Serving {
            match self.look().await {
                Ok(Some(last)) => {
                    well_at = Instant::now();
                    for line in last.lines {
                        told_at = well_at;
                        self.send(&EventLine::Told(line)).await?;
                    }
                    self.next = last.header.height() + 1;
                    let is_run_whole = last.heights == RUN_MAX;
                    if !last.is_told && (is_run_whole || told_at.elapsed() >= PROGRESS_WAIT) {
                        told_at = well_at;
                        let header = reference(&last.header);
                        self.send(&EventLine::Told(EventsTold { header, logs: Vec::new(), life: Vec::new() })).await?;
                    }
                    if is_run_whole {
                        continue;
                    }
                }
                Ok(None) => well_at = Instant::now(),
                Err(error) => {
                    tracing::warn!(%error, from = self.next, "no verified events");
                    if well_at.elapsed() >= TROUBLE_WAIT {
                        return self.end(LocalErrorCode::Unavailable, error.to_string()).await;
                    }
                }
            }
            sleep(FOLLOW_PAUSE).await;
        }
        self.end(LocalErrorCode::NotServing, "the instance does not serve now".to_owned()).await
    }

    /// Looks at the next headers; `None` where there are none yet.
    async fn look(&self) -> Result<Option<Looked>, VerifiedError> {
        let chain = self.guest.chain();
        let newest = chain.newest_above(self.next.checked_sub(1)).await?;
        match newest.filter(|newest| newest.height() >= self.next) {
            Some(newest) => look_at(chain, &self.filter, (self.next, newest.height())).await.map(Some),
            // The relay showed this very guest a newer header before.
            None if self.guest.life().newest().is_some_and(|seen| seen.height >= self.next) => {
                Err(VerifiedError::Withheld(self.next))
            }
            None => Ok(None),
        }
    }

    async fn send(&self, line: &EventLine) -> Result<(), Gone> {
        let mut text = serde_json::to_vec(line).map_err(|_| Gone)?;
        text.push(b'\n');
        self.sender.send(Ok(text.into())).await.map_err(|_| Gone)
    }

    async fn end(&self, code: LocalErrorCode, message: String) -> Result<(), Gone> {
        self.send(&EventLine::Ended(LocalErrorBody { error: LocalError { code, message } })).await
    }
}

/// What a run of headers held.
struct Looked {
    /// The last one.
    header: VerifiedHeader,
    heights: u64,
    /// Of headers that hold something.
    lines: Vec<EventsTold>,
    /// Whether the last line is the last header's.
    is_told: bool,
}

/// Looks at the first headers of a range, all of them verified down from the last.
async fn look_at(
    chain: &VerifiedClient,
    filter: &Filter,
    (from, to): (Height, Height),
) -> Result<Looked, VerifiedError> {
    let to = to.min(from.saturating_add(RUN_MAX - 1));
    let (headers, last) = chain.header(to).await?.ok_or(VerifiedError::Withheld(to))?;
    let child = *headers.first();
    let mut run = chain.ancestors(&child, from).await?;
    run.push((child, last));
    let mut lines: Vec<EventsTold> = Vec::new();
    for (verified, header) in &run {
        if !filter.may_match(&header.logs_bloom) {
            continue;
        }
        let block = chain.block(verified).await?;
        let (logs, life) = (filter.logs(&block), filter.life(&block));
        if !logs.is_empty() || !life.is_empty() {
            lines.push(EventsTold { header: reference(verified), logs, life });
        }
    }
    let is_told = lines.last().is_some_and(|line| line.header.height == to);
    Ok(Looked { header: child, heights: run.len() as u64, lines, is_told })
}

fn reference(header: &VerifiedHeader) -> HeaderReference {
    HeaderReference { height: header.height(), block_hash: header.block_hash(), time_unix_s: header.time_unix_s() }
}
