//! The provider's rounds: looks at the chain for rentals that began or ended, and starts and clears away what follows from it.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use freehold_crypto::genesis_hash;
use freehold_primitives::{Account, AppId, Digest};
use freehold_rpc::{NodeClient, ProviderVm, RentalRefusal};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use super::{
    config::ProviderConfig,
    event::ProviderEvent,
    market::{Market, Rental},
    policy::AllowedKind,
    record::{Record, recall, rental_folder},
    server,
    tenant::Tenant,
};
use crate::{collateral::VendorClient, error::HostError, ingress::Ingress, vm::check_qemu, whole_file::write_whole};

/// File that names the first rental that was not looked at yet.
const CURSOR_FILE: &str = "next-rental";
/// Rentals that are looked at in one round.
const ROUND_RENTALS_MAX: u64 = 256;
/// Refused rentals that are remembered, so that their renters hear why.
const REFUSALS_MAX: usize = 1024;

/// What all parts of a provider's machine share.
pub(crate) struct Ground {
    pub(crate) config: ProviderConfig,
    pub(crate) genesis_hash: Digest,
    pub(crate) market: Market,
    pub(crate) client: VendorClient,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) counts: Counts,
    /// The port for TLS of all apps.
    pub(crate) ingress: Option<Ingress>,
    /// What renters are told of the VMs.
    pub(crate) vm: Option<ProviderVm>,
    events: mpsc::UnboundedSender<ProviderEvent>,
    tenants: Mutex<BTreeMap<u64, Arc<Tenant>>>,
    /// Renter and reason of rentals that were given back.
    refusals: Mutex<BTreeMap<u64, (Account, RentalRefusal)>>,
}

/// What is counted while the process runs.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commands: AtomicU64,
    pub(crate) refusals: AtomicU64,
    pub(crate) claims: AtomicU64,
}

impl Ground {
    pub(crate) fn tell(&self, event: ProviderEvent) {
        let _ = self.events.send(event);
    }

    pub(crate) fn trouble(&self, rental: Option<u64>, error: &dyn std::error::Error) {
        self.tell(ProviderEvent::Trouble { rental, message: error.to_string() });
    }

    pub(crate) fn count_refusal(&self) {
        self.counts.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_claim(&self) {
        self.counts.claims.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tenant(&self, rental: u64) -> Option<Arc<Tenant>> {
        self.tenants().get(&rental).cloned()
    }

    pub(crate) fn refused(&self, rental: u64) -> Option<(Account, RentalRefusal)> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).get(&rental).cloned()
    }

    pub(crate) fn tenants(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Tenant>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember_refusal(&self, rental: u64, renter: Account, refusal: RentalRefusal) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.insert(rental, (renter, refusal));
        while refusals.len() > REFUSALS_MAX {
            refusals.pop_first();
        }
    }
}

/// The system's clock, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A provider's machine that runs. Dropping it kills what it runs; [`Provider::run`] lets all of it end.
pub struct Provider {
    ground: Arc<Ground>,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<u64>,
    server: JoinHandle<()>,
    listen: SocketAddr,
    next: u64,
}

impl Provider {
    /// Takes up what an earlier run left, and listens for commands.
    ///
    /// # Errors
    /// [`HostError::Bind`], [`HostError::BindIngress`], [`HostError::System`], [`HostError::Node`], [`HostError::NoMarket`], and
    /// [`HostError::NoRuntime`] where it serves containers and what runs them is not there, [`HostError::NoQemu`] and
    /// [`HostError::Measure`] where it serves in VMs and QEMU or the firmware is not there.
    pub async fn start(
        config: ProviderConfig,
        events: mpsc::UnboundedSender<ProviderEvent>,
    ) -> Result<Self, HostError> {
        if config.policy.kinds.contains(&AllowedKind::Container) {
            let containers = config.containers.clone();
            let found = tokio::task::spawn_blocking(move || containers.check()).await;
            found.expect("looking does not panic")?;
        }
        let vm = match &config.vm {
            Some(backend) => {
                check_qemu().await?;
                Some(backend.told()?)
            }
            None => None,
        };
        let failed = |source| HostError::Bind { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let listen = listener.local_addr().map_err(failed)?;
        let state = HostError::system("what is known of rentals cannot be read", &config.state_dir);
        let ingress = match config.ingress {
            Some(address) => Some(Ingress::bind(address, config.ingress_http).await?),
            None => None,
        };
        let found = recall(&config.state_dir).and_then(|records| Ok((records, cursor(&config)?)));
        let (records, next) = found.map_err(state)?;
        let (stopping, stop) = watch::channel(false);
        let ground = Arc::new(Ground {
            genesis_hash: genesis_hash(&config.genesis),
            market: Market { node: NodeClient::new(config.node.clone()), provider: Arc::clone(&config.provider) },
            client: VendorClient::new(None)?,
            stopping: stop,
            counts: Counts::default(),
            events,
            tenants: Mutex::default(),
            refusals: Mutex::default(),
            ingress,
            vm,
            config,
        });
        let server = tokio::spawn(server::serve(listener, Arc::clone(&ground)));
        let mut provider = Self { ground, stopping, tasks: JoinSet::new(), server, listen, next };
        for record in records {
            provider.resume(record).await?;
        }
        Ok(provider)
    }

    /// Where TLS of all apps is taken.
    pub fn ingress(&self) -> Option<SocketAddr> {
        self.ground.ingress.as_ref().map(Ingress::address)
    }

    /// Where commands are taken.
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Serves until it is asked to stop; then every app was ended in order. The rentals go on without being served.
    pub async fn run(mut self, asked: impl Future<Output = ()>) {
        let mut look = interval(self.ground.config.look_every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                () = &mut asked => break,
                _ = look.tick() => {
                    if let Err(error) = self.round().await {
                        self.ground.trouble(None, &error);
                    }
                }
            }
        }
        self.stopping.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.server.abort();
    }

