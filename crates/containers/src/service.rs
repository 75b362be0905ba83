//! One service from its start to its end: it waits for what it depends on, runs, is checked, ends, and starts again by its
//! restart policy; a stop gives it its time and then ends it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use freehold_bundle::{Condition, ServiceRestart};
use tokio::{
    process::Child,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    backoff::Backoff,
    event::{ContainerEvent, Teller},
    health::{self, Verdict},
    launcher::Launcher,
    logs::{Heard, LogStream, read_lines},
    plan::{Health, Plan, Planned},
    runtime::Runtime,
};

/// Longest wait for a container that was killed.
const KILLED_WAIT: Duration = Duration::from_secs(5);

/// How far a service has come, as others wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Waiting,
    Started,
    Healthy,
    /// It ended and is not started again; `None` after a signal or without a start.
    Ended(Option<i32>),
}

/// How far all services have come.
#[derive(Debug)]
pub(crate) struct Board(BTreeMap<String, watch::Sender<Standing>>);

impl Board {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self(plan.services.keys().map(|name| (name.clone(), watch::channel(Standing::Waiting).0)).collect())
    }

    fn set(&self, name: &str, standing: Standing) {
        if let Some(sender) = self.0.get(name) {
            sender.send_replace(standing);
        }
    }

    /// Waits until a condition holds, or can hold no more: whether it does.
    async fn holds(&self, name: &str, condition: Condition) -> bool {
        let Some(mut seen) = self.0.get(name).map(watch::Sender::subscribe) else { return false };
        let reached = seen.wait_for(|standing| decided(*standing, condition).is_some()).await;
        reached.ok().and_then(|standing| decided(*standing, condition)).unwrap_or(false)
    }
}

/// Whether a condition holds for good, `None` while that is open.
const fn decided(standing: Standing, condition: Condition) -> Option<bool> {
    match (standing, condition) {
        (Standing::Started | Standing::Healthy, Condition::Started) | (Standing::Healthy, Condition::Healthy) => {
            Some(true)
        }
        (Standing::Ended(Some(0)), Condition::Completed | Condition::Started) => Some(true),
        (Standing::Ended(_), _) => Some(false),
        _ => None,
    }
}

