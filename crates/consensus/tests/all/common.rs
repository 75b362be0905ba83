//! A network of validators for tests, on any runtime: dealt keys, an application that records what it was given, and
//! quick timers.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use commonware_runtime::Clock;
use freehold_consensus::{
    Application, DoubleProposal, FinalizedPayload, GenesisShares, GossipChannel, IdentityKey, MastersPlan,
    NetworkKeyPlan, Peers, Players, ProposalContext, Reach, SeenCertificate, Start, Timers, Validator, ValidatorHandle,
    start, trusted_dealer,
};
use freehold_crypto::{proposal_message, verify_ed25519};
use freehold_primitives::{
    Blob, Body, Certificate, Digest, Ed25519Key, Executed, G1Point, Genesis, Height, KeyCeremony, Membership,
    NetworkKey, Payload, PayloadBody, Term, TermTurn, succession_body,
};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

/// What one validator's application saw.
#[derive(Default)]
pub struct Seen {
    /// Final payloads with seed and certificate, by height.
    pub finals: BTreeMap<Height, FinalizedPayload>,
    /// Heights in the order of delivery, restarts included.
    pub deliveries: Vec<Height>,
    /// Certificates by digest.
    pub certificates: BTreeMap<Digest, Certificate>,
    /// Milliseconds from proposal to finality of own payloads.
    pub latencies: Vec<f64>,
}

/// Behaviour that a test can change while it runs.
#[derive(Default)]
pub struct Knobs {
    /// Never proposes.
    pub silent: AtomicBool,
    /// Refuses everything.
    pub refuses: AtomicBool,
    /// Milliseconds that `propose` waits.
    pub pace_ms: AtomicU64,
    /// Bytes of each payload's one transaction.
    pub bytes: AtomicU64,
    /// What all its payloads name as the next network key, whatever waits.
    pub named: Mutex<Option<NetworkKey>>,
}

/// What all applications of a network agree on.
#[derive(Default)]
pub struct Shared {
    /// Who shall hold the keys after a term; where none is named, its members stay.
    pub players: BTreeMap<Term, Vec<Ed25519Key>>,
    /// Terms from which on another network key is asked for, until one waits.
    pub asked: BTreeSet<Term>,
    /// What terms do about masters of the derivation key, by the first term that does so.
    pub masters: BTreeMap<Term, MastersPlan>,
    /// Proofs of two payloads in one round.
    pub doubles: Vec<DoubleProposal>,
    /// Digests of the payloads that a voter saw signed in a round.
    pub signed: BTreeMap<(Term, u64), BTreeSet<Digest>>,
}

/// An application that records.
pub struct Recorder<E> {
    pub clock: Arc<E>,
    pub seen: Arc<Mutex<Seen>>,
    pub knobs: Arc<Knobs>,
    pub shared: Arc<Mutex<Shared>>,
    pub term_blocks: u64,
}

impl<E> Clone for Recorder<E> {
    fn clone(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            seen: Arc::clone(&self.seen),
            knobs: Arc::clone(&self.knobs),
            shared: Arc::clone(&self.shared),
            term_blocks: self.term_blocks,
        }
    }
}

impl<E: Clock> Recorder<E> {
    fn now_ms(&self) -> u64 {
        self.clock.current().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
    }
}

impl<E: Clock> Application for Recorder<E> {
    async fn propose(&self, context: ProposalContext) -> Option<Payload> {
        if self.knobs.silent.load(Ordering::Relaxed) {
            return None;
        }
        let pace = self.knobs.pace_ms.load(Ordering::Relaxed);
        if pace > 0 {
            self.clock.sleep(Duration::from_millis(pace)).await;
        }
        // A payload is "executed" here when it is final; its block hash is its digest.
        let executed = {
            let seen = self.seen.lock().unwrap();
            let last = seen.finals.last_key_value();
            last.map(|(height, last)| Executed { height: *height, block_hash: last.digest })
        };
        let executed = executed
            .filter(|executed| executed.height >= context.parent.executed.height && executed.height < context.height())
            .unwrap_or(context.parent.executed);
        let bytes = usize::try_from(self.knobs.bytes.load(Ordering::Relaxed)).unwrap();
        let transactions = if context.lags(&executed) || bytes == 0 { vec![] } else { vec![Blob(vec![7; bytes])] };
        let statements = context.statements.iter().cloned().map(Blob).collect();
        let body = PayloadBody { transactions, statements, turn: context.turn.clone() };
        let mut payload = context.payload(self.now_ms(), executed, &body);
        if let Some(key) = *self.knobs.named.lock().unwrap() {
            payload.body = Blob(succession_body(&key));
            payload.head.body = freehold_crypto::body_digest(&payload.body.0);
        }
        Some(payload)
    }

