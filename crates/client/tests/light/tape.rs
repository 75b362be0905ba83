//! Real answers of a network, recorded for one question and played again, changed or not.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use freehold_client::{LightClient, LightConfig, LightError, Unproven};
use freehold_primitives::NetworkKey;
use freehold_rpc::{Endpoint, NodeClient, NodeError};
use freehold_verify::HeadRules;
use serde_json::{Value, json};

use crate::{
    cases::Case,
    chain::{Chain, Facts},
    server::{Handler, Reply, at_once, serve},
};

thread_local! {
    /// The moment that clients of this thread see; the machine's where it is 0.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Sets the moment that clients of this thread see.
pub(crate) fn set_now(unix_s: u64) {
    NOW.set(unix_s);
}

fn now() -> u64 {
    match NOW.get() {
        0 => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        moment => moment,
    }
}

/// Settings of a client of these nodes.
pub(crate) fn config(network_key: NetworkKey, nodes: Vec<Endpoint>) -> LightConfig {
    LightConfig {
        succession: Vec::new(),
        network_key,
        nodes,
        rules: HeadRules::default(),
        unproven: Unproven::Refused,
        checkpoint: None,
        attempt_max: Duration::from_secs(20),
        now,
    }
}

/// A runtime of this thread alone, so that the moment is this thread's.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

/// Names a request; the entropy of a call is fresh each time and decides nothing here.
fn name(method: &str, params: &Value) -> String {
    let mut params = params.clone();
    if method == "freehold_proveCall" {
        params[2] = Value::Null;
    }
    format!("{method} {params}")
}

/// The answers to one question.
#[derive(Clone)]
pub(crate) struct Tape {
    pub(crate) answers: BTreeMap<String, Value>,
    pub(crate) truth: Value,
    pub(crate) network_key: NetworkKey,
    facts: Facts,
    moment: u64,
}

/// Forwards to a node, and notes each last answer.
pub(crate) fn forwarding(node: NodeClient, noted: Arc<Mutex<BTreeMap<String, Value>>>) -> Handler {
    Arc::new(move |method, params| {
        let (node, noted) = (node.clone(), Arc::clone(&noted));
        Box::pin(async move {
            match node.call::<Value>(&method, &params).await {
                Ok(result) => {
                    noted.lock().unwrap().insert(name(&method, &params), result.clone());
                    Reply::Result(result)
                }
                Err(NodeError::Refused { code, message, .. }) => Reply::Refused(code, message),
                Err(error) => panic!("{method}: {error}"),
            }
        })
    })
}

impl Tape {
    /// Asks a real network and keeps its answers.
    pub(crate) fn record(chain: &Chain, case: &Case) -> Self {
        set_now(0);
        block_on(async {
            let noted = Arc::new(Mutex::new(BTreeMap::new()));
            let node = serve(forwarding(NodeClient::new(chain.endpoint.clone()), Arc::clone(&noted))).await;
            let client = LightClient::open(config(chain.network_key, vec![node])).await.unwrap();
            let truth =
                (case.ask)(&client, &chain.facts).await.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let answers = noted.lock().unwrap().clone();
            Self { answers, truth, network_key: chain.network_key, facts: chain.facts.clone(), moment: now() }
        })
    }

    /// Asks the same again with the answers of the tape, one of them replaced.
    pub(crate) fn play(&self, case: &Case, replaced: Option<(String, Reply)>) -> Result<Value, LightError> {
        set_now(self.moment);
        let answers = self.answers.clone();
        let handler = at_once(move |method, params| {
            let wanted = name(method, params);
            if let Some((name, reply)) = replaced.as_ref().filter(|(name, _)| *name == wanted) {
                assert_eq!(*name, wanted);
                return reply.clone();
            }
            let found = answers.get(&wanted).cloned();
            found.map_or_else(|| Reply::Refused(-32_001, "not on the tape".to_owned()), Reply::Result)
        });
        block_on(async {
            let node = serve(handler).await;
            let config = LightConfig { attempt_max: Duration::from_secs(4), ..config(self.network_key, vec![node]) };
            let client = LightClient::open(config).await?;
            (case.ask)(&client, &self.facts).await
        })
    }

    /// Asserts that an answer is refused, or has no effect.
    pub(crate) fn check(&self, case: &Case, replaced: (String, Reply), what: &str) {
        let name = replaced.0.clone();
        match self.play(case, Some(replaced)) {
            Err(error) => assert!(error.code() != 0, "{}: {name}: {what}: {error}", case.name),
            // That a thing does not exist cannot be proven by its hash: a node can withhold it, and nothing else.
            Ok(value) if case.by_hash && value.is_null() => {}
            Ok(value) => assert_eq!(value, self.truth, "{}: {name}: {what}", case.name),
        }
    }
}

/// A value of JSON-RPC as text.
pub(crate) fn text(value: &Value) -> Vec<u8> {
    json!(value).to_string().into_bytes()
}
