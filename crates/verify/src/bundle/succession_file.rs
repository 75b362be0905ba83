//! The file of succession records (`spec/succession.md` §3), which a verifier is given beside a proof.

use freehold_primitives::{Canonical as _, CodecError, SUCCESSIONS_MAX, SuccessionRecord};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    hexed::LowerHex,
    read::{DocumentError, read_document, write_document},
};

/// The word that opens every file of succession records of this version.
pub const SUCCESSION_FORMAT: &str = "freehold.succession/1";

/// Why a file holds no records.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SuccessionFileError {
    /// It is no such file.
    #[error("the succession file: {0}")]
    Document(#[from] DocumentError),
    /// A record is malformed, or there are too many.
    #[error("record {index} of the succession file: {source}")]
    Record {
        /// Its place, from 0.
        index: usize,
        /// Why.
        source: CodecError,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuccessionDocument {
    format: String,
    records: Vec<LowerHex>,
}

/// Reads the records of a file, oldest first; nothing of them is verified.
///
/// # Errors
/// Every [`SuccessionFileError`].
pub fn read_succession(text: &str) -> Result<Vec<SuccessionRecord>, SuccessionFileError> {
    let document: SuccessionDocument = read_document(text, SUCCESSION_FORMAT)?;
    let length = document.records.len();
    if length > SUCCESSIONS_MAX {
        let source = CodecError::TooLong { length, bound: SUCCESSIONS_MAX };
        return Err(SuccessionFileError::Record { index: SUCCESSIONS_MAX, source });
    }
    let read = |(index, record): (usize, &LowerHex)| {
        SuccessionRecord::from_canonical(&record.0).map_err(|source| SuccessionFileError::Record { index, source })
    };
    document.records.iter().enumerate().map(read).collect()
}

/// The file of these records.
///
/// # Errors
/// [`DocumentError::Form`], [`DocumentError::TooLong`].
pub fn write_succession(records: &[SuccessionRecord]) -> Result<String, DocumentError> {
    let records = records.iter().map(|record| LowerHex(record.to_canonical())).collect();
    write_document(&SuccessionDocument { format: SUCCESSION_FORMAT.to_owned(), records })
}
