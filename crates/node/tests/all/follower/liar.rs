//! A source that lies: a relay to an honest node that changes some of its answers.

use std::{net::Ipv4Addr, sync::Arc};

use freehold_rpc::{Endpoint, NodeClient, NodeError};
use jsonrpsee::{
    RpcModule,
    server::{ServerBuilder, ServerConfig, ServerHandle},
    types::{ErrorObjectOwned, Params},
};
use serde_json::Value;

/// What a follower asks for.
const METHODS: [&str; 10] = [
    "eth_getBlockByNumber",
    "freehold_genesis",
    "freehold_getContent",
    "freehold_getFinality",
    "freehold_getHeaders",
    "freehold_successions",
    "freehold_syncBlocks",
    "freehold_syncContent",
    "freehold_syncOperations",
    "freehold_syncState",
];

/// Changes an answer: method and result.
pub(crate) type Twist = fn(&str, &mut Value);

struct Relay {
    honest: NodeClient,
    twist: Twist,
}

/// Starts a liar; dropping the handle stops it.
pub(crate) async fn liar(honest: &Endpoint, twist: Twist) -> (Endpoint, ServerHandle) {
    let mut module = RpcModule::new(Relay { honest: NodeClient::new(honest.clone()), twist });
    for method in METHODS {
        let relay = move |params: Params<'static>, relay: Arc<Relay>, _| async move {
            let params: Value = params.parse()?;
            match relay.honest.call::<Value>(method, params).await {
                Ok(mut answer) => {
                    (relay.twist)(method, &mut answer);
                    Ok(answer)
                }
                Err(NodeError::Refused { code, message, data, .. }) => {
                    Err(ErrorObjectOwned::owned(i32::try_from(code).unwrap(), message, data))
                }
                Err(error) => Err(ErrorObjectOwned::owned(-32_000, error.to_string(), None::<()>)),
            }
        };
        module.register_async_method(method, relay).unwrap();
    }
    let config = ServerConfig::builder().max_response_body_size(u32::MAX).build();
    let server = ServerBuilder::with_config(config).build((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap()).parse().unwrap();
    (endpoint, server.start(module))
}

/// Changes the byte at `at` of hex text, counted from the end where it is negative.
pub(crate) fn flip(text: &mut Value, at: isize) {
    let old = text.as_str().unwrap().to_owned();
    let digits = old.len() - 2;
    let place = 2 + usize::try_from(if at < 0 { digits as isize + 2 * at } else { 2 * at }).unwrap();
    let digit = if old.as_bytes()[place] == b'0' { "1" } else { "0" };
    *text = Value::String(format!("{}{digit}{}", &old[..place], &old[place + 1..]));
}
