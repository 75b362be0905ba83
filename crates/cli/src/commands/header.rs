//! `header`: the newest final header with what it says of one instance, checked and saved for `verify --header`.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use freehold_client::{Asker, Endpoints, SavedHeader, fetch_header};
use freehold_primitives::{Digest, Event, Height, NetworkKey};
use freehold_rpc::{Endpoint, NodeClient};
use freehold_verify::ProofDocument;
use serde_json::json;

use super::verify::read_bounded;
use crate::{args::HeaderArgs, find, output::Output, stack};

/// Runs the command.
pub(crate) async fn run(args: HeaderArgs, output: Output) -> Result<ExitCode> {
    let endpoints = find::endpoints(&args.find).await?;
    let node = NodeClient::new(endpoints.rpc.parse::<Endpoint>()?);
    let instance = match (args.instance, &args.proof) {
        (Some(instance), _) => instance,
        (None, Some(proof)) => of_proof(proof)?,
        (None, None) => of_app(&endpoints, &node).await?,
    };
    let header = fetch_header(&node, endpoints.network_key, instance).await?;
    save(&args.save, &header, instance, output)?;
    if args.follow {
        tokio::select! {
            stop = super::asked_to_stop() => stop?,
            () = follow(&args, &node, (endpoints.network_key, instance), header.as_of.height, output) => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps the file new. A node that is away, or behind, leaves the file as it is.
async fn follow(
    args: &HeaderArgs,
    node: &NodeClient,
    (network_key, instance): (NetworkKey, Digest),
    mut newest: Height,
    output: Output,
) {
    loop {
        tokio::time::sleep(Duration::from_secs(args.every)).await;
        let saved = match fetch_header(node, network_key, instance).await {
            Ok(header) if header.as_of.height <= newest => continue,
            Ok(header) => {
                newest = header.as_of.height;
                save(&args.save, &header, instance, output)
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = saved {
            output.warn(&format!("{} stays as it is: {error:#}", args.save.display()));
        }
    }
}

/// Writes the file in one step: a reader sees the old header or the new one.
fn save(path: &Path, header: &SavedHeader, instance: Digest, output: Output) -> Result<()> {
    let beside = path.with_extension("new");
    super::ask::write_private(&beside, &header.text)?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))?;
    output.object(&json!({
        "event": "header",
        "path": path,
        "height": header.as_of.height,
        "time_unix_s": header.as_of.time_unix_s,
        "instance_id": instance,
    }));
    output.text(&format!(
        "block {} with instance {instance} written to {path}\nfreehold verify PROOF --header {path} counts it",
        header.as_of.height,
        path = path.display(),
    ));
    Ok(())
}

/// The instance that a proof's receipt names. The proof is not judged here.
fn of_proof(path: &Path) -> Result<Digest> {
    let proof =
        ProofDocument::from_text(&read_bounded(path)?).with_context(|| format!("{} is no proof", path.display()))?;
    let named = proof.receipt.event_log.iter().find_map(|event| match event {
        Event::Chain { instance, .. } => Some(*instance),
        _ => None,
    });
    named.with_context(|| format!("the receipt in {} names no instance", path.display()))
}

/// The instance that answers now, verified.
async fn of_app(endpoints: &Endpoints, node: &NodeClient) -> Result<Digest> {
    let target = stack::target(endpoints).context("name an instance with --proof or --instance")?;
    let genesis = node.genesis().await?;
    Ok(Asker::new(target).verify_instance(&genesis).await?.instance_id())
}
