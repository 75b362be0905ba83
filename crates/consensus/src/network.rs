//! The authenticated, encrypted network between validators: whom to reach, which channels, how large.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex,
};
use commonware_cryptography::{ChaCha20Poly1305, Signer as _, ed25519, sha256};
use commonware_p2p::{
    AddressableManager as _, CheckedSender as _, LimitedSender as _, Recipients, authenticated::lookup,
    max_message_size, utils::mux,
};
use commonware_runtime::Quota;
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize};
use freehold_primitives::Ed25519Key;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    block::Block,
    check::Scheme,
    config::{PEERS_ROOM_MIN, Peers, Reach, Timers, Validator, engine_quota},
    dialing::{self, Dialing},
    gossip::Pump,
    keys::{IdentityKey, VALIDATORS_MAX, engine_key},
    runtime::Runtime,
};

/// Greatest difference between two validators' clocks at a handshake.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(5);
/// Longest handshake.
const HANDSHAKE_AGE_MAX: Duration = Duration::from_secs(10);
/// Messages in the mailboxes inside the network.
const MAILBOX: NonZeroUsize = NZUsize!(1_024);
/// Channel of dealings, acknowledgements and statements of resharing.
const RESHARING_CHANNEL: u64 = 8;
/// Messages a second that a peer may send on it.
const RESHARING_QUOTA_PER_S: u32 = 256;
/// A channel on which nobody says anything: its sender knows who is connected, and no quota of it is ever used up.
const PRESENCE_CHANNEL: u64 = 9;
/// Looks at it in a second.
const PRESENCE_QUOTA_PER_S: u32 = 8;
/// First gossip channel; the engine's own stand below.
const GOSSIP_CHANNEL_FIRST: u64 = 16;
/// Longest dial on this machine or in a private network: as long as a dial hangs the peer's own dial is refused.
const LOCAL_DIAL_MAX: Duration = Duration::from_secs(2);
/// How often the start looks whether peers have come.
const WARM_UP_STEP: Duration = Duration::from_millis(10);
/// How long a connected quorum waits for the rest.
const STRAGGLER_WAIT: Duration = Duration::from_millis(500);

pub(crate) type Handshake = Cups<Sake<ed25519::PrivateKey>, ChaCha20Poly1305>;
/// Peers and their standing.
pub(crate) type Oracle = lookup::Oracle<ed25519::PublicKey>;
/// Both ends of a channel.
pub(crate) type Channel<E> = (lookup::Sender<ed25519::PublicKey, E>, lookup::Receiver<ed25519::PublicKey>);

/// The engine's channels on the running network.
pub(crate) struct Channels<E: Runtime> {
    pub(crate) votes: Channel<E>,
    pub(crate) certificates: Channel<E>,
    pub(crate) rounds: Channel<E>,
    pub(crate) backfill: Channel<E>,
    pub(crate) blocks: Channel<E>,
    pub(crate) resharing: Channel<E>,
    pub(crate) oracle: Oracle,
    pub(crate) task: commonware_runtime::Handle<()>,
}

/// A member's place on a network of members.
pub(crate) struct Endpoint<'a> {
    pub(crate) identity: &'a IdentityKey,
    pub(crate) listen: SocketAddr,
    /// Who may connect; its own entry may stand among them.
    pub(crate) peers: &'a [(Ed25519Key, SocketAddr)],
    /// Most peers at a time, itself included.
    pub(crate) room: usize,
    pub(crate) reach: Reach,
    pub(crate) message_bytes_max: u32,
}

/// A network of members that takes channels until it is started.
pub(crate) type Joined<E> = lookup::Network<E, Handshake>;

