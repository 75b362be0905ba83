//! Masters of the derivation key (`spec/key-service.md` §9): another one asked for by the governor, and where they stand.

use std::time::Duration;

use anyhow::Result;
use freehold_primitives::entries::{MasterEntry, MastersEntry};
use freehold_rpc::NodeClient;
use serde_json::json;

use super::{IValidators, MODULE, Sender, entry};
use crate::{args::SucceedMasterArgs, output::Output};

/// Asks for another master.
pub(super) async fn ask(args: &SucceedMasterArgs, output: Output) -> Result<()> {
    let call = IValidators::succeedMasterCall { keepS: args.keep };
    let days = Duration::from_secs(args.keep).as_secs_f64() / 86_400.0;
    output.text(&format!(
        "when the new master begins, the one before serves for {days:.1} days more; what apps have not written anew by then is lost"
    ));
    Sender::acting(&args.acting).await?.send(&MODULE, &call, 0, output).await
}

/// Shows the masters of a chain, where it has more than the genesis' one or makes another.
pub(super) async fn show(node: &NodeClient, term: u64, output: Output) -> Result<()> {
    let standing: Option<MastersEntry> = entry(node, &IValidators::mastersCall { term }).await?;
    let next: Option<MastersEntry> = entry(node, &IValidators::mastersCall { term: term.saturating_add(1) }).await?;
    let newest = standing.iter().flat_map(|standing| &standing.live).map(|live| live.generation).max().unwrap_or(0);
    for generation in 0..=newest {
        let found: Option<MasterEntry> = entry(node, &IValidators::masterCall { generation }).await?;
        let Some(master) = found else { continue };
        output.object(&json!({
            "event": "master", "generation": generation, "public_key": master.public_key.to_string(),
            "first_term": master.first_term, "begun_at": master.begun_at, "ends_at": master.ends_at,
        }));
        let until = master.ends_at.map_or_else(|| "the newest".to_owned(), |end| format!("serves until {end}"));
        output.text(&format!("master {generation:<3} {}  from term {}, {until}", master.public_key, master.first_term));
    }
    let round = [standing, next].into_iter().flatten().find_map(|entry| entry.round.map(|round| (entry.term, round)));
    if let Some((term, round)) = round {
        let (generation, keep_s) = (round.generation, round.keep_s);
        output.object(&json!({ "event": "master_asked", "generation": generation, "term": term, "keep_s": keep_s }));
        output.text(&format!("master {generation:<3} is asked for: term {term} makes it"));
    }
    Ok(())
}
