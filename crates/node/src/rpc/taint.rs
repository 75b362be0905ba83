//! `freehold_taint`: from a subject to instances, and from them to apps, keys and receipts, a bounded page at a time.

use freehold_crypto::slots;
use freehold_ledger::{Content, StateTree, is_denied, read_entry, read_grant_ids, read_shadow};
use freehold_primitives::{
    AppId, Canonical, Digest, Height, UnixSeconds,
    entries::{AnchorEntry, DenyEntry, DenySubject, EntryKind, GrantEntry, InstanceEntry, LogEntry, NamedSubject},
};
use freehold_rpc::{ChainDenial, HexBytes, TaintPage, TaintedGrant, TaintedInstance};
use jsonrpsee::types::{ErrorObjectOwned, Params};

use super::{
    error::{internal, invalid_params},
    params::three,
    server::Rpc,
};
type Answer<T> = Result<T, ErrorObjectOwned>;

pub(super) fn taint(rpc: &Rpc, params: Params<'_>) -> Answer<TaintPage> {
    let (word, subject, cursor) = three::<String, HexBytes, u64>(&params)?;
    let kind = DenySubject::from_word(&word)
        .ok_or_else(|| invalid_params("the kind must be platform, family, measurement, instance, generation or tcb"))?;
    let named = NamedSubject::read(kind, &subject.0)
        .ok_or_else(|| invalid_params(format!("the bytes name no {kind}: their form stands in spec/apps.md §7")))?;
    let (chain, height) = (rpc.chain(), rpc.newest());
    let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
    let state = chain.state(height).map_err(internal)?;
    let look = Look { state: &state, store: &chain.store, time_unix_s: header.timestamp };
    let page = read_shadow(&named, cursor.unwrap_or(0), &state, &chain.store).map_err(internal)?;
    Ok(TaintPage {
        kind: word,
        subject,
        height,
        denials: look.denials(&named)?,
        instances: page.instances.iter().map(|instance| look.instance(instance)).collect::<Answer<_>>()?,
        next: page.next,
    })
}

/// State at one height.
struct Look<'a> {
    state: &'a dyn StateTree,
    store: &'a dyn Content,
    time_unix_s: UnixSeconds,
}

impl Look<'_> {
    fn entry<T: Canonical>(&self, kind: EntryKind, id: &[u8]) -> Answer<Option<T>> {
        read_entry(kind, id, self.state, self.store).map_err(internal)
    }

    fn denials(&self, subject: &NamedSubject) -> Answer<Vec<ChainDenial>> {
        let id = slots::deny_id(&AppId::CHAIN, subject.kind(), subject.key());
        let entry: Option<DenyEntry> = self.entry(EntryKind::Deny, &id)?;
        let denials = entry.map(|entry| entry.denials).unwrap_or_default().into_iter().map(|denial| ChainDenial {
            level: denial.level.map(|level| HexBytes(level.to_subject())),
            reason: denial.reason,
            since: denial.since,
            lifted_at: denial.lifted_at,
        });
        Ok(denials.collect())
    }

    fn instance(&self, instance: &InstanceEntry) -> Answer<TaintedInstance> {
        let id = instance.instance_id;
        let denied = is_denied(&AppId::CHAIN, instance, self.state, self.store).map_err(internal)?;
        let log: Option<LogEntry> = self.entry(EntryKind::Log, id.as_bytes())?;
        let (anchors, receipts) = log.map_or((0, 0), |log| (log.anchors, log.size));
        Ok(TaintedInstance {
            instance_id: id,
            app_id: instance.app_id,
            provider: instance.provider,
            opened_at: instance.opened_at,
            renewed_at: instance.renewed_at,
            expires_at: instance.expires_at,
            closed_at: instance.closed_at,
            live: instance.closed_at.is_none() && self.time_unix_s < instance.expires_at && !denied,
            tier: instance.tier,
            grants: self.grants(&id)?,
            receipts,
            anchors,
            first_anchor: self.anchor(&id, 0)?,
            last_anchor: anchors.checked_sub(1).map_or(Ok(None), |last| self.anchor(&id, last))?,
        })
    }

    fn grants(&self, instance: &Digest) -> Answer<Vec<TaintedGrant>> {
        let ids = read_grant_ids(instance, self.state, self.store).map_err(internal)?;
        let mut grants = Vec::with_capacity(ids.len());
        for id in ids {
            let grant: Option<GrantEntry> = self.entry(EntryKind::Grant, id.as_bytes())?;
            grants.extend(grant.map(|grant| TaintedGrant {
                context: grant.context,
                generation: grant.generation,
                granted_at: grant.granted_at,
                until: grant.until,
                closed_at: grant.closed_at,
            }));
        }
        Ok(grants)
    }

    fn anchor(&self, instance: &Digest, index: u64) -> Answer<Option<Height>> {
        let entry: Option<AnchorEntry> = self.entry(EntryKind::Anchor, &slots::anchor_id(instance, index))?;
        Ok(entry.map(|entry| entry.height))
    }
}
