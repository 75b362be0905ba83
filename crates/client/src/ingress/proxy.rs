//! A local port in plain text for programs that verify nothing: what they send goes to a verified instance over TLS, byte by byte, so
//! that streams and WebSockets work; where nobody is verified, they are told so and nothing is sent.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use super::{IngressClient, IngressError, VerifiedIngress};

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// After this long an instance is verified anew before it is spoken to.
const VERIFIED_FOR: Duration = Duration::from_secs(60);
/// Longest wait for a request whose sender is then told why it goes nowhere.
const UNREAD_WAIT: Duration = Duration::from_secs(2);

/// What happens, for whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyEvent {
    /// An instance was verified, the first or another one than before.
    Verified(Arc<VerifiedIngress>),
    /// A connection went nowhere.
    Refused {
        /// Stable word ([`IngressError::code`]).
        code: &'static str,
        /// A sentence.
        reason: String,
    },
}

struct Shared {
    client: IngressClient,
    /// Whom it speaks to, and since when that is verified. Held while it is verified, so that this happens once.
    current: Mutex<Option<(Arc<VerifiedIngress>, Instant)>>,
    events: mpsc::UnboundedSender<ProxyEvent>,
}

/// The port; it closes, with all its connections, when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    verified: Arc<VerifiedIngress>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Verifies an instance, and opens the port then; 0 takes a free one.
    ///
    /// # Errors
    /// Every [`IngressError`]; [`IngressError::Broken`] where the port cannot be opened.
    pub async fn start(
        client: IngressClient,
        listen: SocketAddr,
        events: mpsc::UnboundedSender<ProxyEvent>,
    ) -> Result<Self, IngressError> {
        let listener = TcpListener::bind(listen).await.map_err(IngressError::Broken)?;
        let address = listener.local_addr().map_err(IngressError::Broken)?;
        let shared = Arc::new(Shared { client, current: Mutex::new(None), events });
        let verified = shared.verified(None).await?;
        Ok(Self { address, verified, task: tokio::spawn(accept(listener, shared)) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whom it verified when it started.
    pub fn verified(&self) -> &VerifiedIngress {
        &self.verified
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((local, _)) => {
                let shared = Arc::clone(&shared);
                tasks.spawn(async move {
                    shared.serve(local).await;
                    drop(place);
                });
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

impl Shared {
    async fn serve(&self, mut local: TcpStream) {
        let _ = local.set_nodelay(true);
        match self.reach().await {
            Ok(mut instance) => {
                // One side that goes away is nothing to tell of.
                let _ = copy_bidirectional(&mut local, &mut instance).await;
            }
            Err(error) => {
                let _ = self.events.send(ProxyEvent::Refused { code: error.code(), reason: error.to_string() });
                refuse(&mut local, &error).await;
            }
        }
    }

    /// A connection to a verified instance. Where the one before is replaced, its successor is verified first, once.
    async fn reach(&self) -> Result<TlsStream<TcpStream>, IngressError> {
        let current = self.verified(None).await?;
        match self.client.connect(&current).await {
            Ok(stream) => Ok(stream),
            Err(error) => {
                // Where nobody else is verified, the first refusal says most.
                let Ok(next) = self.verified(Some(&current)).await else { return Err(error) };
                self.client.connect(&next).await
            }
        }
    }

    /// Whom to speak to; verified anew where that is long ago, or where `doubted` is still the one.
    async fn verified(&self, doubted: Option<&Arc<VerifiedIngress>>) -> Result<Arc<VerifiedIngress>, IngressError> {
        let mut current = self.current.lock().await;
        if let Some((held, since)) = &*current
            && since.elapsed() < VERIFIED_FOR
            && doubted.is_none_or(|doubted| doubted != held)
        {
            return Ok(Arc::clone(held));
        }
        let before = current.take();
        let fresh = Arc::new(self.client.verify().await?);
        *current = Some((Arc::clone(&fresh), Instant::now()));
        let is_new = before.is_none_or(|(before, _)| before.spki_sha256 != fresh.spki_sha256);
        if is_new {
            let _ = self.events.send(ProxyEvent::Verified(Arc::clone(&fresh)));
        }
        Ok(fresh)
    }
}

/// Tells a program that speaks HTTP why its request went nowhere. It is read first: closing with unread bytes would reset the answer
/// away.
async fn refuse(local: &mut TcpStream, error: &IngressError) {
    let mut piece = vec![0; 16 * 1024];
    let _ = timeout(UNREAD_WAIT, local.read(&mut piece)).await;
    let body = serde_json::json!({ "error": { "code": error.code(), "message": error.to_string() } }).to_string();
    let head = format!(
        "HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nfreehold-refusal: {}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        error.code(),
        body.len()
    );
    let _ = local.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
    let _ = local.shutdown().await;
}
