//! Certificates of the app's domains by ACME (RFC 8555). Proven by TLS-ALPN-01 (RFC 8737): the one challenge that comes by the very
//! names and the very port that clients use, and that the host relays unread. Or, where the manifest says so, by HTTP-01 (RFC 8555
//! §8.3), which any instance answers: so one name may lead to several machines.
//!
//! Account key and certificate key hang on the app's root key: every instance has the same, and they survive restarts. A chain that
//! another instance shows already is taken instead of an order.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use freehold_crypto::{KeyError, KeyKind, app_key};
use freehold_primitives::UnixSeconds;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, Key, NewOrder, Order, OrderStatus, RetryPolicy,
};
use thiserror::Error;
use tokio::time::sleep;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use super::{
    Ingress,
    certificate::{Chain, ChainError},
    face::{Face, signing_request},
    gate::{GateClient, Now},
    key::TlsKey,
    record::{RecordFile, TlsRecord},
    shown,
};
use crate::{
    agent::Guest,
    clock::boot_ms,
    config::{AcmeChallenge, AcmeConfig},
    roots::Root,
    sealed_file::SealedError,
};

/// Names of the keys under the root key; apps cannot ask for them (`spec/local-api.md` §1).
const ACCOUNT_KEY: &str = "freehold/acme account key v1";
const DOMAIN_KEY: &str = "freehold/tls domain key v1";
/// Pause between two looks at whether an order is due.
const LOOK: Duration = Duration::from_secs(5);
/// How an order's state is asked for.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(90));

