//! Types of the local API's events (`spec/events.md`): a question, and the lines that answer it for as long as somebody listens.

use std::fmt::Write as _;

use bytes::BytesMut;
use freehold_primitives::{Account, Digest, Height, UnixSeconds};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    hexed::BareHex,
    http_client::{HttpBody, HttpError},
    local::{HeaderReference, LocalErrorBody},
};

/// Most values of one part of a filter.
pub const EVENTS_VALUES_MAX: usize = 16;
/// Longest line that a client reads, in bytes: all that a block full of logs can hold.
const LINE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// `GET /freehold/v1/events`: which events are wanted. An empty part matches everything; one that matches nothing at all but
/// would match everything is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsAsk {
    /// First height that is looked at; the next block where it is not named.
    pub from: Option<Height>,
    /// Contracts.
    pub addresses: Vec<Account>,
    /// What may stand at each topic.
    pub topics: [Vec<Digest>; 4],
    /// Whether the app's own life is told too.
    pub life: LifeChoice,
}

/// Whether the app's own life is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LifeChoice {
    /// Logs alone.
    #[default]
    Untold,
    /// Told.
    Told,
}

impl EventsAsk {
    /// The path with its query.
    pub fn path(&self) -> String {
        let mut path = "/freehold/v1/events?".to_owned();
        if let Some(from) = self.from {
            let _ = write!(path, "from={from}&");
        }
        if !self.addresses.is_empty() {
            let _ = write!(path, "address={}&", joined(&self.addresses));
        }
        for (place, values) in self.topics.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
            let _ = write!(path, "topic{place}={}&", joined(values));
        }
        let life = self.life == LifeChoice::Told;
        let _ = write!(path, "life={life}");
        path
    }
}

fn joined(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// One line: everything that was asked for up to and with this header has been told. A listener that is cut off asks again
/// from the height after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsTold {
    /// A certified header.
    pub header: HeaderReference,
    /// Logs of this very block, in order; empty where the line only says how far the listener has come.
    pub logs: Vec<EventLog>,
    /// What happened to the app in this very block, in order.
    pub life: Vec<LifeEvent>,
}

/// A log of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLog {
    /// The contract.
    pub address: Account,
    /// At most four.
    pub topics: Vec<Digest>,
    /// What else it says.
    pub data: BareHex,
    /// Hash of the transaction.
    pub transaction_hash: Digest,
    /// Place of the log in its block, from 0.
    pub log_index: u64,
}

/// What happened to the app on the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LifeEvent {
    /// An instance was registered.
    InstanceRegistered {
        /// Which.
        instance_id: Digest,
        /// Its account.
        account: Account,
        /// End of its lease.
        expires_at: UnixSeconds,
    },
    /// An instance was closed.
    InstanceClosed {
        /// Which.
        instance_id: Digest,
        /// Why (`spec/entries.md`).
        code: u8,
    },
    /// The policy has a new version.
    Upgraded {
        /// Its number.
        version: u32,
    },
    /// The owner changed settings.
    SettingsChanged {
        /// Generation of the settings.
        generation: u64,
    },
    /// A key has a new generation.
    KeyRotated {
        /// Context of the key.
        context: String,
        /// The new generation.
        generation: u32,
        /// Until when the one before is served.
        previous_until: UnixSeconds,
    },
    /// The app trusts a subject no more.
    Denied {
        /// Kind of the subject (`spec/apps.md` §7).
        subject_kind: u8,
        /// The subject.
        subject: BareHex,
    },
    /// The app has another owner.
    OwnerChanged {
        /// Who.
        owner: Account,
    },
    /// The app was closed.
    AppClosed,
}

/// A line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventLine {
    /// Events, or how far the listener has come.
    Told(EventsTold),
    /// Why the stream ends.
    Ended(LocalErrorBody),
}

/// The lines of one subscription, as they come.
#[derive(Debug)]
pub struct EventStream {
    body: HttpBody,
    rest: BytesMut,
}

impl EventStream {
    pub(crate) fn new(body: HttpBody) -> Self {
        Self { body, rest: BytesMut::new() }
    }

    /// The next line; `None` where the guest ends the stream. Not to be dropped while it waits: what it has read is lost then.
    ///
    /// # Errors
    /// [`HttpError::Timeout`], [`HttpError::Broken`], [`HttpError::TooLarge`], [`HttpError::Malformed`].
    pub async fn next(&mut self) -> Result<Option<EventLine>, HttpError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                let endpoint = self.body.endpoint().clone();
                // Read in two steps, so that what is wrong with a line is told in its own words.
                let line = serde_json::from_slice(&line).and_then(|value: Value| {
                    let is_end = value.get("error").is_some();
                    if is_end {
                        serde_json::from_value(value).map(EventLine::Ended)
                    } else {
                        serde_json::from_value(value).map(EventLine::Told)
                    }
                });
                return line.map(Some).map_err(|source| HttpError::Malformed { endpoint, source });
            }
            if self.rest.len() > LINE_BYTES_MAX {
                return Err(HttpError::TooLarge { endpoint: self.body.endpoint().clone(), bound: LINE_BYTES_MAX });
            }
            match self.body.next().await? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}
