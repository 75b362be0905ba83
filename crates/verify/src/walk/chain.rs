//! Links of the chain: entries under a state root, headers, payloads that name them, certificates.

use freehold_crypto::{chain_namespace, content_digest, payload_digest, verify_certificate};
use freehold_primitives::{
    AppId, Canonical, CodecError, Height, PayloadHead,
    entries::{AnchorEntry, AppEntry, AuditEntry, DenyEntry, InstanceEntry, UpgradeEntry},
};

use super::facts::{ENTRY_BYTES_MAX, Facts, Found, need, own};
use crate::{
    bundle::{EntryProof, LowerHex, OptionalEntryProof, PROMISE_AUDITS_MAX, PromiseProof},
    light::{
        ChainTrust, EntryError, EntryKey, FinalityError, NetworkKeys, VerifiedHeader, decode_certificate, decode_head,
        verify_absent_entry, verify_entry,
    },
    link::Link,
    promise::{Audited, Promise},
    refusal::{EntryName, LinkError, Run},
};

pub(super) fn state_proof(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.state_proof)?;
    let header = &need(&facts.state_headers, Link::Header)?[0];
    at_height(section.height, header)?;
    let instance = proven_instance(header, &section.instance)?;
    let version: AppEntry = {
        let decoded: AppEntry = read(EntryName::AppVersion, &section.app_version)?;
        let key = EntryKey::AppVersion(decoded.app_id, decoded.version);
        proven(header, EntryName::AppVersion, &key, &section.app_version)?
    };
    if (version.app_id, version.version) != (instance.app_id, instance.app_version) {
        return Err(LinkError::ForeignEntry(EntryName::AppVersion).into());
    }
    let app = proven_app(header, &section.app, &instance)?;
    if let Some(anchor) = &section.anchor {
        let decoded: AnchorEntry = read(EntryName::Anchor, anchor)?;
        if decoded.instance_id != instance.instance_id {
            return Err(LinkError::ForeignEntry(EntryName::Anchor).into());
        }
        let key = EntryKey::Anchor(decoded.instance_id, decoded.index);
        proven::<AnchorEntry>(header, EntryName::Anchor, &key, anchor)?;
    }
    proven_denied(header, &section.denied, &instance)?;
    section.promise.as_ref().map(|promise| proven_promise(header, promise, &app)).transpose()?;
    Ok(())
}

/// The instance entry, whose own content says which slot it must stand in.
pub(crate) fn proven_instance(header: &VerifiedHeader, entry: &EntryProof) -> Result<InstanceEntry, LinkError> {
    let decoded: InstanceEntry = read(EntryName::Instance, entry)?;
    proven(header, EntryName::Instance, &EntryKey::Instance(decoded.instance_id), entry)
}

/// The instance's app as it is under `header`.
pub(crate) fn proven_app(
    header: &VerifiedHeader,
    entry: &EntryProof,
    instance: &InstanceEntry,
) -> Result<AppEntry, LinkError> {
    proven(header, EntryName::App, &EntryKey::App(instance.app_id), entry)
}

/// Deny entries of the instance's app, then of the chain, that name what the instance stands on: one proof for each of
/// its subjects under each of the two, in their order.
pub(crate) fn proven_denied(
    header: &VerifiedHeader,
    section: &[OptionalEntryProof],
    instance: &InstanceEntry,
) -> Result<Vec<DenyEntry>, LinkError> {
    let entries = instance.deny_entries();
    if section.len() != entries.len() {
        return Err(LinkError::DeniedCount { found: section.len(), expected: entries.len() });
    }
    let mut denied = Vec::new();
    for (entry, (app, kind, subject)) in section.iter().zip(entries) {
        let name = if app == AppId::CHAIN { EntryName::DeniedByChain(kind) } else { EntryName::Denied(kind) };
        denied.extend(proven_or_absent(header, name, &EntryKey::Deny(app, kind, subject), entry)?);
    }
    Ok(denied)
}

/// What the app promises about its upgrades, and what auditors say of the policy that it has under the same header.
pub(crate) fn proven_promise(
    header: &VerifiedHeader,
    section: &PromiseProof,
    app: &AppEntry,
) -> Result<Promise, LinkError> {
    if section.audits.len() > PROMISE_AUDITS_MAX {
        return Err(LinkError::AuditCount(section.audits.len()));
    }
    let policy = content_digest(&app.policy.to_canonical());
    let key = EntryKey::Upgrade(app.app_id);
    let entry: Option<UpgradeEntry> = proven_or_absent(header, EntryName::Upgrade, &key, &section.upgrade)?;
    if entry.as_ref().is_some_and(|entry| entry.in_force.policy != policy) {
        return Err(LinkError::ForeignEntry(EntryName::Upgrade));
    }
    let mut audits = Vec::with_capacity(section.audits.len());
    for (auditor, audit) in &section.audits {
        let key = EntryKey::Audit(*auditor, app.app_id, policy);
        let found: Option<AuditEntry> = proven_or_absent(header, EntryName::Audit(*auditor), &key, audit)?;
        audits.push(Audited { auditor: *auditor, word: found.map(|audit| audit.verdict) });
    }
    Ok(Promise { policy, entry, audits })
}

