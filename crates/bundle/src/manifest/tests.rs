//! Manifests as people write them, and as an enemy would.

use super::*;
use crate::Fault;

const PROCESS: &str = "\
name: oracle
version: 0.1.0
tee: tdx
kind: raw
resources: {memory: 512, cpus: 1}
freehold:
  process: {files: app, command: [python3, main.py]}
";

/// In the shape that Oasis's command line writes.
const ROFL: &str = "\
name: price-oracle
version: 0.1.0
repository: https://example.org/oracle
author: Somebody <somebody@example.org>
tee: tdx
kind: container
resources:
  memory: 512
  cpus: 1
  storage:
    kind: disk-persistent
    size: 512
artifacts:
  firmware: https://example.org/ovmf.tdx.fd#db47100a7d6a0c1f6983be224137c3f8d7cb09b63bb1c7a5ee7829d8e994a42f
  container:
    runtime: https://example.org/runtime#db47100a7d6a0c1f6983be224137c3f8d7cb09b63bb1c7a5ee7829d8e994a42f
    compose: compose.yaml
deployments:
  default:
    app_id: rofl1qrev5wq76npkmcv5wxkdxxcu4dhmu704yyl30h43
    network: testnet
    paratime: sapphire
    admin: test
    trust_root: {height: 1, hash: aa}
    policy:
      quotes: {pcs: {tcb_validity_period: 30, min_tcb_evaluation_data_number: 18, tdx: {}}}
      enclaves: [{id: AAAA}]
      endorsements: [{any: {}}]
      fees: endorsing_node
      max_expiration: 3
    metadata: {env.PAIR: eth-usd, note: public}
    secrets: [{name: API_KEY, value: AAAA}]
tooling: {version: 0.15.0}
";

/// Reads a text and tells the code, line and key of its refusal.
fn refused(text: &str) -> (u16, u32, String) {
    let error = Manifest::parse(text.as_bytes()).expect_err(text);
    (error.code(), error.line, error.key)
}

#[test]
fn an_existing_rofl_manifest_works_as_it_is() {
    let manifest = Manifest::parse(ROFL.as_bytes()).expect("a manifest of Oasis's tools");
    assert_eq!((manifest.kind, manifest.compose.as_deref()), (Kind::Container, Some("compose.yaml")));
    assert_eq!(manifest.resources.storage, (StorageKind::DiskPersistent, 512));
    let deployment = &manifest.deployments["default"];
    assert!(deployment.app_id.is_some());
    assert_eq!(deployment.environment["PAIR"], "eth-usd");
    // What has no effect here is told, not dropped.
    for key in ["artifacts.firmware", "artifacts.container.runtime", "deployments.default.policy", "tooling"] {
        assert!(manifest.notes.iter().any(|note| note.starts_with(key)), "{key}: {:?}", manifest.notes);
    }
}

#[test]
fn our_additions_are_read_and_their_absence_is_careful() {
    let bare = Manifest::parse(PROCESS.as_bytes()).expect("a manifest").additions;
    assert_eq!((bare.egress, bare.logs, bare.gpu), (Egress::Deny, LogVisibility::Owner, None));
    let text = format!(
        "{PROCESS}  gpu: {{count: 2, models: [h100]}}\n  models: [{{name: m, sha256: {digest}}}]\n  \
         egress: ['api.example.org:443']\n  scopes: [app, instance]\n  logs: public\n  upgrade_notice_s: 3600\n",
        digest = "ab".repeat(32)
    );
    let all = Manifest::parse(text.as_bytes()).expect("a manifest").additions;
    assert_eq!(all.egress, Egress::Allow(EgressTarget::parse("api.example.org:443").into_iter().collect()));
    assert_eq!(all.scopes, [KeyScope::App, KeyScope::Instance]);
    assert_eq!((all.logs, all.upgrade_notice_s, all.models.len()), (LogVisibility::Public, 3600, 1));
}

#[test]
fn errors_name_line_key_and_what_to_do() {
    let error = Manifest::parse(PROCESS.replace("kind: raw", "kind: rwa").as_bytes()).expect_err("a typo");
    assert_eq!(error.to_string(), "rofl.yaml:4: `kind`: \"rwa\" is not raw or container");
    let text = PROCESS.replace("memory: 512", "memory: 512, memroy: 1");
    assert_eq!(refused(&text), (12, 5, "resources.memroy".to_owned()));
    assert_eq!(refused(&PROCESS.replace("cpus: 1", "cpus: 0")), (14, 5, "resources.cpus".to_owned()));
    assert_eq!(refused(&PROCESS.replace("tdx", "sgx")), (16, 3, "tee".to_owned()));
    assert_eq!(refused(PROCESS.split("freehold:").next().unwrap_or_default()), (11, 4, "freehold.process".to_owned()));
    assert_eq!(refused(&PROCESS.replace("app,", "../app,")).0, 15);
    assert_eq!(refused(&PROCESS.replace("python3,", "../../bin/sh,")).0, 15);
    assert_eq!(refused(&PROCESS.replace("main.py]", "main.py], environment: {FREEHOLD_LOCAL_API: /tmp/x}")).0, 15);
}

#[test]
fn hostile_yaml_is_refused_by_its_kind() {
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    assert_eq!(refused(bomb).0, 4);
    assert_eq!(refused("<<: {name: x}\n").0, 4);
    assert_eq!(refused("name: !!binary aGk=\n").0, 5);
    assert_eq!(refused(&"[".repeat(100)).0, 6);
    // The splitter itself has a bound too, which comes first.
    assert!(matches!(refused(&"[".repeat(10_000)).0, 3 | 6));
    assert_eq!(refused("- - - - - - - - - - - - - - - - - - - x\n").0, 6);
    assert_eq!(refused(&format!("name: [{}]\n", "x,".repeat(20_000))).0, 7);
    assert_eq!(refused("name: a\nname: b\n"), (8, 2, String::new()));
    assert_eq!(refused("name: a\n---\nname: b\n").0, 9);
    assert_eq!(refused("").0, 9);
    assert_eq!(refused("? [a, b]\n: c\n").0, 10);
    assert_eq!(refused(&"#".repeat(70_000)).0, 1);
    assert_eq!(Manifest::parse(&[0xff, 0xfe, 0x00]).expect_err("no UTF-8").fault, Fault::Encoding);
    assert_eq!(refused("name: 'open\n").0, 3);
}

#[test]
fn no_bytes_break_the_reader() {
    use proptest::prelude::*;
    proptest!(ProptestConfig::with_cases(512), |(cut in 0..ROFL.len(), byte in any::<u8>(), insert in any::<bool>())| {
        let mut bytes = ROFL.as_bytes().to_vec();
        if insert { bytes.insert(cut, byte) } else { bytes[cut] = byte }
        let _verdict = Manifest::parse(&bytes);
    });
}
