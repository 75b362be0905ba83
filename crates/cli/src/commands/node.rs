//! `node`: one validator as a process of its own, or with `--follow` a full node that is none; `--init` makes the folders of a
//! development network.

mod follow;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use freehold_node::{Clock, Member, MemberConfig, read_genesis, read_identity, validator_folder, write_genesis};
use freehold_primitives::Genesis;
use serde_json::json;

use crate::{
    args::NodeArgs,
    data_dir::Held,
    network::{self, Wanted},
    network_file::{NETWORK_FILE, NetworkFile},
    output::Output,
};

/// Runs the command.
pub(crate) async fn run(args: NodeArgs, output: Output) -> Result<ExitCode> {
    let held = Held::take(&args.data_dir)?;
    if let Some(validators) = args.init {
        let wanted = Wanted { term_blocks: args.term_blocks, ..Wanted::development(args.chain_id, validators) };
        return init(&held, wanted, output);
    }
    if !args.follower.follow.is_empty() {
        return follow::run(args, &held, output).await;
    }
    let genesis = read_genesis(held.path())?
        .ok_or_else(|| anyhow!("{} holds no genesis: make one with `freehold genesis`", held.path().display()))?;
    let identity = read_identity(held.path())?.public();
    let index = genesis.validators.iter().position(|key| *key == identity);
    let index = index.ok_or_else(|| anyhow!("the identity in {} is not in its genesis", held.path().display()))?;
    let mut addresses = addresses(args.peers, &held, &genesis)?;
    if let Some(listen) = args.listen {
        addresses[index] = listen;
    }
    let network_key = freehold_node::network_key(&genesis)?;
    freehold_client::pin_network_key(held.path(), &network_key)?;
    let chain_id = genesis.chain_id;
    let config = MemberConfig {
        folder: held.path().to_path_buf(),
        name: format!("validator {index}"),
        listen: addresses[index],
        peers: genesis.validators.iter().copied().zip(addresses).collect(),
        genesis,
        rpc: args.rpc,
        keep_blocks: args.keep_blocks,
        clock: Clock::system(),
    };
    let (failed, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let mut asked = std::pin::pin!(super::asked_to_stop());
    let member = tokio::select! {
        started = Member::start(config, failed) => started?,
        stop = &mut asked => return stop.map(|()| ExitCode::SUCCESS),
    };
    output.object(&json!({
        "event": "ready",
        "index": index,
        "rpc": member.rpc.map(|rpc| format!("http://{rpc}")),
        "chain_id": chain_id,
        "network_key": network_key,
        "data_dir": held.path(),
    }));
    output.text(&format!("validator {index} runs; Ctrl-C stops it"));
    tokio::select! {
        stop = &mut asked => stop?,
        Some(error) = ended.recv() => bail!(error),
    }
    member.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Where all validators are: as `--peers` says, or the network file that `genesis join` left.
fn addresses(peers: Vec<SocketAddr>, held: &Held, genesis: &Genesis) -> Result<Vec<SocketAddr>> {
    let peers = if peers.is_empty() {
        let path = held.path().join(NETWORK_FILE);
        if !path.exists() {
            bail!("--peers is missing: the addresses of all validators, in the order of the genesis");
        }
        let file = NetworkFile::read(&path)?;
        if !file.validators.iter().map(|validator| &validator.identity).eq(&genesis.validators) {
            bail!("{} names other validators than the genesis beside it", path.display());
        }
        file.peers().into_iter().map(|(_, address)| address).collect()
    } else {
        peers
    };
    if peers.len() != genesis.validators.len() {
        bail!("--peers names {} addresses, the genesis has {} validators", peers.len(), genesis.validators.len());
    }
    Ok(peers)
}

/// Makes a network's folders; each validator's is whole, so that it can be carried to its machine.
fn init(held: &Held, wanted: Wanted, output: Output) -> Result<ExitCode> {
    let (genesis, _) = network::open_or_make(held.path(), wanted)?;
    for index in 0..wanted.validators {
        let folder = validator_folder(held.path(), index);
        write_genesis(&folder, &genesis)?;
        output.object(&json!({ "event": "validator", "index": index, "data_dir": folder }));
        output.text(&format!("validator {index}: {}", folder.display()));
    }
    output.warn("key shares were made by a trusted dealer in this process: for development only");
    Ok(ExitCode::SUCCESS)
}
