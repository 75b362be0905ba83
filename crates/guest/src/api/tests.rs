//! Tests of the metadata's bounds.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::metadata::{KEY_BYTES_MAX, Metadata, PAIRS_MAX, PREFIX, VALUE_BYTES_MAX};

fn pairs(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|index| (format!("k{index}"), "v".to_owned())).collect()
}

#[test]
fn metadata_is_replaced_changed_and_removed() {
    let mut metadata = Metadata::default();
    metadata.replace(pairs(PAIRS_MAX)).unwrap();
    assert!(metadata.upsert([("new".to_owned(), String::new())].into()).is_err());
    metadata.upsert([("k0".to_owned(), "w".to_owned())].into()).unwrap();
    metadata.delete(&["k1".to_owned(), "unknown".to_owned()]);
    assert_eq!(metadata.pairs().len(), PAIRS_MAX - 1);
    assert_eq!(metadata.pairs()["k0"], "w");
    assert!(metadata.replace(pairs(PAIRS_MAX + 1)).is_err());
    assert_eq!(metadata.pairs().len(), PAIRS_MAX - 1, "a refused change changes nothing");
}

#[test]
fn long_keys_and_values_are_refused() {
    let mut metadata = Metadata::default();
    let key = "k".repeat(KEY_BYTES_MAX - PREFIX.len());
    metadata.replace([(key.clone(), "v".repeat(VALUE_BYTES_MAX))].into()).unwrap();
    assert!(metadata.replace([(key + "k", String::new())].into()).is_err());
    assert!(metadata.replace([("k".to_owned(), "v".repeat(VALUE_BYTES_MAX + 1))].into()).is_err());
    assert!(metadata.replace([(String::new(), String::new())].into()).is_err());
}
