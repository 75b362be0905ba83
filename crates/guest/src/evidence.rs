//! Evidence: one trait over every source (write inblob, read outblob, generation, provider), as the kernel's configfs
//! shapes it, and the taking of one quote.
//!
//! Invariant of [`take_quote`]: the quote that comes back answers the report data that went in, because the source's
//! generation moved by exactly this write.

mod quotes;
mod socket;

#[cfg(test)]
mod tests;

pub(crate) use quotes::{QuoteError, QuoteService};
pub use socket::SocketSource;

use std::io;

use thiserror::Error;

/// Largest quote that a source may give, in bytes.
pub const QUOTE_BYTES_MAX: usize = freehold_primitives::EVIDENCE_BYTES_MAX;

/// Why a source gave no quote.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The source cannot be reached or broke off.
    #[error("the evidence source failed: {0}")]
    Source(#[from] io::Error),
    /// Somebody else used the source in between.
    #[error("the evidence source moved from generation {before} to {after}: another writer uses it")]
    Generation {
        /// Before the write.
        before: u64,
        /// After the read.
        after: u64,
    },
    /// The quote is empty or above its bound.
    #[error("the evidence source gave {0} bytes, where 1 to {QUOTE_BYTES_MAX} may stand")]
    Length(usize),
    /// The quote does not hold the report data that was asked for.
    #[error("the evidence does not hold the report data that was asked for")]
    ReportData,
    /// The source's name is not usable.
    #[error("the evidence source names no provider")]
    Provider,
}

/// A source of evidence.
pub trait EvidenceSource: Send {
    /// Hands over the 64 bytes of report data.
    ///
    /// # Errors
    /// [`EvidenceError::Source`].
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError>;

    /// Reads the evidence for what was written last.
    ///
    /// # Errors
    /// [`EvidenceError::Source`], [`EvidenceError::Length`].
    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError>;

    /// Counts the writes that the source has seen, from whomever.
    ///
    /// # Errors
    /// [`EvidenceError::Source`].
    fn generation(&mut self) -> Result<u64, EvidenceError>;

    /// Name of the source: `tdx_guest`, `emulator`, …
    fn provider(&self) -> &str;
}

/// Offset of the report data in a TDX quote, version 4: the header and the fields before it.
const REPORT_DATA_AT: usize = 48 + 520;

/// Takes one quote over `report_data`.
///
/// # Errors
/// Every [`EvidenceError`].
pub fn take_quote(source: &mut dyn EvidenceSource, report_data: &[u8; 64]) -> Result<Vec<u8>, EvidenceError> {
    let before = source.generation()?;
    source.write_inblob(report_data)?;
    let quote = source.read_outblob()?;
    let after = source.generation()?;
    if before.checked_add(1) != Some(after) {
        return Err(EvidenceError::Generation { before, after });
    }
    if quote.is_empty() || quote.len() > QUOTE_BYTES_MAX {
        return Err(EvidenceError::Length(quote.len()));
    }
    // A quote over other bytes would be refused by the chain; saying so here names the culprit.
    match quote.get(REPORT_DATA_AT..REPORT_DATA_AT + 64) {
        Some(found) if found == report_data => Ok(quote),
        _ => Err(EvidenceError::ReportData),
    }
}
