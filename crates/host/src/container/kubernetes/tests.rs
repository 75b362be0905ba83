//! Manifests that are always the same, and texts of an app that stay texts.

use serde_json::json;

use super::{super::tests::app, *};

const MANIFEST: &str = "resources: {memory: 256, cpus: 2, storage: {kind: disk-persistent, size: 16}}\n";
const COMPOSE: &str = "services:\n  web:\n    image: IMAGE\n    command: [serve, '80', '$$HOME']\n    user: '33:34'\n    read_only: true\n    \
                       tmpfs: /tmp\n    ports: ['8081:80']\n    volumes: ['/run/rofl-appd.sock:/run/rofl-appd.sock']\n    \
                       environment: {GREETING: 'hello', QUOTED: 'a \"b\" \\\\ c: # d'}\n    restart: always\n    mem_limit: 64m\n    cpus: 0.5\n    \
                       depends_on: {init: {condition: service_completed_successfully}, store: {condition: service_started}}\n  \
                       store:\n    image: IMAGE\n    command: [store, '6379']\n    volumes: ['data:/data']\n    \
                       healthcheck: {test: [CMD, /bin/program, check, '127.0.0.1:6379'], interval: 1500ms, retries: 5}\n  \
                       init:\n    image: IMAGE\n    command: [exit, '0']\nvolumes: {data: }\n";

fn options() -> KubernetesOptions {
    KubernetesOptions {
        agent_image: format!("registry.example.org/freehold/agent:1@sha256:{}", "ab".repeat(32)).parse().unwrap(),
        runtime_class: "kata-qemu-tdx".to_owned(),
        namespace: None,
        app_id: AppId::new([5; 20]),
        node: "http://10.0.0.1:8545".parse().unwrap(),
        network_key: NetworkKey([0xab; 96]),
        trust_domain: None,
    }
}

fn made(manifest: &str, compose: &str, options: &KubernetesOptions) -> Result<String, HostError> {
    let dir = tempfile::tempdir().unwrap();
    let bundle = app(dir.path(), b"no program, but always the same", manifest, compose);
    kubernetes_manifests(&bundle, options)
}

/// The golden text; `FREEHOLD_WRITE_GOLDEN=1` writes it anew.
#[test]
fn the_manifests_of_an_app_are_these() {
    let text = made(MANIFEST, COMPOSE, &options()).unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubernetes/app.yaml");
    if std::env::var_os("FREEHOLD_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(made(MANIFEST, COMPOSE, &options()).unwrap(), text);
}

#[test]
fn no_text_of_an_app_is_more_than_a_text() {
    let hostile = "\\\"\\n---\\nkind: Secret\\n\\u2028\\u0085# $(HOME)\\0";
    let compose = COMPOSE.replace("'hello'", &format!("\"{}\"", hostile.trim_end_matches("\\0")));
    let text = made(MANIFEST, &compose, &options()).unwrap();
    assert_eq!(text.lines().filter(|line| *line == "---").count(), 4, "{text}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("kind: Secret")), "{text}");
    assert!(text.contains(r#""\"\u000a---\u000akind: Secret\u000a\u2028\u0085# $$(HOME)""#), "{text}");
    assert!(text.is_ascii());
    // Names of services go into names of containers, and are not theirs.
    let compose = COMPOSE.replace("  store:", "  S_t.ore:").replace(" store: {", " S_t.ore: {");
    let text = made(MANIFEST, &compose, &options()).unwrap();
    assert!(text.contains("name: \"s-t-ore-0\"") && !text.contains("S_t.ore\"\n"), "{text}");
}

#[test]
fn words_that_yaml_reads_as_something_else_are_quoted() {
    let value =
        json!({"on": 1, "y": "no", "a b": [], "list": [[1, {"x": {}}], null, true], "text": "é\u{1f600}\t\\\""});
    let mut text = String::new();
    yaml::write(&value, &mut text);
    assert_eq!(
        text,
        "\"a b\": []\nlist:\n  -\n    - 1\n    -\n      \"x\": {}\n  - null\n  - true\n\"on\": 1\ntext: \
         \"\\u00e9\\U0001f600\\u0009\\\\\\\"\"\n\"y\": \"no\"\n"
    );
    assert_eq!(yaml::comment("a\nkind: b\u{e9}"), "a?kind: b?");
}

#[test]
fn what_kubernetes_cannot_hold_is_refused() {
    let refused = |manifest: &str, compose: &str| made(manifest, compose, &options()).unwrap_err().to_string();
    let check = |from: &str, to: &str, expect: &str| {
        let compose = COMPOSE.replace(from, to);
        assert_ne!(compose, COMPOSE);
        let said = refused(MANIFEST, &compose);
        assert!(said.contains(expect), "{said}");
    };
    check("user: '33:34'", "user: web", "by its number");
    check("GREETING: 'hello'", "GREETING: ", "local API");
    check("ports: ['8081:80']", "working_dir: /etc", "publish a port");
    check(
        "command: [exit, '0']",
        "depends_on: {store: {condition: service_started}}",
        "waits for a service that stays",
    );
    let named = format!("{MANIFEST}freehold: {{models: [{{name: m.bin, sha256: {}}}]}}\n", "1".repeat(64));
    assert!(refused(&named, COMPOSE).contains("names model files"));
    let scoped = format!("{MANIFEST}freehold: {{scopes: [app, container]}}\n");
    let text = made(&scoped, COMPOSE, &options()).unwrap();
    let words: Vec<&str> = text.lines().map(|line| line.trim().trim_start_matches("- ").trim_matches('"')).collect();
    assert!(words.windows(4).any(|four| four == ["--scope", "app", "--scope", "service"]), "{text}");
    let listed = format!("{MANIFEST}freehold: {{egress: ['example.org:443']}}\n");
    assert!(refused(&listed, COMPOSE).contains("no names"));
    let address = format!("{MANIFEST}freehold: {{egress: ['192.0.2.7:443']}}\n");
    assert!(made(&address, COMPOSE, &options()).unwrap().contains("cidr: \"192.0.2.7/32\""));
    for class in ["", "Kata", "a\nb", "-a", &"a".repeat(64)] {
        let options = KubernetesOptions { runtime_class: class.to_owned(), ..options() };
        assert!(made(MANIFEST, COMPOSE, &options).is_err(), "{class:?}");
    }
    // Whose evidence, and where the node is, has to be said; a pod that is open finds the node by its name.
    let class = KubernetesOptions { runtime_class: "kata".to_owned(), ..options() };
    assert!(made(MANIFEST, COMPOSE, &class).unwrap_err().to_string().contains("whose evidence"));
    let said = KubernetesOptions { trust_domain: Some(TrustDomain::Amd), ..class };
    assert!(made(MANIFEST, COMPOSE, &said).unwrap().contains("- \"amd\""));
    let named = KubernetesOptions { node: "http://node.example.org:8545".parse().unwrap(), ..options() };
    assert!(made(MANIFEST, COMPOSE, &named).unwrap_err().to_string().contains("by its address"));
    assert!(made(&format!("{MANIFEST}freehold: {{egress: open}}\n"), COMPOSE, &named).is_ok());
    let unpinned = KubernetesOptions { agent_image: "registry.example.org/agent:1".parse().unwrap(), ..options() };
    assert!(made(MANIFEST, COMPOSE, &unpinned).unwrap_err().to_string().contains("by digest"));
}
