//! What a follower cannot answer itself, it hands on to its sources unopened: transactions, confidential calls, key shares.
//!
//! What comes back is what a source says; nothing here proves it. A client that wants proof asks for what can be proven.

use std::sync::Arc;

use freehold_rpc::NodeError;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{
    error::{coded, internal, invalid_params, refused},
    server::{Duty, Rpc},
};
use crate::sync::{Fault, Sources, SyncError};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// What stands in the data of an error that a source may not have.
const REASON: &str = "follower";

/// The sources, for requests.
#[derive(Clone)]
pub(crate) struct Forward(pub(crate) Arc<Sources>);

impl Forward {
    /// A source's answer. A source's refusal is an answer too.
    pub(super) async fn ask(&self, method: &'static str, params: Value) -> Answer<Value> {
        let asked = self.0.ask("an answer", |node| {
            let params = params.clone();
            async move {
                match node.call::<Value>(method, params).await {
                    Ok(value) => Ok(Ok(value)),
                    Err(NodeError::Refused { code, message, data, .. }) => {
                        Ok(Err(ErrorObjectOwned::owned(i32::try_from(code).unwrap_or(-32_000), message, data)))
                    }
                    Err(error) => Err(Fault::from(error)),
                }
            }
        });
        asked.await.map_err(|error: SyncError| refused(format!("no source answers {method}: {error}")))?
    }
}

/// This node holds no state keys, which the request needs.
pub(super) fn needs_keys(text: impl ToString) -> ErrorObjectOwned {
    let error = coded(-32_000, text);
    ErrorObjectOwned::owned(error.code(), error.message(), Some(json!({ "reason": REASON })))
}

impl Rpc {
    /// `answer`, or where this is a follower without the state keys for it, that of a source. Blocks.
    pub(super) fn or_forward<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Params<'_>,
        answer: Answer<R>,
    ) -> Answer<R> {
        let Duty::Follower(forward) = &self.duty else { return answer };
        let needs_keys = |error: &ErrorObjectOwned| {
            let data = error.data().and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
            data.is_some_and(|data| data["reason"] == REASON)
        };
        match answer {
            Err(error) if needs_keys(&error) => self.forwarded(forward, method, params),
            other => other,
        }
    }

    /// A source's answer. Blocks.
    pub(super) fn forwarded<R: DeserializeOwned>(
        &self,
        forward: &Forward,
        method: &'static str,
        params: &Params<'_>,
    ) -> Answer<R> {
        let params: Value = params.parse().map_err(|error| invalid_params(error.message()))?;
        let value = Handle::current().block_on(forward.ask(method, params))?;
        serde_json::from_value(value).map_err(internal)
    }
}
