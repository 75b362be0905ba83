//! `app secret`, `app env` and `app limits`: what an app's owner sets for its instances (`docs/secrets.md`).

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use alloy_sol_types::SolError as _;
use anyhow::{Context as _, Result, bail};
use freehold_bundle::{LogVisibility, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest};
use freehold_client::{SettingsDraft, parse_variables};
use freehold_crypto::{AccountKey, slots::APPS};
use freehold_host::known_app;
use freehold_ledger::ModuleRefusal;
use freehold_primitives::{
    Account, AppId, Purpose,
    entries::{SETTING_BYTES_MAX, SETTINGS_BYTES_MAX, Setting, SettingForm, SpendingLimits},
};
use freehold_rpc::{LOG_KEY_SETTING, LogSecret, NodeClient, NodeError};
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    deployed::deployment_folder,
    network::Network,
    run::{OWNER, app_folder},
};
use crate::{
    accounts,
    args::{EnvCommand, LimitsCommand, LimitsSetArgs, SecretCommand, SettingsArgs},
    commands::sender::{Contract, Sender, account_secret, units},
    output::Output,
};

#[allow(missing_docs, clippy::all, unreachable_pub, dead_code, reason = "generated from Solidity by alloy")]
mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IApps.sol");
}
pub(super) use abi::IApps;

/// The module as JSON-RPC names it.
pub(super) const CONTRACT: Contract = Contract { name: "Apps", address: APPS, told, gas_min: 0 };

