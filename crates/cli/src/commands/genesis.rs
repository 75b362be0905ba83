//! `genesis`: a new network of several machines, whose keys its validators make among themselves.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_crypto::app_id_from_creator_nonce;
use freehold_node::{Clock, Founder, FounderConfig, FoundingProgress, open_or_make_identity};
use rand::{rand_core::UnwrapErr, rngs::SysRng};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    args::{CombineArgs, ContributeArgs, GenesisCommand, JoinArgs},
    data_dir::Held,
    network_file::{Contribution, NETWORK_FILE, NetworkFile, read_contribution},
    output::Output,
};

/// Runs the command.
pub(crate) async fn run(command: GenesisCommand, output: Output) -> Result<ExitCode> {
    match command {
        GenesisCommand::Contribute(args) => contribute(&args, output),
        GenesisCommand::Combine(args) => combine(&args, output),
        GenesisCommand::Join(args) => join(args, output).await,
    }
}

/// Makes this validator's identity and says who it is and where.
fn contribute(args: &ContributeArgs, output: Output) -> Result<ExitCode> {
    let held = Held::take(&args.data_dir)?;
    let identity = open_or_make_identity(held.path(), &mut UnwrapErr(SysRng))?.public();
    let contribution = Contribution { identity, address: args.address, account: args.account };
    let path = held.path().join("contribution.toml");
    write(&path, &toml::to_string(&contribution)?)?;
    output.object(&json!({ "event": "contribution", "identity": identity, "file": path }));
    output.text(&format!("validator {identity} at {}\nsend {} to whoever combines", args.address, path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the network file from all contributions.
fn combine(args: &CombineArgs, output: Output) -> Result<ExitCode> {
    let contributions = args.contributions.iter().map(|path| read_contribution(path)).collect::<Result<Vec<_>>>()?;
    let app = args.app_owner.as_ref().map(|owner| app_id_from_creator_nonce(owner, 0));
    let now_ms = Clock::system().now_ms();
    let file = NetworkFile::development(args.chain_id, now_ms, contributions, args.term_blocks, app)?;
    write(&args.out, &file.text()?)?;
    output.object(&json!({ "event": "network_file", "digest": file.digest(), "file": args.out }));
    output.text(&format!("{} of {} validators\ndigest {}", args.out.display(), file.validators.len(), file.digest()));
    output.text("give the file to every operator; each compares the digest with the others before `genesis join`");
    Ok(ExitCode::SUCCESS)
}

/// Makes the keys together with the others.
async fn join(args: JoinArgs, output: Output) -> Result<ExitCode> {
    let held = Held::take(&args.data_dir)?;
    let file = NetworkFile::read(&args.network)?;
    let identity = open_or_make_identity(held.path(), &mut UnwrapErr(SysRng))?.public();
    let own = file.validators.iter().find(|validator| validator.identity == identity);
    let own = own.ok_or_else(|| {
        anyhow!(
            "the validator in {} is not in {}: contribute it, and combine again",
            held.path().display(),
            args.network.display()
        )
    })?;
    let config = FounderConfig {
        folder: held.path().to_path_buf(),
        draft: file.draft(),
        listen: args.listen.unwrap_or(own.address),
        peers: file.peers(),
    };
    output.text(&format!("network file {}", file.digest()));
    let (progress, heard) = mpsc::unbounded_channel();
    tokio::spawn(tell(heard, output));
    // One listener from start to end: a signal between two of them would be lost.
    let mut asked = std::pin::pin!(super::asked_to_stop());
    let mut founder = Founder::start(config, progress)?;
    let genesis = tokio::select! {
        made = founder.founded() => made?,
        stop = &mut asked => return stop.map(|()| ExitCode::FAILURE),
    };
    // Only now: a folder with a network file is one that `node` can start.
    write(&held.path().join(NETWORK_FILE), &file.text()?)?;
    let network_key = freehold_node::network_key(&genesis)?;
    let genesis_hash = freehold_crypto::genesis_hash(&genesis);
    freehold_client::pin_network_key(held.path(), &network_key)?;
    output.object(&json!({ "event": "founded", "genesis_hash": genesis_hash, "network_key": network_key }));
    output.text(&format!("genesis {genesis_hash}\nnetwork key {network_key}"));
    output.text("waiting until the others have theirs; Ctrl-C ends this at once");
    tokio::select! {
        () = founder.finish() => {}
        stop = &mut asked => stop?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how far it is, where something changed that a person cares for.
async fn tell(mut heard: mpsc::UnboundedReceiver<FoundingProgress>, output: Output) {
    let mut before = None;
    while let Some(now) = heard.recv().await {
        let stands = (now.attempt, now.heard, now.confirmed);
        if before.replace(stands) == Some(stands) {
            continue;
        }
        output.object(&json!({
            "event": "founding", "attempt": now.attempt, "heard": now.heard, "confirmed": now.confirmed,
            "done": now.done, "total": now.total, "genesis_hash": now.genesis,
        }));
        output.text(&format!(
            "attempt {}: {} of {} are there, {} have confirmed",
            now.attempt + 1,
            now.heard,
            now.total,
            now.confirmed
        ));
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there != text) {
        bail!("{} is there already and says something else: move it away, or choose another name", path.display());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
