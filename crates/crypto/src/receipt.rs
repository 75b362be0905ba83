//! Receipts: their canonical text, signature and leaf (`spec/receipt.md`).
//!
//! The signature is Ed25519 over the RFC 8785 form of the document without its member `signature`; no domain stands
//! before it, because ACI separates keys by role. A receipt that is read must be in canonical form and hold nothing that
//! [`Receipt`] does not know, so that a proof carries no byte that no link covers. Where receipts are kept is the guest's.

use freehold_primitives::{
    ACI_VERSION, Digest, Ed25519Key, RECEIPT_BYTES_MAX, RECEIPT_EVENTS_MAX, RECEIPT_KEY_ID, Receipt,
};
use serde_json::Value;
use thiserror::Error;

use crate::{
    jcs::{JcsError, parse_canonical, to_jcs},
    keys::{Ed25519Secret, KeyError, verify_ed25519},
    merkle::leaf_hash,
};

/// Why a receipt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not canonical JSON, or too long.
    #[error("receipt: {0}")]
    Json(#[from] JcsError),
    /// A member or an event is missing, unknown, or of the wrong type.
    #[error("receipt has a member that is missing, unknown or of the wrong type")]
    Shape,
    /// `api_version` is not `aci/1`.
    #[error("receipt is not of version {ACI_VERSION}")]
    Version,
    /// More than [`RECEIPT_EVENTS_MAX`] events.
    #[error("receipt has {0} events, above the bound of {RECEIPT_EVENTS_MAX}")]
    Events(usize),
    /// `key_id` names another key than the receipt key.
    #[error("receipt names another key than {RECEIPT_KEY_ID}")]
    KeyId,
    /// The signature is not 64 bytes in lower-case hex.
    #[error("receipt signature is not 64 bytes in lower-case hex")]
    SignatureForm,
    /// The key is not usable or the signature does not verify.
    #[error("receipt: {0}")]
    Signature(#[from] KeyError),
}

/// The whole document in its canonical form: what is kept, served and hashed as a leaf.
///
/// # Errors
/// [`ReceiptError::Json`] when a number is above 2^53 − 1 or the text above [`RECEIPT_BYTES_MAX`]; [`ReceiptError::Shape`].
pub fn receipt_text(receipt: &Receipt) -> Result<String, ReceiptError> {
    let text = to_jcs(&to_value(receipt)?)?;
    if text.len() > RECEIPT_BYTES_MAX {
        return Err(JcsError::TooLong { length: text.len(), bound: RECEIPT_BYTES_MAX }.into());
    }
    Ok(text)
}

/// Reads a receipt from its canonical text. The signature is not checked.
///
/// # Errors
/// Any [`ReceiptError`] but [`ReceiptError::Signature`].
pub fn parse_receipt(text: &str) -> Result<Receipt, ReceiptError> {
    let value = parse_canonical(text, RECEIPT_BYTES_MAX)?;
    let receipt: Receipt = serde_json::from_value(value.clone()).map_err(|_| ReceiptError::Shape)?;
    // A member that was left out where it may be null, or that deserialisation skipped, is found here.
    if to_value(&receipt)? != value {
        return Err(ReceiptError::Shape);
    }
    check_form(&receipt)?;
    Ok(receipt)
}

/// Bytes that are signed: the canonical form of a document without its member `signature`.
///
/// # Errors
/// [`JcsError::Number`], [`JcsError::Depth`].
pub fn signing_input(document: &Value) -> Result<String, JcsError> {
    match document {
        Value::Object(members) => {
            let mut members = members.clone();
            members.remove("signature");
            to_jcs(&Value::Object(members))
        }
        other => to_jcs(other),
    }
}

/// Signs a receipt: fills `key_id` and `signature`.
///
/// # Errors
/// [`ReceiptError::Version`], [`ReceiptError::Events`], [`ReceiptError::Json`], [`ReceiptError::Shape`].
pub fn sign_receipt(mut receipt: Receipt, secret: &Ed25519Secret) -> Result<Receipt, ReceiptError> {
    RECEIPT_KEY_ID.clone_into(&mut receipt.key_id);
    receipt.signature = hex::encode([0; 64]);
    check_form(&receipt)?;
    receipt.signature = hex::encode(secret.sign(signing_input(&to_value(&receipt)?)?.as_bytes()));
    receipt_text(&receipt)?;
    Ok(receipt)
}

/// Checks a receipt's form and signature under the keyset's receipt key.
///
/// # Errors
/// Any [`ReceiptError`].
pub fn verify_receipt(receipt: &Receipt, key: &Ed25519Key) -> Result<(), ReceiptError> {
    let signature = check_form(receipt)?;
    let input = signing_input(&to_value(receipt)?)?;
    Ok(verify_ed25519(key, input.as_bytes(), &signature)?)
}

/// Leaf of a receipt in its instance's log: RFC 9162's leaf hash of the canonical text, signature included.
pub fn receipt_leaf(text: &str) -> Digest {
    leaf_hash(text.as_bytes())
}

fn to_value(receipt: &Receipt) -> Result<Value, ReceiptError> {
    serde_json::to_value(receipt).map_err(|_| ReceiptError::Shape)
}

fn check_form(receipt: &Receipt) -> Result<[u8; 64], ReceiptError> {
    if receipt.api_version != ACI_VERSION {
        return Err(ReceiptError::Version);
    }
    if receipt.event_log.len() > RECEIPT_EVENTS_MAX {
        return Err(ReceiptError::Events(receipt.event_log.len()));
    }
    if receipt.key_id != RECEIPT_KEY_ID {
        return Err(ReceiptError::KeyId);
    }
    let mut signature = [0; 64];
    hex::decode_to_slice(&receipt.signature, &mut signature).map_err(|_| ReceiptError::SignatureForm)?;
    if hex::encode(signature) == receipt.signature { Ok(signature) } else { Err(ReceiptError::SignatureForm) }
}

#[cfg(test)]
mod tests;
