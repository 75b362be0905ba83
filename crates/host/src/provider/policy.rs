//! What a provider serves and what it refuses: its own rules, in `host.toml`, before anything is fetched or started.
//!
//! Pure: a rental and its offer, or a bundle that was checked, against the rules.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use freehold_bundle::{Bundle, BundleError, Egress, Kind, Manifest};
use freehold_primitives::{Account, AppId, Digest};
use freehold_rpc::{RefusalCode, RentalRefusal};
use serde::Deserialize;
use thiserror::Error;

use crate::error::HostError;

/// A kind of app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedKind {
    /// One program.
    Process,
    /// Containers, which need root and `runc` here.
    Container,
}

/// Whom apps may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedEgress {
    /// Nobody: an app that wants a network is refused.
    Deny,
    /// Everybody.
    Open,
}

/// A provider's rules. What is not said is the careful choice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderPolicy {
    /// The provider's offers that this machine serves; all of them where empty.
    pub offers: Vec<u64>,
    /// Apps that are run; any where empty.
    pub apps: Vec<AppId>,
    /// Kinds of apps that are run.
    pub kinds: Vec<AllowedKind>,
    /// Most rentals at once.
    pub rentals_max: usize,
    /// Most processors of one app.
    pub cpus_max: u64,
    /// Most memory of one app, MiB.
    pub memory_mib_max: u64,
    /// Most bytes of one app's bundle and storage, MiB.
    pub disk_mib_max: u64,
    /// Whom apps may reach.
    pub egress: AllowedEgress,
    /// Least price of a second, in base units of the offer's token.
    pub price_per_second_min: u64,
    /// Tokens that are taken beside the native coin.
    pub tokens: Vec<Account>,
    /// Folders with bundles, each under its digest.
    pub stores: Vec<PathBuf>,
    /// Beginnings of addresses that bundles are fetched from: `https://…/`, or `oci://HOST/NAME` for a registry.
    pub sources: Vec<String>,
}

impl Default for ProviderPolicy {
    fn default() -> Self {
        Self {
            offers: Vec::new(),
            apps: Vec::new(),
            kinds: vec![AllowedKind::Process],
            rentals_max: 4,
            cpus_max: 1,
            memory_mib_max: 1024,
            disk_mib_max: 1024,
            egress: AllowedEgress::Deny,
            price_per_second_min: 0,
            tokens: Vec::new(),
            stores: Vec::new(),
            sources: Vec::new(),
        }
    }
}

/// What is asked for by renting, as the chain says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) app_id: AppId,
    pub(crate) token: Account,
    pub(crate) price_per_second: u128,
    /// What the offer promises.
    pub(crate) cpus: u64,
    pub(crate) memory_mib: u64,
}

/// Why something is not served.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("this provider runs only apps that it names, and {0} is none of them")]
    App(AppId),
    #[error("{0} rentals are served already, which is all that this provider takes")]
    Full(usize),
    #[error("a second costs {found}, and this provider asks for {least} at least")]
    Price { found: u128, least: u64 },
    #[error("this provider is not paid in the token 0x{0}")]
    Token(Account),
    #[error("this provider runs no apps of this kind ({0})")]
    Kind(&'static str),
    #[error("it wants {wanted} processors, and {most} are given")]
    Cpus { wanted: u64, most: u64 },
    #[error("it wants {wanted} MiB of memory, and {most} are given")]
    Memory { wanted: u64, most: u64 },
    #[error("it wants {wanted} MiB of disk, and {most} are given")]
    Disk { wanted: u64, most: u64 },
    #[error("it wants a network, which this provider gives to no app")]
    Egress,
    #[error("this provider fetches no bundle from {0}: see its `sources`")]
    Source(String),
    #[error("no store of this provider has the bundle {0}: bring it there, or name a source")]
    NotStored(Digest),
    #[error("the bundle is refused: {0}")]
    Bundle(BundleError),
    #[error("{0}")]
    CannotRun(HostError),
    #[error("it is no command, or of no account (spec/provider-api.md)")]
    Malformed,
    #[error("the command is for another provider or another chain")]
    OtherProvider,
    #[error("this provider serves no rental {0} now")]
    UnknownRental(u64),
    #[error("only the account that rented it commands here")]
    NotTheRenter,
    #[error("the command was signed at another time than now: set the clock, and sign it anew")]
    Stale,
    #[error("a command of this time or a later one was taken already: sign it anew")]
    Replayed,
    #[error("no bundle was deployed yet")]
    NoBundle,
    #[error("it cannot be written down here: {0}")]
    Internal(String),
}

