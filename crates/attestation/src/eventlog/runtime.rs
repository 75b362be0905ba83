//! dstack's JSON log: one array of events over all four registers, of which those of type `08000001` are app-level.
//!
//! Invariant: the digest of an app-level event is computed here from its name and payload, whatever the log claims, and
//! a claim that differs is refused. All rules of computation hash strings that begin differently, so one digest has one
//! reading. Firmware events are taken as digests: their data is often left out, and their names are only labels.

use std::borrow::Cow;

use freehold_primitives::Register;
use serde::Deserialize;
use sha2::{Digest as _, Sha384};

use super::{
    names::{APP_EVENT, EventType, NO_ACTION},
    replay::{Rtmr, Rtmrs},
    tcg::{Cover, EVENT_LOG_BYTES_MAX, EVENTS_MAX},
};
use crate::refusal::Refusal;

/// Longest name of an event, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Name of the event by which Freehold measures an app (`spec/evidence.md` §3).
pub(super) const FREEHOLD_APP: &str = "freehold-app";
/// Domain of that event's digest.
const FREEHOLD_APP_DOMAIN: &[u8] = b"freehold app image\n";

/// How the digest of an app-level event follows from its name and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestRule {
    /// dstack's first: SHA-384 of the type (4 bytes, little-endian), `:`, name, `:`, payload. The name holds no `:`, or
    /// one digest would have several readings.
    Version1,
    /// dstack's second: SHA-384 of `{"name":…,"payload":"<hex>","type":134217729}` in the form of RFC 8785.
    Version2,
    /// Ours, for the event `freehold-app` alone: SHA-384 of `freehold app image`, one LF, and the payload.
    FreeholdApp,
}

/// An app-level event: what its digest covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEvent {
    /// Name.
    pub name: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// How the digest follows.
    pub rule: DigestRule,
}

/// The digest by which an app-level event extends RTMR3.
///
/// # Errors
/// [`Refusal::EventLogEvent`] for a name that the rule cannot carry.
pub fn app_event_digest(event: &AppEvent) -> Result<Register, Refusal> {
    Ok(Register(Sha384::digest(preimage(event)?).into()))
}

fn preimage(event: &AppEvent) -> Result<Vec<u8>, Refusal> {
    let AppEvent { name, payload, rule } = event;
    let right = match rule {
        DigestRule::Version1 => !name.contains(':'),
        DigestRule::Version2 => true,
        DigestRule::FreeholdApp => name == FREEHOLD_APP,
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !right {
        return Err(Refusal::EventLogEvent);
    }
    Ok(match rule {
        DigestRule::Version1 => [&APP_EVENT.0.to_le_bytes(), b":".as_slice(), name.as_bytes(), b":", payload].concat(),
        DigestRule::Version2 => {
            // A string in JSON as `serde_json` writes it is a string in RFC 8785's form (§3.2.2.2).
            let name = serde_json::to_string(name).map_err(|_| Refusal::EventLogEvent)?;
            format!(r#"{{"name":{name},"payload":"{}","type":{}}}"#, hex::encode(payload), APP_EVENT.0).into_bytes()
        }
        DigestRule::FreeholdApp => [FREEHOLD_APP_DOMAIN, payload].concat(),
    })
}

/// One event of a JSON log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedEvent {
    /// Of firmware or boot loader: a digest, and what somebody wrote beside it.
    Firmware {
        /// Register that it extends.
        register: Rtmr,
        /// Type.
        event_type: EventType,
        /// Digest, as logged.
        digest: Register,
        /// A label that nothing covers.
        label: String,
        /// Data; empty where it was left out.
        data: Vec<u8>,
    },
    /// App-level, in RTMR3.
    App {
        /// Digest, as computed.
        digest: Register,
        /// What it covers.
        event: AppEvent,
    },
}

impl LoggedEvent {
    /// Whether the digest covers the data; it never covers a label.
    pub fn cover(&self) -> Cover {
        match self {
            Self::Firmware { digest, data, .. } if Sha384::digest(data)[..] != digest.0 => Cover::Something,
            _ => Cover::Data,
        }
    }
}

/// A JSON log whose app-level digests are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeLog {
    events: Vec<LoggedEvent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    imr: u32,
    event_type: u32,
    #[serde(borrow, default)]
    digest: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    event_payload: Cow<'a, str>,
    version: Option<u32>,
    #[serde(borrow)]
    preimage: Option<Cow<'a, str>>,
}

