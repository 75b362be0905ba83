//! What a person sees of a broken invariant: one sentence instead of a backtrace, which `-v` shows.
//!
//! The consensus engine and the stores panic where a disk fails; their threads are not told of here, since the validator
//! tells of itself why it ended.

use std::{backtrace::Backtrace, io::Write as _, panic, thread};

/// Name of the threads of this program's own runtime.
pub(crate) const OWN_THREADS: &str = "freehold";
/// Threads whose end somebody else tells of: the engine's runtimes, and those that stores work on.
const TOLD_ELSEWHERE: [&str; 5] =
    ["tokio-rt-worker", "tokio-runtime-worker", "validator-", "executor", "freehold-state"];

/// Replaces the standard report of panics.
pub(crate) fn install() {
    panic::set_hook(Box::new(|fault| {
        tracing::error!(%fault, backtrace = %Backtrace::force_capture(), "a broken invariant");
        let current = thread::current();
        let name = current.name().unwrap_or_default();
        if TOLD_ELSEWHERE.iter().any(|told| name.starts_with(told)) {
            return;
        }
        let what = fault.payload_as_str().unwrap_or("without a word");
        let place = fault.location().map(ToString::to_string).unwrap_or_default();
        let mut err = std::io::stderr().lock();
        let _ = writeln!(
            err,
            "error: a fault in this program ({what}, {place}): run again with -v and report what it says"
        );
    }));
}
