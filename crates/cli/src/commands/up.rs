//! `up`: a network on this machine, and a private model on it, until it is asked to stop.

use std::process::ExitCode;

use anyhow::{Result, bail};
use freehold_primitives::Purpose;
use serde_json::json;

use crate::{
    accounts,
    args::UpArgs,
    data_dir::{self, Held},
    network::Wanted,
    output::Output,
    stack::{AppChoice, Stack, StackConfig},
};

const fn purpose(args: &UpArgs) -> Purpose {
    if args.dev_traces { Purpose::DevelopmentTraces } else { Purpose::Development }
}

/// Runs the command.
pub(crate) async fn run(args: UpArgs, output: Output) -> Result<ExitCode> {
    let held = Held::take(&data_dir::of(args.data_dir.as_deref(), args.chain_id)?)?;
    let config = StackConfig {
        wanted: Wanted {
            chain_id: args.chain_id,
            validators: args.validators,
            purpose: purpose(&args),
            term_blocks: args.term_blocks,
            tee: args.tee(),
            vendor_roots: args.vendor_roots,
        },
        rpc: args.rpc,
        app: (!args.no_app).then_some(AppChoice { api: args.api, model: args.model, threads: args.threads }),
    };
    // One listener from start to end: a signal between two of them would be lost.
    let mut asked = std::pin::pin!(super::asked_to_stop());
    let mut stack = tokio::select! {
        started = Stack::start(&held, config, output) => started?,
        stop = &mut asked => return stop.map(|()| ExitCode::SUCCESS),
    };
    tell_ready(&stack, &held, output);
    let ended = tokio::select! {
        stop = &mut asked => {
            stop?;
            None
        }
        ended = stack.network.ended() => ended,
    };
    output.text("stopping");
    stack.stop().await;
    match ended {
        Some(error) => bail!(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn tell_ready(stack: &Stack, held: &Held, output: Output) {
    let endpoints = &stack.endpoints;
    output.object(&json!({
        "event": "ready",
        "rpc": endpoints.rpc,
        "api": endpoints.api,
        "chain_id": endpoints.chain_id,
        "network_key": endpoints.network_key,
        "app_id": endpoints.app_id,
        "data_dir": held.path(),
    }));
    output.text(&format!("\nready\n  rpc          {}", endpoints.rpc));
    if let (Some(api), Some(app_id)) = (&endpoints.api, &endpoints.app_id) {
        output.text(&format!("  api          {api}\n  app          {app_id}"));
    }
    output.text(&format!("  network key  {}\n  data         {}", endpoints.network_key, held.path().display()));
    output.text(&format!(
        "  accounts     {} of 10,000 units each, at {}/i of the public mnemonic\n               \"{}\": they protect nothing",
        accounts::USERS,
        accounts::USER_PATH,
        accounts::MNEMONIC
    ));
    output.text("\nAsk in another terminal:  freehold ask \"What is a freehold?\"   Ctrl-C stops.");
}
