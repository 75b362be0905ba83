//! What an error says of its causes.

use std::path::Path;

use freehold_bundle::build_bundle;

use super::reasons;

#[test]
fn each_cause_is_said_once() {
    let folder = Path::new("no such folder");
    let error = build_bundle(folder, folder).expect_err("there is nothing to build");
    let said = reasons(&anyhow::Error::new(error).context("cannot build"));
    assert!(said.starts_with("cannot build: no such folder"), "{said}");
    assert_eq!(said.matches("os error").count(), 1, "{said}");
    assert_eq!(reasons(&anyhow::anyhow!("gone").context("cannot ask")), "cannot ask: gone");
}
