//! From a receipt to a proof bundle: fetch every part, put the document together, verify it.

use freehold_primitives::{Account, Canonical, Genesis, Receipt};
use freehold_rpc::{Inclusion, NodeClient};
use freehold_verify::{
    AnchorSection, BodySection, CommitmentSection, FinalityProof, FinalitySection, HeaderSection, KeysetSection,
    LowerHex, PROOF_FORMAT, ProofDocument, QuoteSection, RegistrationSection,
};

use crate::collect::{CollectError, Wanted, collateral, finality, registration, state};

/// What a person has of an answer before the chain is asked.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Request body.
    pub request: BodySection,
    /// Response body.
    pub response: BodySection,
    /// The receipt.
    pub receipt: Receipt,
    /// Its place in the log; used where it is anchored.
    pub inclusion: Option<Inclusion>,
}

/// Fetches the rest and puts the proof together, with what the app promises about its upgrades and what `auditors` say of its
/// policy. It is not verified yet: `freehold_verify::verify_bundle` does that.
///
/// # Errors
/// Every [`CollectError`].
pub async fn collect_proof(
    node: &NodeClient,
    genesis: &Genesis,
    answered: Answered,
    auditors: &[Account],
) -> Result<ProofDocument, CollectError> {
    let named = answered.receipt.event_log.iter().find_map(|event| match event {
        freehold_primitives::Event::Chain { height, instance, .. } => Some((*height, *instance)),
        _ => None,
    });
    let (height, instance_id) = named.ok_or(CollectError::NoEntry("chain event in the receipt, so no"))?;
    let anchored = answered.inclusion.and_then(|inclusion| Some((inclusion.anchor?, inclusion.path)));
    let wanted = Wanted { anchor: anchored.as_ref().map(|(anchor, _)| anchor.index), promise: Some(auditors) };
    let parts = state(node, instance_id, wanted).await?;
    let call = registration(node, &parts.instance).await?;
    let collateral = collateral(node, &parts.instance).await?;
    let receipt_run = finality(node, height).await?;
    let state_run = finality(node, parts.section.height).await?;
    Ok(ProofDocument {
        format: PROOF_FORMAT.to_owned(),
        request: answered.request,
        response: answered.response,
        receipt: answered.receipt,
        keyset: KeysetSection::new(&call.registration.subject, &call.registration.keyset),
        quote: QuoteSection {
            collateral: collateral.into_iter().map(Into::into).collect(),
            evidence: call.evidence.into(),
        },
        registration: RegistrationSection::new(&call.registration, &call.signature),
        anchor: anchored.map(|(_, path)| AnchorSection { path }),
        state_proof: parts.section,
        header: HeaderSection { receipt: headers(&receipt_run), state: headers(&state_run) },
        commitment: CommitmentSection {
            receipt: receipt_run.payload_head.into(),
            state: state_run.payload_head.into(),
        },
        finality: FinalitySection {
            genesis: genesis.to_canonical().into(),
            receipt: receipt_run.certificate.into(),
            state: state_run.certificate.into(),
        },
    })
}

fn headers(run: &FinalityProof) -> Vec<LowerHex> {
    run.headers.iter().cloned().map(LowerHex).collect()
}