    async fn round(&mut self) -> Result<(), HostError> {
        self.clear_away();
        let count = self.ground.market.rentals().await?;
        let last = count.min(self.next.saturating_add(ROUND_RENTALS_MAX));
        while self.next <= last {
            self.look_at(self.next).await?;
            self.next += 1;
            let path = self.ground.config.state_dir.join(CURSOR_FILE);
            let written = write_whole(&path, self.next.to_string().as_bytes());
            written.map_err(HostError::system("the number of the next rental cannot be written", &path))?;
        }
        let now = self.ground.market.node.block("latest").await?.map_or(0, |block| block.timestamp.0);
        let tenants: Vec<_> = self.ground.tenants().iter().map(|(id, tenant)| (*id, Arc::clone(tenant))).collect();
        for (id, tenant) in tenants {
            let rental = self.ground.market.rental(id).await?;
            if rental.is_over {
                tenant.end(rental.seconds_paid);
            } else if now >= rental.ends_at
                && let Err(error) = self.ground.market.finish(id).await
            {
                self.ground.trouble(Some(id), &error);
            }
        }
        Ok(())
    }

    /// A rental that nobody looked at yet: somebody else's, over, served from now on, or given back.
    async fn look_at(&mut self, id: u64) -> Result<(), HostError> {
        let ground = Arc::clone(&self.ground);
        let rental = ground.market.rental(id).await?;
        let offers = &ground.config.policy.offers;
        let is_meant = offers.is_empty() || offers.contains(&rental.offer);
        let (true, false, Ok(app_id)) = (is_meant, rental.is_over, AppId::from_bytes(rental.app)) else {
            return Ok(());
        };
        let Some(wish) = ground.market.wish(&rental, app_id).await? else { return Ok(()) };
        let served = ground.tenants().len();
        if ground.tenant(id).is_some() {
            return Ok(());
        }
        let Err(refusal) = ground.config.policy.admits(&wish, served) else {
            self.admit(Record::new(id, rental.offer, app_id, rental.renter), &rental).await?;
            ground.tell(ProviderEvent::Rented { rental: id, app_id });
            return Ok(());
        };
        ground.remember_refusal(id, rental.renter, refusal.told());
        ground.count_refusal();
        ground.tell(ProviderEvent::Refused { rental: id, refusal: refusal.told() });
        // Its price goes back at once.
        if let Err(error) = ground.market.release(id).await {
            ground.trouble(Some(id), &error);
        }
        Ok(())
    }

    /// Takes up a rental that was served before.
    async fn resume(&mut self, record: Record) -> Result<(), HostError> {
        let rental = self.ground.market.rental(record.rental).await?;
        self.admit(record, &rental).await
    }

    async fn admit(&mut self, record: Record, rental: &Rental) -> Result<(), HostError> {
        let id = record.rental;
        let Some(wish) = self.ground.market.wish(rental, record.app_id).await? else {
            return Err(HostError::OtherProvider(id));
        };
        let folder = rental_folder(&self.ground.config.state_dir, id);
        let open = || {
            fs::create_dir_all(&folder)?;
            record.write(&folder)?;
            Tenant::open(folder.clone(), record, wish)
        };
        let tenant = open().map_err(HostError::system("the rental's folder cannot be used", &folder))?;
        let tenant = Arc::new(tenant);
        self.ground.tenants().insert(id, Arc::clone(&tenant));
        self.tasks.spawn(tenant.keep(Arc::clone(&self.ground)));
        Ok(())
    }

    /// Removes what is left of rentals whose task has ended.
    fn clear_away(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            let Ok(id) = ended else { continue };
            let Some(tenant) = self.ground.tenants().remove(&id) else { continue };
            let Some(seconds_paid) = tenant.ended() else { continue };
            if let Err(error) = fs::remove_dir_all(&tenant.folder) {
                self.ground.trouble(Some(id), &error);
            }
            self.ground.tell(ProviderEvent::Ended { rental: id, seconds_paid });
        }
    }
}

/// The first rental that was not looked at yet.
fn cursor(config: &ProviderConfig) -> io::Result<u64> {
    match fs::read_to_string(config.state_dir.join(CURSOR_FILE)) {
        Ok(text) => text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no number")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(1),
        Err(error) => Err(error),
    }
}
