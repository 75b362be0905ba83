//! Receipts as a service of the platform (design D9, `spec/receipt.md`): numbered, chained, signed, durable before they
//! are given out, and kept sealed so that a successor of the app can adopt them.
//!
//! [`ReceiptChain`] is the pure part: it makes the next receipt and takes it in once it is durable. The log's file, the
//! writing thread and the index stand in the modules below.

mod file;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use file::{LogError, LogFile};
pub(crate) use store::{AdoptedReceipt, AnchorWork, ReceiptStore};
pub(crate) use writer::{AppendError, ReceiptWriter, WriterParts};

use freehold_crypto::{Ed25519Secret, MerkleTree, ReceiptError, receipt_leaf, receipt_text, sign_receipt};
use freehold_primitives::{
    ACI_VERSION, BlockMoment, Digest, Event, RECEIPT_BYTES_MAX, RECEIPT_EVENTS_MAX, RECEIPT_KEY_ID, Receipt,
    UnixSeconds,
};
use freehold_rpc::AppendReceipt;
use thiserror::Error;

/// Longest id or name in a receipt, in bytes.
pub(crate) const TEXT_MAX: usize = 256;

/// Why no receipt can be made of what an app gave.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum ReceiptRefusal {
    /// An id has forbidden characters or a wrong length.
    #[error("`{0}` must have 1 to {TEXT_MAX} characters of A-Z a-z 0-9 . _ -")]
    Id(&'static str),
    /// A text is too long.
    #[error("`{0}` is longer than {TEXT_MAX} bytes")]
    Text(&'static str),
    /// Too few or too many events.
    #[error("a receipt has 1 to {} events", RECEIPT_EVENTS_MAX - 1)]
    Events,
    /// The first event is another than the request.
    #[error("the first event must be `request.received`")]
    FirstEvent,
    /// The app wrote an event that is the guest's.
    #[error("`freehold.chain` is written by the guest")]
    ChainEvent,
    /// The document is too large.
    #[error("the receipt would be larger than {RECEIPT_BYTES_MAX} bytes")]
    TooLarge,
    /// The document has no RFC 8785 form.
    #[error("the receipt cannot be written: {0}")]
    Form(#[from] ReceiptError),
}

/// Who signs, and under which keyset.
pub(crate) struct Signer {
    pub(crate) key: Ed25519Secret,
    pub(crate) instance: Digest,
    pub(crate) keyset_digest: Digest,
}

/// A signed receipt that is not yet durable.
#[derive(Debug, Clone)]
pub(crate) struct SignedReceipt {
    pub(crate) receipt: Receipt,
    pub(crate) document: String,
    pub(crate) leaf: Digest,
    pub(crate) sequence: u64,
}

/// Order of one instance's receipts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceiptChain {
    tree: MerkleTree,
}

impl ReceiptChain {
    pub(crate) fn from_leaves(leaves: impl IntoIterator<Item = Digest>) -> Self {
        Self { tree: MerkleTree::from_leaves(leaves) }
    }

    /// Leaves so far.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) const fn tree(&self) -> &MerkleTree {
        &self.tree
    }

    fn previous(&self, before: u64) -> Digest {
        before.checked_sub(1).and_then(|last| self.tree.leaf(last)).unwrap_or(Digest::ZERO)
    }

    /// Makes and signs the receipt that follows `pending`, the last of those not yet taken in; `moment` is the newest
    /// final block, `served_at` the instance's own clock.
    pub(crate) fn sign(
        &self,
        signer: &Signer,
        ask: AppendReceipt,
        (moment, served_at): (&BlockMoment, UnixSeconds),
        pending: Option<&SignedReceipt>,
    ) -> Result<SignedReceipt, ReceiptRefusal> {
        check(&ask)?;
        let sequence = pending.map_or(self.size(), |before| before.sequence + 1);
        let previous = pending.map_or_else(|| self.previous(sequence), |before| before.leaf);
        let mut event_log = ask.events;
        event_log.push(Event::Chain {
            height: moment.height,
            block_hash: moment.block_hash,
            time_unix_s: moment.time_unix_s,
            sequence,
            previous,
            instance: signer.instance,
        });
        let unsigned = Receipt {
            api_version: ACI_VERSION.to_owned(),
            receipt_id: ask.receipt_id,
            chat_id: ask.chat_id,
            model: ask.model,
            workload_keyset_digest: format!("sha256:{}", signer.keyset_digest),
            endpoint: ask.endpoint,
            method: ask.method,
            served_at,
            event_log,
            key_id: RECEIPT_KEY_ID.to_owned(),
            signature: String::new(),
        };
        let receipt = sign_receipt(unsigned, &signer.key)?;
        let document = receipt_text(&receipt)?;
        if document.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptRefusal::TooLarge);
        }
        let leaf = receipt_leaf(&document);
        Ok(SignedReceipt { receipt, document, leaf, sequence })
    }

    /// Takes in a receipt that is durable.
    ///
    /// # Panics
    /// When it is not the next one: the writer gives them in order.
    pub(crate) fn commit(&mut self, signed: &SignedReceipt) {
        let position = self.tree.push(signed.leaf);
        assert_eq!(position, signed.sequence, "receipts are taken in in order");
    }
}

fn check(ask: &AppendReceipt) -> Result<(), ReceiptRefusal> {
    if !is_id(&ask.receipt_id) {
        return Err(ReceiptRefusal::Id("receipt_id"));
    }
    if ask.chat_id.as_deref().is_some_and(|id| !is_id(id)) {
        return Err(ReceiptRefusal::Id("chat_id"));
    }
    let texts = [("model", ask.model.as_deref()), ("endpoint", Some(&*ask.endpoint)), ("method", Some(&*ask.method))];
    for (name, text) in texts {
        if text.is_some_and(|text| text.len() > TEXT_MAX) {
            return Err(ReceiptRefusal::Text(name));
        }
    }
    if ask.events.is_empty() || ask.events.len() >= RECEIPT_EVENTS_MAX {
        return Err(ReceiptRefusal::Events);
    }
    if !matches!(ask.events[0], Event::RequestReceived { .. }) {
        return Err(ReceiptRefusal::FirstEvent);
    }
    if ask.events.iter().any(|event| matches!(event, Event::Chain { .. })) {
        return Err(ReceiptRefusal::ChainEvent);
    }
    Ok(())
}

/// Whether a text may name a receipt: it stands in paths.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=TEXT_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
