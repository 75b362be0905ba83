//! The bot: one round after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use alloy_sol_types::SolCall as _;
use freehold_attestation::{Evidence, collateral_wanted};
use freehold_crypto::{AccountKey, genesis_hash, slots::COLLATERAL};
use freehold_primitives::{
    Account, AppId, Genesis, NetworkKey, TrustDomain, UnixSeconds,
    entries::{CollateralKind, collateral_key},
};
use freehold_rpc::{ChainTrust, Endpoint, NodeClient, VerifiedClient};
use rand::{TryRng as _, rngs::SysRng};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use zeroize::Zeroizing;

use super::{
    choice::{Candidate, Offer},
    http::{FetchError, VendorClient},
    outlook::{Terms, foresee, remedy},
    pace::Pace,
    registry::{LiveInstance, Registry, Standing},
    report::{Basis, CollateralEvent, CollateralWarning, RoundSummary},
    vendor::{Promotion, Round, SourceError, Subject, VendorSources},
};
use crate::{
    abi::{ICollateral, explain},
    error::HostError,
    payer::{Call, Payer},
};

/// Whether vendors are asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VendorUse {
    /// They are asked, and what is newer is submitted.
    Fetch,
    /// Only what stands on the chain is looked at.
    None,
}

/// Whether a vendor is asked for what it publishes ahead of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyLook {
    /// It is asked.
    Ask,
    /// It is not: for caches that do not know the question.
    Skip,
}

/// What the bot is told. No `Debug`: it holds an account's secret.
#[derive(Clone)]
pub struct CollateralConfig {
    /// JSON-RPC of the node.
    pub node: Endpoint,
    /// The network key that answers are held to.
    pub network_key: NetworkKey,
    /// Genesis of the chain.
    pub genesis: Genesis,
    /// Secret of the account that pays for submissions; `None` submits nothing.
    pub payer_secret: Option<Zeroizing<[u8; 32]>>,
    /// Whether vendors are asked.
    pub vendors: VendorUse,
    /// Where documents come from.
    pub sources: VendorSources,
    /// Authorities (PEM) that services of the operator's own are trusted by, beside the public web's.
    pub authorities: Option<Vec<u8>>,
    /// What to keep fresh, beside what live instances need.
    pub subjects: Vec<Subject>,
    /// Apps whose instances count; empty takes every app of the chain.
    pub apps: Vec<AppId>,
    /// Warn of this provider's instances only; collateral is kept for all.
    pub provider: Option<Account>,
    /// Which of a vendor's documents is submitted.
    pub promotion: Promotion,
    /// Whether promotions are foreseen.
    pub early: EarlyLook,
    /// How far ahead instances are judged.
    pub notice: Duration,
    /// How long before its end collateral is warned of.
    pub expiry_notice: Duration,
    /// Pause between good rounds.
    pub interval: Duration,
}

/// Kind of collateral and key within it.
type Key = (CollateralKind, Vec<u8>);

/// The collateral bot.
pub struct CollateralBot {
    config: CollateralConfig,
    client: VendorClient,
    registry: Registry,
    payer: Option<Arc<Payer>>,
    events: mpsc::UnboundedSender<CollateralEvent>,
}

/// What one round has gathered.
struct Gathered {
    now_unix_s: UnixSeconds,
    instances: Vec<(LiveInstance, Vec<Key>)>,
    subjects: BTreeSet<Subject>,
    standing: BTreeMap<Key, Standing>,
    offers: BTreeMap<Key, (Subject, Offer)>,
}

impl CollateralBot {
    /// A bot that tells on `events` what happens.
    ///
    /// # Errors
    /// [`HostError::Key`], [`HostError::Vendor`] for authorities that cannot be read.
    pub fn new(config: CollateralConfig, events: mpsc::UnboundedSender<CollateralEvent>) -> Result<Self, HostError> {
        let node = NodeClient::new(config.node.clone());
        let chain_id = config.genesis.chain_id;
        let payer = config.payer_secret.as_ref().map(|secret| AccountKey::from_bytes(secret)).transpose()?;
        let payer = payer.map(|key| Payer::new(node.clone(), key, chain_id));
        let trust =
            ChainTrust { network_key: config.network_key, chain_id, genesis_hash: genesis_hash(&config.genesis) };
        let client = VendorClient::new(config.authorities.as_deref())?;
        let registry = Registry::new(VerifiedClient::new(node, trust));
        Ok(Self { config, client, registry, payer, events })
    }

