//! Followers of a real network: they sync, serve with proofs, survive, and catch sources that lie.
#![allow(clippy::unwrap_used)]

pub(crate) mod liar;
mod lies;
pub(crate) mod net;

use std::time::Duration;

use freehold_node::{KeepStates, SyncFrom};
use freehold_rpc::{ChainTrust, NodeClient, VerifiedClient};
use serde_json::{Value, json};

use self::net::{Choice, Net, follow, reach};

fn trust(net: &Net) -> ChainTrust {
    let genesis_hash = freehold_crypto::genesis_hash(&net.genesis);
    ChainTrust { network_key: net.network.network_key, chain_id: net.genesis.chain_id, genesis_hash }
}

async fn same_block(left: &NodeClient, right: &NodeClient, height: u64) {
    for method in ["eth_getBlockByNumber", "eth_getBlockReceipts"] {
        let ask = json!([format!("{height:#x}"), true]);
        let (one, other) =
            (left.call::<Value>(method, &ask).await.unwrap(), right.call::<Value>(method, &ask).await.unwrap());
        assert!(!one.is_null());
        assert_eq!(one, other, "{method} of block {height}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_takes_the_state_follows_and_serves_with_proofs() {
    let net = Net::start().await;
    let user = net.user();
    let (public, confidential) = (user.deploy(Choice::Public).await, user.deploy(Choice::Confidential).await);
    user.keep(public, 7).await;
    let before = user.keep(confidential, 8).await;

    let folder = tempfile::tempdir().unwrap();
    let config = net.follower(folder.path(), vec![net.endpoint()]);
    let followed = follow(config.clone()).await.unwrap();
    let synced = followed.follower.synced.unwrap();
    assert!(synced.height >= before && synced.operations > 0 && synced.entries > 0 && synced.content > 0, "{synced:?}");

    // It goes on with the blocks that come, and has their bodies, receipts and logs.
    let block = user.keep(public, 9).await;
    reach(&followed.client, block).await;
    same_block(&user.client, &followed.client, block).await;
    let filter = json!([{ "fromBlock": format!("{block:#x}"), "address": format!("0x{public}") }]);
    let logs: Value = followed.client.call("eth_getLogs", &filter).await.unwrap();
    assert_eq!(logs.as_array().unwrap().len(), 1, "{logs}");
    assert_eq!(user.at(&followed.client).read(public).await, 9);

    // What it says is proven under the network key, like a validator's word.
    let verified = VerifiedClient::new(followed.client.clone(), trust(&net));
    let account = verified.account(&user.account()).await.unwrap();
    assert!(account.header.height() >= block && account.value.is_some());
    assert_eq!(verified.storage(&public, &[0; 32]).await.unwrap().value.0[31], 9);
    assert!(!verified.code(&public).await.unwrap().value.is_empty());

    // It holds no state keys: confidential calls and transactions go on to its source.
    let status: Value = followed.client.call("freehold_status", ()).await.unwrap();
    assert_eq!(status["state_keys"]["origin"], "none");
    let here = user.at(&followed.client);
    assert_eq!(here.read(confidential).await, 8);
    let block = here.keep(confidential, 10).await;
    assert_eq!(user.read(confidential).await, 10);

    // Started again it goes on where it was; blocks below its state are said to be elsewhere.
    followed.follower.stop().await;
    let again = user.keep(public, 11).await;
    let followed = follow(config).await.unwrap();
    assert!(followed.follower.synced.is_none());
    reach(&followed.client, again).await;
    same_block(&user.client, &followed.client, block).await;
    same_block(&user.client, &followed.client, again).await;
    assert_eq!(followed.client.raw_headers(1, 1).await.unwrap(), user.client.raw_headers(1, 1).await.unwrap());
    let old = followed.client.call::<Value>("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert!(old.unwrap_err().to_string().contains("pruned here"), "the header of block 1 is here, its body is not");
    let refused =
        followed.client.call::<Value>("eth_getBalance", json!([format!("0x{}", user.account()), "0x1"])).await;
    assert!(refused.unwrap_err().to_string().contains("not kept"));
    followed.follower.stop().await;
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_answers_at_every_height_and_feeds_others() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    let mut kept = Vec::new();
    for word in 1..=5 {
        kept.push((word, user.keep(public, word).await));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut config = net.follower(folder.path(), vec![net.endpoint()]);
    (config.from, config.keep_states) = (SyncFrom::Genesis, KeepStates::All);
    let archive = follow(config.clone()).await.unwrap();
    let (_, newest) = *kept.last().unwrap();
    reach(&archive.client, newest).await;
    for (word, height) in &kept {
        let slot = json!([format!("0x{public}"), "0x0", format!("{height:#x}")]);
        let found: String = archive.client.call("eth_getStorageAt", &slot).await.unwrap();
        assert_eq!(u64::from_str_radix(found.trim_start_matches("0x"), 16).unwrap(), *word);
        assert_eq!(found, user.client.call::<String>("eth_getStorageAt", &slot).await.unwrap());
        same_block(&user.client, &archive.client, *height).await;
    }
    // A second follower has only the first one to follow.
    let second = tempfile::tempdir().unwrap();
    let behind = follow(net.follower(second.path(), vec![archive.client.endpoint().clone()])).await.unwrap();
    let block = user.keep(public, 6).await;
    reach(&behind.client, block).await;
    same_block(&user.client, &behind.client, block).await;
    behind.follower.stop().await;

    // With state keys in its folder a follower executes, and comes to the same blocks.
    let third = tempfile::tempdir().unwrap();
    let keys = net.folder.path().join("validator-0/state.development-key");
    std::fs::copy(keys, third.path().join("state.development-key")).unwrap();
    let mut config = net.follower(third.path(), vec![net.endpoint()]);
    config.from = SyncFrom::Genesis;
    let executor = follow(config).await.unwrap();
    reach(&executor.client, block).await;
    same_block(&user.client, &executor.client, block).await;
    let status: Value = executor.client.call("freehold_status", ()).await.unwrap();
    assert_eq!(status["state_keys"]["origin"], "development");
    executor.follower.stop().await;
    archive.follower.stop().await;
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_stores_are_set_aside_and_synced_anew() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    let folder = tempfile::tempdir().unwrap();
    let config = net.follower(folder.path(), vec![net.endpoint()]);
    let followed = follow(config.clone()).await.unwrap();
    followed.follower.stop().await;
    let path = folder.path().join("blocks.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in bytes.iter_mut().take(4_096) {
        *byte = !*byte;
    }
    std::fs::write(&path, bytes).unwrap();
    let followed = follow(config).await.unwrap();
    let block = user.keep(public, 3).await;
    reach(&followed.client, block).await;
    assert!(folder.path().join("damaged/blocks.redb").exists());
    followed.follower.stop().await;
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_away_is_waited_for_and_another_is_taken() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    let folder = tempfile::tempdir().unwrap();
    let nobody = "http://127.0.0.1:1".parse().unwrap();
    let mut followed = follow(net.follower(folder.path(), vec![nobody, net.endpoint()])).await.unwrap();
    let block = user.keep(public, 3).await;
    reach(&followed.client, block).await;
    net.network.stop().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Nobody is left to follow; what is here goes on being served.
    assert!(followed.ended.try_recv().is_err());
    assert_eq!(user.at(&followed.client).read(public).await, 3);
    followed.follower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_can_bring_on_takes_the_state_anew() {
    let net = Net::start().await;
    let user = net.user();
    let public = user.deploy(Choice::Public).await;
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = net.follower(folder.path(), vec![net.endpoint()]);
    let behind = follow(config.clone()).await.unwrap();
    reach(&behind.client, user.keep(public, 1).await).await;
    let left = behind.client.block_number().await.unwrap();
    behind.follower.stop().await;

    // The only node that is left to follow has no block between the state that it took and the one here.
    let mut begun = user.keep(public, 2).await;
    while begun < left + 5 {
        begun = user.keep(public, 3).await;
    }
    let source = follow(net.follower(other.path(), vec![net.endpoint()])).await.unwrap();
    assert!(source.follower.synced.unwrap().height > left + 1);
    config.sources = vec![source.client.endpoint().clone()];
    let mut archive = config.clone();
    archive.keep_states = KeepStates::All;
    let mut behind = follow(config.clone()).await.unwrap();
    assert!(behind.follower.synced.is_none(), "it begins with what it has");
    let block = user.keep(public, 4).await;
    let end = tokio::time::Instant::now() + net::WAIT;
    while behind.client.block_number().await.unwrap_or(0) < block {
        assert!(behind.ended.try_recv().is_err() && tokio::time::Instant::now() < end, "it is still behind");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(user.at(&behind.client).read(public).await, 4);
    assert!(folder.path().join("damaged/blocks.redb").exists(), "its old stores are kept");
    behind.follower.stop().await;

    // An archive's old states are not thrown away for it.
    std::fs::remove_dir_all(folder.path().join("state")).unwrap();
    for part in ["blocks.redb", "state"] {
        let _gone = std::fs::remove_file(folder.path().join(part));
        std::fs::rename(folder.path().join("damaged").join(part), folder.path().join(part)).unwrap();
    }
    let mut behind = follow(archive).await.unwrap();
    let ended = tokio::time::timeout(net::WAIT, behind.ended.recv()).await.unwrap().unwrap();
    assert!(matches!(ended, freehold_node::FollowerError::Archive { .. }), "{ended}");
    behind.follower.stop().await;
    source.follower.stop().await;
    net.network.stop().await;
}
