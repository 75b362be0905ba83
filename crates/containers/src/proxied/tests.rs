//! ROFL's annotations of ports, as its own manifests write them.
#![allow(clippy::unwrap_used)]

use super::*;

const IMAGE: &str = "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn read(annotations: &str) -> Result<Ingress, String> {
    let manifest = "name: a\nversion: 0.1.0\ntee: tdx\nkind: container\nresources: {memory: 512, cpus: 1}\nfreehold: \
                    {ingress: {domains: [own.example]}}\n";
    let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    let compose = format!(
        "services:\n  web:\n    image: {IMAGE}\n    ports: ['8080:80', '9090:90']\n    annotations:\n{annotations}"
    );
    let compose = Compose::parse(compose.as_bytes()).unwrap();
    ingress(&manifest, &compose).map_err(|error| error.to_string())
}

#[test]
fn domains_of_the_first_port_lead_to_the_app() {
    let given = read(
        "      net.oasis.proxy.ports.8080.mode: terminate-tls\n      net.oasis.proxy.ports.8080.custom_domain: \
         Shop.Example\n      net.oasis.proxy.ports.9090.mode: ignore\n      other: x\n",
    );
    assert_eq!(given.unwrap().domains, ["own.example", "shop.example"]);
}

#[test]
fn what_would_lead_elsewhere_is_refused() {
    for annotation in [
        "8080.mode: passthrough",
        "9090.mode: terminate-tls",
        "9090.custom_domain: a.example",
        "8080.custom_domain: localhost",
        "8080.custom_domain: '*.example.org'",
        "80.mode: ignored",
    ] {
        assert!(read(&format!("      net.oasis.proxy.ports.{annotation}\n")).is_err(), "{annotation}");
    }
}
