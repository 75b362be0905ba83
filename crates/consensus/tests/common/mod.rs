//! A network of validators for tests, on any runtime: dealt keys, an application that records what it was given, and
//! quick timers.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroU64,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use commonware_runtime::Clock;
use freehold_consensus::{
    Application, FinalizedPayload, GenesisKeys, GossipChannel, IdentityKey, KeyShare, KeySource as _, ProposalContext,
    Reach, ResharingSettings, SeenCertificate, Timers, Validator, ValidatorHandle, start, trusted_dealer,
};
use freehold_primitives::{
    Blob, Canonical as _, Certificate, Digest, Executed, G1Point, Genesis, Height, KeyCeremony, Membership, Payload,
    PayloadBody,
};
use rand::{SeedableRng as _, rngs::StdRng};

/// First byte of a statement of resharing among the transactions of these payloads.
const STATEMENT_MARK: u8 = 0xfe;

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
}

/// An application that records.
pub struct Recorder<E> {
    pub clock: Arc<E>,
    pub seen: Arc<Mutex<Seen>>,
    pub knobs: Arc<Knobs>,
}

impl<E> Clone for Recorder<E> {
    fn clone(&self) -> Self {
        Self { clock: Arc::clone(&self.clock), seen: Arc::clone(&self.seen), knobs: Arc::clone(&self.knobs) }
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
        let lags = context.height() - executed.height > freehold_primitives::EXECUTED_LAG_MAX;
        let bytes = usize::try_from(self.knobs.bytes.load(Ordering::Relaxed)).unwrap();
        let mut transactions = if lags || bytes == 0 { vec![] } else { vec![Blob(vec![7; bytes])] };
        if !lags {
            let marked = |statement: &Vec<u8>| Blob([&[STATEMENT_MARK], &statement[..]].concat());
            transactions.extend(context.statements.iter().map(marked));
        }
        Some(context.payload(self.now_ms(), executed, &PayloadBody { transactions, ..PayloadBody::default() }))
    }

    fn statements(&self, payload: &Payload) -> Vec<Vec<u8>> {
        let body = PayloadBody::from_canonical(&payload.body.0).unwrap();
        body.transactions.iter().filter_map(|raw| raw.0.strip_prefix(&[STATEMENT_MARK])).map(<[u8]>::to_vec).collect()
    }

    async fn verify(&self, _: ProposalContext, _: Payload) -> bool {
        !self.knobs.refuses.load(Ordering::Relaxed)
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

    async fn certificate(&self, seen: SeenCertificate) {
        let digest = seen.certificate.payload;
        self.seen.lock().unwrap().certificates.insert(digest, seen.certificate);
    }
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
    pub identities: Vec<IdentityKey>,
    pub keys: Vec<GenesisKeys>,
    pub genesis: Genesis,
    pub addresses: Vec<SocketAddr>,
    pub seen: Vec<Arc<Mutex<Seen>>>,
    pub knobs: Vec<Arc<Knobs>>,
    pub timers: Timers,
    /// Shares of the derivation key.
    pub derivation: Vec<KeyShare>,
    /// Length of a term; `None` for one without end.
    pub term_blocks: Option<NonZeroU64>,
}

impl Net {
    /// A network of `count` on the given addresses.
    pub fn new(count: usize, seed: u64, addresses: Vec<SocketAddr>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut identities: Vec<_> = (0..count).map(|_| IdentityKey::generate(&mut rng)).collect();
        identities.sort_by_key(IdentityKey::public);
        let validators: Vec<_> = identities.iter().map(IdentityKey::public).collect();
        let dealt = trusted_dealer(&mut rng, &validators).unwrap();
        let genesis = Genesis {
            chain_id: 7,
            purpose: freehold_primitives::Purpose::Development,
            timestamp_ms: 1_000,
            epoch_s: 600,
            lease_s: 600,
            validators,
            consensus_polynomial: dealt.consensus_polynomial.clone(),
            derivation_polynomial: dealt.derivation_polynomial.clone(),
            key_ceremony: KeyCeremony::TrustedDealer,
            trust_roots: vec![],
            allocations: vec![],
            membership: Membership::default(),
        };
        let keys = dealt.consensus_shares.iter().map(|share| GenesisKeys::new(&genesis, share).unwrap()).collect();
        let timers = quick_timers();
        let seen = (0..count).map(|_| Arc::default()).collect();
        let knobs = (0..count).map(|_| Arc::default()).collect();
        let derivation = dealt.derivation_shares;
        Self { identities, keys, genesis, addresses, seen, knobs, timers, derivation, term_blocks: None }
    }

    /// Takes the genesis and the shares that founders made.
    pub fn adopt(&mut self, made: &[freehold_consensus::Founded]) {
        self.genesis = made[0].genesis.clone();
        self.derivation = made.iter().map(|made| made.derivation.clone()).collect();
        self.keys = made.iter().map(|made| GenesisKeys::new(&self.genesis, &made.consensus).unwrap()).collect();
    }

    /// A network on free ports of the loopback.
    pub fn loopback(count: usize, seed: u64) -> Self {
        let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        Self::new(count, seed, addresses)
    }

    /// Settings of validator `index`.
    pub fn validator(&self, index: usize) -> Validator {
        let keys = self.genesis.validators.iter().copied();
        Validator {
            identity: self.identities[index].clone(),
            keys: self.keys[index].key_material(0).unwrap(),
            genesis: self.genesis.clone(),
            listen: self.addresses[index],
            peers: keys.zip(self.addresses.iter().copied()).collect(),
            partition: format!("validator-{index}"),
            resharing: self
                .term_blocks
                .map(|term_blocks| ResharingSettings { term_blocks, derivation_share: self.derivation[index].clone() }),
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

    /// Checks the order of all: no gap, no two payloads at a height, a chain of parents, seeds that fit.
    pub fn check_order(&self) {
        let mut chain: BTreeMap<Height, Digest> = BTreeMap::new();
        let mut seeds: BTreeMap<Height, G1Point> = BTreeMap::new();
        for seen in &self.seen {
            let seen = seen.lock().unwrap();
            assert!(seen.finals.keys().copied().eq(1..=seen.finals.len() as u64), "a height is missing");
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
                assert_eq!(head.parent, chain[&(height - 1)]);
                assert!(head.parent_seed.is_some());
                if let Some(seed) = seeds.get(&(height - 1)) {
                    assert_eq!(head.parent_seed, Some(*seed));
                }
            }
        }
    }
}

/// The value below which half of the samples lie.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
