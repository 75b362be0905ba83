//! `app deploy`: from an app's folder to an instance on a rented machine, registered and answering.
//!
//! What is signed and what it costs is shown first. A provider that refuses costs nothing but fees: the rental is cancelled.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{Bundle, Kind, LogVisibility, build_bundle};
use freehold_crypto::{AccountKey, genesis_hash};
use freehold_host::{
    EmulatedTee, Launch, OwnedApp, Payer, VmTee, known_app, launch_policy, measure_bundle, measure_image,
    measure_in_tee,
};
use freehold_image::{VmShape, programs_digest};
use freehold_ledger::TX_GAS_MAX;
use freehold_primitives::{
    Account, AppId, AppPolicy, Canonical as _, Digest,
    entries::{InstanceEntry, UpgradeEntry, UpgradeRule},
};
use freehold_rpc::{
    EntryKey, HexBytes, NodeClient, ProviderClient, ProviderTee, ProviderVm, RentalAction, RentalReport, RentalStage,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    deployed::{Deployed, Note, address},
    policy::promise,
    settings::set_log_key,
};
use crate::{
    args::AppDeployArgs,
    commands::{
        image::{assembled, container_programs, own_programs},
        market::{Offered, Rented, cancel, rented, top_up},
        sender::{Sender, units},
    },
    data_dir::Held,
    output::Output,
    stack,
};

/// Kinds of evidence and trust domains, as offers name them (`spec/market.md`).
const TDX: u8 = 1;
const SNP: u8 = 3;
const EMULATED: u8 = 1;
const INTEL: u8 = 2;
const AMD: u8 = 3;

/// What was found before anything is signed.
struct Plan<'a> {
    args: &'a AppDeployArgs,
    deployed: &'a Deployed,
    bundle: Bundle,
    offer: Offered,
    /// The rental that runs already, if one does.
    running: Option<(Note, Rented)>,
    /// The app's other machines that are rented.
    others: Vec<Note>,
    sender: Sender,
    /// What the provider tells of its VMs, where it has any.
    vm: Option<ProviderVm>,
    output: Output,
}

/// Runs the command.
pub(super) async fn run(args: AppDeployArgs, output: Output) -> Result<ExitCode> {
    let deployed = Deployed::open(&args.app).await?;
    let bundle = build_bundle(&args.app.folder, &args.app.folder.join("bundle"))?;
    let sender = deployed.sender()?;
    let (mut running, mut others) = (None, Vec::new());
    for note in Note::all(&deployed.place)? {
        let rental = rented(&sender.node, note.rental).await?;
        match (rental.is_over, note.replica == deployed.replica) {
            (true, _) => {}
            (false, true) => running = Some((note, rental)),
            (false, false) => others.push(note),
        }
    }
    let offer = match (&running, args.offer) {
        (Some((note, rental)), asked) => {
            if asked.is_some_and(|asked| asked != rental.offer) {
                bail!(
                    "{} runs under rental {} of offer {}: `freehold app remove` it first",
                    note.name,
                    note.rental,
                    rental.offer
                );
            }
            Offered::find(&sender.node, rental.offer).await?
        }
        (None, Some(asked)) => Offered::find(&sender.node, asked).await?,
        (None, None) => {
            // A machine that fails with another one is no replica.
            let besides: Vec<Account> = others.iter().map(|note| note.provider).collect();
            Offered::cheapest(&sender.node, args.provider, &besides).await?
        }
    };
    let vm = None;
    let mut plan = Plan { args: &args, deployed: &deployed, bundle, offer, running, others, sender, vm, output };
    plan.vm = plan.check_provider().await?;
    plan.check_launcher()?;
    plan.tell().await?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        asked()?;
    }
    let _held = Held::take(&deployed.place)?;
    plan.carry_out().await?;
    Ok(ExitCode::SUCCESS)
}

