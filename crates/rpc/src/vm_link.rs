//! The link between a host and the agent in its VM: many streams over one pair of pipes, a port of virtio-serial
//! (`spec/vm-image.md` §8).
//!
//! Each end takes the other for hostile. Invariant: whatever arrives, memory stays within the credit that was given and the
//! streams that may be, nothing panics, and the first byte that breaks a rule ends the whole link with a typed error. What
//! the streams carry is checked by whoever reads it; here it is bytes.

mod frame;
mod run;
mod stream;
mod table;

#[cfg(test)]
mod tests;

use std::io;

use thiserror::Error;

pub use self::{
    run::{StartedLink, VmLink},
    stream::{AskedStream, LinkReader, LinkStream, LinkWriter, relay},
};

/// Name of the port in the VM.
pub const VM_LINK_PORT: &str = "freehold.link";
/// What each end says first.
pub const VM_LINK_PREFACE: &[u8; 16] = b"freehold vm 1\n\0\0";
/// Most bytes of a frame's payload.
pub const VM_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Bytes that one side of a stream may have under way.
pub const VM_STREAM_WINDOW: u32 = 64 * 1024;
/// Most streams that an end opens; its peer bears twice as many, since their ends may still be under way.
pub const VM_STREAMS_MAX: usize = 256;

/// Which end of the link this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// Outside of the VM; its streams have even numbers.
    Host,
    /// The agent in the VM; its streams have odd numbers.
    Guest,
}

impl LinkEnd {
    const fn peer(self) -> Self {
        match self {
            Self::Host => Self::Guest,
            Self::Guest => Self::Host,
        }
    }

    /// Whether streams of this number are its own.
    const fn owns(self, stream: u32) -> bool {
        stream.is_multiple_of(2) == matches!(self, Self::Host)
    }
}

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LinkService {
    /// The guest reads its configuration, a JSON document.
    Config = 1,
    /// The host's relay to a node.
    Chain = 2,
    /// The host's control channel.
    Control = 3,
    /// The emulator's evidence, where there is no TEE.
    Evidence = 4,
    /// A connection to the app's own socket.
    App = 5,
    /// The host reads the agent's health, a JSON document.
    Health = 6,
    /// The host asks the agent to end.
    Stop = 7,
    /// A TLS connection to the instance, which ends in the agent.
    Tls = 8,
    /// The host's gate to the outside.
    Egress = 9,
}

impl LinkService {
    const ALL: [Self; 9] = [
        Self::Config,
        Self::Chain,
        Self::Control,
        Self::Evidence,
        Self::App,
        Self::Health,
        Self::Stop,
        Self::Tls,
        Self::Egress,
    ];

    /// Who opens streams of it.
    pub const fn asked_by(self) -> LinkEnd {
        match self {
            Self::Config | Self::Chain | Self::Control | Self::Evidence | Self::Egress => LinkEnd::Guest,
            Self::App | Self::Health | Self::Stop | Self::Tls => LinkEnd::Host,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|service| *service as u8 == byte)
    }
}

/// Why a link ended. Every one but [`LinkError::Closed`] and [`LinkError::Io`] is the peer's fault.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The other end closed the pipe.
    #[error("the other end of the VM's link is gone")]
    Closed,
    /// The pipe failed.
    #[error("the VM's link failed: {0}")]
    Io(#[from] io::Error),
    /// The first bytes are no preface of this version.
    #[error("the other end of the VM's link speaks something else (code 40)")]
    Preface,
    /// A frame has an unknown kind, or a payload that its kind does not have.
    #[error("the other end of the VM's link sent a malformed frame of kind {0} (code 41)")]
    Frame(u8),
    /// A stream was opened out of order, or a frame is of one that was never opened.
    #[error("the other end of the VM's link used stream {0} against the rules (code 42)")]
    Stream(u32),
    /// A service does not exist, or is not for that end to ask for.
    #[error("the other end of the VM's link asked for service {0}, which is not its to ask for (code 43)")]
    Service(u8),
    /// More data than there was credit for, or more credit than may be.
    #[error("the other end of the VM's link exceeded the credit of stream {0} (code 44)")]
    Credit(u32),
    /// Too many streams, or too many answers that it does not read.
    #[error("the other end of the VM's link floods it (code 45)")]
    Flood,
}

impl LinkError {
    /// Stable code, where the peer broke a rule.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Closed | Self::Io(_) => None,
            Self::Preface => Some(40),
            Self::Frame(_) => Some(41),
            Self::Stream(_) => Some(42),
            Self::Service(_) => Some(43),
            Self::Credit(_) => Some(44),
            Self::Flood => Some(45),
        }
    }
}
