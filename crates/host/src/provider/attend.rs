//! One run of a rented app: bundle, policy, launch, and then attaching, claiming and keeping its log until something changes.

use std::{net::SocketAddr, sync::Arc};

use freehold_bundle::{Bundle, LogVisibility};
use freehold_primitives::Digest;
use freehold_rpc::{RefusalCode, RentalRefusal, RentalStage};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    config::ProviderConfig,
    event::ProviderEvent,
    fetch::{FetchFailure, bring},
    policy::Refusal,
    record::{Order, Record},
    rounds::{Ground, now_ms},
    tenant::Tenant,
};
use crate::{
    bundle::bundled_app,
    config::{App, AppOwner, HostConfig, IsolationChoice, PolicyChoice},
    error::HostError,
    event::HostEvent,
    host::Host,
    ingress::Ingress,
    logs::sealed_record,
};

/// Why a run ended that nobody asked to end.
pub(crate) enum ServeFailure {
    /// It is not run, before something is changed.
    Refused(Refusal),
    /// It is tried again.
    Trouble(String),
}

impl From<Refusal> for ServeFailure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<FetchFailure> for ServeFailure {
    fn from(failure: FetchFailure) -> Self {
        match failure {
            FetchFailure::Refused(refusal) => Self::Refused(refusal),
            FetchFailure::Later(message) => Self::Trouble(message),
        }
    }
}

impl From<HostError> for ServeFailure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Bundle(error) => Self::Refused(Refusal::Bundle(error)),
            error @ (HostError::CannotRun { .. } | HostError::NoIsolation { .. } | HostError::NoRuntime { .. }) => {
                Self::Refused(Refusal::CannotRun(error))
            }
            error => Self::Trouble(error.to_string()),
        }
    }
}

/// Runs what was ordered until something changes.
pub(crate) async fn serve(
    ground: &Arc<Ground>,
    tenant: &Tenant,
    record: &Record,
    order: &Order,
) -> Result<(), ServeFailure> {
    tenant.show(|shown| (shown.stage, shown.reason) = (RentalStage::Fetching, None));
    let policy = &ground.config.policy;
    let bundles = tenant.folder.join("bundles");
    let bundle = tokio::select! {
        bundle = bring(order, policy, &ground.client, &bundles) => bundle?,
        () = tenant.disturbed(ground, record.revision) => return Ok(()),
    };
    let (rental, digest, bytes) = (record.rental, bundle.digest(), bundle.bytes());
    policy.admits_bundle(&bundle, &tenant.wish)?;
    ground.tell(ProviderEvent::Brought { rental, bundle: digest, bytes });
    let has_public_log = bundle.manifest().additions.logs == LogVisibility::Public;
    tenant.show(|shown| (shown.stage, shown.has_public_log) = (RentalStage::Starting, has_public_log));
    let app = app(bundle, tenant, &ground.config).await?;
    let (events, heard) = mpsc::unbounded_channel();
    let host = tokio::select! {
        host = start(ground, tenant, record, app, &events) => host?,
        () = tenant.disturbed(ground, record.revision) => return Ok(()),
    };
    tenant.note_start(host.api()).map_err(|error| ServeFailure::Trouble(error.to_string()))?;
    let ingress = ground.ingress.as_ref().map(Ingress::address);
    tenant.show(|shown| (shown.api, shown.ingress) = (Some(host.api()), ingress));
    let mut attending = Attending { ground, tenant, rental, instance: None, attached: None, is_serving: false };
    attending.attend(heard, record.revision).await;
    // Before its lease is closed, so that no block must be shown. Where the rental is over, nothing is attached any more.
    if tenant.ended().is_none()
        && let Err(error) = ground.market.free(rental).await
    {
        ground.trouble(Some(rental), &error);
    }
    host.stop().await;
    tenant.show(|shown| (shown.instance, shown.api, shown.answers) = (None, None, false));
    ground.tell(ProviderEvent::Stopped { rental });
    Ok(())
}

async fn app(bundle: Bundle, tenant: &Tenant, config: &ProviderConfig) -> Result<App, ServeFailure> {
    let (folder, wish) = (tenant.folder.join("app"), tenant.wish);
    let (backend, vm, models) = (config.containers.clone(), config.vm.clone(), config.models.clone());
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder).map_err(HostError::system("the app's folder cannot be made", &folder))?;
        // What earlier bundles unpacked is nobody's any more.
        let unpacked = folder.join("unpacked");
        if unpacked.exists() {
            std::fs::remove_dir_all(&unpacked).map_err(HostError::system("old files cannot be removed", &unpacked))?;
        }
        if let Some(vm) = vm {
            return vm.app(&bundle, &folder, &wish);
        }
        // Strangers' programs, beside one another: not under the lesser sandbox.
        let mut app = bundled_app(&bundle, &folder, IsolationChoice::Bubblewrap, &backend, models.as_deref())?;
        if let App::Containers(containers) = &mut app {
            containers.seal_logs();
        }
        Ok::<App, HostError>(app)
    });
    Ok(made.await.map_err(|error| ServeFailure::Trouble(error.to_string()))??)
}

