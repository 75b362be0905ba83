//! `header`: the newest final header with what it says of one instance, checked and saved for `verify --header`.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_client::{Asker, Endpoints, fetch_header};
use freehold_primitives::{Digest, Event};
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
    super::ask::write_private(&args.save, &header.text)?;
    output.object(&json!({
        "event": "header",
        "path": args.save,
        "height": header.as_of.height,
        "time_unix_s": header.as_of.time_unix_s,
        "instance_id": instance,
    }));
    output.text(&format!(
        "block {} with instance {instance} written to {path}\nfreehold verify PROOF --header {path} counts it",
        header.as_of.height,
        path = args.save.display(),
    ));
    Ok(ExitCode::SUCCESS)
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
