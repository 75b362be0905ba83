//! Walking the links: each is a relation between neighbouring sections, checked on its own.
//!
//! A link that needs a section which cannot be read is skipped and names the link that failed. Invariant: with every
//! link `ok`, request and response hang on the network key without a gap.

mod attested;
mod chain;
mod facts;
mod spoken;

pub(crate) use chain::{proven_app, proven_denied, proven_instance, proven_promise};
pub(crate) use facts::{Facts, LinkFault};

use crate::link::{Link, LinkStatus};

/// What is found at `link`.
pub(crate) fn walk(link: Link, facts: &Facts<'_>) -> LinkStatus {
    let found = match link {
        Link::Request => spoken::request(facts),
        Link::Response => spoken::response(facts),
        Link::Receipt => spoken::receipt(facts),
        Link::Keyset => attested::keyset(facts),
        Link::Quote => attested::quote(facts),
        Link::Registration => attested::registration(facts),
        Link::Anchor => spoken::anchor(facts),
        Link::StateProof => chain::state_proof(facts),
        Link::Header => chain::header(facts),
        Link::Commitment => chain::commitment(facts),
        Link::Finality => chain::finality(facts),
    };
    match found {
        Ok(()) => LinkStatus::Ok,
        Err(LinkFault::Failed(error)) => LinkStatus::Failed(error),
        Err(LinkFault::Skipped(skip)) => LinkStatus::Skipped(skip),
    }
}
