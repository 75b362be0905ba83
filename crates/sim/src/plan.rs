//! What will happen to a network, decided by one seed before it starts.
//!
//! Each class of faults draws from a generator of its own, so that leaving a class out changes nothing of the others: that
//! is how a failing seed is made smaller. At most f of n = 3f + 1 machines lie or forget in one run; crashes, cuts and clock
//! skew may hit all.

use std::{collections::BTreeSet, fmt, num::NonZeroU64, str::FromStr, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use thiserror::Error;

use crate::{
    adversary::Manner,
    machine::{Link, MachineId},
    node::Lie,
};

/// A class of faults that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// Wires that take long, and not always equally long.
    Latency,
    /// Lost segments.
    Loss,
    /// Cut wires, healed later; some cuts reset connections.
    Partitions,
    /// Single machines crash and come back.
    Crashes,
    /// All machines crash at once and come back.
    PowerCuts,
    /// Clocks that are off.
    Skew,
    /// Validators whose application lies.
    Liars,
    /// Validators that run twice under one key, and so vote and propose against themselves.
    Twins,
    /// Disks that are wiped while their validator runs: it comes back without its shares, or, forgetting its votes, with
    /// them.
    Wipes,
    /// Members that flood every channel with garbage and replays.
    Noise,
    /// Members that contradict their own votes, for payloads that nobody has too.
    Contradictions,
    /// Terms, so that both keys are reshared while all of this goes on.
    Terms,
    /// Validators join and leave while terms turn.
    Membership,
    /// The governor asks for another network key, another master of the derivation key, or both.
    Succession,
}

impl Fault {
    /// All classes.
    pub const ALL: [Self; 14] = [
        Self::Latency,
        Self::Loss,
        Self::Partitions,
        Self::Crashes,
        Self::PowerCuts,
        Self::Skew,
        Self::Liars,
        Self::Twins,
        Self::Wipes,
        Self::Noise,
        Self::Contradictions,
        Self::Terms,
        Self::Membership,
        Self::Succession,
    ];

    /// Its word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Loss => "loss",
            Self::Partitions => "partitions",
            Self::Crashes => "crashes",
            Self::PowerCuts => "power-cuts",
            Self::Skew => "skew",
            Self::Liars => "liars",
            Self::Twins => "twins",
            Self::Wipes => "wipes",
            Self::Noise => "noise",
            Self::Contradictions => "contradictions",
            Self::Terms => "terms",
            Self::Membership => "membership",
            Self::Succession => "succession",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// No class of faults has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no class of faults is called {word}; there are {known}", known = Fault::ALL.map(Fault::as_str).join(", "))]
pub struct UnknownFault {
    word: String,
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(word: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == word).ok_or_else(|| UnknownFault { word: word.to_owned() })
    }
}

/// A rule that a run breaks on purpose, to show that the invariants see it. Never set where a network is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// Nobody executes before voting, and one proposer lies about execution.
    VotesWithoutExecuting,
    /// Disks say that they synced and did not; the power goes once.
    DisksLie,
    /// More than f validators run twice, each half of the network seeing another.
    TooManyTwins,
    /// More than f validators refuse what others propose, and propose what others must refuse.
    TooManyRefuse,
    /// One machine executes something else than it was given.
    ExecutesOtherwise,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Validators; by the seed where `None`.
    pub nodes: Option<u16>,
    /// Classes of faults that may happen.
    pub faults: BTreeSet<Fault>,
    /// Simulated length of the troubled part.
    pub length: Duration,
    /// A rule to break.
    pub broken: Option<Broken>,
}

impl Options {
    /// A run of a seed with every class of faults.
    pub fn new(seed: u64) -> Self {
        let faults = Fault::ALL.into_iter().collect();
        Self { seed, nodes: None, faults, length: Duration::from_secs(6), broken: None }
    }
}

/// What happens at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Crash(MachineId),
    /// Crashes a machine and empties its disk.
    Wipe(MachineId),
    Start(MachineId),
    CrashAll,
    StartAll,
    /// Cuts the machines whose bit is set from the others.
    Cut(u64),
    Reset,
    Heal,
    /// Starts the machine of a candidate, and has it join.
    Join(MachineId),
    /// Has a validator ask to leave.
    Resign(MachineId),
    /// Has the governor ask for another key.
    Succeed(Succeeds),
    Submit {
        account: u8,
        to: MachineId,
        kind: u8,
    },
}

/// A key of the network that another one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Succeeds {
    /// The network key.
    NetworkKey,
    /// The master of the derivation key; the one before ends at once.
    Master,
}

