//! An app and its promise as the chain proves them, whoever acts on it, and what of a bundle its policy admits.

use anyhow::{Context as _, Result, bail};
use freehold_bundle::Bundle;
use freehold_client::AppUpgrades;
use freehold_host::{EmulatedTee, launch_policy, measure_bundle};
use freehold_primitives::{
    AppId, AppPolicy, Measurement, TrustDomain,
    entries::{UpgradeChange, UpgradeState},
};
use freehold_rpc::{NodeClient, VerifiedClient};
use serde_json::{Value, json};

use super::{
    build::registers,
    network::Network,
    settings::{CONTRACT, IApps, acting, named_app},
};
use crate::{args::SettingsArgs, commands::sender::Sender, output::Output};

/// An app, what it promises, and who acts.
pub(super) struct Owned {
    pub(super) args: SettingsArgs,
    pub(super) app: AppId,
    pub(super) network: Network,
    pub(super) chain: VerifiedClient,
    pub(super) found: AppUpgrades,
}

impl Owned {
    pub(super) async fn read(args: SettingsArgs) -> Result<Self> {
        let network = Network::find(&args.network).await?;
        let app = named_app(&network, &args)?;
        let chain = network.verified();
        let found = AppUpgrades::read(&chain, app).await?;
        Ok(Self { args, app, network, chain, found })
    }

    /// Whoever acts, in whatever name.
    pub(super) fn sender(&self) -> Result<Sender> {
        let account = acting(&self.network, &self.args, self.found.app.owner)?;
        let Network { node, genesis, .. } = &self.network;
        Ok(Sender {
            node: NodeClient::new(node.clone()),
            genesis: genesis.clone(),
            account,
            dry_run: self.args.dry_run,
            validator: None,
        })
    }

    /// The owner, who acts.
    pub(super) fn owner(&self) -> Result<Sender> {
        let (sender, owner) = (self.sender()?, self.found.app.owner);
        if self.found.app.closed_at.is_some() {
            bail!("the app {} is closed", self.app);
        }
        if sender.account.account() != owner {
            bail!("0x{} does not own the app: 0x{owner} does", sender.account.account());
        }
        Ok(sender)
    }

    /// Announces a change, and tells from when it can count.
    pub(super) async fn announce(&self, change: &UpgradeChange, output: Output) -> Result<()> {
        let rule = self.found.rule();
        if self.found.state().is_some() {
            output.note("note: what is announced now is replaced, and its notice ends");
        }
        let call = IApps::announceUpgradeCall {
            app: (*self.app.as_bytes()).into(),
            change: freehold_primitives::Canonical::to_canonical(change).into(),
        };
        output.text(&format!(
            "announces  a change that can count {} s from now, with {} of {} co-signers",
            rule.notice_s,
            rule.cosigners_needed,
            rule.cosigners.len()
        ));
        self.owner()?.send(&CONTRACT, &call, 0, output).await?;
        if self.args.dry_run {
            return Ok(());
        }
        let now = AppUpgrades::read(&self.chain, self.app).await?;
        tell_announced(&now, output);
        Ok(())
    }
}

/// What is announced, in words and as an object.
pub(super) fn tell_announced(found: &AppUpgrades, output: Output) {
    let Some((entry, state)) = found.entry.as_ref().zip(found.state()) else {
        output.object(&json!({ "event": "announced", "app_id": found.app.app_id, "change": null }));
        output.text("announced  nothing");
        return;
    };
    let (Some(pending), due) = (&entry.pending, entry.due_unix_s().unwrap_or_default()) else { return };
    let missing = entry.rule.missing(&pending.approvals);
    let policy = pending.change.policy.as_ref();
    output.object(&json!({
        "event": "announced", "app_id": found.app.app_id, "change": pending.digest, "policy": pending.policy_digest,
        "rule": pending.change.rule.as_ref().map(rule), "rollback_to": pending.change.rollback_to,
        "measurements": policy.map(measurements), "announced_at": pending.announced_at_unix_s, "due_at": due,
        "due_in_s": due.saturating_sub(found.time_unix_s), "approvals": pending.approvals.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "approvals_missing": missing, "state": word(state),
    }));
    output.text(&format!("announced  change {}\n           {}", pending.digest, sentence(state, found.time_unix_s)));
    if let Some(version) = pending.change.rollback_to {
        output.text(&format!("           brings back what version {version} admitted"));
    }
    if let Some(policy) = policy {
        tell_measurements("would admit", policy, output);
    }
    if let Some(next) = &pending.change.rule {
        output.text(&format!(
            "           would promise {} s of notice, {} of {} co-signers",
            next.notice_s,
            next.cosigners_needed,
            next.cosigners.len()
        ));
    }
    for account in &pending.approvals {
        output.text(&format!("           approved by 0x{account}"));
    }
}

