//! `app run`: build, measure, register and run an app on this machine, and again at each change of its files.
//!
//! It acts for two accounts of a development network, and says so first. Not here: machines of others.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{Bundle, build_bundle};
use freehold_client::Endpoints;
use freehold_host::{
    EmulatedTee, GuestProgram, Host, HostConfig, HostEvent, IsolationChoice, LogStream, PolicyChoice, bundled_program,
};
use freehold_node::read_genesis;
use freehold_primitives::{Genesis, Purpose};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::watch::changed;
use crate::{
    accounts,
    args::{AppRunArgs, TeeArg},
    data_dir::{self, Held},
    output::Output,
    stack,
};

/// Development account that owns apps which are run here.
const OWNER: u32 = 18;
/// Development account that pays for their instances.
const PROVIDER: u32 = 19;
/// Longest way to a serving instance.
const SERVING_WAIT: Duration = Duration::from_secs(120);
/// Gas allowance that an instance's account is kept at, in wei: a tenth of a unit.
const ALLOWANCE_WEI: u128 = accounts::UNIT / 10;

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    Starting,
    Serving,
    Refused(String),
}

/// Why a run ends.
enum End {
    Asked,
    Changed,
}

/// Runs the command.
pub(super) async fn run(args: AppRunArgs, output: Output) -> Result<ExitCode> {
    let network = data_dir::of(args.data_dir.as_deref(), args.chain_id)?;
    let endpoints = Endpoints::load(&network).context("no network is up: start one with `freehold up`")?;
    let genesis = read_genesis(&network)?.context("the data directory holds no network: start one with `freehold up`")?;
    if genesis.purpose == Purpose::Production {
        bail!("`app run` acts for accounts whose secrets everybody knows: it is for development networks alone");
    }
    tell_signing(&args, output)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let mut asked = std::pin::pin!(crate::commands::asked_to_stop());
    let mut held: Option<Held> = None;
    loop {
        let manifest_folder = &args.folder;
        let fresh = tempfile::tempdir().context("no place for the bundle")?;
        let bundle = match build_bundle(manifest_folder, &fresh.path().join("bundle")) {
            Ok(bundle) => bundle,
            Err(error) if held.is_none() => return Err(error.into()),
            Err(error) => {
                // A file that is being written is looked at again.
                output.warn(&format!("{error}; waiting for the next change"));
                tokio::select! {
                    stop = &mut asked => return stop.map(|()| ExitCode::SUCCESS),
                    () = tokio::time::sleep(Duration::from_secs(1)) => continue,
                }
            }
        };
        let place = network.join("apps").join(&bundle.manifest().name);
        if held.as_ref().is_none_or(|held| !held.path().ends_with(&bundle.manifest().name)) {
            held = Some(Held::take(&place)?);
        }
        let end = {
            let once = instance(&args, &endpoints, &genesis, &bundle, &place, output);
            let mut once = std::pin::pin!(once);
            tokio::select! {
                end = &mut once => end?,
                stop = &mut asked => {
                    stop?;
                    End::Asked
                }
            }
        };
        if matches!(end, End::Asked) {
            output.text("stopping");
            return Ok(ExitCode::SUCCESS);
        }
        output.step("change", "the app's files changed: building and starting anew");
    }
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
    let policy = if args.keep_policy { "leaves the policy as it is" } else { "keeps the policy at what runs here" };
    output.text(&format!(
        "signs as owner     {owner} (development account {OWNER}): creates the app once, {policy}\n\
         pays as provider   {provider} (development account {PROVIDER}): gas of each registration and renewal, and an\n\
         {:18} allowance of 0.1 units for each instance's own account\n",
        ""
    ));
    Ok(())
}

