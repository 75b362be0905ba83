//! `app run`: build, measure, register and run an app on this machine, and again at each change of its files.
//!
//! It acts for two accounts of a development network, and says so first. Not here: machines of others.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{Bundle, build_bundle};
use freehold_host::{
    App, AppOwner, BareAccel, ContainerBackend, EmulatedTee, GuestProgram, HardwareTee, Host, HostConfig, HostEvent,
    Ingress, IsolationChoice, LogStream, Payer, PolicyChoice, VmAccel, VmApp, VmRun, bundled_app,
};
use freehold_image::{Accel, VmShape, usable_accel};
use freehold_primitives::{Genesis, NetworkKey, Purpose};
use freehold_rpc::{Endpoint, NodeClient};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::{
    network::Network,
    note::IngressNote,
    registers,
    snapshot::{STATE_DISK, aside},
    watch::changed,
};
use crate::{
    accounts,
    args::{AccelArg, AppRunArgs, LauncherArg, SandboxArg, StateDiskArg, TeeArg, VmArgs},
    commands::image::{assembled, models_of},
    data_dir::Held,
    output::Output,
    stack,
};

/// Development account that owns apps which are run here.
pub(super) const OWNER: u32 = 18;
/// Development account that pays for their instances.
const PROVIDER: u32 = 19;
/// Longest way to a serving instance, and that of one in a VM that software emulates.
const SERVING_WAIT: Duration = Duration::from_secs(120);
const SERVING_WAIT_VM: Duration = Duration::from_secs(300);
/// Name of the VM image in the app's folder.
const IMAGE_FOLDER: &str = "image";
/// What to do where the state disk does not open.
const DISK_HINT: &str = "Bring the right disk back (`freehold app restore`), or begin with an empty one, which keeps the old disk \
                         beside it: --state-disk new";
/// Gas allowance that an instance's account is kept at, in wei: a tenth of a unit.
const ALLOWANCE_WEI: u128 = accounts::UNIT / 10;

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    Starting,
    Serving,
    Refused(String),
}

/// What every build of one run shares.
struct Session {
    args: AppRunArgs,
    /// Folder of the network, below which the app's is.
    folder: PathBuf,
    node: Endpoint,
    network_key: NetworkKey,
    genesis: Genesis,
    output: Output,
    /// The port for TLS, where one is asked for.
    ingress: Option<Ingress>,
    /// Whether the state disk was set aside: once, not at every build.
    is_renewed: AtomicBool,
}

