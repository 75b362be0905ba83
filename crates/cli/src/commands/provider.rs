//! `host run`: a provider's machine, by a file that says what it serves (`docs/market.md`).

mod check;
mod vm;

use std::{
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use freehold_host::{
    ContainerBackend, GuestProgram, OciRuntime, Payer, Provider, ProviderConfig, ProviderEvent, ProviderPolicy,
};
use freehold_primitives::NetworkKey;
use freehold_rpc::NodeClient;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

pub(super) use self::check::run as check;
use self::vm::VmSection;
use super::{app::Network, sender::account_secret};
use crate::{
    accounts,
    args::{HostRunArgs, NetworkArgs},
    data_dir::Held,
    output::Output,
};

/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Where a containerd listens, where nothing is said.
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// Gas allowance that an instance's account is kept at, in wei: a tenth of a unit.
const ALLOWANCE_WEI: u128 = accounts::UNIT / 10;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostFile {
    data_dir: Option<PathBuf>,
    #[serde(default = "chain_id")]
    chain_id: u64,
    rpc: Option<String>,
    network_key: Option<NetworkKey>,
    key: Option<PathBuf>,
    dev_user: Option<u32>,
    state_dir: PathBuf,
    #[serde(default = "listen")]
    listen: SocketAddr,
    #[serde(default = "api")]
    api: IpAddr,
    ingress: Option<SocketAddr>,
    ingress_http: Option<SocketAddr>,
    models: Option<PathBuf>,
    #[serde(default)]
    tee: Tee,
    #[serde(default = "look_every_ms")]
    look_every_ms: u64,
    #[serde(default = "claim_every_s")]
    claim_every_s: u64,
    #[serde(default)]
    backend: Backend,
    #[serde(default)]
    vm: VmSection,
    #[serde(default)]
    policy: ProviderPolicy,
}

/// What runs containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Backend {
    kind: BackendKind,
    oci_runtime: Option<OciRuntime>,
    containerd_socket: Option<PathBuf>,
}

/// What calls the runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BackendKind {
    #[default]
    Direct,
    Containerd,
}

impl Backend {
    fn chosen(&self) -> Result<ContainerBackend> {
        match (self.kind, &self.oci_runtime, &self.containerd_socket) {
            (BackendKind::Direct, runtime, None) => Ok(ContainerBackend::Direct(runtime.clone().unwrap_or_default())),
            (BackendKind::Containerd, None, socket) => {
                Ok(ContainerBackend::Containerd(socket.clone().unwrap_or_else(|| CONTAINERD_SOCKET.into())))
            }
            _ => bail!(
                "[backend]: `oci_runtime` belongs to kind = \"direct\", `containerd_socket` to kind = \"containerd\""
            ),
        }
    }
}

/// Which TEE the emulator plays.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tee {
    #[default]
    Tdx,
    Snp,
}

const fn chain_id() -> u64 {
    23_293
}

const fn listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090)
}

const fn api() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn look_every_ms() -> u64 {
    1_000
}

const fn claim_every_s() -> u64 {
    3_600
}

/// Runs the command.
pub(super) async fn run(args: HostRunArgs, output: Output) -> Result<ExitCode> {
    let file = HostFile::read(&args.config)?;
    let held = Held::take(&file.state_dir)?;
    let config = config(file, &held).await?;
    let provider_account = config.provider.account();
    let stores = config.policy.stores.clone();
    let (events, heard) = mpsc::unbounded_channel();
    tokio::spawn(tell(heard, output));
    let provider = Provider::start(config, events).await?;
    let listen = provider.listen();
    output.object(&json!({
        "event": "ready", "listen": format!("http://{listen}"), "ingress": provider.ingress(), "provider": format!("0x{provider_account}"),
        "state_dir": held.path(), "stores": stores,
    }));
    output.text(&format!("serving the offers of 0x{provider_account}; commands at http://{listen}; Ctrl-C stops"));
    provider
        .run(async {
            let _asked = super::asked_to_stop().await;
        })
        .await;
    output.text("stopped; rentals go on unserved and unpaid until the next start");
    Ok(ExitCode::SUCCESS)
}

impl HostFile {
    /// Reads the file; paths in it begin at its folder.
    fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        read.with_context(|| format!("cannot read {}: an example is docs/host.toml", path.display()))?;
        let mut file: Self = toml::from_str(&text).with_context(|| format!("{} is refused", path.display()))?;
        if !(100..=60_000).contains(&file.look_every_ms) || file.claim_every_s == 0 {
            bail!("{}: look_every_ms is 100 to 60000, claim_every_s at least 1", path.display());
        }
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let below = |given: &mut PathBuf| *given = folder.join(&given);
        below(&mut file.state_dir);
        file.vm.paths().into_iter().flatten().for_each(below);
        file.policy.stores.iter_mut().for_each(below);
        [&mut file.data_dir, &mut file.key, &mut file.models].into_iter().flatten().for_each(below);
        Ok(file)
    }
}

