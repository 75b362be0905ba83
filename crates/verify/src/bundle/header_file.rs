//! A header file: what the chain says of one instance as of a newer header (`spec/proof-bundle.md` §6).
//!
//! It answers `valid_now` and `tainted` for a proof that was made earlier, offline.

use freehold_primitives::{
    BlockMoment, Digest,
    entries::{AppEntry, DenyEntry, InstanceEntry},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    document::{EntryProof, OptionalEntryProof},
    hexed::LowerHex,
    read::{DocumentError, read_document, write_document},
};
use crate::{
    light::{ChainTrust, FinalityError, FinalityProof, NetworkKeys, verify_finality_under},
    refusal::LinkError,
    walk::{proven_app, proven_denied, proven_instance},
};

/// The word that opens every header file of this version.
pub const HEADER_FORMAT: &str = "freehold.header/1";

/// A header with what it says of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderDocument {
    /// The app as it is at that height.
    pub app: EntryProof,
    /// Canonical document of the certificate.
    pub certificate: LowerHex,
    /// Deny entries of the app and of the chain, as in a proof.
    pub denied: Vec<OptionalEntryProof>,
    /// [`HEADER_FORMAT`].
    pub format: String,
    /// RLP of the headers, oldest first; the entries stand under the first one's state root.
    pub headers: Vec<LowerHex>,
    /// The instance.
    pub instance: EntryProof,
    /// Canonical document of the payload head that names the last header.
    pub payload_head: LowerHex,
}

impl HeaderDocument {
    /// The file: the RFC 8785 form and one newline.
    ///
    /// # Errors
    /// [`DocumentError::Form`], [`DocumentError::TooLong`].
    pub fn to_text(&self) -> Result<String, DocumentError> {
        write_document(self)
    }

    /// Reads a file; nothing of it is verified.
    ///
    /// # Errors
    /// Every [`DocumentError`].
    pub fn from_text(text: &str) -> Result<Self, DocumentError> {
        read_document(text, HEADER_FORMAT)
    }
}

/// Why a header file does not count.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum HeaderFileError {
    /// It is no header file.
    #[error("the header file: {0}")]
    Document(#[from] DocumentError),
    /// It is not final under the network key.
    #[error("the header file: {0}")]
    Finality(#[from] FinalityError),
    /// What it says of the instance is not proven.
    #[error("the header file: {0}")]
    Entry(#[from] LinkError),
    /// It speaks of another instance than the proof.
    #[error("the header file speaks of instance {found}, the proof of {expected}")]
    ForeignInstance {
        /// Instance in the header file.
        found: Digest,
        /// Instance in the proof.
        expected: Digest,
    },
}

/// What the chain says as of one header; made only from proven entries.
pub(crate) struct AsOf {
    pub(crate) moment: BlockMoment,
    pub(crate) instance: InstanceEntry,
    pub(crate) app: AppEntry,
    pub(crate) denied: Vec<DenyEntry>,
}

impl AsOf {
    /// Reads and checks a header file for one instance.
    pub(crate) fn from_text(
        text: &str,
        (trust, keys): (&ChainTrust, &NetworkKeys),
        instance: &Digest,
    ) -> Result<Self, HeaderFileError> {
        let document = HeaderDocument::from_text(text)?;
        let proof = FinalityProof {
            headers: document.headers.into_iter().map(|header| header.0).collect(),
            payload_head: document.payload_head.0,
            certificate: document.certificate.0,
        };
        let headers = verify_finality_under(trust, keys, &proof)?;
        let header = headers.first();
        let entry = proven_instance(header, &document.instance)?;
        if entry.instance_id != *instance {
            return Err(HeaderFileError::ForeignInstance { found: entry.instance_id, expected: *instance });
        }
        Ok(Self {
            moment: header.moment(),
            app: proven_app(header, &document.app, &entry)?,
            denied: proven_denied(header, &document.denied, &entry)?,
            instance: entry,
        })
    }
}