/// A rule as an object.
pub(super) fn rule(rule: &freehold_primitives::entries::UpgradeRule) -> Value {
    json!({
        "notice_s": rule.notice_s, "cosigners": rule.cosigners.iter().map(|account| format!("0x{account}")).collect::<Vec<_>>(),
        "cosigners_needed": rule.cosigners_needed,
    })
}

const fn word(state: UpgradeState) -> &'static str {
    match state {
        UpgradeState::Ready => "ready",
        UpgradeState::Noticed(_) => "noticed",
        UpgradeState::Unapproved(_) => "unapproved",
        UpgradeState::Lapsed => "lapsed",
    }
}

/// How an announced change stands, and what to do about it.
pub(super) fn sentence(state: UpgradeState, now_unix_s: u64) -> String {
    match state {
        UpgradeState::Ready => "can count now: `freehold app upgrade --activate`".to_owned(),
        UpgradeState::Noticed(due) => {
            format!("its notice runs {} s more, until {due} (unix seconds)", due.saturating_sub(now_unix_s))
        }
        UpgradeState::Unapproved(missing) => {
            format!("{missing} co-signers are missing: `freehold app policy approve` is theirs")
        }
        UpgradeState::Lapsed => "it was not put in force in time: announce it again".to_owned(),
    }
}

/// Every measurement that a policy names, as registers.
pub(super) fn measurements(policy: &AppPolicy) -> Vec<Value> {
    let evidence = &policy.evidence;
    let tdx = evidence.tdx.iter().flat_map(|tdx| tdx.measurements.iter().cloned().map(Measurement::Tdx));
    let snp = evidence.snp.iter().flat_map(|snp| snp.measurements.iter().cloned().map(Measurement::Snp));
    let nitro = evidence.nitro.iter().flat_map(|nitro| nitro.measurements.iter().cloned().map(Measurement::Nitro));
    tdx.chain(snp)
        .chain(nitro)
        .map(|shown| json!({ "kind": shown.kind().as_str(), "registers": registers(&shown) }))
        .collect()
}

pub(super) fn tell_measurements(what: &str, policy: &AppPolicy, output: Output) {
    for measured in measurements(policy) {
        output.text(&format!("           {what} {}", measured["kind"].as_str().unwrap_or_default()));
        for (name, value) in measured["registers"].as_object().into_iter().flatten() {
            output.text(&format!("             {name:<12} {}", value.as_str().unwrap_or("any")));
        }
    }
    let releases = policy.evidence.sgx.as_ref().map_or(0, |sgx| sgx.releases.len());
    if releases > 0 {
        output.text(&format!("           {what} {releases} releases of SGX"));
    }
}

/// What this bundle's launches would have to be admitted by: a policy for each kind of evidence that `policy` accepts.
pub(super) async fn launches(
    bundle: &Bundle,
    policy: &AppPolicy,
    lease_s: u64,
) -> Result<Vec<(EmulatedTee, AppPolicy)>> {
    let evidence = &policy.evidence;
    let is_emulated = evidence.trust_domains == [TrustDomain::Emulated];
    let is_known = evidence.sgx.is_none() && evidence.nitro.is_none() && evidence.nvidia.is_none();
    if !is_emulated || !is_known {
        bail!(
            "the policy accepts hardware whose measurement this release cannot compute for the launcher `direct`: name what \
             evidence must show with `freehold app upgrade --evidence FILE` (docs/upgrades.md)"
        );
    }
    let executable = std::env::current_exe().context("this program's own file cannot be found")?;
    let launch = measure_bundle(&executable, bundle)?;
    let mut found = Vec::new();
    for (tee, is_accepted) in [(EmulatedTee::Tdx, evidence.tdx.is_some()), (EmulatedTee::Snp, evidence.snp.is_some())] {
        if is_accepted {
            found.push((tee, launch_policy(tee, &launch, lease_s).await));
        }
    }
    Ok(found)
}
