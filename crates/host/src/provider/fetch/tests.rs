//! Bundles from stores and from servers that may lie.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Bytes, extract::Path as AskedPath, http::StatusCode, routing::get};
use freehold_bundle::build_bundle;
use freehold_primitives::Digest;
use freehold_rpc::RefusalCode;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;

const MANIFEST: &str = "\
name: oracle
version: 0.1.0
tee: tdx
kind: raw
resources: {memory: 64, cpus: 1}
freehold:
  process: {files: app, command: [python3, main.py]}
";

/// A folder with an app, and its bundle in the store `store`.
fn app() -> (TempDir, Bundle) {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("app")).unwrap();
    fs::write(dir.path().join("rofl.yaml"), MANIFEST).unwrap();
    fs::write(dir.path().join("app/main.py"), "print('hello')\n").unwrap();
    let built = build_bundle(dir.path(), &dir.path().join("out")).unwrap();
    let place = dir.path().join("store").join(built.digest().to_string());
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::rename(dir.path().join("out"), &place).unwrap();
    let bundle = freehold_bundle::open_bundle(&place).unwrap();
    (dir, bundle)
}

/// Serves the blobs of a layout, each as `change` makes it.
async fn serve(layout: PathBuf, change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let (layout, change) = (Arc::new(layout), Arc::new(change));
    let blob = move |AskedPath(name): AskedPath<String>| {
        let (layout, change) = (Arc::clone(&layout), Arc::clone(&change));
        async move {
            let bytes = fs::read(layout.join("blobs/sha256").join(name)).map_err(|_| StatusCode::NOT_FOUND)?;
            Ok::<_, StatusCode>(Bytes::from(change(bytes)))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/shop/blobs/sha256/{name}", get(blob));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn policy(dir: &TempDir, address: Option<SocketAddr>) -> ProviderPolicy {
    ProviderPolicy {
        stores: vec![dir.path().join("store")],
        sources: address.into_iter().map(|address| format!("http://{address}/shop")).collect(),
        ..ProviderPolicy::default()
    }
}

async fn brought(dir: &TempDir, order: &Order, policy: &ProviderPolicy) -> Result<Bundle, FetchFailure> {
    bring(order, policy, &VendorClient::new(None).unwrap(), &dir.path().join("in")).await
}

fn code(result: Result<Bundle, FetchFailure>) -> Option<RefusalCode> {
    match result {
        Err(FetchFailure::Refused(refusal)) => Some(refusal.code()),
        Err(FetchFailure::Later(_)) => Some(RefusalCode::Internal),
        Ok(_) => None,
    }
}

#[tokio::test]
async fn a_bundle_comes_from_a_store_or_from_a_named_address() {
    let (dir, bundle) = app();
    let layout = dir.path().join("store").join(bundle.digest().to_string());
    let address = serve(layout, |bytes| bytes).await;
    let source = Some(format!("http://{address}/shop"));
    for source in [None, source] {
        let order = Order { bundle: bundle.digest(), source };
        let got = brought(&dir, &order, &policy(&dir, Some(address))).await.unwrap();
        assert_eq!((got.digest(), got.files()), (bundle.digest(), bundle.files()));
        // Once it is here, nobody is asked.
        let gone = ProviderPolicy { stores: Vec::new(), ..ProviderPolicy::default() };
        assert_eq!(brought(&dir, &order, &gone).await.unwrap().digest(), bundle.digest());
        fs::remove_dir_all(dir.path().join("in")).unwrap();
    }
}

#[tokio::test]
async fn what_is_not_named_not_there_or_not_true_is_told_apart() {
    let (dir, bundle) = app();
    let layout = dir.path().join("store").join(bundle.digest().to_string());
    let lies = serve(layout.clone(), |bytes| [bytes, b" ".to_vec()].concat()).await;
    let grows = serve(layout, |_| vec![0; 6 * 1024 * 1024]).await;
    let asked = async |address: SocketAddr, named: Option<SocketAddr>, digest| {
        let order = Order { bundle: digest, source: Some(format!("http://{address}/shop")) };
        code(brought(&dir, &order, &policy(&dir, named)).await)
    };
    let digest = bundle.digest();
    assert_eq!(asked(lies, None, digest).await, Some(RefusalCode::Source));
    assert_eq!(asked(lies, Some(lies), digest).await, Some(RefusalCode::Bundle));
    assert_eq!(asked(grows, Some(grows), digest).await, Some(RefusalCode::Bundle));
    // An address that has it not may have it later.
    assert_eq!(asked(lies, Some(lies), Digest([9; 32])).await, Some(RefusalCode::Internal));
    let order = Order { bundle: Digest([9; 32]), source: None };
    assert_eq!(code(brought(&dir, &order, &policy(&dir, None)).await), Some(RefusalCode::Unavailable));
    let small = ProviderPolicy { disk_mib_max: 0, ..policy(&dir, None) };
    let order = Order { bundle: digest, source: None };
    assert_eq!(code(brought(&dir, &order, &small).await), Some(RefusalCode::Bundle));
}
