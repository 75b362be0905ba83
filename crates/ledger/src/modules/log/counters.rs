//! Counters that never fall, raised in batches under a lease (`spec/leases.md`, design D11).
//!
//! One batch writes one slot, however many counters it raises. A batch names the one before it, so that of two writers
//! that believe to hold the same lease one is refused.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, Digest,
    entries::{COUNTERS_MAX, CounterValue, CountersEntry, EntryKind, is_lease_name},
};

use super::super::{
    abi::ILog::{CountersRaised, Raise, raiseCountersCall},
    apps::require_held,
    entries::{load, load_bytes, store},
    refusal::ModuleRefusal,
};
use crate::state::to_address;

/// Raises a batch of counters; returns its number.
pub(super) fn raise(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    args: &raiseCountersCall,
) -> Result<u64, ModuleFailure> {
    if args.raises.is_empty() || args.raises.len() > COUNTERS_MAX {
        return Err(ModuleRefusal::CountersBounds.into());
    }
    let (instance, lease) = require_held(ctx, caller, &args.lease, args.fence)?;
    let id = slots::lease_id(&instance.app_id, &lease.name);
    let before: Option<CountersEntry> = load(ctx, EntryKind::Counters, &id)?;
    let (sequence, mut values) = before.map_or_else(Default::default, |before| (before.sequence, before.values));
    if args.previous != sequence {
        return Err(ModuleRefusal::CountersSequence.into());
    }
    for raise in &args.raises {
        raise_one(&mut values, raise)?;
    }
    let environment = *ctx.environment();
    let entry = CountersEntry {
        app_id: instance.app_id,
        lease: lease.name,
        sequence: sequence + 1,
        fence: args.fence,
        instance_id: instance.instance_id,
        batch: Digest(args.batch.0),
        values,
        height: environment.height,
        time_unix_s: environment.time_unix_s,
    };
    let digest = store(ctx, EntryKind::Counters, &id, &entry)?;
    let event = CountersRaised {
        app: (*entry.app_id.as_bytes()).into(),
        instance: entry.instance_id.0.into(),
        lease: entry.lease,
        fence: entry.fence,
        sequence: entry.sequence,
        entry: digest.0.into(),
    };
    ctx.log(to_address(&slots::LOG), event.encode_log_data())?;
    Ok(entry.sequence)
}

fn raise_one(values: &mut Vec<CounterValue>, raise: &Raise) -> Result<(), ModuleFailure> {
    if !is_lease_name(&raise.name) {
        return Err(ModuleRefusal::CounterName.into());
    }
    match values.binary_search_by(|counter| counter.name.as_str().cmp(&raise.name)) {
        Ok(at) if raise.value > values[at].value => values[at].value = raise.value,
        Err(_) if raise.value > 0 && values.len() >= COUNTERS_MAX => return Err(ModuleRefusal::CountersBounds.into()),
        Err(at) if raise.value > 0 => values.insert(at, CounterValue { name: raise.name.clone(), value: raise.value }),
        _ => return Err(ModuleRefusal::CounterFalls.into()),
    }
    Ok(())
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, app: &AppId, lease: &str) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Counters, &slots::lease_id(app, lease))?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

pub(super) fn value(ctx: &mut ModuleContext<'_>, app: &AppId, lease: &str, name: &str) -> Result<u64, ModuleFailure> {
    let entry: Option<CountersEntry> = load(ctx, EntryKind::Counters, &slots::lease_id(app, lease))?;
    Ok(entry.map_or(0, |entry| entry.value(name)))
}
