//! One run: the plan of a seed carried out, calm after it, and the verdict.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{Config, Context, Runner},
};
use freehold_consensus::Timers;
use freehold_primitives::{Digest, Height};
use tokio::sync::watch;

use crate::{
    chain::Ground,
    client::Clients,
    keys::{self, TermProgress},
    machine::{Disk, Fsync, Link, MachineId, Skew, Wires},
    monitor::Violation,
    network::{Common, Host, Keys, Size, address, crash},
    node::Lie,
    plan::{Broken, Options, Plan, Role, Step, Succeeds},
};

/// Simulated start of every run: 2027, in seconds since the Unix epoch.
pub(crate) const START_S: u64 = 1_800_000_000;
/// How often the run looks at its validators.
const LOOK: Duration = Duration::from_millis(20);
/// Heights that must become final once everything is well again.
const CALM_HEIGHTS: Height = 6;
/// Simulated time they may take.
const CALM_LIMIT: Duration = Duration::from_secs(60);
/// Wires once everything is well.
const CALM_LINK: Link = Link { latency: Duration::from_millis(2), jitter: Duration::from_millis(3), loss_per_mille: 0 };
/// Time for the last certificates to arrive.
const SETTLE: Duration = Duration::from_millis(800);
/// A run that takes longer has hung, in simulated time.
const HUNG: Duration = Duration::from_secs(600);

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was run.
    pub options: Options,
    /// What may not be and was, if anything.
    pub violation: Option<Violation>,
    /// Hash over everything that happened: two runs of the same options have the same.
    pub trace: Digest,
    /// Validators.
    pub nodes: u16,
    /// The highest final height.
    pub height: Height,
    /// Transactions in final payloads.
    pub transactions: u64,
    /// How far terms came.
    pub terms: TermProgress,
    /// Bytes that went over wires.
    pub bytes: u64,
    /// Simulated length.
    pub simulated: Duration,
}

impl Report {
    /// The command that repeats the run.
    pub fn command(&self) -> String {
        let Options { seed, faults, length, .. } = &self.options;
        let names: Vec<_> = faults.iter().map(|fault| fault.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(",") };
        let (nodes, length_ms) = (self.nodes, length.as_millis());
        format!(
            "cargo run --release -p freehold-sim -- run --seed {seed} --nodes {nodes} --faults {names} --length-ms {length_ms}"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, height, transactions, .. } = self;
        let TermProgress { term, since, newcomers, network_keys, masters } = self.terms;
        let seconds = self.simulated.as_secs_f64();
        write!(
            formatter,
            "seed {}: {nodes} validators, height {height}, {transactions} transactions, term {term} (keys of {since}, {newcomers} new, network key {network_keys}, master {masters}), {seconds:.1} s, trace {}",
            self.options.seed, self.trace
        )?;
        match &self.violation {
            None => Ok(()),
            Some(violation) => write!(formatter, "\nVIOLATED: {violation}\nrepeat with: {}", self.command()),
        }
    }
}

/// Runs a seed. A panic anywhere is a violation.
pub fn run(options: &Options) -> Report {
    let plan = Plan::new(options);
    let mut report = Report {
        options: options.clone(),
        violation: None,
        trace: Digest::ZERO,
        nodes: plan.nodes,
        height: 0,
        transactions: 0,
        terms: TermProgress::default(),
        bytes: 0,
        simulated: Duration::ZERO,
    };
    let settings = Config::new()
        .with_seed(options.seed)
        .with_start_time(UNIX_EPOCH + Duration::from_secs(START_S))
        .with_timeout(Some(HUNG));
    let carried = catch_unwind(AssertUnwindSafe(|| {
        Runner::new(settings).start(|context| carry_out(context, plan, report.clone()))
    }));
    match carried {
        Ok(report) => report,
        Err(panic) => {
            report.violation = Some(Violation::Panic(words(&*panic)));
            report
        }
    }
}