/// Runs one build of the app until its files change.
async fn instance(
    args: &AppRunArgs,
    endpoints: &Endpoints,
    genesis: &Genesis,
    bundle: &Bundle,
    place: &Path,
    output: Output,
) -> Result<End> {
    let config = host_config(args, endpoints, genesis, bundle, place)?;
    let (events, heard) = mpsc::unbounded_channel();
    let (progress, mut seen) = watch::channel(Progress::Starting);
    tokio::spawn(tell(heard, progress, output));
    let host = Host::start(config, events).await?;
    let serving = tokio::time::timeout(SERVING_WAIT, seen.wait_for(|progress| *progress != Progress::Starting)).await;
    let progress = match serving {
        Ok(Ok(progress)) => progress.clone(),
        Ok(Err(_)) => Progress::Refused("the host ended".to_owned()),
        Err(_) => Progress::Refused(format!("the instance did not serve within {} s", SERVING_WAIT.as_secs())),
    };
    if let Progress::Refused(reason) = progress {
        host.stop().await;
        bail!("{reason}");
    }
    output.object(&json!({
        "event": "ready",
        "api": format!("http://{}", host.api()),
        "app_id": host.app_id(),
        "digest": bundle.digest(),
        "data_dir": place,
    }));
    output.text(&format!("\nready\n  api   http://{}\n  app   {}\nCtrl-C stops.\n", host.api(), host.app_id()));
    if args.once {
        std::future::pending::<()>().await;
    }
    changed(&args.folder, bundle).await;
    host.stop().await;
    Ok(End::Changed)
}

fn host_config(
    args: &AppRunArgs,
    endpoints: &Endpoints,
    genesis: &Genesis,
    bundle: &Bundle,
    place: &Path,
) -> Result<HostConfig> {
    let executable = std::env::current_exe().context("this program's own file cannot be found")?;
    let isolation = if args.no_sandbox { IsolationChoice::None } else { IsolationChoice::Required };
    Ok(HostConfig {
        node: endpoints.rpc.parse()?,
        network_key: endpoints.network_key,
        lease_s: genesis.lease_s,
        genesis: genesis.clone(),
        data_dir: place.to_owned(),
        runtime_dir: None,
        owner_secret: *accounts::user(OWNER)?.to_bytes(),
        provider_secret: *accounts::user(PROVIDER)?.to_bytes(),
        tee: match args.tee {
            TeeArg::Tdx => EmulatedTee::Tdx,
            TeeArg::Snp => EmulatedTee::Snp,
        },
        guest: GuestProgram { executable, arguments: vec!["guest".to_owned()] },
        app: bundled_program(bundle, &place.join("unpacked"), isolation)?,
        policy: if args.keep_policy { PolicyChoice::Keep } else { PolicyChoice::Follow },
        api: args.api,
        allowance_wei: ALLOWANCE_WEI,
    })
}

/// Tells what happens, passes the app's own words on, and notes how far it has come.
async fn tell(mut heard: mpsc::UnboundedReceiver<HostEvent>, progress: watch::Sender<Progress>, output: Output) {
    while let Some(event) = heard.recv().await {
        match event {
            HostEvent::AppLog { stream, line } => {
                let name = if stream == LogStream::Output { "out" } else { "err" };
                output.object(&json!({ "event": "log", "stream": name, "line": line }));
                output.text(&format!("{name} | {}", line.escape_debug()));
            }
            HostEvent::AppLogDropped { lines } => output.warn(&format!("the app says too much: {lines} lines dropped")),
            HostEvent::AppReady => output.step("app", "answers on its socket"),
            HostEvent::AppEnded { code } => {
                output.object(&json!({ "event": "ended", "code": code }));
                output.text(&format!("the app ended ({code:?}), and its manifest starts it no more"));
            }
            HostEvent::GuestServing { expires_at } => {
                stack::tell_event(HostEvent::GuestServing { expires_at }, output);
                progress.send_replace(Progress::Serving);
            }
            HostEvent::RegistrationRefused { instance_id, reason } => {
                let said = format!("the chain refused the registration: {reason}");
                stack::tell_event(HostEvent::RegistrationRefused { instance_id, reason }, output);
                progress.send_if_modified(|progress| {
                    let first = *progress == Progress::Starting;
                    if first {
                        *progress = Progress::Refused(said);
                    }
                    first
                });
            }
            event => stack::tell_event(event, output),
        }
    }
}
