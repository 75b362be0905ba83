//! The links of the chain from an answer to the network key, and what was found at each.

use core::fmt;

use serde::{Serialize, Serializer};

use crate::refusal::LinkError;

/// One link of the chain (design §2), named as its section in a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Link {
    /// The request is what the receipt names.
    Request,
    /// The response is what the receipt names.
    Response,
    /// The receipt is signed by the keyset's receipt key.
    Receipt,
    /// The keyset is the one that the receipt names, under a subject of this chain.
    Keyset,
    /// Hardware says: this measurement holds this keyset, fresh at a block.
    Quote,
    /// The instance signed the registration, and the chain recorded it.
    Registration,
    /// The receipt stands in the instance's log under an anchored root.
    Anchor,
    /// The chain's entries stand under the state root.
    StateProof,
    /// Headers are well-formed and lead to the blocks that payloads name.
    Header,
    /// Payloads name the blocks.
    Commitment,
    /// The network's signature makes the payloads final.
    Finality,
}

impl Link {
    /// All links, in the order of a verdict.
    pub const ALL: [Self; 11] = [
        Self::Request,
        Self::Response,
        Self::Receipt,
        Self::Keyset,
        Self::Quote,
        Self::Registration,
        Self::Anchor,
        Self::StateProof,
        Self::Header,
        Self::Commitment,
        Self::Finality,
    ];

    /// The word in a verdict, and the name of the section.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Receipt => "receipt",
            Self::Keyset => "keyset",
            Self::Quote => "quote",
            Self::Registration => "registration",
            Self::Anchor => "anchor",
            Self::StateProof => "state_proof",
            Self::Header => "header",
            Self::Commitment => "commitment",
            Self::Finality => "finality",
        }
    }

    /// What the link says when it holds.
    pub(crate) const fn statement(self) -> &'static str {
        match self {
            Self::Request => "the request hashes to what the receipt names",
            Self::Response => "the response hashes to what the receipt names",
            Self::Receipt => "the instance's receipt key signed the receipt",
            Self::Keyset => "the receipt names this keyset, whose subject is on this chain",
            Self::Quote => "hardware vouches for this keyset and measurement, under the app's policy",
            Self::Registration => "the instance signed its registration, and the chain recorded it",
            Self::Anchor => "the receipt stands in the instance's log under an anchored root",
            Self::StateProof => "the chain's entries stand under the state root",
            Self::Header => "the headers lead to the blocks that the payloads name",
            Self::Commitment => "the payloads name these blocks and are the ones signed",
            Self::Finality => "the network's threshold signature makes the payloads final",
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a link was not walked although nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// The proof holds the hash of the text, which is the one in the receipt, and not the text.
    Redacted,
    /// The receipt is not anchored.
    NotAnchored,
    /// Another link that this one builds on has failed.
    Needs(Link),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redacted => f.write_str("redacted: the proof keeps the hash, which is the one in the receipt"),
            Self::NotAnchored => f.write_str(
                "the receipt was not anchored when the proof was made, so that nothing bounds its time from above",
            ),
            Self::Needs(link) => write!(f, "not walked: it builds on the link `{link}`, which failed"),
        }
    }
}

/// What was found at a link.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LinkStatus {
    /// It holds.
    Ok,
    /// It does not hold.
    Failed(LinkError),
    /// It was not walked.
    Skipped(Skip),
}

impl LinkStatus {
    /// The word in a verdict.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// Whether a verdict may be `valid` with it.
    pub const fn is_acceptable(&self) -> bool {
        matches!(self, Self::Ok | Self::Skipped(Skip::Redacted | Skip::NotAnchored))
    }
}

/// A link with what was found.
#[derive(Debug, Clone)]
pub struct LinkReport {
    /// The link.
    pub link: Link,
    /// What was found.
    pub status: LinkStatus,
}

impl LinkReport {
    /// The reason as text: what holds, what is wrong, or why it was not walked.
    pub fn reason(&self) -> String {
        match &self.status {
            LinkStatus::Ok => self.link.statement().to_owned(),
            LinkStatus::Failed(error) => error.to_string(),
            LinkStatus::Skipped(skip) => skip.to_string(),
        }
    }

    /// The stable code of a failure (`spec/verdict.md` §4).
    pub const fn code(&self) -> Option<u16> {
        match &self.status {
            LinkStatus::Failed(error) => Some(error.code()),
            _ => None,
        }
    }
}
