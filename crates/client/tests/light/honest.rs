//! Against an honest node: the proxy says what the node says, what is confidential is refused, transactions are passed on.

use std::{net::SocketAddr, sync::Arc};

use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use freehold_client::{Backing, LightCall, LightClient, LightConfig, LightError, LightServer, Unproven, Unsigned};
use freehold_rpc::{Endpoint, NodeClient, NodeError};
use serde_json::{Value, json};

use crate::{
    chain::{Chain, KEPT, keep, signed},
    server::{Reply, at_once, serve},
    tape::{block_on, config, set_now},
};

async fn proxy(config: LightConfig) -> (LightServer, NodeClient) {
    let client = LightClient::open(config).await.unwrap();
    let server = LightServer::start(Arc::new(client), SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let endpoint: Endpoint = format!("http://{}", server.address()).parse().unwrap();
    (server, NodeClient::new(endpoint))
}

#[test]
fn the_proxy_says_what_an_honest_node_says() {
    set_now(0);
    let chain = Chain::start(7);
    let facts = &chain.facts;
    block_on(async {
        let (server, light) = proxy(config(chain.network_key, vec![chain.endpoint.clone()])).await;
        let node = NodeClient::new(chain.endpoint.clone());
        let at = format!("{:#x}", facts.kept_at);
        let range = json!({"fromBlock": "0x0", "toBlock": at, "address": facts.keeper});
        let questions = [
            ("eth_chainId", json!([])),
            ("net_version", json!([])),
            ("eth_getBlockByNumber", json!([at, true])),
            ("eth_getBlockByNumber", json!(["0x0", false])),
            ("eth_getBlockByNumber", json!(["0xffffff", false])),
            ("eth_getBlockByHash", json!([facts.kept_in, false])),
            ("eth_getBlockReceipts", json!([at])),
            ("eth_getBlockTransactionCountByNumber", json!([at])),
            ("eth_getTransactionByHash", json!([facts.kept])),
            ("eth_getTransactionByHash", json!([B256::repeat_byte(1)])),
            ("eth_getTransactionByBlockNumberAndIndex", json!([at, "0x0"])),
            ("eth_getTransactionByBlockHashAndIndex", json!([facts.kept_in, "0x0"])),
            ("eth_getTransactionReceipt", json!([facts.kept])),
            ("eth_getLogs", json!([range])),
            ("eth_getLogs", json!([{"blockHash": facts.kept_in}])),
            ("eth_getLogs", json!([{"fromBlock": "0x0", "toBlock": at, "topics": [B256::from(KEPT)]}])),
            ("eth_getBalance", json!([facts.owner, "latest"])),
            ("eth_getBalance", json!([facts.keeper, "finalized"])),
            ("eth_getTransactionCount", json!([facts.owner, "pending"])),
            ("eth_getCode", json!([facts.keeper, "latest"])),
            ("eth_getCode", json!([facts.owner, "latest"])),
            ("eth_getStorageAt", json!([facts.keeper, "0x0", "latest"])),
            ("eth_call", json!([{"to": facts.keeper, "data": B256::ZERO}, "latest"])),
            ("eth_call", json!([{"to": facts.hashes, "data": B256::from(U256::from(facts.kept_at))}])),
            ("eth_estimateGas", json!([{"from": facts.owner, "to": facts.keeper, "data": keep(U256::from(3))}])),
            ("eth_estimateGas", json!([{"from": facts.owner, "to": facts.owner, "value": "0x1"}])),
            ("eth_gasPrice", json!([])),
            ("eth_maxPriorityFeePerGas", json!([])),
            ("eth_feeHistory", json!(["0x3", at, [10.0, 90.0]])),
        ];
        for (method, params) in questions {
            let told: Value = light.call(method, &params).await.unwrap_or_else(|error| panic!("{method}: {error}"));
            let said: Value = node.call(method, &params).await.unwrap();
            assert_eq!(told, said, "{method} {params}");
        }
        server.stop().await;
    });
}

#[test]
fn calls_of_the_systems_modules_are_made_again() {
    set_now(0);
    let chain = Chain::start(8);
    block_on(async {
        let client = LightClient::open(config(chain.network_key, vec![chain.endpoint.clone()])).await.unwrap();
        // `Apps.app(bytes21)` of an app that is not there: the module's own refusal, by the same rules.
        let data = Bytes::from([&keccak256("app(bytes21)")[..4], &[0; 32]].concat());
        let apps = "0x0000000000000000000000000000000000f4ee01";
        let call = LightCall::read(json!({"to": apps, "data": data})).unwrap();
        let outcome = client.call(&call, None).await.unwrap();
        let node = NodeClient::new(chain.endpoint.clone());
        let said = node.call::<Value>("eth_call", json!([{"to": apps, "data": data}, "latest"])).await;
        match said {
            Ok(output) => assert_eq!(output, json!(outcome.output)),
            Err(NodeError::Refused { data, .. }) => assert_eq!(data, Some(json!(outcome.output))),
            Err(error) => panic!("{error}"),
        }
    });
}

#[test]
fn what_is_confidential_is_refused_unless_asked_for() {
    set_now(0);
    let chain = Chain::start(9);
    let facts = &chain.facts;
    block_on(async {
        let strict = config(chain.network_key, vec![chain.endpoint.clone()]);
        let client = LightClient::open(strict.clone()).await.unwrap();
        let request = json!({"to": facts.secret, "data": B256::ZERO});
        let call = LightCall::read(request.clone()).unwrap();
        for error in [client.call(&call, None).await.err(), client.estimate_gas(&call, None).await.err()] {
            assert!(matches!(error, Some(LightError::ConfidentialCall(Unsigned::NoApp))), "{error:?}");
        }
        assert_eq!(client.storage(&facts.secret, U256::ZERO, None).await.unwrap_err().code(), 19);
        // Asked for by name, the answer is marked.
        let unproven = client.unproven_output(json!([request, "latest"])).await.unwrap();
        assert_eq!(unproven, json!({"proven": false, "output": B256::from(KEPT)}));
        // Or by a setting; what can be proven is proven all the same.
        let (server, light) = proxy(LightConfig { unproven: Unproven::PassedOn, ..strict.clone() }).await;
        let told: Value = light.call("eth_call", json!([request, "latest"])).await.unwrap();
        assert_eq!(told, json!(B256::from(KEPT)));
        server.stop().await;
        let (server, light) = proxy(strict).await;
        let error = light.call::<Value>("eth_call", json!([request, "latest"])).await.unwrap_err();
        let NodeError::Refused { code, data, .. } = error else { panic!("{error}") };
        assert_eq!((code, data), (-32_000, Some(json!({"light": 50, "why": "no-executor-app"}))));
        server.stop().await;
    });
}

#[test]
fn transactions_are_passed_on_and_their_inclusion_is_proven() {
    set_now(0);
    let chain = Chain::start(10);
    let facts = &chain.facts;
    block_on(async {
        // A node that answers with another hash took something else, or nothing.
        let liar = serve(at_once(|_, _| Reply::Result(json!(B256::repeat_byte(7))))).await;
        let nodes = vec![chain.endpoint.clone(), liar];
        let client = LightClient::open(config(chain.network_key, nodes)).await.unwrap();
        let raw = Bytes::from(signed(6, TxKind::Call(facts.keeper), keep(U256::from(77))));
        let hash = client.send_raw(&raw).await.unwrap();
        assert_eq!(hash, keccak256(&raw));
        let pending = client.nonce(&facts.owner, Some(alloy_eips::BlockId::pending())).await.unwrap();
        assert_eq!(pending, 7);
        let receipt = loop {
            match client.receipt(hash).await {
                Ok(Some(receipt)) => break receipt,
                Ok(None) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        assert!(receipt.status());
        assert_eq!(client.storage(&facts.keeper, U256::ZERO, None).await.unwrap(), B256::from(U256::from(77)));
        let liar_alone = serve(at_once(|_, _| Reply::Result(json!(B256::repeat_byte(7))))).await;
        let _unused = liar_alone;
        for raw in ["0x", "0x02", "0xdeadbeef"] {
            assert_eq!(client.send_raw(&raw.parse().unwrap()).await.unwrap_err().code(), 57);
        }
        let again = client.send_raw(&raw).await;
        assert!(matches!(again.unwrap_err().code(), 2 | 42));
    });
}

#[test]
fn old_state_and_long_ranges_are_refused() {
    set_now(0);
    let chain = Chain::start(11);
    let facts = &chain.facts;
    block_on(async {
        let client = LightClient::open(config(chain.network_key, vec![chain.endpoint.clone()])).await.unwrap();
        let old = Some(alloy_eips::BlockId::number(1));
        assert_eq!(client.balance(&facts.owner, old).await.unwrap_err().code(), 52);
        let filter = alloy_rpc_types_eth::Filter::new().from_block(9).to_block(3);
        assert_eq!(client.logs(&filter).await.unwrap_err().code(), 56);
        let future = alloy_rpc_types_eth::Filter::new().from_block(1_000_000).to_block(2_000_000);
        assert_eq!(client.logs(&future).await.unwrap(), vec![]);
    });
}

#[test]
fn a_confidential_call_is_answered_by_a_registered_executors_signature() {
    set_now(0);
    let chain = Chain::with_executor(12);
    let facts = &chain.facts;
    block_on(async {
        let client = LightClient::open(config(chain.network_key, vec![chain.endpoint.clone()])).await.unwrap();
        let request = json!({"to": facts.secret, "data": B256::ZERO});
        let outcome = client.call(&LightCall::read(request.clone()).unwrap(), None).await.unwrap();
        assert_eq!(outcome.output, Bytes::from(B256::from(KEPT)));
        assert!(matches!(outcome.backing, Backing::Executor(_)), "{outcome:?}");
        let public = LightCall::read(json!({"to": facts.keeper, "data": B256::ZERO})).unwrap();
        assert_eq!(client.call(&public, None).await.unwrap().backing, Backing::Recomputed);
        // Of an older block nothing is signed.
        let call = LightCall::read(request.clone()).unwrap();
        assert_eq!(client.call(&call, Some(alloy_eips::BlockId::number(1))).await.unwrap_err().code(), 52);
        // Over the proxy, in the clear and sealed; a sealed answer is another each time, and only its asker reads it.
        let (server, light) = proxy(config(chain.network_key, vec![chain.endpoint.clone()])).await;
        let told: Value = light.call("eth_call", json!([request, "latest"])).await.unwrap();
        assert_eq!(told, json!(B256::from(KEPT)));
        let sealed = json!([{"to": facts.secret, "data": facts.sealed}]);
        let told: Value = light.call("eth_call", &sealed).await.unwrap();
        assert!(told.as_str().unwrap().len() > 100, "{told}");
        let node = NodeClient::new(chain.endpoint.clone());
        let estimate = json!([{"to": facts.secret, "data": keep(U256::from(5))}]);
        let (told, said): (Value, Value) = (
            light.call("eth_estimateGas", &estimate).await.unwrap(),
            node.call("eth_estimateGas", &estimate).await.unwrap(),
        );
        assert_eq!(told, said);
        server.stop().await;
    });
}

#[test]
fn filters_tell_each_log_and_block_once() {
    set_now(0);
    let chain = Chain::start(13);
    let facts = &chain.facts;
    block_on(async {
        let (server, light) = proxy(config(chain.network_key, vec![chain.endpoint.clone()])).await;
        let ask = async |method: &str, params: Value| light.call::<Value>(method, params).await;
        let old = json!([{"fromBlock": "0x0", "address": facts.keeper}]);
        let (logs, blocks) =
            (ask("eth_newFilter", old).await.unwrap(), ask("eth_newBlockFilter", json!([])).await.unwrap());
        let before = ask("eth_getFilterChanges", json!([logs])).await.unwrap();
        assert_eq!(before.as_array().unwrap().len(), 2, "{before}");
        assert_eq!(ask("eth_getFilterChanges", json!([logs])).await.unwrap(), json!([]));
        let raw = Bytes::from(signed(6, TxKind::Call(facts.keeper), keep(U256::from(78))));
        let hash = ask("eth_sendRawTransaction", json!([raw])).await.unwrap();
        let new = loop {
            let new = ask("eth_getFilterChanges", json!([logs])).await.unwrap();
            if new != json!([]) {
                break new;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!((new.as_array().unwrap().len(), &new[0]["transactionHash"]), (1, &hash));
        let hashes = ask("eth_getFilterChanges", json!([blocks])).await.unwrap();
        assert!(hashes.as_array().unwrap().contains(&new[0]["blockHash"]), "{hashes}");
        assert_eq!(ask("eth_getFilterLogs", json!([logs])).await.unwrap().as_array().unwrap().len(), 3);
        assert_eq!(ask("eth_uninstallFilter", json!([logs])).await.unwrap(), json!(true));
        assert_eq!(ask("eth_uninstallFilter", json!([logs])).await.unwrap(), json!(false));
        let NodeError::Refused { code, data, .. } = ask("eth_getFilterChanges", json!([logs])).await.unwrap_err()
        else {
            panic!("the filter is gone")
        };
        assert_eq!((code, data), (-32_001, Some(json!({"light": 62}))));
        server.stop().await;
    });
}