    fn statements(&self, payload: &Payload) -> Vec<Vec<u8>> {
        body(payload).statements.into_iter().map(|statement| statement.0).collect()
    }

    async fn verify(&self, context: ProposalContext, payload: Payload) -> bool {
        let head = &payload.head;
        let digest = freehold_crypto::payload_digest(head);
        self.shared.lock().unwrap().signed.entry((head.term, head.view)).or_default().insert(digest);
        let body = body(&payload);
        let lags = context.lags(&head.executed) && !body.transactions.is_empty();
        !self.knobs.refuses.load(Ordering::Relaxed) && body.turn == context.turn && !lags
    }

    async fn finalized(&self, payload: FinalizedPayload) {
        let now_ms = self.now_ms();
        let mut seen = self.seen.lock().unwrap();
        let height = payload.payload.head.height;
        seen.deliveries.push(height);
        if let Some(before) = seen.finals.get(&height) {
            assert_eq!(before.digest, payload.digest, "height {height} came again with another payload");
            return;
        }
        #[allow(clippy::cast_precision_loss)]
        seen.latencies.push(now_ms.saturating_sub(payload.payload.head.timestamp_ms) as f64);
        seen.finals.insert(height, payload);
    }

    async fn players(&self, term: Term) -> Option<Players> {
        // As long as the first payload of the term is not executed, nobody knows.
        while self.seen.lock().unwrap().finals.last_key_value().is_none_or(|(last, _)| *last < term * self.term_blocks)
        {
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        let shared = self.shared.lock().unwrap();
        let asked = shared.asked.contains(&term);
        let network_key = if asked { NetworkKeyPlan::Succeeds } else { NetworkKeyPlan::Stays };
        // None that can hold keys stand for the members.
        let players = shared.players.get(&term).cloned().unwrap_or_default();
        let mut masters = shared.masters.range(..=term).next_back().map(|(_, plan)| plan.clone()).unwrap_or_default();
        // As the ledger does: one that the turn to this term has is made already, and goes on.
        let first = self.seen.lock().unwrap().finals.get(&(term * self.term_blocks)).cloned();
        if let Some(made) = masters.made
            && first
                .and_then(|first| body(&first.payload).turn)
                .is_some_and(|turn| turn.masters.iter().any(|master| master.generation == made))
        {
            masters = MastersPlan { reshared: [masters.reshared, vec![made]].concat(), made: None };
        }
        Some(Players { players, network_key, masters })
    }

    fn double_proposal(&self, found: DoubleProposal) {
        self.shared.lock().unwrap().doubles.push(found);
    }

    async fn certificate(&self, seen: SeenCertificate) {
        let digest = seen.certificate.payload;
        self.seen.lock().unwrap().certificates.insert(digest, seen.certificate);
    }
}

/// What a payload carries.
pub fn body(payload: &Payload) -> PayloadBody {
    Body::read(&payload.body.0).unwrap().ordinary()
}

/// Timers for tests: a third of the real ones.
pub fn quick_timers() -> Timers {
    Timers {
        leader: Duration::from_millis(400),
        certification: Duration::from_millis(800),
        retry: Duration::from_millis(800),
        skip: Duration::from_millis(2_000),
        fetch: Duration::from_millis(500),
        warm_up: Duration::from_millis(1_500),
    }
}

/// Keys, genesis and addresses of a network.
pub struct Net {
    /// All identities, sorted: validators of the genesis, and others.
    pub identities: Vec<IdentityKey>,
    /// Shares of the genesis' keys, for each identity.
    pub shares: Vec<Option<GenesisShares>>,
    pub genesis: Genesis,
    pub addresses: Vec<SocketAddr>,
    /// Who may connect.
    pub peers: watch::Sender<Peers>,
    pub seen: Vec<Arc<Mutex<Seen>>>,
    pub knobs: Vec<Arc<Knobs>>,
    pub shared: Arc<Mutex<Shared>>,
    pub timers: Timers,
}

impl Net {
    /// A network of `count` on the given addresses.
    pub fn new(count: usize, seed: u64, addresses: Vec<SocketAddr>) -> Self {
        Self::among(&(0..count).collect::<Vec<_>>(), seed, addresses)
    }

