//! Frames: seven bytes of header and a payload whose length fits its kind. Numbers are big-endian.

use super::{LinkError, LinkService, VM_FRAME_BYTES_MAX, VM_STREAM_WINDOW};

/// Bytes of a header: kind, stream, length.
pub(super) const HEADER_BYTES: usize = 7;

/// What a frame says of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// It begins; the payload is the service, one byte.
    Open = 1,
    /// Bytes of it, at least one.
    Data = 2,
    /// This end sends no more.
    End = 3,
    /// It is over, both ways.
    Reset = 4,
    /// The peer may send so many bytes more, a `u32` from 1 to the window.
    Credit = 5,
}

/// A header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) stream: u32,
    pub(super) length: usize,
}

impl Header {
    /// Reads a header. What its kind cannot have is refused before a byte of the payload is read.
    pub(super) fn read(bytes: [u8; HEADER_BYTES]) -> Result<Self, LinkError> {
        let [kind, a, b, c, d, e, f] = bytes;
        let refused = LinkError::Frame(kind);
        let length = usize::from(u16::from_be_bytes([e, f]));
        let kinds = [Kind::Open, Kind::Data, Kind::End, Kind::Reset, Kind::Credit];
        let Some(kind) = kinds.into_iter().find(|known| *known as u8 == kind) else { return Err(refused) };
        let fits = match kind {
            Kind::Open => length == 1,
            Kind::Data => (1..=VM_FRAME_BYTES_MAX).contains(&length),
            Kind::End | Kind::Reset => length == 0,
            Kind::Credit => length == 4,
        };
        if fits { Ok(Self { kind, stream: u32::from_be_bytes([a, b, c, d]), length }) } else { Err(refused) }
    }
}

/// Reads the payload of a credit.
pub(super) fn credit(payload: &[u8]) -> Result<u32, LinkError> {
    let bytes = payload.try_into().map_err(|_| LinkError::Frame(Kind::Credit as u8))?;
    let credit = u32::from_be_bytes(bytes);
    if (1..=VM_STREAM_WINDOW).contains(&credit) { Ok(credit) } else { Err(LinkError::Frame(Kind::Credit as u8)) }
}

/// A frame's bytes. The payload is at most [`VM_FRAME_BYTES_MAX`] bytes.
pub(super) fn frame(kind: Kind, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a payload is at most VM_FRAME_BYTES_MAX bytes");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.push(kind as u8);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The frame that opens a stream.
pub(super) fn open_frame(stream: u32, service: LinkService) -> Vec<u8> {
    frame(Kind::Open, stream, &[service as u8])
}
