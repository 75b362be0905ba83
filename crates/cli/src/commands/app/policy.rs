//! `app policy`: what an app admits and promises about its upgrades (`docs/upgrades.md`). Everything shown is proven.

use std::{fs, io::IsTerminal as _, path::Path, process::ExitCode};

use alloy_primitives::Address;
use anyhow::{Context as _, Result, bail};
use freehold_bundle::open_bundle;
use freehold_client::AppUpgrades;
use freehold_crypto::{content_digest, sha256};
use freehold_host::widened;
use freehold_primitives::{
    Account, AppId, Canonical as _, Digest,
    entries::{AppEntry, UpgradeChange, UpgradeRule},
};
use freehold_rpc::EntryKey;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    deploy::asked,
    owned::{Owned, launches, measurements, rule, tell_announced, tell_measurements},
    settings::{CONTRACT, IApps, read_bounded},
};
use crate::{
    args::{
        AppPolicyApproveArgs, AppPolicyAuditArgs, AppPolicyCheckArgs, AppPolicyCommand, AppPolicyEditArgs,
        SettingsArgs, VerdictArg,
    },
    commands::{FAILURE, sender::Sender},
    output::Output,
};

/// Exit status where a bundle is admitted only by what is announced.
const ANNOUNCED: u8 = 3;
/// Versions that are shown, newest first.
const VERSIONS_SHOWN: u32 = 32;
/// Longest file with a rule, and longest report of an auditor, in bytes.
const RULE_BYTES_MAX: u64 = 64 * 1024;
const REPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Runs the command.
pub(super) async fn run(command: AppPolicyCommand, output: Output) -> Result<ExitCode> {
    match command {
        AppPolicyCommand::Show(args) => show(args, output).await?,
        AppPolicyCommand::Edit(args) => edit(args, output).await?,
        AppPolicyCommand::Check(args) => return check(args, output).await,
        AppPolicyCommand::Approve(args) => approve(args, output).await?,
        AppPolicyCommand::Withdraw(args) => withdraw(args, output).await?,
        AppPolicyCommand::Audit(args) => audit(args, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(args: SettingsArgs, output: Output) -> Result<()> {
    let owned = Owned::read(args).await?;
    tell_in_force(&owned, output);
    tell_announced(&owned.found, output);
    let (found, now) = (&owned.found, owned.found.time_unix_s);
    for version in versions(&owned).await? {
        let policy = content_digest(&version.policy.to_canonical());
        let may_return = found.entry.as_ref().is_some_and(|entry| entry.may_return(&policy, now));
        let returns = policy != found.policy_digest() && (may_return || found.rule().is_free());
        output.object(&json!({
            "event": "version", "version": version.version, "policy": policy, "since_height": version.changed_at,
            "measurements": measurements(&version.policy), "returns_at_once": returns,
        }));
        let note = if returns { ", may come back at once" } else { "" };
        output
            .text(&format!("version    {}, from block {}, policy {policy}{note}", version.version, version.changed_at));
    }
    Ok(())
}

/// The app, its promise, and its policy in force.
fn tell_in_force(owned: &Owned, output: Output) {
    let AppUpgrades { time_unix_s: now, app, entry } = &owned.found;
    let (promised, policy) = (owned.found.rule(), owned.found.policy_digest());
    let in_force = entry.as_ref().map(|entry| &entry.in_force);
    let public_s = in_force.map(|in_force| now.saturating_sub(in_force.public_since_unix_s));
    output.object(&json!({
        "event": "policy", "app_id": owned.app, "owner": format!("0x{}", app.owner), "version": app.version,
        "closed": app.closed_at.is_some(), "policy": policy, "measurements": measurements(&app.policy),
        "rule": rule(&promised), "promised_since": entry.as_ref().map(|entry| entry.promised_since_unix_s),
        "public_since": in_force.map(|in_force| in_force.public_since_unix_s), "public_s": public_s, "time": now,
    }));
    output.text(&format!("app        {}\nowner      0x{}", owned.app, app.owner));
    output.text(&format!(
        "promises   {} s of notice, {} of {} co-signers",
        promised.notice_s,
        promised.cosigners_needed,
        promised.cosigners.len()
    ));
    for cosigner in &promised.cosigners {
        output.text(&format!("           co-signer 0x{cosigner}"));
    }
    output.text(&format!("in force   version {}, policy {policy}", app.version));
    output.text(&match public_s {
        Some(public_s) => format!("           public for {public_s} s"),
        None => "           since when it is public the chain does not say: the app never promised anything".to_owned(),
    });
    tell_measurements("admits", &app.policy, output);
}

/// The newest versions of an app, oldest first, each by proof.
async fn versions(owned: &Owned) -> Result<Vec<AppEntry>> {
    let newest = owned.found.app.version;
    let first = newest.saturating_sub(VERSIONS_SHOWN - 1);
    let keys: Vec<EntryKey> = (first..=newest).map(|version| EntryKey::AppVersion(owned.app, version)).collect();
    let (_, found) = owned.chain.entries::<AppEntry>(&keys).await?;
    Ok(found.into_iter().flatten().collect())
}

/// A rule as a person writes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    /// Seconds between the announcement of a policy and its coming into force.
    notice_s: u64,
    /// Accounts that may approve.
    cosigners: Vec<String>,
    /// How many of them must.
    cosigners_needed: u32,
}

impl RuleFile {
    fn of(rule: &UpgradeRule) -> Result<String> {
        let cosigners = rule.cosigners.iter().map(|account| format!("0x{account}")).collect();
        let file = Self { notice_s: rule.notice_s, cosigners, cosigners_needed: rule.cosigners_needed };
        Ok(toml::to_string(&file)?)
    }

    fn read(text: &str) -> Result<UpgradeRule> {
        let file: Self = toml::from_str(text).context("it is no rule: notice_s, cosigners, cosigners_needed")?;
        let cosigners = file.cosigners.iter().map(|account| account.parse::<Address>());
        let cosigners: Vec<Address> = cosigners.collect::<Result<_, _>>().context("a co-signer is no account")?;
        Ok(rule_of(file.notice_s, &cosigners, file.cosigners_needed))
    }
}

fn rule_of(notice_s: u64, cosigners: &[Address], cosigners_needed: u32) -> UpgradeRule {
    let mut cosigners: Vec<Account> = cosigners.iter().map(|account| Account(account.0.0)).collect();
    cosigners.sort_unstable();
    cosigners.dedup();
    UpgradeRule { notice_s, cosigners, cosigners_needed }
}

async fn edit(args: AppPolicyEditArgs, output: Output) -> Result<()> {
    let owned = Owned::read(args.app.clone()).await?;
    let before = owned.found.rule();
    let next = next_rule(&args, &before)?;
    if !next.is_sound() {
        bail!("a notice is at most a year, co-signers are at most 16, and no more are needed than are named");
    }
    if next == before {
        output.object(&json!({ "event": "rule", "app_id": owned.app, "changes": false, "rule": rule(&before) }));
        output.text("nothing changes");
        return Ok(());
    }
    let at_once = next.protects_as(&before);
    output.object(&json!({
        "event": "rule", "app_id": owned.app, "changes": true, "before": rule(&before), "rule": rule(&next), "at_once": at_once,
    }));
    for line in difference(&RuleFile::of(&before)?, &RuleFile::of(&next)?) {
        output.text(&line);
    }
    output.text(if at_once {
        "counts at once; to lower it again takes the notice and the co-signers that it names"
    } else {
        "protects less than the rule in force: it is announced, and waits for that one's notice and co-signers"
    });
    let sender = owned.owner()?;
    if !args.yes && !args.app.dry_run {
        asked()?;
    }
    if !at_once {
        let change = UpgradeChange { rule: Some(next), ..UpgradeChange::default() };
        return owned.announce(&change, output).await;
    }
    promise(&sender, &owned.app, &next, output).await
}

/// Promises a rule that protects as much as the one in force.
pub(super) async fn promise(sender: &Sender, app: &AppId, rule: &UpgradeRule, output: Output) -> Result<()> {
    let call = IApps::setUpgradeRuleCall {
        app: (*app.as_bytes()).into(),
        noticeS: rule.notice_s,
        cosigners: rule.cosigners.iter().map(|account| Address::new(account.0)).collect(),
        cosignersNeeded: rule.cosigners_needed,
    };
    sender.send(&CONTRACT, &call, 0, output).await
}

/// The rule that is wanted: of the flags, of a file, or as somebody edits it.
fn next_rule(args: &AppPolicyEditArgs, before: &UpgradeRule) -> Result<UpgradeRule> {
    if let Some(path) = &args.file {
        return RuleFile::read(&String::from_utf8(read_bounded(path, RULE_BYTES_MAX)?)?);
    }
    let says_cosigners = args.no_cosigners || !args.cosigners.is_empty();
    if args.notice.is_none() && !says_cosigners && args.cosigners_needed.is_none() {
        return edited(before);
    }
    let mut next = before.clone();
    next.notice_s = args.notice.unwrap_or(next.notice_s);
    if says_cosigners {
        next.cosigners = rule_of(0, &args.cosigners, 0).cosigners;
        next.cosigners_needed = next.cosigners_needed.min(u32::try_from(next.cosigners.len())?);
    }
    next.cosigners_needed = args.cosigners_needed.unwrap_or(next.cosigners_needed);
    Ok(next)
}

/// Opens the rule in the editor that the environment names.
fn edited(before: &UpgradeRule) -> Result<UpgradeRule> {
    if !std::io::stdin().is_terminal() {
        bail!("say what shall change: --notice, --cosigner, --cosigners-needed, or --file");
    }
    let editor = std::env::var("EDITOR").context("EDITOR names no editor: use --notice, --cosigner or --file")?;
    let file = tempfile::Builder::new().suffix(".toml").tempfile().context("no place for the rule")?;
    fs::write(file.path(), RuleFile::of(before)?)?;
    let mut words = editor.split_whitespace();
    let program = words.next().context("EDITOR names no editor")?;
    let status = std::process::Command::new(program).args(words).arg(file.path()).status();
    if !status.with_context(|| format!("{program} cannot be started"))?.success() {
        bail!("{program} failed: nothing changes");
    }
    RuleFile::read(&String::from_utf8(read_bounded(file.path(), RULE_BYTES_MAX)?)?)
}

/// Lines that are gone and lines that are new.
fn difference(before: &str, next: &str) -> Vec<String> {
    let gone = before.lines().filter(|line| !next.lines().any(|other| other == *line));
    let new = next.lines().filter(|line| !before.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect()
}

async fn check(args: AppPolicyCheckArgs, output: Output) -> Result<ExitCode> {
    let owned = Owned::read(args.app.clone()).await?;
    let found = &owned.found;
    let kept = found.check(&owned.chain, &args.demand.demand()).await;
    let shortfall = match kept {
        Err(freehold_client::UpgradesError::Shortfall(shortfall)) => Some(shortfall.to_string()),
        other => other.map(|()| None)?,
    };
    let admitted = match &args.bundle {
        Some(folder) => Some(admission(&owned, folder).await?),
        None => None,
    };
    let due = found.entry.as_ref().and_then(freehold_primitives::entries::UpgradeEntry::due_unix_s);
    output.object(&json!({
        "event": "checked", "app_id": owned.app, "keeps": shortfall.is_none() && found.app.closed_at.is_none(), "shortfall": shortfall,
        "rule": rule(&found.rule()), "bundle": admitted.map(Admission::word),
        "due_at": due.filter(|_| admitted == Some(Admission::Announced)),
    }));
    match &shortfall {
        Some(shortfall) => output.text(&format!("refused    {shortfall}")),
        None => output.text("keeps      what is demanded of its upgrades"),
    }
    match admitted {
        Some(Admission::Now) => output.text("bundle     is admitted now"),
        Some(Admission::Announced) => {
            output.text(&format!("bundle     is admitted by what is announced, from {} on", due.unwrap_or_default()));
        }
        Some(Admission::Never) => {
            output.text("bundle     is admitted neither by what is in force nor by what is announced")
        }
        None => {}
    }
    Ok(match (shortfall.is_some() || found.app.closed_at.is_some(), admitted) {
        (false, None | Some(Admission::Now)) => ExitCode::SUCCESS,
        (false, Some(Admission::Announced)) => ExitCode::from(ANNOUNCED),
        _ => ExitCode::from(FAILURE),
    })
}

/// Whether a bundle is admitted under every kind of evidence that the policy accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Now,
    Announced,
    Never,
}

impl Admission {
    const fn word(self) -> &'static str {
        match self {
            Self::Now => "admitted",
            Self::Announced => "announced",
            Self::Never => "refused",
        }
    }
}

async fn admission(owned: &Owned, folder: &Path) -> Result<Admission> {
    let (found, bundle) = (&owned.found, open_bundle(folder)?);
    let policy = &found.app.policy;
    let launches = launches(&bundle, policy, policy.lease_s_max).await?;
    let admits = |policy: &freehold_primitives::AppPolicy| {
        let is_admitted = |launch: &freehold_primitives::AppPolicy| widened(policy.clone(), launch.clone()) == *policy;
        !launches.is_empty() && launches.iter().all(|(_, launch)| is_admitted(launch))
    };
    let pending = found.entry.as_ref().and_then(|entry| entry.pending.as_ref());
    let announced = pending.and_then(|pending| pending.change.policy.as_ref());
    Ok(match announced {
        _ if admits(policy) => Admission::Now,
        Some(announced) if admits(announced) => Admission::Announced,
        _ => Admission::Never,
    })
}

async fn approve(args: AppPolicyApproveArgs, output: Output) -> Result<()> {
    let owned = Owned::read(args.app).await?;
    tell_announced(&owned.found, output);
    let (app, change) = ((*owned.app.as_bytes()).into(), args.change.0.into());
    let sender = owned.sender()?;
    if args.take_back {
        return sender.send(&CONTRACT, &IApps::disapproveUpgradeCall { app, change }, 0, output).await;
    }
    sender.send(&CONTRACT, &IApps::approveUpgradeCall { app, change }, 0, output).await
}

async fn withdraw(args: SettingsArgs, output: Output) -> Result<()> {
    let owned = Owned::read(args).await?;
    tell_announced(&owned.found, output);
    let call = IApps::withdrawUpgradeCall { app: (*owned.app.as_bytes()).into() };
    owned.owner()?.send(&CONTRACT, &call, 0, output).await
}

async fn audit(args: AppPolicyAuditArgs, output: Output) -> Result<()> {
    let owned = Owned::read(args.app.clone()).await?;
    let policy = args.policy.map_or_else(|| owned.found.policy_digest(), |policy| Digest(policy.0));
    let report = match &args.report {
        Some(path) => sha256(&read_bounded(path, REPORT_BYTES_MAX)?),
        None => Digest::ZERO,
    };
    let (verdict, word) = match args.verdict {
        VerdictArg::Sound => (1, "sound"),
        VerdictArg::Flawed => (2, "flawed"),
    };
    output.object(&json!({
        "event": "audit", "app_id": owned.app, "policy": policy, "verdict": word, "report": report, "place": args.place,
    }));
    output.text(&format!("app        {}\npolicy     {policy}\nsays       {word}, report {report}", owned.app));
    let call = IApps::auditCall {
        app: (*owned.app.as_bytes()).into(),
        policy: policy.0.into(),
        verdict,
        report: report.0.into(),
        place: args.place,
    };
    owned.sender()?.send(&CONTRACT, &call, 0, output).await
}

#[cfg(test)]
mod tests;