    /// A network of the given ones among as many identities as addresses.
    pub fn among(members: &[usize], seed: u64, addresses: Vec<SocketAddr>) -> Self {
        let (count, mut rng) = (addresses.len(), StdRng::seed_from_u64(seed));
        let mut identities: Vec<_> = (0..count).map(|_| IdentityKey::generate(&mut rng)).collect();
        identities.sort_by_key(IdentityKey::public);
        let validators: Vec<_> = members.iter().map(|index| identities[*index].public()).collect();
        let dealt = trusted_dealer(&mut rng, &validators).unwrap();
        let genesis = Genesis {
            chain_id: 7,
            purpose: freehold_primitives::Purpose::Development,
            timestamp_ms: 1_000,
            epoch_s: 600,
            lease_s: 600,
            validators,
            consensus_polynomial: dealt.consensus_polynomial,
            derivation_polynomial: dealt.derivation_polynomial,
            key_ceremony: KeyCeremony::TrustedDealer,
            trust_roots: vec![],
            allocations: vec![],
            membership: Membership::default(),
        };
        let mut shares = vec![None; count];
        for (index, (consensus, derivation)) in
            members.iter().zip(dealt.consensus_shares.into_iter().zip(dealt.derivation_shares))
        {
            shares[*index] = Some(GenesisShares { consensus, derivation });
        }
        let all = identities.iter().map(IdentityKey::public).zip(addresses.iter().copied()).collect();
        Self {
            identities,
            shares,
            genesis,
            addresses,
            peers: watch::channel(all).0,
            seen: (0..count).map(|_| Arc::default()).collect(),
            knobs: (0..count).map(|_| Arc::default()).collect(),
            shared: Arc::default(),
            timers: quick_timers(),
        }
    }

    /// Takes the genesis and the shares that founders made.
    pub fn adopt(&mut self, made: &[freehold_consensus::Founded]) {
        self.genesis = made[0].genesis.clone();
        let shares = |made: &freehold_consensus::Founded| {
            Some(GenesisShares { consensus: made.consensus.clone(), derivation: made.derivation.clone() })
        };
        self.shares = made.iter().map(shares).collect();
    }

    /// Keys of the given ones.
    pub fn keys(&self, who: &[usize]) -> Vec<Ed25519Key> {
        who.iter().map(|index| self.identities[*index].public()).collect()
    }

    /// Says who shall hold the keys after a term.
    pub fn set_players(&self, term: Term, who: &[usize]) {
        let players = self.keys(who);
        self.shared.lock().unwrap().players.insert(term, players);
    }

    /// Gives a validator another address: the simulated network never frees one.
    pub fn readdress(&mut self, index: usize) {
        let port = self.addresses[index].port() + 100;
        self.addresses[index].set_port(port);
        let (key, address) = (self.identities[index].public(), self.addresses[index]);
        self.peers.send_modify(|peers| {
            for entry in peers.iter_mut().filter(|(peer, _)| *peer == key) {
                entry.1 = address;
            }
        });
    }

    /// A network on free ports of the loopback.
    pub fn loopback(count: usize, seed: u64) -> Self {
        let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        Self::new(count, seed, addresses)
    }

    /// Settings of validator `index`.
    pub fn validator(&self, index: usize) -> Validator {
        Validator {
            identity: self.identities[index].clone(),
            shares: self.shares[index].clone(),
            genesis: self.genesis.clone(),
            listen: self.addresses[index],
            peers: self.peers.subscribe(),
            partition: format!("validator-{index}"),
            start: Start::Genesis,
            timers: self.timers,
            reach: Reach::Local,
            gossip: vec![GossipChannel { message_bytes_max: 1_024, quota_per_s: 128 }; 2],
        }
    }

    /// Starts validator `index` under `context`.
    pub async fn start<E: freehold_consensus::Runtime>(&self, context: &E, index: usize) -> ValidatorHandle {
        self.start_with(context, index, self.validator(index)).await
    }

