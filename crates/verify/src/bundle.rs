//! Proof bundles: one canonical file with everything needed to check one answer (`spec/proof-bundle.md`).
//!
//! The document has one section per link, named as the link. Invariant: whatever leaf of a section changes, the link of
//! that name fails; the walk of [`mutations`] shows it.

mod document;
mod header_file;
mod hexed;
mod mutate;
mod read;
mod succession_file;

pub use document::{
    AnchorSection, BodySection, CommitmentSection, EntryProof, FinalitySection, HeaderSection, KeysetSection,
    OptionalEntryProof, PROMISE_AUDITS_MAX, PromiseProof, ProofDocument, QuoteSection, RegistrationSection,
    StateProofSection, SubjectSection, TlsKeySection,
};
pub use header_file::{HEADER_FORMAT, HeaderDocument, HeaderFileError};
pub use hexed::LowerHex;
pub use mutate::{Mutation, mutations};
pub use read::{DocumentError, PROOF_BYTES_MAX, PROOF_FORMAT, SectionError};
pub use succession_file::{SUCCESSION_FORMAT, SuccessionFileError, read_succession, write_succession};

pub(crate) use header_file::AsOf;
pub(crate) use read::{Sections, read_sections};