    /// Rounds until it is stopped; gives what the last whole round came to.
    pub async fn watch(&mut self, mut stop: watch::Receiver<bool>) -> RoundSummary {
        let mut pace = Pace::new(self.config.interval);
        let mut last = RoundSummary::default();
        loop {
            // A round may end at any of its steps: each is whole by itself.
            let round = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return last,
                round = self.round() => round,
            };
            last = round;
            // Without randomness bots come at the same moment; that is no reason to stop.
            let pause = pace.after(&last, SysRng.try_next_u32().unwrap_or_default());
            self.tell(CollateralEvent::Pause { pause });
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return last,
                () = sleep(pause) => {}
            }
        }
    }

    /// One round: look, fetch, warn, submit. What fails is told and counted, and the rest goes on.
    pub async fn round(&mut self) -> RoundSummary {
        let mut summary = RoundSummary::default();
        let mut gathered = match self.look().await {
            Ok(gathered) => gathered,
            Err(error) => {
                self.fail(&mut summary, "look at the chain", &error);
                return summary;
            }
        };
        summary.instances = gathered.instances.len();
        if self.config.vendors == VendorUse::Fetch {
            self.fetch(&mut gathered, &mut summary).await;
        }
        self.warn_of_refusals(&gathered, &mut summary);
        if self.config.vendors == VendorUse::Fetch {
            self.submit(&mut gathered, &mut summary).await;
        }
        self.warn_of_ends(&gathered, &mut summary);
        summary
    }

    fn tell(&self, event: CollateralEvent) {
        // Whoever started the bot may have gone; the work goes on.
        let _ = self.events.send(event);
    }

    fn fail(&self, summary: &mut RoundSummary, what: &str, error: &HostError) {
        summary.failures += 1;
        if let HostError::Vendor(SourceError::Fetch(FetchError::Busy { retry_after, .. })) = error {
            summary.retry_after = summary.retry_after.max(Some(*retry_after));
        }
        let reason = match error {
            HostError::Node(node) => explain(node),
            other => other.to_string(),
        };
        self.tell(CollateralEvent::Failed { what: what.to_owned(), reason });
    }

    fn warn(&self, summary: &mut RoundSummary, warning: CollateralWarning) {
        summary.warnings += 1;
        self.tell(CollateralEvent::Warning(warning));
    }

    /// What lives on the chain, and what collateral stands for it and for the subjects of the configuration.
    async fn look(&mut self) -> Result<Gathered, HostError> {
        let now_unix_s = self.registry.now().await?;
        let mut subjects: BTreeSet<Subject> = self.config.subjects.iter().cloned().collect();
        let mut keys: BTreeSet<Key> = BTreeSet::new();
        for subject in &subjects {
            keys.extend(self.keys_of(subject));
        }
        let mut instances = Vec::new();
        for live in self.registry.live_instances(&self.config.apps, now_unix_s).await? {
            let stated = (live.entry.trust_domain, live.entry.family);
            // The chain has read it before: what cannot be read now is a node's damage.
            let wanted = collateral_wanted(live.entry.evidence_kind, &live.evidence, stated);
            let wanted = wanted.map_err(SourceError::Refused)?;
            let fetched = wanted.iter().filter_map(|key| self.config.sources.subject_of(key, &live.evidence));
            subjects.extend(fetched);
            keys.extend(wanted.iter().cloned());
            instances.push((live, wanted));
        }
        let mut standing = BTreeMap::new();
        for (kind, key) in keys {
            if let Some(stands) = self.registry.collateral(kind, &key).await? {
                standing.insert((kind, key), stands);
            }
        }
        Ok(Gathered { now_unix_s, instances, subjects, standing, offers: BTreeMap::new() })
    }

    /// Keys under which a subject's collateral may stand: one for each of the genesis's worlds.
    fn keys_of(&self, subject: &Subject) -> Vec<Key> {
        let Some(family) = subject.family() else { return Vec::new() };
        let domains: BTreeSet<TrustDomain> = self.config.genesis.trust_roots.iter().map(|root| root.domain).collect();
        let key = |domain| (subject.kind(), collateral_key(domain, &family).to_vec());
        domains.into_iter().filter(|domain| may_vouch(*domain, subject.kind())).map(key).collect()
    }

    /// Asks the vendors about every subject.
    async fn fetch(&self, gathered: &mut Gathered, summary: &mut RoundSummary) {
        let mut round = Round::new(&self.client, &self.config.sources);
        for subject in gathered.subjects.clone() {
            let mut asked = vec![Promotion::Standard];
            if subject.has_promotions() && self.config.early == EarlyLook::Ask {
                asked.push(Promotion::Early);
            }
            for promotion in asked {
                let document = round.document(&subject, promotion).await;
                let candidate = document.and_then(|document| self.verified(&subject, document, gathered.now_unix_s));
                match candidate {
                    Ok(candidate) => self.offer(gathered, &subject, (promotion, candidate)),
                    Err(error) => {
                        let what = format!("fetch {} collateral for {subject}", promotion.as_str());
                        self.fail(summary, &what, &error.into());
                    }
                }
            }
        }
        // What stands under keys that only the documents told.
        for (kind, key) in gathered.offers.keys() {
            if gathered.standing.contains_key(&(*kind, key.clone())) {
                continue;
            }
            match self.registry.collateral(*kind, key).await {
                Ok(Some(stands)) => drop(gathered.standing.insert((*kind, key.clone()), stands)),
                Ok(None) => {}
                Err(error) => self.fail(summary, "look at the chain", &error),
            }
        }
    }

    fn offer(&self, gathered: &mut Gathered, subject: &Subject, (promotion, candidate): (Promotion, Candidate)) {
        let verified = &candidate.verified;
        self.tell(CollateralEvent::Fetched {
            subject: subject.clone(),
            promotion,
            issued_at: verified.issued_at(),
            expires_at: verified.expires_at(),
            numbers: verified.numbers().clone(),
            bytes: candidate.document.len(),
        });
        let key = (subject.kind(), verified.key().clone());
        let (_, offer) = gathered.offers.entry(key).or_insert_with(|| (subject.clone(), Offer::default()));
        match promotion {
            Promotion::Standard => offer.standard = Some(candidate),
            Promotion::Early => offer.early = Some(candidate),
        }
    }

    /// Judges a document as the chain will: under the genesis's roots, at the chain's time.
    fn verified(
        &self,
        subject: &Subject,
        document: Vec<u8>,
        now_unix_s: UnixSeconds,
    ) -> Result<Candidate, SourceError> {
        Candidate::verified(subject, document, &self.config.genesis.trust_roots, now_unix_s)
    }

    fn warn_of_refusals(&self, gathered: &Gathered, summary: &mut RoundSummary) {
        for (live, wanted) in &gathered.instances {
            if self.config.provider.is_some_and(|provider| provider != live.entry.provider) {
                continue;
            }
            let mut told = None;
            for basis in [Basis::OnChain, Basis::Fetched, Basis::Early] {
                let Some(documents) = gathered.documents(wanted, (basis, self.config.promotion)) else { continue };
                let evidence =
                    Evidence { kind: live.entry.evidence_kind, bytes: &live.evidence, collateral: &documents };
                let terms = Terms {
                    roots: &self.config.genesis.trust_roots,
                    policy: &live.app.policy.evidence,
                    now_unix_s: gathered.now_unix_s,
                    notice_s: self.config.notice.as_secs(),
                };
                let Some(foreseen) = foresee(&evidence, &terms) else { continue };
                // The same refusal again, or a later one, is no news.
                if told.is_some_and(|from| from <= foreseen.from_unix_s) {
                    continue;
                }
                told = Some(foreseen.from_unix_s);
                let warning = CollateralWarning::InstanceRefused {
                    app_id: live.app.app_id,
                    instance_id: live.entry.instance_id,
                    provider: live.entry.provider,
                    evidence_kind: live.entry.evidence_kind,
                    family: live.entry.family,
                    platform: live.entry.platform,
                    refusal: foreseen.refusal,
                    tcb_status: foreseen.tcb_status,
                    from_unix_s: foreseen.from_unix_s,
                    basis,
                    remedy: remedy(&foreseen),
                };
                self.warn(summary, warning);
            }
        }
    }

    /// Submits what is newer, and takes what was accepted for what stands.
    async fn submit(&self, gathered: &mut Gathered, summary: &mut RoundSummary) {
        for ((kind, key), (subject, offer)) in &gathered.offers {
            let place = (*kind, key.clone());
            let standing = gathered.standing.get(&place).map(|standing| &standing.entry);
            let Some(candidate) = offer.to_submit(standing, self.config.promotion) else {
                self.tell(CollateralEvent::Current { subject: subject.clone() });
                continue;
            };
            let Some(payer) = &self.payer else {
                self.tell(CollateralEvent::NotSubmitted { subject: subject.clone() });
                continue;
            };
            let submitted = self.submit_one(payer, (*kind, key), (subject, candidate)).await;
            let stands = self.registry.collateral(*kind, key).await;
            match (submitted, stands) {
                (Ok(()), Ok(stands)) => {
                    summary.submitted += 1;
                    gathered.standing.extend(stands.map(|stands| (place, stands)));
                }
                // Somebody else was faster: what stands now leaves nothing to do.
                (Err(_), Ok(Some(stands))) if offer.to_submit(Some(&stands.entry), self.config.promotion).is_none() => {
                    self.tell(CollateralEvent::Current { subject: subject.clone() });
                    gathered.standing.insert(place, stands);
                }
                (Err(error), _) | (Ok(()), Err(error)) => {
                    self.fail(summary, &format!("submit collateral for {subject}"), &error);
                }
            }
        }
    }

    async fn submit_one(
        &self,
        payer: &Payer,
        (kind, key): (CollateralKind, &[u8]),
        (subject, candidate): (&Subject, &Candidate),
    ) -> Result<(), HostError> {
        let data = ICollateral::submitCall {
            kind: kind as u8,
            key: key.to_vec().into(),
            document: candidate.document.clone().into(),
        }
        .abi_encode();
        let (receipt, _) =
            payer.execute("accept collateral", Call { to: COLLATERAL, value_wei: 0, gas_min: 0, data }).await?;
        self.tell(CollateralEvent::Submitted {
            subject: subject.clone(),
            tx_hash: receipt.transaction_hash,
            height: receipt.block_number.0,
            gas_used: receipt.gas_used.0,
        });
        Ok(())
    }

    /// Tells what stands, and warns of what ends soon or is not there.
    fn warn_of_ends(&self, gathered: &Gathered, summary: &mut RoundSummary) {
        let horizon = gathered.now_unix_s.saturating_add(self.config.expiry_notice.as_secs());
        for ((kind, key), Standing { entry, .. }) in &gathered.standing {
            self.tell(CollateralEvent::Standing {
                kind: *kind,
                key: key.clone(),
                issued_at: entry.issued_at,
                expires_at: entry.expires_at,
                numbers: entry.numbers.clone(),
            });
            if entry.expires_at <= horizon {
                let warning =
                    CollateralWarning::Expiring { kind: *kind, key: key.clone(), expires_at: entry.expires_at };
                self.warn(summary, warning);
            }
        }
        for subject in &gathered.subjects {
            let told = gathered.offers.iter().filter(|(_, (about, _))| about == subject).map(|(key, _)| key.clone());
            let keys: Vec<Key> = self.keys_of(subject).into_iter().chain(told).collect();
            if !keys.iter().any(|key| gathered.standing.contains_key(key)) {
                self.warn(summary, CollateralWarning::Missing { subject: subject.clone() });
            }
        }
    }
}

