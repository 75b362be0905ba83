//! Apps: from an empty folder to an answer, cold starts, the local API, what isolation costs, renewals, and recovery after a kill.
//!
//! Everything is run as a person runs it: this very program, as processes of their own, beside a network of four validators in
//! one process. The app is the one that `app init` makes; what keeping an app apart costs is measured on one program that is made a process and a
//! container here. Aims are told
//! beside the figures, met or not. A figure never decides anything.

mod child;
mod overhead;
mod pair;
mod renewals;
mod served;
mod vm;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use freehold_rpc::{Endpoint, KeyKind, LocalClient};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Samples, round};
use crate::{args::AppsPart, output::Output};

pub(crate) use served::app;

use child::{Running, answered, tell_of};

/// Aims, in milliseconds: from the start of `app run` to a sent registration.
const PROCESS_START_MS_AIM: f64 = 1_000.0;
const CONTAINER_START_MS_AIM: f64 = 2_000.0;
/// Askers of the local API at once.
const ASKERS: [u32; 2] = [1, 16];
/// Calls of each asker of the local API, and requests to the app's own API, for each sample of `count`.
const CALLS: u32 = 100;

/// What is measured.
pub(super) struct Plan {
    /// Starts for each figure.
    pub(super) count: u32,
    /// Folder of an app of containers, with its images.
    pub(super) container: Option<PathBuf>,
    /// Folder of an app with the same program as a process.
    pub(super) process: Option<PathBuf>,
    /// Only these; all where none is named.
    pub(super) parts: Vec<AppsPart>,
    /// Instances that renew their leases.
    pub(super) instances: u8,
}

/// Where everything is, and where it is told.
struct Bench {
    folder: tempfile::TempDir,
    output: Output,
    count: u32,
}

/// Runs the benchmark.
pub(super) async fn run(plan: Plan, output: Output) -> Result<()> {
    let bench = Bench { folder: tempfile::tempdir().context("no temporary directory")?, output, count: plan.count };
    let data = bench.data();
    let mut up = Running::start(&["up", "--no-app", "--rpc", "127.0.0.1:0", "--data-dir", &data], bench.folder.path())?;
    let (_, ready) = up.until("ready")?;
    let measured = bench.measure(&plan, &ready).await;
    up.interrupt();
    measured
}

impl Bench {
    fn data(&self) -> String {
        self.folder.path().join("net").to_string_lossy().into_owned()
    }

    fn start(&self, app: &Path, more: &[&str]) -> Result<Running> {
        let (app, data) = (app.to_string_lossy(), self.data());
        let words = ["app", "run", &app, "--data-dir", &data, "--api", "127.0.0.1:0", "--once"];
        Running::start(&[&words, more].concat(), self.folder.path())
    }

    async fn measure(&self, plan: &Plan, network: &Value) -> Result<()> {
        let wanted = |part| plan.parts.is_empty() || plan.parts.contains(&part);
        let app = self.folder.path().join("bench");
        tell_of(&["app", "init", "bench"], self.folder.path())?;
        if wanted(AppsPart::First) {
            self.first_answer()?;
        }
        let given = |folder: &Path| folder.canonicalize().with_context(|| format!("no folder {}", folder.display()));
        let process = plan.process.as_deref().map_or_else(|| Ok(app.clone()), given)?;
        let container = plan.container.as_deref().map(given).transpose()?;
        if container.is_none() {
            self.output.warn(
                "sizes and starts of containers are not measured: name the folder of such an app with --container",
            );
        }
        if wanted(AppsPart::Sizes) {
            self.sizes("process", &process)?;
            container.iter().try_for_each(|folder| self.sizes("container", folder))?;
        }
        if wanted(AppsPart::Starts) {
            self.starts("process", &process, PROCESS_START_MS_AIM)?;
            container.iter().try_for_each(|folder| self.starts("container", folder, CONTAINER_START_MS_AIM))?;
        }
        if wanted(AppsPart::LocalApi) {
            self.local_api(&app).await?;
        }
        if wanted(AppsPart::Overhead) {
            self.overhead(&pair::make(self.folder.path())?)?;
        }
        if wanted(AppsPart::Vm) {
            self.vm(&app)?;
        }
        if wanted(AppsPart::Renewals) {
            let rpc = network["rpc"].as_str().context("the network tells no address")?;
            let what = format!("{} instances renew their leases", plan.instances);
            let samples = renewals::run(rpc, plan.instances, self.count).await?;
            self.tell("renewals", &what, &samples, None);
        }
        Ok(())
    }

