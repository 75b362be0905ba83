//! One entry for everything that a registry, a person or a helper of Docker's can say to the client of registries. Bytes in, and
//! neither a panic nor a broken promise may come out.
//!
//! Shared by the coverage-guided targets and by the short smoke of the ordinary tests. The promises checked here: what is read and
//! written again is read the same, and lists are bounded.

use freehold_host::{challenge_input, helper_input, passwords_input, reference_input, referrers_input};

/// A parser under test.
pub type Entry = fn(&[u8]);

/// Every entry by name.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("registry_reference", registry_reference),
    ("registry_challenge", registry_challenge),
    ("registry_passwords", registry_passwords),
    ("registry_helper", registry_helper),
    ("registry_referrers", registry_referrers),
];

/// Most manifests that a list beside a bundle leads to.
const REFERRERS_MAX: usize = 256;

fn registry_reference(bytes: &[u8]) {
    let Some((written, origin)) = std::str::from_utf8(bytes).ok().and_then(reference_input) else { return };
    assert_eq!(reference_input(&written), Some((written.clone(), origin.clone())), "what is written is read the same");
    let is_here = |host: &str| host.starts_with("localhost") || host.starts_with("127.");
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://").filter(|host| is_here(host)));
    let host = host.and_then(|host| host.strip_suffix('/')).expect("an origin, over TLS but on this machine");
    assert!(!host.contains(['/', '@', '?', '#', ' ']), "an origin is a host and a port: {host}");
}

fn registry_challenge(bytes: &[u8]) {
    let Some((realm, service)) = std::str::from_utf8(bytes).ok().and_then(challenge_input) else { return };
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let service_too = service.as_deref().map_or_else(String::new, |service| format!(",service={}", quoted(service)));
    let again = format!("Bearer realm={}{service_too}", quoted(&realm));
    // Quoting may make it longer than what is read.
    if again.len() <= 4_096 {
        assert_eq!(challenge_input(&again), Some((realm, service)), "{again}");
    }
}

fn registry_passwords(bytes: &[u8]) {
    let _whether = passwords_input(bytes);
}

fn registry_helper(bytes: &[u8]) {
    if let Some(length) = helper_input(bytes) {
        assert!(length > 0 && length <= bytes.len() * 4, "a password comes of what was said");
    }
}

fn registry_referrers(bytes: &[u8]) {
    assert!(referrers_input(bytes) <= REFERRERS_MAX);
}
