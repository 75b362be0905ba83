//! One engine after another: a term's engine runs until the next term's keys are in force.
//!
//! Votes, certificates and requests carry the number of their term, so that two terms never mix. A peer that votes in a
//! later term has the payload that closed this one, and is asked for it.

use std::{num::NonZeroU64, sync::Arc};

use commonware_consensus::{
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
    },
    types::{Epoch, Epocher as _, FixedEpocher},
};
use commonware_cryptography::{ed25519, sha256};
use commonware_p2p::{
    authenticated::lookup,
    utils::mux::{Builder as _, MuxHandle, Muxer},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_utils::{NonZeroDuration, vec::NonEmptyVec};
use freehold_primitives::Term;
use tokio::sync::watch;
use tracing::info;

use crate::{
    adapter::Archive,
    application::Application,
    block::engine_digest,
    check::Scheme,
    config::Validator,
    elector::Halves,
    network::{Channel, Oracle},
    reports::Observer,
    runtime::Runtime,
    terms::{TermKeys, Terms},
    validator::{FETCH_RETRY, KEY_BUFFER, MAILBOX, REPLAY_BUFFER, VIEWS_KEPT, Voter, floor_of},
    watermark::VIEWS_RESERVED,
};

type Settings<E, A> = simplex::Config<
    Scheme,
    Halves,
    Oracle,
    sha256::Digest,
    Voter<E, A>,
    Voter<E, A>,
    Observer<Voter<E, A>>,
    Sequential,
>;
type Ends<E> = MuxHandle<lookup::Sender<ed25519::PublicKey, E>>;

/// What the engines of all terms share.
pub(crate) struct Engines<E: Runtime, A: Application> {
    pub(crate) context: E,
    pub(crate) config: Validator,
    pub(crate) namespace: Vec<u8>,
    pub(crate) inline: Voter<E, A>,
    pub(crate) observer: Observer<Voter<E, A>>,
    pub(crate) oracle: Oracle,
    pub(crate) pages: CacheRef,
    pub(crate) archive: Archive,
    pub(crate) terms: Arc<Terms>,
    pub(crate) epocher: FixedEpocher,
    pub(crate) keys: watch::Receiver<TermKeys>,
}

impl<E: Runtime, A: Application> Engines<E, A> {
    /// Runs until an engine ends by itself, or cannot begin.
    pub(crate) async fn run(mut self, votes: Channel<E>, certificates: Channel<E>, requests: Channel<E>) {
        let (mux, votes, mut strays) =
            Muxer::builder(self.context.child("votes"), votes.0, votes.1).with_backup().build();
        mux.start();
        let (mux, certificates) = Muxer::new(self.context.child("certificates"), certificates.0, certificates.1);
        mux.start();
        let (mux, requests) = Muxer::new(self.context.child("requests"), requests.0, requests.1);
        mux.start();
        let mut ends = [votes, certificates, requests];
        loop {
            let term = self.keys.borrow_and_update().term;
            let Some(mut engine) = self.start(term, &mut ends).await else { return };
            loop {
                tokio::select! {
                    biased;
                    _ = &mut engine => return,
                    changed = self.keys.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        break;
                    }
                    stray = strays.recv() => {
                        let Some((theirs, (peer, _))) = stray else { return };
                        if theirs > term && let Some(last) = self.epocher.last(Epoch::new(term)) {
                            self.archive.hint_finalized(last, NonEmptyVec::new(peer));
                        }
                    }
                }
            }
            engine.abort();
            let _ended = engine.await;
            let _left = self.context.remove(&self.partition(term), None).await;
        }
    }

    async fn start(&mut self, term: Term, ends: &mut [Ends<E>; 3]) -> Option<Handle<()>> {
        let scheme = self.keys.borrow().scheme(&self.namespace)?;
        self.terms.insert(term, scheme.clone());
        let floor = match floor_of(&self.config) {
            Some(floor) if floor.proposal.round.epoch().get() == term => Floor::Finalized(floor),
            _ => Floor::Genesis(engine_digest(&self.keys.borrow().parent)),
        };
        let [votes, certificates, requests] = ends;
        let registered = (
            votes.register(term).await.ok()?,
            certificates.register(term).await.ok()?,
            requests.register(term).await.ok()?,
        );
        let context = self.context.child("engine").with_attribute("term", term);
        let engine = simplex::Engine::new(context, self.settings(term, scheme, floor));
        if term > 0 {
            info!(term, "term begins");
        }
        let (votes, certificates, requests) = registered;
        Some(engine.start(votes, certificates, requests))
    }

    /// Where a term's engine keeps its votes.
    fn partition(&self, term: Term) -> String {
        match term {
            0 => format!("{}-engine", self.config.partition),
            term => format!("{}-engine-{term}", self.config.partition),
        }
    }

    fn settings(&self, term: Term, scheme: Scheme, floor: Floor<Scheme, sha256::Digest>) -> Settings<E, A> {
        let timers = &self.config.timers;
        // After all were killed, each leads none of the views that it had reserved: nobody waits for these.
        let given_up = NonZeroU64::MIN.saturating_add(VIEWS_RESERVED + scheme.participants().len() as u64);
        simplex::Config {
            scheme,
            elector: Halves,
            blocker: self.oracle.clone(),
            automaton: self.inline.clone(),
            relay: self.inline.clone(),
            reporter: self.observer.clone(),
            strategy: Sequential,
            partition: self.partition(term),
            mailbox_size: MAILBOX,
            epoch: Epoch::new(term),
            floor,
            replay_buffer: REPLAY_BUFFER,
            write_buffer: KEY_BUFFER,
            page_cache: self.pages.clone(),
            leader_timeout: timers.leader,
            certification_timeout: timers.certification,
            timeout_retry: timers.retry,
            fetch_timeout: NonZeroDuration::new_panic(timers.fetch),
            fetch_retry_delay: FETCH_RETRY,
            view_retention: VIEWS_KEPT,
            skip: SkipPolicy::Enabled { timeout: timers.skip, budget: SkipBudget::Fixed(given_up) },
            forward: ForwardPolicy::Disabled,
            track_historical_votes: false,
        }
    }
}
