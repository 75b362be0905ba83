//! One validator-to-be, founding a network without a dealer: the engine's runtime on a thread of its own, and the files of
//! its folder. What the founders say to each other is `freehold_consensus::found`.
//!
//! Invariant: the genesis is written last, and what was kept on the way is removed only after it. Not here: how the
//! draft of the genesis came to be the same everywhere.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    thread,
    time::Duration,
};

use commonware_runtime::{Clock as _, Runner as _, tokio as engine_runtime};
use freehold_consensus::{Founded, Founding, FoundingError, Progress, Reach, found};
use freehold_primitives::{Blob, Ed25519Key, Genesis};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::genesis::{GenesisError, read_founded, read_identity, write_founded};

/// Folder, below the validator's own, of what is kept on the way.
const WORK_FOLDER: &str = "founding";
/// How long a founder that was finished before waits for somebody whom it could help.
const ALONE: Duration = Duration::from_secs(10);

/// What a founder starts from.
#[derive(Clone)]
pub struct FounderConfig {
    /// Folder of the validator, with its identity.
    pub folder: PathBuf,
    /// The genesis without its keys.
    pub draft: Genesis,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where all founders are.
    pub peers: Vec<(Ed25519Key, SocketAddr)>,
}

/// Why a founder ends without a genesis.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FounderError {
    /// A file.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The founding.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// Its address is taken, or not this machine's.
    #[error("cannot listen on {address}: {source}; stop what holds it, or choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder holds the genesis of another draft.
    #[error("{folder} holds the genesis of another network file: choose another data directory")]
    Other {
        /// The folder.
        folder: PathBuf,
    },
    /// A thread could not be started, or ended early.
    #[error("the founding's thread ended early")]
    Thread,
}

/// A running founder. Dropping it stops it; it can be started again.
pub struct Founder {
    founded: oneshot::Receiver<Result<Genesis, FounderError>>,
    over: oneshot::Receiver<()>,
    work: PathBuf,
    _stop: oneshot::Sender<()>,
}

impl Founder {
    /// Starts, or goes on after a stop. `progress` is told how far it is.
    ///
    /// # Errors
    /// [`FounderError`].
    pub fn start(config: FounderConfig, progress: mpsc::UnboundedSender<Progress>) -> Result<Self, FounderError> {
        let finished = read_founded(&config.folder)?;
        if finished.as_ref().is_some_and(|made| draft_of(&made.genesis) != config.draft) {
            return Err(FounderError::Other { folder: config.folder });
        }
        // The engine panics where it cannot listen, so that is tried first.
        let address = config.listen;
        TcpListener::bind(address).map_err(|source| FounderError::Listen { address, source })?;
        let founding = Founding {
            identity: read_identity(&config.folder)?,
            draft: config.draft,
            listen: config.listen,
            peers: config.peers,
            reach: Reach::Local,
            partition: "founder".to_owned(),
            finished,
        };
        let work = config.folder.join(WORK_FOLDER);
        let settings = engine_runtime::Config::new().with_worker_threads(1).with_storage_directory(&work);
        let (told, founded) = oneshot::channel();
        let (last, over) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let folder = config.folder;
        let run = move || {
            engine_runtime::Runner::new(settings).start(|context| async move {
                let work = take_part(context, folder, (founding, progress), told);
                tokio::select! {
                    () = work => { let _gone = last.send(()); }
                    _ = stopped => {}
                }
            });
        };
        thread::Builder::new().name("founder".to_owned()).spawn(run).map_err(|_| FounderError::Thread)?;
        Ok(Self { founded, over, work, _stop: stop })
    }

    /// Waits until this founder has its shares and the genesis, and they are written.
    ///
    /// # Errors
    /// [`FounderError`].
    pub async fn founded(&mut self) -> Result<Genesis, FounderError> {
        (&mut self.founded).await.unwrap_or(Err(FounderError::Thread))
    }

    /// Waits until the others need this founder no more, and removes what was kept on the way.
    pub async fn finish(self) {
        if self.over.await.is_ok() {
            let _left = fs::remove_dir_all(&self.work);
        }
    }
}

/// The draft from which a genesis was made.
fn draft_of(genesis: &Genesis) -> Genesis {
    Genesis { consensus_polynomial: Blob(Vec::new()), derivation_polynomial: Vec::new(), ..genesis.clone() }
}

async fn take_part(
    context: engine_runtime::Context,
    folder: PathBuf,
    (founding, progress): (Founding, mpsc::UnboundedSender<Progress>),
    told: oneshot::Sender<Result<Genesis, FounderError>>,
) {
    let fresh = founding.finished.is_none();
    let (heard, others) = watch::channel(0);
    let handle = found(&context, founding, move |now| {
        heard.send_replace(now.heard);
        let _gone = progress.send(now);
    });
    let mut handle = match handle {
        Ok(handle) => handle,
        Err(error) => {
            let _gone = told.send(Err(error.into()));
            return;
        }
    };
    let made = handle.founded().await.map_err(FounderError::from);
    let written = made.and_then(|founded: Founded| {
        if fresh {
            write_founded(&folder, &founded)?;
        }
        Ok(founded.genesis)
    });
    let good = written.is_ok();
    let _gone = told.send(written);
    if !good {
        return;
    }
    // Whoever comes again after the others have left hears from nobody that they need nothing more.
    let alone = async {
        context.sleep(ALONE).await;
        if fresh || *others.borrow() > 1 {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ended = handle.finished() => {}
        () = alone => {}
    }
}
