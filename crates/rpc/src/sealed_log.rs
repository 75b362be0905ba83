//! An app's log, sealed to its owner line by line (`spec/logs.md`): who keeps or carries it reads nothing, and what is missing
//! shows.
//!
//! Each record names its session, its number there and the record before; all of that is authenticated. Sessions of several
//! services lie in one log. Not here: where records are kept, and what time it was.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use freehold_crypto::{AccountKey, DEOXYS_NONCE_BYTES, Deoxys, deoxys_shared_key, hash, hkdf_sha256, x25519_public};
use freehold_primitives::{AppId, Digest, X25519Key};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hexed::Base64Text;

/// What a line of an app's output begins with that is a sealed record.
pub const SEALED_LINE: &str = "freehold-sealed-log ";
/// Name of the public setting that holds the owner's key, 32 bytes in hex.
pub const LOG_KEY_SETTING: &str = "OWNER_LOG_KEY";
/// Variable with the name of the service whose lines are sealed, where an app has several.
pub const LOG_SERVICE_VARIABLE: &str = "FREEHOLD_LOG_SERVICE";
/// Longest piece of a line in one record, in bytes: sealed and in base64 it still is one line of a host's.
pub const LOG_LINE_BYTES_MAX: usize = 4 * 1024;

/// Longest name of a service, in bytes.
const SERVICE_BYTES_MAX: usize = 64;
/// Most sessions that are followed at once; of more, the one that was silent longest is forgotten.
const SESSIONS_MAX: usize = 1_024;
/// Domain of the keys of sessions.
const SESSION_DOMAIN: &[u8] = b"freehold log session v1";
/// Domain of owners' secrets.
const SECRET_DOMAIN: &[u8] = b"freehold log key v1";
/// Domain of the chain of records.
/// Domain of the secret of logs that everybody may read, in which there is nothing secret.
const PUBLIC_DOMAIN: &[u8] = b"freehold public log key v1";
const CHAIN_DOMAIN: &str = "freehold log record v1";
/// Version, session, number, record before.
const HEAD_BYTES: usize = 1 + 32 + 8 + 32;
/// Version of the form.
const VERSION: u8 = 1;

/// Where an app said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Seals the lines of one run of an app. No `Debug`: it holds a key.
pub struct LogSealer {
    key: Deoxys,
    session: [u8; 32],
    next: u64,
    previous: Digest,
    service: Option<Vec<u8>>,
}

/// What opens an app's log. No `Debug`.
pub struct LogSecret(Zeroizing<[u8; 32]>);

/// A record that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRecord {
    /// Which run of the app said it.
    pub session: [u8; 32],
    /// Its number in that run, from 0.
    pub number: u64,
    /// Digest of the record before in that run; zero for the first.
    pub previous: Digest,
    /// Its own digest.
    pub digest: Digest,
    /// Which service said it, where the app has several.
    pub service: Option<String>,
    /// Where it was said.
    pub source: LogSource,
    /// What was said.
    pub line: Vec<u8>,
}

/// Why a record does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is no record.
    #[error("it is no sealed record")]
    Malformed,
    /// It was sealed to another key, or changed.
    #[error("it was sealed to another key, or changed since")]
    Sealed,
}

/// What is missing before a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogGap {
    /// Records of the same run, so many.
    Missing(u64),
    /// The number follows, and the record before is another one than was seen.
    Replaced,
    /// The run's first records, so many.
    Beginning(u64),
}

/// Follows a log, and notices what is missing.
#[derive(Debug, Default)]
pub struct LogChain(VecDeque<([u8; 32], u64, Digest)>);

fn session_key(shared: &[u8; 32], session: &[u8; 32], owner: &[u8; 32]) -> Deoxys {
    let mut key = Zeroizing::new([0; 32]);
    hkdf_sha256(&[session.as_slice(), owner].concat(), shared, &[SESSION_DOMAIN], &mut *key);
    Deoxys::new(&key)
}