/// An entry that stands under a header, or is proven not to.
fn proven_or_absent<T: Canonical>(
    header: &VerifiedHeader,
    name: EntryName,
    key: &EntryKey,
    entry: &OptionalEntryProof,
) -> Result<Option<T>, LinkError> {
    let refused = |source| LinkError::Entry { name, source };
    let Some(content) = &entry.content else {
        verify_absent_entry(header, key, &entry.proof.0).map_err(refused)?;
        return Ok(None);
    };
    let content = bounded(content).map_err(|error| refused(error.into()))?;
    verify_entry(header, key, &entry.proof.0, content).map(Some).map_err(refused)
}

fn bounded(content: &LowerHex) -> Result<&[u8], CodecError> {
    let length = content.0.len();
    if length > ENTRY_BYTES_MAX { Err(CodecError::TooLong { length, bound: ENTRY_BYTES_MAX }) } else { Ok(&content.0) }
}

fn read<T: Canonical>(name: EntryName, entry: &EntryProof) -> Result<T, LinkError> {
    let decoded = bounded(&entry.content).and_then(T::from_canonical);
    decoded.map_err(|error| LinkError::Entry { name, source: EntryError::Codec(error) })
}

fn proven<T: Canonical>(
    header: &VerifiedHeader,
    name: EntryName,
    key: &EntryKey,
    entry: &EntryProof,
) -> Result<T, LinkError> {
    let refused = |source| LinkError::Entry { name, source };
    let content = bounded(&entry.content).map_err(|error| refused(error.into()))?;
    verify_entry(header, key, &entry.proof.0, content).map_err(refused)
}

pub(super) fn header(facts: &Facts<'_>) -> Found {
    own(&facts.sections.header)?;
    let commitment = need(&facts.sections.commitment, Link::Commitment)?;
    let runs = [
        (Run::Receipt, &facts.receipt_headers, &commitment.receipt),
        (Run::State, &facts.state_headers, &commitment.state),
    ];
    for (run, headers, head) in runs {
        let headers = headers.as_ref().map_err(|&source| LinkError::Headers { run, source })?;
        let head = decode_head(&head.0);
        if !names_last(need(&head, Link::Commitment)?, headers) {
            return Err(LinkError::NotExecuted(run).into());
        }
    }
    let named = facts.spoken()?.moment;
    if need(&facts.receipt_headers, Link::Header)?[0].moment() != named {
        return Err(LinkError::OtherBlock.into());
    }
    let state = &need(&facts.state_headers, Link::Header)?[0];
    at_height(need(&facts.sections.state_proof, Link::StateProof)?.height, state)?;
    if state.height() < named.height {
        return Err(LinkError::StateOlder { state: state.height(), receipt: named.height }.into());
    }
    Ok(())
}

const fn at_height(said: Height, header: &VerifiedHeader) -> Result<(), LinkError> {
    let found = header.height();
    if said == found { Ok(()) } else { Err(LinkError::StateHeight { said, found }) }
}

fn names_last(head: &PayloadHead, headers: &[VerifiedHeader]) -> bool {
    headers
        .last()
        .is_some_and(|last| (head.executed.height, head.executed.block_hash) == (last.height(), last.block_hash()))
}

pub(super) fn commitment(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.commitment)?;
    let certificates = need(&facts.sections.finality, Link::Finality)?;
    let (genesis, _) = facts.genesis()?;
    let runs = [
        (Run::Receipt, &section.receipt, &certificates.receipt, &facts.receipt_headers),
        (Run::State, &section.state, &certificates.state, &facts.state_headers),
    ];
    for (run, head, certificate, headers) in runs {
        let refused = |source| LinkError::Payload { run, source };
        let head = decode_head(&head.0).map_err(refused)?;
        if head.chain_id != genesis.chain_id {
            let foreign = FinalityError::ForeignChain { found: head.chain_id, expected: genesis.chain_id };
            return Err(refused(foreign).into());
        }
        let certificate = decode_certificate(&certificate.0);
        if payload_digest(&head) != need(&certificate, Link::Finality)?.payload {
            return Err(refused(FinalityError::OtherPayload).into());
        }
        if !names_last(&head, need(headers, Link::Header)?) {
            return Err(LinkError::NotExecuted(run).into());
        }
    }
    Ok(())
}

pub(super) fn finality(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.finality)?;
    let (genesis, genesis_hash) = facts.genesis.as_ref().map_err(|&error| LinkError::Genesis(error))?;
    let (network_key, chain_id, genesis_hash) = (facts.network_key, genesis.chain_id, *genesis_hash);
    let trust = ChainTrust { network_key, chain_id, genesis_hash };
    let keys = NetworkKeys::walk(&trust, facts.succession).map_err(LinkError::Succession)?;
    let namespace = chain_namespace(chain_id, &genesis_hash);
    for (run, certificate) in [(Run::Receipt, &section.receipt), (Run::State, &section.state)] {
        let refused = |source| LinkError::Certificate { run, source };
        let certificate = decode_certificate(&certificate.0).map_err(refused)?;
        verify_certificate(keys.at(certificate.term), &namespace, &certificate)
            .map_err(|error| refused(FinalityError::Signature(error)))?;
    }
    Ok(())
}
