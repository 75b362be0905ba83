//! Key release, the instance's side: generations and grants under certificates, shares from the validators, the key
//! opened and checked (`spec/key-service.md` §7, §8).
//!
//! Invariant: a key counts only where it verifies under the derived public key of the genesis' master, or of a
//! later one that the chain proves; nothing that the
//! relay or a validator says can make it another. The polynomial that finds a wrong share is that of the committee whose
//! shares came, from the genesis or proven.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy_sol_types::SolCall as _;
use freehold_crypto::{
    Derivation, DerivedKey, EncryptedShare, Polynomial, StateRootKey, ThresholdError,
    slots::{KEYS, grant_id},
};
use freehold_primitives::{
    AppId, Generation, Genesis, NetworkKey, Term, UnixSeconds,
    entries::{CommitteeEntry, GrantEntry, KeyContextEntry, MastersEntry, SETTINGS_CONTEXT},
};
use freehold_rpc::{Checked, KeyShares, VerifiedClient, VerifiedError};
use freehold_verify::EntryKey;
use tokio::time::{Instant, sleep};

use crate::{
    abi::IKeys,
    chain::ChainError,
    config::Settings,
    keys::{BootKeys, Identity},
    roots::{Root, Roots},
    sender::AccountSender,
};

/// Context of the app's root key.
pub(crate) const ROOT_CONTEXT: &str = "root";
/// Purpose under which the root secret is taken out of the derived key (`spec/local-api.md` §5).
pub(crate) const ROOT_PURPOSE: &str = "freehold app root key v1";
/// Longest wait for the grant and enough shares.
const KEYS_WAIT: Duration = Duration::from_secs(20);
/// How long a grant may be missing before the instance asks for it itself.
const REQUEST_AFTER: Duration = Duration::from_secs(2);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Polynomials that are kept.
const COMMITTEES_KEPT: usize = 8;

/// Which generations of the root context are served, as of a certified header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generations {
    pub(crate) newest: Generation,
    pub(crate) previous: Option<Generation>,
    /// Until when the previous one is served.
    pub(crate) previous_until: UnixSeconds,
}

/// Grants of the root context.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) generations: Generations,
    /// Says under which master each generation is.
    context: KeyContextEntry,
    pub(crate) newest: GrantEntry,
    pub(crate) previous: Option<GrantEntry>,
}

/// The generations of the root context.
pub(crate) async fn generations(chain: &VerifiedClient, app: &AppId) -> Result<Generations, ChainError> {
    context(chain, app, ROOT_CONTEXT).await.map(|(_, generations)| generations)
}

/// A context as the chain has it, and which of its generations are served.
async fn context(
    chain: &VerifiedClient,
    app: &AppId,
    name: &str,
) -> Result<(KeyContextEntry, Generations), ChainError> {
    let key = EntryKey::KeyContext(*app, name.to_owned());
    let Checked { header, entry } = chain.entry::<KeyContextEntry>(&key).await?;
    let own = |entry: &KeyContextEntry| entry.app_id == *app && entry.context == name;
    let entry = entry.filter(own).unwrap_or_else(|| KeyContextEntry::first(*app, name.to_owned(), 0));
    let previous = entry.previous(header.time_unix_s());
    let previous_until = previous.map_or(0, |_| entry.previous_until);
    let generations = Generations { newest: entry.generation, previous, previous_until };
    Ok((entry, generations))
}

/// Looks for the grants of the root context; `guess` is the generation that most likely is the newest.
pub(crate) async fn granted(
    chain: &VerifiedClient,
    identity: &Identity,
    guess: Generation,
) -> Result<Granted, ChainError> {
    // Both proofs wait for the same certificate.
    let (root, guessed) = tokio::join!(
        context(chain, &identity.subject.app_id, ROOT_CONTEXT),
        live_grant(chain, identity, (ROOT_CONTEXT, guess))
    );
    let (context, generations) = root?;
    let newest = if generations.newest == guess {
        guessed?
    } else {
        live_grant(chain, identity, (ROOT_CONTEXT, generations.newest)).await?
    };
    let previous = match generations.previous {
        Some(generation) => live_grant(chain, identity, (ROOT_CONTEXT, generation)).await.ok(),
        None => None,
    };
    Ok(Granted { generations, context, newest, previous })
}