fn nonce(number: u64) -> [u8; DEOXYS_NONCE_BYTES] {
    let mut nonce = [0; DEOXYS_NONCE_BYTES];
    nonce[DEOXYS_NONCE_BYTES - 8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

impl LogSealer {
    /// Seals to an owner's key. `entropy` are 32 random bytes that are used for nothing else.
    pub fn new(owner: &X25519Key, entropy: &Zeroizing<[u8; 32]>) -> Self {
        let session = x25519_public(entropy);
        let shared = deoxys_shared_key(&owner.0, entropy);
        let key = session_key(&shared, &session, &owner.0);
        Self { key, session, next: 0, previous: Digest::ZERO, service: None }
    }

    /// The same for one service of an app; its name is cut at 64 bytes.
    #[must_use]
    pub fn of_service(mut self, name: &str) -> Self {
        self.service = Some(name.bytes().take(SERVICE_BYTES_MAX).collect());
        self
    }

    /// The next record, in base64: of a line of [`LOG_LINE_BYTES_MAX`] at most, the rest is cut off.
    pub fn seal(&mut self, source: LogSource, line: &[u8]) -> String {
        let line = &line[..line.len().min(LOG_LINE_BYTES_MAX)];
        let mut record = vec![VERSION];
        record.extend_from_slice(&self.session);
        record.extend_from_slice(&self.next.to_be_bytes());
        record.extend_from_slice(&self.previous.0);
        let mark = if source == LogSource::Output { 1 } else { 2 };
        let said = Zeroizing::new(match &self.service {
            None => [&[mark], line].concat(),
            Some(name) => {
                let length = u8::try_from(name.len()).expect("a name was cut at 64 bytes");
                [&[mark + 2, length], name.as_slice(), line].concat()
            }
        });
        let sealed = self.key.seal(&nonce(self.next), &said, &record);
        record.extend_from_slice(&sealed);
        self.previous = hash(CHAIN_DOMAIN, &[&record]);
        self.next += 1;
        Base64Text(record).to_string()
    }
}

impl LogSecret {
    /// The secret of an app's owner, made from the account's own.
    pub fn of(owner: &AccountKey, app: &AppId) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        hkdf_sha256(app.as_bytes(), &*owner.to_bytes(), &[SECRET_DOMAIN], &mut *secret);
        Self(secret)
    }

    /// What everybody can make, for the log of an app that is for all to read.
    pub fn of_everybody(app: &AppId) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        hkdf_sha256(app.as_bytes(), &[], &[PUBLIC_DOMAIN], &mut *secret);
        Self(secret)
    }

    /// The public half.
    pub fn public(&self) -> X25519Key {
        X25519Key(x25519_public(&self.0))
    }

    /// Opens a record in base64.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn open(&self, record: &str) -> Result<OpenedRecord, RecordError> {
        let bytes = record.parse::<Base64Text>().map_err(|_| RecordError::Malformed)?.0;
        let (head, sealed) = bytes.split_at_checked(HEAD_BYTES).ok_or(RecordError::Malformed)?;
        if head[0] != VERSION {
            return Err(RecordError::Malformed);
        }
        let part = |from: usize| <[u8; 32]>::try_from(&head[from..from + 32]).expect("32 bytes");
        let (session, previous) = (part(1), Digest(part(41)));
        let number = u64::from_be_bytes(head[33..41].try_into().expect("8 bytes"));
        let shared = deoxys_shared_key(&session, &self.0);
        let key = session_key(&shared, &session, &x25519_public(&self.0));
        let said = key.open(&nonce(number), sealed, head).map_err(|_| RecordError::Sealed)?;
        let (mark, rest) = said.split_first().ok_or(RecordError::Malformed)?;
        let source = if mark % 2 == 1 { LogSource::Output } else { LogSource::Error };
        let (service, line) = match mark {
            1 | 2 => (None, rest),
            3 | 4 => {
                let (length, rest) = rest.split_first().ok_or(RecordError::Malformed)?;
                let (name, line) = rest.split_at_checked(usize::from(*length)).ok_or(RecordError::Malformed)?;
                let name = std::str::from_utf8(name).map_err(|_| RecordError::Malformed)?;
                (Some(name.to_owned()), line)
            }
            _ => return Err(RecordError::Malformed),
        };
        let digest = hash(CHAIN_DOMAIN, &[&bytes]);
        Ok(OpenedRecord { session, number, previous, digest, service, source, line: line.to_vec() })
    }
}

impl LogChain {
    /// What is missing between the record before in its session and this one.
    pub fn follow(&mut self, record: &OpenedRecord) -> Option<LogGap> {
        let at = self.0.iter().rposition(|(session, ..)| *session == record.session);
        let before = at.and_then(|at| self.0.remove(at));
        self.0.push_back((record.session, record.number, record.digest));
        if self.0.len() > SESSIONS_MAX {
            self.0.pop_front();
        }
        match before {
            Some((_, number, digest)) => match record.number.checked_sub(number + 1) {
                Some(0) if digest == record.previous => None,
                Some(missing @ 1..) => Some(LogGap::Missing(missing)),
                _ => Some(LogGap::Replaced),
            },
            None => (record.number > 0).then_some(LogGap::Beginning(record.number)),
        }
    }
}
