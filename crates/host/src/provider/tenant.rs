//! One rental on this machine: what its renter asked for, how it stands, and the task that makes the one follow the other.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use freehold_containers::Backoff;
use freehold_primitives::{Account, Digest};
use freehold_rpc::{LogPage, RefusalCode, RentalAction, RentalCommand, RentalRefusal, RentalReport, RentalStage};
use tokio::{sync::watch, time::sleep};

use super::{
    attend::{ServeFailure, serve},
    event::ProviderEvent,
    policy::{Refusal, Wish},
    record::{Record, Wanted},
    rounds::Ground,
    store::LogStore,
};

/// How an app stands, as far as this process knows.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) stage: RentalStage,
    pub(crate) reason: Option<RentalRefusal>,
    pub(crate) instance: Option<Digest>,
    pub(crate) api: Option<SocketAddr>,
    pub(crate) ingress: Option<SocketAddr>,
    pub(crate) answers: bool,
    /// Whether the manifest of what runs says that everybody may read its log.
    pub(crate) has_public_log: bool,
}

/// A rental that is served.
pub(crate) struct Tenant {
    pub(crate) folder: PathBuf,
    pub(crate) wish: Wish,
    record: Mutex<Record>,
    shown: Mutex<Shown>,
    log: Mutex<LogStore>,
    revision: watch::Sender<u64>,
    /// Seconds that were paid, once the rental is over.
    over: watch::Sender<Option<u64>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tenant {
    /// Opens the folder of a rental.
    pub(crate) fn open(folder: PathBuf, record: Record, wish: Wish) -> io::Result<Self> {
        let log = LogStore::open(folder.join("log"))?;
        let (revision, _) = watch::channel(record.revision);
        let (over, _) = watch::channel(None);
        let tenant = Self {
            folder,
            wish,
            shown: Mutex::new(shown_idle(&record)),
            record: Mutex::new(record),
            log: Mutex::new(log),
            revision,
            over,
        };
        Ok(tenant)
    }

    pub(crate) fn record(&self) -> Record {
        held(&self.record).clone()
    }

    /// Takes a command: judged, written down, and only then answered and followed.
    pub(crate) fn command(&self, command: &RentalCommand, signer: &Account, now_ms: u64) -> Result<(), Refusal> {
        let is_anybodys = matches!(command.action, RentalAction::Logs { .. }) && held(&self.shown).has_public_log;
        let mut record = held(&self.record);
        let signer = if is_anybodys { record.renter } else { *signer };
        record.judge(command, &signer, now_ms)?;
        if !command.action.changes() {
            return Ok(());
        }
        let mut changed = record.clone();
        changed.take(command)?;
        changed.write(&self.folder).map_err(|error| Refusal::Internal(error.to_string()))?;
        *record = changed;
        drop(record);
        self.revision.send_modify(|revision| *revision += 1);
        Ok(())
    }

    pub(crate) fn report(&self) -> RentalReport {
        let (record, shown) = (self.record(), held(&self.shown).clone());
        RentalReport {
            rental: record.rental,
            app_id: record.app_id,
            stage: shown.stage,
            reason: shown.reason,
            bundle: record.order.map(|order| order.bundle),
            instance_id: shown.instance,
            api: shown.api,
            ingress: shown.ingress.filter(|_| shown.api.is_some()),
            answers: shown.answers,
            starts: record.starts,
            last_command_ms: record.last_command_ms,
            logs: held(&self.log).count(),
        }
    }

    pub(crate) fn page(&self, from: u64) -> io::Result<LogPage> {
        let log = held(&self.log);
        Ok(LogPage { records: log.read(from)?, count: log.count() })
    }

    /// Keeps a sealed record of the app's log, or counts a line that is none.
    pub(crate) fn keep_line(&self, at_ms: u64, record: Option<&str>) {
        let mut log = held(&self.log);
        let kept = record.map(|record| log.append(at_ms, record));
        if !matches!(kept, Some(Ok(()))) {
            log.drop_lines(1);
        }
    }

    pub(crate) fn drop_lines(&self, lines: u64) {
        held(&self.log).drop_lines(lines);
    }

    pub(crate) fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut held(&self.shown));
    }

    /// Writes down that the app was started, and on which port it answers.
    pub(crate) fn note_start(&self, api: SocketAddr) -> io::Result<()> {
        let mut record = held(&self.record);
        record.starts += 1;
        record.api_port = Some(api.port());
        record.write(&self.folder)
    }

    /// The rental is over: nothing runs any more.
    pub(crate) fn end(&self, seconds_paid: u64) {
        self.over.send_replace(Some(seconds_paid));
    }

    /// Seconds that were paid, once it is over.
    pub(crate) fn ended(&self) -> Option<u64> {
        *self.over.borrow()
    }

    /// Resolves when what runs under a revision must stop: by a command, the rental's end, or this machine's.
    pub(crate) async fn disturbed(&self, ground: &Ground, revision: u64) {
        let (mut revisions, mut over, mut stopping) =
            (self.revision.subscribe(), self.over.subscribe(), ground.stopping.clone());
        let is_newer = |_: &u64| held(&self.record).revision != revision;
        tokio::select! {
            _ = revisions.wait_for(is_newer) => {}
            _ = over.wait_for(Option::is_some) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// Does what the renter asked for, until the rental is over or this machine stops.
    pub(crate) async fn keep(self: Arc<Self>, ground: Arc<Ground>) -> u64 {
        let rental = self.record().rental;
        let mut backoff = Backoff::default();
        while self.ended().is_none() && !*ground.stopping.borrow() {
            let record = self.record();
            let Some(order) = record.running() else {
                self.show(|shown| *shown = shown_idle(&record));
                self.disturbed(&ground, record.revision).await;
                continue;
            };
            let begun = Instant::now();
            let Err(failure) = serve(&ground, &self, &record, order).await else { continue };
            match failure {
                ServeFailure::Refused(refusal) => self.refuse(&ground, &record, &refusal),
                ServeFailure::Trouble(message) => {
                    let pause = backoff.after(begun.elapsed());
                    self.failed(&ground, rental, message);
                    self.pause(&ground, record.revision, pause).await;
                }
            }
        }
        self.show(|shown| *shown = shown_idle(&self.record()));
        rental
    }

    async fn pause(&self, ground: &Ground, revision: u64, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.disturbed(ground, revision) => {}
        }
    }

    fn failed(&self, ground: &Ground, rental: u64, message: String) {
        let reason = RentalRefusal { code: RefusalCode::Internal, message: message.clone() };
        self.show(|shown| {
            shown.stage = RentalStage::Failed;
            shown.reason = Some(reason);
        });
        ground.tell(ProviderEvent::Trouble { rental: Some(rental), message });
    }

    /// Does not run what was ordered; the next order may be another one.
    fn refuse(&self, ground: &Ground, judged: &Record, refusal: &Refusal) {
        let mut record = held(&self.record);
        if record.revision != judged.revision {
            return;
        }
        record.wanted = Wanted::Stopped;
        record.refused = Some(refusal.told());
        if let Err(error) = record.write(&self.folder) {
            ground.tell(ProviderEvent::Trouble { rental: Some(record.rental), message: error.to_string() });
        }
        let rental = record.rental;
        drop(record);
        ground.count_refusal();
        ground.tell(ProviderEvent::Refused { rental, refusal: refusal.told() });
    }
}

/// How an app stands that does not run.
fn shown_idle(record: &Record) -> Shown {
    let stage = match (&record.refused, &record.order) {
        (Some(_), _) => RentalStage::Refused,
        (None, None) => RentalStage::Waiting,
        (None, Some(_)) if record.wanted == Wanted::Running => RentalStage::Starting,
        (None, Some(_)) => RentalStage::Stopped,
    };
    let reason = record.refused.clone();
    Shown { stage, reason, instance: None, api: None, ingress: None, answers: false, has_public_log: false }
}
