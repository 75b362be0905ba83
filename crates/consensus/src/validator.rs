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
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::{Random, RandomVersion},
        types::Finalization,
    },
    types::{Epoch, FixedEpocher, Height as EngineHeight, ViewDelta},
};
use commonware_cryptography::{Digestible as _, Sha256, certificate::ConstantProvider, ed25519, sha256};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_storage::{archive::prunable, translator::TwoCap};
use commonware_utils::{NZU16, NZU64, NZUsize, NonZeroDuration, acknowledgement::Exact};
use freehold_crypto::{chain_namespace, genesis_hash};
use freehold_primitives::{Certificate, Height, Payload};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::{
    adapter::{Adapter, Archive},
    application::Application,
    block::{Block, genesis_block},
    check::Scheme,
    config::{ConfigError, Validator},
    delivery::{Delivery, deliver_certificates},
    gossip::{self, Gossip, Pump},
    keys::engine_key,
    network::{self, Channel, Oracle},
    reports::{CERTIFICATES_QUEUED_MAX, Observer, certificate_of},
    rounds::Rounds,
    runtime::Runtime,
};

const MAILBOX: NonZeroUsize = NZUsize!(1_024);
const ITEMS_PER_SECTION: NonZeroU64 = NZU64!(1_024);
const REPLAY_BUFFER: NonZeroUsize = NZUsize!(65_536);
const KEY_BUFFER: NonZeroUsize = NZUsize!(65_536);
const VALUE_BUFFER: NonZeroUsize = NZUsize!(262_144);
const PAGE_BYTES: NonZeroU16 = NZU16!(4_096);
const PAGES: NonZeroUsize = NZUsize!(1_024);
/// Views kept behind the newest final one.
const VIEWS_KEPT: ViewDelta = ViewDelta::new(64);
/// Blocks kept of each peer that were not asked for.
const BLOCKS_PER_PEER: usize = 16;
/// Final payloads handed out before the application returns for the first.
const DELIVERIES_PENDING_MAX: NonZeroUsize = NZUsize!(16);
/// Missing payloads asked for at a time.
const REPAIRS_MAX: NonZeroUsize = NZUsize!(16);
const FETCH_RETRY: Duration = Duration::from_millis(100);
/// The one term: resharing will count on from it.
const TERM: Epoch = Epoch::zero();

/// Why a validator ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Stopped {
    /// It was asked to, or its runtime ended.
    #[error("stopped")]
    Asked,
    /// A part it cannot do without ended: its storage failed, its port was taken, or the application panicked.
    #[error("the {0} ended")]
    Part(&'static str),
    /// Its storage did not open.
    #[error("storage did not open")]
    Storage,
}

/// A running validator. Dropping it stops the validator.
pub struct ValidatorHandle {
    task: Handle<Stopped>,
    archive: Archive,
    gossip: Vec<Gossip>,
}

impl ValidatorHandle {
    /// The gossip channels, in the order of the configuration; a second call returns none.
    pub fn take_gossip(&mut self) -> Vec<Gossip> {
        std::mem::take(&mut self.gossip)
    }

    /// Reads what is final, from storage.
    pub fn history(&self) -> History {
        History(self.archive.clone())
    }

    /// Stops it at once. Storage needs no goodbye: a stop is a crash that was asked for.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ended = (&mut self.task).await;
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> Stopped {
        (&mut self.task).await.unwrap_or(Stopped::Asked)
    }
}

impl Drop for ValidatorHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is final, read from the validator's storage.
#[derive(Clone)]
pub struct History(Archive);

impl History {
    /// The final payload at a height.
    pub async fn payload(&self, height: Height) -> Option<Payload> {
        let block = self.0.get_block(EngineHeight::new(height)).await?;
        Some(Payload::clone(block.inner().payload()))
    }

