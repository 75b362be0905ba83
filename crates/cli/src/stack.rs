//! Network, host and app together: what `up`, `demo` and the benchmarks start.
//!
//! Only wiring: the network is `freehold-node`'s, the instance `freehold-host`'s, the model `freehold-inference`'s.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_client::{AskTarget, Endpoints};
use freehold_host::{
    AppOwner, AppProgram, EmulatedTee, GuestProgram, Host, HostConfig, HostEvent, IsolationChoice, Payer, PolicyChoice,
    VendorSources,
};
use freehold_inference::{default_model_folder, default_threads, environment, find_model, kernel_choice};
use freehold_node::Network;
use freehold_primitives::{AppId, Genesis, KeyCeremony, Measurement};
use freehold_rpc::{Endpoint, NodeClient};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    accounts,
    data_dir::Held,
    model,
    network::{self, Origin, Wanted},
    output::Output,
};

/// Longest wait for the first proven block.
const FIRST_BLOCK_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for the app: a large model takes its time to load.
const APP_WAIT: Duration = Duration::from_secs(300);
/// Gas allowance that an instance's account is kept at: one unit pays for thousands of anchors.
pub(crate) const ALLOWANCE_WEI: u128 = 1_000_000_000_000_000_000;
/// Environment variable that tells the app its model's name.
pub(crate) const MODEL_NAME_VARIABLE: &str = "FREEHOLD_MODEL_NAME";

/// What to start.
pub(crate) struct StackConfig {
    pub(crate) wanted: Wanted,
    pub(crate) rpc: SocketAddr,
    pub(crate) app: Option<AppChoice>,
}

/// Which app to start.
pub(crate) struct AppChoice {
    pub(crate) api: SocketAddr,
    /// A known model's name or a GGUF file; the default model where `None`.
    pub(crate) model: Option<String>,
    /// Threads; those of the machine where `None`.
    pub(crate) threads: Option<u32>,
}

/// Everything, running.
pub(crate) struct Stack {
    pub(crate) network: Network,
    pub(crate) endpoints: Endpoints,
    tee: EmulatedTee,
    host: Option<Host>,
    folder: PathBuf,
}

impl Stack {
    /// Starts everything in a data directory and tells the steps.
    pub(crate) async fn start(held: &Held, config: StackConfig, output: Output) -> Result<Self> {
        let (genesis, origin) = network::open_or_make(held.path(), config.wanted)?;
        tell_genesis(&genesis, origin, output);
        let app = config.app;
        let wanted = app.as_ref().map(|app| app.model.clone());
        let bring = async {
            match wanted {
                Some(name) => model::bring(name.as_deref(), output).await.map(Some),
                None => Ok(None),
            }
        };
        let start = async {
            let mut network = network::start(held.path(), genesis.clone(), config.rpc).await?;
            let rpc = network.rpc;
            let first = tokio::select! {
                first = first_block(rpc) => first,
                Some(error) = network.ended() => Err(error.into()),
            };
            Ok::<_, anyhow::Error>((network, first))
        };
        let (model, started) = tokio::join!(bring, start);
        let (network, first) = started?;
        let (model, height) = match (model, first) {
            (Ok(model), Ok(height)) => (model, height),
            (Err(error), _) | (_, Err(error)) => {
                network.stop().await;
                return Err(error);
            }
        };
        output.step(
            "network",
            &format!("{} validators, block {height} is final; rpc http://{}", config.wanted.validators, network.rpc),
        );
        let mut stack = Self {
            endpoints: Endpoints {
                rpc: format!("http://{}", network.rpc),
                api: None,
                network_key: network.network_key,
                chain_id: genesis.chain_id,
                genesis_hash: freehold_crypto::genesis_hash(&genesis),
                app_id: None,
            },
            network,
            tee: config.wanted.tee,
            host: None,
            folder: held.path().to_path_buf(),
        };
        let ready = stack.start_app(app.zip(model), genesis, output).await;
        let ready = ready.and_then(|()| Ok(stack.endpoints.save(held.path())?));
        if let Err(error) = ready {
            stack.stop().await;
            return Err(error);
        }
        Ok(stack)
    }

