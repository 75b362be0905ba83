//! `app upgrade` and `app rollback`: another build beside the old one, and back (`docs/upgrades.md`).

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_attestation::default_policy;
use freehold_bundle::build_bundle;
use freehold_client::{AppUpgrades, POLICY_FILE_BYTES_MAX, PolicyFile};
use freehold_crypto::content_digest;
use freehold_host::{EmulatedTee, widened};
use freehold_primitives::{
    AppPolicy, Canonical as _,
    entries::{AppEntry, UpgradeChange, UpgradeState},
};
use freehold_rpc::EntryKey;
use serde_json::json;

use super::{
    deploy::asked,
    owned::{Owned, launches, measurements, sentence, tell_announced, tell_measurements},
    settings::{CONTRACT, IApps, read_bounded},
};
use crate::{
    args::{AppRollbackArgs, AppUpgradeArgs, SettingsArgs},
    output::Output,
};

/// Runs `app upgrade`.
pub(super) async fn run(mut args: AppUpgradeArgs, output: Output) -> Result<ExitCode> {
    if let Some(folder) = args.build.take() {
        args.app.folder = folder;
    }
    let owned = Owned::read(args.app.clone()).await?;
    owned.owner()?;
    if args.activate {
        activate(&owned, &args, output).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let current = &owned.found.app.policy;
    let next = match &args.evidence {
        Some(path) => AppPolicy { evidence: evidence(path)?, ..current.clone() },
        None => of_build(&args, current, output).await?,
    };
    let plan = if next == *current {
        Plan::Nothing
    } else if owned.found.rule().is_free() || next.only_drops_from(current) {
        Plan::AtOnce
    } else {
        Plan::Announced
    };
    output.object(&json!({
        "event": "plan", "app_id": owned.app, "plan": plan.word(), "version": owned.found.app.version,
        "policy": content_digest(&next.to_canonical()), "measurements": measurements(&next), "dry_run": args.app.dry_run,
    }));
    output.text(&format!(
        "app        {}, version {}\n           {}",
        owned.app,
        owned.found.app.version,
        plan.sentence()
    ));
    tell_measurements("would admit", &next, output);
    if plan == Plan::Nothing {
        return Ok(ExitCode::SUCCESS);
    }
    ask(&args.app, args.yes)?;
    if plan == Plan::Announced {
        let change = UpgradeChange { policy: Some(next), ..UpgradeChange::default() };
        owned.announce(&change, output).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let call = IApps::updateCall { app: (*owned.app.as_bytes()).into(), policy: next.to_canonical().into() };
    owned.owner()?.send(&CONTRACT, &call, 0, output).await?;
    tell_in_force(&owned, output).await?;
    Ok(ExitCode::SUCCESS)
}

/// What shall be admitted of the folder's build: it beside what is, or it alone.
async fn of_build(args: &AppUpgradeArgs, current: &AppPolicy, output: Output) -> Result<AppPolicy> {
    let bundle = build_bundle(&args.app.folder, &args.app.folder.join("bundle"))?;
    output.text(&format!("bundle     sha256:{}", bundle.digest()));
    let launches = launches(&bundle, current, current.lease_s_max).await?;
    let beside = launches.iter().fold(current.clone(), |policy, (_, launch)| widened(policy, launch.clone()));
    if !args.drop_old {
        return Ok(beside);
    }
    if beside != *current {
        bail!("the policy in force does not admit this build: `freehold app upgrade` announces it first");
    }
    Ok(narrowed(current, &launches))
}

/// How the wanted policy comes to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Nothing,
    AtOnce,
    Announced,
}

impl Plan {
    const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::AtOnce => "at_once",
            Self::Announced => "announced",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "nothing changes: the policy in force says this already",
            Self::AtOnce => "counts at once: the app promises nothing, or nothing new is admitted",
            Self::Announced => "is announced: it counts after the notice, with the co-signers that the app needs",
        }
    }
}

fn ask(args: &SettingsArgs, yes: bool) -> Result<()> {
    if yes || args.dry_run { Ok(()) } else { asked() }
}

/// What a file demands of evidence. Measurements have to be named: a policy of an app accepts no other.
fn evidence(path: &Path) -> Result<freehold_primitives::EvidencePolicy> {
    let text = String::from_utf8(read_bounded(path, POLICY_FILE_BYTES_MAX as u64)?)
        .with_context(|| format!("{} is no text", path.display()))?;
    let file =
        PolicyFile::read(&text, &default_policy()).with_context(|| format!("{} is no policy", path.display()))?;
    if let Some(kind) = file.open_kinds().first() {
        bail!(
            "{} names no measurements under [{}], and an app's policy admits what is named alone: `freehold attest inspect FILE` \
             shows what evidence says, `freehold image measure` what an image will show",
            path.display(),
            kind.as_str()
        );
    }
    Ok(file.policy().clone())
}

