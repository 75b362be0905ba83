//! What several links read: sections and their decoded documents. Nothing here is verified.

use freehold_crypto::genesis_hash;
use freehold_primitives::{
    BlockMoment, Canonical, CodecError, Digest, Event, Genesis, NetworkKey, Receipt, SuccessionRecord,
    entries::{AnchorEntry, AppEntry, InstanceEntry},
};

use crate::{
    bundle::{EntryProof, SectionError, Sections},
    light::{FinalityError, VerifiedHeader, check_chain},
    link::{Link, Skip},
    refusal::LinkError,
};

/// Largest entry, in bytes: lists of a policy are bounded by their own module.
pub(crate) const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Largest genesis, in bytes.
const GENESIS_BYTES_MAX: usize = 256 * 1024;

/// Why a link does not hold, or why it was not walked.
pub(crate) enum LinkFault {
    Failed(LinkError),
    Skipped(Skip),
}

impl From<LinkError> for LinkFault {
    fn from(error: LinkError) -> Self {
        Self::Failed(error)
    }
}

/// A link's finding.
pub(crate) type Found<T = ()> = Result<T, LinkFault>;

/// The section of the link that is being walked: unusable means failed.
pub(crate) fn own<T>(section: &Result<T, SectionError>) -> Found<&T> {
    section.as_ref().map_err(|error| LinkError::Section(error.clone()).into())
}

/// A section of another link: unusable means that this one is skipped.
pub(crate) fn need<T, E>(section: &Result<T, E>, link: Link) -> Found<&T> {
    section.as_ref().map_err(|_| LinkFault::Skipped(Skip::Needs(link)))
}

/// What a receipt says, taken out of its events.
pub(crate) struct Spoken {
    pub(crate) request_hash: String,
    pub(crate) response_hash: String,
    pub(crate) model_name: String,
    pub(crate) model_sha256: Digest,
    pub(crate) moment: BlockMoment,
    pub(crate) sequence: u64,
    pub(crate) instance: Digest,
}

impl Spoken {
    /// Takes the events apart; `None` unless each needed one stands there once and the request first.
    pub(crate) fn read(receipt: &Receipt) -> Option<Self> {
        let events = &receipt.event_log;
        let (mut response, mut model, mut chain, mut requests) = (None, None, None, 0);
        for event in events {
            let doubled = match event {
                Event::RequestReceived { .. } => {
                    requests += 1;
                    requests > 1
                }
                Event::ResponseReturned { body_hash } => response.replace(body_hash.clone()).is_some(),
                Event::Model { name, weights_sha256, .. } => model.replace((name.clone(), *weights_sha256)).is_some(),
                Event::Chain { height, block_hash, time_unix_s, sequence, instance, .. } => {
                    let moment = BlockMoment { height: *height, block_hash: *block_hash, time_unix_s: *time_unix_s };
                    chain.replace((moment, *sequence, *instance)).is_some()
                }
                _ => false,
            };
            if doubled {
                return None;
            }
        }
        let Some(Event::RequestReceived { body_hash }) = events.first() else { return None };
        let (moment, sequence, instance) = chain?;
        let (model_name, model_sha256) = model?;
        Some(Self {
            request_hash: body_hash.clone(),
            response_hash: response?,
            model_name,
            model_sha256,
            moment,
            sequence,
            instance,
        })
    }
}

/// Entries as their documents say.
pub(crate) struct Entries {
    pub(crate) instance: Result<InstanceEntry, CodecError>,
    pub(crate) app: Result<AppEntry, CodecError>,
    pub(crate) app_version: Result<AppEntry, CodecError>,
    pub(crate) anchor: Result<Option<AnchorEntry>, CodecError>,
}

/// Everything that the walk reads.
pub(crate) struct Facts<'a> {
    pub(crate) sections: &'a Sections,
    pub(crate) network_key: NetworkKey,
    pub(crate) succession: &'a [SuccessionRecord],
    pub(crate) spoken: Option<Spoken>,
    pub(crate) genesis: Result<(Genesis, Digest), CodecError>,
    pub(crate) entries: Option<Entries>,
    pub(crate) receipt_headers: Result<Vec<VerifiedHeader>, FinalityError>,
    pub(crate) state_headers: Result<Vec<VerifiedHeader>, FinalityError>,
}

impl<'a> Facts<'a> {
    /// Decodes what the sections hold.
    pub(crate) fn new(sections: &'a Sections, (network_key, succession): (NetworkKey, &'a [SuccessionRecord])) -> Self {
        let entries = sections.state_proof.as_ref().ok().map(|section| Entries {
            instance: decode(&section.instance),
            app: decode(&section.app),
            app_version: decode(&section.app_version),
            anchor: section.anchor.as_ref().map(decode).transpose(),
        });
        let genesis = match &sections.finality {
            Ok(section) if section.genesis.0.len() > GENESIS_BYTES_MAX => {
                Err(CodecError::TooLong { length: section.genesis.0.len(), bound: GENESIS_BYTES_MAX })
            }
            Ok(section) => Genesis::from_canonical(&section.genesis.0).map(|genesis| {
                let digest = genesis_hash(&genesis);
                (genesis, digest)
            }),
            Err(_) => Err(CodecError::Truncated),
        };
        let chain = |pick: fn(&crate::bundle::HeaderSection) -> &[crate::bundle::LowerHex]| match &sections.header {
            Ok(section) => check_chain(pick(section)),
            Err(_) => Err(FinalityError::HeaderCount(0)),
        };
        Self {
            sections,
            network_key,
            succession,
            spoken: sections.receipt.as_ref().ok().and_then(Spoken::read),
            genesis,
            entries,
            receipt_headers: chain(|section| &section.receipt),
            state_headers: chain(|section| &section.state),
        }
    }

    /// What the receipt says; the link `receipt` failed where it says it wrongly.
    pub(crate) fn spoken(&self) -> Found<&Spoken> {
        self.spoken.as_ref().ok_or(LinkFault::Skipped(Skip::Needs(Link::Receipt)))
    }

    /// Genesis and its hash; the link `finality` failed where there is none.
    pub(crate) fn genesis(&self) -> Found<&(Genesis, Digest)> {
        need(&self.genesis, Link::Finality)
    }

    /// The instance entry.
    pub(crate) fn instance(&self) -> Found<&InstanceEntry> {
        need(&self.entries()?.instance, Link::StateProof)
    }

    /// The app version entry.
    pub(crate) fn app_version(&self) -> Found<&AppEntry> {
        need(&self.entries()?.app_version, Link::StateProof)
    }

    /// Decoded entries.
    pub(crate) fn entries(&self) -> Found<&Entries> {
        self.entries.as_ref().ok_or(LinkFault::Skipped(Skip::Needs(Link::StateProof)))
    }

    /// The receipt's canonical text.
    pub(crate) fn receipt_text(&self) -> Found<&str> {
        need(&self.sections.receipt_text, Link::Receipt).map(String::as_str)
    }
}

fn decode<T: Canonical>(entry: &EntryProof) -> Result<T, CodecError> {
    let bytes = &entry.content.0;
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(CodecError::TooLong { length: bytes.len(), bound: ENTRY_BYTES_MAX });
    }
    T::from_canonical(bytes)
}
