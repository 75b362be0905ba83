//! The document that is committed, and the Rust client, are those of the routes.
#![allow(clippy::unwrap_used)]

use super::{openapi::openapi, schemas::SCHEMAS, table::operations};

/// Variable that lets the test write the document instead.
const WRITE_VARIABLE: &str = "FREEHOLD_WRITE_OPENAPI";

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/openapi.json");
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&openapi()).unwrap() + "\n").unwrap();
        return;
    }
    let committed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
    assert!(
        committed == openapi(),
        "spec/openapi.json is not what is served: run this test with {WRITE_VARIABLE}=1, then `cargo xtask clients`"
    );
}

#[test]
fn every_type_of_the_document_is_there_and_used() {
    let document = openapi();
    let text = document.to_string();
    let used: std::collections::BTreeSet<&str> =
        text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let named: std::collections::BTreeSet<&str> = SCHEMAS.iter().map(|schema| schema.name).collect();
    assert_eq!(used, named);
    let mut names: Vec<&str> =
        operations().map(|operation| operation.name).filter(|name| !name.starts_with('/')).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two operations have one name");
}

#[test]
fn the_rust_client_knows_every_path_of_freehold() {
    let client =
        concat!(include_str!("../../../rpc/src/local_client.rs"), include_str!("../../../rpc/src/local_events.rs"));
    for operation in operations().filter(|operation| operation.path.starts_with("/freehold/")) {
        let ours = operation.path.split('/').map(|part| if part.starts_with('{') { "{" } else { part });
        let begin = ours.collect::<Vec<_>>().join("/");
        let begin = begin.split("/{").next().unwrap();
        let last = operation.path.rsplit('/').next().unwrap();
        let end = if last.starts_with('{') { "" } else { last };
        let is_known = client.lines().any(|line| line.contains(&format!("\"{begin}")) && line.contains(end));
        assert!(is_known || operation.path.ends_with("openapi.json"), "no method for {}", operation.path);
    }
}