/// The live grant of a generation of a context.
async fn live_grant(
    chain: &VerifiedClient,
    identity: &Identity,
    (context, generation): (&str, Generation),
) -> Result<GrantEntry, ChainError> {
    let id = grant_id(&identity.instance_id, context, generation);
    let Checked { header, entry } = chain.entry::<GrantEntry>(&EntryKey::Grant(id)).await?;
    let own = |grant: &GrantEntry| {
        grant.grant_id == id
            && grant.app_id == identity.subject.app_id
            && grant.instance_id == identity.instance_id
            && grant.context == context
            && grant.generation == generation
            && grant.transport_key == identity.subject.transport_key
            && grant.closed_at.is_none()
            && grant.until > header.time_unix_s()
    };
    entry.filter(own).ok_or_else(|| ChainError::NoGrant(context.to_owned()))
}

/// A master that counts: the genesis', or one that the chain proves.
#[derive(Clone, Copy)]
struct Master {
    generation: Generation,
    public_key: NetworkKey,
}

impl Master {
    /// That of a generation.
    async fn find(chain: &VerifiedClient, genesis: &Genesis, generation: Generation) -> Result<Self, ChainError> {
        let found = chain.master_key(genesis, generation).await?;
        let public_key = found.ok_or(ChainError::NoMaster(generation))?;
        Ok(Self { generation, public_key })
    }

    /// The public polynomial of its shares in a term, as the genesis or a proven entry has it.
    async fn coefficients(
        &self,
        chain: &VerifiedClient,
        genesis: &Genesis,
        term: Term,
    ) -> Result<Vec<NetworkKey>, ChainError> {
        match (self.generation, term) {
            (0, 0) => Ok(genesis.derivation_polynomial.clone()),
            (0, _) => {
                let Checked { entry, .. } = chain.entry::<CommitteeEntry>(&EntryKey::Committee(term)).await?;
                Ok(entry.ok_or(ChainError::NoCommittee(term))?.derivation_polynomial)
            }
            (generation, _) => {
                let Checked { entry, .. } = chain.entry::<MastersEntry>(&EntryKey::Masters(term)).await?;
                let live = entry.ok_or(ChainError::NoCommittee(term))?.live;
                let found = live.into_iter().find(|master| master.generation == generation);
                Ok(found.ok_or(ChainError::NoCommittee(term))?.polynomial)
            }
        }
    }
}

/// Polynomials of the committees whose shares came, by term and generation of the master.
#[derive(Default)]
pub(crate) struct Committees(Mutex<BTreeMap<(Term, Generation), Arc<Polynomial>>>);

impl Committees {
    /// The polynomial of a master in a term.
    async fn polynomial(
        &self,
        chain: &VerifiedClient,
        genesis: &Genesis,
        (term, master): (Term, &Master),
    ) -> Result<Arc<Polynomial>, ChainError> {
        let key = (term, master.generation);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let coefficients = master.coefficients(chain, genesis, term).await?;
        if coefficients.first() != Some(&master.public_key) {
            return Err(ThresholdError::Master.into());
        }
        let polynomial = Arc::new(Polynomial::new(&coefficients)?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(key, Arc::clone(&polynomial));
        if kept.len() > COMMITTEES_KEPT {
            kept.pop_first();
        }
        Ok(polynomial)
    }
}

/// What a release works with.
pub(crate) struct Release<'a> {
    pub(crate) chain: &'a VerifiedClient,
    pub(crate) settings: &'a Settings,
    pub(crate) identity: &'a Identity,
    pub(crate) keys: &'a BootKeys,
    pub(crate) committees: &'a Committees,
    pub(crate) sender: &'a AccountSender,
}

