//! `taint`: what lies in the shadow of a platform, a generation, a measurement: instances, apps, keys, receipts.
//!
//! The node walks the state; nothing is judged here. What is said of one answer, `verify` says, under proof.

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_primitives::{AppId, entries::DenySubject};
use freehold_rpc::{Endpoint, HexBytes, NodeClient, TaintPage, TaintedInstance};
use serde_json::json;

use crate::{args::TaintArgs, find, output::Output};

/// Most pages that are asked for; a page looks at 32 instances.
const PAGES_MAX: usize = 1_000;
/// Instances that are listed in text; `--json` lists all.
const LISTED: usize = 20;

/// Runs the command.
pub(crate) async fn run(args: TaintArgs, output: Output) -> Result<ExitCode> {
    let Some(kind) = DenySubject::from_word(&args.kind) else {
        bail!("no such kind: {} (platform, family, measurement, instance, generation or tcb)", args.kind);
    };
    let digits = args.subject.strip_prefix("0x").unwrap_or(&args.subject);
    let subject = hex::decode(digits).context("the subject is hex")?;
    let endpoints = find::endpoints(&args.find).await?;
    let node = NodeClient::new(endpoints.rpc.parse::<Endpoint>()?);
    let mut shadow = Shadow::default();
    let mut cursor = 0;
    for page in 0.. {
        let TaintPage { height, denials, instances, next, .. } = node.taint(kind, &subject, cursor).await?;
        shadow.height = height;
        shadow.denials = denials;
        shadow.instances.extend(instances);
        let Some(next) = next else { break };
        if page + 1 >= PAGES_MAX {
            shadow.cut = true;
            break;
        }
        cursor = next;
    }
    shadow.sort();
    output.object(&json!({
        "event": "taint",
        "kind": kind.as_str(),
        "subject": HexBytes(subject.clone()),
        "height": shadow.height,
        "denials": shadow.denials,
        "instances": shadow.instances,
        "apps": shadow.apps(),
        "contexts": shadow.contexts(),
        "receipts": shadow.receipts(),
        "complete": !shadow.cut,
    }));
    for line in shadow.lines(kind, &hex::encode(&subject)) {
        output.text(&line);
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything in the shadow of one subject.
#[derive(Default)]
struct Shadow {
    height: u64,
    denials: Vec<freehold_rpc::ChainDenial>,
    instances: Vec<TaintedInstance>,
    /// Whether there was more than is read.
    cut: bool,
}

impl Shadow {
    /// An instance whose evidence moved away and back was written twice.
    fn sort(&mut self) {
        self.instances.sort_by_key(|instance| (instance.opened_at, instance.instance_id));
        self.instances.dedup_by_key(|instance| instance.instance_id);
    }

    fn apps(&self) -> BTreeSet<AppId> {
        self.instances.iter().map(|instance| instance.app_id).collect()
    }

    /// Keys that instances in the shadow held, by app.
    fn contexts(&self) -> BTreeSet<String> {
        let of = |instance: &TaintedInstance| {
            let app = instance.app_id;
            let name = |grant: &freehold_rpc::TaintedGrant| format!("{app} {} {}", grant.context, grant.generation);
            instance.grants.iter().map(name).collect::<Vec<_>>()
        };
        self.instances.iter().flat_map(of).collect()
    }

    fn receipts(&self) -> u64 {
        self.instances.iter().fold(0, |sum, instance| sum.saturating_add(instance.receipts))
    }

    fn lines(&self, kind: DenySubject, subject: &str) -> Vec<String> {
        let mut lines = vec![format!("{kind} {subject}, as of block {}", self.height)];
        if self.denials.is_empty() {
            lines.push("The chain has never denied it.".to_owned());
        }
        for denial in &self.denials {
            let level =
                denial.level.as_ref().map_or(String::new(), |level| format!(" up to level {}", hex::encode(&level.0)));
            let reason = match denial.reason {
                1 => "compromised",
                2 => "extracted key",
                3 => "withdrawn release",
                _ => "other",
            };
            let end = denial.lifted_at.map_or("stands".to_owned(), |height| format!("was lifted at block {height}"));
            lines.push(format!("The chain denied it{level} at block {} ({reason}); this {end}.", denial.since));
        }
        let live = self.instances.iter().filter(|instance| instance.live).count();
        lines.push(format!(
            "{} instances ever stood on it, {live} of them live; {} apps, {} keys, {} anchored receipts.",
            self.instances.len(),
            self.apps().len(),
            self.contexts().len(),
            self.receipts(),
        ));
        for key in self.contexts() {
            lines.push(format!("  key       {key}: rotate it if the subject was compromised"));
        }
        for instance in self.instances.iter().take(LISTED) {
            lines.push(line(instance));
        }
        if self.instances.len() > LISTED {
            lines.push(format!("  and {} more: --json lists them", self.instances.len() - LISTED));
        }
        if self.cut {
            lines.push("There are more than were read.".to_owned());
        }
        lines
    }
}

fn line(instance: &TaintedInstance) -> String {
    let state = match (instance.live, instance.closed_at) {
        (true, _) => "live".to_owned(),
        (false, Some(height)) => format!("closed at block {height}"),
        (false, None) => "not live".to_owned(),
    };
    let receipts = match (instance.first_anchor, instance.last_anchor) {
        (Some(first), Some(last)) => format!("{} receipts anchored in blocks {first} to {last}", instance.receipts),
        _ => "no receipts anchored".to_owned(),
    };
    format!(
        "  instance  {} of {}, from block {}, {state}, tier {}; {receipts}",
        instance.instance_id, instance.app_id, instance.opened_at, instance.tier
    )
}