/// Makes the network of an endpoint; it runs once it is started. Every new value of `changes` is its peers from then on.
pub(crate) fn join<E: Runtime>(
    context: &E,
    endpoint: &Endpoint<'_>,
    namespace: &[u8],
    changes: Option<watch::Receiver<Peers>>,
) -> (Joined<E>, Oracle) {
    let (mut network, mut oracle) = lookup::Network::new(context.child("network"), settings(endpoint, namespace));
    let own = (endpoint.identity.public(), endpoint.listen);
    let dialing = Dialing::new(endpoint.identity.engine().public_key(), with_room(own, endpoint.peers, endpoint.room));
    oracle.track(0, dialing.addresses());
    let quota = Quota::per_second(NZU32!(PRESENCE_QUOTA_PER_S));
    let (presence, _silent) = network.register(PRESENCE_CHANNEL, quota);
    let connecting = Connecting { dialing, own, room: endpoint.room, oracle: oracle.clone(), changes };
    context.child("connecting").spawn(|context| connecting.run(context, presence));
    (network, oracle)
}

/// Keeps the network told of whom to dial.
struct Connecting {
    dialing: Dialing,
    own: (Ed25519Key, SocketAddr),
    room: usize,
    oracle: Oracle,
    changes: Option<watch::Receiver<Peers>>,
}

impl Connecting {
    async fn run<E: Runtime>(mut self, context: E, mut presence: lookup::Sender<ed25519::PublicKey, E>) {
        let mut index = 0;
        let mut next_step = context.current() + dialing::STEP;
        loop {
            tokio::select! {
                biased;
                told = next_peers(&mut self.changes) => {
                    if told.len() >= self.room {
                        warn!(told = told.len(), room = self.room, "more peers than there is room for; a restart makes room");
                    }
                    index += 1;
                    // Connections to those that are left out end, those that are named may connect.
                    self.dialing.set(with_room(self.own, &told, self.room));
                    self.oracle.track(index, self.dialing.addresses());
                }
                () = context.sleep_until(next_step) => {
                    next_step = context.current() + dialing::STEP;
                    let Ok(checked) = presence.check(Recipients::All) else { continue };
                    let turned = self.dialing.step(&checked.recipients());
                    if !turned.is_empty() {
                        self.oracle.overwrite(turned);
                    }
                }
            }
        }
    }
}

/// The next set of peers; never, where none comes any more.
async fn next_peers(changes: &mut Option<watch::Receiver<Peers>>) -> Peers {
    if let Some(peers) = changes
        && peers.changed().await.is_ok()
    {
        return peers.borrow_and_update().clone();
    }
    *changes = None;
    std::future::pending().await
}

/// The peers that have room, the endpoint itself first.
fn with_room(
    own: (Ed25519Key, SocketAddr),
    peers: &[(Ed25519Key, SocketAddr)],
    room: usize,
) -> impl Iterator<Item = (ed25519::PublicKey, SocketAddr)> {
    let others = peers.iter().copied().filter(move |(key, _)| *key != own.0);
    [own].into_iter().chain(others).take(room).filter_map(|(key, address)| Some((engine_key(&key)?, address)))
}

/// Peers for which a validator has room: every channel's mailbox holds as many messages of each from the start.
fn room(config: &Validator) -> usize {
    let told = config.peers.borrow().len();
    1 + if config.term_blocks().is_some() { PEERS_ROOM_MIN.max(2 * told) } else { told }
}

