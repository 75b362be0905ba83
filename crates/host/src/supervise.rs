//! Keeping guest and app running: a guest that ends is replaced by a successor with keys of its own, an app that ends is
//! started again, each after a pause that grows with quick failures.

mod process;
mod storage;
mod vm;

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use freehold_bundle::Restart;
use freehold_containers::Backoff;
use freehold_rpc::{Endpoint, LocalClient, connect_plain};
use tokio::{
    net::UnixStream,
    process::Child,
    sync::{mpsc, watch},
    time::sleep,
};

use crate::{
    config::{App, AppFolder, AppProgram, GuestProgram},
    container::{self, ContainerApp},
    control::Control,
    event::HostEvent,
    logs,
    sandbox::{self, Confiner, Isolation},
};

use process::{APP_END_WAIT, GUEST_END_WAIT, end, exit_code, spawn_guest};

/// Stage of a guest whose state disk does not open (`spec/local-api.md` §2).
const DISK_REFUSED: &str = "disk-refused";
/// Pause between two looks at a socket.
const POLL: Duration = Duration::from_millis(50);

/// What is supervised.
pub(crate) struct Supervisor {
    pub(crate) guest: GuestProgram,
    pub(crate) guest_config: PathBuf,
    pub(crate) app: App,
    pub(crate) isolation: Isolation,
    /// What confines the app's process, where Landlock keeps it apart.
    pub(crate) confiner: Confiner,
    /// Directory with the sockets of evidence, relay and control.
    pub(crate) dir: PathBuf,
    /// Directory with the sockets that the app sees.
    pub(crate) app_dir: PathBuf,
    pub(crate) control: Arc<Control>,
    pub(crate) events: mpsc::UnboundedSender<HostEvent>,
    /// Becomes true when everything is to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Whether the app answers.
    pub(crate) ready: watch::Sender<bool>,
}

/// How a run of the guest ended.
enum Ended {
    /// The host stops.
    Stopping,
    /// It ended by itself.
    Guest(Option<i32>),
    /// Its app ended, and is not started again; so did the VM.
    App(Option<i32>),
}

impl Supervisor {
    fn tell(&self, event: HostEvent) {
        let _ = self.events.send(event);
    }

    fn trouble(&self, what: &str, error: &std::io::Error) {
        self.tell(HostEvent::Trouble { message: format!("{what}: {error}") });
    }

