//! The machines of a network: keys and genesis from the seed, validators that start, crash and come back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use alloy_primitives::U256;
use commonware_runtime::{Clock as _, Handle, Spawner as _, Supervisor as _, deterministic};
use freehold_consensus::{
    Dealt, GenesisShares, GossipChannel, GossipSender, IdentityKey, KeyError, Peers, Reach, Start, Tap, TermKeys,
    Timers, Validator, ValidatorHandle, trusted_dealer,
};
use freehold_crypto::{CertificateError, chain_namespace, genesis_hash};
use freehold_primitives::{Ed25519Key, Genesis, Height, KeyCeremony, Membership, Purpose, Seat, Term};
use futures::FutureExt as _;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

use crate::{
    adversary::Adversary,
    chain::Ground,
    client,
    machine::{Disk, Machine, MachineId, Skew, Wires},
    monitor::{Monitor, Violation},
    node::{Lie, Node, Settings},
    plan::Role,
};

const CHAIN_ID: u64 = 23_293;
/// How long a crash takes to end everything that ran on a machine.
const CRASH_TAKES: Duration = Duration::from_millis(3);

/// Keys and genesis of a network.
pub(crate) struct Keys {
    pub(crate) genesis: Genesis,
    /// Of the genesis' validators, sorted, then of candidates.
    pub(crate) identities: Vec<IdentityKey>,
    pub(crate) dealt: Dealt,
}

impl Keys {
    /// Deals the keys of `size` validators, and makes the identities of candidates.
    ///
    /// # Errors
    /// [`KeyError::Count`].
    pub(crate) fn deal(seed: u64, size: Size, start_ms: u64) -> Result<Self, KeyError> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut identities: Vec<_> = (0..size.validators).map(|_| IdentityKey::generate(&mut rng)).collect();
        identities.sort_by_key(IdentityKey::public);
        let validators: Vec<Ed25519Key> = identities.iter().map(IdentityKey::public).collect();
        let dealt = trusted_dealer(&mut rng, &validators)?;
        identities.extend((0..size.candidates).map(|_| IdentityKey::generate(&mut rng)));
        let bond = U256::from(client::BOND).to_be_bytes();
        let seat = |machine| Seat { account: client::owner(machine), bond, address: address(machine).to_string() };
        let membership = Membership {
            term_blocks: size.term_blocks,
            seats: (0..size.validators).map(seat).collect(),
            bond_min: bond,
            ..Membership::default()
        };
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            purpose: Purpose::Development,
            timestamp_ms: start_ms,
            epoch_s: 600,
            lease_s: 600,
            validators,
            consensus_polynomial: dealt.consensus_polynomial.clone(),
            derivation_polynomial: dealt.derivation_polynomial.clone(),
            key_ceremony: KeyCeremony::TrustedDealer,
            trust_roots: Vec::new(),
            allocations: client::allocations(),
            membership,
        };
        Ok(Self { genesis, identities, dealt })
    }

    /// One who sees the whole network.
    ///
    /// # Errors
    /// [`CertificateError::NetworkKey`].
    pub(crate) fn observer(&self) -> Result<Monitor, CertificateError> {
        let namespace = chain_namespace(self.genesis.chain_id, &genesis_hash(&self.genesis));
        Monitor::new(self.dealt.network_key, namespace)
    }

    /// A genesis validator's first shares.
    fn shares(&self, validator: usize) -> Option<GenesisShares> {
        let consensus = self.dealt.consensus_shares.get(validator)?.clone();
        Some(GenesisShares { consensus, derivation: self.dealt.derivation_shares.get(validator)?.clone() })
    }

    /// Who may connect, and where: everybody who may ever be a validator.
    pub(crate) fn peers(&self) -> Peers {
        let all = if self.genesis.membership.term_blocks == 0 { self.genesis.validators.len() } else { usize::MAX };
        (0..).zip(&self.identities).take(all).map(|(machine, key)| (key.public(), address(machine))).collect()
    }
}

