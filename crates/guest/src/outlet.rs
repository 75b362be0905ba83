//! The app's way out, inside its sandbox: a loopback port whose connections go to the gate's socket.
//!
//! A sandbox without a network has a loopback of its own, and programs know proxies by a port. The relay is a process beside the
//! program: it can open nothing but the gate's socket, which judges by itself, so nothing hangs on it.

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use rustix::process::getppid;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional, stdout},
    net::{TcpListener, UnixStream},
    process::Command,
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Words of this program's role that relays.
const ROLE: [&str; 2] = ["launch", "--relay"];
/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for the relay's port.
const PORT_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks at whether the program is still there.
const PARENT_PAUSE: Duration = Duration::from_secs(1);

/// Starts the relay beside this process and gives its port. It ends with this process, whatever that becomes.
pub(crate) async fn start(gate: &Path) -> io::Result<u16> {
    let mut relay = Command::new(std::env::current_exe()?)
        .args(ROLE)
        .arg(gate)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut port = [0; 2];
    let mut said = relay.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    timeout(PORT_WAIT, said.read_exact(&mut port)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(u16::from_be_bytes(port))
}

/// Relays a loopback port (0: any that is free) to the gate's socket until the parent process ends. The port is written to standard
/// output, two bytes, big-endian.
///
/// # Errors
/// The port cannot be bound or told.
pub async fn relay_egress(gate: PathBuf, port: u16) -> io::Result<()> {
    let parent = getppid();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut out = stdout();
    out.write_all(&listener.local_addr()?.port().to_be_bytes()).await?;
    out.flush().await?;
    let orphaned = async {
        while getppid() == parent {
            sleep(PARENT_PAUSE).await;
        }
    };
    tokio::select! {
        () = orphaned => {}
        () = relay(listener, gate.into()) => {}
    }
    Ok(())
}

async fn relay(listener: TcpListener, gate: Arc<Path>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((mut inside, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            if let Ok(mut outside) = UnixStream::connect(&gate).await {
                let _ = inside.set_nodelay(true);
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            }
            drop(place);
        });
    }
}
