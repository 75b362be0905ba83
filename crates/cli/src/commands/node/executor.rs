//! A follower's part as an executor: an instance of the app that the genesis names, in this very process.

use std::{future::Future, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_guest::{ExecutorGiven, GuestConfig, GuestError, StopReason, run_executor};
use freehold_host::{
    AppOwner, AppProgram, EmulatedTee, ExecutorHost, GuestProgram, HostConfig, HostEvent, IsolationChoice, Payer,
    PolicyChoice, VendorSources,
};
use freehold_node::ExecutorKeys;
use freehold_primitives::{Digest, NetworkKey};
use freehold_rpc::{Endpoint, NodeClient};
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{accounts, args::FollowArgs, data_dir::Held, output::Output, stack::ALLOWANCE_WEI};

/// An instance, and what it gave the node.
pub(super) struct Executor {
    pub(super) keys: ExecutorKeys,
    /// Its id.
    pub(super) instance_id: Digest,
    life: JoinHandle<Result<StopReason, GuestError>>,
    stop: oneshot::Sender<()>,
    host: Option<ExecutorHost>,
}

impl Executor {
    /// Registers and takes the keys, where the arguments ask for it. `asked` ends the wait.
    pub(super) async fn start(
        args: &FollowArgs,
        network_key: &NetworkKey,
        held: &Held,
        output: Output,
        asked: impl Future<Output = Result<()>> + Unpin,
    ) -> Result<Option<Self>> {
        let (config, host) = match (&args.executor, args.emulated_executor) {
            (None, false) => return Ok(None),
            (Some(path), _) => (path.clone(), None),
            (None, true) => {
                let source = args.follow.first().context("name a node with --follow")?;
                let host = emulated(source, network_key, held.path().join("executor"), output).await?;
                (host.guest_config().to_owned(), Some(host))
            }
        };
        let config = GuestConfig::read(&config)?;
        if config.trust.network_key != *network_key {
            bail!("the executor's configuration trusts another network key than --network-key");
        }
        let (given, gift) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut life = tokio::spawn(run_executor(config, given, async {
            let _asked = stopped.await;
        }));
        let ExecutorGiven { keys, signer } = tokio::select! {
            Ok(given) = gift => given,
            ended = &mut life => return Err(why(ended)),
            stop = asked => return stop.map(|()| None),
        };
        let instance_id = signer.instance_id();
        output.step("executor", &format!("instance {instance_id} is registered and holds the state root keys"));
        let keys = ExecutorKeys { state: keys, signer: Arc::new(signer) };
        Ok(Some(Self { keys, instance_id, life, stop, host }))
    }

    /// Why the instance's life ended: after this no answer of it counts.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        why((&mut self.life).await)
    }

    /// Ends the instance, and closes its registration where this process is its host.
    pub(super) async fn stop(self) {
        let _gone = self.stop.send(());
        let _ended = self.life.await;
        if let Some(host) = self.host {
            host.stop().await;
        }
    }
}

fn why(ended: Result<Result<StopReason, GuestError>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Ok(reason)) => anyhow!("the executor's instance ended: {}; start again to register anew", reason.as_str()),
        Ok(Err(error)) => error.into(),
        Err(_) => anyhow!("the executor's instance broke off"),
    }
}

/// A host in this process, with an emulated TEE that measured this very executable.
async fn emulated(
    source: &Endpoint,
    network_key: &NetworkKey,
    data_dir: PathBuf,
    output: Output,
) -> Result<ExecutorHost> {
    // A genesis that is not the chain's gives nothing: the host checks every answer under it.
    let genesis = NodeClient::new(source.clone()).genesis().await?;
    if genesis.is_production() {
        bail!(
            "this network is for production: an executor runs in a TEE there; give its configuration with --executor"
        );
    }
    let executable = std::env::current_exe().context("the path of this program")?;
    let (pay, chain_id) = (NodeClient::new(source.clone()), genesis.chain_id);
    let config = HostConfig {
        node: source.clone(),
        network_key: *network_key,
        genesis,
        data_dir,
        runtime_dir: None,
        owner: AppOwner::Own(Payer::new(pay.clone(), accounts::operator(accounts::APP_OWNER)?, chain_id)),
        provider: Payer::new(pay, accounts::operator(accounts::PROVIDER)?, chain_id),
        tee: EmulatedTee::Tdx,
        vendors: VendorSources::default(),
        guest: GuestProgram { executable: executable.clone(), arguments: Vec::new() },
        app: AppProgram {
            executable,
            arguments: vec!["node".to_owned()],
            environment: Vec::new(),
            model: None,
            isolation: IsolationChoice::None,
            bundle: None,
        }
        .into(),
        policy: PolicyChoice::Follow,
        ingress: None,
        api: ([127, 0, 0, 1], 0).into(),
        lease_s: LEASE_S,
        allowance_wei: ALLOWANCE_WEI,
    };
    let (events, heard) = mpsc::unbounded_channel();
    tokio::spawn(tell(heard, output));
    output.warn("the TEE is emulated: whoever runs this process reads all confidential state");
    Ok(ExecutorHost::start(config, events).await?)
}

/// Lease of an emulated executor, in seconds; it renews at half.
const LEASE_S: u64 = 600;

async fn tell(mut heard: mpsc::UnboundedReceiver<HostEvent>, output: Output) {
    while let Some(event) = heard.recv().await {
        match event {
            HostEvent::AppCreated { app_id, .. } => output.step("app", &format!("{app_id} created")),
            HostEvent::RegistrationExecuted { instance_id, height, gas_used } => {
                output.object(&json!({
                    "event": "registered", "instance": instance_id, "height": height, "gas_used": gas_used,
                }));
            }
            HostEvent::RegistrationRefused { reason, .. } => {
                output.warn(&format!("the registration is refused: {reason}"))
            }
            _ => {}
        }
    }
}