    /// Runs until it is asked to stop; then both processes have ended.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::default();
        self.control.recall();
        self.control.deregister().await;
        while !*self.stopping.borrow() {
            let begun = Instant::now();
            let ended = match &self.app {
                App::Vm(app) => self.run_vm(app).await,
                App::Process(_) | App::Containers(_) => self.run_guest().await,
            };
            let code = match ended {
                Ended::Stopping => return self.control.deregister().await,
                Ended::App(code) => {
                    self.control.deregister().await;
                    self.tell(HostEvent::AppEnded { code });
                    return self.stopped().await;
                }
                Ended::Guest(code) => code,
            };
            self.control.deregister().await;
            let restart_in = backoff.after(begun.elapsed());
            self.tell(HostEvent::GuestExited { code, restart_in });
            self.pause(restart_in).await;
        }
    }

    /// Runs one guest to its end.
    async fn run_guest(&self) -> Ended {
        match spawn_guest(&self.guest, &self.guest_config) {
            Ok(mut guest) => {
                // Waiting for a child closes its standard input, and the guest ends with that: so it is held here.
                let _input = guest.stdin.take();
                self.tell(HostEvent::GuestStarted { pid: guest.id().unwrap_or(0) });
                let ended = self.with_guest(&mut guest).await;
                if matches!(ended, Ended::Stopping) {
                    end(&mut guest, GUEST_END_WAIT).await;
                }
                ended
            }
            Err(error) => {
                self.trouble("the guest cannot be started", &error);
                Ended::Guest(None)
            }
        }
    }

    /// Resolves when everything is to stop.
    async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        let _ = stopping.wait_for(|stop| *stop).await.map(drop);
    }

    /// Waits, or until everything is to stop.
    async fn pause(&self, length: Duration) {
        tokio::select! {
            () = sleep(length) => {}
            () = self.stopped() => {}
        }
    }

    /// While one guest runs: the app beside it, again and again.
    async fn with_guest(&self, guest: &mut Child) -> Ended {
        let ended = tokio::select! {
            // The app is dropped, and its process killed, when the guest ends first.
            status = guest.wait() => Ended::Guest(status.ok().and_then(exit_code)),
            () = self.keep_app() => Ended::Stopping,
        };
        self.ready.send_replace(false);
        if let App::Containers(app) = &self.app {
            // Containers do not end with the task that kept them.
            container::clear(app).await;
        }
        ended
    }

    /// Starts the app once the guest's socket is there; ends, after the app, only when everything stops.
    async fn keep_app(&self) {
        let local = self.app_dir.join("local.sock");
        let there = async {
            while UnixStream::connect(&local).await.is_err() {
                sleep(POLL).await;
            }
        };
        tokio::select! {
            () = there => {}
            () = self.stopped() => return,
        }
        let guest = LocalClient::new(Endpoint::Unix(local.clone()));
        tokio::select! {
            () = self.run_app() => {}
            () = self.announce_serving(&guest, POLL) => {}
        }
    }

    async fn run_app(&self) {
        match &self.app {
            App::Process(program) => self.restart_app(program).await,
            App::Containers(app) => self.run_containers(app).await,
            App::Vm(_) => std::future::pending().await,
        }
    }

    /// Runs the app's containers, which start again by their own policies; what they stand on is tried again.
    async fn run_containers(&self, app: &ContainerApp) {
        let mut backoff = Backoff::default();
        while !*self.stopping.borrow() {
            let begun = Instant::now();
            let _ = std::fs::remove_file(self.app_dir.join("app.sock"));
            let ended = tokio::select! {
                ended = container::run(app, &self.app_dir, &self.events, &self.stopping) => ended,
                () = self.announce_ready() => Ok(None),
            };
            self.ready.send_replace(false);
            match ended {
                Ok(_) if *self.stopping.borrow() => return,
                Ok(code) => {
                    self.tell(HostEvent::AppEnded { code });
                    return self.stopped().await;
                }
                Err(error) => {
                    let restart_in = backoff.after(begun.elapsed());
                    self.tell(HostEvent::Trouble { message: format!("the containers cannot be started: {error}") });
                    self.tell(HostEvent::AppExited { code: None, restart_in });
                    self.pause(restart_in).await;
                }
            }
        }
    }

    async fn restart_app(&self, program: &AppProgram) {
        let mut backoff = Backoff::default();
        let kept = program.bundle.as_ref().and_then(|bundle| bundle.storage.folder());
        while !*self.stopping.borrow() {
            let begun = Instant::now();
            let _ = std::fs::remove_file(self.app_dir.join("app.sock"));
            let code = match sandbox::spawn(program, self.isolation, &self.confiner, &self.app_dir) {
                Ok(mut app) => {
                    let _input = app.stdin.take();
                    logs::forward(&mut app, &self.events);
                    self.tell(HostEvent::AppStarted { pid: app.id().unwrap_or(0), isolation: self.isolation });
                    tokio::select! {
                        status = app.wait() => status.ok().and_then(exit_code),
                        () = self.announce_ready() => None,
                        () = self.stopped() => return end(&mut app, APP_END_WAIT).await,
                        used_bytes = storage::too_much(kept) => {
                            end(&mut app, APP_END_WAIT).await;
                            self.out_of_room(kept, used_bytes).await;
                            continue;
                        }
                    }
                }
                Err(error) => {
                    self.trouble("the app cannot be started", &error);
                    None
                }
            };
            self.ready.send_replace(false);
            let restart = program.bundle.as_ref().map_or(Restart::Always, |bundle| bundle.restart);
            if restart == Restart::Never || (restart == Restart::OnFailure && code == Some(0)) {
                self.tell(HostEvent::AppEnded { code });
                return self.stopped().await;
            }
            let restart_in = backoff.after(begun.elapsed());
            self.tell(HostEvent::AppExited { code, restart_in });
            self.pause(restart_in).await;
        }
    }

    /// Tells that the app, which has ended, keeps too much, and waits until it keeps less.
    async fn out_of_room(&self, folder: Option<&AppFolder>, used_bytes: u64) {
        self.ready.send_replace(false);
        let Some(folder) = folder else { return };
        self.tell(HostEvent::StorageExceeded { used_bytes, bytes_max: folder.bytes_max });
        tokio::select! {
            () = storage::enough_room(folder) => {}
            () = self.stopped() => {}
        }
    }

    /// Tells once when the guest serves, and when its state disk is refused, then waits for ever.
    async fn announce_serving(&self, guest: &LocalClient, pause: Duration) {
        let mut is_told = false;
        loop {
            match guest.health().await {
                Ok(health) if health.stage == DISK_REFUSED && !is_told => {
                    is_told = true;
                    self.tell(HostEvent::StateDiskRefused { reason: health.reason.unwrap_or_default() });
                }
                Ok(health) if health.ready => {
                    self.tell(HostEvent::GuestServing { expires_at: health.expires_at });
                    return std::future::pending().await;
                }
                _ => sleep(pause).await,
            }
        }
    }

    /// Tells once when the app's socket answers, then waits for ever.
    async fn announce_ready(&self) {
        let socket = self.app_dir.join("app.sock");
        while connect_plain(&socket).await.is_err() {
            sleep(POLL).await;
        }
        self.ready.send_replace(true);
        self.tell(HostEvent::AppReady);
        std::future::pending::<()>().await;
    }
}
