//! The app's API: raw bytes between TCP and the app's socket, both ways until both sides have closed.
//!
//! Under EHBP these bytes are ciphertext; the relay reads none of them. Half-closed connections stay open in the other
//! direction, so that a client may end its request before the answer streams.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use freehold_rpc::connect_plain;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Duration, sleep, timeout},
};

/// Connections at once.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a first byte that is then thrown away.
const UNREAD_WAIT: Duration = Duration::from_secs(2);

/// What a client is told while the app is not there.
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
    connection: close\r\n\r\n\
    {\"error\":{\"message\":\"the app is starting; try again\",\"type\":\"unavailable\",\"code\":null,\"param\":null}}";

/// Relays connections to the app's socket until dropped.
pub(crate) async fn relay_api(listener: TcpListener, app_socket: PathBuf) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let app_socket: Arc<PathBuf> = Arc::new(app_socket);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let app_socket = Arc::clone(&app_socket);
                tokio::spawn(async move {
                    relay_one(stream, &app_socket).await;
                    drop(place);
                });
            }
            // Out of descriptors, or the peer was faster: the next may succeed.
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn relay_one(mut client: TcpStream, app_socket: &Path) {
    let _ = client.set_nodelay(true);
    match connect_plain(app_socket).await {
        Ok(mut app) => {
            if let Err(error) = copy_bidirectional(&mut client, &mut app).await {
                tracing::debug!(%error, "a relayed connection broke");
            }
        }
        Err(_) => {
            // The request is read first: closing with unread bytes would reset the answer away.
            let mut piece = vec![0; 16 * 1024];
            let _ = timeout(UNREAD_WAIT, client.read(&mut piece)).await;
            let _ = client.write_all(UNAVAILABLE).await;
            let _ = client.shutdown().await;
        }
    }
}
