//! What a compose file becomes, and what is refused before anything starts.

use std::path::Path;

use serde_json::json;

use super::apps::app;
use crate::{ContainerError, Plan};

const MANIFEST: &str = "resources: {memory: 128, cpus: 2, storage: {kind: ram, size: 16}}\n";

fn plan(manifest: &str, compose: &str) -> Result<Plan, ContainerError> {
    let dir = tempfile::tempdir().unwrap();
    Plan::of(&app(dir.path(), b"no program", manifest, compose))
}

fn refused(manifest: &str, compose: &str) -> String {
    let error = plan(manifest, compose).unwrap_err();
    assert!(matches!(error, ContainerError::CannotRun { .. }), "{error}");
    error.to_string()
}

#[test]
fn image_and_compose_file_make_the_command_as_compose_says() {
    let check = |service: &str, expect: &[&str]| {
        let plan = plan(MANIFEST, &format!("services:\n  one:\n    image: IMAGE\n{service}")).unwrap();
        assert_eq!(plan.services["one"].command, expect, "{service}");
    };
    check("", &["/bin/program", "exit", "7"]);
    check("    command: say hello\n", &["/bin/program", "say", "hello"]);
    check("    entrypoint: /bin/other\n", &["/bin/other"]);
    check("    entrypoint: [/bin/other]\n    command: [a, 'b c']\n", &["/bin/other", "a", "b c"]);
}

#[test]
fn limits_are_never_above_the_apps() {
    let compose = "services:\n  one:\n    image: IMAGE\n    mem_limit: 8g\n    cpus: 0.5\n  two:\n    image: IMAGE\n    \
                   mem_limit: 32m\n    pids_limit: 9\n";
    let plan = plan(MANIFEST, compose).unwrap();
    let limits = |name: &str| {
        let limits = plan.services[name].limits;
        (limits.memory_bytes >> 20, limits.cpu_milli, limits.processes)
    };
    assert_eq!(limits("one"), (128, 500, 512));
    assert_eq!(limits("two"), (32, 2_000, 9));
}

#[test]
fn only_who_mounts_the_local_api_finds_it() {
    let compose = "services:\n  one:\n    image: IMAGE\n    volumes: ['/var/run/dstack.sock:/var/run/dstack.sock']\n  \
                   two:\n    image: IMAGE\n";
    let plan = plan(MANIFEST, compose).unwrap();
    let environment = |name: &str| &plan.services[name].environment;
    assert_eq!(environment("one")["FREEHOLD_LOCAL_API"], "/run/rofl-appd.sock");
    assert_eq!(environment("one")["DSTACK_SIMULATOR_ENDPOINT"], "/run/rofl-appd.sock");
    assert_eq!(environment("one")["FREEHOLD_APP_SOCKET"], "/run/freehold/app.sock");
    assert!(!environment("two").keys().any(|name| name.starts_with("FREEHOLD") || name.contains("SIMULATOR")));
}

#[test]
fn variables_are_those_of_the_deployment_and_missing_ones_are_refused() {
    let manifest = format!("{MANIFEST}deployments: {{main: {{default: true, metadata: {{env.WORD: said}}}}}}\n");
    let check = |value: &str, expect: &str| {
        let compose = format!("services:\n  one:\n    image: IMAGE\n    environment: ['A={value}']\n");
        assert_eq!(plan(&manifest, &compose).unwrap().services["one"].environment["A"], expect, "{value}");
    };
    check("", "");
    check("${WORD}", "said");
    check("$WORD!", "said!");
    check("${PATH:-else}", "else");
    check("$$WORD", "$WORD");
    check("100$", "100$");
    let one = |more: &str| format!("services:\n  one:\n    image: IMAGE\n    {more}\n");
    // In a command nothing of the owner's can stand; in an environment nothing that no owner may set.
    assert!(refused(&manifest, &one("command: ['$SECRET']")).contains("`SECRET`"));
    assert!(refused(&manifest, &one("environment: {WORD: null, LD_PRELOAD: null}")).contains("`LD_PRELOAD`"));
}

#[test]
fn each_service_gets_the_settings_that_its_own_environment_names() {
    let manifest = format!("{MANIFEST}deployments: {{main: {{default: true, metadata: {{env.WORD: said}}}}}}\n");
    let compose = "services:\n  one:\n    image: IMAGE\n    environment:\n      URL: 'db://${WORD}:$PASSWORD@db/${NAME:-main}'\n      \
                   TOKEN:\n      PLAIN: $WORD\n    volumes: ['/run/rofl-appd.sock:/run/rofl-appd.sock']\n  two:\n    image: IMAGE\n";
    let plan = plan(&manifest, compose).unwrap();
    let (services, environments) = plan.sockets_told(Path::new("/s"));
    assert_eq!(services, json!([{"name": "one", "socket": "/s/service-0.sock"}]));
    assert_eq!((&environments[0]["name"], environments.as_array().unwrap().len()), (&json!("one"), 1));
    let variables = &environments[0]["variables"];
    assert_eq!(
        variables["URL"],
        json!([
            {"text": "db://said:"},
            {"setting": {"name": "PASSWORD", "default": null}},
            {"text": "@db/"},
            {"setting": {"name": "NAME", "default": "main"}},
        ])
    );
    assert_eq!(variables["TOKEN"], json!([{"setting": {"name": "TOKEN", "default": null}}]));
    assert_eq!(
        (&variables["PLAIN"], &variables["FROM_IMAGE"]),
        (&json!([{"text": "said"}]), &json!([{"text": "said"}]))
    );
    assert!(!plan.services["two"].asks_owner());
}