    /// The certificate of the payload at a height, if this validator has one of its own.
    pub async fn certificate(&self, height: Height) -> Option<Certificate> {
        self.0.get_finalization(EngineHeight::new(height)).await.as_ref().and_then(certificate_of)
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
    let scheme = config.keys.scheme(&namespace).ok_or(ConfigError::Genesis)?;
    let (gossip, pumps): (Vec<_>, Vec<_>) =
        config.gossip.iter().map(|channel| gossip::channel(channel.message_bytes_max)).unzip();
    let (ready_tx, ready) = oneshot::channel();
    let task = context.child("validator").spawn(move |context| {
        let parts = Parts { config, namespace, scheme, pumps };
        async move { parts.run(context, application, ready_tx).await }
    });
    match ready.await {
        Ok(archive) => Ok(ValidatorHandle { task, archive, gossip }),
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
    scheme: Scheme,
    pumps: Vec<Pump>,
}

type Finals<E> = prunable::Archive<TwoCap, E, sha256::Digest, Finalization<Scheme, sha256::Digest>>;
type Blocks<E> = prunable::Archive<TwoCap, E, sha256::Digest, Arc<Block>>;
type Actor<E> = ArchiveActor<
    E,
    Standard<Block>,
    ConstantProvider<Scheme, Epoch>,
    Finals<E>,
    Blocks<E>,
    FixedEpocher,
    Sequential,
    Exact,
>;
type Buffer<E> = buffered::Engine<E, ed25519::PublicKey, Block, Oracle, Sequential>;
type Requests = (handler::Receiver<sha256::Digest>, archive_resolver::Mailbox<sha256::Digest, ed25519::PublicKey>);
type Voter<E, A> = Inline<E, Scheme, Adapter<A>, Block, FixedEpocher>;
type EngineSettings<E, A> = simplex::Config<
    Scheme,
    Random<Sha256>,
    Oracle,
    sha256::Digest,
    Voter<E, A>,
    Voter<E, A>,
    Observer<Voter<E, A>>,
    Sequential,
>;

impl Parts {
    async fn run<E: Runtime, A: Application>(
        mut self,
        context: E,
        application: A,
        ready: oneshot::Sender<Archive>,
    ) -> Stopped {
        let pages = CacheRef::new(PAGE_BYTES, PAGES);
        let Some(storage) = self.open_storage(&context, &pages).await else { return Stopped::Storage };
        let Some(me) = engine_key(&self.config.identity.public()) else { return Stopped::Part("identity") };
        let pumps = std::mem::take(&mut self.pumps);
        let channels = network::open(&context, &self.config, &self.namespace, pumps);
        let network::Channels { votes, certificates, rounds: resolver, backfill, blocks, oracle, task } = channels;

        let (actor, archive) = self.archive(&context, storage, &pages).await;
        let buffer = self.buffer(&context, &me, &oracle);
        let requests = self.requests(&context, &me, &oracle, backfill);
        let seen = Arc::new(Rounds::default());
        let (delivery, inbox) = Delivery::new(application.clone(), Arc::clone(&seen), archive.clone());
        let (queue, queued) = mpsc::channel(CERTIFICATES_QUEUED_MAX);

        let buffer_task = buffer.0.start(blocks);
        let archive_task = actor.start(inbox, buffer.1, requests);
        let delivery_task = context.child("delivery").spawn(|_| delivery.run());
        let reports = deliver_certificates(application.clone(), Arc::clone(&seen), queued);
        let reports_task = context.child("certificates").spawn(|_| reports);
        let adapter = Adapter {
            application,
            chain_id: self.config.genesis.chain_id,
            scheme: Arc::new(self.scheme.clone()),
            rounds: Arc::clone(&seen),
            archive: archive.clone(),
        };
        if ready.send(archive.clone()).is_err() {
            return Stopped::Asked;
        }
        network::warm_up(&context, &self.config, &votes).await;
        let inline = Inline::new(context.child("application"), adapter, archive, epocher());
        let observer = Observer { inner: inline.clone(), rounds: seen, certificates: queue };
        let engine = simplex::Engine::new(context.child("engine"), self.engine(inline, observer, oracle, pages));
        let engine_task = engine.start(votes, certificates, resolver);
        info!(partition = self.config.partition, "validator runs");
        tokio::select! {
            _ = task => Stopped::Part("network"),
            _ = buffer_task => Stopped::Part("buffer"),
            _ = archive_task => Stopped::Part("archive"),
            _ = delivery_task => Stopped::Part("delivery"),
            _ = reports_task => Stopped::Part("certificates"),
            _ = engine_task => Stopped::Part("engine"),
        }
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
    ) -> (Actor<E>, Archive) {
        let settings = marshal::Config {
            provider: ConstantProvider::new(self.scheme.clone()),
            epocher: epocher(),
            start: marshal::Start::Genesis(genesis_block(&self.config.genesis).sealed()),
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

    fn engine<E: Runtime, A: Application>(
        &self,
        inline: Voter<E, A>,
        reporter: Observer<Voter<E, A>>,
        blocker: Oracle,
        page_cache: CacheRef,
    ) -> EngineSettings<E, A> {
        let timers = &self.config.timers;
        simplex::Config {
            scheme: self.scheme.clone(),
            elector: Random::<Sha256>::new(RandomVersion::V1),
            blocker,
            automaton: inline.clone(),
            relay: inline,
            reporter,
            strategy: Sequential,
            partition: format!("{}-engine", self.config.partition),
            mailbox_size: MAILBOX,
            epoch: TERM,
            floor: Floor::Genesis(genesis_block(&self.config.genesis).digest()),
            replay_buffer: REPLAY_BUFFER,
            write_buffer: KEY_BUFFER,
            page_cache,
            leader_timeout: timers.leader,
            certification_timeout: timers.certification,
            timeout_retry: timers.retry,
            fetch_timeout: NonZeroDuration::new_panic(timers.fetch),
            fetch_retry_delay: FETCH_RETRY,
            view_retention: VIEWS_KEPT,
            skip: SkipPolicy::Enabled { timeout: timers.skip, budget: SkipBudget::Participants },
            forward: ForwardPolicy::Disabled,
            track_historical_votes: false,
        }
    }
}

/// One term without end.
const fn epocher() -> FixedEpocher {
    FixedEpocher::new(NZU64!(u64::MAX))
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
