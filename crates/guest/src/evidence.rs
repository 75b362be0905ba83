//! Evidence: one trait over every source (write inblob, read outblob, generation, provider), as the kernel's configfs
//! shapes it, and the taking of one piece of evidence (`spec/evidence.md` §4).
//!
//! Invariant of [`take_evidence`]: what comes back is in canonical form, answers the report data that went in, because
//! the source's generation moved by exactly this write and because it says so itself, and ends in a root of the trust
//! domain that was asked for. So an emulator never passes for hardware.

mod canonical;
mod configfs;
mod endorsed;
#[cfg(feature = "nvml")]
mod nvml;
mod quotes;
mod rtmr;
mod socket;

#[cfg(test)]
mod tests;

pub use self::{
    canonical::{TakenEvidence, Wanted},
    configfs::{CONFIGFS_ROOT, ConfigfsError, ConfigfsSource},
    rtmr::{MEASUREMENTS_ROOT, Rtmr3, RtmrError, TDX_GUEST_DEVICE},
    socket::SocketSource,
};
pub(crate) use canonical::{SNP as SNP_PROVIDER, TDX as TDX_PROVIDER};
pub(crate) use endorsed::EndorsedSource;
#[cfg(feature = "nvml")]
pub use nvml::{GpuEvidence, GpuEvidenceError, NvmlSource};
pub(crate) use quotes::{QuoteError, QuoteService};

use std::{io, thread, time::Duration};

use freehold_attestation::Refusal;
use freehold_primitives::TrustDomain;
use thiserror::Error;

/// Longest evidence that a source may give before it is brought into canonical form, in bytes: the kernel's own bound
/// of `outblob` on releases until 2025.
pub const OUTBLOB_BYTES_MAX: usize = 32 * 1024;
/// Attempts to take one piece of evidence while others use the source.
const ATTEMPTS_MAX: u32 = 5;
/// Pause before the second attempt; it doubles with each.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);

/// Why a source gave no evidence.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The source cannot be reached or broke off.
    #[error("the evidence source failed: {0}")]
    Source(#[from] io::Error),
    /// The kernel's source failed.
    #[error(transparent)]
    Configfs(#[from] ConfigfsError),
    /// Somebody else used the source in between.
    #[error("the evidence source moved from generation {before} to {after}: another writer uses it")]
    Generation {
        /// Before the write.
        before: u64,
        /// After the read.
        after: u64,
    },
    /// The evidence is empty or above its bound.
    #[error("the evidence source gave {0} bytes, where 1 to {OUTBLOB_BYTES_MAX} may stand")]
    Length(usize),
    /// The evidence has no canonical form.
    #[error("the evidence source gave no well-formed evidence (code {code}): {0}", code = .0.code())]
    Form(#[from] Refusal),
    /// The evidence does not hold the report data that was asked for.
    #[error("the evidence does not hold the report data that was asked for")]
    ReportData,
    /// The boot could not be measured.
    #[error(transparent)]
    Rtmr(#[from] RtmrError),
    /// A GPU beside the CPU gave no evidence.
    #[cfg(feature = "nvml")]
    #[error(transparent)]
    Gpu(#[from] GpuEvidenceError),
    /// The source's name is not usable.
    #[error("the evidence source names no provider")]
    Provider,
    /// The source is of another kind than the trust domain asks for.
    #[error(
        "the evidence source is `{found}`, which gives no evidence of the trust domain `{domain}`",
        domain = .domain.as_str()
    )]
    WrongProvider {
        /// What was asked for.
        domain: TrustDomain,
        /// What the source calls itself.
        found: String,
    },
    /// The evidence ends in no root of the trust domain that was asked for, or bears the emulator's mark where it must not.
    #[error("the evidence is not of the trust domain `{}` as the genesis knows it", .0.as_str())]
    WrongDomain(TrustDomain),
    /// A part that the evidence needs is not there.
    #[error("{0}")]
    Unavailable(&'static str),
}

impl EvidenceError {
    /// Whether the same may succeed in a moment.
    fn is_transient(&self) -> bool {
        match self {
            Self::Generation { .. } => true,
            Self::Configfs(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// A source of evidence.
pub trait EvidenceSource: Send {
    /// Hands over the 64 bytes of report data.
    ///
    /// # Errors
    /// [`EvidenceError::Source`], [`EvidenceError::Configfs`].
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError>;

    /// Reads the evidence for what was written last.
    ///
    /// # Errors
    /// [`EvidenceError::Source`], [`EvidenceError::Configfs`], [`EvidenceError::Length`].
    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError>;

    /// Reads what the source gives beside the evidence: the certificates of an SNP report. Empty where there is
    /// nothing.
    ///
    /// # Errors
    /// [`EvidenceError::Configfs`].
    fn read_auxblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        Ok(Vec::new())
    }

    /// Counts the writes that the source has seen, from whomever.
    ///
    /// # Errors
    /// [`EvidenceError::Source`], [`EvidenceError::Configfs`].
    fn generation(&mut self) -> Result<u64, EvidenceError>;

    /// Name of the source: `tdx_guest`, `sev_guest`, …
    fn provider(&self) -> &str;

    /// Forgets what was written, after a failure; the next write begins anew.
    fn reset(&mut self) {}
}

/// Takes one piece of evidence over `report_data`, again where others interfered.
///
/// # Errors
/// Every [`EvidenceError`].
pub fn take_evidence(
    source: &mut dyn EvidenceSource,
    report_data: &[u8; 64],
    wanted: &Wanted,
) -> Result<TakenEvidence, EvidenceError> {
    wanted.check_provider(source.provider())?;
    let mut pause = ATTEMPT_PAUSE;
    for _ in 1..ATTEMPTS_MAX {
        match take_once(source, report_data, wanted) {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "taking evidence again");
                source.reset();
                thread::sleep(pause);
                pause *= 2;
            }
            done => return done,
        }
    }
    take_once(source, report_data, wanted)
}

fn take_once(
    source: &mut dyn EvidenceSource,
    report_data: &[u8; 64],
    wanted: &Wanted,
) -> Result<TakenEvidence, EvidenceError> {
    let before = source.generation()?;
    source.write_inblob(report_data)?;
    let outblob = source.read_outblob()?;
    let auxblob = source.read_auxblob()?;
    let after = source.generation()?;
    if before.checked_add(1) != Some(after) {
        return Err(EvidenceError::Generation { before, after });
    }
    if outblob.is_empty() || outblob.len() > OUTBLOB_BYTES_MAX {
        return Err(EvidenceError::Length(outblob.len()));
    }
    wanted.canonicalise(source.provider(), &outblob, &auxblob, report_data)
}
