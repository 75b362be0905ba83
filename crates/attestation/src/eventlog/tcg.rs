//! The TCG crypto-agile log: a header that names the digest algorithms, then events with one digest for each.
//!
//! Everything is little-endian and borrowed from the input; every length is checked against what is there. A log in an
//! area of fixed size (a CCEL) ends where nothing but `ff` or nothing but zero follows: neither can begin an event,
//! since an event carries at least one digest and register `ffffffff` does not exist.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::names::{EventType, NO_ACTION};
use crate::refusal::Refusal;

/// Longest log, in bytes, fill included.
pub const EVENT_LOG_BYTES_MAX: usize = 512 * 1024;
/// Most events of a log.
pub const EVENTS_MAX: usize = 4096;
/// Most digest algorithms of a log; a TPM has up to five banks.
const ALGORITHMS_MAX: usize = 8;
/// Longest digest of any algorithm, in bytes.
const DIGEST_BYTES_MAX: usize = 64;
/// What the first event says it is, version 2 of the format.
const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";

/// Whose registers a log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// A confidential guest's (CCEL): index 0 is MRTD, which nobody can extend, 1 to 4 are RTMR0 to RTMR3.
    ConfidentialGuest,
    /// A TPM's: the index is that of the PCR.
    Tpm,
}

/// A digest algorithm that a header declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Algorithm {
    /// Identifier in the TCG's algorithm registry.
    pub(super) id: u16,
    digest_bytes: usize,
}

/// A log, borrowed from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcgLog<'a> {
    kind: LogKind,
    algorithms: Vec<Algorithm>,
    events: Vec<TcgEvent<'a>>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcgEvent<'a> {
    /// Register as the log numbers it ([`LogKind`]).
    pub(super) index: u32,
    pub(super) event_type: EventType,
    /// One for each algorithm, in the event's order: identifier, digest.
    pub(super) digests: Vec<(u16, &'a [u8])>,
    pub(super) data: &'a [u8],
}

/// Whether an event's data stands under its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cover {
    /// The digest is that of the data.
    Data,
    /// The digest is of something else; the data only describes it, and whoever hands the log over may have changed it.
    Something,
}

impl<'a> TcgLog<'a> {
    /// Reads a whole log.
    ///
    /// # Errors
    /// Refusals 170 to 174.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > EVENT_LOG_BYTES_MAX {
            return Err(Refusal::EventLogTooLong);
        }
        let mut rest = Cursor(bytes);
        let (kind, algorithms) = header(&mut rest)?;
        let mut events = Vec::new();
        while !rest.is_fill() {
            if events.len() == EVENTS_MAX {
                return Err(Refusal::EventLogTooLong);
            }
            events.push(event(&mut rest, kind, &algorithms)?);
        }
        Ok(Self { kind, algorithms, events })
    }

    /// Whose registers it is about, as its header's index says: 0 in a TPM's log, 1 in a CCEL.
    pub const fn kind(&self) -> LogKind {
        self.kind
    }

    /// Its events, without the header.
    pub fn events(&self) -> &[TcgEvent<'a>] {
        &self.events
    }

    /// Identifiers of the digest algorithms that every event carries.
    pub fn algorithm_ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.algorithms.iter().map(|algorithm| algorithm.id)
    }
}

impl<'a> TcgEvent<'a> {
    /// Register as the log numbers it ([`LogKind`]).
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Its type.
    pub const fn event_type(&self) -> EventType {
        self.event_type
    }

    /// Whether it extends its register: all but `EV_NO_ACTION` do.
    pub fn is_extended(&self) -> bool {
        self.event_type != NO_ACTION
    }

    /// Its digest under the algorithm with this identifier.
    pub fn digest(&self, algorithm_id: u16) -> Option<&'a [u8]> {
        self.digests.iter().find(|(id, _)| *id == algorithm_id).map(|(_, digest)| *digest)
    }

    /// Its data, of which nothing is proven unless [`Self::cover`] says so.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Whether every digest that can be checked here (SHA-256, SHA-384, SHA-512) is that of the data.
    pub fn cover(&self) -> Cover {
        let mut checked = false;
        for (id, digest) in &self.digests {
            let same = match *id {
                SHA256 => Sha256::digest(self.data)[..] == **digest,
                SHA384 => Sha384::digest(self.data)[..] == **digest,
                SHA512 => Sha512::digest(self.data)[..] == **digest,
                _ => continue,
            };
            if !same {
                return Cover::Something;
            }
            checked = true;
        }
        if checked && self.is_extended() { Cover::Data } else { Cover::Something }
    }
}