    /// From an empty folder to an answer.
    fn first_answer(&self) -> Result<()> {
        let begun = Instant::now();
        tell_of(&["app", "init", "first"], self.folder.path())?;
        let mut running = self.start(Path::new("first"), &[])?;
        let (_, ready) = running.until("ready")?;
        answered(&ready)?;
        let took = begun.elapsed();
        running.interrupt();
        self.output.text(&format!(
            "empty folder → answer: {:.2} s, 2 commands (app init, app run) beside a running `freehold up`",
            took.as_secs_f64()
        ));
        self.output.object(&json!({
            "event": "bench", "bench": "apps", "figure": "first_answer", "commands": 2, "s": round(took.as_secs_f64()),
        }));
        Ok(())
    }

    /// Cold starts, and starts after a `kill -9` of the host.
    fn starts(&self, kind: &str, app: &Path, aim_ms: f64) -> Result<()> {
        let (mut sent, mut answer, mut recovered) = (Samples::default(), Samples::default(), Samples::default());
        // The first one creates the app, or unpacks its images.
        let mut first = self.start(app, &[])?;
        answered(&first.until("ready")?.1)?;
        first.interrupt();
        for _ in 0..self.count {
            let begun = Instant::now();
            let mut running = self.start(app, &[])?;
            sent.push(running.until("registration")?.0);
            answered(&running.until("ready")?.1)?;
            answer.push(begun.elapsed());
            let killed = Instant::now();
            running.kill();
            let mut again = self.start(app, &[])?;
            answered(&again.until("ready")?.1)?;
            recovered.push(killed.elapsed());
            again.interrupt();
        }
        self.tell(kind, "cold start, process start → registration sent", &sent, Some(aim_ms));
        self.tell(kind, "cold start, process start → answer", &answer, None);
        self.tell(kind, "host killed (kill -9) → answer of the next", &recovered, None);
        Ok(())
    }

    /// Calls of the local API a second.
    async fn local_api(&self, app: &Path) -> Result<()> {
        let mut running = self.start(app, &[])?;
        let (_, ready) = running.until("ready")?;
        let socket = ready["local_api"].as_str().context("the app tells no socket")?.parse::<Endpoint>()?;
        let local = LocalClient::new(socket);
        for askers in ASKERS {
            let (mut tasks, mut samples, begun) = (JoinSet::new(), Samples::default(), Instant::now());
            for _ in 0..askers {
                tasks.spawn(keys(local.clone(), CALLS * self.count));
            }
            while let Some(done) = tasks.join_next().await {
                done??.into_iter().for_each(|took| samples.push(took));
            }
            let rate = f64::from(askers * CALLS * self.count) / begun.elapsed().as_secs_f64();
            self.output.text(&format!(
                "local API, keys/generate, {askers} askers: {rate:.0} calls/s, p50 {:.3} ms",
                samples.quantile_ms(0.5)
            ));
            self.output.object(&json!({
                "event": "bench", "bench": "apps", "figure": "local_api", "askers": askers, "calls_per_s": round(rate),
                "call": samples.json(),
            }));
        }
        running.interrupt();
        Ok(())
    }

    /// Bytes of a bundle and of its images.
    fn sizes(&self, kind: &str, app: &Path) -> Result<()> {
        let bundle = self.folder.path().join("built").to_string_lossy().into_owned();
        let built = tell_of(&["app", "build", &app.to_string_lossy(), "--output", &bundle], self.folder.path())?;
        std::fs::remove_dir_all(&bundle).context("the bundle cannot be removed")?;
        let bytes = built["bytes"].as_u64().unwrap_or_default();
        let images: u64 =
            built["images"].as_array().into_iter().flatten().filter_map(|image| image["bytes"].as_u64()).sum();
        self.output.text(&format!("{kind}: files of the bundle {bytes} bytes, layers of its images {images} bytes"));
        self.output.object(&json!({
            "event": "bench", "bench": "apps", "figure": "sizes", "kind": kind, "files_bytes": bytes,
            "images_bytes": images,
        }));
        Ok(())
    }

    fn tell(&self, kind: &str, what: &str, samples: &Samples, aim_ms: Option<f64>) {
        let p50 = samples.quantile_ms(0.5);
        let aim = match aim_ms {
            Some(aim) if p50 <= aim => format!(" (aim: at most {aim:.0} ms: met)"),
            Some(aim) => format!(" (aim: at most {aim:.0} ms: MISSED)"),
            None => String::new(),
        };
        self.output.text(&format!("{kind}: {what}: p50 {p50:.2} ms{aim}"));
        self.output.object(&json!({
            "event": "bench", "bench": "apps", "kind": kind, "figure": what, "took": samples.json(), "aim_ms": aim_ms,
            "met": aim_ms.map(|aim| p50 <= aim),
        }));
    }
}

/// One asker: one key after another.
async fn keys(local: LocalClient, count: u32) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        local.generate_key("bench", KeyKind::Raw256).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}
