//! A running validator: network, archive, engine and delivery under one task.
//!
//! Everything it keeps is under its partition prefix and survives a crash at any point: the engine votes only after
//! its journal is on disk, the archive delivers a payload only after it is, and advances only after the application
//! returned.

use std::{
    num::{NonZeroU16, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{
        self,
        core::Actor as ArchiveActor,
        resolver::{handler, p2p as archive_resolver},
        standard::{Inline, Standard},
    },
    simplex::types::Finalization,
    types::{FixedEpocher, Height as EngineHeight, ViewDelta},
};
use commonware_cryptography::{Digested, ed25519, sha256};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_storage::{archive::prunable, translator::TwoCap};
use commonware_utils::{NZU16, NZU64, NZUsize, NonZeroDuration, acknowledgement::Exact};
use freehold_crypto::{chain_namespace, genesis_hash};
use freehold_primitives::{Certificate, Ed25519Key, Height, Payload, Term};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::{
    adapter::{Adapter, Archive},
    application::Application,
    block::{Block, genesis_block},
    check::Scheme,
    config::{ConfigError, Start, Validator, committees},
    delivery::{Delivery, deliver_certificates},
    engines::Engines,
    gossip::{self, Gossip, Pump},
    keys::engine_key,
    network::{self, Channel, Oracle},
    reports::{CERTIFICATES_QUEUED_MAX, Observer, certificate_of, finalization_of},
    resharing::Resharing,
    rounds::Rounds,
    runtime::Runtime,
    terms::{HeldMaster, Provider, Successor, TermKeys, Terms, epocher},
    watermark::Watermark,
    witness::Witness,
};

pub(crate) const MAILBOX: NonZeroUsize = NZUsize!(1_024);
/// Final payloads in a section of the archive, which keeps four files open for each: what is forgotten goes by sections.
const ITEMS_PER_SECTION: NonZeroU64 = NZU64!(256);
pub(crate) const REPLAY_BUFFER: NonZeroUsize = NZUsize!(65_536);
pub(crate) const KEY_BUFFER: NonZeroUsize = NZUsize!(65_536);
const VALUE_BUFFER: NonZeroUsize = NZUsize!(262_144);
const PAGE_BYTES: NonZeroU16 = NZU16!(4_096);
const PAGES: NonZeroUsize = NZUsize!(1_024);
/// Views kept behind the newest final one.
pub(crate) const VIEWS_KEPT: ViewDelta = ViewDelta::new(64);
/// Blocks kept of each peer that were not asked for.
const BLOCKS_PER_PEER: usize = 16;
/// Final payloads handed out before the application returns for the first.
const DELIVERIES_PENDING_MAX: NonZeroUsize = NZUsize!(16);
/// Missing payloads asked for at a time.
const REPAIRS_MAX: NonZeroUsize = NZUsize!(16);
pub(crate) const FETCH_RETRY: Duration = Duration::from_millis(100);

/// Why a validator ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Stopped {
    /// It was asked to, or its runtime ended.
    #[error("stopped")]
    Asked,
    /// A part it cannot do without ended: its storage failed, its port was taken, or the application panicked.
    #[error("the {0} ended; check the free space and the rights of the folder, and whether its port is free")]
    Part(&'static str),
    /// Its storage did not open.
    #[error("storage did not open; check the free space and the rights of the folder")]
    Storage,
}

/// A running validator. Dropping it stops the validator.
pub struct ValidatorHandle {
    task: Handle<Stopped>,
    /// How it ended, once that was told: the task is asked once only.
    over: Option<Stopped>,
    archive: Archive,
    gossip: Vec<Gossip>,
    keys: watch::Receiver<TermKeys>,
    term_blocks: Option<NonZeroU64>,
}

impl ValidatorHandle {
    /// What is in force, term by term.
    pub fn term_keys(&self) -> watch::Receiver<TermKeys> {
        self.keys.clone()
    }

    /// The gossip channels, in the order of the configuration; a second call returns none.
    pub fn take_gossip(&mut self) -> Vec<Gossip> {
        std::mem::take(&mut self.gossip)
    }

    /// What is final, in storage.
    pub fn history(&self) -> History {
        History { archive: self.archive.clone(), keys: self.keys.clone(), term_blocks: self.term_blocks }
    }

    /// Stops it at once. Storage needs no goodbye: a stop is a crash that was asked for.
    pub async fn stop(mut self) {
        self.task.abort();
        self.ended().await;
    }

    /// Waits until it ends by itself, and says how.
    pub async fn ended(&mut self) -> Stopped {
        if let Some(over) = self.over {
            return over;
        }
        let over = (&mut self.task).await.unwrap_or(Stopped::Asked);
        self.over = Some(over);
        over
    }
}

impl Drop for ValidatorHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is final, in the validator's storage.
#[derive(Clone)]
pub struct History {
    archive: Archive,
    keys: watch::Receiver<TermKeys>,
    term_blocks: Option<NonZeroU64>,
}

impl History {
    /// The final payload at a height.
    pub async fn payload(&self, height: Height) -> Option<Payload> {
        let block = self.archive.get_block(EngineHeight::new(height)).await?;
        Some(Payload::clone(block.inner().payload()))
    }

    /// The certificate of the payload at a height, if this validator has one of its own.
    pub async fn certificate(&self, height: Height) -> Option<Certificate> {
        self.archive.get_finalization(EngineHeight::new(height)).await.as_ref().and_then(certificate_of)
    }

    /// Forgets final payloads below a height, but never those of the running term and of the one before, from which others
    /// catch up and with whose last payload they begin, nor what is not delivered. Whoever begins with the genesis payload
    /// can no longer take the others from here. Storage is freed in sections of 256 payloads.
    pub fn forget_below(&self, height: Height) {
        let before = self.keys.borrow().term.saturating_sub(1);
        let needed = self.term_blocks.map(|length| before.saturating_mul(length.get()).saturating_sub(1));
        self.archive.prune(EngineHeight::new(needed.map_or(height, |needed| needed.min(height))));
    }
}

/// Starts a validator as a child of `context` and returns once its storage is open.
///
/// # Errors
/// [`StartError`].
pub async fn start<E: Runtime, A: Application>(
    context: E,
    config: Validator,
    application: A,
) -> Result<ValidatorHandle, StartError> {
    config.check()?;
    let namespace = chain_namespace(config.genesis.chain_id, &genesis_hash(&config.genesis));
    let first = first_keys(&config)?;
    let (gossip, pumps): (Vec<_>, Vec<_>) =
        config.gossip.iter().map(|channel| gossip::channel(channel.message_bytes_max)).unzip();
    let term_blocks = config.term_blocks();
    let (ready_tx, ready) = oneshot::channel();
    let task = context.child("validator").spawn(move |context| {
        let parts = Parts { config, namespace, first, pumps };
        async move { parts.run(context, application, ready_tx).await }
    });
    match ready.await {
        Ok((archive, keys)) => Ok(ValidatorHandle { task, over: None, archive, gossip, keys, term_blocks }),
        Err(_) => Err(StartError::Stopped(task.await.unwrap_or(Stopped::Asked))),
    }
}

/// Why a validator did not start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its configuration does not serve.
    #[error("configuration does not serve")]
    Config(#[from] ConfigError),
    /// It ended before it was ready.
    #[error("validator ended before it was ready")]
    Stopped(#[source] Stopped),
}

/// What a validator is made of before it runs.
struct Parts {
    config: Validator,
    namespace: Vec<u8>,
    first: TermKeys,
    pumps: Vec<Pump>,
}

type Finals<E> = prunable::Archive<TwoCap, E, sha256::Digest, Finalization<Scheme, sha256::Digest>>;
type Blocks<E> = prunable::Archive<TwoCap, E, sha256::Digest, Arc<Block>>;
type Actor<E> = ArchiveActor<E, Standard<Block>, Provider, Finals<E>, Blocks<E>, FixedEpocher, Sequential, Exact>;
type Buffer<E> = buffered::Engine<E, ed25519::PublicKey, Block, Oracle, Sequential>;
type Requests = (handler::Receiver<sha256::Digest>, archive_resolver::Mailbox<sha256::Digest, ed25519::PublicKey>);
pub(crate) type Voter<E, A> = Inline<E, Scheme, Adapter<A>, Block, FixedEpocher>;
type Ready = oneshot::Sender<(Archive, watch::Receiver<TermKeys>)>;

impl Parts {
    async fn run<E: Runtime, A: Application>(mut self, context: E, application: A, ready: Ready) -> Stopped {
        let pages = CacheRef::new(PAGE_BYTES, PAGES);
        let Some(storage) = self.open_storage(&context, &pages).await else { return Stopped::Storage };
        let Some(me) = engine_key(&self.config.identity.public()) else { return Stopped::Part("identity") };
        let Some((resharer, keys)) = self.open_resharing(&context).await else { return Stopped::Storage };
        self.goes_on(keys.borrow().term);
        let watermark = Watermark::open(context.child("signed"), format!("{}-signed", self.config.partition)).await;
        let Some((watermark, permits)) = watermark else { return Stopped::Storage };
        let terms = Terms::new(self.namespace.clone(), keys.clone());
        let pumps = std::mem::take(&mut self.pumps);
        let channels = network::open(&context, &self.config, &self.namespace, pumps);
        let network::Channels { votes, certificates, rounds, backfill, blocks, resharing, oracle, task } = channels;

        let (actor, archive) = self.archive(&context, storage, &pages, &terms).await;
        let buffer = self.buffer(&context, &me, &oracle);
        let requests = self.requests(&context, &me, &oracle, backfill);
        let seen = Arc::new(Rounds::default());
        let (waiting, finals) = (resharer.waiting(), resharer.finals());
        let witness = Arc::new(Witness::new(Arc::clone(&terms)));
        let memory = (Arc::clone(&seen), Arc::clone(&witness));
        let (delivery, inbox) = Delivery::new(application.clone(), memory, archive.clone(), finals);
        let (queue, queued) = mpsc::channel(CERTIFICATES_QUEUED_MAX);

        let buffer_task = buffer.0.start(blocks);
        let archive_task = actor.start(inbox, buffer.1, requests);
        let sources = (archive.clone(), application.clone());
        let resharing_task = context.child("resharing").spawn(move |context| resharer.run(context, resharing, sources));
        let watermark_task = context.child("watermark").spawn(|_| watermark.run());
        let delivery_task = context.child("delivery").spawn(|_| delivery.run());
        let reports = deliver_certificates(application.clone(), Arc::clone(&seen), queued);
        let reports_task = context.child("certificates").spawn(|_| reports);
        let adapter = Adapter {
            application,
            chain_id: self.config.genesis.chain_id,
            term_blocks: self.config.term_blocks(),
            identity: self.config.identity.clone(),
            permits,
            witness,
            terms: Arc::clone(&terms),
            keys: keys.clone(),
            waiting,
            rounds: Arc::clone(&seen),
            archive: archive.clone(),
        };
        if ready.send((archive.clone(), keys.clone())).is_err() {
            return Stopped::Asked;
        }
        let others = others(&keys.borrow(), &self.config.identity.public());
        network::warm_up(&context, (self.config.timers, others), &votes).await;
        let epocher = self.epocher();
        let inline = Inline::new(context.child("application"), adapter, archive.clone(), epocher.clone());
        let observer = Observer { inner: inline.clone(), rounds: seen, certificates: queue };
        let (config, namespace, context) = (self.config, self.namespace, context.child("terms"));
        info!(partition = config.partition, "validator runs");
        let engines =
            Engines { context, config, namespace, inline, observer, oracle, pages, archive, terms, epocher, keys };
        tokio::select! {
            biased;
            _ = task => Stopped::Part("network"),
            _ = buffer_task => Stopped::Part("buffer"),
            _ = archive_task => Stopped::Part("archive"),
            _ = delivery_task => Stopped::Part("delivery"),
            _ = reports_task => Stopped::Part("certificates"),
            _ = resharing_task => Stopped::Part("resharing"),
            _ = watermark_task => Stopped::Part("store of signed rounds"),
            () = engines.run(votes, certificates, rounds) => Stopped::Part("engine"),
        }
    }

    async fn open_resharing<E: Runtime>(&self, context: &E) -> Option<(Resharing<E>, watch::Receiver<TermKeys>)> {
        let identity = self.config.identity.clone();
        let Some(term_blocks) = self.config.term_blocks() else {
            return Some(Resharing::idle(identity, self.first.clone()));
        };
        let opened = Resharing::open(context, &self.config.partition, (identity, self.first.clone())).await;
        let (resharing, keys) = opened.inspect_err(|error| error!(%error, "the vault did not open")).ok()?;
        Some((resharing.every(term_blocks, self.namespace.clone()), keys))
    }

    /// A storage that is in an earlier term than the payload to begin with goes on where it is: the statements of its term
    /// would be missing otherwise.
    fn goes_on(&mut self, term: Term) {
        if term < self.first.term {
            warn!(term, "the storage is older than the payload to begin with, and goes on where it is");
            self.config.start = Start::Genesis;
        }
    }

    fn epocher(&self) -> FixedEpocher {
        epocher(self.config.term_blocks())
    }

    async fn open_storage<E: Runtime>(&self, context: &E, pages: &CacheRef) -> Option<(Finals<E>, Blocks<E>)> {
        let settings = |name| archive_settings(&self.config.partition, name, pages.clone());
        let finals = prunable::Archive::init(context.child("finals"), settings("finals")).await;
        let blocks = prunable::Archive::init(context.child("blocks"), settings("blocks")).await;
        match (finals, blocks) {
            (Ok(finals), Ok(blocks)) => Some((finals, blocks)),
            (Err(error), _) | (_, Err(error)) => {
                error!(%error, partition = self.config.partition, "storage did not open");
                None
            }
        }
    }

    async fn archive<E: Runtime>(
        &self,
        context: &E,
        (finals, blocks): (Finals<E>, Blocks<E>),
        pages: &CacheRef,
        terms: &Arc<Terms>,
    ) -> (Actor<E>, Archive) {
        let settings = marshal::Config {
            provider: Provider(Arc::clone(terms)),
            epocher: self.epocher(),
            start: archive_start(&self.config),
            partition_prefix: self.config.partition.clone(),
            mailbox_size: MAILBOX,
            view_retention: VIEWS_KEPT,
            prunable_items_per_section: ITEMS_PER_SECTION,
            page_cache: pages.clone(),
            replay_buffer: REPLAY_BUFFER,
            key_write_buffer: KEY_BUFFER,
            value_write_buffer: VALUE_BUFFER,
            block_codec_config: (),
            max_repair: REPAIRS_MAX,
            max_pending_acks: DELIVERIES_PENDING_MAX,
            strategy: Sequential,
        };
        let (actor, archive, _floor) = ArchiveActor::init(context.child("archive"), finals, blocks, settings).await;
        (actor, archive)
    }

    fn buffer<E: Runtime>(
        &self,
        context: &E,
        me: &ed25519::PublicKey,
        oracle: &Oracle,
    ) -> (Buffer<E>, buffered::Mailbox<ed25519::PublicKey, Block>) {
        let settings = buffered::Config {
            public_key: me.clone(),
            mailbox_size: MAILBOX,
            deque_size: BLOCKS_PER_PEER,
            priority: false,
            codec_config: (),
            peer_provider: oracle.clone(),
            strategy: Sequential,
        };
        buffered::Engine::new(context.child("buffer"), settings)
    }

    fn requests<E: Runtime>(
        &self,
        context: &E,
        me: &ed25519::PublicKey,
        oracle: &Oracle,
        backfill: Channel<E>,
    ) -> Requests {
        let settings = archive_resolver::Config {
            public_key: me.clone(),
            peer_provider: oracle.clone(),
            blocker: oracle.clone(),
            mailbox_size: MAILBOX,
            fetch_timeout: NonZeroDuration::new_panic(self.config.timers.fetch),
            fetch_retry_delay: FETCH_RETRY,
            priority_requests: false,
            priority_responses: false,
        };
        archive_resolver::init(context.child("requests"), settings, backfill)
    }
}

/// What a validator begins with where its vault is empty.
fn first_keys(config: &Validator) -> Result<TermKeys, ConfigError> {
    let (consensus, derivation) = committees(&config.genesis)?;
    let mut keys = TermKeys::first(consensus, derivation, genesis_block(&config.genesis).id());
    match &config.start {
        Start::Genesis => {
            let shares = config.shares.clone().map(|shares| (shares.consensus, shares.derivation));
            (keys.consensus_share, keys.derivation_share) = shares.unzip();
        }
        // It may have voted in the term before its storage was lost, so it has no shares in it.
        Start::At(floor) => {
            let next = floor.head.height + 1;
            keys.term = config.term_blocks().map_or(0, |length| next / length.get());
            keys.parent = floor.certificate.payload;
            (keys.consensus, keys.derivation) = (floor.consensus.clone(), floor.derivation.clone());
            keys.network_keys.extend(config.successions(floor)?);
            let waiting = floor.waiting.clone();
            keys.successor = waiting.map(|committee| Successor { committee, share: None });
            let masters = floor.masters.iter().cloned();
            keys.masters =
                masters.map(|(generation, committee)| HeldMaster { generation, committee, share: None }).collect();
        }
    }
    Ok(keys)
}

/// Where the archive begins if it is empty.
fn archive_start(config: &Validator) -> marshal::Start<Scheme, sha256::Digest, Digested<Block>> {
    match floor_of(config) {
        Some(floor) => marshal::Start::Floor(floor),
        None => marshal::Start::Genesis(genesis_block(&config.genesis).sealed()),
    }
}

/// The certificate in the engine's form with which it begins.
pub(crate) fn floor_of(config: &Validator) -> Option<Finalization<Scheme, sha256::Digest>> {
    match &config.start {
        Start::Genesis => None,
        Start::At(floor) => finalization_of(&floor.certificate),
    }
}

/// Members beside this validator.
fn others(keys: &TermKeys, own: &Ed25519Key) -> usize {
    keys.consensus.keys().iter().filter(|key| *key != own).count()
}

fn archive_settings(partition: &str, name: &str, pages: CacheRef) -> prunable::Config<TwoCap, ()> {
    prunable::Config {
        translator: TwoCap,
        metadata_partition: format!("{partition}-{name}-metadata"),
        key_partition: format!("{partition}-{name}-keys"),
        key_page_cache: pages,
        value_partition: format!("{partition}-{name}-values"),
        compression: None,
        codec_config: (),
        items_per_section: ITEMS_PER_SECTION,
        key_write_buffer: KEY_BUFFER,
        value_write_buffer: VALUE_BUFFER,
        replay_buffer: REPLAY_BUFFER,
    }
}