    async fn start_app(
        &mut self,
        app: Option<(AppChoice, model::Brought)>,
        genesis: Genesis,
        output: Output,
    ) -> Result<()> {
        let Some((choice, model)) = app else { return Ok(()) };
        let (events, heard) = mpsc::unbounded_channel();
        tokio::spawn(tell(heard, output));
        let host = Host::start(self.host_config(choice, model, genesis)?, events).await?;
        self.endpoints.api = Some(format!("http://{}", host.api()));
        self.endpoints.app_id = Some(host.app_id());
        let ready = host.ready(APP_WAIT).await;
        self.host = Some(host);
        Ok(ready?)
    }

    fn host_config(&self, choice: AppChoice, model: model::Brought, genesis: Genesis) -> Result<HostConfig> {
        let executable = std::env::current_exe().context("this program's own file cannot be found")?;
        let threads = choice.threads.map_or_else(default_threads, |threads| threads as usize);
        let mut variables: Vec<(String, String)> = environment(threads, kernel_choice(&model.name))
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
            .collect();
        variables.push((MODEL_NAME_VARIABLE.to_owned(), model.name));
        let (pay, chain_id) = (NodeClient::new(self.endpoints.rpc.parse()?), genesis.chain_id);
        Ok(HostConfig {
            node: self.endpoints.rpc.parse()?,
            network_key: self.endpoints.network_key,
            lease_s: genesis.lease_s,
            genesis,
            data_dir: self.folder.join("host"),
            runtime_dir: None,
            owner: AppOwner::Own(Payer::new(pay.clone(), accounts::operator(accounts::APP_OWNER)?, chain_id)),
            provider: Payer::new(pay, accounts::operator(accounts::PROVIDER)?, chain_id),
            tee: self.tee,
            vendors: VendorSources::default(),
            guest: GuestProgram { executable: executable.clone(), arguments: vec!["guest".to_owned()] },
            app: AppProgram {
                executable,
                arguments: vec!["inference".to_owned()],
                environment: variables,
                model: Some(model.path),
                isolation: IsolationChoice::Auto,
                bundle: None,
            }
            .into(),
            policy: PolicyChoice::Follow,
            api: choice.api,
            ingress: None,
            allowance_wei: ALLOWANCE_WEI,
        })
    }

    /// Whom to ask.
    pub(crate) fn target(&self) -> Result<AskTarget> {
        target(&self.endpoints)
    }

    /// Stops everything: app and guest first, then the network.
    pub(crate) async fn stop(self) {
        if let Some(host) = self.host {
            host.stop().await;
        }
        self.network.stop().await;
        // A stale file would only send clients to a closed port.
        let _left = Endpoints::remove(&self.folder);
    }
}

/// Whom to ask, from what a data directory or the user says.
pub(crate) fn target(endpoints: &Endpoints) -> Result<AskTarget> {
    let api = endpoints.api.as_deref().ok_or_else(|| anyhow!("this network runs no app: start it without --no-app"))?;
    Ok(AskTarget {
        api: api.parse()?,
        rpc: endpoints.rpc.parse()?,
        network_key: endpoints.network_key,
        app_id: endpoints.app_id,
    })
}

/// Says whose network this is and who made its keys.
fn tell_genesis(genesis: &Genesis, origin: Origin, output: Output) {
    let made = if origin == Origin::Made { "made" } else { "resumed" };
    let keys = match genesis.key_ceremony {
        KeyCeremony::TrustedDealer => "a trusted dealer dealt the key shares: for development only",
        KeyCeremony::Distributed => "the validators made the key shares together",
    };
    output.step("genesis", &format!("{made}; chain {}; {keys}", genesis.chain_id));
    if genesis.has_dev_traces() {
        output.warn("anyone who reaches the JSON-RPC may trace confidential contracts: keep no secret in them");
    }
}

