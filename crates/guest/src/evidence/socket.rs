//! Evidence over a UNIX socket (`spec/evidence.md` §4): the emulator's protocol, shaped like configfs.
//!
//! On connecting, the server names its provider. Each request is 64 bytes; each answer a `u64` generation, a `u32`
//! length and the quote, big-endian. The first exchange of a connection only learns the generation.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{EvidenceError, EvidenceSource, OUTBLOB_BYTES_MAX};

/// Longest wait for the source.
const WAIT: Duration = Duration::from_secs(10);
/// Longest provider name, in bytes.
const PROVIDER_BYTES_MAX: u8 = 64;

/// A source behind a socket; a broken connection is opened anew by the next write.
pub struct SocketSource {
    path: PathBuf,
    provider: String,
    connection: Option<UnixStream>,
    generation: u64,
    outblob: Vec<u8>,
}

impl SocketSource {
    /// Connects, learns the provider's name and the generation.
    ///
    /// # Errors
    /// [`EvidenceError::Source`], [`EvidenceError::Provider`], [`EvidenceError::Length`].
    pub fn connect(path: &Path) -> Result<Self, EvidenceError> {
        let mut source = Self {
            path: path.to_owned(),
            provider: String::new(),
            connection: None,
            generation: 0,
            outblob: Vec::new(),
        };
        source.open()?;
        Ok(source)
    }

    fn open(&mut self) -> Result<(), EvidenceError> {
        let mut connection = UnixStream::connect(&self.path)?;
        connection.set_read_timeout(Some(WAIT))?;
        connection.set_write_timeout(Some(WAIT))?;
        let mut length = [0];
        connection.read_exact(&mut length)?;
        if length[0] == 0 || length[0] > PROVIDER_BYTES_MAX {
            return Err(EvidenceError::Provider);
        }
        let mut name = vec![0; usize::from(length[0])];
        connection.read_exact(&mut name)?;
        let plain = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        self.provider = String::from_utf8(name).ok().filter(|_| plain).ok_or(EvidenceError::Provider)?;
        (self.generation, _) = exchange(&mut connection, &[0; 64])?;
        self.connection = Some(connection);
        Ok(())
    }
}

fn exchange(connection: &mut UnixStream, report_data: &[u8; 64]) -> Result<(u64, Vec<u8>), EvidenceError> {
    connection.write_all(report_data)?;
    let mut head = [0; 12];
    connection.read_exact(&mut head)?;
    let mut generation = [0; 8];
    let mut length = [0; 4];
    generation.copy_from_slice(&head[..8]);
    length.copy_from_slice(&head[8..]);
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > OUTBLOB_BYTES_MAX {
        return Err(EvidenceError::Length(length));
    }
    let mut quote = vec![0; length];
    connection.read_exact(&mut quote)?;
    Ok((u64::from_be_bytes(generation), quote))
}

impl EvidenceSource for SocketSource {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        let mut connection = self.connection.take().ok_or(io::ErrorKind::NotConnected).map_err(io::Error::from)?;
        (self.generation, self.outblob) = exchange(&mut connection, report_data)?;
        // Kept only after a whole exchange: one that broke off may have bytes of an old answer under way.
        self.connection = Some(connection);
        Ok(())
    }

    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        Ok(std::mem::take(&mut self.outblob))
    }

    fn generation(&mut self) -> Result<u64, EvidenceError> {
        if self.connection.is_none() {
            self.open()?;
        }
        Ok(self.generation)
    }

    fn provider(&self) -> &str {
        &self.provider
    }
}
