//! Deployed apps: what is noted of them, and what commands them at their providers (`spec/provider-api.md`).

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest};
use freehold_crypto::{AccountKey, genesis_hash};
use freehold_primitives::{Account, AppId, Digest, entries::MetadataEntry};
use freehold_rpc::{
    Endpoint, HexBytes, NodeClient, ProviderClient, ProviderError, RefusalCode, RentalAction, RentalCommand,
    RentalReport, RentalStage, SignedCommand,
};
use freehold_verify::EntryKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{network::Network, run::plain, settings::read_bounded};
use crate::{
    accounts,
    args::{AppListArgs, DeployedArgs},
    commands::{
        market::{cancel, rented},
        sender::{Sender, account_secret},
    },
    output::Output,
};

/// Folder of deployments, in a network's.
const FOLDER: &str = "deployments";
/// Files of what is noted of deployments begin and end so; between them stands the replica's name, where it has one.
const NOTE_BEGIN: &str = "deployment";
const NOTE_END: &str = ".json";
/// Largest note, in bytes.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// Longest way of an app to where it was sent.
const STAGE_WAIT: Duration = Duration::from_secs(180);
/// How long a provider may take to see a new rental.
const SEEN_WAIT: Duration = Duration::from_secs(60);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(300);

/// What is noted of a deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    pub(super) name: String,
    pub(super) app_id: AppId,
    pub(super) rental: u64,
    pub(super) offer: u64,
    pub(super) provider: Account,
    pub(super) endpoint: String,
    pub(super) bundle: Digest,
    /// Which of the app's machines; the first one has no name.
    #[serde(default)]
    pub(super) replica: Option<String>,
    /// Canonical policy that admits this bundle on this machine, and nothing else.
    #[serde(default)]
    pub(super) policy: Option<HexBytes>,
}

impl Note {
    fn path(place: &Path, replica: Option<&str>) -> PathBuf {
        let name = replica.map_or_else(String::new, |replica| format!("-{replica}"));
        place.join(format!("{NOTE_BEGIN}{name}{NOTE_END}"))
    }

    pub(super) fn read(place: &Path, replica: Option<&str>) -> Result<Option<Self>> {
        let path = Self::path(place, replica);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_bounded(&path, NOTE_BYTES_MAX)?;
        let note = serde_json::from_slice(&text);
        note.map(Some).with_context(|| format!("{} is damaged: `freehold market list` has the rental", path.display()))
    }

    /// Those of all the app's machines, the first one before those with names.
    pub(super) fn all(place: &Path) -> Result<Vec<Self>> {
        let mut replicas: Vec<Option<String>> = Vec::new();
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let name = file.to_str().and_then(|name| name.strip_prefix(NOTE_BEGIN)?.strip_suffix(NOTE_END));
            match name.map(|name| (name.is_empty(), name.strip_prefix('-'))) {
                Some((true, _)) => replicas.push(None),
                Some((false, Some(replica))) => replicas.push(Some(replica.to_owned())),
                _ => {}
            }
        }
        replicas.sort();
        let notes = replicas.iter().filter_map(|replica| Self::read(place, replica.as_deref()).transpose());
        notes.collect()
    }

    pub(super) fn write(&self, place: &Path) -> Result<()> {
        let (path, fresh) = (Self::path(place, self.replica.as_deref()), place.join("deployment.new"));
        let text = serde_json::to_vec_pretty(self)?;
        let put = || {
            fs::write(&fresh, text)?;
            fs::rename(&fresh, &path)
        };
        put().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The app's name and, where it is not the first of its machines, which one.
    pub(super) fn label(&self) -> String {
        self.replica.as_ref().map_or_else(|| self.name.clone(), |replica| format!("{} ({replica})", self.name))
    }
}

/// The app of a folder, and who acts for it.
pub(super) struct Deployed {
    pub(super) network: Network,
    pub(super) name: String,
    /// Where its deployments are noted.
    pub(super) place: PathBuf,
    /// Which of its machines is meant.
    pub(super) replica: Option<String>,
    key: Option<PathBuf>,
    dev_user: Option<u32>,
}

impl Deployed {
    pub(super) async fn open(args: &DeployedArgs) -> Result<Self> {
        let network = network(args).await?;
        let text = read_bounded(&args.folder.join(MANIFEST_FILE), MANIFEST_BYTES_MAX);
        let name = Manifest::parse(&text.context("name the app's folder")?)?.name;
        let place = deployment_folder(&network.folder, &name);
        let (key, dev_user, replica) = (args.key.clone(), args.dev_user, args.replica.clone());
        Ok(Self { network, name, place, replica, key, dev_user })
    }

    pub(super) fn account(&self) -> Result<AccountKey> {
        match self.dev_user {
            Some(index) => accounts::user(index),
            None => account_secret(self.key.as_deref()),
        }
    }