/// How large a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) validators: u16,
    pub(crate) candidates: u16,
    /// Length of a term; 0 for one without end.
    pub(crate) term_blocks: u64,
}

/// What the machines of a network have in common.
pub(crate) struct Common {
    pub(crate) keys: Keys,
    pub(crate) ground: Arc<Ground>,
    pub(crate) monitor: Monitor,
    pub(crate) wires: Wires,
    pub(crate) timers: Timers,
    /// Milliseconds between a payload and the next, now.
    pub(crate) pace_ms: Arc<AtomicU64>,
    pub(crate) peers: watch::Sender<Peers>,
    pub(crate) start: SystemTime,
}

/// One machine and the validator on it.
pub(crate) struct Host {
    pub(crate) id: MachineId,
    /// Whose keys it has.
    pub(crate) validator: usize,
    pub(crate) role: Role,
    /// Its disk was wiped, and its first shares were on it.
    pub(crate) lost_shares: bool,
    /// Every share that it was seen to hold, and the last term in which it did.
    pub(crate) held: BTreeMap<[u8; 32], Term>,
    pub(crate) skew: Skew,
    pub(crate) disk: Disk,
    pub(crate) running: Option<Running>,
}

/// What runs on a machine.
pub(crate) enum Running {
    Validator(Box<Body>),
    Adversary(Adversary),
}

/// A validator that runs.
pub(crate) struct Body {
    pub(crate) handle: ValidatorHandle,
    pub(crate) node: Node,
    gossip: GossipSender,
    tasks: Vec<Handle<()>>,
}

/// Where a machine listens.
pub(crate) fn address(machine: MachineId) -> SocketAddr {
    let [high, low] = (machine + 1).to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 9_000))
}

impl Common {
    fn settings(&self, host: &Host) -> Validator {
        let Keys { genesis, identities, .. } = &self.keys;
        Validator {
            identity: identities[host.validator].clone(),
            shares: self.keys.shares(host.validator).filter(|_| !host.lost_shares),
            genesis: genesis.clone(),
            listen: address(host.id),
            peers: self.peers.subscribe(),
            partition: "validator".to_owned(),
            start: Start::Genesis,
            timers: self.timers,
            reach: Reach::Local,
            gossip: vec![GossipChannel { message_bytes_max: 128 * 1024, quota_per_s: 128 }],
        }
    }

    fn machine(&self, context: &deterministic::Context, host: &Host) -> Machine {
        let runtime = context.child("machine").with_attribute("id", host.id);
        Machine::new(runtime, (host.id, host.skew), host.disk.clone(), self.wires.clone())
    }

    /// Starts the validator of a machine, where it does not run.
    pub(crate) async fn start(&self, context: &deterministic::Context, host: &mut Host) {
        if host.running.is_some() {
            return;
        }
        let machine = self.machine(context, host);
        let settings = self.settings(host);
        if let Role::Hostile(manner) = host.role {
            match Tap::join(&machine, &settings, &self.keys.dealt.consensus_shares[host.validator]) {
                Ok(tap) => {
                    let seed = u64::from(host.id) << 32 | self.keys.genesis.chain_id;
                    host.running = Some(Running::Adversary(Adversary::start(&machine, tap, (manner, seed))));
                }
                Err(error) => self.ended(host.id, &error),
            }
            return;
        }
        match self.start_validator(&machine, host, settings).await {
            Ok(body) => host.running = Some(Running::Validator(Box::new(body))),
            Err(reason) => self.ended(host.id, &reason),
        }
    }