impl Refusal {
    pub(crate) const fn code(&self) -> RefusalCode {
        match self {
            Self::App(_) => RefusalCode::AppNotAllowed,
            Self::Full(_) => RefusalCode::Full,
            Self::Price { .. } | Self::Token(_) => RefusalCode::Price,
            Self::Kind(_) => RefusalCode::Kind,
            Self::Cpus { .. } => RefusalCode::Cpus,
            Self::Memory { .. } => RefusalCode::Memory,
            Self::Disk { .. } => RefusalCode::Disk,
            Self::Egress => RefusalCode::Egress,
            Self::Source(_) => RefusalCode::Source,
            Self::NotStored(_) => RefusalCode::Unavailable,
            Self::Bundle(_) => RefusalCode::Bundle,
            Self::CannotRun(_) => RefusalCode::CannotRun,
            Self::Malformed => RefusalCode::Malformed,
            Self::OtherProvider => RefusalCode::OtherProvider,
            Self::UnknownRental(_) => RefusalCode::UnknownRental,
            Self::NotTheRenter => RefusalCode::NotTheRenter,
            Self::Stale => RefusalCode::Stale,
            Self::Replayed => RefusalCode::Replayed,
            Self::NoBundle => RefusalCode::NoBundle,
            Self::Internal(_) => RefusalCode::Internal,
        }
    }

    pub(crate) fn told(&self) -> RentalRefusal {
        RentalRefusal { code: self.code(), message: self.to_string() }
    }
}

impl ProviderPolicy {
    /// Whether a rental is served; `served` are so many already.
    pub(crate) fn admits(&self, wish: &Wish, served: usize) -> Result<(), Refusal> {
        if !self.apps.is_empty() && !self.apps.contains(&wish.app_id) {
            return Err(Refusal::App(wish.app_id));
        }
        if wish.token != Account::ZERO && !self.tokens.contains(&wish.token) {
            return Err(Refusal::Token(wish.token));
        }
        if wish.price_per_second < u128::from(self.price_per_second_min) {
            return Err(Refusal::Price { found: wish.price_per_second, least: self.price_per_second_min });
        }
        if served >= self.rentals_max { Err(Refusal::Full(served)) } else { Ok(()) }
    }

    /// Whether a bundle is run for a rental.
    pub(crate) fn admits_bundle(&self, bundle: &Bundle, wish: &Wish) -> Result<(), Refusal> {
        let disk_mib = bundle.bytes().div_ceil(1024 * 1024);
        self.admits_manifest(bundle.manifest(), disk_mib, wish)
    }

    fn admits_manifest(&self, manifest: &Manifest, bundle_mib: u64, wish: &Wish) -> Result<(), Refusal> {
        let (kind, name) = match manifest.kind {
            Kind::Process => (AllowedKind::Process, "process"),
            Kind::Container => (AllowedKind::Container, "container"),
        };
        if !self.kinds.contains(&kind) {
            return Err(Refusal::Kind(name));
        }
        let resources = &manifest.resources;
        let most = self.cpus_max.min(wish.cpus);
        if resources.cpus > most {
            return Err(Refusal::Cpus { wanted: resources.cpus, most });
        }
        let limits = manifest.additions.process.as_ref().and_then(|process| process.limits.memory_mib);
        let wanted = resources.memory_mib.max(limits.unwrap_or(0));
        let most = self.memory_mib_max.min(wish.memory_mib);
        if wanted > most {
            return Err(Refusal::Memory { wanted, most });
        }
        let wanted = resources.storage.1.saturating_add(bundle_mib);
        if wanted > self.disk_mib_max {
            return Err(Refusal::Disk { wanted, most: self.disk_mib_max });
        }
        if manifest.additions.egress != Egress::Deny && self.egress == AllowedEgress::Deny {
            return Err(Refusal::Egress);
        }
        Ok(())
    }

    /// Whether bundles may be fetched from an address: it begins with one that is named, and nothing in it leads elsewhere.
    pub(crate) fn admits_source(&self, source: &str) -> Result<(), Refusal> {
        let is_plain = !source.contains("..") && !source.contains(['?', '#', '%', '\\', '@']);
        let is_below = |prefix: &String| {
            let rest = source.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if is_plain && self.sources.iter().any(is_below) { Ok(()) } else { Err(Refusal::Source(source.to_owned())) }
    }
}
