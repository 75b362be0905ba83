//! The app on the chain: created once, its policy kept at the measurement of what runs, its collateral kept current.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_sol_types::SolCall as _;
use freehold_crypto::{
    app_id_from_creator_nonce, genesis_hash, measurement_digest,
    slots::{APPS, COLLATERAL},
};
use freehold_primitives::{
    AppId, AppPolicy, Canonical as _, Digest, EvidencePolicy, Genesis, Measurement, NetworkKey, ReleaseModel,
    TrustDomain,
    entries::{AppEntry, CollateralEntry, CollateralKind, SETTINGS_CONTEXT, UpgradeEntry, collateral_key},
};
use freehold_rpc::{ChainTrust, Endpoint, EntryKey, NodeClient, VerifiedClient};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    abi::{IApps, ICollateral},
    config::{EmulatedTee, PolicyChoice},
    error::HostError,
    event::HostEvent,
    machine::Machine,
    measure::Launch,
    payer::{Call, Payer},
    whole_file::write_whole,
};

/// Collateral that ends sooner than this is brought anew.
const COLLATERAL_MARGIN_S: u64 = 7 * 86_400;

/// File that names the app, in the data directory.
const APP_FILE: &str = "app.json";
/// App ids from the creating account and its nonce.
const SCHEME_NONCE: u8 = 1;

/// What is kept between runs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppFile {
    app_id: AppId,
}

/// Who registers the app, and where.
pub(crate) struct Registrar {
    pub(crate) chain: VerifiedClient,
    pub(crate) owner: Arc<Payer>,
    pub(crate) machine: Machine,
    pub(crate) data_dir: PathBuf,
    pub(crate) lease_s: u64,
    pub(crate) choice: PolicyChoice,
    /// What other machines of the app run, each admitted beside this launch.
    pub(crate) besides: Vec<AppPolicy>,
    pub(crate) events: mpsc::UnboundedSender<HostEvent>,
}

impl Registrar {
    fn tell(&self, event: HostEvent) {
        let _ = self.events.send(event);
    }

    /// What the app accepts: exactly this launch on this machine, and what its other machines run.
    fn policy(&self, launch: &Launch) -> AppPolicy {
        self.besides.iter().cloned().fold(policy_of(&self.machine, launch, self.lease_s), widened)
    }

    /// Creates the app, or updates its policy if other programs run now.
    pub(crate) async fn ensure_app(&self, launch: &Launch) -> Result<AppId, HostError> {
        let path = self.data_dir.join(APP_FILE);
        if let Some(app_id) = read(&path)? {
            if self.stands(app_id, launch).await {
                return Ok(app_id);
            }
            let entry = self.chain.entry::<AppEntry>(&EntryKey::App(app_id)).await?.entry;
            if let Some(entry) = entry {
                return self.keep_policy(app_id, &entry, launch, path).await;
            }
            // The file is of another chain: this one has no such app.
        }
        let app_id = self.create(launch).await?;
        write(&path, &AppFile { app_id })?;
        Ok(app_id)
    }

    /// Whether the node says that the app stands as it shall. Nothing is signed for that, so it needs no proof, for which an idle
    /// chain lets one wait for up to a second: where a node lies, the chain refuses the registration, and that is told.
    async fn stands(&self, app_id: AppId, launch: &Launch) -> bool {
        let key = EntryKey::App(app_id);
        let look = async {
            let proof = self.chain.node().proof(&key.module(), &[key.slot()]).await.ok()?;
            let value = proof.proofs.into_iter().next()?.value?.0;
            let content = self.chain.node().content(&Digest(value.try_into().ok()?)).await.ok()??;
            AppEntry::from_canonical(&content).ok()
        };
        let Some(entry) = look.await else { return false };
        let is_ours = entry.owner == self.owner.account() && entry.closed_at.is_none();
        is_ours && entry.policy == self.wanted(&entry.policy, launch)
    }

    /// The policy that shall stand where another one does.
    fn wanted(&self, standing: &AppPolicy, launch: &Launch) -> AppPolicy {
        match self.choice {
            PolicyChoice::Follow => self.policy(launch),
            PolicyChoice::Add => widened(standing.clone(), self.policy(launch)),
            PolicyChoice::Keep => standing.clone(),
        }
    }

    /// The app that the genesis names for validators and executors: created where that is this owner's to do, its policy
    /// kept where it is this owner's, and used as it is where it is somebody else's.
    pub(crate) async fn ensure_named(&self, genesis: &Genesis, launch: &Launch) -> Result<AppId, HostError> {
        let app_id = genesis.membership.app.ok_or(HostError::NoExecutors)?;
        let path = self.data_dir.join(APP_FILE);
        let entry = self.chain.entry::<AppEntry>(&EntryKey::App(app_id)).await?.entry;
        if let Some(entry) = entry {
            if entry.owner != self.owner.account() {
                return Ok(app_id);
            }
            return self.keep_policy(app_id, &entry, launch, path).await;
        }
        let nonce = self.chain.node().nonce(&self.owner.account()).await?;
        if app_id_from_creator_nonce(&self.owner.account(), nonce) != app_id {
            return Err(HostError::OtherCreator(app_id));
        }
        if self.create(launch).await? == app_id { Ok(app_id) } else { Err(HostError::ForeignApp(app_id, path)) }
    }

