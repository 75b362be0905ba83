//! Replay: the registers that a log's digests give, and their comparison with those of evidence.
//!
//! To extend a register is to replace it by the hash of its old value and the digest (Intel TDX Module ABI,
//! TDG.MR.RTMR.EXTEND; TPM 2.0 Part 1 §17.3). RTMRs are SHA-384 and begin at zero.

use std::collections::BTreeMap;

use freehold_primitives::{Register, TdxMeasurement};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{
    names::NO_ACTION,
    tcg::{LogKind, SHA256, SHA384, SHA512, TcgEvent, TcgLog},
};
use crate::refusal::Refusal;

/// A runtime register of a TD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rtmr {
    /// Firmware configuration.
    Rtmr0,
    /// Kernel and boot path.
    Rtmr1,
    /// Command line and initrd.
    Rtmr2,
    /// The app's.
    Rtmr3,
}

impl Rtmr {
    /// All four, in order.
    pub const ALL: [Self; 4] = [Self::Rtmr0, Self::Rtmr1, Self::Rtmr2, Self::Rtmr3];

    /// The register with this number, from 0.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Rtmr0),
            1 => Some(Self::Rtmr1),
            2 => Some(Self::Rtmr2),
            3 => Some(Self::Rtmr3),
            _ => None,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtmr0 => "RTMR0",
            Self::Rtmr1 => "RTMR1",
            Self::Rtmr2 => "RTMR2",
            Self::Rtmr3 => "RTMR3",
        }
    }
}

/// The four runtime registers as a replay gives them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rtmrs([Register; 4]);

/// The value that a runtime register has after an extension.
pub fn extended(register: &Register, digest: &[u8; 48]) -> Register {
    Register(Sha384::new().chain_update(register.0).chain_update(digest).finalize().into())
}

/// One register, replayed and as evidence shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterCheck {
    /// Which.
    pub register: Rtmr,
    /// What the log gives.
    pub replayed: Register,
    /// What the evidence shows.
    pub shown: Register,
}

impl RegisterCheck {
    /// Whether the log explains the evidence.
    pub fn is_equal(&self) -> bool {
        self.replayed == self.shown
    }
}

impl Rtmrs {
    /// The value of a register.
    pub const fn get(&self, register: Rtmr) -> Register {
        self.0[register as usize]
    }

    /// Extends a register by a digest.
    pub fn extend(&mut self, register: Rtmr, digest: &[u8; 48]) {
        let place = &mut self.0[register as usize];
        *place = extended(place, digest);
    }

    /// Each register beside that of evidence.
    ///
    /// # Errors
    /// [`Refusal::EventLogMismatch`] where `shown` leaves a register out, as only a policy's measurement does.
    pub fn compare(&self, shown: &TdxMeasurement) -> Result<[RegisterCheck; 4], Refusal> {
        let shown = [shown.rtmr0, shown.rtmr1, shown.rtmr2, shown.rtmr3];
        let mut checks =
            Rtmr::ALL.map(|register| RegisterCheck { register, replayed: self.get(register), shown: Register::ZERO });
        for (check, register) in checks.iter_mut().zip(shown) {
            check.shown = register.ok_or(Refusal::EventLogMismatch)?;
        }
        Ok(checks)
    }

    /// Demands that these registers are those of evidence.
    ///
    /// # Errors
    /// [`Refusal::EventLogMismatch`].
    pub fn require(&self, shown: &TdxMeasurement, registers: &[Rtmr]) -> Result<(), Refusal> {
        let checks = self.compare(shown)?;
        let explained = registers.iter().all(|register| checks[*register as usize].is_equal());
        if explained { Ok(()) } else { Err(Refusal::EventLogMismatch) }
    }
}

/// A hash of a PCR bank that can be replayed here. SHA-1 cannot: it binds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Identifier in the TCG's registry.
    pub const fn id(self) -> u16 {
        match self {
            Self::Sha256 => SHA256,
            Self::Sha384 => SHA384,
            Self::Sha512 => SHA512,
        }
    }

    const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn extend(self, old: &[u8], digest: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::new().chain_update(old).chain_update(digest).finalize().to_vec(),
            Self::Sha384 => Sha384::new().chain_update(old).chain_update(digest).finalize().to_vec(),
            Self::Sha512 => Sha512::new().chain_update(old).chain_update(digest).finalize().to_vec(),
        }
    }
}

