//! Where renters' commands are taken (`spec/provider-api.md`): each signed by the rental's renter, each connection bounded in
//! time, number and size.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use freehold_rpc::{
    PROVIDER_BODY_BYTES_MAX, ProviderInfo, RefusalCode, RentalAction, RentalCommand, RentalRefusal, RentalRefusalBody,
    SignedCommand,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{
    event::ProviderEvent,
    policy::Refusal,
    rounds::{Ground, now_ms},
    tenant::Tenant,
};
use freehold_primitives::Account;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for a request's head.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// Longest life of a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(60);

/// Serves connections until dropped.
pub(crate) async fn serve(listener: TcpListener, ground: Arc<Ground>) {
    let router = router(ground);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve_connection(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(error)) = timeout(CONNECTION_WAIT, connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

fn router(ground: Arc<Ground>) -> Router {
    Router::new()
        .route("/v1/host", get(info))
        .route("/v1/command", post(command))
        .route("/v1/logs", post(logs))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(PROVIDER_BODY_BYTES_MAX))
        .with_state(ground)
}

async fn info(State(ground): State<Arc<Ground>>) -> Json<ProviderInfo> {
    Json(ProviderInfo {
        provider: ground.config.provider.account(),
        genesis_hash: ground.genesis_hash,
        vm: ground.vm.clone(),
    })
}

/// A command that is signed and meant for this provider and chain: which rental's, and whose.
fn opened(ground: &Ground, body: &Bytes) -> Result<(RentalCommand, Account), RentalRefusal> {
    let signed: SignedCommand = serde_json::from_slice(body).map_err(|_| Refusal::Malformed.told())?;
    let (command, signer) = signed.open().map_err(|_| Refusal::Malformed.told())?;
    let is_meant = command.provider == ground.config.provider.account() && command.genesis_hash == ground.genesis_hash;
    if is_meant { Ok((command, signer)) } else { Err(Refusal::OtherProvider.told()) }
}

/// The rental's tenant, after the command was judged and taken.
fn taken(ground: &Ground, command: &RentalCommand, signer: &Account) -> Result<Arc<Tenant>, RentalRefusal> {
    let rental = command.rental;
    let Some(tenant) = ground.tenant(rental) else {
        // Why a rental was given back is its renter's to know.
        let refused = ground.refused(rental).filter(|(renter, _)| renter == signer);
        return Err(refused.map_or_else(|| Refusal::UnknownRental(rental).told(), |(_, refusal)| refusal));
    };
    tenant.command(command, signer, now_ms()).map_err(|refusal| refusal.told())?;
    if command.action.changes() {
        ground.counts.commands.fetch_add(1, Ordering::Relaxed);
        ground.tell(ProviderEvent::Commanded { rental, action: name(&command.action) });
    }
    Ok(tenant)
}

const fn name(action: &RentalAction) -> &'static str {
    match action {
        RentalAction::Deploy { .. } => "deploy",
        RentalAction::Start => "start",
        RentalAction::Stop => "stop",
        RentalAction::Restart => "restart",
        RentalAction::Report => "report",
        RentalAction::Logs { .. } => "logs",
    }
}

async fn command(State(ground): State<Arc<Ground>>, body: Bytes) -> Response {
    let done = opened(&ground, &body).and_then(|(command, signer)| taken(&ground, &command, &signer));
    match done {
        Ok(tenant) => Json(tenant.report()).into_response(),
        Err(refusal) => refuse(&ground, refusal),
    }
}

async fn logs(State(ground): State<Arc<Ground>>, body: Bytes) -> Response {
    let page = opened(&ground, &body).and_then(|(command, signer)| {
        let RentalAction::Logs { from } = command.action else { return Err(Refusal::Malformed.told()) };
        let tenant = taken(&ground, &command, &signer)?;
        tenant.page(from).map_err(|error| Refusal::Internal(error.to_string()).told())
    });
    match page {
        Ok(page) => Json(page).into_response(),
        Err(refusal) => refuse(&ground, refusal),
    }
}

fn refuse(ground: &Ground, refusal: RentalRefusal) -> Response {
    ground.count_refusal();
    let status = match refusal.code {
        RefusalCode::Malformed => StatusCode::BAD_REQUEST,
        RefusalCode::UnknownRental | RefusalCode::OtherProvider => StatusCode::NOT_FOUND,
        RefusalCode::NotTheRenter => StatusCode::FORBIDDEN,
        RefusalCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::CONFLICT,
    };
    (status, Json(RentalRefusalBody { error: refusal })).into_response()
}

/// Counts and sizes, as Prometheus reads them.
async fn metrics(State(ground): State<Arc<Ground>>) -> String {
    let reports: Vec<_> = ground.tenants().values().map(|tenant| tenant.report()).collect();
    let sum = |of: fn(&freehold_rpc::RentalReport) -> u64| reports.iter().map(of).sum::<u64>();
    let count = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
    let figures = [
        ("rentals", "gauge", u64::try_from(reports.len()).unwrap_or(u64::MAX)),
        ("instances", "gauge", sum(|report| report.instance_id.is_some().into())),
        ("answering", "gauge", sum(|report| report.answers.into())),
        ("starts", "counter", sum(|report| report.starts)),
        ("log_bytes", "gauge", sum(|report| report.logs.bytes)),
        ("log_lines_dropped", "counter", sum(|report| report.logs.dropped)),
        ("commands", "counter", count(&ground.counts.commands)),
        ("refusals", "counter", count(&ground.counts.refusals)),
        ("claims", "counter", count(&ground.counts.claims)),
    ];
    let mut text = String::new();
    for (name, kind, value) in figures {
        let _ = writeln!(text, "# TYPE freehold_host_{name} {kind}\nfreehold_host_{name} {value}");
    }
    text
}