    async fn start_validator(&self, machine: &Machine, host: &Host, settings: Validator) -> Result<Body, String> {
        let node = Node::open(
            machine.child("application"),
            Settings {
                machine: host.id,
                ground: Arc::clone(&self.ground),
                monitor: self.monitor.clone(),
                lie: host.lie(),
                pace_ms: Arc::clone(&self.pace_ms),
                start: self.start,
            },
        );
        let node = node.await.map_err(|error| error.to_string())?;
        let started = freehold_consensus::start(machine.child("validator"), settings, node.clone()).await;
        let mut handle = started.map_err(|error| error.to_string())?;
        let channel = handle.take_gossip().into_iter().next().ok_or("no channel")?;
        let (listener, history) = (node.clone(), handle.history());
        let listening = machine.child("gossip").spawn(move |_| listener.listen(channel.receiver));
        let (recovering, delivered) = (node.clone(), self.monitor.delivered(host.id));
        let recovering = async move { recovering.recover(history, delivered).await };
        let recovery = machine.child("recovery").spawn(move |_| recovering);
        Ok(Body { handle, node, gossip: channel.sender, tasks: vec![listening, recovery] })
    }

    /// A validator must run until it is stopped; what it holds is noted.
    pub(crate) fn watch(&self, host: &mut Host) {
        let now = host.term_keys().map(|keys| (keys.term, scalars(&keys)));
        if let Some((term, scalars)) = now {
            host.held.extend(scalars.into_iter().map(|scalar| (scalar, term)));
        }
        let Some(Running::Validator(body)) = &mut host.running else { return };
        if let Some(why) = body.handle.ended().now_or_never() {
            self.ended(host.id, &why);
        }
    }

    fn ended(&self, machine: MachineId, why: &impl std::fmt::Display) {
        self.monitor.violated(Violation::Ended { machine, reason: why.to_string() });
    }
}

/// Every share that is in force for a validator, of any key.
pub(crate) fn scalars(keys: &TermKeys) -> Vec<[u8; 32]> {
    let masters = keys.masters.iter().filter_map(|master| master.share.as_ref());
    let successor = keys.successor.as_ref().and_then(|successor| successor.share.as_ref());
    let two = keys.consensus_share.iter().chain(&keys.derivation_share);
    two.chain(masters).chain(successor).map(|share| *share.scalar()).collect()
}

impl Host {
    /// A machine where nothing runs yet, of a validator with a role.
    pub(crate) fn new(id: MachineId, (validator, role): (u16, Role), skew: Skew, disk: Disk) -> Self {
        let validator = validator.into();
        Self { id, validator, role, lost_shares: false, held: BTreeMap::new(), skew, disk, running: None }
    }

    /// How its application breaks the rules.
    pub(crate) const fn lie(&self) -> Option<Lie> {
        if let Role::Lies(lie) = self.role { Some(lie) } else { None }
    }

    fn body(&self) -> Option<&Body> {
        if let Some(Running::Validator(body)) = &self.running { Some(body) } else { None }
    }

    /// Hands a client's transaction to the validator, where it runs.
    pub(crate) fn submit(&self, raw: Vec<u8>) {
        if let Some(body) = self.body() {
            body.node.submit(raw, &body.gossip);
        }
    }

    /// Height of the newest block that the validator executed; 0 where it does not run.
    pub(crate) fn height(&self) -> Height {
        self.body().map_or(0, |body| body.node.height())
    }

    /// What is in force for the validator.
    pub(crate) fn term_keys(&self) -> Option<TermKeys> {
        self.body().map(|body| body.handle.term_keys().borrow().clone())
    }
}

/// Crashes machines, all at one moment: what runs on them ends, and their disks keep what they keep.
pub(crate) async fn crash(context: &deterministic::Context, hosts: impl Iterator<Item = &mut Host>) {
    let (mut stops, mut disks) = (Vec::new(), Vec::new());
    for host in hosts {
        match host.running.take() {
            Some(Running::Validator(body)) => {
                body.tasks.iter().for_each(Handle::abort);
                stops.push(body.handle.stop());
            }
            Some(Running::Adversary(adversary)) => adversary.stop(),
            None => {}
        }
        disks.push(host.disk.clone());
    }
    futures::future::join_all(stops).await;
    context.sleep(CRASH_TAKES).await;
    disks.iter().for_each(Disk::crash);
}
