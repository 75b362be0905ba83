//! Links of the exchange itself: request, response, receipt, and the receipt's place in an anchored log.

use freehold_crypto::{receipt_leaf, verify_inclusion, verify_receipt};
use freehold_primitives::{ACI_VERSION, RECEIPT_KEY_ID};

use super::facts::{Facts, Found, LinkFault, need, own};
use crate::{
    bundle::{BodySection, SectionError},
    link::{Link, Skip},
    refusal::LinkError,
};

pub(super) fn request(facts: &Facts<'_>) -> Found {
    body(&facts.sections.request, &facts.spoken()?.request_hash)
}

pub(super) fn response(facts: &Facts<'_>) -> Found {
    body(&facts.sections.response, &facts.spoken()?.response_hash)
}

fn body(section: &Result<BodySection, SectionError>, named: &str) -> Found {
    let section = own(section)?;
    if format!("sha256:{}", section.digest()) != named {
        return Err(LinkError::BodyHash.into());
    }
    match section {
        BodySection::Whole { .. } => Ok(()),
        BodySection::Redacted { .. } => Err(LinkFault::Skipped(Skip::Redacted)),
    }
}

pub(super) fn receipt(facts: &Facts<'_>) -> Found {
    let receipt = own(&facts.sections.receipt)?;
    if receipt.api_version != ACI_VERSION || receipt.key_id != RECEIPT_KEY_ID {
        return Err(LinkError::ReceiptConstants.into());
    }
    if facts.spoken.is_none() {
        return Err(LinkError::ReceiptEvents.into());
    }
    let keyset = need(&facts.sections.keyset, Link::Keyset)?;
    verify_receipt(receipt, &keyset.receipt_key).map_err(LinkError::ReceiptSignature)?;
    Ok(())
}

pub(super) fn anchor(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.anchor)?;
    let entry = need(&facts.entries()?.anchor, Link::StateProof)?;
    let (section, entry) = match (section, entry) {
        (None, None) => return Err(LinkFault::Skipped(Skip::NotAnchored)),
        (Some(section), Some(entry)) => (section, entry),
        _ => return Err(LinkError::AnchorPair.into()),
    };
    let spoken = facts.spoken()?;
    let leaf = receipt_leaf(facts.receipt_text()?);
    verify_inclusion(&entry.root, entry.size, spoken.sequence, &leaf, &section.path)
        .map_err(|_| LinkError::AnchorPath)?;
    if entry.height < spoken.moment.height {
        return Err(LinkError::AnchorOrder { anchor: entry.height, receipt: spoken.moment.height }.into());
    }
    Ok(())
}
