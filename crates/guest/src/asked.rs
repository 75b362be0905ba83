//! When a guest is asked to stop: by a signal, or because the host that started it is no more.

use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{SignalKind, signal},
};

/// Resolves on SIGTERM, or when standard input ends: the host holds the other end of it, and keeps it open as long as
/// it lives. SIGINT is the host's business.
pub async fn asked_by_host() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be caught");
                std::future::pending::<()>().await;
            }
        }
    };
    let orphaned = async {
        let mut input = tokio::io::stdin();
        let mut bytes = [0; 64];
        // What is written there means nothing.
        while input.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! {
        () = terminated => {}
        () = orphaned => {}
    }
}
