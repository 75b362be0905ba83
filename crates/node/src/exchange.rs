//! How validators ask each other for what catching up takes (`spec/sync.md` §6): the JSON-RPC of `spec/sync.md`, over their
//! authenticated links instead of HTTP, so that one that lost its disk needs nobody's address but its peers'.
//!
//! A request is one message, an answer a row of parts. Nothing here is believed: whoever asks checks answers as any source's.
//! Bounds: one request of a peer at a time, a few methods that read public data, parts and whole answers by length, and a
//! peer that says nothing for a while is given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use freehold_consensus::{Gossip, GossipChannel, GossipReceiver, GossipSender};
use freehold_primitives::{Blob, Canonical, CodecError, Ed25519Key, Reader};
use freehold_rpc::{Carrier, Endpoint, HttpError, NodeClient};
use jsonrpsee::Methods;
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::debug;

/// Bytes of an answer in one message.
const PART_BYTES_MAX: usize = 256 * 1024;
/// Channel of requests and answers.
pub(crate) const CATCH_UP: GossipChannel = GossipChannel { message_bytes_max: PART_BYTES_MAX + 64, quota_per_s: 64 };
/// What peers may ask for.
const METHODS: [&str; 9] = [
    "eth_getBlockByNumber",
    "freehold_getContent",
    "freehold_getFinality",
    "freehold_getHeaders",
    "freehold_successions",
    "freehold_syncBlocks",
    "freehold_syncContent",
    "freehold_syncOperations",
    "freehold_syncState",
];
/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 1_024;
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 40 * 1024 * 1024;
/// Longest silence of a peer that was asked.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Pause before each part: 32 a second, and as many requests of this node's own at most, stay within the channel's quota.
const PART_PAUSE: Duration = Duration::from_millis(32);
/// Parts that wait to be put together.
const PARTS_WAITING_MAX: usize = 64;

/// A message of the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A JSON-RPC request.
    Ask { id: u64, request: Blob },
    /// A part of the answer, counted from 0; whether more follow.
    Part { id: u64, at: u32, more: bool, bytes: Blob },
    /// Not now.
    Busy { id: u64 },
}

impl Canonical for Message {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ask { id, request } => {
                out.push(1);
                id.write(out);
                request.write(out);
            }
            Self::Part { id, at, more, bytes } => {
                out.push(2);
                id.write(out);
                at.write(out);
                out.push(u8::from(*more));
                bytes.write(out);
            }
            Self::Busy { id } => {
                out.push(3);
                id.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            1 => Ok(Self::Ask { id: Canonical::read(reader)?, request: Canonical::read(reader)? }),
            2 => {
                let (id, at) = (Canonical::read(reader)?, Canonical::read(reader)?);
                let more = match u8::read(reader)? {
                    0 => false,
                    1 => true,
                    other => return Err(CodecError::Tag(other)),
                };
                Ok(Self::Part { id, at, more, bytes: Canonical::read(reader)? })
            }
            3 => Ok(Self::Busy { id: Canonical::read(reader)? }),
            other => Err(CodecError::Tag(other)),
        }
    }
}

/// A part as whoever waits for it takes it.
type Part = (u32, bool, Vec<u8>);

/// Both sides of the channel; clones share it.
#[derive(Clone)]
pub(crate) struct PeerExchange(Arc<Inner>);

struct Inner {
    sender: GossipSender,
    next: AtomicU64,
    /// Who waits for which peer's answer.
    waiting: Mutex<BTreeMap<(Ed25519Key, u64), mpsc::Sender<Part>>>,
    /// What is answered, once there is something.
    methods: OnceLock<Methods>,
    /// Peers that are being answered.
    served: Mutex<BTreeSet<Ed25519Key>>,
}

impl PeerExchange {
    /// Begins to listen; it answers once it [serves](Self::serve).
    pub(crate) fn start(gossip: Gossip) -> Self {
        let this = Self(Arc::new(Inner {
            sender: gossip.sender,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            methods: OnceLock::new(),
            served: Mutex::default(),
        }));
        tokio::spawn(this.clone().listen(gossip.receiver));
        this
    }

    /// Answers from now on, by the node's own methods.
    pub(crate) fn serve(&self, methods: Methods) {
        let _before = self.0.methods.set(methods);
    }

    /// A client of a peer, named by the address at which it is reached.
    pub(crate) fn client(&self, peer: Ed25519Key, name: Endpoint) -> NodeClient {
        let carrier = PeerCarrier { exchange: self.clone(), peer, name: name.clone(), turn: Default::default() };
        NodeClient::carried(name, Arc::new(carrier))
    }

