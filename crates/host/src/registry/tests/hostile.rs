//! Registries that lie, grow, send elsewhere, break off and never let in.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    extract::{Path as Asked, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use bytes::Bytes;
use freehold_bundle::BUNDLE_BYTES_MAX;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves what a bundle consists of, each answer as `change` makes it.
async fn serving(layout: PathBuf, change: impl Fn(Vec<u8>) -> Response + Clone + Send + Sync + 'static) -> String {
    let blob = move |Asked((kind, digest)): Asked<(String, String)>| {
        let (layout, change) = (layout.clone(), change.clone());
        async move {
            let name = digest.strip_prefix("sha256:").filter(|_| kind != "referrers").unwrap_or("none").to_owned();
            match fs::read(layout.join("blobs/sha256").join(name)) {
                Ok(bytes) => change(bytes),
                Err(_) => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    serve(Router::new().route("/v2/shop/{kind}/{digest}", get(blob))).await
}

async fn refused(address: &str, bundle: &Bundle, into: &Path) -> u16 {
    let registry = opened(&format!("{address}/shop"), Access::Anonymous, None);
    registry.pull_bundle(bundle.digest(), into, BUNDLE_BYTES_MAX).await.unwrap_err().code()
}

fn endless() -> Response {
    let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 65_536])));
    Body::from_stream(pieces).into_response()
}

#[tokio::test]
async fn blobs_that_lie_or_never_end_are_refused_and_leave_nothing() {
    let (dir, bundle, layout) = an_app();
    let into = dir.path().join("in");
    let flipped = |mut bytes: Vec<u8>| {
        bytes[0] ^= 1;
        bytes.into_response()
    };
    let address = serving(layout.clone(), flipped).await;
    assert_eq!(refused(&address, &bundle, &into).await, 108);
    let address = serving(layout.clone(), |_| endless()).await;
    assert_eq!(refused(&address, &bundle, &into).await, 106);
    let address = serving(layout.clone(), |_| StatusCode::IM_A_TEAPOT.into_response()).await;
    assert_eq!(refused(&address, &bundle, &into).await, 138);
    assert_eq!(fs::read_dir(into.join("blobs/sha256")).unwrap().count(), 0);
    // Honest, it is brought.
    let address = serving(layout, |bytes| bytes.into_response()).await;
    let registry = opened(&format!("{address}/shop"), Access::Anonymous, None);
    assert_eq!(registry.pull_bundle(bundle.digest(), &into, BUNDLE_BYTES_MAX).await.unwrap().files(), bundle.files());
}

#[tokio::test]
async fn redirects_into_the_open_or_in_circles_are_not_followed() {
    let (dir, bundle, layout) = an_app();
    let honest = serving(layout, |bytes| bytes.into_response()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let target = honest.clone();
    let away = move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let to = format!("http://{target}{}", request.uri().path());
        async move { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response() }
    };
    let address = serve(Router::new().fallback(any(away))).await;
    assert_eq!(refused(&address, &bundle, &dir.path().join("in")).await, 133);
    let round = |request: Request| {
        let to = request.uri().path().to_owned();
        async move { (StatusCode::FOUND, [(header::LOCATION, to)]).into_response() }
    };
    let address = serve(Router::new().fallback(any(round))).await;
    assert_eq!(refused(&address, &bundle, &dir.path().join("in")).await, 133);
    assert!(asked.load(Ordering::SeqCst) < 8);
}

