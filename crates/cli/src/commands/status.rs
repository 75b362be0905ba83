//! `status`: one node, its network and its app, as they are now, for a person or as one object.
//!
//! Works against the `up` of a data directory or against any one node (`--rpc`), without a network key too: then it says
//! that nothing stands for what the node tells. Exit status: 0 all is well, 1 a check failed, 3 warnings.

mod show;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use freehold_client::{Asker, Endpoints, pinned_network_key};
use freehold_primitives::NetworkKey;
use freehold_rpc::{Endpoint, NodeClient, NodeHealth, NodeStatus};
use serde_json::json;

use super::collateral::{self, CollateralStanding};
use crate::{args::FindArgs, data_dir, find, output::Output, stack};

/// Exit status where all checks hold and something needs attention.
const WARNED: u8 = 3;
/// Longest look at collateral: it reads every live instance with its proof.
const COLLATERAL_WAIT: Duration = Duration::from_secs(20);

/// What was found.
pub(crate) struct Found {
    rpc: String,
    status: NodeStatus,
    /// Whether the node names the key that the user trusts; `None` where the user trusts none yet.
    key_matches: Option<bool>,
    health: Option<NodeHealth>,
    collateral: Option<Result<CollateralStanding>>,
    /// The app's instance, verified; `None` where there is no app.
    instance: Option<Result<String>>,
}

impl Found {
    /// The exit status that it comes to.
    fn code(&self) -> ExitCode {
        let instance_fails = self.instance.as_ref().is_some_and(Result::is_err);
        if self.key_matches == Some(false) || instance_fails {
            return ExitCode::from(super::FAILURE);
        }
        let warned = self.health.as_ref().is_some_and(|health| !health.warnings.is_empty());
        let collateral = self.collateral.as_ref().and_then(|look| look.as_ref().ok());
        let warned = warned || collateral.is_some_and(|standing| standing.warnings > 0);
        if warned { ExitCode::from(WARNED) } else { ExitCode::SUCCESS }
    }
}

/// Runs the command.
pub(crate) async fn run(args: FindArgs, output: Output) -> Result<ExitCode> {
    let found = look(&args).await?;
    output.object(&json!({
        "event": "status",
        "rpc": found.rpc,
        "api": args.api,
        "network_key_matches": found.key_matches,
        "node": found.status,
        "health": found.health,
        "collateral": found.collateral.as_ref().and_then(|look| look.as_ref().ok()).map(|standing| json!({
            "documents": standing.documents,
            "first_end_unix_s": standing.first_end,
            "warnings": standing.warnings,
        })),
        "instance": found.instance.as_ref().map(|found| match found {
            Ok(text) => json!({ "verified": true, "text": text }),
            Err(error) => json!({ "verified": false, "text": format!("{error:#}") }),
        }),
    }));
    show::all(&found, output);
    Ok(found.code())
}

async fn look(args: &FindArgs) -> Result<Found> {
    let (rpc, trusted) = whom(args)?;
    let node = NodeClient::new(rpc.parse::<Endpoint>()?);
    let status = node.status().await.with_context(|| format!("the node at {rpc} does not answer: is it running?"))?;
    let key_matches = trusted.map(|key| key == status.network_key);
    // A node of an earlier release has no such method.
    let health = node.health().await.ok();
    let (mut collateral, mut instance) = (None, None);
    if key_matches == Some(true) {
        let endpoints = find::endpoints(args).await?;
        let looked = tokio::time::timeout(COLLATERAL_WAIT, collateral::standing(args)).await;
        let late = || anyhow::anyhow!("not within {} s", COLLATERAL_WAIT.as_secs());
        collateral = Some(looked.unwrap_or_else(|_| Err(late())));
        if endpoints.api.is_some() {
            instance = Some(verified(&endpoints, &node).await);
        }
    }
    Ok(Found { rpc, status, key_matches, health, collateral, instance })
}

/// The node to ask, and the network key that the user trusts, if any.
fn whom(args: &FindArgs) -> Result<(String, Option<NetworkKey>)> {
    let folder = data_dir::of(args.data_dir.as_deref(), args.chain_id)?;
    let told = Endpoints::load(&folder);
    let Some(rpc) = args.rpc.clone() else {
        let told = told.context("no node is named: give --rpc URL, or --data-dir of an `up` that runs")?;
        return Ok((told.rpc, Some(args.network_key.unwrap_or(told.network_key))));
    };
    let pinned = pinned_network_key(&folder)?;
    Ok((rpc, args.network_key.or(pinned)))
}

async fn verified(endpoints: &Endpoints, node: &NodeClient) -> Result<String> {
    let asker = Asker::new(stack::target(endpoints)?);
    let genesis = node.genesis().await?;
    let instance = asker.verify_instance(&genesis).await?;
    let app = endpoints.app_id.map_or_else(String::new, |app_id| format!("{app_id}, "));
    let (domain, tier) = (instance.trust_domain().as_str(), instance.tier());
    Ok(format!("{app}instance verified, trust domain {domain}, tier {tier}"))
}
