//! What stands on the chain: collateral, apps and their live instances, each entry under a certificate.
//!
//! Which apps and instances there are, a node can keep from us; what it shows of them, it cannot change.

use std::collections::BTreeSet;

use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::{content_digest, slots::APPS};
use freehold_primitives::{
    AppId, Digest, Height, UnixSeconds,
    entries::{AppEntry, CollateralEntry, CollateralKind, InstanceEntry},
};
use freehold_rpc::{EntryKey, LogRecord, NodeError, VerifiedClient, VerifiedError};
use serde_json::json;

use crate::{abi::IApps, error::HostError};

/// Blocks that one question about logs spans: a node's bound.
const LOG_BLOCKS: u64 = 10_000;
/// Most apps that are looked at.
const APPS_MAX: usize = 10_000;
/// Most instances of one app that are looked at: above the chain's own bound.
const INSTANCES_MAX: usize = 4_096;

/// Collateral on the chain.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) entry: CollateralEntry,
    pub(crate) document: Vec<u8>,
}

/// A live instance, the app it is of, and the evidence that it showed last.
#[derive(Debug, Clone)]
pub(crate) struct LiveInstance {
    pub(crate) app: AppEntry,
    pub(crate) entry: InstanceEntry,
    pub(crate) evidence: Vec<u8>,
}

/// The chain, and how far its logs were read for apps.
pub(crate) struct Registry {
    chain: VerifiedClient,
    apps: BTreeSet<AppId>,
    scanned: Option<Height>,
}

impl Registry {
    pub(crate) const fn new(chain: VerifiedClient) -> Self {
        Self { chain, apps: BTreeSet::new(), scanned: None }
    }

    /// Time of the newest certified block.
    pub(crate) async fn now(&self) -> Result<UnixSeconds, HostError> {
        let header = self.chain.newest_above(None).await?;
        header.map(|header| header.time_unix_s()).ok_or(HostError::Unverified(VerifiedError::NotFinal(0)))
    }

    /// The newest collateral of a kind and key.
    pub(crate) async fn collateral(&self, kind: CollateralKind, key: &[u8]) -> Result<Option<Standing>, HostError> {
        let entry = self.chain.entry::<CollateralEntry>(&EntryKey::Collateral(kind, key.to_vec())).await?.entry;
        let Some(entry) = entry else { return Ok(None) };
        let document = self.content(&entry.digest).await?;
        Ok(Some(Standing { entry, document }))
    }

    async fn content(&self, digest: &Digest) -> Result<Vec<u8>, HostError> {
        let content = self.chain.node().content(digest).await?;
        let content = content.filter(|content| content_digest(content) == *digest);
        content.ok_or(HostError::Unverified(VerifiedError::NoContent))
    }

    /// Live instances of these apps; of every app on the chain where none is named.
    pub(crate) async fn live_instances(
        &mut self,
        named: &[AppId],
        now_unix_s: UnixSeconds,
    ) -> Result<Vec<LiveInstance>, HostError> {
        let apps: Vec<AppId> = if named.is_empty() {
            self.discover().await?;
            self.apps.iter().copied().collect()
        } else {
            named.to_vec()
        };
        let mut live = Vec::new();
        for app_id in apps {
            let app = self.chain.entry::<AppEntry>(&EntryKey::App(app_id)).await?.entry;
            let Some(app) = app.filter(|app| app.closed_at.is_none()) else { continue };
            for id in self.instance_ids(&app_id).await? {
                let entry = self.chain.entry::<InstanceEntry>(&EntryKey::Instance(id)).await?.entry;
                let is_live = |entry: &InstanceEntry| {
                    entry.app_id == app_id && entry.closed_at.is_none() && entry.expires_at > now_unix_s
                };
                let Some(entry) = entry.filter(is_live) else { continue };
                let evidence = self.content(&entry.evidence_digest).await?;
                live.push(LiveInstance { app: app.clone(), entry, evidence });
            }
        }
        Ok(live)
    }

    /// Finds apps in the logs of blocks that were not read yet.
    async fn discover(&mut self) -> Result<(), HostError> {
        let newest = self.chain.node().block_number().await?;
        let mut from = self.scanned.map_or(0, |scanned| scanned.saturating_add(1));
        while from <= newest {
            let to = from.saturating_add(LOG_BLOCKS - 1).min(newest);
            let filter = json!({
                "address": format!("0x{APPS}"),
                "fromBlock": format!("{from:#x}"),
                "toBlock": format!("{to:#x}"),
                "topics": [format!("{:#x}", IApps::AppCreated::SIGNATURE_HASH)],
            });
            let logs: Vec<LogRecord> = self.chain.node().call("eth_getLogs", (filter,)).await?;
            for log in logs {
                // A fixed-size byte string stands at the front of its word.
                let topic = log.topics.get(1).and_then(|topic| topic.0.first_chunk::<21>());
                let app = topic.and_then(|bytes| AppId::from_bytes(*bytes).ok());
                let app = app.ok_or_else(|| malformed("eth_getLogs", "no app in a log"))?;
                self.apps.insert(app);
            }
            if self.apps.len() > APPS_MAX {
                return Err(malformed("eth_getLogs", "more apps than this bot looks at: name yours"));
            }
            self.scanned = Some(to);
            from = to.saturating_add(1);
        }
        Ok(())
    }

    async fn instance_ids(&self, app: &AppId) -> Result<Vec<Digest>, HostError> {
        let mut ids = Vec::new();
        let mut cursor = 0;
        loop {
            let call = IApps::instancesCall { id: (*app.as_bytes()).into(), cursor }.abi_encode();
            let answer = self.chain.node().eth_call(&APPS, call).await?;
            let page = IApps::instancesCall::abi_decode_returns(&answer);
            let page = page.map_err(|_| malformed("eth_call", "no list of instances"))?;
            ids.extend(page.ids.iter().map(|id| Digest(id.0)));
            if page.next == 0 {
                return Ok(ids);
            }
            if page.next <= cursor || ids.len() > INSTANCES_MAX {
                return Err(malformed("eth_call", "a list of instances without an end"));
            }
            cursor = page.next;
        }
    }
}

fn malformed(method: &str, reason: &str) -> HostError {
    NodeError::Malformed { method: method.to_owned(), reason: reason.to_owned() }.into()
}