/// What a machine is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Honest,
    Lies(Lie),
    /// Runs twice.
    Twin,
    /// Its disk is wiped while it runs, and it comes back with its first shares and no memory of its votes.
    Forgets,
    /// Its disk is wiped while it runs, and its shares with it.
    Loses,
    /// It is no validator at all.
    Hostile(Manner),
}

/// A run, decided.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) nodes: u16,
    /// Machines behind them that are no validators at first.
    pub(crate) candidates: u16,
    pub(crate) pace_ms: u64,
    pub(crate) term_blocks: Option<NonZeroU64>,
    pub(crate) link: Link,
    /// Milliseconds that each machine's clock is off.
    pub(crate) skew_ms: Vec<i64>,
    pub(crate) roles: Vec<Role>,
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) length: Duration,
}

/// Accounts that send transactions.
pub(crate) const ACCOUNTS: u8 = 6;
/// How much longer a run with terms is: several of them must pass.
const TERMS_LENGTHEN: f64 = 2.4;

impl Plan {
    /// Draws everything.
    pub(crate) fn new(options: &Options) -> Self {
        let on = |fault| options.faults.contains(&fault);
        let mut rng = generator(options.seed, u64::MAX);
        let sizes = [4, 4, 4, 4, 4, 4, 7, 1];
        let drawn = sizes[rng.random_range(0..sizes.len())];
        let nodes = options.nodes.unwrap_or(drawn);
        let with_terms = rng.random_range(0..4) == 0 && on(Fault::Terms) && nodes > 1;
        let pace_ms = if with_terms { 60 } else { [50, 150, 250, 350][rng.random_range(0..4)] };
        let mut plan = Self {
            nodes,
            candidates: 0,
            pace_ms,
            term_blocks: NonZeroU64::new(8 * u64::from(nodes)).filter(|_| with_terms),
            link: Link::default(),
            skew_ms: vec![0; nodes.into()],
            roles: vec![Role::Honest; nodes.into()],
            steps: Vec::new(),
            length: if with_terms { options.length.mul_f64(TERMS_LENGTHEN) } else { options.length },
        };
        for fault in Fault::ALL.into_iter().filter(|fault| on(*fault)) {
            let mut rng = generator(options.seed, fault as u64);
            plan.add(fault, &mut rng);
        }
        plan.submissions(&mut generator(options.seed, 1_000));
        if let Some(broken) = options.broken {
            plan.break_rule(broken);
        }
        plan.steps.sort_by_key(|(at, _)| *at);
        plan
    }

    fn add(&mut self, fault: Fault, rng: &mut StdRng) {
        // A class is quiet in some runs, so that others are seen alone.
        if rng.random_range(0..10) < 4 {
            return;
        }
        match fault {
            Fault::Latency => {
                self.link.latency = Duration::from_millis(rng.random_range(0..60));
                self.link.jitter = Duration::from_millis(rng.random_range(0..60));
            }
            Fault::Loss => self.link.loss_per_mille = rng.random_range(1..20),
            Fault::Partitions => self.partitions(rng),
            Fault::Crashes => self.crashes(rng),
            Fault::PowerCuts => self.power_cuts(rng),
            Fault::Skew => self.skew_ms.iter_mut().for_each(|ms| *ms = rng.random_range(-900..900)),
            Fault::Liars => {
                let lie = Lie::ALL[rng.random_range(0..Lie::ALL.len())];
                self.role(rng, Role::Lies(lie));
            }
            Fault::Twins => self.role(rng, Role::Twin),
            Fault::Wipes => {
                let role = if rng.random_bool(0.3) { Role::Forgets } else { Role::Loses };
                self.role(rng, role);
            }
            Fault::Noise => self.role(rng, Role::Hostile(Manner::Noise)),
            Fault::Contradictions => self.role(rng, Role::Hostile(Manner::Contradicts)),
            Fault::Terms => {}
            Fault::Membership => self.membership(rng),
            Fault::Succession => self.successions(rng),
        }
    }

    /// Gives a role to one machine, unless f have one already.
    fn role(&mut self, rng: &mut StdRng, role: Role) {
        let taken = self.roles.iter().filter(|role| **role != Role::Honest).count();
        let machine = rng.random_range(0..self.nodes);
        let moment = self.moment(rng);
        let pause = Duration::from_millis(rng.random_range(20..1_500));
        let free = usize::from((self.nodes - 1) / 3);
        if taken >= free || self.roles[usize::from(machine)] != Role::Honest {
            return;
        }
        self.roles[usize::from(machine)] = role;
        if matches!(role, Role::Forgets | Role::Loses) {
            self.steps.push((moment, Step::Wipe(machine)));
            self.steps.push((moment + pause, Step::Start(machine)));
        }
    }