/// Runs `app secret`.
pub(super) async fn secret(command: SecretCommand, output: Output) -> Result<ExitCode> {
    match command {
        SecretCommand::Set { name, from_file, app } => {
            let value = value(from_file.as_deref())?;
            if from_file.is_none() && value.ends_with(b"\n") {
                output.note("note: the value ends with a newline, which is part of it (`printf %s` writes none)");
            }
            let mut opened = Opened::read(app).await?;
            opened.draft.set_secret(&name, &value, &mut rng()?)?;
            opened.send(&[&name], output).await?;
        }
        SecretCommand::Import { file, app } => {
            let text = Zeroizing::new(read_bounded(&file, SETTINGS_BYTES_MAX as u64)?);
            let text = std::str::from_utf8(&text).with_context(|| format!("{} is no text", file.display()))?;
            let pairs = parse_variables(text).with_context(|| format!("{} cannot be read", file.display()))?;
            if pairs.is_empty() {
                bail!("{} sets no variable", file.display());
            }
            let mut opened = Opened::read(app).await?;
            let mut rng = rng()?;
            for (name, value) in &pairs {
                opened.draft.set_secret(name, value.as_bytes(), &mut rng)?;
            }
            let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
            opened.send(&names, output).await?;
        }
        SecretCommand::List(app) => list(&Opened::read(app).await?, SettingForm::Sealed, output),
        SecretCommand::Rm { names, app } => remove(app, &names, SettingForm::Sealed, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `app env`.
pub(super) async fn env(command: EnvCommand, output: Output) -> Result<ExitCode> {
    match command {
        EnvCommand::Set { name, value, app } => {
            let mut opened = Opened::read(app).await?;
            opened.draft.set_public(&name, value.as_bytes())?;
            opened.send(&[&name], output).await?;
        }
        EnvCommand::List(app) => list(&Opened::read(app).await?, SettingForm::Public, output),
        EnvCommand::Rm { names, app } => remove(app, &names, SettingForm::Public, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `app limits`.
pub(super) async fn limits(command: LimitsCommand, output: Output) -> Result<ExitCode> {
    match command {
        LimitsCommand::Set(args) => {
            let LimitsSetArgs { per_transaction, per_day, per_day_count, contracts, may_create, app } = args;
            let mut opened = Opened::read(app).await?;
            opened.draft.limit(Some(SpendingLimits {
                per_transaction_wei: per_transaction,
                per_day_wei: per_day,
                per_day_count,
                contracts: contracts.iter().map(|contract| Account(contract.0.0)).collect(),
                may_create,
            }));
            tell_limits(&opened.draft, output);
            opened.send(&[], output).await?;
        }
        LimitsCommand::Show(app) => tell_limits(&Opened::read(app).await?.draft, output),
        LimitsCommand::Clear(app) => {
            let mut opened = Opened::read(app).await?;
            opened.draft.limit(None);
            opened.send(&[], output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An app's settings as the chain proves them, and who would change them.
struct Opened {
    args: SettingsArgs,
    app: AppId,
    network: Network,
    draft: SettingsDraft,
}

impl Opened {
    async fn read(args: SettingsArgs) -> Result<Self> {
        let network = Network::find(&args.network).await?;
        let app = named_app(&network, &args)?;
        let draft = read_draft(&network, app).await?;
        Ok(Self { args, app, network, draft })
    }

    /// Sends the draft; instances have it a few seconds later.
    async fn send(self, names: &[&str], output: Output) -> Result<()> {
        let account = acting(&self.network, &self.args, self.draft.owner())?;
        if account.account() != self.draft.owner() {
            bail!("0x{} does not own the app: 0x{} does", account.account(), self.draft.owner());
        }
        let call =
            IApps::setSettingsCall { app: (*self.app.as_bytes()).into(), settings: self.draft.document()?.into() };
        output.object(&json!({
            "event": "settings", "app_id": self.app, "generation": self.draft.generation(), "names": names,
        }));
        output.text(&format!("app        {}\nsettings   generation {}", self.app, self.draft.generation()));
        let Network { node, genesis, .. } = self.network;
        let sender =
            Sender { node: NodeClient::new(node), genesis, account, dry_run: self.args.dry_run, validator: None };
        sender.send(&CONTRACT, &call, 0, output).await
    }
}

/// The account that acts: the one that is named, or the development account that owns the app: apps that are run
/// here, and that of `up`.
pub(super) fn acting(network: &Network, args: &SettingsArgs, owner: Account) -> Result<AccountKey> {
    if let Some(index) = args.dev_user {
        return accounts::user(index);
    }
    if args.key.is_none() && network.genesis.purpose != Purpose::Production {
        for development in [accounts::user(OWNER)?, accounts::operator(accounts::APP_OWNER)?] {
            if development.account() == owner {
                return Ok(development);
            }
        }
    }
    account_secret(args.key.as_deref())
}

/// Tells an app's instances the key that its owner reads logs by, where they do not know it yet.
pub(super) async fn set_log_key(
    sender: &Sender,
    network: &Network,
    app: AppId,
    visibility: LogVisibility,
    output: Output,
) -> Result<()> {
    let mut draft = read_draft(network, app).await?;
    let secret = match visibility {
        LogVisibility::Owner => LogSecret::of(&sender.account, &app),
        LogVisibility::Public => LogSecret::of_everybody(&app),
    };
    let key = secret.public().to_string();
    let is_set = |setting: &Setting| setting.name == LOG_KEY_SETTING && setting.value.0 == key.as_bytes();
    if draft.settings().iter().any(is_set) {
        return Ok(());
    }
    draft.set_public(LOG_KEY_SETTING, key.as_bytes())?;
    let call = IApps::setSettingsCall { app: (*app.as_bytes()).into(), settings: draft.document()?.into() };
    sender.send(&CONTRACT, &call, 0, output).await
}

/// An app's settings, as the chain proves them.
async fn read_draft(network: &Network, app: AppId) -> Result<SettingsDraft> {
    Ok(SettingsDraft::read(&network.verified(), &network.genesis, app).await?)
}

async fn remove(app: SettingsArgs, names: &[String], form: SettingForm, output: Output) -> Result<()> {
    let mut opened = Opened::read(app).await?;
    for name in names {
        opened.draft.remove(name, form)?;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    opened.send(&names, output).await
}

fn list(opened: &Opened, form: SettingForm, output: Output) {
    for setting in opened.draft.settings().iter().filter(|setting| setting.form == form) {
        let Setting { name, set_at, value, .. } = setting;
        let is_old = opened.draft.is_under_old_key(setting);
        let shown = (form == SettingForm::Public).then(|| String::from_utf8_lossy(&value.0).into_owned());
        output.object(&json!({
            "event": "setting", "name": name, "secret": form == SettingForm::Sealed, "set_at": set_at, "value": shown,
            "old_key": is_old,
        }));
        let shown = shown.map_or_else(|| "sealed".to_owned(), |value| format!("{value:?}"));
        let note = if is_old { ", under an older key: set it again" } else { "" };
        output.text(&format!("{name:<24} {shown}, set in generation {set_at}{note}"));
    }
}

fn tell_limits(draft: &SettingsDraft, output: Output) {
    let Some(limits) = draft.spending() else {
        output.object(&json!({ "event": "limits", "set": false }));
        output.text("no limits are set: the balance of an instance's account bounds what it spends");
        return;
    };
    output.object(&json!({
        "event": "limits", "set": true, "per_transaction_wei": limits.per_transaction_wei.to_string(),
        "per_day_wei": limits.per_day_wei.to_string(), "per_day_count": limits.per_day_count,
        "contracts": limits.contracts, "may_create": limits.may_create,
    }));
    output.text(&format!(
        "each transaction  at most {}\neach 24 hours     at most {} in {} transactions, for each instance",
        units(limits.per_transaction_wei),
        units(limits.per_day_wei),
        limits.per_day_count
    ));
    for contract in &limits.contracts {
        output.text(&format!("may call          0x{contract}"));
    }
    output.text(if limits.may_create { "may create contracts" } else { "may create no contract" });
}

/// The app that is named, or that of a folder which was run against this network, or was deployed on it.
pub(super) fn named_app(network: &Network, args: &SettingsArgs) -> Result<AppId> {
    if let Some(app) = args.app {
        return Ok(app);
    }
    let path = args.folder.join(MANIFEST_FILE);
    let text =
        read_bounded(&path, MANIFEST_BYTES_MAX).context("name the app with --app, or its folder with --folder")?;
    let name = Manifest::parse(&text)?.name;
    let run = known_app(&app_folder(&network.folder, &name))?;
    match (run, known_app(&deployment_folder(&network.folder, &name))?) {
        (Some(run), Some(deployed)) if run != deployed => {
            bail!("{name} was run here as {run} and deployed as {deployed}: name one with --app")
        }
        (known, None) | (None, known) | (known, Some(_)) => known.with_context(|| {
            format!("{name} was not run against this network: `freehold app run` it first, or name --app")
        }),
    }
}

fn value(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    match file {
        Some(path) => Ok(Zeroizing::new(read_bounded(path, SETTING_BYTES_MAX as u64)?)),
        None => {
            let value = bounded(io::stdin().lock(), SETTING_BYTES_MAX as u64).context("standard input")?;
            Ok(Zeroizing::new(value))
        }
    }
}

pub(super) fn read_bounded(path: &Path, bound: u64) -> Result<Vec<u8>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    bounded(file, bound).with_context(|| path.display().to_string())
}

fn bounded(from: impl Read, bound: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bound + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bound {
        bail!("it has more than {bound} bytes");
    }
    Ok(bytes)
}

fn rng() -> Result<StdRng> {
    StdRng::try_from_rng(&mut SysRng).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))
}

fn told(error: NodeError) -> anyhow::Error {
    let NodeError::Refused { data: Some(data), .. } = &error else { return error.into() };
    let bytes = data.as_str().and_then(|text| hex::decode(text.trim_start_matches("0x")).ok());
    let refused = bytes.and_then(|bytes| IApps::Refused::abi_decode(&bytes).ok());
    match refused.and_then(|refused| ModuleRefusal::from_code(refused.code)) {
        Some(refusal) => refusal.into(),
        None => error.into(),
    }
}
