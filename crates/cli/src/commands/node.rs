//! `node`: one validator as a process of its own, or with `--follow` a full node that is none; `--init` makes the folders of a
//! development network.

mod executor;
mod follow;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use freehold_node::{Clock, Member, MemberConfig, read_genesis, read_identity, validator_folder, write_genesis};
use freehold_primitives::{Ed25519Key, Genesis};
use serde_json::json;

use crate::{
    args::NodeArgs,
    data_dir::Held,
    network::{self, Wanted},
    network_file::{NETWORK_FILE, NetworkFile},
    output::Output,
    peers_file::PeersFile,
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
    let joined = PeersFile::read(held.path())?;
    let mut peers = peers(args.peers, &held, &genesis)?;
    let own = peers.iter().find(|(key, _)| *key == identity).map(|(_, address)| *address);
    let listen = args.listen.or(own).or(joined.as_ref().map(|file| file.listen)).ok_or_else(|| {
        anyhow!(
            "{} does not say where this validator listens: give --listen, or make it a candidate with \
             `freehold validator join`",
            held.path().display()
        )
    })?;
    peers.retain(|(key, _)| *key != identity);
    peers.push((identity, listen));
    add_known(&mut peers, joined.as_ref());
    let name =
        index.map_or_else(|| format!("validator {}", &identity.to_string()[..8]), |index| format!("validator {index}"));
    let network_key = freehold_node::network_key(&genesis)?;
    freehold_client::pin_network_key(held.path(), &network_key)?;
    let chain_id = genesis.chain_id;
    let config = MemberConfig {
        folder: held.path().to_path_buf(),
        name: name.clone(),
        listen,
        peers,
        genesis,
        rpc: args.rpc,
        keep_blocks: args.keep_blocks,
        keep_payloads: args.keep_payloads.or(args.keep_blocks),
        sources: args.sync_from.into_iter().chain(joined.into_iter().flat_map(|file| file.sync_from)).collect(),
        clock: Clock::system(),
        signer: None,
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
        "identity": identity,
        "rpc": member.rpc.map(|rpc| format!("http://{rpc}")),
        "chain_id": chain_id,
        "network_key": network_key,
        "data_dir": held.path(),
    }));
    output.text(&format!("{name} runs; Ctrl-C stops it"));
    tokio::select! {
        stop = &mut asked => stop?,
        Some(error) = ended.recv() => bail!(error),
    }
    member.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Adds the peers that the file of a joiner knows and nobody else named.
fn add_known(peers: &mut Vec<(Ed25519Key, SocketAddr)>, joined: Option<&PeersFile>) {
    for peer in joined.into_iter().flat_map(|file| &file.peers) {
        if peers.iter().all(|(key, _)| *key != peer.identity) {
            peers.push((peer.identity, peer.address));
        }
    }
}

/// Where the genesis' validators are: as `--peers` says, or the network file that `genesis join` left, or the genesis.
fn peers(said: Vec<SocketAddr>, held: &Held, genesis: &Genesis) -> Result<Vec<(Ed25519Key, SocketAddr)>> {
    let validators = genesis.validators.iter().copied();
    if !said.is_empty() {
        if said.len() != genesis.validators.len() {
            bail!("--peers names {} addresses, the genesis has {} validators", said.len(), genesis.validators.len());
        }
        return Ok(validators.zip(said).collect());
    }
    let path = held.path().join(NETWORK_FILE);
    if path.exists() {
        let file = NetworkFile::read(&path)?;
        if !file.validators.iter().map(|validator| validator.identity).eq(validators) {
            bail!("{} names other validators than the genesis beside it", path.display());
        }
        return Ok(file.peers());
    }
    let seats = validators.zip(&genesis.membership.seats);
    let named: Vec<_> = seats.filter_map(|(identity, seat)| Some((identity, seat.address.parse().ok()?))).collect();
    if named.is_empty() {
        bail!(
            "--peers is missing: the addresses of the genesis' validators, in its order; the genesis does not name them"
        );
    }
    Ok(named)
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