/// Starts the app on the port that it had before, or on any where that is taken.
async fn start(
    ground: &Ground,
    tenant: &Tenant,
    record: &Record,
    app: App,
    events: &mpsc::UnboundedSender<HostEvent>,
) -> Result<Host, HostError> {
    let config = &ground.config;
    let host_config = HostConfig {
        node: config.node.clone(),
        network_key: config.network_key,
        genesis: config.genesis.clone(),
        data_dir: tenant.folder.join("app"),
        runtime_dir: None,
        owner: AppOwner::Other(record.app_id),
        provider: Arc::clone(&config.provider),
        tee: config.tee,
        vendors: config.vendors.clone(),
        guest: config.guest.clone(),
        app,
        policy: PolicyChoice::Keep,
        api: SocketAddr::new(config.api, record.api_port.unwrap_or(0)),
        ingress: ground.ingress.clone(),
        lease_s: config.genesis.lease_s,
        allowance_wei: config.allowance_wei,
    };
    match Host::start(host_config.clone(), events.clone()).await {
        Err(HostError::Bind { .. }) if record.api_port.is_some() => {
            let any = HostConfig { api: SocketAddr::new(config.api, 0), ..host_config };
            Host::start(any, events.clone()).await
        }
        started => started,
    }
}

/// A run that is under way.
struct Attending<'a> {
    ground: &'a Ground,
    tenant: &'a Tenant,
    rental: u64,
    /// The instance that registered last.
    instance: Option<Digest>,
    /// The one that counts for the rental.
    attached: Option<Digest>,
    is_serving: bool,
}

impl Attending<'_> {
    async fn attend(&mut self, mut heard: mpsc::UnboundedReceiver<HostEvent>, revision: u64) {
        let mut look = interval(self.ground.config.look_every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut claim_at = Instant::now() + self.ground.config.claim_every;
        let disturbed = self.tenant.disturbed(self.ground, revision);
        tokio::pin!(disturbed);
        loop {
            tokio::select! {
                Some(event) = heard.recv() => self.hear(event),
                _ = look.tick() => {
                    self.attach().await;
                    if self.attached.is_some() && Instant::now() >= claim_at {
                        claim_at = Instant::now() + self.ground.config.claim_every;
                        self.claim().await;
                    }
                }
                () = &mut disturbed => return,
            }
        }
    }

    fn hear(&mut self, event: HostEvent) {
        let tenant = self.tenant;
        match event {
            HostEvent::RegistrationSubmitted { instance_id, .. } => self.instance = Some(instance_id),
            HostEvent::GuestServing { .. } => {
                self.is_serving = true;
                let instance = self.instance;
                tenant.show(|shown| {
                    (shown.stage, shown.reason, shown.instance) = (RentalStage::Serving, None, instance);
                });
                if let (Some(instance_id), Some(api)) = (instance, tenant.report().api) {
                    self.ground.tell(ProviderEvent::Serving { rental: self.rental, instance_id, api });
                }
            }
            HostEvent::AppReady => tenant.show(|shown| shown.answers = true),
            HostEvent::AppExited { .. } | HostEvent::AppEnded { .. } => tenant.show(|shown| shown.answers = false),
            HostEvent::GuestExited { .. } => {
                (self.is_serving, self.instance) = (false, None);
                tenant.show(|shown| {
                    (shown.stage, shown.instance, shown.answers) = (RentalStage::Starting, None, false);
                });
            }
            HostEvent::StorageExceeded { bytes_max, .. } => {
                let message = format!(
                    "it keeps more than {} MiB below /storage and was ended: it starts again when it keeps less",
                    bytes_max >> 20
                );
                self.ground.tell(ProviderEvent::Trouble { rental: Some(self.rental), message: message.clone() });
                let reason = RentalRefusal { code: RefusalCode::Disk, message };
                tenant.show(|shown| (shown.answers, shown.reason) = (false, Some(reason)));
            }
            HostEvent::RegistrationRefused { reason, .. } => {
                let message = format!("the chain refuses the registration: {reason}");
                self.ground.tell(ProviderEvent::Trouble { rental: Some(self.rental), message: message.clone() });
                let reason = RentalRefusal { code: RefusalCode::Registration, message };
                tenant.show(|shown| shown.reason = Some(reason));
            }
            HostEvent::AppLog { line, .. } => tenant.keep_line(now_ms(), sealed_record(&line)),
            HostEvent::AppLogDropped { lines } => tenant.drop_lines(lines),
            HostEvent::Trouble { message } => {
                self.ground.tell(ProviderEvent::Trouble { rental: Some(self.rental), message });
            }
            _ => {}
        }
    }

    /// Has the instance that serves count for the rental.
    async fn attach(&mut self) {
        let Some(instance_id) = self.instance.filter(|_| self.is_serving) else { return };
        if self.attached == Some(instance_id) {
            return;
        }
        match self.ground.market.attach(self.rental, instance_id).await {
            Ok(()) => {
                self.attached = Some(instance_id);
                self.ground.tell(ProviderEvent::Attached { rental: self.rental, instance_id });
            }
            Err(error) => self.ground.trouble(Some(self.rental), &error),
        }
    }

    async fn claim(&self) {
        let claimed = async {
            self.ground.market.claim(self.rental).await?;
            self.ground.market.rental(self.rental).await
        };
        match claimed.await {
            Ok(now) => {
                self.ground.count_claim();
                let seconds_paid = now.seconds_paid;
                self.ground.tell(ProviderEvent::Claimed { rental: self.rental, seconds_paid });
            }
            Err(error) => self.ground.trouble(Some(self.rental), &error),
        }
    }
}
