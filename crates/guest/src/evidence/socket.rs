//! Evidence over a UNIX socket (`spec/evidence.md` §4): the emulator's protocol, shaped like configfs.
//!
//! On connecting, the server names its provider. Each request is 64 bytes; each answer a `u64` generation, then the
//! evidence and what the host gives beside it, each behind its `u32` length, big-endian. The first exchange of a
//! connection only learns the generation.

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
    auxblob: Vec<u8>,
}

/// One answer.
struct Answer {
    generation: u64,
    outblob: Vec<u8>,
    auxblob: Vec<u8>,
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
            auxblob: Vec::new(),
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
        self.generation = exchange(&mut connection, &[0; 64])?.generation;
        self.connection = Some(connection);
        Ok(())
    }
}

fn exchange(connection: &mut UnixStream, report_data: &[u8; 64]) -> Result<Answer, EvidenceError> {
    connection.write_all(report_data)?;
    let mut generation = [0; 8];
    connection.read_exact(&mut generation)?;
    let outblob = read_part(connection)?;
    if outblob.is_empty() {
        return Err(EvidenceError::Length(0));
    }
    let auxblob = read_part(connection)?;
    Ok(Answer { generation: u64::from_be_bytes(generation), outblob, auxblob })
}

fn read_part(connection: &mut UnixStream) -> Result<Vec<u8>, EvidenceError> {
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > OUTBLOB_BYTES_MAX {
        return Err(EvidenceError::Length(length));
    }
    let mut part = vec![0; length];
    connection.read_exact(&mut part)?;
    Ok(part)
}

impl EvidenceSource for SocketSource {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        let mut connection = self.connection.take().ok_or(io::ErrorKind::NotConnected).map_err(io::Error::from)?;
        let answer = exchange(&mut connection, report_data)?;
        (self.generation, self.outblob, self.auxblob) = (answer.generation, answer.outblob, answer.auxblob);
        // Kept only after a whole exchange: one that broke off may have bytes of an old answer under way.
        self.connection = Some(connection);
        Ok(())
    }

    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        Ok(std::mem::take(&mut self.outblob))
    }

    fn read_auxblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        Ok(std::mem::take(&mut self.auxblob))
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