/// The keeper of one service.
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) plan: Arc<Plan>,
    /// What starts its program, and its checks, with the owner's settings.
    pub(crate) launcher: Option<Arc<Launcher>>,
    pub(crate) runtime: Runtime,
    pub(crate) bundle: std::path::PathBuf,
    pub(crate) board: Arc<Board>,
    pub(crate) teller: Teller,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Task {
    fn tell(&self, event: ContainerEvent) {
        self.teller.tell(event);
    }

    /// Passes on what the container says, until it says no more.
    fn forward(&self, child: &mut Child) {
        let pass = |stream| {
            let (service, teller) = (self.name.clone(), self.teller.clone());
            move |heard| {
                teller.tell(match heard {
                    Heard::Line(line) => ContainerEvent::Said { service: service.clone(), stream, line },
                    Heard::Dropped(lines) => ContainerEvent::Dropped { lines },
                });
            }
        };
        if let Some(output) = child.stdout.take() {
            tokio::spawn(read_lines(output, pass(LogStream::Output)));
        }
        if let Some(error) = child.stderr.take() {
            tokio::spawn(read_lines(error, pass(LogStream::Error)));
        }
    }

    /// Resolves when everything is to stop.
    async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        let _ = stopping.wait_for(|stop| *stop).await.map(drop);
    }

    /// Keeps the service until it has ended for good, and gives its last exit code.
    pub(crate) async fn keep(self) -> Option<i32> {
        let planned = self.plan.services.get(&self.name)?;
        let code = tokio::select! {
            ready = self.dependencies(planned) => if ready { self.runs(planned).await } else { None },
            () = self.stopped() => Some(0),
        };
        self.board.set(&self.name, Standing::Ended(code));
        code
    }

    async fn dependencies(&self, planned: &Planned) -> bool {
        for (other, condition) in &planned.depends_on {
            if !self.board.holds(other, *condition).await {
                let message = format!("service {} is not started: {other}, for which it waits, ended", self.name);
                self.tell(ContainerEvent::Trouble { message });
                return false;
            }
        }
        true
    }

    async fn runs(&self, planned: &Planned) -> Option<i32> {
        let mut backoff = Backoff::default();
        let mut failures = 0u64;
        loop {
            let begun = Instant::now();
            let code = match self.runtime.spawn(&self.name, &self.bundle) {
                Ok(child) => match self.run_once(child, planned).await {
                    Some(code) => code,
                    None => return Some(0),
                },
                Err(error) => {
                    self.tell(ContainerEvent::Trouble {
                        message: format!("service {} cannot be started: {error}", self.name),
                    });
                    None
                }
            };
            self.board.set(&self.name, Standing::Waiting);
            failures = if code == Some(0) { failures } else { failures + 1 };
            if !again(planned.restart, code, failures) {
                self.tell(ContainerEvent::Exited { service: self.name.clone(), code, restart_in: None });
                return code;
            }
            let restart_in = backoff.after(begun.elapsed());
            self.tell(ContainerEvent::Exited { service: self.name.clone(), code, restart_in: Some(restart_in) });
            tokio::select! {
                () = sleep(restart_in) => {}
                () = self.stopped() => return Some(0),
            }
        }
    }

    /// One run of the container: its exit code, or `None` when it was stopped.
    async fn run_once(&self, mut child: Child, planned: &Planned) -> Option<Option<i32>> {
        self.forward(&mut child);
        self.tell(ContainerEvent::Started { service: self.name.clone(), pid: child.id().unwrap_or(0) });
        self.board.set(&self.name, Standing::Started);
        let ended = tokio::select! {
            status = child.wait() => Some(status.ok().and_then(|status| status.code())),
            () = self.watch(planned) => None,
            () = self.stopped() => None,
        };
        if ended.is_none() {
            self.end(&mut child, planned).await;
        }
        self.delete().await;
        ended
    }

    async fn watch(&self, planned: &Planned) {
        let Some(check) = &planned.health else { return std::future::pending().await };
        let command = self.launcher.as_ref().map_or_else(|| check.command.clone(), |with| with.words(&check.command));
        let check = Health { command, ..check.clone() };
        health::watch(&self.runtime, &self.name, &check, |verdict| {
            let is_healthy = verdict == Verdict::Healthy;
            self.board.set(&self.name, if is_healthy { Standing::Healthy } else { Standing::Started });
            self.tell(ContainerEvent::Health { service: self.name.clone(), is_healthy });
        })
        .await;
    }

    /// Asks the container to end, and ends it when it does not.
    async fn end(&self, child: &mut Child, planned: &Planned) {
        self.runtime.kill(&self.name, "TERM").await;
        if timeout(Duration::from_millis(planned.grace_ms), child.wait()).await.is_err() {
            self.runtime.kill(&self.name, "KILL").await;
            let _ = timeout(KILLED_WAIT, child.wait()).await;
        }
    }

    async fn delete(&self) {
        let (runtime, name) = (self.runtime.clone(), self.name.clone());
        let _ = tokio::task::spawn_blocking(move || runtime.delete(&name)).await;
    }
}

/// Whether a container that ended is started again.
const fn again(restart: ServiceRestart, code: Option<i32>, failures: u64) -> bool {
    match restart {
        ServiceRestart::No => false,
        ServiceRestart::Always => true,
        ServiceRestart::OnFailure(most) => {
            let has_failed = !matches!(code, Some(0));
            has_failed
                && match most {
                    Some(most) => failures <= most,
                    None => true,
                }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_and_fail_for_good() {
        use Condition::{Completed, Healthy, Started};
        let check = |standing, expect: [Option<bool>; 3]| {
            assert_eq!(
                [Started, Healthy, Completed].map(|condition| decided(standing, condition)),
                expect,
                "{standing:?}"
            );
        };
        check(Standing::Waiting, [None, None, None]);
        check(Standing::Started, [Some(true), None, None]);
        check(Standing::Healthy, [Some(true), Some(true), None]);
        check(Standing::Ended(Some(0)), [Some(true), Some(false), Some(true)]);
        check(Standing::Ended(Some(1)), [Some(false); 3]);
        check(Standing::Ended(None), [Some(false); 3]);
    }

    #[test]
    fn restart_policies_are_those_of_compose() {
        assert!(!again(ServiceRestart::No, Some(1), 1));
        assert!(again(ServiceRestart::Always, Some(0), 0));
        assert!(!again(ServiceRestart::OnFailure(None), Some(0), 9));
        assert!(again(ServiceRestart::OnFailure(None), None, 1_000));
        assert!(again(ServiceRestart::OnFailure(Some(2)), Some(3), 2));
        assert!(!again(ServiceRestart::OnFailure(Some(2)), Some(3), 3));
    }
}