    async fn listen(self, mut receiver: GossipReceiver) {
        while let Some((peer, bytes)) = receiver.recv().await {
            match Message::from_canonical(&bytes) {
                Ok(Message::Ask { id, request }) => self.asked(peer, id, request),
                Ok(Message::Part { id, at, more, bytes }) => {
                    // What nobody waits for, or does not take in time, is dropped.
                    if let Some(waiting) = self.waiting().get(&(peer, id)) {
                        let _dropped = waiting.try_send((at, more, bytes.0));
                    }
                }
                Ok(Message::Busy { id }) => drop(self.waiting().remove(&(peer, id))),
                Err(error) => debug!(%peer, %error, "message about catching up of no known form dropped"),
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(Ed25519Key, u64), mpsc::Sender<Part>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn served(&self) -> MutexGuard<'_, BTreeSet<Ed25519Key>> {
        self.0.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, peer: &Ed25519Key, message: &Message) {
        let _dropped = self.0.sender.send(peer, message.to_canonical());
    }

    fn asked(&self, peer: Ed25519Key, id: u64, request: Blob) {
        let methods = self.0.methods.get().filter(|_| is_served(&request.0)).cloned();
        let Some(methods) = methods.filter(|_| self.served().insert(peer)) else {
            return self.say(&peer, &Message::Busy { id });
        };
        let turn = Turn(self.clone(), peer);
        tokio::spawn(async move { turn.answer(id, &methods, &request.0).await });
    }
}

/// A peer's turn to be answered; it ends when this is dropped.
struct Turn(PeerExchange, Ed25519Key);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.served().remove(&self.1);
    }
}

impl Turn {
    async fn answer(self, id: u64, methods: &Methods, request: &[u8]) {
        let (exchange, peer) = (self.0.clone(), self.1);
        let mut turn = Some(self);
        let request = std::str::from_utf8(request).unwrap_or_default();
        let Ok((answer, _)) = methods.raw_json_request(request, 1).await else {
            drop(turn);
            return exchange.say(&peer, &Message::Busy { id });
        };
        let answer = answer.get().as_bytes();
        let parts = answer.len().div_ceil(PART_BYTES_MAX);
        for (at, bytes) in (0_u32..).zip(answer.chunks(PART_BYTES_MAX)) {
            sleep(PART_PAUSE).await;
            let more = (at as usize) + 1 < parts;
            // Whoever has the whole answer may ask again at once.
            turn = turn.filter(|_| more);
            exchange.say(&peer, &Message::Part { id, at, more, bytes: Blob(bytes.to_vec()) });
        }
    }
}

/// Whether a request is short and for one of the methods.
fn is_served(request: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Asked {
        method: String,
    }
    request.len() <= REQUEST_BYTES_MAX
        && serde_json::from_slice::<Asked>(request).is_ok_and(|asked| METHODS.contains(&asked.method.as_str()))
}

/// Brings requests to one peer.
struct PeerCarrier {
    exchange: PeerExchange,
    peer: Ed25519Key,
    name: Endpoint,
    /// A peer answers one request at a time.
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for PeerCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCarrier").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// An answer that is awaited; gone when nobody waits any more.
struct Awaited<'a>(&'a PeerExchange, (Ed25519Key, u64));

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}

impl PeerCarrier {
    async fn ask(&self, request: String) -> Result<Vec<u8>, HttpError> {
        let _turn = self.turn.lock().await;
        let id = self.exchange.0.next.fetch_add(1, Ordering::Relaxed);
        let (sender, mut parts) = mpsc::channel(PARTS_WAITING_MAX);
        let _awaited = Awaited(&self.exchange, (self.peer, id));
        self.exchange.waiting().insert((self.peer, id), sender);
        self.exchange.say(&self.peer, &Message::Ask { id, request: Blob(request.into_bytes()) });
        let silent = || HttpError::Timeout { endpoint: self.name.clone(), what: "answer", limit: SILENCE_MAX };
        let (mut answer, mut next) = (Vec::new(), 0);
        loop {
            let (at, more, bytes) = timeout(SILENCE_MAX, parts.recv()).await.ok().flatten().ok_or_else(silent)?;
            if at != next || bytes.len() > PART_BYTES_MAX {
                return Err(silent());
            }
            next += 1;
            answer.extend_from_slice(&bytes);
            if answer.len() > ANSWER_BYTES_MAX {
                return Err(HttpError::TooLarge { endpoint: self.name.clone(), bound: ANSWER_BYTES_MAX });
            }
            if !more {
                return Ok(answer);
            }
        }
    }
}

impl Carrier for PeerCarrier {
    fn carry(&self, request: String) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, HttpError>> + Send + '_>> {
        Box::pin(self.ask(request))
    }
}
