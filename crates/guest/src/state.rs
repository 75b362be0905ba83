//! The life of an instance as a state machine without I/O: what has happened goes in, what to do next comes out.
//!
//! Invariants (design D11): nothing is served and no key is taken before the instance has seen its own registration,
//! with the keys of this boot, under a certificate; once the lease margin is reached by the guest's own clock, counted
//! from certified headers, it stops for good; the newest header never goes back in height. Time is given in
//! milliseconds of a clock that never goes back; moments are those of headers.

use freehold_primitives::{BlockMoment, UnixSeconds};

#[cfg(test)]
mod tests;

/// Seconds before the end of the lease at which an instance stops, for leases of four times that and more.
pub const LEASE_MARGIN_S: u64 = 60;
/// Pause before a registration is tried again, doubled with each failure up to [`RETRY_MS_MAX`].
pub const RETRY_MS_MIN: u64 = 1_000;
/// Longest pause between two tries.
pub const RETRY_MS_MAX: u64 = 30_000;
/// Pause between two looks at the own registration.
pub const RECHECK_MS: u64 = 5_000;

/// Seconds by which headers may run ahead of the own clock before it is noted as one that was held back.
pub const CLOCK_SLIP_S: u64 = 30;

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No certified header was seen yet.
    WaitingForChain,
    /// The registration is not on the chain yet.
    Registering,
    /// Registered; the root key is not there yet.
    WaitingForKeys,
    /// Serving.
    Serving,
    /// Stopped for good.
    Stopped,
}

impl Stage {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WaitingForChain => "waiting-for-chain",
            Self::Registering => "registering",
            Self::WaitingForKeys => "waiting-for-keys",
            Self::Serving => "serving",
            Self::Stopped => "stopped",
        }
    }
}

/// Why an instance stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// No certified header showed a lease that reaches far enough.
    LeaseEnd,
    /// The chain closed the registration.
    Closed,
    /// The chain denies what the instance stands on.
    Denied,
    /// The registration that the chain holds under this id has other keys.
    Foreign,
    /// Another copy of this very instance, with the same keys, renewed its registration or wrote under its lease.
    Copied,
    /// The host asked.
    Asked,
}

impl StopReason {
    /// A sentence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeaseEnd => "the lease ends and no newer certified header shows a renewal",
            Self::Closed => "the chain closed this registration",
            Self::Denied => "the chain denies what this instance stands on",
            Self::Foreign => "the chain holds another registration under this id",
            Self::Copied => "another copy of this instance, with the same keys, acts on the chain",
            Self::Asked => "the host asked the guest to stop",
        }
    }
}

/// What the chain says of the own registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Header time at which the chain judged the newest evidence: the begin of the lease.
    pub started_at: UnixSeconds,
    /// End of the lease.
    pub expires_at: UnixSeconds,
    /// Height of the newest renewal.
    pub renewed_at: u64,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A certified header.
    Header(BlockMoment),
    /// The own registration stands on the chain with the keys of this boot.
    Registered(LeaseTerms),
    /// An attempt to register or renew failed.
    RegistrationFailed,
    /// The chain closed the registration, or holds a foreign one.
    Lost(StopReason),
    /// A look at the registration gave nothing.
    RecheckFailed,
    /// The root key is there.
    KeysReady,
    /// An attempt to fetch the root key failed.
    KeysFailed,
    /// Time passed.
    Tick,
    /// The host asks to stop.
    Stop,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Register or renew, with this block as nonce.
    Register(BlockMoment),
    /// Look at the own registration.
    Recheck,
    /// Fetch the root key.
    FetchKeys,
    /// Begin to serve.
    Serve,
    /// Stop for good.
    Stop(StopReason),
}

/// The own clock as it is believed: one that is turned back goes on from where it was, so that no lease gets longer by
/// it; one that jumps ahead is believed, because a machine may have slept.
#[derive(Debug, Clone, Copy, Default)]
struct OwnClock {
    /// What is added to its readings.
    back_ms: u64,
    latest_ms: u64,
    slips: u64,
}

impl OwnClock {
    fn reading(&self, at_ms: u64) -> u64 {
        at_ms.saturating_add(self.back_ms).max(self.latest_ms)
    }

    fn advance(&mut self, at_ms: u64) -> u64 {
        let reading = at_ms.saturating_add(self.back_ms);
        if let Some(back_ms) = self.latest_ms.checked_sub(reading).filter(|back_ms| *back_ms > 0) {
            self.back_ms = self.back_ms.saturating_add(back_ms);
            self.slips = self.slips.saturating_add(1);
        }
        self.latest_ms = self.reading(at_ms);
        self.latest_ms
    }
}

/// One task at a time, tried again after a pause that doubles.
#[derive(Debug, Clone, Copy, Default)]
struct Attempt {
    running: bool,
    failures: u32,
    not_before_ms: u64,
}

impl Attempt {
    fn due(&self, at_ms: u64) -> bool {
        !self.running && at_ms >= self.not_before_ms
    }
    fn start(&mut self) {
        self.running = true;
    }
    fn failed(&mut self, at_ms: u64) {
        self.running = false;
        let pause = RETRY_MS_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before_ms = at_ms.saturating_add(pause);
    }
    fn succeeded(&mut self) {
        *self = Self::default();
    }
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    stage: Stage,
    newest: Option<BlockMoment>,
    /// Newest header that the disk has seen, by an earlier boot; nothing below it counts.
    floor: Option<BlockMoment>,
    clock: OwnClock,
    /// Largest (header time − own clock) seen, in milliseconds: slow or withheld headers cannot turn time back.
    offset_ms: i128,
    lease: Option<LeaseTerms>,
    registration: Attempt,
    recheck: Attempt,
    keys: Attempt,
    stopped: Option<StopReason>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// An instance that has just booted.
    pub fn new() -> Self {
        Self::above(None)
    }

