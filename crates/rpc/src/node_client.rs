//! A JSON-RPC 2.0 client of a node, or of the host's relay to one.
//!
//! Answers are data, not truth: what matters is checked against the network key by `freehold-verify`.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use freehold_primitives::{
    Account, Canonical, CodecError, Digest, EvidenceKind, Generation, Genesis, Height, NetworkKey, SUCCESSIONS_MAX,
    SuccessionRecord, entries::DenySubject,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{
    endpoint::Endpoint,
    health::NodeHealth,
    hexed::HexBytes,
    http_client::{HttpClient, HttpError, HttpLimits},
    node::{
        BlockSummary, CALL_KEYS_MAX, CallDataKeyReport, CallProof, CallPurpose, CollateralDocument, Finality,
        HEADERS_MAX, KeyShares, NodeStatus, Proof, QuantityU64, RawBlock, SignedAnswer, TransactionReceipt,
    },
    taint::TaintPage,
};

/// JSON-RPC code of a method that the node does not have.
const METHOD_UNKNOWN: i64 = -32_601;
/// Pause between two looks for a receipt.
const RECEIPT_POLL: Duration = Duration::from_millis(20);
/// Most shares that an answer may hold.
const SHARES_MAX: usize = 1024;

/// Why a node gave no usable answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The node cannot be reached, or the exchange broke.
    #[error(transparent)]
    Unreachable(HttpError),
    /// The node refused the call.
    #[error("the node refused {method}: {message} (code {code})")]
    Refused {
        /// Method.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// What it said.
        message: String,
        /// What it added.
        data: Option<Value>,
    },
    /// The answer is no JSON-RPC, or its result has another shape.
    #[error("the node's answer to {method} cannot be read: {reason}")]
    Malformed {
        /// Method.
        method: String,
        /// What is wrong.
        reason: String,
    },
    /// A transaction was not executed in time.
    #[error("transaction {tx_hash} was not executed within {limit:?}")]
    NotExecuted {
        /// The transaction.
        tx_hash: Digest,
        /// How long was waited.
        limit: Duration,
    },
}

/// What a transaction costs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeQuote {
    /// `maxFeePerGas`: twice the base fee, and the tip.
    pub max_fee_per_gas: u128,
    /// `maxPriorityFeePerGas`.
    pub max_priority_fee_per_gas: u128,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Refusal>,
    #[serde(default)]
    id: Value,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

/// Brings requests to a node, and its answers back, by another way than HTTP.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Brings one JSON-RPC request, and gives the answer's text.
    fn carry(&self, request: String) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, HttpError>> + Send + '_>>;
}

/// How requests reach a node.
#[derive(Debug, Clone)]
enum Way {
    Http(HttpClient),
    Carried(Endpoint, Arc<dyn Carrier>),
}

/// A client of one node. Cloning shares its connections.
#[derive(Debug, Clone)]
pub struct NodeClient {
    way: Way,
    id: Arc<AtomicU64>,
}

impl NodeClient {
    /// A client with the default bounds.
    pub fn new(endpoint: Endpoint) -> Self {
        Self::with_limits(endpoint, HttpLimits::default())
    }

    /// A client with bounds of the caller's.
    pub fn with_limits(endpoint: Endpoint, limits: HttpLimits) -> Self {
        Self { way: Way::Http(HttpClient::with_limits(endpoint, limits)), id: Arc::new(AtomicU64::new(1)) }
    }

    /// A client of a node that is reached by a carrier, under the name that it goes by.
    pub fn carried(name: Endpoint, carrier: Arc<dyn Carrier>) -> Self {
        Self { way: Way::Carried(name, carrier), id: Arc::new(AtomicU64::new(1)) }
    }

    /// Where it sends to.
    pub const fn endpoint(&self) -> &Endpoint {
        match &self.way {
            Way::Http(http) => http.endpoint(),
            Way::Carried(name, _) => name,
        }
    }

