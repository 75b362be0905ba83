//! The authenticated, encrypted network between validators: whom to reach, which channels, how large.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex,
};
use commonware_cryptography::{ChaCha20Poly1305, ed25519, sha256};
use commonware_p2p::{
    Address, AddressableManager as _, CheckedSender as _, LimitedSender as _, Recipients, authenticated::lookup,
    max_message_size, utils::mux,
};
use commonware_runtime::Quota;
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize, ordered::Map};
use freehold_primitives::Ed25519Key;
use tracing::warn;

use crate::{
    block::Block,
    check::Scheme,
    config::{PEERS_ROOM_MIN, Reach, Timers, Validator, engine_quota},
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
/// First gossip channel; the engine's own stand below.
const GOSSIP_CHANNEL_FIRST: u64 = 16;
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

/// Makes the network of an endpoint; it runs once it is started.
pub(crate) fn join<E: Runtime>(context: &E, endpoint: &Endpoint<'_>, namespace: &[u8]) -> (Joined<E>, Oracle) {
    let (network, mut oracle) = lookup::Network::new(context.child("network"), settings(endpoint, namespace));
    oracle.track(0, peer_set(endpoint));
    (network, oracle)
}

/// Peers for which a validator has room: every channel's mailbox holds as many messages of each from the start.
fn room(config: &Validator) -> usize {
    let told = config.peers.borrow().len();
    1 + if config.term_blocks().is_some() { PEERS_ROOM_MIN.max(2 * told) } else { told }
}

/// Takes every new set of peers: connections to those that it leaves out end, those that it names may connect.
async fn follow_peers(config: Validator, room: usize, mut oracle: Oracle) {
    let (mut peers, mut index) = (config.peers.clone(), 0);
    while peers.changed().await.is_ok() {
        let told = peers.borrow_and_update().clone();
        if told.len() >= room {
            warn!(told = told.len(), room, "more peers than there is room for; a restart makes room");
        }
        index += 1;
        oracle.track(index, peer_set(&endpoint(&config, &told, room)));
    }
}

const fn endpoint<'a>(config: &'a Validator, peers: &'a [(Ed25519Key, SocketAddr)], room: usize) -> Endpoint<'a> {
    Endpoint {
        identity: &config.identity,
        listen: config.listen,
        peers,
        room,
        reach: config.reach,
        message_bytes_max: 0,
    }
}

/// Starts the network of a checked configuration.
pub(crate) fn open<E: Runtime>(context: &E, config: &Validator, namespace: &[u8], pumps: Vec<Pump>) -> Channels<E> {
    let peers = config.peers.borrow().clone();
    let room = room(config);
    let endpoint = Endpoint { message_bytes_max: message_bytes_max(config), ..endpoint(config, &peers, room) };
    let (mut network, oracle) = join(context, &endpoint, namespace);
    if config.term_blocks().is_some() {
        let following = follow_peers(config.clone(), room, oracle.clone());
        context.child("peers").spawn(|_| following);
    }
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
    if endpoint.reach == Reach::Local {
        settings.bypass_ip_check = true;
        settings.peer_connection_cooldown = Duration::from_millis(50);
        settings.allowed_handshake_rate_per_ip = Quota::per_second(NZU32!(256));
        settings.allowed_handshake_rate_per_subnet = Quota::per_second(NZU32!(512));
        settings.dial_frequency = Duration::from_millis(50);
    }
    settings
}

/// The peers of an endpoint that have room, itself among them.
fn peer_set(endpoint: &Endpoint<'_>) -> Map<ed25519::PublicKey, Address> {
    let own = (endpoint.identity.public(), endpoint.listen);
    let others = endpoint.peers.iter().copied().filter(|(key, _)| *key != own.0);
    Map::from_iter_dedup(
        [own]
            .into_iter()
            .chain(others)
            .take(endpoint.room)
            .filter_map(|(key, address)| Some((engine_key(&key)?, Address::from(address)))),
    )
}
