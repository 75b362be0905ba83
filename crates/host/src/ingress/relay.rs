//! One connection from its first message to its end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Shared, head, hello};

/// Clients whose first message is waited for, at once; further ones wait to be accepted.
const WAITING_MAX: usize = 256;
/// Connections that are carried at once; further ones are closed.
const CARRIED_MAX: usize = 1024;
/// Longest wait for a first message.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for an instance to take a connection and its first message.
const PASS_WAIT: Duration = Duration::from_secs(5);
/// What clients of a port speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Tls,
    Http,
}

impl Speech {
    /// What a client is told whose name leads to nobody; of TLS the fatal alert `unrecognized_name` (RFC 6066 §3).
    const fn unrecognized(self) -> &'static [u8] {
        match self {
            Self::Tls => &[21, 3, 3, 0, 2, 2, 112],
            Self::Http => b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        }
    }

    /// What one is told whose instance takes nobody now: `internal_error`.
    const fn unavailable(self) -> &'static [u8] {
        match self {
            Self::Tls => &[21, 3, 3, 0, 2, 2, 80],
            Self::Http => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        }
    }
}

/// Takes connections until it is dropped, and all of them with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, speech: Speech) {
    let (waiting, carried) = (Arc::new(Semaphore::new(WAITING_MAX)), Arc::new(Semaphore::new(CARRIED_MAX)));
    let mut tasks = JoinSet::new();
    while let Ok(place) = Arc::clone(&waiting).acquire_owned().await {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                let (shared, carried) = (Arc::clone(&shared), Arc::clone(&carried));
                tasks.spawn(async move {
                    let _ = client.set_nodelay(true);
                    let Some((client, instance)) = route((&shared, speech), client, &carried).await else { return };
                    drop(place);
                    carry(&shared, client, instance).await;
                });
            }
            // Out of descriptors, or the peer was faster: the next may succeed.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// An instance that has the first message already, and its place.
struct Reached {
    stream: UnixStream,
    _place: tokio::sync::OwnedSemaphorePermit,
}

async fn route(
    (shared, speech): (&Shared, Speech),
    mut client: TcpStream,
    carried: &Arc<Semaphore>,
) -> Option<(TcpStream, Reached)> {
    let counts = &shared.counts;
    let read = async {
        match speech {
            Speech::Tls => hello::read(&mut client).await,
            Speech::Http => head::read(&mut client).await,
        }
    };
    let hello = match timeout(HELLO_WAIT, read).await {
        Ok(Ok(Some(hello))) => hello,
        Ok(_) => return refuse(client, &counts.malformed, &[]).await,
        Err(_) => return refuse(client, &counts.slow, &[]).await,
    };
    let Some(name) = hello.name else { return refuse(client, &counts.unnamed, speech.unrecognized()).await };
    let Some(socket) = shared.routes.find(&name) else {
        return refuse(client, &counts.unknown, speech.unrecognized()).await;
    };
    let Ok(place) = Arc::clone(carried).try_acquire_owned() else {
        return refuse(client, &counts.unavailable, speech.unavailable()).await;
    };
    let reach = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(&hello.bytes).await?;
        Ok::<_, io::Error>(stream)
    };
    match timeout(PASS_WAIT, reach).await {
        Ok(Ok(stream)) => {
            counts.routed.fetch_add(1, Ordering::Relaxed);
            counts.bytes_in.fetch_add(hello.bytes.len() as u64, Ordering::Relaxed);
            Some((client, Reached { stream, _place: place }))
        }
        _ => refuse(client, &counts.unavailable, speech.unavailable()).await,
    }
}

/// Counts, tells the client, and closes.
async fn refuse<T>(mut client: TcpStream, count: &AtomicU64, alert: &[u8]) -> Option<T> {
    count.fetch_add(1, Ordering::Relaxed);
    if !alert.is_empty() {
        let _ = timeout(PASS_WAIT, client.write_all(alert)).await;
    }
    let _ = client.shutdown().await;
    None
}

async fn carry(shared: &Shared, mut client: TcpStream, mut instance: Reached) {
    match copy_bidirectional(&mut client, &mut instance.stream).await {
        Ok((sent, answered)) => {
            shared.counts.bytes_in.fetch_add(sent, Ordering::Relaxed);
            shared.counts.bytes_out.fetch_add(answered, Ordering::Relaxed);
        }
        Err(error) => tracing::debug!(%error, "a connection of the ingress broke"),
    }
}