/// Of the kinds of evidence that these launches are of, the measurements of these launches alone.
fn narrowed(current: &AppPolicy, launches: &[(EmulatedTee, AppPolicy)]) -> AppPolicy {
    let mut next = current.clone();
    for (_, launch) in launches {
        if let (Some(section), Some(launch)) = (&mut next.evidence.tdx, &launch.evidence.tdx) {
            section.measurements.retain(|measured| launch.measurements.contains(measured));
        }
        if let (Some(section), Some(launch)) = (&mut next.evidence.snp, &launch.evidence.snp) {
            section.measurements.retain(|measured| launch.measurements.contains(measured));
        }
    }
    next.models.retain(|model| launches.iter().any(|(_, launch)| launch.models.contains(model)));
    next
}

async fn activate(owned: &Owned, args: &AppUpgradeArgs, output: Output) -> Result<()> {
    tell_announced(&owned.found, output);
    match owned.found.state() {
        None => bail!("nothing is announced: `freehold app upgrade` announces this build"),
        Some(UpgradeState::Ready) => {}
        Some(state) => bail!("it cannot count yet: {}", sentence(state, owned.found.time_unix_s)),
    }
    ask(&args.app, args.yes)?;
    let call = IApps::activateUpgradeCall { app: (*owned.app.as_bytes()).into() };
    owned.owner()?.send(&CONTRACT, &call, 0, output).await?;
    tell_in_force(owned, output).await
}

/// What is in force after something was sent.
async fn tell_in_force(owned: &Owned, output: Output) -> Result<()> {
    if owned.args.dry_run {
        return Ok(());
    }
    let now = AppUpgrades::read(&owned.chain, owned.app).await?;
    output.object(&json!({
        "event": "in_force", "app_id": owned.app, "version": now.app.version, "policy": now.policy_digest(),
        "measurements": measurements(&now.app.policy),
    }));
    output.text(&format!("in force   version {}, policy {}", now.app.version, now.policy_digest()));
    tell_measurements("admits", &now.app.policy, output);
    Ok(())
}

/// Runs `app rollback`.
pub(super) async fn roll_back(args: AppRollbackArgs, output: Output) -> Result<ExitCode> {
    let owned = Owned::read(args.app.clone()).await?;
    let sender = owned.owner()?;
    let key = EntryKey::AppVersion(owned.app, args.to);
    let old = owned.chain.entry::<AppEntry>(&key).await?.entry;
    let old =
        old.with_context(|| format!("the app has no version {}: `freehold app policy show` lists them", args.to))?;
    let policy = content_digest(&old.policy.to_canonical());
    if policy == owned.found.policy_digest() {
        bail!("what version {} admitted is in force", args.to);
    }
    let entry = owned.found.entry.as_ref();
    let returns =
        owned.found.rule().is_free() || entry.is_some_and(|entry| entry.may_return(&policy, owned.found.time_unix_s));
    output.object(&json!({
        "event": "plan", "app_id": owned.app, "plan": if returns { "returns" } else { "announced" }, "rollback_to": args.to,
        "policy": policy, "measurements": measurements(&old.policy), "dry_run": args.app.dry_run,
    }));
    output.text(&format!("app        {}, back to what version {} admitted", owned.app, args.to));
    tell_measurements("would admit", &old.policy, output);
    if !returns {
        output.text("           was not in force within the last notice, or not public for one: it is announced like any policy");
    }
    ask(&args.app, args.yes)?;
    if !returns {
        let change = UpgradeChange { policy: Some(old.policy), ..UpgradeChange::default() };
        owned.announce(&change, output).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let call = IApps::rollBackCall { app: (*owned.app.as_bytes()).into(), version: args.to };
    sender.send(&CONTRACT, &call, 0, output).await?;
    if owned.found.rule().cosigners_needed > 0 && !args.app.dry_run {
        tell_announced(&AppUpgrades::read(&owned.chain, owned.app).await?, output);
        return Ok(ExitCode::SUCCESS);
    }
    tell_in_force(&owned, output).await?;
    Ok(ExitCode::SUCCESS)
}
