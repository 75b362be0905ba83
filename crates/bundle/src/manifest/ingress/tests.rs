//! `freehold.ingress` as people write it, and as an enemy would.

use crate::{AcmeDirectory, Ingress, Manifest};

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
fn an_authority_must_be_within_reach() {
    let ingress = "  ingress: {tls: acme, domains: [app.example.org]}\n";
    let lets_encrypt = "https://acme-v02.api.letsencrypt.org/directory".to_owned();
    for egress in ["open", "['acme-v02.api.letsencrypt.org:443']", "['*.letsencrypt.org:443']"] {
        let given = read(&format!("  egress: {egress}\n{ingress}")).unwrap();
        assert_eq!(given.acme, Some(AcmeDirectory { url: lets_encrypt.clone(), roots: Vec::new() }), "{egress}");
    }
    for egress in ["deny", "[]", "['acme-v02.api.letsencrypt.org:80']", "['example.org:443']"] {
        let refused = read(&format!("  egress: {egress}\n{ingress}")).unwrap_err();
        assert!(refused.starts_with("16 ") && refused.contains("`egress` does not name"), "{refused}");
    }
}

#[test]
fn a_directory_of_ones_own_has_host_port_and_roots() {
    let with = |directory: &str, egress: &str| {
        read(&format!(
            "  egress: ['{egress}']\n  ingress: {{tls: acme, domains: [app.example.org], acme: {{directory: \
             '{directory}', roots: [AAAA]}}}}\n"
        ))
    };
    for (directory, egress) in [
        ("https://ca.example:14000/dir", "ca.example:14000"),
        ("https://127.0.0.1:14000/dir", "127.0.0.1:14000"),
        ("https://[::1]/dir", "[::1]:443"),
    ] {
        let acme = with(directory, egress).unwrap().acme.unwrap();
        assert_eq!((acme.url.as_str(), acme.roots), (directory, vec!["AAAA".to_owned()]));
    }
    for directory in ["http://ca.example/dir", "https://", "https://a b/", "https://ca.example:0/", "ca.example"] {
        assert!(with(directory, "ca.example:443").unwrap_err().starts_with("15 "), "{directory}");
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
    ] {
        assert!(read(&format!("  egress: open\n  ingress: {wrong}\n")).is_err(), "{wrong}");
    }
}