impl RuntimeLog {
    /// Reads a JSON log.
    ///
    /// # Errors
    /// [`Refusal::EventLogTooLong`], [`Refusal::EventLogJson`], [`Refusal::EventLogRegister`],
    /// [`Refusal::EventLogDigests`], [`Refusal::EventLogEvent`], [`Refusal::EventLogDigestMismatch`].
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > EVENT_LOG_BYTES_MAX {
            return Err(Refusal::EventLogTooLong);
        }
        let rows: Vec<Row<'_>> = serde_json::from_slice(json).map_err(|_| Refusal::EventLogJson)?;
        if rows.len() > EVENTS_MAX {
            return Err(Refusal::EventLogTooLong);
        }
        let events = rows.iter().map(logged).collect::<Result<_, _>>()?;
        Ok(Self { events })
    }

    pub(super) const fn new(events: Vec<LoggedEvent>) -> Self {
        Self { events }
    }

    /// Its events, in order.
    pub fn events(&self) -> &[LoggedEvent] {
        &self.events
    }

    /// Its app-level events, in order.
    pub fn app_events(&self) -> impl Iterator<Item = &AppEvent> {
        self.events.iter().filter_map(|event| match event {
            LoggedEvent::App { event, .. } => Some(event),
            LoggedEvent::Firmware { .. } => None,
        })
    }

    /// The registers that the log gives.
    pub fn rtmrs(&self) -> Rtmrs {
        let mut registers = Rtmrs::default();
        for event in &self.events {
            match event {
                LoggedEvent::Firmware { event_type, .. } if *event_type == NO_ACTION => {}
                LoggedEvent::Firmware { register, digest, .. } => registers.extend(*register, &digest.0),
                LoggedEvent::App { digest, .. } => registers.extend(Rtmr::Rtmr3, &digest.0),
            }
        }
        registers
    }
}

fn logged(row: &Row<'_>) -> Result<LoggedEvent, Refusal> {
    let register = Rtmr::from_number(row.imr).ok_or(Refusal::EventLogRegister)?;
    let payload = hex::decode(&*row.event_payload).map_err(|_| Refusal::EventLogJson)?;
    let claimed = hex::decode(&*row.digest).map_err(|_| Refusal::EventLogJson)?;
    if EventType(row.event_type) == APP_EVENT {
        if register != Rtmr::Rtmr3 {
            return Err(Refusal::EventLogRegister);
        }
        return app_event(row, payload, &claimed);
    }
    if row.version.is_some() || row.preimage.is_some() {
        return Err(Refusal::EventLogJson);
    }
    firmware_event(register, EventType(row.event_type), &claimed, row.event.clone().into_owned(), payload)
}

pub(super) fn firmware_event(
    register: Rtmr,
    event_type: EventType,
    digest: &[u8],
    label: String,
    data: Vec<u8>,
) -> Result<LoggedEvent, Refusal> {
    let digest = Register(digest.try_into().map_err(|_| Refusal::EventLogDigests)?);
    Ok(LoggedEvent::Firmware { register, event_type, digest, label, data })
}

/// An event without a version and with a digest is of the version whose digest it has; without either, of the first.
fn app_event(row: &Row<'_>, payload: Vec<u8>, claimed: &[u8]) -> Result<LoggedEvent, Refusal> {
    let rules: &[DigestRule] = match row.version {
        None if &*row.event == FREEHOLD_APP => &[DigestRule::FreeholdApp],
        None if claimed.is_empty() => &[DigestRule::Version1],
        None => &[DigestRule::Version1, DigestRule::Version2],
        Some(1) => &[DigestRule::Version1],
        Some(2) => &[DigestRule::Version2],
        Some(_) => return Err(Refusal::EventLogJson),
    };
    let mut event = AppEvent { name: row.event.clone().into_owned(), payload, rule: rules[0] };
    let mut refusal = Refusal::EventLogDigestMismatch;
    for rule in rules {
        event.rule = *rule;
        match app_event_digest(&event) {
            Ok(digest) if claimed.is_empty() || claimed == digest.0 => {
                verify_preimage(row, &event)?;
                return Ok(LoggedEvent::App { digest, event });
            }
            Ok(_) => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// The string that is hashed may stand in the log, as text or in hex.
fn verify_preimage(row: &Row<'_>, event: &AppEvent) -> Result<(), Refusal> {
    let Some(shown) = &row.preimage else { return Ok(()) };
    let hashed = preimage(event)?;
    if shown.as_bytes() == hashed || hex::decode(&**shown).is_ok_and(|bytes| bytes == hashed) {
        Ok(())
    } else {
        Err(Refusal::EventLogDigestMismatch)
    }
}
