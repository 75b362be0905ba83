//! Leases, counters and metadata of the chain in this process: the rules of `ledger` in short, and copies that misbehave.

use alloy_sol_types::{SolCall as _, SolError as _};
use freehold_primitives::entries::{
    CounterValue, CountersEntry, LEASE_FENCE_CODE, LEASE_HELD_CODE, LeaseEntry, Metadata, MetadataEntry, NOT_LIVE_CODE,
};

use super::*;

/// What the modules hold.
#[derive(Default)]
pub(super) struct Modules {
    leases: BTreeMap<String, LeaseEntry>,
    counters: BTreeMap<String, CountersEntry>,
    /// What instances say of themselves.
    metadata: BTreeMap<Digest, Metadata>,
    /// Batches that were written.
    pub(super) batches: u64,
}

/// Whether a call is only tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Try,
    Write,
}

/// Revert data of a refusal.
pub(super) fn revert(code: u16) -> Value {
    hexed(&ILog::Refused { code, detail: 0 }.abi_encode())
}

impl FakeChain {
    /// The newest evidence of every instance is another's: a copy of it, with the same keys, has renewed.
    pub(crate) fn renew_as_copies(&self) {
        let mut inner = self.lock();
        let height = inner.headers.len() as u64;
        let entries: Vec<InstanceEntry> = inner.instances.values().cloned().collect();
        for mut entry in entries {
            entry.evidence_digest = Digest([0xcc; 32]);
            entry.renewed_at = height;
            inner.pending.push((EntryKey::Instance(entry.instance_id), entry.to_canonical()));
            inner.instances.insert(entry.instance_id, entry);
        }
    }

    /// A copy of the holder raises a counter under the same fence.
    pub(crate) fn raise_as_copy(&self, lease: &str, counter: &str) {
        let mut inner = self.lock();
        let held = inner.leases.leases[lease].clone();
        let previous = inner.leases.counters.get(lease).map_or(0, |entry| entry.sequence);
        let value = inner.leases.counters.get(lease).map_or(0, |entry| entry.value(counter)) + 1;
        let raises = vec![ILog::Raise { name: counter.to_owned(), value }];
        let batch = [0xcc; 32].into();
        let call = ILog::raiseCountersCall { lease: lease.to_owned(), fence: held.fence, previous, batch, raises };
        inner.module_call(held.account, &call.abi_encode(), Mode::Write).unwrap();
    }

    /// Value of a counter, and how many batches were written in all.
    pub(crate) fn counter(&self, lease: &str, counter: &str) -> (u64, u64) {
        let inner = self.lock();
        (inner.leases.counters.get(lease).map_or(0, |entry| entry.value(counter)), inner.leases.batches)
    }

    /// What the only instance says of itself.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let inner = self.lock();
        let said = inner.leases.metadata.values().flat_map(|metadata| metadata.pairs.clone());
        said.map(|pair| (pair.key, pair.value)).collect()
    }

    /// Instance that took a lease last.
    pub(crate) fn taker(&self, lease: &str) -> Digest {
        self.lock().leases.leases[lease].instance_id
    }

    pub(crate) fn height(&self) -> u64 {
        self.lock().headers.len() as u64 - 1
    }
}

impl Inner {
    pub(super) fn estimate(&mut self, request: &Value) -> Result<(), String> {
        let is_module = request["to"].as_str().is_some_and(|to| to.starts_with(&format!("0x{}", "00".repeat(17))));
        if !is_module {
            return Ok(());
        }
        let sender: Account = request["from"].as_str().unwrap().parse().unwrap();
        let data = ["data", "input"].iter().find_map(|name| request[name].as_str()).unwrap();
        let data = hex::decode(data.trim_start_matches("0x")).unwrap();
        if ILog::anchorCall::abi_decode(&data).is_ok() || IKeys::requestCall::abi_decode(&data).is_ok() {
            return Ok(());
        }
        self.module_call(sender, &data, Mode::Try).map_err(|code| format!("refused {code}"))
    }