    async fn create(&self, launch: &Launch) -> Result<AppId, HostError> {
        let policy = self.policy(launch);
        one_world(&policy)?;
        let policy = policy.to_canonical();
        let data = IApps::createCall { scheme: SCHEME_NONCE, policy: policy.into() }.abi_encode();
        let call = Call { to: APPS, value_wei: 0, gas_min: 0, data };
        let (receipt, nonce) = self.owner.execute("create the app", call).await?;
        let app_id = app_id_from_creator_nonce(&self.owner.account(), nonce);
        let entry = self.chain.entry::<AppEntry>(&EntryKey::App(app_id)).await?.entry;
        if entry.is_none_or(|entry| entry.owner != self.owner.account()) {
            return Err(HostError::ForeignApp(app_id, self.data_dir.join(APP_FILE)));
        }
        self.tell(HostEvent::AppCreated { app_id, tx_hash: receipt.transaction_hash });
        Ok(app_id)
    }

    async fn keep_policy(
        &self,
        app_id: AppId,
        entry: &AppEntry,
        launch: &Launch,
        path: PathBuf,
    ) -> Result<AppId, HostError> {
        if entry.owner != self.owner.account() || entry.closed_at.is_some() {
            return Err(HostError::ForeignApp(app_id, path));
        }
        let policy = self.wanted(&entry.policy, launch);
        if entry.policy == policy {
            return Ok(app_id);
        }
        one_world(&policy)?;
        let upgrade = self.chain.entry::<UpgradeEntry>(&EntryKey::Upgrade(app_id)).await?.entry;
        if upgrade.is_some_and(|upgrade| !upgrade.rule.is_free()) {
            // The chain would refuse it. What is admitted already needs no change; what else is, is the owner's to drop.
            let is_admitted = widened(entry.policy.clone(), self.policy(launch)) == entry.policy;
            return if is_admitted { Ok(app_id) } else { Err(HostError::NoticePromised(app_id)) };
        }
        let data =
            IApps::updateCall { app: (*app_id.as_bytes()).into(), policy: policy.to_canonical().into() }.abi_encode();
        self.owner.execute("update the app's policy", Call { to: APPS, value_wei: 0, gas_min: 0, data }).await?;
        let old = measurements(&entry.policy.evidence);
        let new = self.machine.measurement(launch);
        self.tell(HostEvent::PolicyUpdated { app_id, version: entry.version + 1, old, new });
        Ok(app_id)
    }

    /// Brings the platform's collateral to the chain, unless what is there lasts.
    pub(crate) async fn ensure_collateral(&self) -> Result<(), HostError> {
        // What platform hardware is of, its first evidence says: its collateral is brought then.
        let Some(machine) = self.machine.emulated() else { return Ok(()) };
        let kind = machine.kind();
        let node = self.chain.node();
        let now = node.block("latest").await?.map_or(0, |block| block.timestamp.0);
        let key = collateral_key(TrustDomain::Emulated, &machine.family());
        if let Some(found) = node.collateral(kind, &key).await? {
            let entry = CollateralEntry::from_canonical(&found.entry.0);
            if entry.is_ok_and(|entry| entry.expires_at > now.saturating_add(COLLATERAL_MARGIN_S)) {
                return Ok(());
            }
        }
        let data = ICollateral::submitCall {
            kind: CollateralKind::of(kind).expect("a CPU has collateral of one kind") as u8,
            key: key.to_vec().into(),
            document: machine.collateral(now).into(),
        }
        .abi_encode();
        let call = Call { to: COLLATERAL, value_wei: 0, gas_min: 0, data };
        let (receipt, _) = self.owner.execute("accept collateral", call).await?;
        self.tell(HostEvent::CollateralSubmitted { tx_hash: receipt.transaction_hash });
        Ok(())
    }
}

/// An app's owner, for whom others run it. No `Debug`: it holds the account's secret.
pub struct OwnedApp {
    /// JSON-RPC of a node.
    pub node: Endpoint,
    /// The network key that answers are held to.
    pub network_key: NetworkKey,
    /// Genesis of the chain.
    pub genesis: Genesis,
    /// The owner.
    pub owner: Arc<Payer>,
    /// Directory that keeps the app's id.
    pub data_dir: PathBuf,
    /// The machines that it shall run on, where they are emulated.
    pub tee: EmulatedTee,
    /// Policies of what its other machines run ([`launch_policy`]).
    pub besides: Vec<AppPolicy>,
}