/// One bank of PCRs as a replay gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcrs {
    algorithm: HashAlgorithm,
    values: BTreeMap<u32, Vec<u8>>,
}

impl Pcrs {
    /// The bank's algorithm.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The value of a PCR that the log extends.
    pub fn get(&self, index: u32) -> Option<&[u8]> {
        self.values.get(&index).map(Vec::as_slice)
    }

    /// The PCRs that the log extends, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.values.iter().map(|(index, value)| (*index, value.as_slice()))
    }

    /// Demands that each of these PCRs has the value that a TPM shows.
    ///
    /// # Errors
    /// [`Refusal::EventLogMismatch`], also for a PCR that the log does not extend and that is not zero.
    pub fn require(&self, shown: &[(u32, &[u8])]) -> Result<(), Refusal> {
        let zero = vec![0; self.algorithm.digest_bytes()];
        let explained = shown.iter().all(|(index, value)| self.get(*index).unwrap_or(&zero) == *value);
        if explained { Ok(()) } else { Err(Refusal::EventLogMismatch) }
    }
}

/// Begin of the event that says from which locality the TPM was started (TCG PFP 1.06 §10.4.5.3).
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

impl TcgLog<'_> {
    /// The registers of a confidential guest that the log gives.
    ///
    /// # Errors
    /// [`Refusal::EventLogRegister`] for a TPM's log, [`Refusal::EventLogDigests`] for one without SHA-384.
    pub fn rtmrs(&self) -> Result<Rtmrs, Refusal> {
        if self.kind() != LogKind::ConfidentialGuest {
            return Err(Refusal::EventLogRegister);
        }
        let mut registers = Rtmrs::default();
        for event in self.events().iter().filter(|event| event.is_extended()) {
            let register = event.index.checked_sub(1).and_then(Rtmr::from_number).ok_or(Refusal::EventLogRegister)?;
            let digest = event.digest(SHA384).and_then(|digest| digest.try_into().ok());
            registers.extend(register, digest.ok_or(Refusal::EventLogDigests)?);
        }
        Ok(registers)
    }

    /// The PCRs that the log gives in one bank.
    ///
    /// # Errors
    /// [`Refusal::EventLogRegister`] for a confidential guest's log, [`Refusal::EventLogDigests`] for one without this
    /// bank, [`Refusal::EventLogEvent`] for a startup locality that is malformed, repeated or late.
    pub fn pcrs(&self, algorithm: HashAlgorithm) -> Result<Pcrs, Refusal> {
        if self.kind() != LogKind::Tpm {
            return Err(Refusal::EventLogRegister);
        }
        if !self.algorithm_ids().any(|id| id == algorithm.id()) {
            return Err(Refusal::EventLogDigests);
        }
        let zero = vec![0; algorithm.digest_bytes()];
        let mut values: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for event in self.events() {
            if let Some(locality) = startup_locality(event)? {
                let mut start = zero.clone();
                *start.last_mut().expect("a digest is not empty") = locality;
                if values.insert(0, start).is_some() {
                    return Err(Refusal::EventLogEvent);
                }
            } else if event.is_extended() {
                let digest = event.digest(algorithm.id()).ok_or(Refusal::EventLogDigests)?;
                let value = values.entry(event.index).or_insert_with(|| zero.clone());
                *value = algorithm.extend(value, digest);
            }
        }
        Ok(Pcrs { algorithm, values })
    }
}

/// The locality that PCR 0 begins with, where the event says one.
fn startup_locality(event: &TcgEvent<'_>) -> Result<Option<u8>, Refusal> {
    if event.event_type != NO_ACTION || event.index != 0 {
        return Ok(None);
    }
    match event.data.strip_prefix(STARTUP_LOCALITY) {
        None => Ok(None),
        Some([locality @ (0 | 3 | 4)]) => Ok(Some(*locality)),
        Some(_) => Err(Refusal::EventLogEvent),
    }
}