/// The same run with as few classes of faults as still violate something.
pub fn smallest(report: Report) -> Report {
    let mut best = report;
    for fault in best.options.faults.clone() {
        let mut options = best.options.clone();
        options.faults.remove(&fault);
        // The number of validators is drawn, and stays what it was.
        options.nodes = Some(best.nodes);
        let less = run(&options);
        if less.violation.is_some() {
            best = less;
        }
    }
    best
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

/// Timers of simulated validators.
pub(crate) fn timers() -> Timers {
    Timers {
        leader: Duration::from_millis(900),
        certification: Duration::from_millis(1_800),
        retry: Duration::from_millis(1_800),
        skip: Duration::from_millis(4_000),
        fetch: Duration::from_millis(500),
        warm_up: Duration::from_millis(1_500),
    }
}

/// A network in the middle of a run.
struct Play {
    context: Context,
    common: Common,
    hosts: Vec<Host>,
    clients: Clients,
    /// Candidates that have not come yet.
    away: BTreeSet<MachineId>,
    /// Other keys that were asked for, and the transactions that ask.
    asked: BTreeMap<Succeeds, Vec<u8>>,
    start: SystemTime,
}

async fn carry_out(context: Context, plan: Plan, mut report: Report) -> Report {
    let start = context.current();
    let broken = report.options.broken;
    let Some(mut play) = Play::set_up(context, &plan, (report.options.seed, broken)) else {
        report.violation = Some(Violation::Panic("the network could not be set up".to_owned()));
        return report;
    };
    play.begin().await;
    for (at, step) in &plan.steps {
        play.wait_until(start + *at).await;
        if play.common.monitor.violation().is_some() {
            break;
        }
        play.step(*step).await;
    }
    play.wait_until(start + plan.length).await;
    let untroubled = play.common.monitor.violation().is_none();
    let terms = if untroubled { play.calm().await } else { TermProgress::default() };
    let Play { context, common, mut hosts, .. } = play;
    report.simulated = context.current().duration_since(start).unwrap_or_default();
    report.violation = common.monitor.violation();
    report.trace = common.monitor.trace();
    report.height = common.monitor.height();
    report.transactions = common.monitor.transactions();
    report.bytes = common.wires.bytes();
    report.terms = terms;
    crash(&context, hosts.iter_mut()).await;
    report
}

impl Play {
    fn set_up(context: Context, plan: &Plan, (seed, broken): (u64, Option<Broken>)) -> Option<Self> {
        let start = context.current();
        let size = Size {
            validators: plan.nodes,
            candidates: plan.candidates,
            term_blocks: plan.term_blocks.map_or(0, NonZeroU64::get),
        };
        let keys = Keys::deal(seed, size, START_S * 1_000).ok()?;
        let peers = watch::Sender::new(keys.peers());
        let monitor = keys.observer().ok()?;
        let ground = Arc::new(Ground::new(&keys.genesis).ok()?);
        let clients = Clients::new(keys.genesis.clone());
        let common = Common {
            keys,
            ground,
            monitor,
            wires: Wires::new(seed, plan.link),
            timers: timers(),
            pace_ms: Arc::new(AtomicU64::new(plan.pace_ms)),
            peers,
            start,
        };
        let fsync = if broken == Some(Broken::DisksLie) { Fsync::Lies } else { Fsync::Keeps };
        let host = |id: MachineId, validator: u16, role| {
            let skew = Skew { ms: plan.skew_ms[usize::from(validator)] };
            Host::new(id, (validator, role), skew, Disk::new(seed ^ u64::from(id) << 32, fsync))
        };
        let mut hosts: Vec<_> = (0..).zip(&plan.roles).map(|(id, role)| host(id, id, *role)).collect();
        let candidates = plan.nodes..plan.nodes + plan.candidates;
        hosts.extend(candidates.map(|id| host(id, id, Role::Honest)));
        let doubled: Vec<MachineId> = (0..plan.nodes).filter(|id| plan.roles[usize::from(*id)] == Role::Twin).collect();
        let first = MachineId::try_from(hosts.len()).ok()?;
        for (twin, of) in (first..).zip(&doubled) {
            hosts.push(host(twin, *of, Role::Twin));
            // Half of the others, and the twins among themselves, reach it where they look for the original.
            let others = (0..plan.nodes).filter(|from| from % 2 == 1 && !doubled.contains(from));
            for from in others.chain((first..).take(doubled.len())) {
                common.wires.route(from, address(*of), address(twin));
            }
            // Whoever dials: the twins dial too.
            for from in (0..plan.nodes).filter(|from| !doubled.contains(from)) {
                common.wires.part(from, if from % 2 == 1 { *of } else { twin });
            }
        }
        if broken == Some(Broken::ExecutesOtherwise) {
            hosts[0].role = Role::Lies(Lie::Misexecutes);
        }
        let away = (plan.nodes..plan.nodes + plan.candidates).collect();
        Some(Self { context, common, hosts, clients, away, asked: BTreeMap::new(), start })
    }

    async fn begin(&mut self) {
        for host in self.hosts.iter_mut().filter(|host| !self.away.contains(&host.id)) {
            self.common.start(&self.context, host).await;
        }
    }

    /// Lets time pass, watching the validators.
    async fn wait_until(&mut self, at: SystemTime) {
        while self.context.current() < at && self.common.monitor.violation().is_none() {
            self.context.sleep_until(at.min(self.context.current() + LOOK)).await;
            self.watch();
        }
    }

    fn watch(&mut self) {
        for host in &mut self.hosts {
            self.common.watch(host);
        }
    }

    async fn step(&mut self, step: Step) {
        let elapsed = self.context.current().duration_since(self.start).unwrap_or_default();
        self.common.monitor.event(elapsed, MachineId::MAX, format!("{step:?}").as_bytes());
        let count = self.hosts.len();
        let one = |machine: MachineId| usize::from(machine) % count;
        match step {
            Step::Crash(machine) => crash(&self.context, self.hosts[one(machine)..].iter_mut().take(1)).await,
            Step::Wipe(machine) => {
                let index = one(machine);
                crash(&self.context, self.hosts[index..].iter_mut().take(1)).await;
                self.hosts[index].disk.wipe();
                self.hosts[index].lost_shares = self.hosts[index].role == Role::Loses;
                self.common.monitor.wiped(machine);
            }
            Step::Start(machine) => {
                let index = one(machine);
                self.common.start(&self.context, &mut self.hosts[index]).await;
            }
            Step::CrashAll => crash(&self.context, self.hosts.iter_mut()).await,
            Step::StartAll => self.begin().await,
            Step::Cut(mask) => {
                let machines = MachineId::try_from(self.hosts.len()).unwrap_or(MachineId::MAX);
                self.common.wires.cut(machines, |machine| mask >> (machine % 64) & 1 == 1);
            }
            Step::Reset => self.common.wires.reset_cut(),
            Step::Heal => self.common.wires.heal(self.context.current()),
            Step::Join(machine) => {
                self.away.remove(&machine);
                let index = one(machine);
                self.common.start(&self.context, &mut self.hosts[index]).await;
                let identity = &self.common.keys.identities[index];
                let raw = self.clients.join(machine, identity, &address(machine).to_string());
                self.everywhere(&raw);
            }
            Step::Resign(machine) => {
                let raw = self.clients.resign(machine, &self.common.keys.identities[one(machine)]);
                self.everywhere(&raw);
            }
            Step::Succeed(which) => {
                let raw = self.clients.succeed(which);
                self.everywhere(&raw);
                self.asked.insert(which, raw);
            }
            Step::Submit { account, to, kind } => {
                let raw = self.clients.next(account, kind);
                self.hosts[one(to)].submit(raw);
            }
        }
    }

    /// Hands a transaction to every validator that runs.
    fn everywhere(&self, raw: &[u8]) {
        self.hosts.iter().for_each(|host| host.submit(raw.to_vec()));
    }

    /// Everything is made well; what was promised for that must come about.
    async fn calm(&mut self) -> TermProgress {
        self.common.wires.heal(self.context.current());
        self.common.wires.set_link(CALM_LINK);
        self.away.clear();
        self.begin().await;
        let mut wanted = self.common.monitor.height() + CALM_HEIGHTS;
        // Who asked and was not heard asks again.
        self.asked.values().for_each(|raw| self.everywhere(raw));
        if let Some(term_blocks) = NonZeroU64::new(self.common.keys.genesis.membership.term_blocks) {
            // One whole term, so that one round of resharing has everybody well; for another network key two more: it is
            // asked for in one, made in the next, and named at the end of the one after.
            let whole = if self.asked.is_empty() { 1 } else { 3 };
            let term = wanted / term_blocks.get() + 1 + whole;
            wanted = term * term_blocks.get() + 2;
        }
        if self.reach(wanted).await {
            let settled = self.context.current() + SETTLE;
            self.wait_until(settled).await;
            self.common.monitor.close();
            return keys::check(&self.common, &self.hosts, self.asked.keys());
        }
        TermProgress::default()
    }

    /// Waits until every honest machine executed `wanted`.
    async fn reach(&mut self, wanted: Height) -> bool {
        let deadline = self.context.current() + CALM_LIMIT;
        loop {
            let honest = self.hosts.iter().filter(|host| matches!(host.role, Role::Honest | Role::Loses));
            let heights = honest.map(|host| (host.height(), host.id));
            let Some((height, machine)) = heights.min() else { return true };
            if height + 1 >= wanted || self.common.monitor.violation().is_some() {
                return self.common.monitor.violation().is_none();
            }
            if self.context.current() >= deadline {
                let limit_s = CALM_LIMIT.as_secs();
                self.common.monitor.violated(Violation::Stuck { machine, height, wanted, limit_s });
                return false;
            }
            let next = self.context.current() + LOOK;
            self.wait_until(next).await;
        }
    }
}
