//! `host attend`: what serves the sockets of an agent that somebody else starts (`docs/containers.md`).

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use freehold_bundle::open_bundle;
use freehold_host::{
    ATTENDED_CONFIG, AttendConfig, Attendant, AttendedEvidence, EmulatedTee, HostEvent, Payer, measure_bundle,
};
use freehold_rpc::NodeClient;
use serde_json::json;
use tokio::sync::mpsc;

use super::{app::Network, sender::account_secret};
use crate::{accounts, args::HostAttendArgs, output::Output, stack};

/// Gas allowance that an instance's account is kept at, in wei: a tenth of a unit.
const ALLOWANCE_WEI: u128 = accounts::UNIT / 10;

/// Runs the command.
pub(super) async fn run(args: HostAttendArgs, output: Output) -> Result<ExitCode> {
    let account = account_secret(args.key.as_deref())?;
    let Network { node, network_key, genesis, .. } = Network::find(&args.network).await?;
    let evidence = match (args.trust_domain, &args.emulated) {
        (Some(domain), None) => AttendedEvidence::Hardware(domain),
        (None, Some(bundle)) => {
            let executable = std::env::current_exe().context("this program's own file cannot be found")?;
            let launch = measure_bundle(&executable, &open_bundle(bundle)?)?;
            AttendedEvidence::Emulated(EmulatedTee::Tdx, Box::new(launch))
        }
        _ => bail!("say --trust-domain or --emulated"),
    };
    let provider = Payer::new(NodeClient::new(node.clone()), account, genesis.chain_id);
    let account = provider.account();
    let config = AttendConfig {
        node,
        network_key,
        genesis,
        app_id: args.app,
        provider,
        allowance_wei: ALLOWANCE_WEI,
        evidence,
        folder: args.folder.clone(),
        state_dir: args.state_dir,
        services: args.services,
        keeps_files: args.keeps_files,
        scopes: args.scopes,
    };
    let (events, heard) = mpsc::unbounded_channel();
    let telling = tokio::spawn(tell(heard, output));
    let attendant = Attendant::start(config, events)?;
    let guest = args.folder.join(ATTENDED_CONFIG);
    output.object(&json!({
        "event": "ready", "app_id": args.app, "provider": format!("0x{account}"), "config": guest,
    }));
    output.text(&format!("the agent's configuration is {}; 0x{account} pays for it", guest.display()));
    super::asked_to_stop().await?;
    attendant.stop().await;
    telling.abort();
    Ok(ExitCode::SUCCESS)
}

async fn tell(mut heard: mpsc::UnboundedReceiver<HostEvent>, output: Output) {
    while let Some(event) = heard.recv().await {
        stack::tell_event(event, output);
    }
}
