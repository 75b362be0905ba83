//! Offering ports of containers outside: bytes between the machine's sockets and those in the app's network, where a thread of its
//! own lives. Nothing outside of that network becomes reachable from inside by it.
//!
//! The first port, or the socket that a container makes, is the app's API: it is offered as `app.sock`, once something listens.
//! Further ports are offered at 127.0.0.1.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use freehold_rpc::connect_plain;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::sleep,
};

use crate::{
    error::ContainerError,
    event::{ContainerEvent, Teller},
    ground::{Ground, Network},
    plan::Plan,
};

/// Pause between two looks at whether something listens.
const POLL: Duration = Duration::from_millis(50);
/// Connections of a port at once.
const CONNECTIONS_MAX: usize = 256;

/// What is inside.
#[derive(Debug, Clone)]
enum Inside {
    Port(u16),
    Socket(PathBuf),
}

/// What is offered; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Published(#[expect(dead_code, reason = "the thread ends when it is dropped")] oneshot::Sender<()>);

/// Offers the ports of a plan.
pub(crate) fn publish(
    plan: &Plan,
    network: Network,
    ground: &Ground,
    app_dir: &Path,
    teller: &Teller,
) -> Result<Published, ContainerError> {
    let api = match plan.ports.first() {
        Some(port) => Inside::Port(port.target),
        None => Inside::Socket(ground.app_dir().join("app.sock")),
    };
    let mut listeners = Vec::new();
    for port in plan.ports.iter().skip(1) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.published));
        // Bound here, in the machine's network.
        match StdListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)) {
            Ok(listener) => listeners.push((listener, port.target)),
            Err(source) => {
                let message = format!("port {address} is not offered: {source}");
                teller.tell(ContainerEvent::Trouble { message });
            }
        }
    }
    let failed = || ContainerError::system("the app's network cannot be entered", "/proc");
    let network =
        network.holder.map(|holder| File::open(format!("/proc/{holder}/ns/net"))).transpose().map_err(failed())?;
    let (sender, ended) = oneshot::channel();
    let socket = app_dir.join("app.sock");
    let work = move || {
        if let Err(error) = serve(network.as_ref(), api, socket, listeners, ended) {
            tracing::error!(%error, "the ports of containers are not offered");
        }
    };
    std::thread::Builder::new().name("container-ports".to_owned()).spawn(work).map_err(failed())?;
    Ok(Published(sender))
}

/// Enters the network, for this thread alone, and relays until the other side is dropped.
fn serve(
    network: Option<&File>,
    api: Inside,
    socket: PathBuf,
    listeners: Vec<(StdListener, u16)>,
    ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    if let Some(network) = network {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut tasks = JoinSet::new();
        for (listener, target) in listeners {
            tasks.spawn(relay_port(TcpListener::from_std(listener)?, target));
        }
        tasks.spawn(relay_api(socket, api));
        let _ = ended.await;
        Ok(())
    })
}

async fn relay_api(socket: PathBuf, api: Inside) {
    while connect(&api).await.is_err() {
        sleep(POLL).await;
    }
    let _ = std::fs::remove_file(&socket);
    let listener = match UnixListener::bind(&socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the app's socket cannot be bound"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let api = api.clone();
                tokio::spawn(async move {
                    relay(stream, &api).await;
                    drop(place);
                });
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

async fn relay_port(listener: TcpListener, target: u16) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    relay(stream, &Inside::Port(target)).await;
                    drop(place);
                });
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

/// Either side of a relay.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(inside: &Inside) -> io::Result<Box<dyn Stream>> {
    Ok(match inside {
        Inside::Port(port) => Box::new(TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?),
        Inside::Socket(path) => Box::new(connect_plain(path).await?),
    })
}

async fn relay(mut outside: impl AsyncRead + AsyncWrite + Unpin, inside: &Inside) {
    if let Ok(mut inside) = connect(inside).await
        && let Err(error) = copy_bidirectional(&mut outside, &mut inside).await
    {
        tracing::debug!(%error, "a relayed connection broke");
    }
}
