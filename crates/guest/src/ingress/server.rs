//! The socket that TLS comes by: who asks is told apart by what the first message names, and answered within a time.

use std::{
    fs,
    io::{self, Cursor},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use freehold_rpc::{CHANNEL_ALPN, connect_plain};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Chain, Join, copy_bidirectional, join},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{
    LazyConfigAcceptor, StartHandshake,
    rustls::server::{Acceptor, ClientHello},
};

use super::{Ingress, acme, channel, face::CHALLENGE_ALPN, plain};
use crate::{agent::Guest, clock::boot_ms, state::Stage};

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a client's part of the handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// What a client wants, by the ALPN names of its first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    App,
    Evidence,
    Challenge,
}

/// Takes connections until it is dropped, and every connection with it.
pub(crate) async fn run(guest: Arc<Guest>) {
    let Some(config) = guest.settings().paths.ingress.clone() else { return };
    let Some(now) = guest.life().now_unix_s(boot_ms()) else { return };
    let listener = match bind(&config.socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "TLS is not offered: its socket cannot be bound"),
    };
    let ingress = match Ingress::new(&guest, config, now) {
        Ok(ingress) => Arc::new(ingress),
        Err(error) => return tracing::error!(%error, "TLS is not offered: no certificate can be made"),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(acme::keep(Arc::clone(&guest), Arc::clone(&ingress)));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (guest, ingress) = (Arc::clone(&guest), Arc::clone(&ingress));
                tasks.spawn(async move {
                    if let Err(error) = serve(&guest, &ingress, stream).await {
                        tracing::debug!(%error, "a TLS connection ended");
                    }
                    drop(place);
                });
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

fn bind(socket: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A connection whose first byte was looked at, and stands in front of the rest.
type Begun = Join<Chain<Cursor<[u8; 1]>, OwnedReadHalf>, OwnedWriteHalf>;

/// First byte of every message of TLS that a client begins with (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

async fn begun(stream: UnixStream) -> io::Result<(u8, Begun)> {
    let (mut reader, writer) = stream.into_split();
    let first = reader.read_u8().await?;
    Ok((first, join(Cursor::new([first]).chain(reader), writer)))
}

async fn serve(guest: &Guest, ingress: &Ingress, stream: UnixStream) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let (first, mut stream) = timeout(HANDSHAKE_WAIT, begun(stream)).await.map_err(late)??;
    if first != HANDSHAKE && ingress.config.answers_http() && guest.stage() == Stage::Serving {
        return timeout(HANDSHAKE_WAIT, plain::answer(ingress, &mut stream)).await.map_err(late)?;
    }
    let start = timeout(HANDSHAKE_WAIT, LazyConfigAcceptor::new(Acceptor::default(), stream)).await.map_err(late)??;
    if guest.stage() != Stage::Serving {
        return Ok(());
    }
    let hello = start.client_hello();
    let (wanted, name) = (wanted(&hello), hello.server_name().map(str::to_ascii_lowercase));
    match wanted {
        Wanted::Challenge => challenge(ingress, start, name.as_deref()).await,
        Wanted::Evidence => {
            let face = ingress.face(name.as_deref());
            let accept = start.into_stream(Arc::clone(&face.channel));
            let mut stream = timeout(HANDSHAKE_WAIT, accept).await.map_err(late)??;
            channel::answer(guest, &mut stream, &face.spki_sha256, ingress.account()).await?;
            stream.shutdown().await
        }
        Wanted::App => {
            let accept = start.into_stream(Arc::clone(&ingress.face(name.as_deref()).app));
            let mut stream = timeout(HANDSHAKE_WAIT, accept).await.map_err(late)??;
            // The app may have put anything in its socket's place; a link is not followed.
            match connect_plain(&ingress.config.app_socket).await {
                Ok(mut app) => copy_bidirectional(&mut stream, &mut app).await.map(drop),
                Err(_) => stream.shutdown().await,
            }
        }
    }
}

/// Answers an authority's question, where one was asked for; the connection says nothing else (RFC 8737 §3).
async fn challenge(ingress: &Ingress, start: StartHandshake<Begun>, name: Option<&str>) -> io::Result<()> {
    let Some(face) = ingress.challenge(name) else { return Ok(()) };
    let accept = start.into_stream(Arc::clone(&face.challenge));
    let stream = timeout(HANDSHAKE_WAIT, accept).await;
    stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??.shutdown().await
}

fn wanted(hello: &ClientHello<'_>) -> Wanted {
    let names: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
    match names.as_slice() {
        [CHALLENGE_ALPN] => Wanted::Challenge,
        names if names.contains(&CHANNEL_ALPN) => Wanted::Evidence,
        _ => Wanted::App,
    }
}
