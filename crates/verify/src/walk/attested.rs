//! Links of the instance: its keyset, what hardware says of it, and what the chain recorded.

use freehold_attestation::{Evidence, verify};
use freehold_crypto::{content_digest, keyset_digest, recover_registration, report_data};
use freehold_primitives::{Canonical, entries::InstanceEntry};

use super::facts::{Facts, Found, need, own};
use crate::{link::Link, refusal::LinkError};

pub(super) fn keyset(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.keyset)?;
    let keyset = section.keyset();
    if !keyset.is_well_formed() {
        return Err(LinkError::KeysetForm.into());
    }
    let receipt = need(&facts.sections.receipt, Link::Receipt)?;
    if format!("sha256:{}", keyset_digest(&keyset)) != receipt.workload_keyset_digest {
        return Err(LinkError::KeysetDigest.into());
    }
    let spoken = facts.spoken()?;
    if spoken.instance != keyset.subject {
        return Err(LinkError::KeysetInstance.into());
    }
    if keyset.not_after < spoken.moment.time_unix_s {
        return Err(LinkError::KeysetExpired.into());
    }
    let (genesis, genesis_hash) = facts.genesis()?;
    if (section.subject.chain_id, section.subject.genesis_hash) != (genesis.chain_id, *genesis_hash) {
        return Err(LinkError::ForeignChain.into());
    }
    Ok(())
}

pub(super) fn quote(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.quote)?;
    let instance = facts.instance()?;
    if content_digest(&section.evidence.0) != instance.evidence_digest {
        return Err(LinkError::EvidenceDigest.into());
    }
    let collateral: Vec<&[u8]> = section.collateral.iter().map(|document| document.0.as_slice()).collect();
    if !collateral.iter().map(|document| content_digest(document)).eq(instance.collateral_digests.iter().copied()) {
        return Err(LinkError::CollateralDigest.into());
    }
    let (genesis, _) = facts.genesis()?;
    let policy = &facts.app_version()?.policy.evidence;
    let evidence = Evidence { kind: instance.evidence_kind, bytes: &section.evidence.0, collateral: &collateral };
    let claims =
        verify(&evidence, &genesis.trust_roots, policy, instance.judged_at_unix_s).map_err(LinkError::Evidence)?;
    let keyset = need(&facts.sections.keyset, Link::Keyset)?;
    if *claims.report_data() != report_data(&keyset_digest(&keyset.keyset()), Some(&instance.nonce)) {
        return Err(LinkError::ReportData.into());
    }
    let recorded = [
        (claims.trust_domain() == instance.trust_domain, "trust domain"),
        (*claims.measurement() == instance.measurement, "measurement"),
        (claims.tcb_status() == instance.tcb_status, "TCB status"),
        (claims.platform() == instance.platform, "platform"),
        (claims.family() == instance.family, "platform family"),
        (claims.gpu_records() == instance.gpus, "GPUs"),
    ];
    match recorded.into_iter().find(|(same, _)| !same) {
        Some((_, what)) => Err(LinkError::Claims(what).into()),
        None => Ok(()),
    }
}

pub(super) fn registration(facts: &Facts<'_>) -> Found {
    let section = own(&facts.sections.registration)?;
    let keyset = need(&facts.sections.keyset, Link::Keyset)?;
    let evidence = &need(&facts.sections.quote, Link::Quote)?.evidence.0;
    let registration = section.registration(keyset).ok_or(LinkError::RegistrationForm)?;
    let signer = recover_registration(&registration.to_canonical(), evidence, &section.signature.0)
        .map_err(LinkError::RegistrationSignature)?;
    if signer != registration.subject.account {
        return Err(LinkError::RegistrationSigner.into());
    }
    let instance: &InstanceEntry = facts.instance()?;
    let subject = &registration.subject;
    let recorded = [
        (instance.instance_id == registration.keyset.subject, "instance"),
        (instance.app_id == subject.app_id, "app"),
        (instance.provider == subject.provider, "provider"),
        (instance.account == subject.account, "account"),
        (instance.transport_key == subject.transport_key, "transport key"),
        (instance.keyset_digest == keyset_digest(&registration.keyset), "keyset"),
        (instance.keyset_not_after == registration.keyset.not_after, "end of the keyset"),
        (instance.nonce_height == registration.nonce_height, "nonce height"),
        (instance.nonce == registration.nonce, "nonce"),
        (instance.evidence_kind == registration.evidence_kind, "kind of evidence"),
        (instance.trust_domain == registration.trust_domain, "trust domain"),
        (instance.family == registration.family, "platform family"),
    ];
    match recorded.into_iter().find(|(same, _)| !same) {
        Some((_, what)) => Err(LinkError::NotRecorded(what).into()),
        None => Ok(()),
    }
}
