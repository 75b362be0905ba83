//! What machines ask over plain HTTP on the JSON-RPC port: `GET /health`, `/ready` and `/metrics` (`docs/operations.md`).
//!
//! Answers hold counts and heights, never a secret, an address or a transaction. Everything else goes on to JSON-RPC.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::Either;
use http::{Method, StatusCode, header};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::{Layer, Service};

use crate::metrics::Gauges;

/// Prometheus's text format, as its servers ask for it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Puts the probes in front of JSON-RPC.
#[derive(Clone)]
pub(super) struct Probes(pub(super) Arc<Gauges>);

impl<S> Layer<S> for Probes {
    type Service = Probed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Probed { gauges: Arc::clone(&self.0), inner }
    }
}

/// JSON-RPC with the probes in front.
#[derive(Clone)]
pub(super) struct Probed<S> {
    gauges: Arc<Gauges>,
    inner: S,
}

impl<S, B> Service<HttpRequest<B>> for Probed<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Either<Ready<Result<HttpResponse, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        match answer(&self.gauges, request.method(), request.uri().path()) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

fn answer(gauges: &Gauges, method: &Method, path: &str) -> Option<HttpResponse> {
    if method != Method::GET {
        return None;
    }
    match path {
        "/health" => Some(text(StatusCode::OK, "text/plain; charset=utf-8", "alive\n".to_owned())),
        "/ready" => Some(match gauges.readiness() {
            Ok(()) => text(StatusCode::OK, "text/plain; charset=utf-8", "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", format!("{why}\n")),
        }),
        "/metrics" => Some(text(StatusCode::OK, OPEN_METRICS, gauges.encode())),
        _ => None,
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
