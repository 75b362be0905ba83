//! When a guest is asked to stop: by a signal, or because the host that started it is no more.

use std::{io::Read as _, thread};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
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
    tokio::select! {
        () = terminated => {}
        () = orphaned() => {}
    }
}

/// Resolves when standard input ends. A thread of its own reads it: one of the runtime's would keep the process from
/// ending while the read waits.
async fn orphaned() {
    let (ended, end) = oneshot::channel::<()>();
    let reader = thread::Builder::new().name("host".to_owned()).spawn(move || {
        let mut bytes = [0; 64];
        // What is written there means nothing.
        while std::io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {}
        drop(ended);
    });
    if let Err(error) = reader {
        tracing::warn!(%error, "the end of the host cannot be noticed");
        std::future::pending::<()>().await;
    }
    let _ = end.await;
}