/// Why there is no new certificate.
#[derive(Debug, Error)]
#[non_exhaustive]
enum AcmeError {
    #[error("the host gives no way out to the authority")]
    NoGate,
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    #[error("the authority offers no challenge by {1:?} for {0}")]
    NoChallenge(String, ChallengeType),
    #[error("the authority did not take the proof: the order is {0:?}; do the domains lead to this machine's ingress?")]
    NotProven(OrderStatus),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("a certificate cannot be written: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Record(#[from] SealedError),
    #[error("the key under the app's root key is no key of this kind: {0}")]
    Key(#[from] KeyError),
}

/// Keeps the domains certified until it is dropped; where no authority is named, there is nothing to do.
pub(super) async fn keep(guest: Arc<Guest>, ingress: Arc<Ingress>) {
    let (Some(acme), Some(serving)) = (ingress.config.acme.clone(), guest.serving()) else { return };
    let clock = Arc::downgrade(&guest);
    let keeper = Keeper {
        file: RecordFile::new(&guest.settings().paths.state_dir, Arc::clone(&serving.roots)),
        gate: guest.settings().paths.egress.clone(),
        now: Arc::new(move || {
            let guest = clock.upgrade()?;
            let life = guest.life();
            life.now_unix_s(boot_ms())
        }),
        acme,
        ingress,
    };
    let mut record = keeper.file.load(&keeper.ingress.config.domains, &keeper.acme.directory);
    let mut shown = None;
    loop {
        let root = serving.roots.held().newest;
        if let Some(now) = (keeper.now)()
            && let Err(error) = keeper.look(&root, &mut record, &mut shown, now).await
        {
            tracing::warn!(%error, failures = record.failures, "the app's domains were not certified");
        }
        sleep(LOOK).await;
    }
}

/// A generation of the root key, and the end of the chain that is shown under it.
type Shown = Option<(u32, UnixSeconds)>;

struct Keeper {
    ingress: Arc<Ingress>,
    acme: AcmeConfig,
    file: RecordFile,
    gate: Option<PathBuf>,
    now: Now,
}

impl Keeper {
    /// Shows the chain that is kept, and orders another one where it is due.
    async fn look(
        &self,
        root: &Root,
        record: &mut TlsRecord,
        shown: &mut Shown,
        now: UnixSeconds,
    ) -> Result<(), AcmeError> {
        if shown.is_none_or(|(generation, _)| generation != root.generation) {
            self.ingress.set_thumbprint(derived(root, ACCOUNT_KEY)?.thumbprint());
            let key = derived(root, DOMAIN_KEY)?;
            // Of another generation's key, or none.
            *shown = Chain::read(&record.chain, &key.spki_sha256()).ok().map(|chain| {
                let not_after = chain.not_after;
                self.ingress.certify(Face::new(&key, chain.certificates));
                (root.generation, not_after)
            });
        }
        let is_due = shown.is_none_or(|(_, not_after)| now >= record.renew_at(not_after));
        if !is_due || now < record.not_before {
            return Ok(());
        }
        record.begins(now);
        self.file.store(record)?;
        let key = derived(root, DOMAIN_KEY)?;
        let newer_than = shown.map_or(now, |(_, not_after)| not_after);
        let (pem, chain) = match self.another_ones(&key, newer_than).await {
            Some(found) => found,
            None => {
                let ordered = self.order(root, &key, now).await;
                self.ingress.set_challenges(BTreeMap::new());
                let pem = ordered?;
                let chain = Chain::read(&pem, &key.spki_sha256())?;
                (pem, chain)
            }
        };
        *shown = Some((root.generation, chain.not_after));
        self.ingress.certify(Face::new(&key, chain.certificates));
        record.succeeded(pem, chain.not_after, now);
        self.file.store(record)?;
        tracing::info!(not_after = chain.not_after, "the app's domains are certified");
        Ok(())
    }

    /// A newer chain than that, from another instance behind the same names.
    async fn another_ones(&self, key: &TlsKey, newer_than: UnixSeconds) -> Option<(String, Chain)> {
        let gate = self.gate.as_deref().filter(|_| self.acme.challenge == AcmeChallenge::Http01)?;
        let found = shown::shown(gate, &self.ingress.config.domains, &key.spki_sha256()).await?;
        (found.1.not_after > newer_than).then_some(found)
    }

    /// Orders a certificate of the domains for the key; the chain, PEM.
    async fn order(&self, root: &Root, key: &TlsKey, now: UnixSeconds) -> Result<String, AcmeError> {
        let account = self.account(root).await?;
        self.ingress.set_account(account.id().to_owned());
        let domains = &self.ingress.config.domains;
        let identifiers: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        self.prove(&mut order, now).await?;
        match order.poll_ready(&POLLING).await? {
            OrderStatus::Ready | OrderStatus::Valid => {}
            status => return Err(AcmeError::NotProven(status)),
        }
        order.finalize_csr(&signing_request(key, domains)?).await?;
        Ok(order.poll_certificate(&POLLING).await?)
    }

    /// The account of the app's key, made at the first use.
    async fn account(&self, root: &Root) -> Result<Account, AcmeError> {
        let gate = self.gate.clone().ok_or(AcmeError::NoGate)?;
        let roots = Arc::new(self.acme.roots.iter().map(|root| root.0.clone()).collect());
        let client = GateClient { gate, roots, now: Arc::clone(&self.now) };
        let key = derived(root, ACCOUNT_KEY)?;
        let secret = PrivateKeyDer::Pkcs8(key.pkcs8()).clone_key();
        let own = Key::from_pkcs8_der(key.pkcs8())?;
        let builder = Account::builder_with_http(Box::new(client));
        let (account, _) = builder.create_from_key((own, secret), self.acme.directory.clone()).await?;
        Ok(account)
    }

    /// Lets the authority see that the domains lead here.
    async fn prove(&self, order: &mut Order, now: UnixSeconds) -> Result<(), AcmeError> {
        let mut challenges = BTreeMap::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let kind = match self.acme.challenge {
                AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
                AcmeChallenge::Http01 => ChallengeType::Http01,
            };
            let Some(mut challenge) = authorization.challenge(kind.clone()) else {
                return Err(AcmeError::NoChallenge(name, kind));
            };
            if self.acme.challenge == AcmeChallenge::TlsAlpn01 {
                let face = Face::challenge(&name, challenge.key_authorization().digest().as_ref(), now)?;
                challenges.insert(name, Arc::new(face));
                self.ingress.set_challenges(challenges.clone());
            }
            challenge.set_ready().await?;
        }
        Ok(())
    }
}

/// The key of a name under the root key; one in 2^32 is none.
fn derived(root: &Root, name: &str) -> Result<TlsKey, KeyError> {
    let mut secret = Zeroizing::new([0; 32]);
    secret.copy_from_slice(&app_key(&root.secret[..], KeyKind::Raw256, name.as_bytes()));
    TlsKey::from_secret(&secret)
}
