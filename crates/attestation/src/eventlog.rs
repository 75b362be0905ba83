//! Event logs: what the firmware and the guest say they measured, checked against the registers that hardware signs.
//!
//! Two forms are read: the TCG crypto-agile log (a CCEL of a TDX guest, or a TPM's; TCG PC Client Platform Firmware
//! Profile 1.06 §10), and dstack's JSON log, which also holds the app-level events that extend RTMR3. **A log is not
//! signed.** It says nothing until its replay gives the registers of verified evidence, and even then only the digests
//! are proven: an event's data counts where the digest covers it, its label never.
//!
//! Here are no register values to expect: those are a policy's. `spec/event-log.md` is the normative text.

mod app;
mod describe;
mod dstack;
mod names;
mod replay;
mod runtime;
mod tcg;

pub use self::{
    app::{AppFact, BootEvents, KeyProvider, SYSTEM_READY},
    describe::{EventLine, Phase},
    dstack::DstackAttestation,
    names::EventType,
    replay::{HashAlgorithm, Pcrs, RegisterCheck, Rtmr, Rtmrs, extended},
    runtime::{AppEvent, DigestRule, LoggedEvent, RuntimeLog, app_event_digest},
    tcg::{Cover, EVENT_LOG_BYTES_MAX, EVENTS_MAX, LogKind, TcgEvent, TcgLog},
};
