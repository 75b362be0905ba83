//! Metadata: what a live instance says of itself, whole each time, and nothing in it that is out of bounds.
#![allow(clippy::unwrap_used)]

use alloy_sol_types::SolCall as _;
use freehold_crypto::slots;
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    Canonical as _, Digest,
    entries::{
        EntryKind, METADATA_BYTES_MAX, METADATA_KEY_BYTES_MAX, METADATA_PAIRS_MAX, METADATA_VALUE_BYTES_MAX, Metadata,
        MetadataEntry, MetadataPair,
    },
};

use crate::registry::{IApps, INSTANCE, OWNER, PROVIDER, Refused, Registry, assert_refused, module};

fn pair(key: impl Into<String>, value: impl Into<String>) -> MetadataPair {
    MetadataPair { key: key.into(), value: value.into() }
}

/// An instance that can pay.
fn register(registry: &mut Registry) -> Digest {
    let mut draft = registry.draft(INSTANCE);
    draft.value = 10_u128.pow(18);
    registry.register(&draft).unwrap();
    draft.instance_id()
}

fn say(registry: &mut Registry, from: u8, document: Vec<u8>) -> Result<ExecutedBlock, Refused> {
    registry.apps(from, IApps::setMetadataCall { metadata: document.into() })
}

fn entry(registry: &Registry, id: &Digest) -> Option<MetadataEntry> {
    registry.entry(EntryKind::Metadata, id.as_bytes())
}

#[test]
fn an_instance_says_of_itself_what_it_wants_while_it_lives() {
    let mut registry = Registry::new();
    let first = Metadata { pairs: vec![pair("a", "1"), pair("b", "")] };
    let id = register(&mut registry);
    assert_eq!(entry(&registry, &id), None);
    for other in [OWNER, PROVIDER] {
        assert_refused(say(&mut registry, other, first.to_canonical()), ModuleRefusal::NotLive);
    }
    say(&mut registry, INSTANCE, first.to_canonical()).unwrap();
    let found = entry(&registry, &id).unwrap();
    assert_eq!((found.instance_id, &found.metadata), (id, &first));
    let second = Metadata { pairs: vec![pair("c", "2")] };
    say(&mut registry, INSTANCE, second.to_canonical()).unwrap();
    let view = registry.view(module(slots::APPS), IApps::metadataCall { instance: id.0.into() });
    let bytes = IApps::metadataCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!(MetadataEntry::from_canonical(&bytes).unwrap().metadata, second);

    // What it said last stays provable; nobody speaks for it any more.
    registry.apps(INSTANCE, IApps::deregisterCall { instance: id.0.into() }).unwrap();
    assert_refused(say(&mut registry, INSTANCE, first.to_canonical()), ModuleRefusal::NotLive);
    assert_eq!(entry(&registry, &id).unwrap().metadata, second);
}

#[test]
fn what_breaks_a_bound_is_refused_and_the_bounds_themselves_pass() {
    let mut registry = Registry::new();
    let id = register(&mut registry);
    let many = |count: usize| (0..count).map(|index| pair(format!("k{index:03}"), "")).collect::<Vec<_>>();
    let (key, value) = ("k".repeat(METADATA_KEY_BYTES_MAX), "v".repeat(METADATA_VALUE_BYTES_MAX));
    let long = || "v".repeat(METADATA_VALUE_BYTES_MAX - 64);
    for pairs in [
        vec![pair("", "x")],
        vec![pair(key.clone() + "k", "")],
        vec![pair("k", value.clone() + "v")],
        many(METADATA_PAIRS_MAX + 1),
        vec![pair("b", ""), pair("a", "")],
        vec![pair("a", "1"), pair("a", "2")],
        vec![pair("a", long()), pair("b", long()), pair("c", "v".repeat(256))],
    ] {
        let document = Metadata { pairs }.to_canonical();
        assert_refused(say(&mut registry, INSTANCE, document), ModuleRefusal::Metadata);
    }
    let good = Metadata { pairs: vec![pair("a", "1")] }.to_canonical();
    let longer = [good.clone(), vec![0]].concat();
    for bad in [Vec::new(), longer, good[..good.len() - 1].to_vec(), vec![0xff; METADATA_BYTES_MAX + 1]] {
        assert_refused(say(&mut registry, INSTANCE, bad), ModuleRefusal::Metadata);
    }
    assert_eq!(entry(&registry, &id), None, "a refused document changes nothing");
    for pairs in [many(METADATA_PAIRS_MAX), vec![pair(key, value)], vec![pair("a", long()), pair("b", long())], vec![]]
    {
        say(&mut registry, INSTANCE, Metadata { pairs }.to_canonical()).unwrap();
    }
}
