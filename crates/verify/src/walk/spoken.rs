//! Links of the exchange itself: request, response, receipt, and the receipt's place in an anchored log.

use freehold_crypto::{KeyError, leaf_hash, to_jcs, verify_ed25519, verify_inclusion};
use freehold_primitives::{ACI_VERSION, Ed25519Key, RECEIPT_KEY_ID, Receipt};

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

/// Ed25519 over the RFC 8785 form without the member `signature`, which is lower-case hex.
fn verify_receipt(receipt: &Receipt, key: &Ed25519Key) -> Result<(), KeyError> {
    let mut value = serde_json::to_value(receipt).map_err(|_| KeyError::Malformed)?;
    value.as_object_mut().and_then(|members| members.remove("signature")).ok_or(KeyError::Malformed)?;
    let input = to_jcs(&value).map_err(|_| KeyError::Malformed)?;
    let mut signature = [0; 64];
    hex::decode_to_slice(&receipt.signature, &mut signature).map_err(|_| KeyError::Malformed)?;
    if hex::encode(signature) != receipt.signature {
        return Err(KeyError::Malformed);
    }
    verify_ed25519(key, input.as_bytes(), &signature)
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
    let leaf = leaf_hash(facts.receipt_text()?.as_bytes());
    verify_inclusion(&entry.root, entry.size, spoken.sequence, &leaf, &section.path)
        .map_err(|_| LinkError::AnchorPath)?;
    if entry.height < spoken.moment.height {
        return Err(LinkError::AnchorOrder { anchor: entry.height, receipt: spoken.moment.height }.into());
    }
    Ok(())
}
