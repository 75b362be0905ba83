//! Hostile and unlucky answers, each with its own error; and TLS with real certificates.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::server::{Reply, SHORT, serve};
use crate::collateral::http::{ANSWER_BYTES_MAX, FetchError, VendorClient, VendorUrl};

async fn one(reply: Reply) -> Result<Vec<u8>, FetchError> {
    let url = serve(BTreeMap::from([("/x".to_owned(), reply)])).await;
    let client = VendorClient::new(None).unwrap().waiting(SHORT);
    client.get(&url.below("/x")).await.map(|answer| answer.body.to_vec())
}

#[tokio::test]
async fn good_answers_and_refusals_are_told_apart() {
    assert_eq!(one(Reply::good("yes")).await.unwrap(), b"yes");
    for status in [204, 400, 404, 429, 500, 503] {
        let error = one(Reply::status(status)).await.unwrap_err();
        assert!(matches!(error, FetchError::Status { status: told, .. } if told == status), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_is_busy_says_when_to_come_back() {
    let busy = |seconds: &str| one(Reply::status(429).with("Retry-After", seconds));
    let pause = |error: FetchError| match error {
        FetchError::Busy { retry_after, .. } => retry_after,
        other => panic!("{other}"),
    };
    assert_eq!(pause(busy("120").await.unwrap_err()), Duration::from_secs(120));
    // No service keeps us away for more than a day.
    assert_eq!(pause(busy("99999999999").await.unwrap_err()), Duration::from_secs(86_400));
    let unreadable = busy("tomorrow").await.unwrap_err();
    assert!(matches!(unreadable, FetchError::Status { .. }), "{unreadable}");
    let unavailable = one(Reply::status(503).with("Retry-After", "5")).await.unwrap_err();
    assert_eq!(pause(unavailable), Duration::from_secs(5));
}

#[tokio::test]
async fn long_and_slow_answers_end() {
    let endless = one(Reply::Endless).await.unwrap_err();
    assert!(matches!(endless, FetchError::TooLarge { bound: ANSWER_BYTES_MAX, .. }), "{endless}");
    let just = one(Reply::good(vec![7; ANSWER_BYTES_MAX])).await.unwrap();
    assert_eq!(just.len(), ANSWER_BYTES_MAX);
    for reply in [Reply::Hang, Reply::Stall] {
        let late = one(reply).await.unwrap_err();
        assert!(matches!(late, FetchError::Timeout { limit: SHORT, .. }), "{late}");
    }
    let long_head = Reply::good("").with("X-Long", "y".repeat(80 * 1024));
    let long = one(long_head).await.unwrap_err();
    assert!(matches!(long, FetchError::TooLarge { .. } | FetchError::Broken { .. }), "{long}");
    let gone: VendorUrl = "http://127.0.0.1:1/".parse().unwrap();
    let unreachable = VendorClient::new(None).unwrap().get(&gone).await.unwrap_err();
    assert!(matches!(unreachable, FetchError::Unreachable { .. }), "{unreachable}");
}

#[tokio::test]
async fn redirects_stay_within_one_origin_and_are_few() {
    let to = |location: &str| Reply::status(302).with("Location", location);
    let elsewhere = serve(BTreeMap::from([("/y".to_owned(), Reply::good("stolen"))])).await;
    let replies = BTreeMap::from([
        ("/a".to_owned(), to("/b")),
        ("/b".to_owned(), Reply::good("here")),
        ("/other".to_owned(), to(&elsewhere.below("/y").to_string())),
        ("/loop".to_owned(), to("/loop")),
        ("/scheme".to_owned(), to("//127.0.0.1/b")),
        ("/file".to_owned(), to("file:///etc/passwd")),
        ("/nowhere".to_owned(), Reply::status(302)),
    ]);
    let url = serve(replies).await;
    let client = VendorClient::new(None).unwrap();
    assert_eq!(&client.get(&url.below("/a")).await.unwrap().body[..], b"here");
    for path in ["/other", "/loop", "/scheme", "/file", "/nowhere"] {
        let error = client.get(&url.below(path)).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirected { .. }), "{path}: {error}");
    }
}

#[test]
fn only_addresses_of_services_are_read() {
    for text in ["", "api.example", "ftp://a/", "file:///a", "https://", "https://user:secret@a/", "http://a b/"] {
        assert!(matches!(text.parse::<VendorUrl>(), Err(FetchError::Url(_))), "{text}");
    }
    let url: VendorUrl = "https://PCCS.example:8081/".parse().unwrap();
    assert_eq!(url.below("/sgx").to_string(), "https://pccs.example:8081/sgx");
    assert!(matches!(VendorClient::new(Some(b"no certificate")), Err(FetchError::Authority(_))));
}

/// A TLS server with a certificate for `localhost` of an authority of its own; gives its address and the authority.
async fn tls_server() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = authority.self_signed(&key).unwrap();
    let own = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&own, &authority, &key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der())))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsealed").await;
            let _ = stream.shutdown().await;
        }
    });
    (format!("https://localhost:{port}/x"), authority.pem())
}

#[tokio::test]
async fn tls_wants_an_authority_that_is_trusted_and_the_right_name() {
    let (address, authority) = tls_server().await;
    let url: VendorUrl = address.parse().unwrap();
    let trusting = VendorClient::new(Some(authority.as_bytes())).unwrap();
    assert_eq!(&trusting.get(&url).await.unwrap().body[..], b"sealed");
    let stranger = VendorClient::new(None).unwrap().get(&url).await.unwrap_err();
    assert!(matches!(stranger, FetchError::Unreachable { .. }), "{stranger}");
    let other_name: VendorUrl = address.replace("localhost", "127.0.0.1").parse().unwrap();
    let misnamed = trusting.get(&other_name).await.unwrap_err();
    assert!(matches!(misnamed, FetchError::Unreachable { .. }), "{misnamed}");
}
