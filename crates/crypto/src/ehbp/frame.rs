//! Frames of an encrypted body: a length (u32, big-endian), then that many bytes of ciphertext.

use super::EhbpError;

/// Longest ciphertext in a frame: 4 MiB.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A ciphertext with its length before it.
///
/// # Errors
/// [`EhbpError::FrameTooLong`] above [`FRAME_BYTES_MAX`].
pub fn frame(ciphertext: &[u8]) -> Result<Vec<u8>, EhbpError> {
    let too_long = EhbpError::FrameTooLong { length: ciphertext.len(), bound: FRAME_BYTES_MAX };
    match u32::try_from(ciphertext.len()) {
        Ok(length) if ciphertext.len() <= FRAME_BYTES_MAX => Ok([length.to_be_bytes().as_slice(), ciphertext].concat()),
        _ => Err(too_long),
    }
}

/// Cuts a byte stream, in whatever pieces it arrives, into frames. It holds at most one frame and the newest piece.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    bound: usize,
}

impl FrameReader {
    /// A reader that refuses ciphertexts above `bound` bytes (and above [`FRAME_BYTES_MAX`]).
    pub fn new(bound: usize) -> Self {
        Self { buffer: Vec::new(), bound: bound.min(FRAME_BYTES_MAX) }
    }

    /// Takes a piece of the stream and gives the frames that are now complete, empty ones left out.
    ///
    /// # Errors
    /// [`EhbpError::FrameTooLong`]; the stream is then lost.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, EhbpError> {
        self.buffer.extend_from_slice(piece);
        let mut frames = Vec::new();
        let mut rest = self.buffer.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > self.bound {
                return Err(EhbpError::FrameTooLong { length, bound: self.bound });
            }
            let Some((content, after)) = tail.split_at_checked(length) else { break };
            if !content.is_empty() {
                frames.push(content.to_vec());
            }
            rest = after;
        }
        let consumed = self.buffer.len() - rest.len();
        self.buffer.drain(..consumed);
        Ok(frames)
    }

    /// Checks that the stream ended between two frames.
    ///
    /// # Errors
    /// [`EhbpError::Truncated`].
    pub const fn finish(&self) -> Result<(), EhbpError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(EhbpError::Truncated) }
    }
}
