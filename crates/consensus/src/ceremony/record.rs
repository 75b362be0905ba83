//! What a member keeps of a round, secretly, so that a crash neither loses its part nor makes it deal twice.

use freehold_primitives::{Blob, Canonical, CodecError, Digest, Ed25519Key, Reader};
use zeroize::Zeroizing;

use super::CeremonyError;

/// Largest record, in bytes.
const RECORD_BYTES_MAX: usize = 8 * 1024;

/// One record of one round. Most hold secrets: write them readable by the member alone, and erase them when the round's
/// outcome is in force.
pub struct Record {
    pub(super) plan: Digest,
    pub(super) body: RecordBody,
}

pub(super) enum RecordBody {
    /// Seed of the own dealing.
    Seed(Zeroizing<[u8; 32]>),
    /// A dealing that was acknowledged.
    Dealing { dealer: Ed25519Key, public: Vec<u8>, private: Zeroizing<Vec<u8>> },
    /// An acknowledgement that came.
    Acknowledgement { player: Ed25519Key, signature: Vec<u8> },
}

impl Record {
    /// Digest of the round it belongs to.
    pub const fn round(&self) -> Digest {
        self.plan
    }

    /// Bytes to keep.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(RECORD_BYTES_MAX));
        self.write(&mut out);
        out
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`CeremonyError::Record`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let mut reader = Reader::new(bytes);
        let record = Self::read(&mut reader).map_err(|_| CeremonyError::Record)?;
        reader.finish().map_err(|_| CeremonyError::Record)?;
        Ok(record)
    }
}

impl Canonical for Record {
    fn write(&self, out: &mut Vec<u8>) {
        self.plan.write(out);
        match &self.body {
            RecordBody::Seed(seed) => {
                out.push(1);
                out.extend_from_slice(&seed[..]);
            }
            RecordBody::Dealing { dealer, public, private } => {
                out.push(2);
                dealer.write(out);
                freehold_primitives::write_length(out, public.len());
                out.extend_from_slice(public);
                freehold_primitives::write_length(out, private.len());
                out.extend_from_slice(private);
            }
            RecordBody::Acknowledgement { player, signature } => {
                out.push(3);
                player.write(out);
                freehold_primitives::write_length(out, signature.len());
                out.extend_from_slice(signature);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let plan = Digest::read(reader)?;
        let body = match u8::read(reader)? {
            1 => RecordBody::Seed(Zeroizing::new(Canonical::read(reader)?)),
            2 => RecordBody::Dealing {
                dealer: Canonical::read(reader)?,
                public: Blob::read(reader)?.0,
                private: Zeroizing::new(Blob::read(reader)?.0),
            },
            3 => RecordBody::Acknowledgement { player: Canonical::read(reader)?, signature: Blob::read(reader)?.0 },
            other => return Err(CodecError::Tag(other)),
        };
        Ok(Self { plan, body })
    }
}
