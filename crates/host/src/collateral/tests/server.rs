//! A local server that answers what a test lays down for each path.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use freehold_attestation::CollateralDocument;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpListener;

use crate::collateral::http::VendorUrl;

/// What the server answers to one path.
#[derive(Clone)]
pub(super) enum Reply {
    /// A status with headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, ever.
    Hang,
    /// A body without an end.
    Endless,
    /// A body whose second half never comes.
    Stall,
}

impl Reply {
    pub(super) fn good(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, Vec::new(), body.into())
    }

    pub(super) fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), b"no".to_vec())
    }

    pub(super) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Answer(status, headers, body)
            }
            other => other,
        }
    }

    async fn respond(self) -> Response {
        match self {
            Self::Hang => std::future::pending().await,
            Self::Endless => Body::from_stream(Forever(Bytes::from(vec![b'x'; 16 * 1024]))).into_response(),
            Self::Stall => Body::from_stream(Once(Some(Bytes::from_static(b"half")))).into_response(),
            Self::Answer(status, headers, body) => {
                let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(body)).unwrap()
            }
        }
    }
}

struct Forever(Bytes);
struct Once(Option<Bytes>);

impl futures::Stream for Forever {
    type Item = Result<Bytes, std::io::Error>;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(Some(Ok(self.0.clone())))
    }
}

impl futures::Stream for Once {
    type Item = Result<Bytes, std::io::Error>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.take().map_or(std::task::Poll::Pending, |piece| std::task::Poll::Ready(Some(Ok(piece))))
    }
}

/// Starts a server; paths that are not laid down are 404. Paths carry their query.
pub(super) async fn serve(replies: BTreeMap<String, Reply>) -> VendorUrl {
    let replies = Arc::new(replies);
    let answer = move |request: Request| {
        let replies = Arc::clone(&replies);
        async move {
            let path = request.uri().path_and_query().unwrap().as_str();
            replies.get(path).cloned().unwrap_or_else(|| Reply::status(404)).respond().await
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

/// The paths of Intel's service for one document, as a cache serves them.
pub(super) fn intel(
    tee: &str,
    ca: &str,
    update: &str,
    document: &CollateralDocument,
    fmspc: &str,
) -> BTreeMap<String, Reply> {
    let chain = |pem: &str| utf8_percent_encode(pem, NON_ALPHANUMERIC).to_string();
    let signed = |name: &str, text: &str, signature: &[u8]| {
        Reply::good(format!("{{\"{name}\":{text},\"signature\":\"{}\"}}", hex::encode(signature)))
    };
    let tcb = signed("tcbInfo", &document.tcb_info, &document.tcb_info_signature)
        .with("TCB-Info-Issuer-Chain", chain(&document.tcb_info_issuer_chain));
    let identity = signed("enclaveIdentity", &document.qe_identity, &document.qe_identity_signature)
        .with("SGX-Enclave-Identity-Issuer-Chain", chain(&document.qe_identity_issuer_chain));
    let list =
        Reply::good(document.pck_crl.0.clone()).with("SGX-PCK-CRL-Issuer-Chain", chain(&document.pck_crl_issuer_chain));
    // A cache writes the root's list in hex.
    let root_list = Reply::good(hex::encode(&document.root_ca_crl.0));
    BTreeMap::from([
        (format!("/{tee}/certification/v4/tcb?fmspc={fmspc}&update={update}"), tcb),
        (format!("/{tee}/certification/v4/qe/identity?update={update}"), identity),
        (format!("/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"), list),
        ("/sgx/certification/v4/rootcacrl".to_owned(), root_list),
    ])
}

/// Folder of the real vectors; `None`, said loudly, where it is not there.
pub(super) fn vectors() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = std::env::var_os("FREEHOLD_VECTORS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no real vectors at {}; name their folder in FREEHOLD_VECTORS", folder.display());
    None
}

/// A short wait for servers that hang.
pub(super) const SHORT: Duration = Duration::from_millis(300);
