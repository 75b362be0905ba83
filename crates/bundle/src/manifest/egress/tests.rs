//! Lists of hosts: what is read, and what matches.

use super::{EgressTarget, HostName};

fn permits(target: &str, host: &str, port: u16) -> bool {
    let target = EgressTarget::parse(target).unwrap_or_else(|| panic!("{target} is refused"));
    target.permits(&HostName::parse(host).unwrap_or_else(|| panic!("{host} is no host")), port)
}

#[test]
fn a_name_matches_itself_and_its_port() {
    assert!(permits("API.example.org:443", "api.EXAMPLE.org", 443));
    for (host, port) in [
        ("api.example.org", 80),
        ("example.org", 443),
        ("x.api.example.org", 443),
        ("api.example.org.evil.net", 443),
        ("api-example.org", 443),
        ("93.184.216.34", 443),
    ] {
        assert!(!permits("api.example.org:443", host, port), "{host}:{port}");
    }
}

#[test]
fn a_star_matches_what_lies_below_and_not_the_name() {
    assert!(permits("*.example.org:443", "a.example.org", 443));
    assert!(permits("*.example.org:443", "a.b.example.org", 443));
    for host in ["example.org", "badexample.org", "example.org.evil.net", "1.2.3.4"] {
        assert!(!permits("*.example.org:443", host, 443), "{host}");
    }
}

#[test]
fn an_address_matches_itself() {
    assert!(permits("10.0.0.7:8443", "10.0.0.7", 8443));
    assert!(permits("[::1]:8443", "0:0:0:0:0:0:0:1", 8443));
    assert!(!permits("10.0.0.7:8443", "10.0.0.8", 8443));
    assert!(!permits("127.0.0.1:8443", "::ffff:127.0.0.1", 8443));
    assert!(!permits("127.0.0.1:8443", "localhost", 8443));
}

#[test]
fn what_is_read_is_written_the_same() {
    for text in ["example.org:443", "*.example.org:8443", "10.0.0.7:1", "[::1]:65535", "a_b.c-d.e1:5"] {
        assert_eq!(EgressTarget::parse(text).map(|target| target.to_string()).as_deref(), Some(text));
    }
}

#[test]
fn what_is_no_target_is_refused() {
    let long = format!("{}:443", "a".repeat(64));
    for text in [
        "",
        ":443",
        "example.org",
        "example.org:",
        "example.org:0",
        "example.org:65536",
        "example.org:+443",
        "*:443",
        "*.org:443",
        "a.*.org:443",
        "*.*.org:443",
        "*.1.2.3.4:443",
        "::1:443",
        "[::1:443",
        "[example.org]:443",
        "[10.0.0.7]:443",
        "exa mple.org:443",
        "example.org.:443",
        "-a.org:443",
        "a..org:443",
        "127.1:443",
        "0x7f000001:443",
        "2130706433:443",
        "ex\u{e4}mple.org:443",
        &long,
    ] {
        assert_eq!(EgressTarget::parse(text), None, "{text:?}");
    }
}
