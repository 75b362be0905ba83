//! Settings: the owner's alone, one generation after the other, and nothing in them that is out of bounds.
#![allow(clippy::unwrap_used)]

use alloy_sol_types::SolCall as _;
use freehold_crypto::slots;
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    Account, Blob, Canonical as _,
    entries::{
        AppSettings, EntryKind, SETTING_BYTES_MAX, SETTINGS_BYTES_MAX, SETTINGS_MAX, SPENDING_CONTRACTS_MAX, Setting,
        SettingForm, SettingsEntry, SpendingLimits,
    },
};

use crate::registry::{IApps, OWNER, PROVIDER, Refused, Registry, assert_refused, module};

fn setting(name: &str, set_at: u64) -> Setting {
    let (name, value) = (name.to_owned(), Blob(b"value".to_vec()));
    Setting { name, set_at, form: SettingForm::Public, key_generation: 0, value }
}

fn limits() -> SpendingLimits {
    let contracts = vec![Account([1; 20]), Account([2; 20])];
    SpendingLimits { per_transaction_wei: 1, per_day_wei: 2, per_day_count: 3, contracts, may_create: false }
}

fn put(registry: &mut Registry, from: u8, document: Vec<u8>) -> Result<ExecutedBlock, Refused> {
    let app = registry.app.as_bytes().into();
    registry.apps(from, IApps::setSettingsCall { app, settings: document.into() })
}

fn entry(registry: &Registry) -> Option<SettingsEntry> {
    registry.entry(EntryKind::Settings, registry.app.as_bytes())
}

#[test]
fn generations_follow_each_other_and_nothing_comes_back() {
    let mut registry = Registry::new();
    assert_eq!(entry(&registry), None);
    let first = AppSettings { generation: 1, settings: vec![setting("A", 1)], spending: Some(limits()) };
    put(&mut registry, OWNER, first.to_canonical()).unwrap();
    let found = entry(&registry).unwrap();
    assert_eq!((found.app_id, &found.settings), (registry.app, &first));
    // The same again, one that was skipped, and none at all.
    assert_refused(put(&mut registry, OWNER, first.to_canonical()), ModuleRefusal::SettingsGeneration);
    for generation in [0, 3, u64::MAX] {
        let other = AppSettings { generation, ..AppSettings::default() };
        assert_refused(put(&mut registry, OWNER, other.to_canonical()), ModuleRefusal::SettingsGeneration);
    }
    let second = AppSettings { generation: 2, settings: vec![setting("A", 1), setting("B", 2)], spending: None };
    put(&mut registry, OWNER, second.to_canonical()).unwrap();
    assert_refused(put(&mut registry, OWNER, first.to_canonical()), ModuleRefusal::SettingsGeneration);
    let view = registry.view(module(slots::APPS), IApps::settingsCall { id: registry.app.as_bytes().into() });
    let bytes = IApps::settingsCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!(SettingsEntry::from_canonical(&bytes).unwrap().settings, second);
}

#[test]
fn only_the_owner_of_an_open_app_sets() {
    let mut registry = Registry::new();
    let first = AppSettings { generation: 1, ..AppSettings::default() }.to_canonical();
    assert_refused(put(&mut registry, PROVIDER, first.clone()), ModuleRefusal::NotOwner);
    let unknown = IApps::setSettingsCall { app: [0; 21].into(), settings: first.clone().into() };
    assert_refused(registry.apps(OWNER, unknown), ModuleRefusal::AppUnknown);
    let app = registry.app.as_bytes().into();
    registry.apps(OWNER, IApps::closeCall { app }).unwrap();
    assert_refused(put(&mut registry, OWNER, first), ModuleRefusal::AppClosed);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let mut registry = Registry::new();
    let mut refused = |settings: Vec<Setting>, spending: Option<SpendingLimits>| {
        let document = AppSettings { generation: 1, settings, spending }.to_canonical();
        assert_refused(put(&mut registry, OWNER, document), ModuleRefusal::Settings);
    };
    let long = "A".repeat(129);
    // No variable's name, the platform's, and what loaders, shells and interpreters act on, in any case.
    for name in [
        "",
        "1A",
        "A-B",
        "A B",
        "A=B",
        "Ä",
        "A\0",
        &long,
        "FREEHOLD_LOCAL_API",
        "freehold_x",
        "ROFL_X",
        "DSTACK_X",
        "TAPPD_X",
        "LD_PRELOAD",
        "ld_audit",
        "PYTHONPATH",
        "NODE_OPTIONS",
        "BASH_ENV",
        "PATH",
        "Home",
        "IFS",
        "JAVA_TOOL_OPTIONS",
        "GCONV_PATH",
        "PERL5OPT",
        "RUBYOPT",
    ] {
        refused(vec![setting(name, 1)], None);
    }
    refused(vec![setting("B", 1), setting("A", 1)], None);
    refused(vec![setting("A", 1), setting("A", 1)], None);
    refused(vec![setting("A", 0)], None);
    refused(vec![setting("A", 2)], None);
    refused(vec![Setting { key_generation: 1, ..setting("A", 1) }], None);
    refused(vec![Setting { value: Blob(vec![0; SETTING_BYTES_MAX + 1]), ..setting("A", 1) }], None);
    refused((0..=SETTINGS_MAX).map(|index| setting(&format!("A{index:03}"), 1)).collect(), None);
    let backwards = vec![Account([2; 20]), Account([1; 20])];
    refused(Vec::new(), Some(SpendingLimits { contracts: backwards, ..limits() }));
    let many = (0..=SPENDING_CONTRACTS_MAX as u8).map(|index| Account([index; 20])).collect();
    refused(Vec::new(), Some(SpendingLimits { contracts: many, ..limits() }));
    let two = ["A", "B", "C"].map(|name| Setting { value: Blob(vec![0; SETTING_BYTES_MAX]), ..setting(name, 1) });
    assert!(
        AppSettings { generation: 1, settings: two.to_vec(), spending: None }.to_canonical().len() > SETTINGS_BYTES_MAX
    );
    refused(two.to_vec(), None);

    // Cut off, with a tail, and no document.
    let good = AppSettings { generation: 1, settings: vec![setting("A", 1)], spending: Some(limits()) }.to_canonical();
    for bad in [good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), Vec::new(), vec![0xff; 40]] {
        assert_refused(put(&mut registry, OWNER, bad), ModuleRefusal::Settings);
    }
    let largest = ["A", "B"].map(|name| Setting { value: Blob(vec![0; SETTING_BYTES_MAX - 200]), ..setting(name, 1) });
    let document = AppSettings { generation: 1, settings: largest.to_vec(), spending: Some(limits()) };
    put(&mut registry, OWNER, document.to_canonical()).unwrap();
}