    async fn exchange(&self, request: &Value) -> Result<Answer, HttpError> {
        match &self.way {
            Way::Http(http) => http.post_json("/", request).await,
            Way::Carried(name, carrier) => {
                let answer = carrier.carry(request.to_string()).await?;
                let malformed = |source| HttpError::Malformed { endpoint: name.clone(), source };
                serde_json::from_slice(&answer).map_err(malformed)
            }
        }
    }

    /// Any method. `params` is a tuple or list; a null result reads as `Option::None` or [`Value::Null`].
    ///
    /// # Errors
    /// [`NodeError::Unreachable`], [`NodeError::Refused`], [`NodeError::Malformed`].
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<T, NodeError> {
        let id = self.id.fetch_add(1, Ordering::Relaxed);
        let malformed = |reason: String| NodeError::Malformed { method: method.to_owned(), reason };
        let params = serde_json::to_value(params).map_err(|error| malformed(error.to_string()))?;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let answer = self.exchange(&request).await.map_err(|error| match error {
            HttpError::Malformed { source, .. } => malformed(source.to_string()),
            other => NodeError::Unreachable(other),
        })?;
        if let Some(Refusal { code, message, data }) = answer.error {
            return Err(NodeError::Refused { method: method.to_owned(), code, message, data });
        }
        if answer.id != id {
            return Err(malformed("it answers another request".to_owned()));
        }
        let text = answer.result.as_ref().map_or("null", |raw| raw.get());
        serde_json::from_str(text).map_err(|error| malformed(error.to_string()))
    }

    async fn quantity(&self, method: &str, params: impl Serialize) -> Result<u64, NodeError> {
        self.call::<QuantityU64>(method, params).await.map(|quantity| quantity.0)
    }

