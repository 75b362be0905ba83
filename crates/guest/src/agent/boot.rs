//! Boot: keys, sources and sockets, before anything is asked of the chain.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use axum::Router;
use freehold_crypto::AccountKey;
use freehold_rpc::{BareHex, Endorsement, EndorsementWanted, Endpoint, HttpClient, NodeClient, VerifiedClient};
use rustix::fs::{FlockOperation, flock};
use tokio::{
    net::UnixListener,
    runtime::Handle,
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{Guest, GuestError};
use crate::{
    api::{Caller, environment_router, router},
    config::{EvidencePath, Settings},
    events::Subscriptions,
    evidence::{
        ConfigfsSource, EndorsedSource, EvidenceError, EvidenceSource, MEASUREMENTS_ROOT, QuoteService, Rtmr3,
        SNP_PROVIDER, SocketSource, TDX_GUEST_DEVICE, TDX_PROVIDER, Wanted,
    },
    fetch::Fetcher,
    keys::BootKeys,
    metadata::Metadata,
    owner::OwnerSettings,
    peers::Peers,
    seen::SeenFile,
    sender::AccountSender,
    state::{Input, Lifecycle},
    state_disk::StateDisk,
};

/// Makes everything but the identity, and takes the state directory for itself while the second value lives.
pub(super) fn prepare(settings: Settings, inputs: mpsc::Sender<Input>) -> Result<(Arc<Guest>, File), GuestError> {
    let lock = lock_dir(&settings.paths.state_dir)?;
    let seen = SeenFile::new(&settings.paths.state_dir, settings.chain.genesis_hash);
    let floor = seen.load()?;
    let keys = BootKeys::generate().map_err(|error| GuestError::Randomness(Box::new(error)))?;
    let control = HttpClient::new(Endpoint::Unix(settings.paths.control.clone()));
    let source = evidence_source(&settings.paths.evidence, &control)?;
    measure_boot(&settings, source.provider())?;
    let wanted = Wanted::new(settings.trust_domain, &settings.genesis.trust_roots);
    let quotes = QuoteService::start(source, wanted)
        .map_err(|source| GuestError::System { what: "no thread for quotes can be started", source })?;
    let node = NodeClient::new(Endpoint::Unix(settings.paths.chain.clone()));
    let chain = VerifiedClient::new(node, settings.chain);
    let key = AccountKey::from_bytes(&keys.account.to_bytes()).expect("a key's own bytes are a key");
    let sender = Arc::new(AccountSender::new(chain.clone(), key));
    let disk = Arc::new(StateDisk::new(settings.paths.state_disk.clone()));
    let fetcher = Fetcher::new(settings.paths.egress.clone());
    let guest = Guest {
        settings,
        keys,
        chain,
        sender,
        seen,
        kept: OnceLock::new(),
        disk,
        floor,
        submitted: Mutex::default(),
        inputs,
        control,
        quotes,
        fetcher,
        life: Mutex::new(Lifecycle::above(floor)),
        identity: OnceLock::new(),
        serving: OnceLock::new(),
        metadata: Metadata::default(),
        owner: OwnerSettings::default(),
        peers: Peers::default(),
        subscriptions: Subscriptions::default(),
        emitted: Mutex::default(),
        trouble: Mutex::new(None),
        granted: Mutex::new(None),
        committees: crate::release::Committees::default(),
        ledger: OnceLock::new(),
        appended: Arc::new(Notify::new()),
    };
    Ok((Arc::new(guest), lock))
}

fn evidence_source(path: &EvidencePath, control: &HttpClient) -> Result<Box<dyn EvidenceSource>, EvidenceError> {
    Ok(match path {
        EvidencePath::Socket(path) => Box::new(SocketSource::connect(path)?),
        EvidencePath::Configfs(root) => {
            let source = ConfigfsSource::open(root)?;
            if source.provider() == SNP_PROVIDER {
                Box::new(EndorsedSource::new(Box::new(source), from_host(control.clone())))
            } else {
                Box::new(source)
            }
        }
    })
}

/// Asks the host for the certificate of a report's key, from the thread that takes evidence.
fn from_host(control: HttpClient) -> impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static {
    let runtime = Handle::current();
    move |report| {
        let wanted = EndorsementWanted { report: BareHex(report.to_vec()) };
        match runtime.block_on(control.post_json::<Endorsement>("/v1/endorsement", &wanted)) {
            Ok(endorsement) => Some(endorsement.certificate.0),
            Err(error) => {
                tracing::warn!(%error, "the host brings no certificate for the report");
                None
            }
        }
    }
}

/// In a TD on hardware the guest itself extends RTMR3 by its event log, before any evidence is asked for. The emulator
/// and SEV-SNP, which has no such register, measure the app at launch.
fn measure_boot(settings: &Settings, provider: &str) -> Result<(), EvidenceError> {
    let is_td = matches!(settings.paths.evidence, EvidencePath::Configfs(_)) && provider == TDX_PROVIDER;
    if is_td && !settings.event_log.is_empty() {
        let register = Rtmr3::open(Path::new(MEASUREMENTS_ROOT), Path::new(TDX_GUEST_DEVICE))?;
        register.measure(&settings.event_log)?;
    }
    Ok(())
}

fn lock_dir(dir: &Path) -> Result<File, GuestError> {
    let failed = |source| GuestError::System { what: "the state directory cannot be used", source };
    fs::create_dir_all(dir).map_err(failed)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).to_owned();
    let file = options.open(dir.join("lock")).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(GuestError::Locked(dir.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Binds the local API's sockets and serves them: those of the services first, since who finds the app's finds all.
pub(super) fn serve_api(guest: &Arc<Guest>, tasks: &mut JoinSet<()>) -> Result<(), GuestError> {
    let paths = &guest.settings.paths;
    for service in &paths.services {
        let caller = Caller::Service(service.name.as_str().into());
        serve_on(&service.socket, router(Arc::clone(guest), caller), tasks)?;
    }
    for service in &paths.environments {
        serve_on(&service.socket, environment_router(Arc::clone(guest), service.clone()), tasks)?;
    }
    serve_on(&paths.local_api, router(Arc::clone(guest), Caller::App), tasks)
}

fn serve_on(path: &Path, app: Router, tasks: &mut JoinSet<()>) -> Result<(), GuestError> {
    let bound = (|| {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    })();
    let listener =
        bound.map_err(|source| GuestError::System { what: "the local API's socket cannot be bound", source })?;
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the local API ended");
        }
    });
    Ok(())
}