/// Runs the command.
pub(super) async fn run(args: AppRunArgs, output: Output) -> Result<ExitCode> {
    let Network { folder, node, network_key, genesis } = Network::find(&args.network).await?;
    if genesis.purpose == Purpose::Production {
        bail!("`app run` acts for accounts whose secrets everybody knows: it is for development networks alone");
    }
    tell_signing(&args, output)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let ingress = match args.ingress {
        Some(address) => Some(Ingress::bind(address, args.ingress_http).await?),
        None => None,
    };
    let is_renewed = AtomicBool::new(false);
    let session = Session { args, folder, node, network_key, genesis, output, ingress, is_renewed };
    let mut asked = std::pin::pin!(crate::commands::asked_to_stop());
    let host = session.builds(&mut asked).await?;
    output.text("stopping");
    if let Some(host) = host {
        host.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

impl Session {
    /// Runs build after build until it is asked to stop; then the host that runs, if one does.
    async fn builds(&self, asked: &mut (impl Future<Output = Result<()>> + Unpin)) -> Result<Option<Host>> {
        let mut held: Option<Held> = None;
        loop {
            let fresh = tempfile::tempdir().context("no place for the bundle")?;
            let bundle = match build_bundle(&self.args.folder, &fresh.path().join("bundle")) {
                Ok(bundle) => bundle,
                Err(error) if held.is_none() => return Err(error.into()),
                Err(error) => {
                    // A file that is being written is looked at again.
                    self.output.warn(&format!("{error}; waiting for a change"));
                    tokio::select! {
                        stop = &mut *asked => return stop.map(|()| None),
                        () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                    }
                }
            };
            let place = app_folder(&self.folder, &bundle.manifest().name);
            if held.as_ref().is_none_or(|held| !held.path().ends_with(&bundle.manifest().name)) {
                held = Some(Held::take(&place)?);
            }
            let host = tokio::select! {
                host = self.start(&bundle, &place) => host?,
                stop = &mut *asked => return stop.map(|()| None),
            };
            tokio::select! {
                () = changed(&self.args.folder, &bundle), if !self.args.once => {}
                stop = &mut *asked => return stop.map(|()| Some(host)),
            }
            host.stop().await;
            self.output.step("change", "the app's files changed: building and starting anew");
        }
    }

    /// Starts one build of the app; it serves then.
    async fn start(&self, bundle: &Bundle, place: &Path) -> Result<Host> {
        let (events, heard) = mpsc::unbounded_channel();
        let (progress, mut seen) = watch::channel(Progress::Starting);
        tokio::spawn(tell(heard, progress, self.output));
        let app = self.app(bundle, place)?;
        let host = Host::start(self.host_config(app, place)?, events).await?;
        let begun = seen.wait_for(|progress| *progress != Progress::Starting);
        let wait = if self.args.launcher == LauncherArg::Qemu { SERVING_WAIT_VM } else { SERVING_WAIT };
        let progress = match tokio::time::timeout(wait, begun).await {
            Ok(Ok(progress)) => progress.clone(),
            Ok(Err(_)) => Progress::Refused("the host ended".to_owned()),
            Err(_) => Progress::Refused(format!("the instance did not serve within {} s", wait.as_secs())),
        };
        if let Progress::Refused(reason) = progress {
            host.stop().await;
            bail!("{reason}");
        }
        let (api, app_id) = (host.api(), host.app_id());
        let ingress = self.ingress.as_ref().map(Ingress::address);
        if let Some(address) = ingress {
            IngressNote { address, app_id }.save(place)?;
        }
        self.output.object(&json!({
            "event": "ready",
            "api": format!("http://{api}"),
            "ingress": ingress,
            "app_id": app_id,
            "digest": bundle.digest(),
            "data_dir": place,
            "local_api": host.local_api().to_string(),
        }));
        self.output.text(&format!("\nready\n  api   http://{api}\n  app   {app_id}\nCtrl-C stops.\n"));
        Ok(host)
    }

    /// What the host runs of a build: the bundle itself, or a VM image of it.
    fn app(&self, bundle: &Bundle, place: &Path) -> Result<App> {
        let isolation = match self.args.sandbox {
            _ if self.args.no_sandbox => IsolationChoice::None,
            SandboxArg::Auto => IsolationChoice::Required,
            SandboxArg::Bwrap => IsolationChoice::Bubblewrap,
            SandboxArg::Landlock => IsolationChoice::Landlock,
            SandboxArg::None => IsolationChoice::None,
        };
        match self.args.launcher {
            LauncherArg::Direct => {
                let runtime = ContainerBackend::Direct(self.args.oci_runtime.clone());
                let backend = self.args.containerd.clone().map_or(runtime, ContainerBackend::Containerd);
                Ok(bundled_app(bundle, place, isolation, &backend, models_of(&self.args.vm.parts).as_deref())?)
            }
            LauncherArg::Qemu => self.vm(bundle, place),
        }
    }

    fn vm(&self, bundle: &Bundle, place: &Path) -> Result<App> {
        let VmArgs { parts, shape, accel, tee, state_disk } = &self.args.vm;
        let (folder, state) = (&place.join(IMAGE_FOLDER), place.join(STATE_DISK));
        if *state_disk == StateDiskArg::New && !self.is_renewed.swap(true, Ordering::Relaxed) {
            self.set_aside(&state)?;
        }
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let image = assembled(bundle, parts, Some(folder))?;
        image.write(folder)?;
        let accel = match accel {
            AccelArg::Auto if usable_accel(folder) == Accel::Tcg => VmAccel::Emulated(BareAccel::Tcg),
            AccelArg::Auto | AccelArg::Kvm => VmAccel::Emulated(BareAccel::Kvm),
            AccelArg::Tcg => VmAccel::Emulated(BareAccel::Tcg),
            AccelArg::Tdx => VmAccel::Tee(tee.vm(HardwareTee::Tdx)?),
            AccelArg::Snp => VmAccel::Tee(tee.vm(HardwareTee::Snp)?),
        };
        let software = accel == VmAccel::Emulated(BareAccel::Tcg);
        let by = match &accel {
            VmAccel::Emulated(BareAccel::Tcg) => "software emulation",
            VmAccel::Emulated(BareAccel::Kvm) => "KVM",
            VmAccel::Tee(tee) if tee.hardware() == HardwareTee::Tdx => "KVM as a TD, whose evidence Intel vouches for",
            VmAccel::Tee(_) => "KVM as an SEV-SNP guest, whose evidence AMD vouches for",
        };
        let shape = VmShape::new(shape.cpus, shape.memory_mib)?;
        let app = VmApp::new(bundle, VmRun { image: folder.clone(), state, accel, shape })?;
        let [kernel, initrd, disk] = [image.kernel.len(), image.initrd.len(), image.disk.len()];
        let sizes = (kernel + initrd + disk) / 1_000_000;
        self.output.step("image", &format!("{}, {sizes} MB, booted by {by}", image.digest()));
        self.output.object(&json!({
            "event": "image", "digest": image.digest(), "image": folder, "software": software, "kernel_bytes": kernel,
            "initrd_bytes": initrd, "disk_bytes": disk,
        }));
        Ok(App::Vm(Box::new(app)))
    }

    /// Moves a state disk out of the way, so that a new one is made; nothing is deleted.
    fn set_aside(&self, state: &Path) -> Result<()> {
        if let Some(aside) = aside(state)? {
            self.output.step("state", &format!("the old disk is kept as {}", aside.display()));
            self.output.object(&json!({ "event": "state_disk_set_aside", "path": aside }));
        }
        Ok(())
    }

    fn host_config(&self, app: App, place: &Path) -> Result<HostConfig> {
        let Self { args, genesis, .. } = self;
        let executable = std::env::current_exe().context("this program's own file cannot be found")?;
        let (pay, chain_id) = (NodeClient::new(self.node.clone()), genesis.chain_id);
        Ok(HostConfig {
            node: self.node.clone(),
            network_key: self.network_key,
            lease_s: genesis.lease_s,
            genesis: genesis.clone(),
            data_dir: place.to_owned(),
            runtime_dir: None,
            owner: AppOwner::Own(Payer::new(pay.clone(), accounts::user(OWNER)?, chain_id)),
            provider: Payer::new(pay, accounts::user(PROVIDER)?, chain_id),
            vendors: args.vm.tee.sources(),
            tee: match args.tee {
                TeeArg::Tdx => EmulatedTee::Tdx,
                TeeArg::Snp => EmulatedTee::Snp,
            },
            guest: GuestProgram { executable, arguments: vec!["guest".to_owned()] },
            app,
            policy: match (args.keep_policy, args.add_to_policy) {
                (true, _) => PolicyChoice::Keep,
                (false, true) => PolicyChoice::Add,
                (false, false) => PolicyChoice::Follow,
            },
            api: args.api,
            ingress: self.ingress.clone(),
            allowance_wei: ALLOWANCE_WEI,
        })
    }
}

/// Where the host of an app keeps its files, by the app's name.
pub(super) fn app_folder(network: &Path, name: &str) -> PathBuf {
    network.join("apps").join(name)
}

/// What is signed, by whom, and what it costs: before anything happens.
fn tell_signing(args: &AppRunArgs, output: Output) -> Result<()> {
    let (owner, provider) = (accounts::user(OWNER)?.account(), accounts::user(PROVIDER)?.account());
    output.object(&json!({
        "event": "signing",
        "owner": owner,
        "provider": provider,
        "allowance_wei": ALLOWANCE_WEI.to_string(),
        "dry_run": args.dry_run,
    }));
    let policy = match (args.keep_policy, args.add_to_policy) {
        (true, _) => "leaves the policy as it is",
        (false, true) => "admits what runs here too",
        (false, false) => "keeps the policy at what runs here",
    };
    output.text(&format!(
        "signs as owner     {owner} (development account {OWNER}): creates the app once, {policy}\n\
         pays as provider   {provider} (development account {PROVIDER}): gas of each registration and renewal, and an\n\
         {:18} allowance of 0.1 units for each instance's own account\n",
        ""
    ));
    Ok(())
}

/// Tells what happens, passes the app's own words on, and notes how far it has come.
async fn tell(mut heard: mpsc::UnboundedReceiver<HostEvent>, progress: watch::Sender<Progress>, output: Output) {
    while let Some(event) = heard.recv().await {
        match event {
            HostEvent::AppLog { service, stream, line } => {
                let name = if stream == LogStream::Output { "out" } else { "err" };
                output.object(&json!({ "event": "log", "service": service, "stream": name, "line": line }));
                let who = service.map_or_else(String::new, |service| format!("{service} "));
                output.text(&format!("{who}{name} | {}", plain(&line)));
            }
            HostEvent::ServiceStarted { service, .. } => {
                output.object(&json!({ "event": "service", "service": service, "state": "started" }));
                output.step(&service, "container started");
            }
            HostEvent::ServiceHealth { service, is_healthy } => {
                let state = if is_healthy { "healthy" } else { "unhealthy" };
                output.object(&json!({ "event": "service", "service": service, "state": state }));
                output.step(&service, state);
            }
            HostEvent::ServiceExited { service, code, restart_in } => tell_exited(&service, code, restart_in, output),
            HostEvent::Measured { guest, app, model, measurement } => {
                output.object(&json!({ "event": "measured", "measurement": registers(&measurement) }));
                stack::tell_event(HostEvent::Measured { guest, app, model, measurement }, output);
            }
            HostEvent::VmSaid { line } => {
                output.object(&json!({ "event": "console", "line": line }));
                output.text(&format!("vm | {}", plain(&line)));
            }
            HostEvent::StateDiskRefused { reason } => {
                output.object(&json!({ "event": "state_disk_refused", "reason": reason }));
                refuse(&progress, format!("{reason}.\n{DISK_HINT}"));
            }
            HostEvent::StorageExceeded { used_bytes, bytes_max } => tell_exceeded(used_bytes, bytes_max, output),
            HostEvent::AppLogDropped { lines } => output.warn(&format!("the app says too much: {lines} lines dropped")),
            HostEvent::IngressOffered { address, names } => {
                output.step("ingress", &format!("TLS at {address} for {}", names.join(", ")));
                output.object(&json!({ "event": "ingress", "address": address, "names": names }));
            }
            HostEvent::AppStarted { pid, isolation } => {
                let (name, gaps) = (isolation.as_str(), isolation.gaps());
                output.object(&json!({ "event": "app", "pid": pid, "isolation": name, "gaps": gaps }));
                stack::tell_event(HostEvent::AppStarted { pid, isolation }, output);
                gaps.iter().for_each(|gap| output.text(&format!("  under {name}: {gap}")));
            }
            HostEvent::GuestStarted { pid } => output.object(&json!({ "event": "guest", "pid": pid })),
            HostEvent::AppReady => output.step("app", "answers on its socket"),
            HostEvent::AppEnded { code } => {
                output.object(&json!({ "event": "ended", "code": code }));
                output.text(&format!("the app ended ({code:?}), and its manifest starts it no more"));
            }
            HostEvent::GuestServing { expires_at } => {
                stack::tell_event(HostEvent::GuestServing { expires_at }, output);
                progress.send_replace(Progress::Serving);
            }
            HostEvent::RegistrationSubmitted { instance_id, tx_hash } => {
                output.object(&json!({ "event": "registration", "instance_id": instance_id, "tx_hash": tx_hash }));
                stack::tell_event(HostEvent::RegistrationSubmitted { instance_id, tx_hash }, output);
            }
            HostEvent::RegistrationRefused { instance_id, reason } => {
                let said = format!("the chain refused the registration: {reason}");
                stack::tell_event(HostEvent::RegistrationRefused { instance_id, reason }, output);
                refuse(&progress, said);
            }
            event => stack::tell_event(event, output),
        }
    }
}

/// Says that the app keeps too much.
fn tell_exceeded(used_bytes: u64, bytes_max: u64, output: Output) {
    output.object(&json!({ "event": "storage_exceeded", "used_bytes": used_bytes, "bytes_max": bytes_max }));
    output.warn(&format!(
        "the app keeps more than {bytes_max} bytes below /storage and was ended: raise resources.storage.size, or remove \
         files; it starts again when it keeps less"
    ));
}

/// Notes that it does not come to serve, where it does not yet.
fn refuse(progress: &watch::Sender<Progress>, said: String) {
    progress.send_if_modified(|progress| {
        let first = *progress == Progress::Starting;
        if first {
            *progress = Progress::Refused(said);
        }
        first
    });
}

fn tell_exited(service: &str, code: Option<i32>, restart_in: Option<Duration>, output: Output) {
    output.object(&json!({ "event": "service", "service": service, "state": "exited", "code": code }));
    match restart_in {
        Some(pause) => output.warn(&format!("{service} ended ({code:?}); it starts again in {pause:?}")),
        None => output.step(service, &format!("ended ({code:?})")),
    }
}

/// A stranger's line for a terminal: nothing in it moves the cursor or changes a colour.
pub(super) fn plain(line: &str) -> String {
    line.chars().map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter }).collect()
}