impl Plan<'_> {
    /// Which TEE is emulated; where it is none, the launch says what hardware shows.
    const fn tee(&self) -> EmulatedTee {
        if self.offer.terms.evidenceKind == SNP { EmulatedTee::Snp } else { EmulatedTee::Tdx }
    }

    /// Whether what the provider runs is what the offer says of its evidence.
    fn check_launcher(&self) -> Result<()> {
        let terms = &self.offer.terms;
        let told = self.vm.as_ref().and_then(|vm| vm.tee.as_ref());
        match (told, terms.trustDomain, terms.evidenceKind) {
            (None, EMULATED, TDX | SNP)
            | (Some(ProviderTee::Tdx { .. }), INTEL, TDX)
            | (Some(ProviderTee::Snp { .. }), AMD, SNP) => Ok(()),
            (None, EMULATED, _) | (Some(_), ..) => bail!(
                "the machine of offer {} runs apps in another TEE than the offer says: it would not be paid for them",
                self.offer.id
            ),
            (None, ..) => bail!(
                "offer {} is of hardware, and its machine tells nothing of the VMs that it runs apps in: set the app's policy \
                 and rent by hand (docs/market.md)",
                self.offer.id
            ),
        }
    }

    /// What the provider's machine will show of the bundle: beside its host, or in a VM of the offer's size.
    fn launch(&self) -> Result<Launch> {
        let Some(vm) = &self.vm else {
            let executable = std::env::current_exe().context("this program's own file cannot be found")?;
            return Ok(measure_bundle(&executable, &self.bundle)?);
        };
        let parts = &self.args.parts;
        if !parts.with.is_empty() {
            bail!("the provider's images hold no programs of yours: bring what --with names inside the bundle's files");
        }
        let own = programs_digest(&own_programs(parts)?)?;
        if own != vm.programs {
            bail!(
                "the provider's VMs run another build of PID 1 and agent ({}) than this one ({own}): take the provider's release, \
                 or name its files with --init and --agent",
                vm.programs
            );
        }
        if self.bundle.manifest().kind == Kind::Container {
            let own = programs_digest(&container_programs(parts)?)?;
            if vm.containers != Some(own) {
                bail!(
                    "the provider's VMs run containers by other programs than this machine has ({own}), or not at all: take the \
                     provider's release, and its version of runc"
                );
            }
        }
        let image = assembled(&self.bundle, parts, None)?;
        let shape = VmShape::new(self.offer.terms.cpus, self.offer.terms.memoryMib)?;
        let Some(told) = &vm.tee else { return Ok(measure_image(&image, shape, &self.bundle)?) };
        let firmware = self.args.firmware.as_deref();
        let firmware = firmware.context(
            "the provider's VMs boot with a firmware that is measured: name your copy of it with --firmware",
        )?;
        Ok(measure_in_tee(&image, shape, &self.bundle, &VmTee::of_provider(told, firmware)?)?)
    }

    /// Nothing is signed for a machine that is not there, or is another one.
    async fn check_provider(&self) -> Result<Option<ProviderVm>> {
        let offer = &self.offer;
        let info = ProviderClient::new(offer.endpoint.clone()).info().await;
        let info = info.with_context(|| format!("the machine of offer {} does not answer", offer.id))?;
        if info.provider.0 != offer.provider.0.0 || info.genesis_hash != genesis_hash(&self.deployed.network.genesis) {
            bail!("at {} another provider answers than offer {}'s, or for another chain", offer.endpoint, offer.id);
        }
        Ok(info.vm)
    }

    async fn tell(&self) -> Result<()> {
        let Self { args, offer, output, .. } = self;
        let known = known_app(&self.deployed.place)?;
        let fee_wei = u128::from(TX_GAS_MAX).saturating_mul(self.sender.node.fees().await?.max_fee_per_gas);
        let rule = match known {
            Some(app) => self.promised(app).await?,
            None => UpgradeRule::default(),
        };
        let promises = !rule.is_free();
        let notice_s = self.more_notice_s(&rule);
        let admits = match self.others.len() {
            0 => "this bundle, on such machines, and no other".to_owned(),
            others => format!("this bundle, on such machines, what its {others} other machines run, and no other"),
        };
        let app = match known {
            None => format!("makes the app: {admits}"),
            Some(app) if promises => {
                format!("nothing of {app}, whose upgrades have notice: it has to admit this bundle already")
            }
            Some(app) => format!("sets the policy of {app}: {admits}"),
        };
        let (rent, escrow) = match (&self.running, args.top_up) {
            (None, _) => (format!("rents offer {} for {} s", offer.id, args.seconds), offer.costs(args.seconds)?),
            (Some((note, _)), Some(more)) => {
                (format!("pays rental {} for {more} s more", note.rental), offer.costs(more)?)
            }
            (Some((note, _)), None) => (format!("keeps rental {}", note.rental), "0".to_owned()),
        };
        output.object(&json!({
            "event": "plan", "name": self.deployed.name, "replica": self.deployed.replica, "digest": self.bundle.digest(), "app_id": known,
            "account": format!("0x{}", self.sender.account.account()), "offer": offer.id,
            "provider": offer.provider.to_string(), "endpoint": offer.endpoint.to_string(),
            "seconds": if self.running.is_none() { Some(args.seconds) } else { args.top_up }, "escrow": escrow,
            "fee_wei_max": fee_wei.to_string(), "rental": self.running.as_ref().map(|(note, _)| note.rental), "dry_run": args.dry_run,
            "upgrade_notice_s": notice_s,
        }));
        output.text(&format!(
            "bundle     sha256:{}\naccount    0x{}\nprovider   {} at {}\nsigns      {app}\n\
             signs      the app's log key, where it is not set yet\nsigns      {rent}: {escrow} into escrow; seconds that are not \
             served come back\nfees       at most {} for the app's policy; those of the others are shown before each is sent",
            self.bundle.digest(),
            self.sender.account.account(),
            offer.provider,
            offer.endpoint,
            units(fee_wei),
        ));
        if self.bundle.manifest().additions.logs == LogVisibility::Public {
            output.note("its manifest makes what it says public: everybody can read its log");
        }
        if let Some(notice_s) = notice_s {
            output.text(&format!(
                "signs      that upgrades have {notice_s} s of notice, once it serves; to lower that again takes the notice"
            ));
        }
        if offer.terms.trustDomain == 1 {
            output.note("this machine shows emulated evidence, which protects nothing");
        }
        Ok(())
    }

    async fn carry_out(&self) -> Result<()> {
        if let Some(store) = &self.args.store {
            put_into_store(&self.args.app.folder.join("bundle"), store, &self.bundle.digest())?;
        }
        let launch = self.launch()?;
        let app_id = self.own_app(&launch).await?;
        let visibility = self.bundle.manifest().additions.logs;
        set_log_key(&self.sender, &self.deployed.network, app_id, visibility, self.output).await?;
        let policy = launch_policy(self.tee(), &launch, self.deployed.network.genesis.lease_s).await;
        let note = self.rent(app_id, &policy).await?;
        let served = self.serve(&note).await;
        let (report, instance_id) = match served {
            Ok(served) => served,
            Err(error) if self.running.is_none() => {
                self.give_back(note.rental).await?;
                return Err(error.context(format!("rental {} is given back", note.rental)));
            }
            Err(error) => return Err(error),
        };
        let rule = self.promised(app_id).await?;
        if let Some(notice_s) = self.more_notice_s(&rule) {
            promise(&self.sender, &app_id, &UpgradeRule { notice_s, ..rule }, self.output).await?;
        }
        let rental = rented(&self.sender.node, note.rental).await?;
        let api = address(&note, &report);
        self.output.object(&json!({
            "event": "deployed", "name": note.name, "replica": note.replica, "app_id": app_id, "rental": note.rental, "offer": note.offer,
            "provider": format!("0x{}", note.provider), "api": api, "instance_id": instance_id, "digest": note.bundle,
            "ends_at": rental.ends_at,
        }));
        let api = api.unwrap_or_default();
        self.output.text(&format!(
            "\ndeployed\n  api       {api}\n  app       {app_id}\n  instance  {instance_id}\n  rental    {}, paid until {}",
            note.rental, rental.ends_at
        ));
        Ok(())
    }

    /// What the app promises about its upgrades.
    async fn promised(&self, app: AppId) -> Result<UpgradeRule> {
        let chain = self.deployed.network.verified();
        let entry = chain.entry::<UpgradeEntry>(&EntryKey::Upgrade(app)).await?.entry;
        Ok(entry.map(|entry| entry.rule).unwrap_or_default())
    }

    /// The notice of upgrades that the manifest names, where the app promises less.
    fn more_notice_s(&self, rule: &UpgradeRule) -> Option<u64> {
        let notice_s = self.bundle.manifest().additions.upgrade_notice_s;
        (notice_s > rule.notice_s).then_some(notice_s)
    }

    /// The app, with this bundle on such machines as its policy, and what its other machines run.
    async fn own_app(&self, launch: &Launch) -> Result<AppId> {
        let network = &self.deployed.network;
        let besides = self.others.iter().filter_map(|note| note.policy.as_ref());
        let besides: Result<Vec<AppPolicy>, _> =
            besides.map(|policy| AppPolicy::from_canonical(policy.0.as_slice())).collect();
        let (events, mut heard) = mpsc::unbounded_channel();
        let owned = OwnedApp {
            node: network.node.clone(),
            network_key: network.network_key,
            genesis: network.genesis.clone(),
            owner: Payer::new(
                NodeClient::new(network.node.clone()),
                AccountKey::from_bytes(&self.sender.account.to_bytes())?,
                network.genesis.chain_id,
            ),
            data_dir: self.deployed.place.clone(),
            tee: self.tee(),
            besides: besides.context("the note of another machine is damaged")?,
        };
        let app_id = owned.ensure(launch, events).await?;
        while let Ok(event) = heard.try_recv() {
            stack::tell_event(event, self.output);
        }
        Ok(app_id)
    }

    /// The rental, new or the one that runs; noted before anything else is done with it.
    async fn rent(&self, app_id: AppId, policy: &AppPolicy) -> Result<Note> {
        let offer = &self.offer;
        let rental = match (&self.running, self.args.top_up) {
            (None, _) => offer.rent(&self.sender, &app_id, self.args.seconds, self.output).await?,
            (Some((note, _)), more) => {
                if let Some(more) = more {
                    top_up(&self.sender, (note.rental, offer), more, self.output).await?;
                }
                note.rental
            }
        };
        let note = Note {
            name: self.deployed.name.clone(),
            app_id,
            rental,
            offer: offer.id,
            provider: Account(offer.provider.0.0),
            endpoint: offer.endpoint.to_string(),
            bundle: self.bundle.digest(),
            replica: self.deployed.replica.clone(),
            policy: Some(HexBytes(policy.to_canonical())),
        };
        note.write(&self.deployed.place)?;
        Ok(note)
    }

    /// Ends a rental that was begun for this deployment alone. The provider may give it back at the same moment.
    async fn give_back(&self, rental: u64) -> Result<()> {
        if rented(&self.sender.node, rental).await?.is_over {
            return Ok(());
        }
        match cancel(&self.sender, rental, self.output).await {
            Err(error) if !rented(&self.sender.node, rental).await?.is_over => Err(error),
            _ => Ok(()),
        }
    }

    /// Has the provider run it, until it answers and the chain proves its instance.
    async fn serve(&self, note: &Note) -> Result<(RentalReport, Digest)> {
        let starts =
            if self.running.is_some() { self.deployed.send(note, &RentalAction::Report).await?.starts } else { 0 };
        let action = RentalAction::Deploy { bundle: note.bundle, source: self.args.source.clone() };
        self.deployed.send(note, &action).await?;
        self.output.step("deploy", "the provider took the order");
        let is_there =
            |report: &RentalReport| report.starts > starts && report.stage == RentalStage::Serving && report.answers;
        let report = self.deployed.wait(note, is_there).await?;
        let instance_id = report.instance_id.context("the provider names no instance")?;
        let network = &self.deployed.network;
        let entry = network.verified().entry::<InstanceEntry>(&EntryKey::Instance(instance_id)).await?.entry;
        match entry {
            Some(entry) if entry.app_id == note.app_id && entry.provider == note.provider => Ok((report, instance_id)),
            _ => bail!(
                "the chain proves no instance {instance_id} of this app and provider: what the provider says is not true"
            ),
        }
    }
}

