//! Compose files as people write them, and what is refused by name.

use super::*;

const DIGEST: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn compose(text: &str) -> Result<Compose, ManifestError> {
    Compose::parse(text.replace("IMAGE", &format!("docker.io/library/redis:7@sha256:{DIGEST}")).as_bytes())
}

/// A service `a` with these lines, and the code and key of its refusal.
fn refused(lines: &str) -> (u16, String) {
    let error = compose(&format!("services:\n  a:\n    image: IMAGE\n{lines}")).expect_err(lines);
    (error.code(), error.key)
}

#[test]
fn a_whole_service_is_read() {
    let text = "\
services:
  db:
    image: IMAGE
    command: redis-server --save '' --appendonly \"no\"
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1m30s, retries: 5}
    volumes: ['data:/data', '/storage/db:/db:ro', '/run/rofl-appd.sock:/run/rofl-appd.sock']
    deploy: {resources: {limits: {memory: 256m, cpus: '0.5', pids: 32}}}
    networks: [inner]
  setup:
    image: IMAGE
    entrypoint: [/bin/true]
    depends_on: {db: {condition: service_healthy}}
  web:
    image: IMAGE
    environment: [MODE=fast, TOKEN]
    ports: ['8080:80', '53:53/udp']
    depends_on: {setup: {condition: service_completed_successfully}}
    restart: unless-stopped
volumes: {data: }
networks: {inner: {}}
";
    let compose = compose(text).expect("a compose file");
    let db = &compose.services["db"];
    assert_eq!(
        db.command.as_deref(),
        Some(&["redis-server", "--save", "", "--appendonly", "no"].map(str::to_owned)[..])
    );
    assert_eq!(db.health.as_ref().map(|health| (health.interval_ms, health.retries)), Some((90_000, 5)));
    assert_eq!(db.limits, ServiceLimits { memory_bytes: Some(256 << 20), cpu_milli: Some(500), processes: Some(32) });
    assert_eq!(db.mounts[2].source, MountSource::LocalApi);
    assert!(db.mounts[1].is_read_only);
    let web = &compose.services["web"];
    assert_eq!(web.environment["TOKEN"], None);
    assert_eq!(web.ports[1], Port { published: 53, target: 53, protocol: Protocol::Udp });
    assert_eq!(web.restart, ServiceRestart::Always);
    assert_eq!(start_order(&compose), ["db", "setup", "web"]);
    assert_eq!(compose.images().len(), 1);
}

#[test]
fn images_are_named_by_digest() {
    let tagged = Compose::parse(b"services: {a: {image: 'redis:7'}}").expect_err("a tag");
    assert_eq!((tagged.code(), tagged.key.as_str()), (17, "services.a.image"));
    let short = Compose::parse(b"services: {a: {image: 'redis@sha256:00'}}").expect_err("half a digest");
    assert_eq!(short.code(), 15);
    let upper = format!("services: {{a: {{image: 'redis@sha256:{}'}}}}", DIGEST.to_uppercase());
    assert_eq!(Compose::parse(upper.as_bytes()).expect_err("upper case").code(), 15);
}

#[test]
fn what_is_not_supported_is_named() {
    for key in ["build: .", "privileged: true", "network_mode: host", "pid: host", "env_file: x", "secrets: [a]"] {
        let name = key.split(':').next().unwrap_or_default();
        assert_eq!(refused(&format!("    {key}\n")), (16, format!("services.a.{name}")), "{key}");
    }
    assert_eq!(refused("    imgae: x\n"), (12, "services.a.imgae".to_owned()));
    assert_eq!(refused("    volumes: ['/:/host']\n").0, 16);
    assert_eq!(refused("    volumes: ['/storage/../etc:/x']\n").0, 16);
    assert_eq!(refused("    volumes: ['/run/podman.sock:/run/podman.sock']\n").0, 16);
    assert_eq!(refused("    volumes: ['other:/x']\n").0, 18);
    assert_eq!(refused("    ports: ['80']\n").0, 15);
    assert_eq!(refused("    ports: ['0:80']\n").0, 15);
    assert_eq!(refused("    platform: linux/arm64\n").0, 15);
    assert_eq!(refused("    command: \"sh -c 'open\"\n").0, 15);
    assert_eq!(refused("    depends_on: [b]\n"), (18, "services.a.depends_on".to_owned()));
    assert_eq!(refused("    depends_on: [a]\n"), (19, "services.a.depends_on".to_owned()));
    assert_eq!(refused("    healthcheck: {interval: 2s}\n"), (11, "services.a.healthcheck.test".to_owned()));
    assert_eq!(refused("    mem_limit: 99999999999999999999g\n").0, 15);
}