/// Identifiers of the TCG algorithm registry.
const SHA1: u16 = 0x0004;
pub(super) const SHA256: u16 = 0x000b;
pub(super) const SHA384: u16 = 0x000c;
pub(super) const SHA512: u16 = 0x000d;
const SM3: u16 = 0x0012;

/// The first event, in the format of TPM 1.2, holds the header (TCG PFP 1.06 §10.4.5.1).
fn header(rest: &mut Cursor<'_>) -> Result<(LogKind, Vec<Algorithm>), Refusal> {
    let index = rest.u32()?;
    let event_type = EventType(rest.u32()?);
    let digest = rest.take(20)?;
    let length = rest.length()?;
    let mut event = Cursor(rest.take(length)?);
    let kind = match index {
        0 => LogKind::Tpm,
        1 => LogKind::ConfidentialGuest,
        _ => return Err(Refusal::EventLogHeader),
    };
    if event_type != NO_ACTION || digest.iter().any(|byte| *byte != 0) {
        return Err(Refusal::EventLogHeader);
    }
    // Inside the header its own length is the end; a fault there is the header's.
    let algorithms = spec_id(&mut event).ok_or(Refusal::EventLogHeader)?;
    Ok((kind, algorithms))
}

fn spec_id(event: &mut Cursor<'_>) -> Option<Vec<Algorithm>> {
    let signature = event.take(16).ok()?;
    let _platform_class = event.u32().ok()?;
    // Minor and major version, errata, size of a UINTN in four bytes.
    let version = event.take(4).ok()?;
    if signature != SIGNATURE || version[1] != 2 {
        return None;
    }
    let count = event.length().ok()?;
    if count == 0 || count > ALGORITHMS_MAX {
        return None;
    }
    let mut algorithms: Vec<Algorithm> = Vec::new();
    for _ in 0..count {
        let algorithm = Algorithm { id: event.u16().ok()?, digest_bytes: event.u16().ok()?.into() };
        let right = match algorithm.id {
            SHA1 => algorithm.digest_bytes == 20,
            SHA256 | SM3 => algorithm.digest_bytes == 32,
            SHA384 => algorithm.digest_bytes == 48,
            SHA512 => algorithm.digest_bytes == 64,
            _ => (1..=DIGEST_BYTES_MAX).contains(&algorithm.digest_bytes),
        };
        if !right || algorithms.iter().any(|known| known.id == algorithm.id) {
            return None;
        }
        algorithms.push(algorithm);
    }
    let vendor_bytes = event.take(1).ok()?[0];
    event.take(vendor_bytes.into()).ok()?;
    event.0.is_empty().then_some(algorithms)
}

fn event<'a>(rest: &mut Cursor<'a>, kind: LogKind, algorithms: &[Algorithm]) -> Result<TcgEvent<'a>, Refusal> {
    let index = rest.u32()?;
    let event_type = EventType(rest.u32()?);
    let count = rest.length()?;
    if count != algorithms.len() {
        return Err(Refusal::EventLogDigests);
    }
    let mut digests: Vec<(u16, &[u8])> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = rest.u16()?;
        let known = algorithms.iter().find(|algorithm| algorithm.id == id).ok_or(Refusal::EventLogDigests)?;
        if digests.iter().any(|(other, _)| *other == id) {
            return Err(Refusal::EventLogDigests);
        }
        digests.push((id, rest.take(known.digest_bytes)?));
    }
    let length = rest.length()?;
    let data = rest.take(length)?;
    let event = TcgEvent { index, event_type, digests, data };
    // An event without action may name any register: it changes none.
    if event.is_extended() && !is_register(kind, index) {
        return Err(Refusal::EventLogRegister);
    }
    Ok(event)
}

/// Whether events can extend the register from a known start: PCRs 17 to 22 begin anew with a dynamic launch, which a
/// log of this kind does not show.
const fn is_register(kind: LogKind, index: u32) -> bool {
    match kind {
        LogKind::ConfidentialGuest => index >= 1 && index <= 4,
        LogKind::Tpm => index <= 16 || index == 23,
    }
}

/// What is still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Refusal::EventLogTruncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Refusal> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Refusal> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn length(&mut self) -> Result<usize, Refusal> {
        usize::try_from(self.u32()?).map_err(|_| Refusal::EventLogTruncated)
    }

    /// Whether nothing is left but fill.
    fn is_fill(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0xff) || self.0.iter().all(|byte| *byte == 0)
    }
}
