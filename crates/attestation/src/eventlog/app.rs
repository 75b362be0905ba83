//! What app-level events say, and which of them count as the boot's.
//!
//! Rule of order: the boot ends with the one event `system-ready`. Anything that runs later can extend RTMR3 by any
//! name, so an event behind it is never taken for a boot event, and neither is any event of a log without that mark.

use serde::Deserialize;

use super::runtime::{AppEvent, RuntimeLog};
use crate::refusal::Refusal;

/// Name of the event that ends the boot.
pub const SYSTEM_READY: &str = "system-ready";

/// Who gave the guest its keys, as dstack names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyProvider {
    /// `kms`, `local-sgx`, `none`, …
    pub name: String,
    /// Its public key or measurement, in hex.
    pub id: String,
}

/// What an app-level event says by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppFact {
    /// The guest begins to set itself up.
    SystemPreparing,
    /// The app's id.
    AppId([u8; 20]),
    /// SHA-256 of the app's composition.
    ComposeHash([u8; 32]),
    /// The instance's id; none where the app asked for none.
    InstanceId(Option<[u8; 20]>),
    /// Everything that decides about keys is measured.
    BootMrDone,
    /// Measurement of the key service that served this guest.
    MrKms([u8; 32]),
    /// Digest of the operating system's image.
    OsImageHash([u8; 32]),
    /// Digest of the root file system, in older images.
    RootfsHash([u8; 32]),
    /// Digest of a script that ran before the app.
    InitScriptHash(Vec<u8>),
    /// Who gave the keys.
    KeyProvider(KeyProvider),
    /// File system of the app's storage.
    StorageFs(String),
    /// Digest of the policy that its GPUs met.
    GpuPolicyHash(Vec<u8>),
    /// Evidence of its GPUs, or a digest of it.
    GpuAttestation(Vec<u8>),
    /// A Freehold app image, its canonical document (`spec/evidence.md` §3).
    FreeholdApp(Vec<u8>),
    /// The boot is over.
    SystemReady,
    /// Another name, with its payload.
    Other(String, Vec<u8>),
}

impl AppFact {
    /// Reads an event by its name.
    ///
    /// # Errors
    /// [`Refusal::EventLogEvent`] where the payload is not what the name demands.
    pub fn read(event: &AppEvent) -> Result<Self, Refusal> {
        let payload = event.payload.as_slice();
        let fixed = |fact: Self| if payload.is_empty() { Ok(fact) } else { Err(Refusal::EventLogEvent) };
        match event.name.as_str() {
            "system-preparing" => fixed(Self::SystemPreparing),
            "boot-mr-done" => fixed(Self::BootMrDone),
            SYSTEM_READY => fixed(Self::SystemReady),
            "app-id" => bytes(payload).map(Self::AppId),
            "compose-hash" => bytes(payload).map(Self::ComposeHash),
            "instance-id" if payload.is_empty() => Ok(Self::InstanceId(None)),
            "instance-id" => bytes(payload).map(|id| Self::InstanceId(Some(id))),
            "mr-kms" => bytes(payload).map(Self::MrKms),
            "os-image-hash" => bytes(payload).map(Self::OsImageHash),
            "rootfs-hash" => bytes(payload).map(Self::RootfsHash),
            "init-script-hash" => Ok(Self::InitScriptHash(payload.to_vec())),
            "key-provider" => {
                serde_json::from_slice(payload).map(Self::KeyProvider).map_err(|_| Refusal::EventLogEvent)
            }
            "storage-fs" => {
                String::from_utf8(payload.to_vec()).map(Self::StorageFs).map_err(|_| Refusal::EventLogEvent)
            }
            "gpu-policy-hash" => Ok(Self::GpuPolicyHash(payload.to_vec())),
            "gpu-attestation" => Ok(Self::GpuAttestation(payload.to_vec())),
            super::runtime::FREEHOLD_APP => Ok(Self::FreeholdApp(payload.to_vec())),
            name => Ok(Self::Other(name.to_owned(), payload.to_vec())),
        }
    }

    /// Whether a boot may log it more than once: scripts and GPUs are several, and other names are not ours to judge.
    const fn may_repeat(&self) -> bool {
        matches!(self, Self::InitScriptHash(_) | Self::GpuAttestation(_) | Self::Other(..))
    }
}

fn bytes<const N: usize>(payload: &[u8]) -> Result<[u8; N], Refusal> {
    payload.try_into().map_err(|_| Refusal::EventLogEvent)
}

/// The boot's events, typed, and those behind it, as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEvents {
    facts: Vec<AppFact>,
    late: Vec<AppEvent>,
}

impl BootEvents {
    /// Splits a log at `system-ready`. The caller must have found the log's RTMR3 in verified evidence
    /// ([`Rtmrs::require`](super::Rtmrs::require)); without that, nothing of this is so.
    ///
    /// # Errors
    /// [`Refusal::PolicyEventMissing`] without `system-ready`, [`Refusal::PolicyEventRepeated`] for a second one or for
    /// a name twice in the boot, [`Refusal::EventLogEvent`] for a payload that its name forbids.
    pub fn read(log: &RuntimeLog) -> Result<Self, Refusal> {
        let mut facts: Vec<AppFact> = Vec::new();
        let mut late = Vec::new();
        let mut ready = false;
        for event in log.app_events() {
            if ready {
                if event.name == SYSTEM_READY {
                    return Err(Refusal::PolicyEventRepeated);
                }
                late.push(event.clone());
                continue;
            }
            let fact = AppFact::read(event)?;
            let is_same = |known: &AppFact| core::mem::discriminant(known) == core::mem::discriminant(&fact);
            if !fact.may_repeat() && facts.iter().any(is_same) {
                return Err(Refusal::PolicyEventRepeated);
            }
            ready = fact == AppFact::SystemReady;
            facts.push(fact);
        }
        if ready { Ok(Self { facts, late }) } else { Err(Refusal::PolicyEventMissing) }
    }

    /// The boot's events in order; the last is [`AppFact::SystemReady`].
    pub fn facts(&self) -> &[AppFact] {
        &self.facts
    }

    /// What was logged after the boot: names here mean nothing but what the app means by them.
    pub fn late(&self) -> &[AppEvent] {
        &self.late
    }

    /// Demands that the boot measured this composition.
    ///
    /// # Errors
    /// [`Refusal::PolicyEventMissing`], [`Refusal::PolicyEventLate`] where only a later event claims one,
    /// [`Refusal::PolicyEventValue`] for another.
    pub fn require_compose_hash(&self, accepted: &[[u8; 32]]) -> Result<(), Refusal> {
        let found = self.facts.iter().find_map(|fact| match fact {
            AppFact::ComposeHash(hash) => Some(hash),
            _ => None,
        });
        self.require(found, accepted, "compose-hash")
    }

    /// Demands that the boot named this app.
    ///
    /// # Errors
    /// As [`Self::require_compose_hash`].
    pub fn require_app_id(&self, accepted: &[[u8; 20]]) -> Result<(), Refusal> {
        let found = self.facts.iter().find_map(|fact| match fact {
            AppFact::AppId(id) => Some(id),
            _ => None,
        });
        self.require(found, accepted, "app-id")
    }

    fn require<T: PartialEq>(&self, found: Option<&T>, accepted: &[T], name: &str) -> Result<(), Refusal> {
        match found {
            Some(value) if accepted.contains(value) => Ok(()),
            Some(_) => Err(Refusal::PolicyEventValue),
            None if self.late.iter().any(|event| event.name == name) => Err(Refusal::PolicyEventLate),
            None => Err(Refusal::PolicyEventMissing),
        }
    }
}
