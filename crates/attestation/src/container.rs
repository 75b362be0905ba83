//! Containers: the forms in which tools hand evidence and collateral around, brought down to what the verifiers take.
//!
//! Only tools read these; consensus never does, and a container vouches for nothing. Everything is bounded before it is
//! parsed, JSON repeats no name, and what is found is verified like any other evidence. `docs/attestation.md` lists the
//! forms.

mod binary;
mod endorsements;
mod intel;
mod json;
mod outline;
mod prepare;
mod text;

pub use self::{endorsements::Endorsements, outline::CertificateLine, prepare::Prepared};
use crate::{
    eventlog::{EVENT_LOG_BYTES_MAX, RuntimeLog},
    refusal::Refusal,
};

/// Longest container, in bytes. An event log alone may have [`EVENT_LOG_BYTES_MAX`].
pub const CONTAINER_BYTES_MAX: usize = 256 * 1024;
/// Most GPUs in one container.
pub const CONTAINER_GPUS_MAX: usize = 16;

macro_rules! formats {
    ($($(#[$meta:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What a container is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Format { $($(#[$meta])* $name),* }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in commands and outputs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The format of this name.
            pub fn of_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

formats! {
    /// Intel TDX.
    Tdx = "tdx",
    /// Intel SGX.
    Sgx = "sgx",
    /// AMD SEV-SNP.
    Snp = "snp",
    /// AWS Nitro.
    Nitro = "nitro",
    /// NVIDIA GPUs alone.
    Nvidia = "nvidia",
    /// A CPU TEE and its GPUs, the canonical document.
    Bundle = "bundle",
    /// An event log alone.
    EventLog = "eventlog",
}

/// Evidence of one GPU as a container holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuEvidence {
    /// The canonical document.
    Canonical(Vec<u8>),
    /// Report, and certificates in PEM where they came with it.
    Parts {
        /// SPDM request and response.
        report: Vec<u8>,
        /// PEM, leaf first.
        chain: Option<Vec<u8>>,
        /// The nonce that the container says was asked for.
        nonce: Option<[u8; 32]>,
    },
}

/// What a container holds. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Container {
    /// A quote of Intel's.
    Quote {
        /// TDX or SGX.
        format: Format,
        /// The quote, as it came.
        quote: Vec<u8>,
        /// The event log beside it.
        log: Option<RuntimeLog>,
        /// Collateral beside it.
        endorsements: Box<Endorsements>,
    },
    /// An SEV-SNP report.
    Snp {
        /// The report, as it came.
        report: Vec<u8>,
        /// The certificate of the key that signed it, where it came with it, DER.
        certificate: Option<Vec<u8>>,
    },
    /// A Nitro attestation document.
    Nitro(Vec<u8>),
    /// GPUs.
    Nvidia(Vec<GpuEvidence>),
    /// A canonical bundle.
    Bundle(Vec<u8>),
    /// An event log of the TCG's form.
    TcgLog(Vec<u8>),
    /// An event log of dstack's form.
    RuntimeLog(RuntimeLog),
}

impl Container {
    /// Reads a container. Without `stated` the bytes say what it is; with it they must be of that format, and bytes that
    /// say nothing are taken for it.
    ///
    /// # Errors
    /// [`Refusal::ContainerTooLong`], [`Refusal::ContainerFormat`], [`Refusal::ContainerJson`],
    /// [`Refusal::ContainerText`], [`Refusal::ContainerPart`], [`Refusal::KindMismatch`], and those of an event log in it.
    pub fn read(bytes: &[u8], stated: Option<Format>) -> Result<Self, Refusal> {
        if bytes.len() > EVENT_LOG_BYTES_MAX {
            return Err(Refusal::ContainerTooLong);
        }
        let found = match binary::read(bytes)? {
            Some(found) => Some(found),
            None if bytes.len() > CONTAINER_BYTES_MAX => return Err(Refusal::ContainerTooLong),
            None => text::read(bytes)?,
        };
        let found = match (found, stated) {
            (Some(found), _) => found,
            (None, Some(format)) => Self::of_format(format, text::decode(bytes).unwrap_or_else(|| bytes.to_vec()))?,
            (None, None) => return Err(Refusal::ContainerFormat),
        };
        if !matches!(found, Self::TcgLog(_)) && bytes.len() > CONTAINER_BYTES_MAX {
            return Err(Refusal::ContainerTooLong);
        }
        if stated.is_some_and(|format| format != found.format()) { Err(Refusal::KindMismatch) } else { Ok(found) }
    }

    /// Bytes that do not say what they are, taken for a format: its own verifier says what is wrong with them.
    fn of_format(format: Format, bytes: Vec<u8>) -> Result<Self, Refusal> {
        Ok(match format {
            Format::Tdx | Format::Sgx => Self::quote(format, bytes),
            Format::Snp => Self::Snp { report: bytes, certificate: None },
            Format::Nitro => Self::Nitro(bytes),
            Format::Nvidia => Self::Nvidia(vec![GpuEvidence::Parts { report: bytes, chain: None, nonce: None }]),
            Format::Bundle => Self::Bundle(bytes),
            Format::EventLog => Self::TcgLog(bytes),
        })
    }

    pub(crate) fn quote(format: Format, quote: Vec<u8>) -> Self {
        Self::Quote { format, quote, log: None, endorsements: Box::default() }
    }

    /// What it is about.
    pub const fn format(&self) -> Format {
        match self {
            Self::Quote { format, .. } => *format,
            Self::Snp { .. } => Format::Snp,
            Self::Nitro(_) => Format::Nitro,
            Self::Nvidia(_) => Format::Nvidia,
            Self::Bundle(_) => Format::Bundle,
            Self::TcgLog(_) | Self::RuntimeLog(_) => Format::EventLog,
        }
    }
}

#[cfg(test)]
mod tests;
