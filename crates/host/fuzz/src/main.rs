//! The coverage-guided target: libFuzzer over the entry that `FREEHOLD_FUZZ` names.
#![no_main]

use std::sync::LazyLock;

mod entries;

static ENTRY: LazyLock<entries::Entry> = LazyLock::new(|| {
    let name = std::env::var("FREEHOLD_FUZZ").expect("FREEHOLD_FUZZ names an entry");
    entries::ENTRIES.iter().find(|(known, _)| *known == name).expect("FREEHOLD_FUZZ names a known entry").1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (*ENTRY)(bytes));
