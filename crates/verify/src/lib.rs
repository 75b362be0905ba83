#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bundle;
mod fetch;
mod instance;
mod judge;
mod light;
mod link;
mod promise;
mod refusal;
mod verdict;
mod walk;

pub use bundle::{
    AnchorSection, BodySection, CommitmentSection, DocumentError, EntryProof, FinalitySection, HEADER_FORMAT,
    HeaderDocument, HeaderFileError, HeaderSection, KeysetSection, LowerHex, Mutation, OptionalEntryProof,
    PROMISE_AUDITS_MAX, PROOF_BYTES_MAX, PROOF_FORMAT, PromiseProof, ProofDocument, QuoteSection, RegistrationSection,
    SUCCESSION_FORMAT, SectionError, StateProofSection, SubjectSection, SuccessionFileError, TlsKeySection, mutations,
    read_succession, write_succession,
};
pub use fetch::{FetchRecordError, VerifiedFetch, verify_fetch};
pub use instance::{InstanceClaim, InstanceError, VerifiedInstance, verify_instance};
pub use judge::{MAX_AGE_S_DEFAULT, Step, VerifyOptions, verify_bundle, verify_bundle_with, verify_header_file};
pub use light::{
    AccountState, AnswerError, AskedAnswer, BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, BlockBytes, BlockError,
    ChainTrust, EntryError, EntryKey, Envelope, ExecutorStanding, FinalityError, FinalityProof, HEADER_BYTES_MAX, Head,
    HeadError, HeadRules, HeaderError, KeysError, NetworkKeys, StateError, VerifiedAnswer, VerifiedBlock,
    VerifiedHeader, VerifiedHeaders, VerifiedTransaction, open_header, read_answer, records_after, verify_absent_entry,
    verify_account, verify_ancestors, verify_answer, verify_block, verify_entry, verify_finality,
    verify_finality_under, verify_leaf, verify_storage,
};
pub use link::{Link, LinkReport, LinkStatus, Skip};
pub use promise::{Audited, Promise, UpgradeDemand, UpgradeShortfall, called_sound};
pub use refusal::{EntryName, LinkError, Run};
pub use verdict::{AsOfHeader, Claims, ModelName, Objection, Taint, VERDICT_FORMAT, ValidNow, Verdict};
