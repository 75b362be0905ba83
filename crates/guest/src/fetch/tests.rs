//! Asks: one form of a URL, and nothing that changes the exchange itself.

use freehold_primitives::FetchMethod;
use freehold_rpc::{Base64Text, FetchAsk};

use super::ask::{Asked, FetchUrl};

fn url(text: &str) -> Option<String> {
    FetchUrl::parse(text).ok().map(|url| url.text())
}

#[test]
fn a_url_has_one_form() {
    let same = |text: &str| Some(text.to_owned());
    assert_eq!(url("https://Example.ORG"), same("https://example.org/"));
    assert_eq!(url("HTTPS://example.org:443/a?b=C"), same("https://example.org/a?b=C"));
    assert_eq!(url("https://example.org:8443/a/../b"), same("https://example.org:8443/a/../b"));
    assert_eq!(url("https://[::1]/"), same("https://[::1]/"));
    assert_eq!(url("https://[::1]:8443/"), same("https://[::1]:8443/"));
    assert_eq!(url("https://example.org?q"), same("https://example.org/?q"));
    assert_eq!(FetchUrl::parse("https://[2001:DB8::1]").unwrap().target(), "[2001:db8::1]:443");
}

#[test]
fn what_is_no_https_url_is_refused() {
    let long = format!("https://example.org/{}", "a".repeat(2048));
    let wrong = [
        "",
        "example.org",
        "http://example.org/",
        "ftp://example.org/",
        "https:///path",
        "https://user@example.org/",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "https://example.org:0/",
        "https://example.org:/",
        "https://example.org:65536/",
        "https://example.org:99999999999/",
        "https://exa mple.org/",
        "https://example.org/\r\nhost: other",
        "https://example.org/ä",
        &long,
    ];
    for text in wrong {
        assert_eq!(url(text), None, "{text:?}");
    }
}

fn refused(change: impl FnOnce(&mut FetchAsk)) -> String {
    let mut ask = FetchAsk { url: "https://example.org/".to_owned(), ..FetchAsk::default() };
    assert!(Asked::check(ask.clone()).is_ok());
    change(&mut ask);
    Asked::check(ask).err().map(|error| error.to_string()).expect("it is taken")
}

#[test]
fn headers_of_the_exchange_itself_are_the_guests() {
    let names = ["Host", "content-length", "TRANSFER-ENCODING", "connection", "upgrade", "proxy-authorization", "te"];
    for name in names {
        let why = refused(|ask| ask.headers = vec![(name.to_owned(), "x".to_owned())]);
        assert!(why.contains("sets itself"), "{name}: {why}");
    }
    let smuggled =
        [("x", "a\r\nhost: other"), ("x", "a\0"), ("x", "ä"), ("x y", "a"), ("x:", "a"), ("", "a"), ("x\r\n", "a")];
    for (name, value) in smuggled {
        let why = refused(|ask| ask.headers = vec![(name.to_owned(), value.to_owned())]);
        assert!(why.contains("malformed"), "{name:?} {value:?}: {why}");
    }
    refused(|ask| ask.headers = vec![("x".to_owned(), "y".to_owned()); 33]);
    refused(|ask| ask.headers = vec![("x".to_owned(), "y".repeat(8 * 1024))]);
}

#[test]
fn everything_is_bounded() {
    refused(|ask| ask.body = Some(Base64Text(Vec::new())));
    refused(|ask| {
        ask.method = FetchMethod::Post;
        ask.body = Some(Base64Text(vec![0; 1024 * 1024 + 1]));
    });
    refused(|ask| ask.roots = vec![Base64Text(Vec::new()); 9]);
    refused(|ask| ask.body_bytes_max = Some(4 * 1024 * 1024 + 1));
    refused(|ask| ask.timeout_ms = Some(0));
    refused(|ask| ask.timeout_ms = Some(25_001));
}
