//! Several nodes, heads that are old or go back, other chains, checkpoints.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use freehold_client::{LightClient, LightConfig, LightError};
use freehold_rpc::{Endpoint, NodeClient};
use freehold_verify::HeadError;
use serde_json::{Value, json};

use crate::{
    cases::all,
    chain::Chain,
    mutate::changes,
    server::{Handler, Reply, serve},
    tape::{block_on, config, forwarding, set_now},
};

fn honest(chain: &Chain) -> Handler {
    forwarding(NodeClient::new(chain.endpoint.clone()), Arc::new(Mutex::new(BTreeMap::new())))
}

/// Forwards to an honest node, and changes what a function says.
fn changing(honest: Handler, change: impl Fn(&str, Value) -> Value + Send + Sync + 'static) -> Handler {
    let change = Arc::new(change);
    Arc::new(move |method, params| {
        let (answering, change) = (honest(method.clone(), params), Arc::clone(&change));
        Box::pin(async move {
            match answering.await {
                Reply::Result(result) => Reply::Result(change(&method, result)),
                other => other,
            }
        })
    })
}

fn nobody() -> Endpoint {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{free}").parse().unwrap()
}

#[test]
fn the_next_node_answers_where_one_lies_or_is_away() {
    set_now(0);
    let chain = Chain::with_executor(2);
    block_on(async {
        // Proofs, blocks and calls of this node are all changed somewhere; its genesis and headers are true.
        let liar = changing(honest(&chain), |method, result| match method {
            "freehold_getProof" | "freehold_getBlock" | "freehold_proveCall" | "freehold_getContent" => {
                changes(&result).into_iter().next_back().map_or(result, |(_, changed)| changed)
            }
            _ => result,
        });
        let nodes = vec![nobody(), serve(liar).await, serve(honest(&chain)).await];
        let liar_alone = LightClient::open(config(chain.network_key, nodes[..2].to_vec())).await.unwrap();
        let client = LightClient::open(config(chain.network_key, nodes)).await.unwrap();
        for case in all().iter().filter(|case| case.name != "eth_getLogs of a block") {
            let told = (case.ask)(&client, &chain.facts).await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert!(!told.is_null(), "{}", case.name);
        }
        let error = liar_alone.balance(&chain.facts.owner, None).await.unwrap_err();
        assert!(matches!(error.code(), 3 | 10..=18), "{} {error}", error.code());
    });
}

#[test]
fn an_old_head_is_noticed() {
    set_now(0);
    let chain = Chain::start(3);
    block_on(async {
        // From some moment on the node tells of no newer block.
        let frozen = Arc::new(AtomicU64::new(u64::MAX));
        let limit = Arc::clone(&frozen);
        let lagging = changing(honest(&chain), move |method, result| {
            let limit = limit.load(Ordering::Relaxed);
            let is_above = |number: &Value| u64::from_str_radix(&number.as_str().unwrap()[2..], 16).unwrap() > limit;
            match method {
                "eth_getBlockByNumber" if is_above(&result["number"]) => {
                    json!({"number": format!("{limit:#x}"), "hash": result["hash"], "timestamp": "0x1"})
                }
                _ => result,
            }
        });
        let node = serve(lagging).await;
        let config = LightConfig {
            rules: freehold_verify::HeadRules { age_s_max: 3, ahead_s_max: 15 },
            ..config(chain.network_key, vec![node.clone()])
        };
        let client = LightClient::open(config.clone()).await.unwrap();
        let newest = client.head().await.unwrap().height();
        frozen.store(newest, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let error = client.head().await.unwrap_err();
        assert!(matches!(error, LightError::Head(HeadError::Stale { bound: 3, .. })), "{error}");
        assert_eq!(error.code(), 30);
        assert_eq!(client.balance(&chain.facts.owner, None).await.unwrap_err().code(), 30);
        // With an honest node beside it the answer is new.
        let both = LightConfig { nodes: vec![node, chain.endpoint.clone()], ..config };
        let client = LightClient::open(both).await.unwrap();
        assert!(client.head().await.unwrap().height() > newest);
    });
}

#[test]
fn another_chain_is_refused_and_a_clock_that_is_behind_is_told() {
    set_now(0);
    let (chain, other) = (Chain::start(4), Chain::start(5));
    block_on(async {
        let error = LightClient::open(config(other.network_key, vec![chain.endpoint.clone()])).await.err().unwrap();
        assert!(matches!(error, LightError::ForeignGenesis), "{error}");
        assert_eq!(error.code(), 43);
        let nodes = vec![chain.endpoint.clone(), other.endpoint.clone()];
        let client = LightClient::open(config(other.network_key, nodes)).await.unwrap();
        assert_eq!(client.nonce(&chain.facts.owner, None).await.unwrap(), 6);

        // The other chain's headers and certificates under this chain's genesis.
        let finality = NodeClient::new(other.endpoint.clone());
        let foreign: Value = finality.call("freehold_getFinality", (2,)).await.unwrap();
        let mixed = changing(honest(&chain), move |method, result| match method {
            "freehold_getFinality" => foreign.clone(),
            _ => result,
        });
        let node = serve(mixed).await;
        let error = LightClient::open(config(chain.network_key, vec![node])).await.err().unwrap();
        assert_eq!(error.code(), 43, "{error}");

        let early = LightConfig { now: || 1_700_000_000, ..config(chain.network_key, vec![chain.endpoint.clone()]) };
        assert_eq!(LightClient::open(early).await.err().unwrap().code(), 31);
    });
}

#[test]
fn a_checkpoint_keeps_a_chain_from_going_back_over_a_restart() {
    set_now(0);
    let chain = Chain::start(6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.json");
    block_on(async {
        let with = |node: Endpoint| LightConfig {
            checkpoint: Some(path.clone()),
            rules: freehold_verify::HeadRules { age_s_max: 3_600, ahead_s_max: 15 },
            ..config(chain.network_key, vec![node])
        };
        let client = LightClient::open(with(chain.endpoint.clone())).await.unwrap();
        client.head().await.unwrap();
        assert!(path.exists());
        // This node tells of an old block as the newest one.
        let back = serve(changing(honest(&chain), |method, mut result| {
            if method == "eth_getBlockByNumber" {
                result["number"] = json!("0x1");
            }
            result
        }))
        .await;
        let error = LightClient::open(with(back.clone())).await.err().unwrap();
        assert!(matches!(error, LightError::Head(HeadError::GoesBack { .. })), "{error}");
        assert_eq!(error.code(), 32);
        // Without a checkpoint nobody could tell.
        let forgetful = LightConfig { checkpoint: None, ..with(back) };
        assert!(LightClient::open(forgetful).await.is_ok());

        let text = std::fs::read_to_string(&path).unwrap();
        for (broken, code) in
            [(text.replace("freehold.checkpoint/1", "freehold.checkpoint/9"), 59), ("{".to_owned(), 59)]
        {
            std::fs::write(&path, broken).unwrap();
            assert_eq!(LightClient::open(with(chain.endpoint.clone())).await.err().unwrap().code(), code);
        }
        let document: Value = serde_json::from_str(&text).unwrap();
        for (what, changed) in changes(&document["finality"]).into_iter().step_by(3) {
            let changed = json!({"format": document["format"], "finality": changed});
            std::fs::write(&path, changed.to_string()).unwrap();
            match LightClient::open(with(chain.endpoint.clone())).await {
                Err(error) => assert_eq!(error.code(), 59, "{what}"),
                // The height beside the headers is what was asked for, and nothing reads it.
                Ok(_) => assert!(what.contains("height"), "{what}"),
            }
        }
    });
}