/// Whether roots of a domain vouch for collateral of a kind.
const fn may_vouch(domain: TrustDomain, kind: CollateralKind) -> bool {
    match domain {
        TrustDomain::Emulated => true,
        TrustDomain::Intel => matches!(kind, CollateralKind::Dcap | CollateralKind::SgxDcap),
        TrustDomain::Amd => matches!(kind, CollateralKind::Snp),
        TrustDomain::Nvidia => matches!(kind, CollateralKind::Nvidia),
        TrustDomain::Aws => matches!(kind, CollateralKind::Nitro),
    }
}

impl Gathered {
    /// The documents that judge evidence under a basis; `None` where the basis says nothing new of them, or one that is
    /// needed is not there.
    fn documents(&self, wanted: &[Key], (basis, wanted_promotion): (Basis, Promotion)) -> Option<Vec<&[u8]>> {
        let mut is_new = basis == Basis::OnChain;
        let mut documents = Vec::with_capacity(wanted.len());
        for place in wanted {
            let standing = self.standing.get(place);
            let offer = self.offers.get(place).map(|(_, offer)| offer);
            let entry = standing.map(|standing| &standing.entry);
            let coming = match basis {
                Basis::OnChain => None,
                Basis::Fetched => offer.and_then(|offer| offer.to_submit(entry, wanted_promotion)),
                Basis::Early => offer.and_then(Offer::promotion),
            };
            is_new |= coming.is_some();
            let document = coming.map(|candidate| candidate.document.as_slice());
            let document = document.or_else(|| standing.map(|standing| standing.document.as_slice()));
            // Evidence of these carries its chain.
            let has_own = matches!(place.0, CollateralKind::Nitro | CollateralKind::Nvidia);
            documents.push(document.or(has_own.then_some(&[] as &[u8]))?);
        }
        is_new.then_some(documents)
    }
}
