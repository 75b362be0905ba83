//! Fetch records (`spec/fetch.md`), checked offline: the signer is the account of an instance that was live at the record's block,
//! as a header file proves under the network key.
//!
//! The header file is newer than the record, so the record's own block hash is proven only where both name one block; else it is
//! the instance's word, like the rest of what is signed. A contract, which has the chain, checks the hash.

use freehold_crypto::{KeyError, recover_fetch};
use freehold_primitives::{
    Account, AppId, Digest, FETCH_URL_BYTES_MAX, FetchRecord, Height, NetworkKey, SuccessionRecord, TrustDomain,
    UnixSeconds,
};
use thiserror::Error;

use crate::{
    bundle::{AsOf, HeaderFileError},
    light::{ChainTrust, KeysError, NetworkKeys},
    verdict::AsOfHeader,
};

/// Why a record does not count.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchRecordError {
    /// A text is outside its bounds.
    #[error("the record is not well-formed")]
    Form,
    /// The signature is none.
    #[error("the record's signature is refused: {0}")]
    Signature(#[from] KeyError),
    /// The succession records are refused.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The header file does not count.
    #[error(transparent)]
    Header(#[from] HeaderFileError),
    /// Another account signed than the instance's.
    #[error("the record is signed by {signer}, and the instance's account is {account}")]
    Signer {
        /// Who signed.
        signer: Account,
        /// Who should have.
        account: Account,
    },
    /// The instance is of another app.
    #[error("the instance is of {found}, and the record names {named}")]
    App {
        /// App of the instance.
        found: AppId,
        /// App of the record.
        named: AppId,
    },
    /// The header is older than the record and says nothing of it.
    #[error("the header file is of block {header}, before the record's block {record}: take a newer one")]
    HeaderBefore {
        /// Height of the header.
        header: Height,
        /// Height of the record.
        record: Height,
    },
    /// The chain has another block at the record's height.
    #[error("the record names another block {0} than the chain has")]
    OtherBlock(Height),
    /// The instance was not live at the record's block and time.
    #[error("the instance was not live at block {0}, or its lease had ended")]
    NotLive(Height),
}

/// What a record is worth; made only by [`verify_fetch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedFetch {
    /// App of the instance.
    pub app_id: AppId,
    /// The instance.
    pub instance_id: Digest,
    /// Trust domain of its evidence.
    pub trust_domain: TrustDomain,
    /// Highest tier of its evidence; 0 for none.
    pub tier: u8,
    /// When its lease ends, as of the header.
    pub expires_at: UnixSeconds,
    /// The header that shows it.
    pub as_of: AsOfHeader,
}

/// Checks a record against a header file of its instance, under a network key and its successors. What was fetched, and whether
/// that is what the reader wanted, is the reader's to look at.
///
/// # Errors
/// Every [`FetchRecordError`].
pub fn verify_fetch(
    (record, signature): (&FetchRecord, &[u8]),
    header: &str,
    (network_key, succession): (NetworkKey, &[SuccessionRecord]),
) -> Result<VerifiedFetch, FetchRecordError> {
    if record.url.len() > FETCH_URL_BYTES_MAX {
        return Err(FetchRecordError::Form);
    }
    let signer = recover_fetch(record, signature)?;
    // The header's certificate is one of this very chain, or of none.
    let trust = ChainTrust { network_key, chain_id: record.chain_id, genesis_hash: record.genesis_hash };
    let keys = NetworkKeys::walk(&trust, succession)?;
    let as_of = AsOf::from_text(header, (&trust, &keys), &record.instance_id)?;
    let instance = &as_of.instance;
    if instance.account != signer {
        return Err(FetchRecordError::Signer { signer, account: instance.account });
    }
    if instance.app_id != record.app_id {
        return Err(FetchRecordError::App { found: instance.app_id, named: record.app_id });
    }
    if as_of.moment.height < record.height {
        return Err(FetchRecordError::HeaderBefore { header: as_of.moment.height, record: record.height });
    }
    if as_of.moment.height == record.height && as_of.moment.block_hash != record.block_hash {
        return Err(FetchRecordError::OtherBlock(record.height));
    }
    if !was_live(&as_of, record) {
        return Err(FetchRecordError::NotLive(record.height));
    }
    Ok(VerifiedFetch {
        app_id: instance.app_id,
        instance_id: instance.instance_id,
        trust_domain: instance.trust_domain,
        tier: instance.tier,
        expires_at: instance.expires_at,
        as_of: AsOfHeader { height: as_of.moment.height, time_unix_s: as_of.moment.time_unix_s },
    })
}

fn was_live(as_of: &AsOf, record: &FetchRecord) -> bool {
    let (instance, app) = (&as_of.instance, &as_of.app);
    let open_at = |opened_at: Height, closed_at: Option<Height>| {
        opened_at <= record.height && closed_at.is_none_or(|height| height > record.height)
    };
    let denied = as_of.denied.iter().flat_map(|entry| &entry.denials).any(|denial| {
        denial.covers(instance.tcb_level.as_ref())
            && denial.since <= record.height
            && denial.lifted_at.is_none_or(|height| height > record.height)
    });
    !denied
        && open_at(instance.opened_at, instance.closed_at)
        && open_at(app.opened_at, app.closed_at)
        && record.time_unix_s <= instance.expires_at
        && record.time_unix_s <= instance.keyset_not_after
}