async fn first_block(rpc: SocketAddr) -> Result<u64> {
    let node = NodeClient::new(format!("http://{rpc}").parse::<Endpoint>()?);
    let end = tokio::time::Instant::now() + FIRST_BLOCK_WAIT;
    while tokio::time::Instant::now() < end {
        if let Ok(status) = node.status().await
            && status.finalized.height > 0
        {
            return Ok(status.finalized.height);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the network made no block within {} s: run again with -v to see why", FIRST_BLOCK_WAIT.as_secs())
}

/// Tells what the host does, as steps of the story.
async fn tell(mut heard: mpsc::UnboundedReceiver<HostEvent>, output: Output) {
    while let Some(event) = heard.recv().await {
        match event {
            HostEvent::AppReady => output.step("app", "the model is loaded and answers"),
            event => tell_event(event, output),
        }
    }
}

/// Tells one step of a host.
pub(crate) fn tell_event(event: HostEvent, output: Output) {
    match event {
        HostEvent::Measured { measurement, .. } => {
            output.step("measurement", &format!("{} (guest, app and model)", short(&measurement)));
        }
        HostEvent::AppCreated { app_id, .. } => output.step("app", &format!("{app_id} created")),
        HostEvent::PolicyUpdated { app_id, version, old, new } => tell_policy(app_id, version, &old, &new, output),
        HostEvent::CollateralSubmitted { tx_hash } => {
            output
                .step("collateral", &format!("of the EMULATED platform brought to the chain, tx {}…", head(&tx_hash)));
        }
        HostEvent::RegistrationSubmitted { instance_id, .. } => {
            output.step("quote", &format!("made for the keys of instance {}… and submitted", head(&instance_id)));
        }
        HostEvent::RegistrationExecuted { height, gas_used, .. } => {
            output.step("registration", &format!("verified by the validators in block {height}, {gas_used} gas"));
        }
        HostEvent::RegistrationRefused { reason, .. } => output.step("registration", &format!("REFUSED: {reason}")),
        HostEvent::GuestServing { .. } => {
            output.step("keys", "the app's root key was combined from the validators' encrypted shares");
        }
        HostEvent::AppStarted { isolation, .. } => {
            output.step("app", &format!("process started, isolation: {}", isolation.as_str()));
        }
        HostEvent::GuestExited { code, restart_in } => {
            output.warn(&format!("the guest ended ({code:?}); a successor starts in {restart_in:?}"));
        }
        HostEvent::AppExited { code, restart_in } => {
            output.warn(&format!("the app ended ({code:?}); it starts again in {restart_in:?}"));
        }
        HostEvent::Trouble { message } => output.warn(&message),
        _ => {}
    }
}

/// The app's owner, which is `up` itself, admits the programs of this build: nobody else is asked, so it is shown.
fn tell_policy(app_id: AppId, version: u32, old: &[Measurement], new: &Measurement, output: Output) {
    let before: Vec<String> = old.iter().map(short).collect();
    output.step(
        "policy",
        &format!(
            "the programs or the model changed: version {version} of the app admits {} instead of {}",
            short(new),
            before.join(", ")
        ),
    );
    let registers = |measurement: &Measurement| match measurement {
        Measurement::Tdx(shown) => json!({ "mrtd": shown.mrtd, "rtmr3": shown.rtmr3 }),
        other => json!({ "launch": hex::encode(other.launched()) }),
    };
    output.object(&json!({
        "event": "policy",
        "app_id": app_id,
        "version": version,
        "old": old.iter().map(registers).collect::<Vec<_>>(),
        "new": registers(new),
    }));
}

/// The registers that tell one launch from another, as far as a person compares them.
fn short(measurement: &Measurement) -> String {
    let Measurement::Tdx(shown) = measurement else { return format!("launch {}…", head(&measurement.launched())) };
    let rtmr3 = shown.rtmr3.map_or_else(|| "any".to_owned(), |rtmr3| format!("{}…", head(&rtmr3)));
    format!("MRTD {}…, RTMR3 {rtmr3}", head(&shown.mrtd))
}

fn head(bytes: &impl AsRef<[u8]>) -> String {
    hex::encode(&bytes.as_ref()[..6.min(bytes.as_ref().len())])
}

/// The folder of models: `FREEHOLD_MODELS`, else the user's cache directory.
pub(crate) fn model_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("FREEHOLD_MODELS") {
        return Ok(folder.into());
    }
    default_model_folder().ok_or_else(|| anyhow!("this user has no home directory: set FREEHOLD_MODELS to a folder"))
}

/// Whether a word names a file rather than a known model.
pub(crate) fn is_file(word: &str) -> bool {
    find_model(word).is_none()
        && (Path::new(word).extension().is_some_and(|ending| ending == "gguf") || word.contains('/'))
}
