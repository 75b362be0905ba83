//! `app fetch-check`: checks offline what an instance fetched and signed.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use freehold_client::pinned_network_key;
use freehold_crypto::sha256;
use freehold_rpc::{FETCH_FORMAT, Fetched};
use freehold_verify::verify_fetch;
use serde_json::json;

use crate::{
    args::AppFetchCheckArgs,
    commands::verify::{read_bounded, read_records},
    data_dir,
    output::Output,
};

/// Runs the command.
pub(crate) fn check(args: &AppFetchCheckArgs, output: Output) -> Result<ExitCode> {
    let text = read_bounded(&args.fetched)?;
    let no_fetch = || format!("{} is no answer of /freehold/v1/fetch", args.fetched.display());
    let fetched: Fetched = serde_json::from_str(&text).with_context(no_fetch)?;
    ensure!(fetched.format == FETCH_FORMAT, "{} is of the format {:?}", args.fetched.display(), fetched.format);
    let record = &fetched.record;
    ensure!(sha256(&fetched.body.0) == record.response_body, "the body is not the one that was signed");
    let folder = data_dir::of(args.data_dir.as_deref(), args.chain_id)?;
    let key = args.network_key.map_or_else(|| pinned_network_key(&folder), |key| Ok(Some(key)))?;
    let key = key.with_context(|| {
        format!("no network key is pinned in {}: name the one you trust with --network-key", folder.display())
    })?;
    let succession = args.succession.as_deref().map(read_records).transpose()?.unwrap_or_default();
    let header = read_bounded(&args.header)?;
    let found = verify_fetch((record, &fetched.signature.0), &header, (key, &succession))?;
    output.object(&json!({
        "event": "fetch_checked",
        "app_id": found.app_id,
        "instance_id": found.instance_id,
        "trust_domain": found.trust_domain.as_str(),
        "tier": found.tier,
        "as_of": found.as_of.height,
        "record": record,
    }));
    let roots =
        if record.roots.0 == [0; 32] { "the web's roots".to_owned() } else { format!("the roots {}", record.roots) };
    output.text(&format!(
        "an instance of {app} ({domain}, tier {tier}) got this of {url}: status {status}, {bytes} bytes, SHA-256 {body}\n\
         after block {height}, at {time} (Unix), from a server under {roots}; the instance was live then, by block {as_of}",
        app = found.app_id,
        domain = found.trust_domain.as_str(),
        tier = found.tier,
        url = record.url,
        status = record.status,
        bytes = fetched.body.0.len(),
        body = record.response_body,
        height = record.height,
        time = record.time_unix_s,
        as_of = found.as_of.height,
    ));
    Ok(ExitCode::SUCCESS)
}
