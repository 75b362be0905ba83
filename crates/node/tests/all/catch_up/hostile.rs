//! A peer on an authenticated link that lies, never ends, or does not answer: written out by `spec/sync.md` §6, over the real
//! network, with a real node's answers behind it.

use std::{net::SocketAddr, time::Duration};

use commonware_runtime::{Runner as _, tokio as engine_runtime};
use freehold_consensus::{Gossip, GossipChannel, IdentityKey, Links, Reach, Start, Timers, Validator};
use freehold_node::{MemberError, SyncError};
use freehold_primitives::{Blob, Canonical as _, Ed25519Key, Genesis, Reader, VERSION};
use freehold_rpc::NodeClient;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::{code, free_address, grown, is_empty, is_whole, newcomer, take_all, wiped};
use crate::follower::liar::flip;

/// Bytes of an answer in one message.
const PART: usize = 256 * 1024;

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Honest,
    /// It tells another state root.
    Lies,
    /// Its answers have no end.
    Endless,
    /// It counts parts wrong.
    Disordered,
    /// It has never time, and sends garbage beside.
    Busy,
}

fn part(id: u64, at: u32, more: bool, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![VERSION, 2];
    id.write(&mut out);
    at.write(&mut out);
    out.push(u8::from(more));
    Blob(bytes.to_vec()).write(&mut out);
    out
}

fn busy(id: u64) -> Vec<u8> {
    let mut out = vec![VERSION, 3];
    id.write(&mut out);
    out
}

impl Peer {
    /// Answers one request.
    async fn answer(self, node: &NodeClient, gossip: &Gossip, (peer, id): (Ed25519Key, u64), request: &Value) {
        let send = |message: Vec<u8>| {
            let _gone = gossip.sender.send(&peer, message);
        };
        if self == Self::Busy {
            send(vec![9, 9, 9]);
            return send(busy(id));
        }
        let method = request["method"].as_str().unwrap();
        let called = node.call::<Value>(method, request["params"].clone()).await;
        let answer = match called {
            Ok(mut result) => {
                if self == Self::Lies && method == "freehold_syncState" {
                    flip(&mut result["state_root"], 3);
                }
                json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
            }
            Err(error) => {
                let error = json!({ "code": -32_000, "message": error.to_string() });
                json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })
            }
        };
        let text = answer.to_string();
        if self == Self::Endless && method == "freehold_syncState" {
            for at in 0..200 {
                send(part(id, at, true, &[b' '; PART]));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return;
        }
        let count = text.len().div_ceil(PART);
        for (at, bytes) in text.as_bytes().chunks(PART).enumerate() {
            let counted = u32::try_from(at).unwrap() + u32::from(self == Self::Disordered);
            send(part(id, counted, at + 1 < count, bytes));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a peer on a thread of its own until the sender is dropped.
    fn start(self, genesis: &Genesis, node: NodeClient, newcomer: (Ed25519Key, SocketAddr)) -> Running {
        let identity = IdentityKey::generate(&mut StdRng::seed_from_u64(77));
        let (public, address) = (identity.public(), free_address());
        let (_sender, peers) = watch::channel(vec![newcomer]);
        let channel = |message_bytes_max, quota_per_s| GossipChannel { message_bytes_max, quota_per_s };
        let settings = Validator {
            identity,
            shares: None,
            genesis: genesis.clone(),
            listen: address,
            peers,
            partition: "hostile".to_owned(),
            start: Start::Genesis,
            timers: Timers::default(),
            reach: Reach::Local,
            gossip: vec![channel(1_024, 16), channel(1_024, 16), channel(1_024, 16), channel(PART + 64, 64)],
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let folder = tempfile::tempdir().unwrap();
        let runtime = engine_runtime::Config::new().with_worker_threads(2).with_storage_directory(folder.path());
        let thread = std::thread::spawn(move || {
            let _folder = folder;
            engine_runtime::Runner::new(runtime).start(|context| async move {
                let mut links = Links::join(&context, &settings).unwrap();
                let mut gossip = links.take_gossip().pop().unwrap();
                let serve = async {
                    while let Some((peer, bytes)) = gossip.receiver.recv().await {
                        assert_eq!(bytes[..2], [VERSION, 1], "only requests come");
                        let mut reader = Reader::new(&bytes[2..]);
                        let id = u64::read(&mut reader).unwrap();
                        let request: Value = serde_json::from_slice(&Blob::read(&mut reader).unwrap().0).unwrap();
                        self.answer(&node, &gossip, (peer, id), &request).await;
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
        });
        Running { public, address, stop, thread }
    }
}

struct Running {
    public: Ed25519Key,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        drop(self.stop);
        tokio::task::spawn_blocking(move || self.thread.join().unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_on_links_are_held_to_the_same_proofs() {
    let (net, user) = grown().await;
    let lost = net.folder.path().join("validator-0");
    let own = freehold_node::read_identity(&lost).unwrap().public();
    for peer in [Peer::Lies, Peer::Endless, Peer::Disordered, Peer::Busy, Peer::Honest] {
        let folder = tempfile::tempdir().unwrap();
        wiped(&lost, folder.path());
        let mut config = newcomer(&net.genesis, folder.path(), Vec::new());
        let running = peer.start(&net.genesis, NodeClient::new(net.endpoint()), (own, config.listen));
        config.peers = vec![(running.public, running.address)];
        let taken = take_all(config).await;
        match (peer, taken) {
            (Peer::Honest, taken) => {
                assert!(taken.unwrap());
                is_whole(&net.genesis, &user, folder.path()).await;
            }
            (Peer::Lies, Err(error)) => assert_eq!(code(&error), Some(11), "{error}"),
            (Peer::Endless, Err(error)) => assert_eq!(code(&error), Some(1), "{error}"),
            (_, Err(MemberError::Sync(SyncError::Away { .. }))) => {}
            (_, Err(error)) => panic!("{peer:?}: {error}"),
            (_, Ok(_)) => panic!("{peer:?} is taken for true"),
        }
        assert!(peer == Peer::Honest || is_empty(folder.path()), "{peer:?} is kept");
        running.stop().await;
    }
    net.network.stop().await;
}
