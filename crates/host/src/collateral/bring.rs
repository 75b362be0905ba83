//! Bringing what evidence of hardware needs to be judged: the vendor's collateral of its platform, before its registration is paid,
//! and the certificate of a report's key. Which platform it is, only evidence says.
//!
//! As the bot does, it submits nothing that the chain would not accept from anyone. Keeping it fresh is the bot's (`collateral
//! watch`), but renewals come by here too, so that an instance alone keeps its own platform's.

use std::sync::Arc;

use alloy_sol_types::SolCall as _;
use freehold_attestation::collateral_wanted;
use freehold_crypto::slots::COLLATERAL;
use freehold_primitives::{
    Digest, EvidenceKind, PlatformFamily, TrustDomain, TrustRoot,
    entries::{CollateralEntry, CollateralKind},
};
use freehold_rpc::VerifiedClient;

use super::{
    choice::{Candidate, is_newer},
    http::{FetchError, VendorClient, VendorUrl},
    registry::Registry,
    vcek,
    vendor::{Promotion, Round, SourceError, VendorSources},
};
use crate::{
    abi::ICollateral,
    error::HostError,
    payer::{Call, Payer},
};

/// Collateral that ends sooner than this is brought anew: Intel's lasts 30 days, and its vendor is asked at most once a lease.
const MARGIN_S: u64 = 3 * 86_400;

/// What a bringer works with.
pub(crate) struct BringerParts {
    pub(crate) chain: VerifiedClient,
    pub(crate) roots: Vec<TrustRoot>,
    pub(crate) sources: VendorSources,
    /// Pays for submissions.
    pub(crate) payer: Arc<Payer>,
}

/// Brings collateral.
pub(crate) struct Bringer {
    registry: Registry,
    roots: Vec<TrustRoot>,
    sources: VendorSources,
    payer: Arc<Payer>,
    client: VendorClient,
    /// The last certificate that was brought for a report's key, and where from.
    endorsed: Option<(String, Vec<u8>)>,
}

impl Bringer {
    /// # Errors
    /// [`HostError::Vendor`].
    pub(crate) fn new(parts: BringerParts) -> Result<Self, HostError> {
        let BringerParts { chain, roots, sources, payer } = parts;
        let (registry, client) = (Registry::new(chain), VendorClient::new(None)?);
        Ok(Self { registry, roots, sources, payer, client, endorsed: None })
    }

    /// Sees to it that what judges evidence stands on the chain, and gives the transactions that brought it.
    ///
    /// # Errors
    /// [`HostError::Vendor`], and every one of node and chain.
    pub(crate) async fn back(
        &self,
        evidence: &[u8],
        (kind, domain, family): (EvidenceKind, TrustDomain, PlatformFamily),
    ) -> Result<Vec<Digest>, HostError> {
        let wanted = collateral_wanted(kind, evidence, (domain, family)).map_err(SourceError::Refused)?;
        let now_unix_s = self.registry.now().await?;
        let mut round = Round::new(&self.client, &self.sources);
        let mut brought = Vec::new();
        for key in wanted {
            let standing = self.registry.collateral(key.0, &key.1).await?.map(|standing| standing.entry);
            if lasts(standing.as_ref(), now_unix_s) {
                continue;
            }
            // Of the others the evidence carries its chain, or nobody publishes any.
            let Some(subject) = self.sources.subject_of(&key, evidence) else { continue };
            let document = match round.document(&subject, Promotion::Standard).await {
                Ok(document) => document,
                // What stands judges still; the next renewal asks again.
                Err(error) if standing.as_ref().is_some_and(|entry| entry.expires_at > now_unix_s) => {
                    tracing::warn!(%error, %subject, "collateral is not renewed yet");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let candidate = Candidate::verified(&subject, document, &self.roots, now_unix_s)?;
            if is_newer(&candidate.verified, standing.as_ref()) {
                brought.push(self.submit(key, candidate.document).await?);
            }
        }
        Ok(brought)
    }

    async fn submit(&self, (kind, key): (CollateralKind, Vec<u8>), document: Vec<u8>) -> Result<Digest, HostError> {
        let data =
            ICollateral::submitCall { kind: kind as u8, key: key.into(), document: document.into() }.abi_encode();
        let call = Call { to: COLLATERAL, value_wei: 0, gas_min: 0, data };
        let (receipt, _) = self.payer.execute("accept collateral", call).await?;
        Ok(receipt.transaction_hash)
    }

    /// The certificate of the key that signed an SEV-SNP report, DER, as AMD's service gives it.
    ///
    /// # Errors
    /// [`HostError::Endorsement`], [`HostError::Vendor`].
    pub(crate) async fn endorsement(&mut self, report: &[u8]) -> Result<Vec<u8>, HostError> {
        let endorsed = endorsed(&self.client, &self.sources.amd, report, self.endorsed.take()).await?;
        Ok(self.endorsed.insert(endorsed).1.clone())
    }
}

/// The certificate of a report's key, and where it is from; what is known already is not asked for.
pub(super) async fn endorsed(
    client: &VendorClient,
    amd: &VendorUrl,
    report: &[u8],
    known: Option<(String, Vec<u8>)>,
) -> Result<(String, Vec<u8>), HostError> {
    let mut refusal = HostError::Endorsement("AMD's service was not asked");
    for path in vcek::paths(report)? {
        if let Some(known) = known.as_ref().filter(|(known, _)| *known == path) {
            return Ok(known.clone());
        }
        match client.get(&amd.below(&path)).await {
            Ok(answer) => return Ok((path, answer.body.to_vec())),
            // Of another product than was guessed.
            Err(error @ FetchError::Status { .. }) => refusal = error.into(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refusal)
}

/// Whether collateral judges for a while yet.
fn lasts(standing: Option<&CollateralEntry>, now_unix_s: u64) -> bool {
    standing.is_some_and(|entry| entry.expires_at > now_unix_s.saturating_add(MARGIN_S))
}
