//! `freehold.ingress` as people write it, and as an enemy would.

use crate::{AcmeChallenge, AcmeDirectory, Ingress, Manifest};

fn read(additions: &str) -> Result<Ingress, String> {
    let head = "name: a\nversion: 0.1.0\ntee: tdx\nkind: raw\nresources: {memory: 512, cpus: 1}\nfreehold:\n  \
                process: {files: app, command: [python3, main.py]}\n";
    let manifest = Manifest::parse(format!("{head}{additions}").as_bytes());
    manifest.map(|manifest| manifest.additions.ingress).map_err(|error| format!("{} {error}", error.code()))
}

#[test]
fn nothing_said_is_signed_by_the_instance_and_has_no_names() {
    assert_eq!(read("").unwrap(), Ingress::default());
    let given = read("  ingress: {domains: [App.Example.org, b.example.org]}\n").unwrap();
    assert_eq!(given.domains, ["app.example.org", "b.example.org"]);
    assert_eq!(given.acme, None);
    assert_eq!(read("  ingress: {tls: self-signed}\n").unwrap(), Ingress::default());
}

#[test]
fn an_authority_is_within_the_guests_reach_whatever_the_apps_is() {
    let ingress = "  ingress: {tls: acme, domains: [app.example.org]}\n";
    let url = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
    for egress in ["open", "deny", "['example.org:443']"] {
        let given = read(&format!("  egress: {egress}\n{ingress}")).unwrap();
        let acme = AcmeDirectory { url: url.clone(), roots: Vec::new(), challenge: AcmeChallenge::TlsAlpn01 };
        assert_eq!(given.acme, Some(acme), "{egress}");
        let reaches: Vec<String> = given.reaches().iter().map(ToString::to_string).collect();
        assert_eq!(reaches, ["acme-v02.api.letsencrypt.org:443"]);
    }
    assert!(read("  ingress: {domains: [app.example.org]}\n").unwrap().reaches().is_empty());
}

#[test]
fn a_directory_of_ones_own_has_host_port_roots_and_challenge() {
    let with = |directory: &str| {
        read(&format!(
            "  ingress: {{tls: acme, domains: [app.example.org], acme: {{directory: '{directory}', roots: [AAAA], \
             challenge: http-01}}}}\n"
        ))
    };
    for (directory, authority) in [
        ("https://ca.example:14000/dir", "ca.example:14000"),
        ("https://127.0.0.1:14000/dir", "127.0.0.1:14000"),
        ("https://[::1]/dir", "[::1]:443"),
    ] {
        let given = with(directory).unwrap();
        // Behind the names another machine may have the certificate.
        let reaches: Vec<String> = given.reaches().iter().map(ToString::to_string).collect();
        assert_eq!(reaches, [authority, "app.example.org:443"]);
        let acme = given.acme.unwrap();
        assert_eq!((acme.url.as_str(), acme.roots), (directory, vec!["AAAA".to_owned()]));
        assert_eq!(acme.challenge, AcmeChallenge::Http01);
    }
    for directory in ["http://ca.example/dir", "https://", "https://a b/", "https://ca.example:0/", "ca.example"] {
        assert!(with(directory).unwrap_err().starts_with("15 "), "{directory}");
    }
}

#[test]
fn what_is_no_name_is_refused() {
    for domain in ["localhost", "'*.example.org'", "1.2.3.4", "a_b.example.org", "x.freehold.internal", "'a b.example'"]
    {
        let refused = read(&format!("  ingress: {{domains: [{domain}]}}\n")).unwrap_err();
        assert!(refused.starts_with("15 "), "{domain}: {refused}");
    }
    let twice = read("  ingress: {domains: [a.example, A.example]}\n").unwrap_err();
    assert!(twice.contains("each name once"), "{twice}");
    let many: Vec<String> = (0..9).map(|at| format!("a{at}.example")).collect();
    assert!(read(&format!("  ingress: {{domains: [{}]}}\n", many.join(", "))).is_err());
    for wrong in [
        "{tls: acme}",
        "{tls: passthrough}",
        "{domains: [a.example], acme: {}}",
        "{tls: acme, domains: [a.example], acme: {email: x}}",
        "{tls: acme, domains: [a.example], acme: {challenge: dns-01}}",
    ] {
        assert!(read(&format!("  egress: open\n  ingress: {wrong}\n")).is_err(), "{wrong}");
    }
}
