//! The file of a provider's machine.

use super::*;

fn read(text: &str) -> Result<HostFile> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.toml");
    fs::write(&path, text).unwrap();
    HostFile::read(&path)
}

#[test]
fn the_example_is_read_and_its_defaults_are_the_real_ones() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/host.toml");
    let text = fs::read_to_string(path).unwrap().replace("NETWORK_KEY", &"a".repeat(192));
    let given = read(&text).unwrap();
    assert_eq!(given.policy.sources.len(), 1);
    // Everything that is shown as a default, said out loud: nothing changes but what is no default.
    let said: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let said = read(&said).unwrap();
    assert_eq!((said.listen, said.api, said.look_every_ms), (given.listen, given.api, given.look_every_ms));
    assert_eq!((said.claim_every_s, &said.policy.kinds), (given.claim_every_s, &given.policy.kinds));
    assert_eq!(
        ProviderPolicy { stores: Vec::new(), ..said.policy },
        ProviderPolicy { stores: Vec::new(), ..given.policy }
    );
}

#[test]
fn a_backend_is_chosen_whole() {
    let chosen = |text: &str| {
        let file = read(&format!("state_dir = \"s\"\n{text}")).map_err(|error| format!("{error:#}"))?;
        file.backend.chosen().map_err(|error| format!("{error:#}"))
    };
    let runtime = |name: &str| ContainerBackend::Direct(name.parse().unwrap());
    assert_eq!(chosen(""), Ok(runtime("runc")));
    assert_eq!(chosen("[backend]\noci_runtime = \"runsc\"\n"), Ok(runtime("runsc")));
    let socket = ContainerBackend::Containerd("/run/containerd/containerd.sock".into());
    assert_eq!(chosen("[backend]\nkind = \"containerd\"\n"), Ok(socket));
    for text in [
        "kind = \"podman\"",
        "oci_runtime = \"crun\"",
        "oci_runtime = \"./runc\"",
        "containerd_socket = \"/c.sock\"",
        "kind = \"containerd\"\noci_runtime = \"runsc\"",
        "runtime = \"runc\"",
    ] {
        assert!(chosen(&format!("[backend]\n{text}\n")).is_err(), "{text}");
    }
}

#[test]
fn what_nobody_reads_is_refused() {
    let refused = |text: &str| format!("{:#}", read(text).unwrap_err());
    assert!(refused("state_dir = \"s\"\nlisten_on = 1\n").contains("listen_on"));
    assert!(refused("state_dir = \"s\"\n[policy]\nkind = [\"process\"]\n").contains("kind"));
    assert!(refused("listen = \"127.0.0.1:1\"\n").contains("state_dir"));
    assert!(refused("state_dir = \"s\"\nlook_every_ms = 1\n").contains("look_every_ms"));
}