/// Asks on the terminal.
pub(super) fn asked() -> Result<()> {
    if !io::stdin().is_terminal() {
        bail!("say --yes where nobody can be asked");
    }
    print_question()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "yes") { Ok(()) } else { bail!("nothing was signed") }
}

fn print_question() -> Result<()> {
    let mut err = io::stderr().lock();
    write!(err, "sign this? [y/N] ")?;
    Ok(err.flush()?)
}

/// Copies a bundle into a folder of bundles, whole or not at all.
fn put_into_store(bundle: &Path, store: &Path, digest: &Digest) -> Result<()> {
    let place = store.join(digest.to_string());
    if place.exists() {
        return Ok(());
    }
    let put = || -> io::Result<()> {
        fs::create_dir_all(store)?;
        let fresh = tempfile::Builder::new().prefix(".bundle-").tempdir_in(store)?;
        let blobs = fresh.path().join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for entry in fs::read_dir(bundle.join("blobs/sha256"))? {
            let entry = entry?;
            fs::copy(entry.path(), blobs.join(entry.file_name()))?;
        }
        for name in ["oci-layout", "index.json"] {
            fs::copy(bundle.join(name), fresh.path().join(name))?;
        }
        fs::rename(fresh.keep(), &place)
    };
    put().with_context(|| format!("the bundle cannot be put into {}", store.display()))
}
