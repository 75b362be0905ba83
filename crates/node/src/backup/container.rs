//! The file of a backup (`spec/backup.md`): a head in the open, then one sealed stream of bytes.
//!
//! Sealing is `freehold_crypto`'s HPKE, frame by frame in one sequence: a frame that was changed, moved or left out does not
//! open. Nothing marks the end; who reads knows the stream's length from its beginning, and checks that nothing follows.

use std::io::{Read, Write};

use freehold_crypto::{HpkeSecret, PASSPHRASE_SALT_BYTES, RequestOpener, RequestSealer, passphrase_key};
use freehold_primitives::X25519Key;
use rand::rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::BackupError;

/// Opens every backup; the last byte is the version.
const MAGIC: &[u8; 16] = b"freehold backup\x01";
/// Bytes of the head: magic, how it is sealed, salt, encapsulated key.
const HEAD_BYTES: usize = MAGIC.len() + 1 + PASSPHRASE_SALT_BYTES + 32;
const TO_RECIPIENT: u8 = 1;
const TO_PASSPHRASE: u8 = 2;
/// Plain bytes of a frame.
const CHUNK_BYTES: usize = 64 * 1024;
/// Sealed bytes of a frame at most: the chunk and its tag.
const FRAME_BYTES_MAX: usize = CHUNK_BYTES + 16;

/// Whom a backup is sealed to.
pub enum Sealing<'a> {
    /// Whoever knows this passphrase.
    Passphrase(&'a [u8]),
    /// Whoever holds the secret of this key.
    Recipient(X25519Key),
}

/// What opens a backup.
pub enum Opening<'a> {
    /// The passphrase.
    Passphrase(&'a [u8]),
    /// The recipient's secret.
    Secret(&'a HpkeSecret),
}

/// Seals a stream of bytes into a file.
pub(super) struct Sealer<W> {
    out: W,
    sealer: RequestSealer,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(mut out: W, sealing: &Sealing<'_>, rng: &mut impl CryptoRng) -> Result<Self, BackupError> {
        let mut salt = [0; PASSPHRASE_SALT_BYTES];
        let (way, key) = match sealing {
            Sealing::Recipient(key) => (TO_RECIPIENT, *key),
            Sealing::Passphrase(passphrase) => {
                rng.fill_bytes(&mut salt);
                (TO_PASSPHRASE, passphrase_key(passphrase, &salt).ok_or(BackupError::Passphrase)?.public())
            }
        };
        let sealer = RequestSealer::new(&key, rng).map_err(|_| BackupError::Recipient)?;
        let head = [MAGIC.as_slice(), &[way], &salt, sealer.encapsulated_key()].concat();
        out.write_all(&head)?;
        Ok(Self { out, sealer, chunk: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)) })
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), BackupError> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = rest;
            if self.chunk.len() == CHUNK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and gives the file back.
    pub(super) fn finish(mut self) -> Result<W, BackupError> {
        self.flush()?;
        Ok(self.out)
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        let frame = self.sealer.seal(&self.chunk).map_err(|_| BackupError::TooLong)?;
        self.out.write_all(&frame)?;
        // Wipes and empties it.
        self.chunk.zeroize();
        Ok(())
    }
}

/// Opens such a file.
pub(super) struct Opener<R> {
    from: R,
    opener: RequestOpener,
    chunk: Zeroizing<Vec<u8>>,
    at: usize,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(mut from: R, opening: &Opening<'_>) -> Result<Self, BackupError> {
        let mut head = [0; HEAD_BYTES];
        from.read_exact(&mut head).map_err(|_| BackupError::NoBackup)?;
        let (magic, rest) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(BackupError::NoBackup);
        }
        let (way, rest) = (rest[0], &rest[1..]);
        let (salt, encapsulated) = rest.split_at(PASSPHRASE_SALT_BYTES);
        let salt = salt.try_into().map_err(|_| BackupError::NoBackup)?;
        let encapsulated = encapsulated.try_into().map_err(|_| BackupError::NoBackup)?;
        let opener = match (way, opening) {
            (TO_PASSPHRASE, Opening::Passphrase(passphrase)) => {
                let secret = passphrase_key(passphrase, salt).ok_or(BackupError::Passphrase)?;
                RequestOpener::new(&secret, encapsulated)
            }
            (TO_RECIPIENT, Opening::Secret(secret)) => RequestOpener::new(secret, encapsulated),
            (TO_PASSPHRASE, _) => return Err(BackupError::NeedsPassphrase),
            (TO_RECIPIENT, _) => return Err(BackupError::NeedsSecret),
            _ => return Err(BackupError::NoBackup),
        };
        let opener = opener.map_err(|_| BackupError::Sealed)?;
        Ok(Self { from, opener, chunk: Zeroizing::default(), at: 0 })
    }

    /// Fills `out` from the stream.
    pub(super) fn take(&mut self, mut out: &mut [u8]) -> Result<(), BackupError> {
        while !out.is_empty() {
            if self.at == self.chunk.len() {
                self.next()?;
            }
            let ready = &self.chunk[self.at..];
            let length = ready.len().min(out.len());
            let (now, rest) = out.split_at_mut(length);
            now.copy_from_slice(&ready[..length]);
            self.at += length;
            out = rest;
        }
        Ok(())
    }

    /// Checks that nothing follows.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        let ends = self.at == self.chunk.len() && self.from.read(&mut [0])? == 0;
        if ends { Ok(()) } else { Err(BackupError::Sealed) }
    }

    fn next(&mut self) -> Result<(), BackupError> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length).map_err(|_| BackupError::Truncated)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > FRAME_BYTES_MAX {
            return Err(BackupError::Sealed);
        }
        let mut sealed = vec![0; length];
        self.from.read_exact(&mut sealed).map_err(|_| BackupError::Truncated)?;
        self.chunk = Zeroizing::new(self.opener.open(&sealed).map_err(|_| BackupError::Sealed)?);
        self.at = 0;
        Ok(())
    }
}
