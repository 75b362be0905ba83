//! What the founders tell each other (`spec/key-generation.md` §7), over the authenticated, encrypted link.

use freehold_primitives::{Blob, Canonical, CodecError, Digest, Ed25519Key, G1Point, Generation, Reader};
use zeroize::Zeroizing;

use crate::{
    application::{MastersPlan, NetworkKeyPlan, Players},
    ceremony::{DIRECT_BYTES_MAX, STATEMENT_BYTES_MAX},
    keys::ShareKind,
};

/// Largest frame, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 64 + max(DIRECT_BYTES_MAX, STATEMENT_BYTES_MAX);

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// One message.
pub(crate) struct Frame {
    /// The attempt it belongs to.
    pub(crate) attempt: u64,
    pub(crate) body: Body,
}

/// What a message says.
pub(crate) enum Body {
    /// I am here.
    Here,
    /// A dealing or an acknowledgement of one of the two rounds.
    Direct(ShareKind, Zeroizing<Vec<u8>>),
    /// A statement of one of the two rounds.
    Statement(ShareKind, Vec<u8>),
    /// I have made the genesis with this hash, and everything that it needs is on my disk.
    Confirm(Digest),
    /// Whoever has a share: encrypt yours of the state root key of a generation to this key.
    Ask { generation: Generation, transport: G1Point },
    /// A share so encrypted.
    Share { generation: Generation, share: Vec<u8> },
    /// I need nothing more.
    Done,
}

impl Frame {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(FRAME_BYTES_MAX));
        out.push(freehold_primitives::VERSION);
        self.write(&mut out);
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > FRAME_BYTES_MAX { None } else { Self::from_canonical(bytes).ok() }
    }
}

impl Canonical for Frame {
    fn write(&self, out: &mut Vec<u8>) {
        self.attempt.write(out);
        match &self.body {
            Body::Here => out.push(1),
            Body::Direct(kind, message) => write_kind(2, *kind, message, out),
            Body::Statement(kind, statement) => write_kind(3, *kind, statement, out),
            Body::Confirm(genesis) => {
                out.push(4);
                genesis.write(out);
            }
            Body::Ask { generation, transport } => {
                out.push(5);
                generation.write(out);
                transport.write(out);
            }
            Body::Share { generation, share } => {
                out.push(6);
                generation.write(out);
                freehold_primitives::write_length(out, share.len());
                out.extend_from_slice(share);
            }
            Body::Done => out.push(7),
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let attempt = u64::read(reader)?;
        let body = match u8::read(reader)? {
            1 => Body::Here,
            2 => Body::Direct(read_kind(reader)?, Zeroizing::new(Blob::read(reader)?.0)),
            3 => Body::Statement(read_kind(reader)?, Blob::read(reader)?.0),
            4 => Body::Confirm(Canonical::read(reader)?),
            5 => Body::Ask { generation: Canonical::read(reader)?, transport: Canonical::read(reader)? },
            6 => Body::Share { generation: Canonical::read(reader)?, share: Blob::read(reader)?.0 },
            7 => Body::Done,
            other => return Err(CodecError::Tag(other)),
        };
        Ok(Self { attempt, body })
    }
}

fn write_kind(tag: u8, kind: ShareKind, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[tag, kind.tag()]);
    freehold_primitives::write_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn read_kind(reader: &mut Reader<'_>) -> Result<ShareKind, CodecError> {
    let tag = u8::read(reader)?;
    ShareKind::from_tag(tag).ok_or(CodecError::Tag(tag))
}

fn read_players(reader: &mut Reader<'_>, network_key: NetworkKeyPlan) -> Result<Players, CodecError> {
    let players = Vec::<Ed25519Key>::read(reader)?;
    let masters = MastersPlan { reshared: Canonical::read(reader)?, made: Canonical::read(reader)? };
    Ok(Players { players, network_key, masters })
}

/// What is kept of an attempt, or of a term.
pub(crate) enum Kept {
    /// The attempt begins; nothing before it counts.
    Attempt(u64),
    /// A record of one of the two rounds.
    Record(ShareKind, Zeroizing<Vec<u8>>),
    /// A statement that was taken.
    Statement(ShareKind, Vec<u8>),
    /// Who receives shares in the rounds that run, and which keys are made in them.
    Players(Players),
}

impl Kept {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(FRAME_BYTES_MAX));
        match self {
            Self::Attempt(attempt) => {
                out.push(1);
                attempt.write(&mut out);
            }
            Self::Record(kind, record) => write_kind(2, *kind, record, &mut out),
            Self::Statement(kind, statement) => write_kind(3, *kind, statement, &mut out),
            Self::Players(Players { players, network_key, masters }) => {
                out.push(match network_key {
                    NetworkKeyPlan::Stays => 4,
                    NetworkKeyPlan::Succeeds => 5,
                });
                players.write(&mut out);
                masters.reshared.write(&mut out);
                masters.made.write(&mut out);
            }
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let kept = match u8::read(&mut reader)? {
            1 => Self::Attempt(Canonical::read(&mut reader)?),
            2 => Self::Record(read_kind(&mut reader)?, Zeroizing::new(Blob::read(&mut reader)?.0)),
            3 => Self::Statement(read_kind(&mut reader)?, Blob::read(&mut reader)?.0),
            4 => Self::Players(read_players(&mut reader, NetworkKeyPlan::Stays)?),
            5 => Self::Players(read_players(&mut reader, NetworkKeyPlan::Succeeds)?),
            other => return Err(CodecError::Tag(other)),
        };
        reader.finish()?;
        Ok(kept)
    }
}