    pub(super) fn module_call(&mut self, sender: Account, data: &[u8], mode: Mode) -> Result<(), u16> {
        let live = |entry: &&InstanceEntry| entry.closed_at.is_none() && entry.expires_at > now_s();
        let caller =
            self.instances.values().filter(live).find(|entry| entry.account == sender).cloned().ok_or(NOT_LIVE_CODE)?;
        if let Ok(call) = IApps::acquireLeaseCall::abi_decode(data) {
            return self.acquire(&caller, &call, mode);
        }
        if let Ok(call) = IApps::releaseLeaseCall::abi_decode(data) {
            let mut entry = self.own_lease(&caller, &call.name, call.fence)?;
            entry.released_at = Some(self.headers.len() as u64);
            self.write_lease(entry, mode);
            return Ok(());
        }
        if let Ok(call) = IApps::setMetadataCall::abi_decode(data) {
            let metadata = Metadata::from_canonical(&call.metadata).map_err(|_| 60_u16)?;
            if mode == Mode::Write {
                let (id, changed_at) = (caller.instance_id, self.headers.len() as u64);
                let entry = MetadataEntry { instance_id: id, changed_at, metadata: metadata.clone() };
                self.pending.push((EntryKey::Metadata(id), entry.to_canonical()));
                self.leases.metadata.insert(id, metadata);
            }
            return Ok(());
        }
        let call = ILog::raiseCountersCall::abi_decode(data).map_err(|_| 1_u16)?;
        self.raise(&caller, &call, mode)
    }

    fn own_lease(&self, caller: &InstanceEntry, name: &str, fence: u64) -> Result<LeaseEntry, u16> {
        let own = |entry: &&LeaseEntry| {
            entry.instance_id == caller.instance_id && entry.fence == fence && entry.stands(now_s())
        };
        self.leases.leases.get(name).filter(own).cloned().ok_or(LEASE_FENCE_CODE)
    }

    fn write_lease(&mut self, entry: LeaseEntry, mode: Mode) {
        if mode == Mode::Write {
            self.pending.push((EntryKey::Lease(entry.app_id, entry.name.clone()), entry.to_canonical()));
            self.leases.leases.insert(entry.name.clone(), entry);
        }
    }

    fn acquire(&mut self, caller: &InstanceEntry, call: &IApps::acquireLeaseCall, mode: Mode) -> Result<(), u16> {
        let height = self.headers.len() as u64;
        let before = self.leases.leases.get(&call.name).cloned();
        let held = before.as_ref().is_some_and(|before| {
            let holder = &self.instances[&before.instance_id];
            before.stands(now_s()) && holder.closed_at.is_none() && holder.expires_at > now_s()
        });
        let own = before.as_ref().is_some_and(|before| before.instance_id == caller.instance_id);
        if held && !own {
            return Err(LEASE_HELD_CODE);
        }
        let fence = before.as_ref().map_or(0, |before| before.fence) + u64::from(!held);
        let entry = LeaseEntry {
            app_id: caller.app_id,
            name: call.name.clone(),
            fence,
            instance_id: caller.instance_id,
            account: caller.account,
            taken_at: before.filter(|_| held).map_or(height, |before| before.taken_at),
            renewed_at: height,
            expires_at: (now_s() + call.lengthS).min(caller.expires_at),
            released_at: None,
        };
        self.write_lease(entry, mode);
        Ok(())
    }

    fn raise(&mut self, caller: &InstanceEntry, call: &ILog::raiseCountersCall, mode: Mode) -> Result<(), u16> {
        let lease = self.own_lease(caller, &call.lease, call.fence)?;
        let before = self.leases.counters.get(&call.lease).cloned();
        let (sequence, values) = before.map_or_else(Default::default, |before| (before.sequence, before.values));
        if sequence != call.previous {
            return Err(162);
        }
        let mut values: BTreeMap<String, u64> = values.into_iter().map(|one| (one.name, one.value)).collect();
        for raise in &call.raises {
            if raise.value <= values.insert(raise.name.clone(), raise.value).unwrap_or(0) {
                return Err(165);
            }
        }
        if mode == Mode::Write {
            let entry = CountersEntry {
                app_id: lease.app_id,
                lease: lease.name.clone(),
                sequence: sequence + 1,
                fence: call.fence,
                instance_id: caller.instance_id,
                batch: Digest(call.batch.0),
                values: values.into_iter().map(|(name, value)| CounterValue { name, value }).collect(),
                height: self.headers.len() as u64,
                time_unix_s: now_s(),
            };
            self.pending.push((EntryKey::Counters(lease.app_id, lease.name.clone()), entry.to_canonical()));
            self.leases.counters.insert(lease.name, entry);
            self.leases.batches += 1;
        }
        Ok(())
    }
}