async fn config(file: HostFile, held: &Held) -> Result<ProviderConfig> {
    let account = match (file.dev_user, &file.key) {
        (Some(_), Some(_)) => bail!("the file names both `key` and `dev_user`: name one account"),
        (Some(index), None) => accounts::user(index)?,
        (None, key) => account_secret(key.as_deref())?,
    };
    if file.rpc.is_some() != file.network_key.is_some() {
        bail!("`rpc` and `network_key` belong together: what a node says is believed under that key alone");
    }
    let asked = NetworkArgs {
        data_dir: file.data_dir.clone(),
        chain_id: file.chain_id,
        rpc: file.rpc.map(|rpc| rpc.parse()).transpose()?,
        network_key: file.network_key,
    };
    let Network { node, network_key, genesis, .. } = Network::find(&asked).await?;
    let vm = file.vm.backend(file.models.as_deref())?;
    if genesis.is_production() && vm.as_ref().is_none_or(|vm| vm.tee().is_none()) {
        bail!(
            "this network is for production and admits no emulated evidence: run rented apps in VMs with a TEE of hardware \
             ([vm] in the file, docs/market.md)"
        );
    }
    let executable = std::env::current_exe().context("this program's own file cannot be found")?;
    Ok(ProviderConfig {
        provider: Payer::new(NodeClient::new(node.clone()), account, genesis.chain_id),
        node,
        network_key,
        genesis,
        state_dir: held.path().to_owned(),
        listen: file.listen,
        api: file.api,
        ingress: file.ingress,
        ingress_http: file.ingress_http,
        models: file.models,
        tee: match file.tee {
            Tee::Tdx => freehold_host::EmulatedTee::Tdx,
            Tee::Snp => freehold_host::EmulatedTee::Snp,
        },
        vendors: file.vm.sources()?,
        guest: GuestProgram { executable, arguments: vec!["guest".to_owned()] },
        containers: file.backend.chosen()?,
        vm,
        policy: file.policy,
        look_every: Duration::from_millis(file.look_every_ms),
        claim_every: Duration::from_secs(file.claim_every_s),
        allowance_wei: ALLOWANCE_WEI,
    })
}

async fn tell(mut heard: mpsc::UnboundedReceiver<ProviderEvent>, output: Output) {
    while let Some(event) = heard.recv().await {
        tell_event(&event, output);
    }
}

fn tell_event(event: &ProviderEvent, output: Output) {
    let (name, rental, text, more) = match event {
        ProviderEvent::Rented { rental, app_id } => {
            ("rented", *rental, format!("for app {app_id}"), json!({ "app_id": app_id }))
        }
        ProviderEvent::Refused { rental, refusal } => {
            let more = json!({ "code": refusal.code, "reason": refusal.message });
            ("refused", *rental, format!("refused: {}", refusal.message), more)
        }
        ProviderEvent::Commanded { rental, action } => {
            ("command", *rental, format!("its renter says: {action}"), json!({ "action": action }))
        }
        ProviderEvent::Brought { rental, bundle, bytes } => {
            let more = json!({ "bundle": bundle, "bytes": bytes });
            ("bundle", *rental, format!("bundle {bundle}, {bytes} bytes, is here and checked"), more)
        }
        ProviderEvent::Serving { rental, instance_id, api } => {
            let more = json!({ "instance_id": instance_id, "api": format!("http://{api}") });
            ("serving", *rental, format!("instance {instance_id} at http://{api}"), more)
        }
        ProviderEvent::Attached { rental, instance_id } => {
            ("attached", *rental, "its seconds are paid from now on".to_owned(), json!({ "instance_id": instance_id }))
        }
        ProviderEvent::Claimed { rental, seconds_paid } => {
            ("claimed", *rental, format!("{seconds_paid} s paid so far"), json!({ "seconds_paid": seconds_paid }))
        }
        ProviderEvent::Stopped { rental } => ("stopped", *rental, "the app was stopped".to_owned(), json!({})),
        ProviderEvent::Ended { rental, seconds_paid } => {
            let text = format!("ended; {seconds_paid} s were paid, and its files are removed");
            ("ended", *rental, text, json!({ "seconds_paid": seconds_paid }))
        }
        ProviderEvent::Trouble { rental, message } => {
            output.object(&json!({ "event": "trouble", "rental": rental, "text": message }));
            let whose = rental.map_or_else(String::new, |rental| format!("rental {rental}: "));
            return output.warn(&format!("{whose}{message}"));
        }
        _ => return,
    };
    let mut object = json!({ "event": name, "rental": rental });
    if let (Some(object), serde_json::Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    output.object(&object);
    output.text(&format!("rental {rental:<5} {text}"));
}

#[cfg(test)]
mod tests;
