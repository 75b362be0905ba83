//! Judging a live instance before anything is said to it: its own report, and what the chain knows of it under certificates.

use std::time::{SystemTime, UNIX_EPOCH};

use freehold_crypto::genesis_hash;
use freehold_primitives::{AppId, Digest, Genesis, NetworkKey, UnixSeconds, entries};
use freehold_rpc::{NodeClient, VerifiedClient};
use freehold_verify::{ChainTrust, EntryKey, InstanceClaim, UpgradeDemand, VerifiedInstance, verify_instance};
use rand::{TryRng as _, rngs::SysRng};

use crate::{error::AskError, report::Report, upgrades::AppUpgrades};

/// A header older than this by our clock does not answer for now.
const HEADER_AGE_S_MAX: u64 = 120;

/// Who judges.
pub(crate) struct Judge<'a> {
    pub(crate) node: &'a NodeClient,
    pub(crate) network_key: NetworkKey,
    /// The app that it must be of; any where none is named.
    pub(crate) app_id: Option<AppId>,
    /// What the app must promise about its upgrades.
    pub(crate) demand: &'a UpgradeDemand,
}

impl Judge<'_> {
    /// Judges a report for a nonce of ours.
    ///
    /// # Errors
    /// Every [`AskError`] that is about node, instance or chain.
    pub(crate) async fn verify(
        &self,
        genesis: &Genesis,
        report: &Report,
        nonce: &Digest,
    ) -> Result<VerifiedInstance, AskError> {
        let trust = ChainTrust {
            network_key: self.network_key,
            chain_id: genesis.chain_id,
            genesis_hash: genesis_hash(genesis),
        };
        let chain = VerifiedClient::new(self.node.clone(), trust);
        let key = EntryKey::Instance(report.keyset.subject);
        let instance = chain.entry::<entries::InstanceEntry>(&key).await?;
        let instance = instance.entry.ok_or(AskError::NotRegistered(report.keyset.subject))?;
        if self.app_id.is_some_and(|app_id| app_id != instance.app_id) {
            return Err(AskError::OtherApp { found: instance.app_id });
        }
        // These are read second, so that the header is newer than the instance's and answers for both ends of validity.
        let app_key = EntryKey::App(instance.app_id);
        let subjects = instance.deny_subjects().into_iter();
        let deny_keys: Vec<EntryKey> =
            subjects.map(|(kind, subject)| EntryKey::Deny(AppId::CHAIN, kind, subject)).collect();
        let (app, denied) = tokio::try_join!(
            chain.entry::<entries::AppEntry>(&app_key),
            chain.entries::<entries::DenyEntry>(&deny_keys)
        )?;
        let (header, denied) = denied;
        let denied: Vec<entries::DenyEntry> = denied.into_iter().flatten().collect();
        let age_s = unix_now().saturating_sub(header.time_unix_s());
        if age_s > HEADER_AGE_S_MAX {
            return Err(AskError::StaleNode { age_s });
        }
        let app = app.entry.ok_or(AskError::NoApp(instance.app_id))?;
        if !self.demand.is_empty() {
            AppUpgrades::read(&chain, instance.app_id).await?.check(&chain, self.demand).await?;
        }
        let collateral = crate::collect::collateral(self.node, &instance).await?;
        let collateral: Vec<&[u8]> = collateral.iter().map(Vec::as_slice).collect();
        Ok(verify_instance(&InstanceClaim {
            keyset: &report.keyset,
            quote: &report.quote,
            nonce,
            collateral: &collateral,
            genesis,
            header: &header,
            instance: &instance,
            app: &app,
            denied: &denied,
        })?)
    }
}

/// 32 random bytes: a nonce.
pub(crate) fn random_digest() -> Result<Digest, AskError> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| AskError::Randomness)?;
    Ok(Digest(bytes))
}

/// This machine's clock.
pub(crate) fn unix_now() -> UnixSeconds {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