impl Release<'_> {
    /// Fetches the app's root key, and the one before where it is served: the grants under a certificate, then the
    /// validators' shares.
    pub(crate) async fn roots(&self, seen: Option<Granted>) -> Result<Roots, ChainError> {
        let end = Instant::now() + KEYS_WAIT;
        let granted = self.wait_for_grants(seen, end).await?;
        let context = &granted.context;
        let newest = self.wait_for_key(&granted.newest, context, end).await?;
        let previous = match &granted.previous {
            Some(grant) => Some(self.wait_for_key(grant, context, end).await?),
            None => None,
        };
        Ok(Roots { newest, previous, previous_until: granted.generations.previous_until })
    }

    async fn wait_for_grants(&self, seen: Option<Granted>, end: Instant) -> Result<Granted, ChainError> {
        if let Some(granted) = seen {
            return Ok(granted);
        }
        let ask_at = Instant::now() + REQUEST_AFTER;
        let (mut guess, mut has_asked) = (0, false);
        loop {
            let error = match granted(self.chain, self.identity, guess).await {
                Ok(granted) => return Ok(granted),
                Err(error) => error,
            };
            if Instant::now() >= end {
                return Err(error);
            }
            if matches!(error, ChainError::NoGrant(_)) && Instant::now() >= ask_at && !has_asked {
                // The context may have been rotated since the registration granted it.
                guess = generations(self.chain, &self.settings.app_id).await.map_or(guess, |found| found.newest);
                has_asked = true;
                if let Err(error) = self.request(ROOT_CONTEXT).await {
                    tracing::debug!(%error, "the grant could not be asked for");
                }
            }
            sleep(POLL).await;
        }
    }

    async fn wait_for_key(
        &self,
        grant: &GrantEntry,
        context: &KeyContextEntry,
        end: Instant,
    ) -> Result<Root, ChainError> {
        loop {
            match self.key(grant, context.master_of(grant.generation)).await {
                Ok(root) => return Ok(root),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(error) => tracing::debug!(%error, generation = grant.generation, "no root key yet"),
            }
            sleep(POLL).await;
        }
    }

    /// One try: a generation of the app's root key.
    async fn key(&self, grant: &GrantEntry, master: Generation) -> Result<Root, ChainError> {
        let (_, key) = self.derived(grant, master).await?;
        Ok(Root { generation: grant.generation, secret: key.secret(ROOT_PURPOSE) })
    }

    /// One try: the key that settings of the app are sealed to, of a generation.
    pub(crate) async fn settings_key(&self, generation: Generation) -> Result<(Derivation, DerivedKey), ChainError> {
        let grant = live_grant(self.chain, self.identity, (SETTINGS_CONTEXT, generation)).await?;
        let (context, _) = context(self.chain, &grant.app_id, SETTINGS_CONTEXT).await?;
        self.derived(&grant, context.master_of(generation)).await
    }

    /// One try: the shares for a grant, combined and opened.
    async fn derived(&self, grant: &GrantEntry, master: Generation) -> Result<(Derivation, DerivedKey), ChainError> {
        let master = Master::find(self.chain, &self.settings.genesis, master).await?;
        let derivation = Derivation::new(&master.public_key, &grant.app_id, &grant.context, grant.generation)?;
        let shares = self.chain.node().key_shares(&grant.grant_id).await.map_err(VerifiedError::from)?;
        let key = self.open((&master, &derivation), shares).await?;
        Ok((derivation, key))
    }

    /// One try: a state root key, which the chain gives to executors (`spec/confidential-state.md` §7).
    pub(crate) async fn state_key(&self, generation: Generation) -> Result<StateRootKey, ChainError> {
        // State root keys are under the genesis' master always.
        let master = Master::find(self.chain, &self.settings.genesis, 0).await?;
        let derivation = StateRootKey::derivation(&master.public_key, generation)?;
        let asked = self.chain.node().state_key_shares(&self.identity.instance_id, generation).await;
        let key = self.open((&master, &derivation), asked.map_err(VerifiedError::from)?).await?;
        Ok(StateRootKey::derived(generation, &key))
    }

    /// Combines shares, opens what they make, and checks it under the derived public key.
    async fn open(
        &self,
        (master, derivation): (&Master, &Derivation),
        KeyShares { term, shares }: KeyShares,
    ) -> Result<DerivedKey, ChainError> {
        let polynomial = self.committees.polynomial(self.chain, &self.settings.genesis, (term, master)).await?;
        // A share that is no point is as good as none; one that is wrong is found when the key is opened.
        let good = |share: &freehold_rpc::KeyShare| {
            EncryptedShare::from_bytes(&share.share.0).ok().filter(|read| read.index() == share.index)
        };
        let mut shares: Vec<EncryptedShare> = shares.iter().filter_map(good).collect();
        shares.sort_by_key(EncryptedShare::index);
        shares.dedup_by_key(|share| share.index());
        Ok(self.keys.transport.recover(&polynomial, derivation, &shares)?)
    }

    /// Asks for the grants of a context, in a transaction of the instance's own account.
    pub(crate) async fn request(&self, context: &str) -> Result<(), ChainError> {
        let call = IKeys::requestCall { context: context.to_owned() };
        Ok(self.sender.send(KEYS, call.abi_encode()).await?)
    }
}