/// Starts the network of a checked configuration.
pub(crate) fn open<E: Runtime>(context: &E, config: &Validator, namespace: &[u8], pumps: Vec<Pump>) -> Channels<E> {
    let peers = config.peers.borrow().clone();
    let room = room(config);
    let endpoint = Endpoint {
        identity: &config.identity,
        listen: config.listen,
        peers: &peers,
        room,
        reach: config.reach,
        message_bytes_max: message_bytes_max(config),
    };
    let changes = config.term_blocks().map(|_| config.peers.clone());
    let (mut network, oracle) = join(context, &endpoint, namespace, changes);
    let mut next = 0..;
    let mut register = || network.register(next.next().unwrap_or_default(), engine_quota());
    let (votes, certificates, rounds) = (register(), register(), register());
    let (backfill, blocks) = (register(), register());
    let resharing = network.register(RESHARING_CHANNEL, Quota::per_second(NZU32!(RESHARING_QUOTA_PER_S)));
    for ((index, pump), settings) in (0..).zip(pumps).zip(&config.gossip) {
        let quota = Quota::per_second(settings.quota_per_s.try_into().unwrap_or(NZU32!(1)));
        let (sender, receiver) = network.register(GOSSIP_CHANNEL_FIRST + index, quota);
        context.child("gossip").with_attribute("channel", index).spawn(|_| pump.run(sender, receiver));
    }
    let task = network.start();
    Channels { votes, certificates, rounds, backfill, blocks, resharing, oracle, task }
}

/// Waits until all `others` are connected, or a quorum is and a moment has passed, or the warm-up is over: a vote sent to
/// nobody costs a timeout.
pub(crate) async fn warm_up<E: Runtime>(context: &E, (timers, others): (Timers, usize), channel: &Channel<E>) {
    let quorum = others - others / 3;
    let start = context.current();
    let mut quorum_at = None;
    let mut sender = channel.0.clone();
    loop {
        let now = context.current();
        let connected = sender.check(Recipients::All).map_or(others, |checked| checked.recipients().len());
        if connected >= quorum {
            quorum_at.get_or_insert(now);
        }
        let settled = quorum_at.is_some_and(|at| now >= at + STRAGGLER_WAIT);
        if connected >= others || settled || now >= start + timers.warm_up {
            return;
        }
        context.sleep(WARM_UP_STEP).await;
    }
}

/// The largest message of any channel.
fn message_bytes_max(config: &Validator) -> u32 {
    let members = u32::try_from(VALIDATORS_MAX).expect("a named bound far below 2^32");
    let blocks = marshal::max_payload_size::<Standard<Block>, Scheme>(members, &());
    // Votes travel with the number of their term before them.
    let votes = mux::prefixed(simplex::max_payload_size::<Scheme, sha256::Digest>(members));
    let gossip = config.gossip.iter().map(|channel| channel.message_bytes_max).max().unwrap_or(0);
    max_message_size(&[blocks, votes, gossip])
}

fn settings(endpoint: &Endpoint<'_>, namespace: &[u8]) -> lookup::Config<Handshake> {
    let handshake = Cups::new(
        Sake {
            signer: endpoint.identity.engine().clone(),
            synchrony_bound: CLOCK_DIFFERENCE_MAX,
            max_handshake_age: HANDSHAKE_AGE_MAX,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let peers = NonZeroUsize::MIN.saturating_add(endpoint.room.saturating_sub(1));
    let bytes = endpoint.message_bytes_max;
    let namespace = [namespace, b" p2p"].concat();
    let mut settings = match endpoint.reach {
        Reach::Public => lookup::Config::recommended(handshake, &namespace, endpoint.listen, peers, bytes, MAILBOX),
        Reach::Local => lookup::Config::local(handshake, &namespace, endpoint.listen, peers, bytes, MAILBOX),
    };
    // Every channel's mailbox holds peers × sets × quota places from the start; one set is tracked.
    settings.tracked_peer_sets = NonZeroUsize::MIN;
    // A name stands for an address that is not dialed (`dialing`).
    settings.allow_dns = false;
    if endpoint.reach == Reach::Local {
        settings.bypass_ip_check = true;
        settings.peer_connection_cooldown = Duration::from_millis(50);
        settings.allowed_handshake_rate_per_ip = Quota::per_second(NZU32!(256));
        settings.allowed_handshake_rate_per_subnet = Quota::per_second(NZU32!(512));
        settings.dial_frequency = Duration::from_millis(50);
        settings.dial_timeout = LOCAL_DIAL_MAX;
    }
    settings
}