    pub(super) fn note(&self) -> Result<Note> {
        let note = Note::read(&self.place, self.replica.as_deref())?;
        note.with_context(|| match &self.replica {
            Some(replica) => format!("{} has no machine {replica}: `freehold app list` shows what it has", self.name),
            None => format!("{} is not deployed on this network: `freehold app deploy` it", self.name),
        })
    }

    pub(super) fn sender(&self) -> Result<Sender> {
        Ok(Sender {
            node: NodeClient::new(self.network.node.clone()),
            genesis: self.network.genesis.clone(),
            account: self.account()?,
            dry_run: false,
            validator: None,
        })
    }

    /// Signs a command for the provider, of this moment.
    pub(super) fn command(&self, note: &Note, action: RentalAction) -> Result<SignedCommand> {
        let genesis_hash = genesis_hash(&self.network.genesis);
        signed(genesis_hash, (note.provider, note.rental), action, &self.account()?)
    }

    /// Sends a command; a provider that has not seen the rental yet is asked again.
    pub(super) async fn send(&self, note: &Note, action: &RentalAction) -> Result<RentalReport> {
        let client = client(note)?;
        let end = Instant::now() + SEEN_WAIT;
        loop {
            match client.command(&self.command(note, action.clone())?).await {
                Err(ProviderError::Refused(refusal))
                    if refusal.code == RefusalCode::UnknownRental && Instant::now() < end =>
                {
                    sleep(POLL).await;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Waits until the app stands as wanted; an error as soon as it cannot.
    pub(super) async fn wait(&self, note: &Note, wanted: impl Fn(&RentalReport) -> bool) -> Result<RentalReport> {
        let (client, end) = (client(note)?, Instant::now() + STAGE_WAIT);
        loop {
            let report = client.command(&self.command(note, RentalAction::Report)?).await?;
            if wanted(&report) {
                return Ok(report);
            }
            let reason = report.reason.as_ref().map(|reason| reason.message.clone());
            let is_final = report.stage == RentalStage::Refused
                || report.reason.as_ref().is_some_and(|reason| reason.code == RefusalCode::Registration);
            match reason {
                Some(reason) if is_final => bail!("the provider does not run it: {reason}"),
                reason if Instant::now() >= end => {
                    let reason = reason.unwrap_or_else(|| format!("it is {}", word(report.stage)));
                    bail!("not within {} s: {reason}", STAGE_WAIT.as_secs());
                }
                _ => sleep(POLL).await,
            }
        }
    }
}

/// A command for a provider about a rental, of this moment.
pub(super) fn signed(
    genesis_hash: Digest,
    (provider, rental): (Account, u64),
    action: RentalAction,
    account: &AccountKey,
) -> Result<SignedCommand> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let sent_at_ms = u64::try_from(since.as_millis())?;
    Ok(RentalCommand { genesis_hash, provider, rental, sent_at_ms, action }.sign(account))
}

/// Where a deployment is noted, by the app's name.
pub(super) fn deployment_folder(network: &Path, name: &str) -> PathBuf {
    network.join(FOLDER).join(name)
}

pub(super) async fn network(args: &DeployedArgs) -> Result<Network> {
    Network::find(&args.network).await
}

pub(super) fn client(note: &Note) -> Result<ProviderClient> {
    Ok(ProviderClient::new(note.endpoint.parse::<Endpoint>()?))
}

/// Where an app answers, seen from here: a provider that listens everywhere is reached where its commands are taken.
pub(super) fn address(note: &Note, report: &RentalReport) -> Option<String> {
    report.api.map(|api| format!("http://{}", reached(note, api)))
}

fn reached(note: &Note, address: SocketAddr) -> String {
    match note.endpoint.parse() {
        Ok(Endpoint::Tcp { host, .. }) if address.ip().is_unspecified() => format!("{host}:{}", address.port()),
        _ => address.to_string(),
    }
}

const fn word(stage: RentalStage) -> &'static str {
    match stage {
        RentalStage::Waiting => "waiting for a bundle",
        RentalStage::Fetching => "fetching its bundle",
        RentalStage::Starting => "starting",
        RentalStage::Serving => "serving",
        RentalStage::Stopped => "stopped",
        RentalStage::Refused => "refused",
        RentalStage::Failed => "failing",
    }
}

/// Runs `app restart`, `app stop` and `app start`.
pub(super) async fn act(args: DeployedArgs, action: RentalAction, output: Output) -> Result<ExitCode> {
    let deployed = Deployed::open(&args).await?;
    let note = deployed.note()?;
    let starts = deployed.send(&note, &RentalAction::Report).await?.starts;
    deployed.send(&note, &action).await?;
    let report = deployed
        .wait(&note, |report| match action {
            RentalAction::Stop => report.stage == RentalStage::Stopped,
            RentalAction::Restart => report.starts > starts && report.answers && report.stage == RentalStage::Serving,
            _ => report.answers && report.stage == RentalStage::Serving,
        })
        .await?;
    deployed.tell(&note, &report, output).await;
    Ok(ExitCode::SUCCESS)
}

/// Runs `app list`.
pub(super) async fn list(args: AppListArgs, output: Output) -> Result<ExitCode> {
    let network = network(&args.app).await?;
    let node = NodeClient::new(network.node.clone());
    let folder = network.folder.join(FOLDER);
    let mut places: Vec<PathBuf> =
        fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    places.sort();
    let mut deployed = Deployed {
        network,
        name: String::new(),
        place: PathBuf::new(),
        replica: None,
        key: args.app.key.clone(),
        dev_user: args.app.dev_user,
    };
    for place in places {
        for note in Note::all(&place)? {
            if args.app.replica.is_none() || args.app.replica == note.replica {
                (deployed.name, deployed.place) = (note.name.clone(), place.clone());
                show(&deployed, &node, &note, output).await?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the chain says of a deployment, and, where its rental goes on, its provider.
async fn show(deployed: &Deployed, node: &NodeClient, note: &Note, output: Output) -> Result<()> {
    let rental = rented(node, note.rental).await?;
    output.object(&json!({
        "event": "rental", "name": note.name, "replica": note.replica, "rental": note.rental, "offer": rental.offer,
        "ends_at": rental.ends_at, "over": rental.is_over, "seconds_paid": rental.seconds_paid,
    }));
    let paid = format!("{} s served and paid, paid ahead until {}", rental.seconds_paid, rental.ends_at);
    if rental.is_over {
        output.text(&format!("{}   rental {} is over; {paid}", note.label(), note.rental));
        return Ok(());
    }
    // What the provider says; the chain's word stands without it.
    match deployed.report(note).await {
        Ok(report) => deployed.tell(note, &report, output).await,
        Err(error) => output.warn(&format!("{}: {error:#}", note.label())),
    }
    output.text(&format!("      {paid}"));
    Ok(())
}

impl Deployed {
    async fn report(&self, note: &Note) -> Result<RentalReport> {
        Ok(client(note)?.command(&self.command(note, RentalAction::Report)?).await?)
    }

    /// What an instance says of itself, as a certified entry shows it.
    async fn metadata(&self, instance: Digest) -> Result<BTreeMap<String, String>> {
        let found = self.network.verified().entry::<MetadataEntry>(&EntryKey::Metadata(instance)).await?.entry;
        let pairs = found.map(|entry| entry.metadata.pairs).unwrap_or_default();
        Ok(pairs.into_iter().map(|pair| (pair.key, pair.value)).collect())
    }

    /// Says what a provider reports of a deployment, and what the chain shows of its instance.
    async fn tell(&self, note: &Note, report: &RentalReport, output: Output) {
        let metadata = match report.instance_id {
            Some(instance) => self.metadata(instance).await,
            None => Ok(BTreeMap::new()),
        };
        let metadata = metadata.unwrap_or_else(|error| {
            output.warn(&format!("{}: what its instance says of itself cannot be read: {error:#}", note.label()));
            BTreeMap::new()
        });
        let api = address(note, report);
        let ingress = report.ingress.map(|ingress| reached(note, ingress));
        output.object(&json!({
            "event": "app", "name": note.name, "replica": note.replica, "app_id": note.app_id, "rental": note.rental,
            "stage": report.stage, "reason": report.reason, "api": api, "ingress": ingress,
            "instance_id": report.instance_id, "bundle": report.bundle, "metadata": metadata,
            "answers": report.answers, "starts": report.starts, "logs": report.logs,
        }));
        let reason = report.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", reason.message));
        let at = api.map_or_else(String::new, |api| format!(" at {api}"));
        output.text(&format!("{}   rental {}, {}{at}{reason}", note.label(), note.rental, word(report.stage)));
        for (key, value) in &metadata {
            output.text(&format!("      {} = {}", plain(key), plain(value)));
        }
    }
}

/// Runs `app remove`.
pub(super) async fn remove(args: DeployedArgs, output: Output) -> Result<ExitCode> {
    let deployed = Deployed::open(&args).await?;
    let note = deployed.note()?;
    let sender = deployed.sender()?;
    if !rented(&sender.node, note.rental).await?.is_over {
        cancel(&sender, note.rental, output).await?;
    }
    let rental = rented(&sender.node, note.rental).await?;
    let path = Note::path(&deployed.place, note.replica.as_deref());
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    output.object(&json!({
        "event": "removed", "name": note.name, "replica": note.replica, "rental": note.rental, "seconds_paid": rental.seconds_paid,
    }));
    output.text(&format!(
        "{} is removed: {} s were served and paid, the rest is yours: `freehold market withdraw`",
        note.label(),
        rental.seconds_paid
    ));
    Ok(ExitCode::SUCCESS)
}