    fn moment(&self, rng: &mut StdRng) -> Duration {
        self.length.mul_f64(rng.random_range(0.02..0.95))
    }

    fn partitions(&mut self, rng: &mut StdRng) {
        for _ in 0..rng.random_range(1..4) {
            let at = self.moment(rng);
            let mask = rng.random_range(0..1_u64 << self.nodes.min(63));
            self.steps.push((at, Step::Cut(mask)));
            if rng.random_bool(0.5) {
                self.steps.push((at + Duration::from_millis(rng.random_range(0..400)), Step::Reset));
            }
            self.steps.push((at + Duration::from_millis(rng.random_range(100..2_500)), Step::Heal));
        }
    }

    fn crashes(&mut self, rng: &mut StdRng) {
        for _ in 0..rng.random_range(1..5) {
            let (at, machine) = (self.moment(rng), rng.random_range(0..self.nodes));
            self.steps.push((at, Step::Crash(machine)));
            self.steps.push((at + Duration::from_millis(rng.random_range(0..2_000)), Step::Start(machine)));
        }
    }

    fn power_cuts(&mut self, rng: &mut StdRng) {
        for _ in 0..rng.random_range(1..3) {
            let at = self.moment(rng);
            self.steps.push((at, Step::CrashAll));
            self.steps.push((at + Duration::from_millis(rng.random_range(1..800)), Step::StartAll));
        }
    }

    fn membership(&mut self, rng: &mut StdRng) {
        let (candidates, leaves) = (rng.random_range(1..4), rng.random_range(0..3));
        if self.term_blocks.is_none() {
            return;
        }
        self.candidates = candidates;
        self.skew_ms.extend(std::iter::repeat_n(0, candidates.into()));
        for candidate in 0..candidates {
            let at = self.length.mul_f64(rng.random_range(0.02..0.5));
            self.steps.push((at, Step::Join(self.nodes + candidate)));
        }
        for _ in 0..leaves {
            let (at, machine) = (self.moment(rng), rng.random_range(0..self.nodes));
            self.steps.push((at, Step::Resign(machine)));
        }
    }

    fn successions(&mut self, rng: &mut StdRng) {
        let wanted = [&[Succeeds::NetworkKey][..], &[Succeeds::Master], &[Succeeds::NetworkKey, Succeeds::Master]];
        let wanted = wanted[rng.random_range(0..wanted.len())];
        if self.term_blocks.is_none() {
            return;
        }
        for which in wanted {
            let at = self.length.mul_f64(rng.random_range(0.02..0.6));
            self.steps.push((at, Step::Succeed(*which)));
        }
    }

    fn submissions(&mut self, rng: &mut StdRng) {
        for _ in 0..rng.random_range(4..30) {
            let at = self.moment(rng);
            let account = rng.random_range(1..=ACCOUNTS);
            let (to, kind) = (rng.random_range(0..self.nodes), rng.random_range(0..8));
            self.steps.push((at, Step::Submit { account, to, kind }));
        }
    }

    fn break_rule(&mut self, broken: Broken) {
        let middle = self.length / 2;
        match broken {
            Broken::VotesWithoutExecuting => {
                self.roles.fill(Role::Lies(Lie::RubberStamp));
                self.roles[0] = Role::Lies(Lie::WrongExecuted);
            }
            Broken::DisksLie => {
                self.steps.push((middle, Step::CrashAll));
                self.steps.push((middle + Duration::from_millis(10), Step::StartAll));
            }
            Broken::TooManyTwins => {
                let many = usize::from((self.nodes - 1) / 3) + 1;
                self.roles[..many].fill(Role::Twin);
                // The originals and half of the others on one side, the twins and the other half on the other.
                let side = (0..self.nodes).filter(|id| usize::from(*id) < many || id % 2 == 0);
                self.steps.push((Duration::from_millis(1), Step::Cut(side.map(|id| 1 << id).sum())));
                self.steps.push((Duration::from_millis(2), Step::Reset));
            }
            Broken::TooManyRefuse => {
                let many = usize::from((self.nodes - 1) / 3) + 1;
                self.roles[..many].fill(Role::Lies(Lie::Contrary));
            }
            Broken::ExecutesOtherwise => {}
        }
    }
}

/// The generator of one purpose under a seed.
fn generator(seed: u64, purpose: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&purpose.to_le_bytes());
    StdRng::from_seed(bytes)
}

#[cfg(test)]
mod tests;