    /// The same, on a disk that has seen this header: no header below it counts.
    pub fn above(floor: Option<BlockMoment>) -> Self {
        Self {
            stage: Stage::WaitingForChain,
            newest: None,
            floor,
            clock: OwnClock::default(),
            offset_ms: 0,
            lease: None,
            registration: Attempt::default(),
            recheck: Attempt::default(),
            keys: Attempt::default(),
            stopped: None,
        }
    }

    /// Where it stands.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Why it stopped.
    pub const fn stopped(&self) -> Option<StopReason> {
        self.stopped
    }

    /// Newest certified header.
    pub const fn newest(&self) -> Option<BlockMoment> {
        self.newest
    }

    /// The lease, once registered.
    pub const fn lease(&self) -> Option<LeaseTerms> {
        self.lease
    }

    /// Now in seconds since the Unix epoch: no header's time plus the own clock since then is above it. `None` before the
    /// first header.
    pub fn now_unix_s(&self, at_ms: u64) -> Option<UnixSeconds> {
        self.now_at(self.clock.reading(at_ms))
    }

    /// The same, of a reading of the own clock as it is believed.
    fn now_at(&self, reading_ms: u64) -> Option<UnixSeconds> {
        self.newest?;
        u64::try_from((i128::from(reading_ms) + self.offset_ms) / 1000).ok()
    }

    /// How often the own clock went back, or fell behind the headers by more than [`CLOCK_SLIP_S`].
    pub const fn clock_slips(&self) -> u64 {
        self.clock.slips
    }

    /// Takes in what happened at `at_ms`, and says what to do, in order.
    pub fn step(&mut self, input: Input, at_ms: u64) -> Vec<Effect> {
        if self.stage == Stage::Stopped {
            return Vec::new();
        }
        let at_ms = self.clock.advance(at_ms);
        match input {
            Input::Header(moment) => self.header(moment, at_ms),
            Input::Registered(terms) => self.registered(terms),
            Input::RegistrationFailed => self.registration.failed(at_ms),
            Input::Lost(reason) => return self.stop(reason),
            Input::RecheckFailed => self.recheck.failed(at_ms),
            Input::KeysReady => {
                if self.stage == Stage::WaitingForKeys {
                    self.keys.succeeded();
                    self.stage = Stage::Serving;
                    return [vec![Effect::Serve], self.due(at_ms)].concat();
                }
            }
            Input::KeysFailed => self.keys.failed(at_ms),
            Input::Tick => {}
            Input::Stop => return self.stop(StopReason::Asked),
        }
        self.due(at_ms)
    }

    fn header(&mut self, moment: BlockMoment, at_ms: u64) {
        let goes_back = |seen: BlockMoment| moment.height <= seen.height || moment.time_unix_s < seen.time_unix_s;
        let known = self.floor.is_some_and(|floor| goes_back(floor) && moment != floor);
        if known || self.newest.is_some_and(goes_back) {
            return;
        }
        let offset = i128::from(moment.time_unix_s) * 1000 - i128::from(at_ms);
        if self.newest.is_some() && offset > self.offset_ms + i128::from(CLOCK_SLIP_S) * 1000 {
            self.clock.slips = self.clock.slips.saturating_add(1);
        }
        self.offset_ms = if self.newest.is_none() { offset } else { self.offset_ms.max(offset) };
        self.newest = Some(moment);
        if self.stage == Stage::WaitingForChain {
            self.stage = Stage::Registering;
        }
    }

    fn registered(&mut self, terms: LeaseTerms) {
        if self.lease.is_none_or(|lease| terms.renewed_at > lease.renewed_at) {
            self.registration.succeeded();
        }
        // A look that was overtaken by a renewal says nothing new.
        if self.lease.is_none_or(|lease| terms.renewed_at >= lease.renewed_at) {
            self.lease = Some(terms);
        }
        self.recheck.running = false;
        if self.stage == Stage::Registering {
            self.stage = Stage::WaitingForKeys;
        }
    }

    fn stop(&mut self, reason: StopReason) -> Vec<Effect> {
        self.stage = Stage::Stopped;
        self.stopped = Some(reason);
        vec![Effect::Stop(reason)]
    }

    fn due(&mut self, at_ms: u64) -> Vec<Effect> {
        let (Some(newest), Some(now)) = (self.newest, self.now_at(at_ms)) else { return Vec::new() };
        let mut effects = Vec::new();
        let Some(lease) = self.lease else {
            if self.registration.due(at_ms) {
                self.registration.start();
                effects.push(Effect::Register(newest));
            }
            return effects;
        };
        let length = lease.expires_at.saturating_sub(lease.started_at);
        if now.saturating_add(LEASE_MARGIN_S.min(length / 4)) >= lease.expires_at {
            return self.stop(StopReason::LeaseEnd);
        }
        if now >= lease.started_at.saturating_add(length / 2) && self.registration.due(at_ms) {
            self.registration.start();
            effects.push(Effect::Register(newest));
        }
        if self.stage == Stage::WaitingForKeys && self.keys.due(at_ms) {
            self.keys.start();
            effects.push(Effect::FetchKeys);
        }
        if self.stage == Stage::Serving && self.recheck.due(at_ms) {
            self.recheck = Attempt { running: true, failures: 0, not_before_ms: at_ms + RECHECK_MS };
            effects.push(Effect::Recheck);
        }
        effects
    }
}
