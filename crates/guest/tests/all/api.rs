//! The local API as a whole: its document is its routes, and sockets of services have keys of their own.

use std::collections::BTreeMap;

use freehold_crypto::{AccountKey, SettingPlace};
use freehold_guest::{ConfigError, EnvironmentSocket, GuestConfig, GuestError, ServiceSocket, VariablePart, run};
use freehold_primitives::{
    Blob,
    entries::{AppSettings, Setting, SettingForm},
};
use freehold_rpc::{
    Endpoint, HttpError, KeyKind, KeyScope, LOG_KEY_SETTING, LocalClient, LogChain, LogSecret, LogSource, SEALED_LINE,
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use crate::support::{FakeHost, Misbehaviour, app_id, raw};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_every_route_and_no_other() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let socket = host.dir.path().join("local.sock");
    let check = move || {
        let (head, text) = raw(&socket, "GET", "/freehold/v1/openapi.json", "");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let paths: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_value(document["paths"].clone()).unwrap();
        assert!(paths.len() > 40, "{}", paths.len());
        for (path, operations) in &paths {
            let asked = path.replace("{id}", "none").replace("{name}", "none").replace("{lease}", "none");
            for method in METHODS {
                let (head, body) = raw(&socket, &method.to_uppercase(), &asked, "{}");
                let status = &head["http/1.1 ".len()..][..3];
                // A path that is not routed says so, and one that lacks a method is 405.
                assert!(!body.contains("there is no such path"), "{method} {path}: {body}");
                assert_eq!(status != "405", operations.contains_key(method), "{method} {path}: {head}");
            }
        }
        // What the normative page lists is there.
        let page = include_str!("../../../../spec/local-api.md");
        let words =
            page.split(['`', ' ']).filter(|word| word.starts_with("/rofl/v1/") || word.starts_with("/freehold/v1/"));
        for word in words.filter(|word| !word.contains('…')) {
            let path = word.split('?').next().unwrap();
            assert!(paths.contains_key(path), "{path} stands on the page and not in the document");
        }
    };
    tokio::task::spawn_blocking(check).await.unwrap();
    guest.abort();
}