#[test]
fn sealed_every_service_is_started_by_the_guests_program_and_told_its_key_and_name() {
    let compose = "services:\n  one:\n    image: IMAGE\n    environment: {WORD: said}\n  two:\n    image: IMAGE\n";
    let mut plan = plan(MANIFEST, compose).unwrap();
    assert_eq!(plan.sockets_told(Path::new("/s")).1, json!([]));
    plan.is_sealed = true;
    let (_, environments) = plan.sockets_told(Path::new("/s"));
    let names: Vec<_> = environments.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    let variables = &environments[0]["variables"];
    assert_eq!(variables["OWNER_LOG_KEY"], json!([{"setting": {"name": "OWNER_LOG_KEY", "default": ""}}]));
    assert_eq!(
        (&variables["FREEHOLD_LOG_SERVICE"], &variables["WORD"]),
        (&json!([{"text": "one"}]), &json!([{"text": "said"}]))
    );
}

/// What a manifest says of model files.
fn models(names: &str) -> String {
    let entry = |name| format!("{{name: {name}, sha256: {}}}", "1".repeat(64));
    let entries: Vec<String> = names.split(' ').map(entry).collect();
    format!("freehold: {{models: [{}]}}\n", entries.join(", "))
}

#[test]
fn every_service_sees_the_models_that_the_manifest_names() {
    let compose = "services:\n  one: {image: IMAGE, environment: {FREEHOLD_MODEL: mine}}\n  two: {image: IMAGE, tmpfs: /modelsx}\n";
    let of = |names: &str| plan(&format!("{MANIFEST}{}", models(names)), compose).unwrap();
    let (single, several) = (of("m.bin"), of("m.bin n.bin"));
    assert_eq!(
        (single.models.as_slice(), several.models.as_slice()),
        (&["m.bin".to_owned()][..], &["m.bin", "n.bin"].map(str::to_owned)[..])
    );
    for name in ["one", "two"] {
        let variables = |plan: &Plan| {
            let found = &plan.services[name].environment;
            ["FREEHOLD_MODELS", "FREEHOLD_MODEL"].map(|name| found.get(name).cloned().unwrap_or_default())
        };
        assert_eq!(variables(&single), ["/models", "/models/m.bin"]);
        // Which of several it loads is the app's to say.
        assert_eq!(variables(&several), ["/models", if name == "one" { "mine" } else { "" }]);
    }
    let none = serde_json::to_string(&plan(MANIFEST, compose).unwrap()).unwrap();
    assert!(!none.contains("models\":"), "{none}");
}

#[test]
fn what_this_host_cannot_give_is_refused_before_anything_starts() {
    let one = |more: &str| format!("services:\n  one:\n    image: IMAGE\n{more}");
    let check = |manifest: &str, compose: &str, expect: &str| {
        let said = refused(manifest, compose);
        assert!(said.contains(expect), "{said}");
    };
    let without_storage = "resources: {memory: 128, cpus: 2}\n";
    check(without_storage, &one("    volumes: ['/storage/a:/a']\n"), "storage");
    check(MANIFEST, &one("    volumes: ['/storage:/a', '/storage/b/c:/b']\n"), "in which that lies");
    check(MANIFEST, &one("    ports: ['53:53/udp']\n"), "UDP");
    check(MANIFEST, &format!("{}  two: {{image: IMAGE, ports: ['81:80']}}\n", one("    ports: ['80:80']\n")), "twice");
    check(
        MANIFEST,
        &format!("{}  two: {{image: IMAGE}}\n", one("    depends_on: {two: {condition: service_healthy}}\n")),
        "no health check",
    );
    check(&format!("{MANIFEST}freehold: {{gpu: {{count: 1}}}}\n"), &one(""), "GPUs");
    let with_model = format!("{MANIFEST}{}", models("m.bin"));
    for target in ["/models", "/models/m.bin", "/models/more"] {
        check(&with_model, &one(&format!("    tmpfs: {target}\n")), "where the app's model files stand");
    }
    check(MANIFEST, "services:\n  one:\n    image: IMAGE\n    entrypoint: ['']\n", "no command");
}

#[test]
fn a_bundle_without_its_images_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let compose = format!("services:\n  one:\n    image: a@sha256:{}\n", "0".repeat(64));
    std::fs::write(
        dir.path().join("rofl.yaml"),
        format!("name: a\nversion: 0.1.0\ntee: tdx\nkind: container\n{MANIFEST}"),
    )
    .unwrap();
    std::fs::write(dir.path().join("compose.yaml"), compose).unwrap();
    let bundle = freehold_bundle::build_bundle(dir.path(), &dir.path().join("bundle")).unwrap();
    let error = Plan::of(&bundle).unwrap_err();
    assert!(error.to_string().contains("images"), "{error}");
}

#[test]
fn a_plan_is_read_back_as_it_was_written() {
    let compose = "services:\n  one:\n    image: IMAGE\n    command: [serve, '80']\n    environment: {TOKEN: 'a ${TOKEN} b', GREETING: \
                   hello}\n    ports: ['8081:80']\n    tmpfs: /tmp\n    volumes: ['data:/data']\n    restart: 'on-failure:3'\n    \
                   depends_on: {two: {condition: service_healthy}}\n  two:\n    image: IMAGE\n    \
                   healthcheck: {test: [CMD, /bin/program, check], interval: 1s}\nvolumes: {data: }\n";
    let plan = plan(&format!("{MANIFEST}freehold: {{egress: ['example.org:443']}}\n"), compose).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    // What another release would say is not passed over.
    let further = text.replacen("\"network\"", "\"more\":1,\"network\"", 1);
    assert!(serde_json::from_str::<Plan>(&further).is_err(), "{further}");
}
