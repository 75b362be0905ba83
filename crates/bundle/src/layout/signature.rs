//! Signatures of a bundle: an account's, over the bundle's digest under a domain of its own (`spec/bundle.md` §4).

use freehold_crypto::{AccountKey, recover_account};
use freehold_primitives::{Account, Digest};
use serde::{Deserialize, Serialize};

use super::error::BundleError;

/// Domain of the signed message.
const DOMAIN: &[u8] = b"freehold app bundle\n";
/// The one scheme there is.
const SCHEME: &str = "secp256k1";
/// Largest document.
pub(super) const SIGNATURE_BYTES_MAX: u64 = 1024;

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSignature {
    /// Whose it is.
    pub account: Account,
}

/// The document in the layout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    account: Account,
    scheme: String,
    signature: String,
}

/// What an account signs: SHA-256 of the domain line and the bundle's digest.
pub fn bundle_signing_digest(bundle: &Digest) -> Digest {
    let mut message = DOMAIN.to_vec();
    message.extend_from_slice(&bundle.0);
    crate::digests::of(&message)
}

pub(super) fn sign(bundle: &Digest, key: &AccountKey) -> Result<String, BundleError> {
    super::document::text(&Document {
        account: key.account(),
        scheme: SCHEME.to_owned(),
        signature: hex::encode(key.sign(&bundle_signing_digest(bundle))),
    })
}

pub(super) fn check(bundle: &Digest, bytes: &[u8]) -> Result<BundleSignature, BundleError> {
    let document: Document = super::document::parse("a signature", bytes)?;
    if document.scheme != SCHEME {
        return Err(BundleError::Signature("its scheme is not secp256k1"));
    }
    let signature = hex::decode(&document.signature).map_err(|_| BundleError::Signature("it is not hex"))?;
    let account = recover_account(&bundle_signing_digest(bundle), &signature)
        .map_err(|_| BundleError::Signature("it is no signature of an account"))?;
    if account != document.account {
        return Err(BundleError::Signature("it is not of the account that it names, or not over this bundle"));
    }
    Ok(BundleSignature { account })
}
