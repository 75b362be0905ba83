//! dstack's binary attestation, version 0: quote, stripped event log, app-level events, report data and machine
//! configuration, in SCALE (little-endian, compact lengths).
//!
//! Read by tools only; no chain sees it. The two lists of app-level events must agree. Of the firmware's events only
//! some are kept, so that RTMR3 alone replays.

use super::{
    names::{APP_EVENT, EventType},
    replay::Rtmr,
    runtime::{AppEvent, DigestRule, FREEHOLD_APP, LoggedEvent, RuntimeLog, app_event_digest, firmware_event},
    tcg::{EVENT_LOG_BYTES_MAX, EVENTS_MAX},
};
use crate::refusal::Refusal;

/// A container as dstack's guest agent gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DstackAttestation {
    /// The quote, as the hardware gave it.
    pub quote: Vec<u8>,
    /// The log; app-level digests are computed.
    pub log: RuntimeLog,
    /// What the quote is said to bind.
    pub report_data: [u8; 64],
    /// The machine's configuration, JSON; nothing covers it.
    pub configuration: String,
}

impl DstackAttestation {
    /// Reads a container to its last byte.
    ///
    /// # Errors
    /// [`Refusal::EventLogTooLong`], [`Refusal::EventLogContainer`], and those of the log's events.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > EVENT_LOG_BYTES_MAX {
            return Err(Refusal::EventLogTooLong);
        }
        let mut rest = Scale(bytes);
        // Version 0, variant 0: Intel TDX.
        if rest.take(2)? != [0, 0] {
            return Err(Refusal::EventLogContainer);
        }
        let quote = rest.bytes()?.to_vec();
        let events: Vec<LoggedEvent> = rest.list(Scale::event)?;
        let app_events: Vec<AppEvent> = rest.list(Scale::app_event)?;
        let report_data = rest.array()?;
        let configuration = rest.text()?;
        let log = RuntimeLog::new(events);
        if !rest.0.is_empty() || !log.app_events().eq(&app_events) {
            return Err(Refusal::EventLogContainer);
        }
        Ok(Self { quote, log, report_data, configuration })
    }
}

/// What is still to be read.
struct Scale<'a>(&'a [u8]);

impl<'a> Scale<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Refusal::EventLogContainer)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        self.take(N)?.try_into().map_err(|_| Refusal::EventLogContainer)
    }

    /// A compact length in its shortest form; lengths of 2³⁰ and more do not fit a container.
    fn length(&mut self) -> Result<usize, Refusal> {
        let first = *self.0.first().ok_or(Refusal::EventLogContainer)?;
        let (value, least) = match first & 3 {
            0 => (u32::from(self.array::<1>()?[0]), 0),
            1 => (u32::from(u16::from_le_bytes(self.array()?)), 1 << 6),
            2 => (u32::from_le_bytes(self.array()?), 1 << 14),
            _ => return Err(Refusal::EventLogContainer),
        };
        let value = value >> 2;
        if value < least {
            return Err(Refusal::EventLogContainer);
        }
        usize::try_from(value).map_err(|_| Refusal::EventLogContainer)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, Refusal> {
        core::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Refusal::EventLogContainer)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
        let count = self.length()?;
        if count > EVENTS_MAX {
            return Err(Refusal::EventLogTooLong);
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// An event of the log; those of the app are left without a digest.
    fn event(&mut self) -> Result<LoggedEvent, Refusal> {
        let number = u32::from_le_bytes(self.array()?);
        let register = Rtmr::from_number(number).ok_or(Refusal::EventLogRegister)?;
        let event_type = EventType(u32::from_le_bytes(self.array()?));
        let digest = self.bytes()?;
        if event_type != APP_EVENT {
            let label = self.text()?;
            return firmware_event(register, event_type, digest, label, self.bytes()?.to_vec());
        }
        let event = self.app_event()?;
        let computed = app_event_digest(&event)?;
        if register != Rtmr::Rtmr3 {
            return Err(Refusal::EventLogRegister);
        }
        if !digest.is_empty() && digest != computed.0 {
            return Err(Refusal::EventLogDigestMismatch);
        }
        Ok(LoggedEvent::App { digest: computed, event })
    }

    /// Containers of this version know the first rule only, and ours for the event that has it.
    fn app_event(&mut self) -> Result<AppEvent, Refusal> {
        let name = self.text()?;
        let rule = if name == FREEHOLD_APP { DigestRule::FreeholdApp } else { DigestRule::Version1 };
        Ok(AppEvent { name, payload: self.bytes()?.to_vec(), rule })
    }
}