/// What the host starts in place of the app's program; it does nothing where no test asks for it.
#[tokio::test]
async fn child_launch() {
    let Some(socket) = std::env::var_os("FREEHOLD_TEST_LAUNCH") else { return };
    // As the first process of a container is: who loses its parent becomes this one's.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let words = match std::env::var_os("FREEHOLD_TEST_SCRIPT") {
        Some(script) => vec!["sh".into(), "-c".into(), script],
        None => vec!["env".into(), "-0".into()],
    };
    match freehold_guest::launch(socket.into(), words, |_| {}).await {
        Ok(code) => std::process::exit(code.into()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_says_leaves_sealed_to_its_owner() {
    let host = FakeHost::new(Misbehaviour::default());
    let owner = LogSecret::of(&AccountKey::from_bytes(&[5; 32]).unwrap(), &app_id());
    let key = Setting {
        name: LOG_KEY_SETTING.to_owned(),
        set_at: 1,
        form: SettingForm::Public,
        key_generation: 0,
        value: Blob(owner.public().to_string().into_bytes()),
    };
    host.chain.set_settings(AppSettings { generation: 1, settings: vec![key], spending: None });
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["api::child_launch", "--exact", "--nocapture"]);
    program.env("FREEHOLD_TEST_LAUNCH", host.dir.path().join("local.sock"));
    // Of the launcher's children none is a dead one that nobody took up.
    let orphan = "(sh -c 'exit 9' &); sleep 0.3; for f in /proc/[0-9]*/stat; do read -r l < $f 2>/dev/null || continue; set -- ${l##*) }; \
                  [ \"$2\" = $PPID ] && [ \"$1\" = Z ] && echo canary-zombie; done";
    let said = "echo canary-one; sleep 0.2; echo canary-two >&2; printf canary-three; exit 3";
    program.env("FREEHOLD_TEST_SCRIPT", format!("{orphan}; {said}"));
    let program = tokio::task::spawn_blocking(move || program.output());
    let guest = host.guest();
    let output = program.await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("canary") && !String::from_utf8_lossy(&output.stderr).contains("canary"), "{said}");
    let mut chain = LogChain::default();
    // The test runner may have begun the first line.
    let records = said.lines().filter_map(|line| Some(line.split_once(SEALED_LINE)?.1));
    let mut opened = Vec::new();
    for record in records {
        let record = owner.open(record).unwrap();
        assert_eq!(chain.follow(&record), None);
        opened.push((record.source, String::from_utf8(record.line).unwrap()));
    }
    opened.sort_by(|one, other| one.1.cmp(&other.1));
    let expected = [
        (LogSource::Output, "canary-one".to_owned()),
        (LogSource::Output, "canary-three".to_owned()),
        (LogSource::Error, "canary-two".to_owned()),
    ];
    assert_eq!(opened, expected);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launched_program_has_every_setting_in_its_environment() {
    let host = FakeHost::new(Misbehaviour::default());
    let lines = b"line one\nline 'two' $HOME\n\xff";
    let place = SettingPlace { app: &app_id(), name: "TOKEN", set_at: 1 };
    let value = Blob(place.seal(&host.chain.settings_key(0), lines, &mut StdRng::seed_from_u64(1)));
    let name = |name: &str| name.to_owned();
    let public = |text: &str, value: &[u8]| Setting {
        name: name(text),
        set_at: 1,
        form: SettingForm::Public,
        key_generation: 0,
        value: Blob(value.to_vec()),
    };
    let settings = vec![
        public("OVER", b"the owner's"),
        public("TICK", b"a\0b"),
        Setting { name: name("TOKEN"), set_at: 1, form: SettingForm::Sealed, key_generation: 0, value },
    ];
    host.chain.set_settings(AppSettings { generation: 1, settings, spending: None });
    // It is started before the guest, and waits.
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    program.args(["api::child_launch", "--exact", "--nocapture"]).env("OVER", "the manifest's");
    program.env("FREEHOLD_TEST_LAUNCH", host.dir.path().join("local.sock"));
    let program = tokio::task::spawn_blocking(move || program.output());
    let guest = host.guest();
    let output = program.await.unwrap().unwrap();
    let said = output.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let has = |wanted: &[u8]| said.iter().any(|line| line.ends_with(wanted));
    assert!(has(&[b"TOKEN=", &lines[..]].concat()), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(has(b"OVER=the owner's") && !has(b"OVER=the manifest's"));
    assert!(!said.iter().any(|line| line.starts_with(b"TICK=")));
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_an_environment_gives_that_alone_and_says_what_is_missing() {
    let host = FakeHost::new(Misbehaviour::default());
    let public = |text: &str, value: &[u8]| Setting {
        name: text.to_owned(),
        set_at: 1,
        form: SettingForm::Public,
        key_generation: 0,
        value: Blob(value.to_vec()),
    };
    let settings = vec![public("OTHER", b"not for it"), public("WORD", b"said\xff")];
    host.chain.set_settings(AppSettings { generation: 1, settings, spending: None });
    let setting = |name: &str, default: Option<&str>| VariablePart::Setting {
        name: name.to_owned(),
        default: default.map(str::to_owned),
    };
    let variables = [
        ("URL", vec![VariablePart::Text("a:".to_owned()), setting("WORD", None), setting("NAME", Some("!"))]),
        ("PLAIN", vec![VariablePart::Text("x".to_owned())]),
        ("NONE", vec![setting("NONE", None)]),
    ];
    let variables = variables.map(|(name, parts)| (name.to_owned(), parts)).into();
    let mut config = host.config();
    let socket = host.dir.path().join("environment.sock");
    config.paths.environments = vec![EnvironmentSocket { name: "web".to_owned(), socket: socket.clone(), variables }];
    let mut twice = config.clone();
    twice.paths.environments.extend(config.paths.environments.clone());
    let mut reserved = config.clone();
    let preload = ("A".to_owned(), vec![setting("LD_PRELOAD", None)]);
    reserved.paths.environments[0].variables.extend([preload]);
    for bad in [twice, reserved] {
        let refused = run(bad, std::future::pending()).await;
        assert!(matches!(refused, Err(GuestError::Config(ConfigError::Value("paths.environments")))));
    }
    let guest = tokio::spawn(run(config, std::future::pending()));
    host.serving().await;
    host.knows_settings().await;
    let client = LocalClient::new(Endpoint::unix(socket).unwrap());
    let found = client.environment().await.unwrap();
    assert_eq!(found.missing, ["NONE"]);
    let values: Vec<(&str, &[u8])> =
        found.environment.iter().map(|(name, value)| (name.as_str(), &value.0[..])).collect();
    assert_eq!(values, [("NONE", &b""[..]), ("PLAIN", b"x"), ("URL", b"a:said\xff!")]);
    // Nothing else is there: no other setting, no key, no health.
    assert!(client.settings(None).await.is_err() && client.health().await.is_err());
    assert!(client.generate_key("disk", KeyKind::Raw256).await.is_err());
    guest.abort();
}

fn with_services(host: &FakeHost, names: &[&str]) -> GuestConfig {
    let mut config = host.config();
    let socket =
        |name: &&str| ServiceSocket { name: (*name).to_owned(), socket: host.dir.path().join(format!("{name}.sock")) };
    config.paths.services = names.iter().map(socket).collect();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_scopes_that_the_manifest_does_not_list_are_not_given() {
    let host = FakeHost::new(Misbehaviour::default());
    let mut config = host.config();
    config.scopes = vec![KeyScope::Instance, KeyScope::Provider];
    let guest = tokio::spawn(run(config, std::future::pending()));
    host.serving().await;
    let client = host.local();
    let key = async |scope| client.generate_key_in(scope, "disk", KeyKind::Raw256).await;
    assert!(key(KeyScope::Instance).await.is_ok() && key(KeyScope::Provider).await.is_ok());
    let refused = key(KeyScope::App).await.err().unwrap();
    assert!(refused.to_string().contains("freehold.scopes"), "{refused}");
    // Nor in the words of others, whose keys are the app's.
    let socket = host.dir.path().join("local.sock");
    let others = tokio::task::spawn_blocking(move || {
        [
            ("/rofl/v1/keys/generate", r#"{"key_id":"disk","kind":"raw-256"}"#),
            ("/GetKey", r#"{"path":"disk","purpose":""}"#),
            ("/Sign", r#"{"algorithm":"ed25519","data":"00"}"#),
            ("/prpc/Tappd.DeriveKey", r#"{"path":"disk"}"#),
        ]
        .map(|(path, body)| (path, raw(&socket, "POST", path, body)))
    });
    for (path, (head, body)) in others.await.unwrap() {
        assert!(head.starts_with("http/1.1 400") && body.contains("freehold.scopes"), "{path}: {head} {body}");
    }
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_service_an_instance_and_a_provider_are_nobody_elses() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = tokio::spawn(run(with_services(&host, &["db", "web"]), std::future::pending()));
    host.serving().await;
    let client = |name: &str| LocalClient::new(Endpoint::unix(host.dir.path().join(format!("{name}.sock"))).unwrap());
    let key = async |socket: &str, scope: KeyScope| {
        client(socket).generate_key_in(scope, "disk", KeyKind::Raw256).await.map(|key| key.key)
    };
    // The app's own are everybody's; a service's are its own.
    let app = key("local", KeyScope::App).await.unwrap();
    assert_eq!(app, key("db", KeyScope::App).await.unwrap());
    assert_eq!(app, client("web").generate_key("disk", KeyKind::Raw256).await.unwrap().key);
    let db = key("db", KeyScope::Service).await.unwrap();
    let web = key("web", KeyScope::Service).await.unwrap();
    let provider = key("web", KeyScope::Provider).await.unwrap();
    let instance = key("web", KeyScope::Instance).await.unwrap();
    let mut all = vec![&app, &db, &web, &provider, &instance];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);
    let refused = key("local", KeyScope::Service).await.err().unwrap();
    assert!(matches!(refused, HttpError::Refused { status, .. } if status.as_u16() == 400));
    // No name leads into another's place.
    for name in ["freehold/scope/service/db/disk", "freehold/scope/instance/x", "freehold/x"] {
        let refused = client("web").generate_key_in(KeyScope::App, name, KeyKind::Raw256).await.err().unwrap();
        assert!(matches!(refused, HttpError::Refused { status, .. } if status.as_u16() == 400), "{name}");
    }
    guest.abort();
    let _ = guest.await;

    // The next instance on the same disk: the service's key again, the instance's not.
    let guest = tokio::spawn(run(with_services(&host, &["db"]), std::future::pending()));
    host.serving().await;
    assert_eq!(key("db", KeyScope::Service).await.unwrap(), db);
    assert_eq!(key("db", KeyScope::Provider).await.unwrap(), provider);
    assert_ne!(key("db", KeyScope::Instance).await.unwrap(), instance);
    guest.abort();
    let _ = guest.await;

    for names in [&["a/b"][..], &[""], &["db", "db"], &["ä"]] {
        let refused = run(with_services(&host, names), std::future::pending()).await;
        assert!(refused.is_err(), "{names:?}");
    }
}