impl OwnedApp {
    /// Creates the app, or sets its policy: this launch on such machines, what its other machines run, and no other.
    ///
    /// # Errors
    /// [`HostError`] of node, chain and files.
    pub async fn ensure(self, launch: &Launch, events: mpsc::UnboundedSender<HostEvent>) -> Result<AppId, HostError> {
        let machine = machine(self.tee, launch);
        let trust = ChainTrust {
            network_key: self.network_key,
            chain_id: self.genesis.chain_id,
            genesis_hash: genesis_hash(&self.genesis),
        };
        let registrar = Registrar {
            chain: VerifiedClient::new(NodeClient::new(self.node), trust),
            owner: self.owner,
            machine: machine.await,
            data_dir: self.data_dir,
            lease_s: self.genesis.lease_s,
            choice: PolicyChoice::Follow,
            besides: self.besides,
            events,
        };
        registrar.ensure_app(launch).await
    }
}

/// The app that a host has made for what it runs from this data directory; `None` where it has made none.
///
/// # Errors
/// [`HostError::System`].
pub fn known_app(data_dir: &Path) -> Result<Option<AppId>, HostError> {
    read(&data_dir.join(APP_FILE))
}

/// What an app accepts that runs by this launch, and nothing else; where it is emulated, on machines of this kind.
pub async fn launch_policy(tee: EmulatedTee, launch: &Launch, lease_s: u64) -> AppPolicy {
    policy_of(&machine(tee, launch).await, launch, lease_s)
}

/// The machine that a launch shows; an emulated one of AMD's takes a while to be made.
async fn machine(tee: EmulatedTee, launch: &Launch) -> Machine {
    let launch = launch.clone();
    let made = tokio::task::spawn_blocking(move || Machine::of(&launch, tee));
    made.await.expect("making a machine does not panic")
}

fn policy_of(machine: &Machine, launch: &Launch, lease_s: u64) -> AppPolicy {
    // Names the model that this launch was measured with, so that contracts can ask for it.
    let measurement = measurement_digest(&machine.measurement(launch));
    AppPolicy {
        evidence: machine.policy(launch),
        lease_s_max: lease_s,
        boot_contexts: vec!["root".to_owned(), SETTINGS_CONTEXT.to_owned()],
        models: launch.app.model.map(|model| ReleaseModel { measurement, model }).into_iter().collect(),
        ..AppPolicy::default()
    }
}

/// Refuses a policy that admits emulated evidence beside that of hardware.
fn one_world(policy: &AppPolicy) -> Result<(), HostError> {
    let domains = &policy.evidence.trust_domains;
    let emulated = domains.iter().filter(|domain| **domain == TrustDomain::Emulated).count();
    if emulated > 0 && emulated < domains.len() { Err(HostError::EmulatedBesideHardware) } else { Ok(()) }
}

/// A policy that admits what another one admits too: its measurements, who vouches for them, and the models that they were
/// measured with.
pub fn widened(mut policy: AppPolicy, other: AppPolicy) -> AppPolicy {
    let add = |known: &mut EvidencePolicy, other: EvidencePolicy| {
        match (&mut known.tdx, other.tdx) {
            (Some(known), Some(other)) => add_new(&mut known.measurements, other.measurements),
            (known, other) => *known = known.take().or(other),
        }
        match (&mut known.snp, other.snp) {
            (Some(known), Some(other)) => add_new(&mut known.measurements, other.measurements),
            (known, other) => *known = known.take().or(other),
        }
        add_new(&mut known.trust_domains, other.trust_domains);
    };
    add(&mut policy.evidence, other.evidence);
    add_new(&mut policy.models, other.models);
    policy
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if !known.contains(&other) {
            known.push(other);
        }
    }
}

/// Every measurement that a policy names.
fn measurements(policy: &EvidencePolicy) -> Vec<Measurement> {
    let tdx = policy.tdx.iter().flat_map(|tdx| tdx.measurements.iter().cloned().map(Measurement::Tdx));
    let snp = policy.snp.iter().flat_map(|snp| snp.measurements.iter().cloned().map(Measurement::Snp));
    tdx.chain(snp).collect()
}

fn read(path: &Path) -> Result<Option<AppId>, HostError> {
    match fs::read(path) {
        Ok(text) => {
            let file: AppFile = serde_json::from_slice(&text).map_err(|error| {
                HostError::system("the app's file is malformed; remove it to create a new app", path)(error.into())
            })?;
            Ok(Some(file.app_id))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::system("the app's file cannot be read", path)(error)),
    }
}

/// Writes the file whole or not at all.
fn write(path: &Path, file: &AppFile) -> Result<(), HostError> {
    let put = || write_whole(path, &serde_json::to_vec(file)?);
    put().map_err(HostError::system("the app's file cannot be written", path))
}
