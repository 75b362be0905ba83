//! TLS that ends in this process (`spec/ingress.md`): connections come as the host relays them, and what is inside goes to the
//! app's socket.
//!
//! Invariants: the key of every certificate that the instance signs itself is of this boot, stands in the keyset and leaves the
//! process never; that of names which an authority certifies hangs on the app's root key. Plaintext goes to the app's socket alone.
//! Nothing is answered unless the instance serves. Which names lead here is the host's to say, and clients do not rely on it.

mod acme;
mod certificate;
mod channel;
mod face;
mod gate;
mod key;
mod plain;
mod record;
mod server;
mod shown;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use freehold_primitives::UnixSeconds;
use freehold_rpc::{app_server_name, instance_server_name};

pub(crate) use key::TlsKey;
pub(crate) use server::run;

use crate::{agent::Guest, config::IngressConfig, keys::Identity};
use face::Face;

/// What TLS needs while the instance serves.
pub(crate) struct Ingress {
    config: IngressConfig,
    /// Certificate and key of this boot, for every name.
    own: Arc<Face>,
    /// What an authority gave, for the app's domains.
    certified: RwLock<Option<Arc<Face>>>,
    /// Certificates that answer an authority's question, by name.
    challenges: Mutex<BTreeMap<String, Arc<Face>>>,
    /// The account at the authority.
    account: Mutex<Option<String>>,
    /// What answers an authority's questions over plain HTTP.
    thumbprint: Mutex<Option<String>>,
}

impl Ingress {
    /// Signs the certificate of this boot, from an hour before `now` to the end of the keyset.
    fn new(guest: &Guest, config: IngressConfig, now: UnixSeconds) -> Result<Self, rcgen::Error> {
        let identity = guest.identity().expect("an instance that serves is known");
        let names = names(guest, identity, &config);
        let own = Arc::new(Face::self_signed(&guest.keys().tls, &names, (now, identity.keyset.not_after))?);
        Ok(Self::with(config, own))
    }

    /// Nothing certified yet.
    fn with(config: IngressConfig, own: Arc<Face>) -> Self {
        let (certified, challenges) = (RwLock::default(), Mutex::default());
        Self { config, own, certified, challenges, account: Mutex::default(), thumbprint: Mutex::default() }
    }

    /// What is shown to a client that asks for a name.
    fn face(&self, name: Option<&str>) -> Arc<Face> {
        let is_domain = name.is_some_and(|name| self.config.domains.iter().any(|domain| domain == name));
        let certified = self.certified.read().unwrap_or_else(PoisonError::into_inner);
        match (is_domain, &*certified) {
            (true, Some(face)) => Arc::clone(face),
            _ => Arc::clone(&self.own),
        }
    }

    /// Answers an authority's question for a name, while the value lives.
    fn challenge(&self, name: Option<&str>) -> Option<Arc<Face>> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner).get(name?).map(Arc::clone)
    }

    fn set_challenges(&self, challenges: BTreeMap<String, Arc<Face>>) {
        *self.challenges.lock().unwrap_or_else(PoisonError::into_inner) = challenges;
    }

    fn certify(&self, face: Face) {
        *self.certified.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(face));
    }

    fn account(&self) -> Option<String> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn thumbprint(&self) -> Option<String> {
        self.thumbprint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_thumbprint(&self, thumbprint: String) {
        *self.thumbprint.lock().unwrap_or_else(PoisonError::into_inner) = Some(thumbprint);
    }

    fn set_account(&self, account: String) {
        *self.account.lock().unwrap_or_else(PoisonError::into_inner) = Some(account);
    }
}

/// Names of the certificate that the instance signs itself.
fn names(guest: &Guest, identity: &Identity, config: &IngressConfig) -> Vec<String> {
    let app = &guest.settings().app_id;
    let own = [instance_server_name(app, &identity.instance_id), app_server_name(app)];
    own.into_iter().chain(config.domains.iter().cloned()).collect()
}