    /// `eth_chainId`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn chain_id(&self) -> Result<u64, NodeError> {
        self.quantity("eth_chainId", ()).await
    }

    /// `eth_blockNumber`: the newest executed height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_number(&self) -> Result<Height, NodeError> {
        self.quantity("eth_blockNumber", ()).await
    }

    /// `eth_getBlockByNumber` of a tag (`latest`, `finalized`).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block(&self, tag: &str) -> Result<Option<BlockSummary>, NodeError> {
        self.call("eth_getBlockByNumber", (tag, false)).await
    }

    /// `eth_getTransactionCount` with `pending`: the next nonce of an account.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn nonce(&self, account: &Account) -> Result<u64, NodeError> {
        self.quantity("eth_getTransactionCount", (prefixed(account), "pending")).await
    }

    /// `eth_getBalance`, as a big-endian integer.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn balance(&self, account: &Account) -> Result<[u8; 32], NodeError> {
        let text: String = self.call("eth_getBalance", (prefixed(account), "latest")).await?;
        let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()));
        let mut balance = [0; 32];
        let padded = digits.map(|digits| format!("{digits:0>64}"));
        match padded.map(|padded| hex::decode_to_slice(padded, &mut balance)) {
            Some(Ok(())) => Ok(balance),
            _ => Err(NodeError::Malformed { method: "eth_getBalance".to_owned(), reason: "no quantity".to_owned() }),
        }
    }

    /// Fees for a transaction now: the newest base fee twice, and a tip of one wei.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn fees(&self) -> Result<FeeQuote, NodeError> {
        let base = self.block("latest").await?.and_then(|block| block.base_fee_per_gas).ok_or_else(|| {
            NodeError::Malformed { method: "eth_getBlockByNumber".to_owned(), reason: "no base fee".to_owned() }
        })?;
        Ok(FeeQuote { max_fee_per_gas: u128::from(base.0) * 2 + 1, max_priority_fee_per_gas: 1 })
    }

    /// `eth_call` at the newest block.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn eth_call(&self, to: &Account, data: Vec<u8>) -> Result<Vec<u8>, NodeError> {
        let call = json!({"to": prefixed(to), "data": HexBytes(data)});
        self.call::<HexBytes>("eth_call", (call, "latest")).await.map(|bytes| bytes.0)
    }

    /// `eth_estimateGas` of a call from an account.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn estimate_gas(&self, from: &Account, to: &Account, data: Vec<u8>) -> Result<u64, NodeError> {
        let call = json!({"from": prefixed(from), "to": prefixed(to), "data": HexBytes(data)});
        self.quantity("eth_estimateGas", (call,)).await
    }

    /// `eth_sendRawTransaction`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn send_raw_transaction(&self, transaction: Vec<u8>) -> Result<Digest, NodeError> {
        self.call("eth_sendRawTransaction", (HexBytes(transaction),)).await
    }

    /// `eth_getTransactionReceipt`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn receipt(&self, tx_hash: &Digest) -> Result<Option<TransactionReceipt>, NodeError> {
        self.call("eth_getTransactionReceipt", (prefixed(tx_hash),)).await
    }

    /// Waits until a transaction is executed.
    ///
    /// # Errors
    /// As [`Self::call`], and [`NodeError::NotExecuted`].
    pub async fn wait_for_receipt(&self, tx_hash: &Digest, limit: Duration) -> Result<TransactionReceipt, NodeError> {
        let end = Instant::now() + limit;
        loop {
            if let Some(receipt) = self.receipt(tx_hash).await? {
                return Ok(receipt);
            }
            if Instant::now() >= end {
                return Err(NodeError::NotExecuted { tx_hash: *tx_hash, limit });
            }
            sleep(RECEIPT_POLL).await;
        }
    }

    /// `freehold_networkKey`. A key to trust comes from elsewhere than the node.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn network_key(&self) -> Result<NetworkKey, NodeError> {
        self.call("freehold_networkKey", ()).await
    }

    /// `freehold_successions`: how the network key in force came to be, oldest record first; none where the node does not know
    /// the method. Nothing of it is checked.
    ///
    /// # Errors
    /// As [`Self::call`]; [`NodeError::Malformed`] where there are more than may be, or one is none.
    pub async fn successions(&self) -> Result<Vec<SuccessionRecord>, NodeError> {
        let malformed = |reason: String| NodeError::Malformed { method: "freehold_successions".to_owned(), reason };
        let documents: Vec<HexBytes> = match self.call("freehold_successions", ()).await {
            // A node of before there were any.
            Err(NodeError::Refused { code: METHOD_UNKNOWN, .. }) => return Ok(Vec::new()),
            answer => answer?,
        };
        if documents.len() > SUCCESSIONS_MAX {
            return Err(malformed(format!("{} records", documents.len())));
        }
        let read = documents.iter().map(|document| SuccessionRecord::from_canonical(&document.0));
        read.collect::<Result<_, _>>().map_err(|error: CodecError| malformed(error.to_string()))
    }

    /// `freehold_genesis`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn genesis(&self) -> Result<Genesis, NodeError> {
        let document: HexBytes = self.call("freehold_genesis", ()).await?;
        Genesis::from_canonical(&document.0).map_err(|error: CodecError| NodeError::Malformed {
            method: "freehold_genesis".to_owned(),
            reason: error.to_string(),
        })
    }

    /// `freehold_getFinality`; null while no certificate covers the height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn finality(&self, height: Height) -> Result<Option<Finality>, NodeError> {
        let finality: Option<Finality> = self.call("freehold_getFinality", (height,)).await?;
        if finality.as_ref().is_some_and(|finality| finality.headers.len() > HEADERS_MAX) {
            return Err(NodeError::Malformed {
                method: "freehold_getFinality".to_owned(),
                reason: format!("more than {HEADERS_MAX} headers"),
            });
        }
        Ok(finality)
    }

    /// `freehold_getProof` at the newest executed height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn proof(&self, account: &Account, slots: &[[u8; 32]]) -> Result<Proof, NodeError> {
        let slots: Vec<String> = slots.iter().map(|slot| prefixed(&Digest(*slot))).collect();
        self.call("freehold_getProof", (prefixed(account), slots, "latest")).await
    }

    /// `freehold_getBlock`: a whole block in the bytes of its roots; null where the node has none at that height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn raw_block(&self, height: Height) -> Result<Option<RawBlock>, NodeError> {
        self.call("freehold_getBlock", (height,)).await
    }

    /// `freehold_getHeaders`: RLP of `count` headers from a height on, fewer where the node has no more.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn raw_headers(&self, from: Height, count: u64) -> Result<Vec<HexBytes>, NodeError> {
        self.call("freehold_getHeaders", (from, count)).await
    }

    /// `freehold_proveCall`: all that a call reads behind the newest block, with proofs. `request` is that of `eth_call`.
    ///
    /// # Errors
    /// As [`Self::call`]; [`NodeError::Malformed`] above [`CALL_KEYS_MAX`] keys.
    pub async fn prove_call(
        &self,
        request: &Value,
        purpose: CallPurpose,
        entropy: &Digest,
    ) -> Result<CallProof, NodeError> {
        let proof: CallProof = self.call("freehold_proveCall", (request, purpose, prefixed(entropy))).await?;
        if proof.leaves.len() > CALL_KEYS_MAX {
            let reason = format!("more than {CALL_KEYS_MAX} keys");
            return Err(NodeError::Malformed { method: "freehold_proveCall".to_owned(), reason });
        }
        Ok(proof)
    }

    /// `freehold_getContent`: bytes kept under a content digest.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, NodeError> {
        let bytes: Option<HexBytes> = self.call("freehold_getContent", (prefixed(digest),)).await?;
        Ok(bytes.map(|bytes| bytes.0))
    }

    /// `freehold_keyShares` of a live grant.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn key_shares(&self, grant_id: &Digest) -> Result<KeyShares, NodeError> {
        bounded_shares("freehold_keyShares", self.call("freehold_keyShares", (prefixed(grant_id),)).await?)
    }

    /// `freehold_stateKeyShares` of a generation, for the registered executor `instance`.
    ///
    /// # Errors
    /// As [`Self::key_shares`].
    pub async fn state_key_shares(&self, instance: &Digest, generation: Generation) -> Result<KeyShares, NodeError> {
        bounded_shares(
            "freehold_stateKeyShares",
            self.call("freehold_stateKeyShares", (prefixed(instance), generation)).await?,
        )
    }

    /// `freehold_call`: what a call gave, with the signature of an executor. `request` is that of `eth_call`.
    /// [`VerifiedClient::signed_call`](crate::VerifiedClient) checks it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn signed_call(&self, request: &Value, purpose: CallPurpose) -> Result<SignedAnswer, NodeError> {
        self.call("freehold_call", (request, purpose)).await
    }

    /// `oasis_callDataPublicKey`: what the node says; [`VerifiedClient::call_data_key`](crate::VerifiedClient) checks it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_data_key(&self) -> Result<CallDataKeyReport, NodeError> {
        self.call("oasis_callDataPublicKey", ()).await
    }

    /// `freehold_status`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn status(&self) -> Result<NodeStatus, NodeError> {
        self.call("freehold_status", ()).await
    }

    /// `freehold_health`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn health(&self) -> Result<NodeHealth, NodeError> {
        self.call("freehold_health", ()).await
    }

    /// `freehold_taint`: a page of what lies in the shadow of a subject, from a cursor that starts at 0.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn taint(&self, kind: DenySubject, subject: &[u8], cursor: u64) -> Result<TaintPage, NodeError> {
        self.call("freehold_taint", (kind.as_str(), HexBytes(subject.to_vec()), cursor)).await
    }

    /// `freehold_collateral` for a kind of evidence, by its key (`spec/collateral.md`); null where the chain has none.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn collateral(&self, kind: EvidenceKind, key: &[u8]) -> Result<Option<CollateralDocument>, NodeError> {
        self.call("freehold_collateral", (kind.as_str(), HexBytes(key.to_vec()))).await
    }
}

/// Shares, unless there are more than any committee gives.
fn bounded_shares(method: &str, shares: KeyShares) -> Result<KeyShares, NodeError> {
    if shares.shares.len() > SHARES_MAX {
        let reason = format!("more than {SHARES_MAX} shares");
        return Err(NodeError::Malformed { method: method.to_owned(), reason });
    }
    Ok(shares)
}

pub(crate) fn prefixed(id: &impl std::fmt::Display) -> String {
    format!("0x{id}")
}
