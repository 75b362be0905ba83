//! All secret keys of one boot. They are made in memory, leave it never, and die with the process.
//!
//! Invariant: no key here comes from a file, a caller or an earlier boot, so that a keyset names exactly one running
//! guest. What outlives a boot (the app's root key) comes from the validators and is not here.

use freehold_crypto::{AccountKey, Ed25519Secret, HpkeSecret, TransportSecret, keyset_digest, subject_digest};
use freehold_primitives::{Digest, Keyset, SubjectBody, TlsKey as NamedKey, UnixSeconds};
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysError, SysRng},
};

use crate::{config::Settings, ingress::TlsKey};

/// How long a keyset counts after boot: ACI's `not_after`, 30 days.
pub(crate) const KEYSET_LIFE_S: u64 = 30 * 86_400;

/// Secret keys of this boot.
pub(crate) struct BootKeys {
    pub(crate) receipt: Ed25519Secret,
    pub(crate) hpke: HpkeSecret,
    pub(crate) transport: TransportSecret,
    pub(crate) account: AccountKey,
    /// Of certificates that the instance signs itself.
    pub(crate) tls: TlsKey,
}

/// Public face of this boot.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) subject: SubjectBody,
    pub(crate) keyset: Keyset,
    pub(crate) instance_id: Digest,
    pub(crate) keyset_digest: Digest,
}

impl BootKeys {
    /// Makes all keys from the system's randomness.
    pub(crate) fn generate() -> Result<Self, SysError> {
        let mut rng = StdRng::try_from_rng(&mut SysRng)?;
        Ok(Self {
            receipt: Ed25519Secret::generate(&mut rng),
            hpke: HpkeSecret::generate(&mut rng),
            transport: TransportSecret::generate(&mut rng),
            account: AccountKey::generate(&mut rng),
            tls: TlsKey::generate(&mut rng),
        })
    }

    /// The public face of these keys under a configuration. `booted_at` is the time of the first certified header.
    pub(crate) fn identity(&self, settings: &Settings, booted_at: UnixSeconds) -> Identity {
        let subject = SubjectBody {
            chain_id: settings.chain.chain_id,
            genesis_hash: settings.chain.genesis_hash,
            app_id: settings.app_id,
            provider: settings.provider,
            account: self.account.account(),
            transport_key: self.transport.public(),
            config_digest: settings.config_digest,
        };
        let instance_id = subject_digest(&subject);
        // For any name; an instance that takes no TLS names none.
        let tls = NamedKey { domain: String::new(), spki_sha256: self.tls.spki_sha256() };
        let keyset = Keyset {
            subject: instance_id,
            not_after: booted_at.saturating_add(KEYSET_LIFE_S),
            receipt_key: self.receipt.public(),
            hpke_key: self.hpke.public(),
            tls_keys: settings.paths.ingress.iter().map(|_| tls.clone()).collect(),
        };
        let keyset_digest = keyset_digest(&keyset);
        Identity { subject, keyset, instance_id, keyset_digest }
    }
}