#[tokio::test]
async fn a_password_does_not_travel_to_where_a_blob_is_sent_on_to() {
    let (dir, bundle, layout) = an_app();
    // A store of blobs behind TLS, with an authority of its own.
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let heads = Arc::new(Mutex::new(String::new()));
    let (seen, acceptor) = (Arc::clone(&heads), TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = vec![0; 4_096];
            let count = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            let name = head.split_whitespace().nth(1).unwrap().rsplit(':').next().unwrap().to_owned();
            seen.lock().unwrap().push_str(&head);
            let body = fs::read(layout.join("blobs/sha256").join(name)).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[answer.into_bytes(), body].concat()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    let passes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passes);
    let front = move |headers: HeaderMap, request: Request| {
        let is_in = headers.get(header::AUTHORIZATION).is_some_and(|pass| pass == "Basic YWxpY2U6c2VjcmV0");
        count.fetch_add(usize::from(is_in), Ordering::SeqCst);
        let to = format!("{store}{}", request.uri().path());
        let path = request.uri().path().to_owned();
        async move {
            if !is_in {
                return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")]).into_response();
            }
            if path.contains("referrers") || path.contains("sha256-") {
                return StatusCode::NOT_FOUND.into_response();
            }
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
    };
    let address = serve(Router::new().fallback(any(front))).await;
    let config = dir.path().join("config.json");
    fs::write(&config, format!("{{\"auths\": {{\"{address}\": {{\"auth\": \"YWxpY2U6c2VjcmV0\"}}}}}}")).unwrap();
    let name = ImageName::parse(&format!("{address}/shop")).unwrap();
    let client = VendorClient::new(Some(certificate.pem().as_bytes())).unwrap();
    let password = find_in(&config, &address, NOWHERE).unwrap();
    let registry = Registry::with(client, &name, Access::Read, password).unwrap();
    registry.pull_bundle(bundle.digest(), &dir.path().join("in"), BUNDLE_BYTES_MAX).await.unwrap();
    assert!(passes.load(Ordering::SeqCst) > 2);
    let heads = heads.lock().unwrap().to_lowercase();
    assert!(heads.contains("get /v2/shop/") && !heads.contains("authorization"), "{heads}");
}

#[tokio::test]
async fn tokens_are_asked_for_once_and_those_that_let_nobody_in_end_it() {
    let (dir, bundle, layout) = an_app();
    let asked = Arc::new(AtomicUsize::new(0));
    // A registry that wants tokens and gives them: `good` decides whether they let in.
    let start = |good: bool, realm: Option<&'static str>, token: fn() -> Response| {
        let (count, layout) = (Arc::clone(&asked), layout.clone());
        async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let realm = realm.map_or_else(|| format!("http://{address}/token"), str::to_owned);
            let blob = move |headers: HeaderMap, Asked((_, digest)): Asked<(String, String)>| {
                count.fetch_add(1, Ordering::SeqCst);
                let is_in = good && headers.get(header::AUTHORIZATION).is_some_and(|pass| pass == "Bearer abc");
                let challenge = format!("Bearer realm=\"{realm}\",service=\"it\",scope=\"repository:other:push\"");
                let path = layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
                async move {
                    match fs::read(path) {
                        _ if !is_in => {
                            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
                        }
                        Ok(bytes) => bytes.into_response(),
                        Err(_) => StatusCode::NOT_FOUND.into_response(),
                    }
                }
            };
            let token = move |request: Request| {
                // The scope is ours, not the one that the registry names.
                let query = request.uri().query().unwrap_or_default().to_owned();
                assert_eq!(query, "scope=repository%3Ashop%3Apull&service=it");
                async move { token() }
            };
            let router = Router::new().route("/v2/shop/{kind}/{digest}", get(blob)).route("/token", get(token));
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        }
    };
    let gives = || "{\"token\": \"abc\"}".into_response();
    let address = start(true, None, gives).await;
    let registry = opened(&format!("{address}/shop"), Access::Anonymous, None);
    let into = dir.path().join("in");
    assert_eq!(registry.pull_bundle(bundle.digest(), &into, BUNDLE_BYTES_MAX).await.unwrap().files(), bundle.files());
    // One more than there are questions: the first was turned away once.
    let blobs = fs::read_dir(into.join("blobs/sha256")).unwrap().count();
    assert_eq!(asked.swap(0, Ordering::SeqCst), blobs + 2 + 1);

    let other = dir.path().join("other");
    let address = start(false, None, gives).await;
    assert_eq!(refused(&address, &bundle, &other).await, 134);
    assert_eq!(asked.swap(0, Ordering::SeqCst), 2, "turned away, tried with a token, and no more");
    let address = start(true, None, endless).await;
    assert_eq!(refused(&address, &bundle, &other).await, 132);
    let address = start(true, None, || "{}".into_response()).await;
    assert_eq!(refused(&address, &bundle, &other).await, 135);
    let address = start(true, Some("http://127.0.0.1:1/token"), gives).await;
    assert_eq!(refused(&address, &bundle, &other).await, 135, "a service elsewhere is asked over TLS alone");
    let address = start(true, None, || StatusCode::FORBIDDEN.into_response()).await;
    assert_eq!(refused(&address, &bundle, &other).await, 134);
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_gone_on_with() {
    let (dir, bundle, layout) = an_app();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ranges = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ranges);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4_096];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            let name = head.split_whitespace().nth(1).unwrap().rsplit(':').next().unwrap().to_owned();
            let Ok(body) = fs::read(layout.join("blobs/sha256").join(name)) else {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
                continue;
            };
            let from = head.split("range: bytes=").nth(1).map(|rest| rest.split('-').next().unwrap().parse().unwrap());
            count.fetch_add(usize::from(from.is_some()), Ordering::SeqCst);
            let rest = &body[from.unwrap_or(0usize)..];
            let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", rest.len());
            // No more than 250,000 bytes in one go.
            let piece = &rest[..rest.len().min(250_000)];
            let _ = stream.write_all(&[answer.as_bytes(), piece].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    let registry = opened(&format!("{address}/shop"), Access::Anonymous, None);
    let brought = registry.pull_bundle(bundle.digest(), &dir.path().join("in"), BUNDLE_BYTES_MAX).await.unwrap();
    assert_eq!(brought.files(), bundle.files());
    assert_eq!(ranges.load(Ordering::SeqCst), 2, "600,000 bytes come in three goes");
}

#[tokio::test]
async fn nothing_is_uploaded_to_another_host() {
    let (_dir, bundle, layout) = an_app();
    let away = |request: Request| async move {
        if request.method() == axum::http::Method::HEAD {
            return StatusCode::NOT_FOUND.into_response();
        }
        (StatusCode::ACCEPTED, [(header::LOCATION, "http://127.0.0.1:1/upload")]).into_response()
    };
    let address = serve(Router::new().fallback(any(away))).await;
    let registry = opened(&format!("{address}/shop"), Access::Write, None);
    assert_eq!(registry.push_bundle(&bundle, &layout, "1").await.unwrap_err().code(), 139);
}
