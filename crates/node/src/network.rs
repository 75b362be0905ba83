//! Validators of one network in one process: each with its own folder, keys, stores, runtime and executor, talking over
//! real loopback connections.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use freehold_crypto::AnswerSigner;
use freehold_primitives::{Genesis, NetworkKey};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    genesis::validator_folder,
    member::{Member, MemberConfig, MemberError},
    store::BODIES_MIN,
};

/// Settings of a network in one process.
#[derive(Clone)]
pub struct NetworkConfig {
    /// Folder of the network.
    pub folder: PathBuf,
    /// The chain.
    pub genesis: Genesis,
    /// Where the first validator serves JSON-RPC.
    pub rpc: SocketAddr,
    /// Clock of every validator.
    pub clock: Clock,
    /// What the first validator signs answers to calls with, where it is a registered executor too.
    pub signer: Option<Arc<AnswerSigner>>,
}

/// Why a network does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A validator did not start.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// No free port on the loopback.
    #[error("no free port on the loopback address")]
    Port(#[source] std::io::Error),
    /// The genesis has no usable key.
    #[error("the genesis holds no usable network key")]
    NetworkKey(#[from] freehold_consensus::KeyError),
}

/// A running network.
pub struct Network {
    /// The network key.
    pub network_key: NetworkKey,
    /// Where JSON-RPC is served.
    pub rpc: SocketAddr,
    members: Vec<Member>,
    ended: mpsc::UnboundedReceiver<MemberError>,
}

impl Network {
    /// Starts all validators.
    ///
    /// # Errors
    /// Any [`NetworkError`].
    pub async fn start(config: NetworkConfig) -> Result<Self, NetworkError> {
        let network_key = freehold_consensus::network_key(&config.genesis)?;
        let addresses = free_addresses(config.genesis.validators.len()).map_err(NetworkError::Port)?;
        let (failed, ended) = mpsc::unbounded_channel();
        let peers: Vec<_> = config.genesis.validators.iter().copied().zip(addresses.iter().copied()).collect();
        let starts = (0_u32..).zip(addresses).map(|(index, listen)| {
            let member = MemberConfig {
                folder: validator_folder(&config.folder, index),
                genesis: config.genesis.clone(),
                name: format!("validator {index}"),
                listen,
                peers: peers.clone(),
                rpc: (index == 0).then_some(config.rpc),
                keep_blocks: None,
                // All validators of a network share the process' open files.
                keep_payloads: Some(BODIES_MIN),
                sources: Vec::new(),
                clock: config.clock.clone(),
                signer: config.signer.clone().filter(|_| index == 0),
            };
            Member::start(member, failed.clone())
        });
        let mut members = Vec::new();
        let mut refused = None;
        for started in futures::future::join_all(starts).await {
            match started {
                Ok(member) => members.push(member),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if let Some(error) = refused {
            stop_all(members).await;
            return Err(error.into());
        }
        let rpc = members.first().and_then(|member| member.rpc).unwrap_or(config.rpc);
        Ok(Self { network_key, rpc, members, ended })
    }

    /// Waits until a validator ends by itself.
    pub async fn ended(&mut self) -> Option<MemberError> {
        self.ended.recv().await
    }

    /// Stops all validators; their stores are flushed when this returns.
    pub async fn stop(self) {
        stop_all(self.members).await;
    }
}

async fn stop_all(members: Vec<Member>) {
    futures::future::join_all(members.into_iter().map(Member::stop)).await;
}

/// Free loopback addresses: taken all at once, so that they differ, and given back for the validators to take.
fn free_addresses(count: usize) -> std::io::Result<Vec<SocketAddr>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<std::io::Result<_>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
