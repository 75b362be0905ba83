//! Transactions and queries that an app asks for in appd's words (`spec/local-api.md` §1).
//!
//! Invariants: a transaction is counted against the owner's limits before it is signed; what became of it is read from the
//! block under a certificate, and what a query gives from proofs or a registered executor's signature. The instance's own
//! account signs, so what speaks for the instance at the modules is not the app's to send.

mod asked;
mod call;
mod query;
mod submit;

pub(crate) use asked::Asked;
pub(crate) use query::query;
pub(crate) use submit::submit;
