//! Events that the app emits. In dstack they extend RTMR3; here that register is the app's identity, which its policy
//! names, so they extend a register of the guest's own, and the receipt key signs it beside each quote.
//!
//! Lives as long as the boot, as a hardware register does; bounded.

use freehold_attestation::{AppEvent, DigestRule, app_event_digest, extended};
use freehold_crypto::Ed25519Secret;
use freehold_primitives::Register;
use freehold_rpc::EventLogEntry;

use super::DstackError;

/// Type of an app's event in a runtime log.
const EVENT_TYPE: u32 = 0x0800_0001;
/// Register that no TD has.
pub(super) const EVENT_REGISTER: u32 = 4;
/// Most events of one boot.
const EVENTS_MAX: usize = 256;
/// Longest name and payload, in bytes.
const NAME_BYTES_MAX: usize = 128;
const PAYLOAD_BYTES_MAX: usize = 1024;
/// What the receipt key's signature over the register begins with.
const SIGNED_DOMAIN: &[u8] = b"freehold event register\n";

/// What was emitted.
pub(crate) struct EmittedEvents {
    register: Register,
    events: Vec<EventLogEntry>,
}

impl Default for EmittedEvents {
    fn default() -> Self {
        Self { register: Register([0; 48]), events: Vec::new() }
    }
}

impl EmittedEvents {
    /// Adds one.
    pub(crate) fn emit(&mut self, name: String, payload: Vec<u8>) -> Result<(), DstackError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || payload.len() > PAYLOAD_BYTES_MAX {
            return Err(DstackError::EventLength { name: NAME_BYTES_MAX, payload: PAYLOAD_BYTES_MAX });
        }
        if self.events.len() >= EVENTS_MAX {
            return Err(DstackError::EventsFull(EVENTS_MAX));
        }
        let event = AppEvent { name, payload, rule: DigestRule::Version1 };
        let digest = app_event_digest(&event).map_err(|_| DstackError::Unreadable)?;
        self.register = extended(&self.register, &digest.0);
        self.events.push(EventLogEntry {
            imr: EVENT_REGISTER,
            event_type: EVENT_TYPE,
            digest: digest.to_string(),
            event: event.name,
            event_payload: hex::encode(event.payload),
        });
        Ok(())
    }

    /// All of them, oldest first.
    pub(crate) fn events(&self) -> &[EventLogEntry] {
        &self.events
    }

    /// The register that they extended, from zeros.
    pub(crate) const fn register(&self) -> &Register {
        &self.register
    }

    /// Signature of the receipt key over the register, for the quote with this report data.
    pub(crate) fn sign(&self, key: &Ed25519Secret, report_data: &[u8; 64]) -> [u8; 64] {
        key.sign(&[SIGNED_DOMAIN, report_data, &self.register.0].concat())
    }
}
