//! `demo`: the whole way once, in a temporary network beside any running one, and then every forgery of the proof.

use std::{collections::BTreeMap, net::SocketAddr, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_client::{Answer, AskEvent, AskOptions, Asker, Message};
use freehold_node::Clock;
use freehold_primitives::NetworkKey;
use freehold_verify::{LinkStatus, Verdict, VerifyOptions, mutations, verify_bundle};
use serde_json::json;

use super::ask::write_private;
use crate::{
    args::DemoArgs,
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{AppChoice, Stack, StackConfig},
    verdict,
};

/// Chain id of the demo's network: not that of `up`.
const CHAIN_ID: u64 = 23_292;
/// Most tokens of the demo's answer.
const ANSWER_TOKENS: u32 = 96;

/// Runs the command.
pub(crate) async fn run(args: DemoArgs, output: Output) -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("freehold-demo-").tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = StackConfig {
        wanted: Wanted::development(CHAIN_ID, args.validators),
        rpc: any,
        app: Some(AppChoice { api: any, model: args.model.clone(), threads: args.threads }),
    };
    let told = tokio::select! {
        told = tell(&held, config, &args, output) => told,
        stop = super::asked_to_stop() => stop.and(Err(anyhow!("stopped before the end"))),
    };
    told.map(|()| ExitCode::SUCCESS)
}

async fn tell(held: &Held, config: StackConfig, args: &DemoArgs, output: Output) -> Result<()> {
    output.text("A private answer you can check, on this machine. The TEE is EMULATED here: it protects nothing.\n");
    let stack = Stack::start(held, config, output).await?;
    let network_key = stack.endpoints.network_key;
    let asked = question(&stack, args, output).await;
    output.step("network", "stopping: what follows needs no node");
    stack.stop().await;
    let answer = asked?;
    write_private(&args.save_proof, &answer.proof)?;
    output.step("proof", &format!("{} bytes written to {}", answer.proof.len(), args.save_proof.display()));
    let options = VerifyOptions::new(network_key, Clock::system().now_s());
    let verdict = verify_bundle(&answer.proof, &options)?;
    if !verdict.is_valid() {
        verdict::show(&verdict, output);
        bail!("the proof of this very answer was refused");
    }
    output.step("verify", "offline, with the file and the network key alone:");
    show(&verdict, output)?;
    forge(&answer.proof, network_key, output)?;
    output.text(&format!(
        "\nCheck it yourself:\n  freehold verify {} --network-key {network_key}",
        args.save_proof.display()
    ));
    output.object(&json!({ "event": "done", "proof": args.save_proof, "network_key": network_key }));
    Ok(())
}

fn show(verdict: &Verdict, output: Output) -> Result<()> {
    if output.is_json() {
        let value: serde_json::Value = serde_json::from_str(&verdict.to_json())?;
        output.object(&json!({ "event": "verdict", "verdict": value }));
    } else {
        verdict::show(verdict, output);
    }
    Ok(())
}

async fn question(stack: &Stack, args: &DemoArgs, output: Output) -> Result<Answer> {
    let asker = Asker::new(stack.target()?);
    let options = AskOptions { max_tokens: Some(ANSWER_TOKENS), temperature_milli: Some(0), ..AskOptions::default() };
    let mut opened = false;
    let mut heard = |event: AskEvent<'_>| match event {
        AskEvent::InstanceVerified { instance, trust_domain } => {
            let id = instance.instance_id().to_string();
            output.step(
                "instance",
                &format!("{}… verified by proof: registered, quote fresh ({})", &id[..12], trust_domain.as_str()),
            );
        }
        AskEvent::RequestSealed { bytes } => {
            output.step(
                "question",
                &format!("\"{}\", encrypted to the instance: {bytes} bytes of ciphertext", args.question),
            );
        }
        AskEvent::Text(piece) => {
            if !std::mem::replace(&mut opened, true) {
                output.step("answer", "streams, encrypted to us:");
                output.piece("\n    ");
            }
            output.piece(&piece.replace('\n', "\n    "));
            output.object(&json!({ "event": "text", "text": piece }));
        }
        AskEvent::ReceiptChecked { receipt } => {
            output.text("\n");
            output.step("receipt", &format!("{} signed by the instance over both texts", receipt.receipt_id));
        }
        AskEvent::Anchored { height: Some(height) } => {
            output.step("anchor", &format!("log root stands in block {height}"))
        }
        AskEvent::Anchored { height: None } => output.step("anchor", "not yet; the proof says so"),
        AskEvent::Proven { .. } => output.step("finality", "one threshold signature over all of it"),
        _ => {}
    };
    Ok(asker.ask(&[Message::user(args.question.clone())], &options, &mut heard).await?)
}

/// Changes every leaf of the proof in turn, each in its own copy; each copy must be refused by the link that covers it.
fn forge(proof: &str, network_key: NetworkKey, output: Output) -> Result<()> {
    let options = VerifyOptions::new(network_key, Clock::system().now_s());
    let mut refused: Vec<(&'static str, Vec<String>)> = Vec::new();
    for mutation in mutations(proof).map_err(|error| anyhow!("the proof does not read back: {error}"))? {
        let verdict = verify_bundle(&mutation.text, &options)?;
        let by = mutation.link.map_or("format", |link| link.as_str());
        let caught = mutation.link.is_none_or(|link| matches!(verdict.status(link), LinkStatus::Failed(_)));
        if verdict.is_valid() || !caught {
            bail!("a copy changed at {} was not refused by {by}", mutation.pointer);
        }
        output.object(&json!({ "event": "forged", "changed": mutation.pointer, "refused_by": by }));
        match refused.iter_mut().find(|(link, _)| *link == by) {
            Some((_, places)) => places.push(mutation.pointer),
            None => refused.push((by, vec![mutation.pointer])),
        }
    }
    let copies: usize = refused.iter().map(|(_, places)| places.len()).sum();
    if copies == 0 {
        bail!("the proof has no leaf to change");
    }
    output.step("forgery", &format!("{copies} copies, each with one leaf changed or left out: all refused"));
    for (by, places) in &refused {
        output.text(&format!("  by {by:<12} {:>3}: {}", places.len(), shortened(places, by)));
    }
    let counts: BTreeMap<&str, usize> = refused.iter().map(|(by, places)| (*by, places.len())).collect();
    output.object(&json!({ "event": "forgery", "copies": copies, "refused_by": counts }));
    Ok(())
}

/// The places inside their section, as far as a line of a terminal takes them.
fn shortened(places: &[String], section: &str) -> String {
    let mut line = String::new();
    for (shown, place) in places.iter().enumerate() {
        let place = place.trim_start_matches('/');
        let place = place.strip_prefix(section).map_or(place, |rest| rest.trim_start_matches('/'));
        if line.len() + place.len() > 70 {
            line.push_str(&format!("and {} more", places.len() - shown));
            break;
        }
        line.push_str(place);
        line.push(' ');
    }
    line
}
