//! Reading and writing the file: one text for one document (`spec/proof-bundle.md` §1).
//!
//! The text must be the RFC 8785 form of what it says and one newline, and each section the form of its typed value, so
//! that unknown members, other spellings of hex and left-out nulls are refused. Size and depth are bounded first.

use std::sync::Arc;

use freehold_crypto::{JcsError, parse_canonical, to_jcs};
use freehold_primitives::Receipt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use thiserror::Error;

use super::document::{
    AnchorSection, BodySection, CommitmentSection, FinalitySection, HeaderSection, KeysetSection, QuoteSection,
    RegistrationSection, StateProofSection,
};

/// The word that opens every proof of this version.
pub const PROOF_FORMAT: &str = "freehold.proof/1";
/// Largest proof, in bytes.
pub const PROOF_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Sections of a proof and its `format`.
const MEMBERS: [&str; 12] = [
    "anchor",
    "commitment",
    "finality",
    "format",
    "header",
    "keyset",
    "quote",
    "receipt",
    "registration",
    "request",
    "response",
    "state_proof",
];

/// Why a text is no document of ours.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Above [`PROOF_BYTES_MAX`].
    #[error("the document has {0} bytes, above the bound of {PROOF_BYTES_MAX}")]
    TooLong(usize),
    /// No newline at the end, or more than one.
    #[error("the document does not end in exactly one newline")]
    Newline,
    /// Not RFC 8785 text.
    #[error("the document is not canonical: {0}")]
    Form(#[from] JcsError),
    /// No JSON object.
    #[error("the document is no JSON object")]
    NotObject,
    /// Another format or version.
    #[error("the document is no {0}")]
    Format(&'static str),
    /// A member that no document of this format has.
    #[error("the document has an unknown member")]
    UnknownMember,
    /// Typed reading failed.
    #[error(transparent)]
    Section(#[from] SectionError),
}

/// Why a section is not usable.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SectionError {
    /// It is not there.
    #[error("the section is missing")]
    Missing,
    /// It does not have its form.
    #[error("the section is malformed: {0}")]
    Malformed(Arc<serde_json::Error>),
    /// It has its form, in another spelling than the canonical one.
    #[error("the section is not in its canonical form")]
    NotCanonical,
}

type Section<T> = Result<T, SectionError>;

/// A proof's sections, each read on its own, so that one malformed section fails one link.
pub(crate) struct Sections {
    pub(crate) request: Section<BodySection>,
    pub(crate) response: Section<BodySection>,
    pub(crate) receipt: Section<Receipt>,
    pub(crate) receipt_text: Section<String>,
    pub(crate) keyset: Section<KeysetSection>,
    pub(crate) quote: Section<QuoteSection>,
    pub(crate) registration: Section<RegistrationSection>,
    pub(crate) anchor: Section<Option<AnchorSection>>,
    pub(crate) state_proof: Section<StateProofSection>,
    pub(crate) header: Section<HeaderSection>,
    pub(crate) commitment: Section<CommitmentSection>,
    pub(crate) finality: Section<FinalitySection>,
}

/// Reads the outer object and each section on its own.
pub(crate) fn read_sections(text: &str) -> Result<Sections, DocumentError> {
    let mut members = read_object(text, PROOF_FORMAT)?;
    if members.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(DocumentError::UnknownMember);
    }
    let receipt_text = members.get("receipt").ok_or(SectionError::Missing).and_then(|value| {
        // A value that came out of a canonical text has a canonical text.
        to_jcs(value).map_err(|_| SectionError::NotCanonical)
    });
    Ok(Sections {
        request: section(&mut members, "request"),
        response: section(&mut members, "response"),
        receipt: section(&mut members, "receipt"),
        receipt_text,
        keyset: section(&mut members, "keyset"),
        quote: section(&mut members, "quote"),
        registration: section(&mut members, "registration"),
        anchor: section(&mut members, "anchor"),
        state_proof: section(&mut members, "state_proof"),
        header: section(&mut members, "header"),
        commitment: section(&mut members, "commitment"),
        finality: section(&mut members, "finality"),
    })
}

/// Reads a whole document as one type.
pub(crate) fn read_document<T: Serialize + DeserializeOwned>(
    text: &str,
    format: &'static str,
) -> Result<T, DocumentError> {
    let members = read_object(text, format)?;
    Ok(typed(Value::Object(members))?)
}

/// Writes a document.
pub(crate) fn write_document<T: Serialize>(document: &T) -> Result<String, DocumentError> {
    let value = serde_json::to_value(document).map_err(|error| SectionError::Malformed(Arc::new(error)))?;
    let mut text = to_jcs(&value)?;
    text.push('\n');
    if text.len() > PROOF_BYTES_MAX {
        return Err(DocumentError::TooLong(text.len()));
    }
    Ok(text)
}

fn read_object(text: &str, format: &'static str) -> Result<Map<String, Value>, DocumentError> {
    if text.len() > PROOF_BYTES_MAX {
        return Err(DocumentError::TooLong(text.len()));
    }
    let line = text.strip_suffix('\n').ok_or(DocumentError::Newline)?;
    if line.ends_with('\n') {
        return Err(DocumentError::Newline);
    }
    let Value::Object(members) = parse_canonical(line, PROOF_BYTES_MAX)? else {
        return Err(DocumentError::NotObject);
    };
    if members.get("format").and_then(Value::as_str) != Some(format) {
        return Err(DocumentError::Format(format));
    }
    Ok(members)
}

fn section<T: Serialize + DeserializeOwned>(members: &mut Map<String, Value>, name: &str) -> Section<T> {
    typed(members.remove(name).ok_or(SectionError::Missing)?)
}

fn typed<T: Serialize + DeserializeOwned>(value: Value) -> Section<T> {
    let malformed = |error| SectionError::Malformed(Arc::new(error));
    let read = T::deserialize(&value).map_err(malformed)?;
    let again = serde_json::to_value(&read).map_err(malformed)?;
    if again == value { Ok(read) } else { Err(SectionError::NotCanonical) }
}