    /// Starts validator `index` under `context` with other settings.
    pub async fn start_with<E: freehold_consensus::Runtime>(
        &self,
        context: &E,
        index: usize,
        settings: Validator,
    ) -> ValidatorHandle {
        let application = Recorder {
            clock: Arc::new(context.child("clock")),
            seen: Arc::clone(&self.seen[index]),
            knobs: Arc::clone(&self.knobs[index]),
            shared: Arc::clone(&self.shared),
            term_blocks: self.genesis.membership.term_blocks,
        };
        let context = context.child("node").with_attribute("index", index);
        start(context, settings, application).await.unwrap()
    }

    /// Heights that validator `index` has.
    pub fn height(&self, index: usize) -> Height {
        self.seen[index].lock().unwrap().finals.last_key_value().map_or(0, |(height, _)| *height)
    }

    /// Waits until each of `who` has `height`, at most `limit`.
    pub async fn reach(&self, clock: &impl Clock, who: &[usize], height: Height, limit: Duration) {
        let deadline = clock.current() + limit;
        while who.iter().any(|index| self.height(*index) < height) {
            let heights: Vec<_> = who.iter().map(|index| self.height(*index)).collect();
            assert!(clock.current() < deadline, "validators stand at {heights:?} and not at {height}");
            clock.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Checks the order of all: no gap, no two payloads at a height, a chain of parents, seeds that fit, turns and
    /// signatures where they belong. A validator may have begun later than with the genesis.
    pub fn check_order(&self) {
        let mut chain: BTreeMap<Height, Digest> = BTreeMap::new();
        let mut seeds: BTreeMap<Height, G1Point> = BTreeMap::new();
        for seen in &self.seen {
            let seen = seen.lock().unwrap();
            let first = seen.finals.keys().next().copied().unwrap_or(1);
            assert!(seen.finals.keys().copied().eq(first..first + seen.finals.len() as u64), "a height is missing");
            for (height, last) in &seen.finals {
                assert_eq!(*chain.entry(*height).or_insert(last.digest), last.digest, "two payloads at {height}");
                if let Some(seed) = last.seed {
                    assert_eq!(*seeds.entry(*height).or_insert(seed), seed, "two seeds at {height}");
                }
            }
        }
        for seen in &self.seen {
            for (height, last) in &seen.lock().unwrap().finals {
                let head = &last.payload.head;
                if *height == 1 {
                    assert_eq!(head.parent_seed, None);
                    continue;
                }
                if let Some(parent) = chain.get(&(height - 1)) {
                    assert_eq!(head.parent, *parent);
                }
                assert!(head.parent_seed.is_some());
                if let Some(seed) = seeds.get(&(height - 1)) {
                    assert_eq!(head.parent_seed, Some(*seed));
                }
            }
        }
        self.check_turns();
    }

    /// The turns of all terms, by term.
    pub fn turns(&self) -> BTreeMap<Term, TermTurn> {
        let mut turns = BTreeMap::new();
        for seen in &self.seen {
            for last in seen.lock().unwrap().finals.values() {
                if let Some(turn) = body(&last.payload).turn {
                    turns.insert(turn.term, turn);
                }
            }
        }
        turns
    }

    /// Exactly the first payload of each term but the first carries its turn, and each payload is signed by its proposer.
    fn check_turns(&self) {
        let (length, turns) = (self.genesis.membership.term_blocks, self.turns());
        for seen in &self.seen {
            for (height, last) in &seen.lock().unwrap().finals {
                let (head, turn) = (&last.payload.head, body(&last.payload).turn);
                let first = length > 0 && height % length == 0;
                assert_eq!(turn.is_some(), first, "turn at {height}");
                assert_eq!(head.term, height.checked_div(length).unwrap_or(0));
                let members = match head.term {
                    0 => Some(&self.genesis.validators),
                    term => turns.get(&term).map(|turn| &turn.members),
                };
                if let Some(members) = members {
                    let proposer = &members[head.proposer as usize];
                    let message = proposal_message(&last.digest);
                    verify_ed25519(proposer, &message, &last.payload.signature.0).unwrap();
                }
            }
        }
    }

    /// No two payloads were signed for one round.
    pub fn check_signed_once(&self) {
        for (round, digests) in &self.shared.lock().unwrap().signed {
            assert_eq!(digests.len(), 1, "two payloads signed in {round:?}");
        }
        assert!(self.shared.lock().unwrap().doubles.is_empty());
    }
}

/// The value below which half of the samples lie.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
