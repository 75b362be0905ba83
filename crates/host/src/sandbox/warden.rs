//! The role `confine`: it confines a program, stays beside it, and ends when it ends.
//!
//! One thread gives up all rights for good and starts the program, which inherits that; the others stay as they are and
//! answer for it: held calls, the way to the gate, signals, and the end of whatever it left behind. It ends everything once its
//! own standard input does, which its host holds, or on SIGTERM, after a moment for the program to end by itself.

use std::{
    env, fs,
    io::{self, Read as _},
    net::Ipv4Addr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use freehold_rpc::proxy_variables;
use rustix::{
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, setsid, wait},
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc, oneshot},
};

use super::{
    calls,
    confined::{Network, PLAN_VARIABLE, Plan},
    connects::{self, Dialled, Reachable},
    error::ConfineError,
    listener::{Listener, close_on_start},
    ruleset::{self, Files},
};

/// How long a program has to end by itself.
const END_WAIT: Duration = Duration::from_millis(1_500);
/// How long what it left behind is ended.
const CLEAR_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks at what is left.
const CLEAR_PAUSE: Duration = Duration::from_millis(5);
/// Connections to the gate at once.
const CONNECTIONS_MAX: usize = 64;
/// Added to the number of a signal that ended a program, as shells do.
const BY_SIGNAL: u8 = 128;

/// Confines the program that the host named, and gives its exit code. In the environment stands what to confine.
///
/// # Errors
/// Every [`ConfineError`]: then the program was not started.
pub fn confine() -> Result<u8, ConfineError> {
    let plan =
        env::var(PLAN_VARIABLE).ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or(ConfineError::Plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ConfineError::system("the runtime cannot be started"))?;
    let code = runtime.block_on(watch(plan));
    // A thread may still read standard input.
    runtime.shutdown_background();
    code
}

/// Starts the program and watches it to its end.
async fn watch(mut plan: Plan) -> Result<u8, ConfineError> {
    let failed = ConfineError::system("the program's surroundings cannot be made");
    let made = surroundings(&mut plan).await.map_err(failed)?;
    let signals =
        || Ok((signal(SignalKind::child())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    let (mut ended, mut asked, mut interrupted) = signals().map_err(ConfineError::system("signals cannot be heard"))?;
    let mut started = begin(plan, made.dialled).await?;
    let (gone, mut host_gone) = mpsc::channel(1);
    thread::spawn(move || {
        while io::stdin().read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        let _ = gone.blocking_send(());
    });
    let code = loop {
        tokio::select! {
            _ = ended.recv() => if let Some(code) = reaped(started.pid) { break code },
            _ = asked.recv() => break ask_to_end(&mut started).await,
            _ = interrupted.recv() => break ask_to_end(&mut started).await,
            _ = host_gone.recv() => break ask_to_end(&mut started).await,
        }
    };
    clear();
    drop(made);
    Ok(code)
}

/// What is made for a program, and removed with it.
struct Surroundings {
    dialled: Dialled,
    _folder: tempfile::TempDir,
}

/// Makes them, and completes the plan by them.
async fn surroundings(plan: &mut Plan) -> io::Result<Surroundings> {
    set_child_subreaper(Some(getpid()))?;
    // Already the first of its session where nobody else started it.
    let _ = setsid();
    let folder = tempfile::Builder::new().prefix("freehold-app-").tempdir()?;
    let place = fs::canonicalize(folder.path())?;
    let named = place.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    // What the manifest sets stands above them.
    let own = [("HOME", named.clone()), ("TMPDIR", named)].map(|(name, value)| (name.to_owned(), value));
    let is_bundled = plan.folder.is_some();
    plan.environment.splice(0..0, own.into_iter().filter(|(name, _)| is_bundled || name != "HOME"));
    plan.folder.get_or_insert_with(|| place.clone());
    plan.write.push(place);
    let dialled = match &plan.network {
        Network::Nothing => Dialled::Nothing,
        Network::Machine => Dialled::Everything,
        Network::Gate(gate) => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = listener.local_addr()?.port();
            tokio::spawn(relay(listener, gate.as_path().into()));
            // The only way out, so they stand above what anybody else set.
            plan.environment.extend(proxy_variables(port).map(|(name, value)| (name.to_owned(), value)));
            Dialled::Loopback(port)
        }
    };
    Ok(Surroundings { dialled, _folder: folder })
}

async fn relay(listener: TcpListener, gate: Arc<Path>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((mut inside, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            if let Ok(mut outside) = UnixStream::connect(&gate).await {
                let _ = inside.set_nodelay(true);
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            }
            drop(place);
        });
    }
}

/// A program that runs.
struct Started {
    pid: Pid,
    /// It ends with this.
    input: Option<ChildStdin>,
}

/// Confines a thread, and starts the program from it.
async fn begin(plan: Plan, dialled: Dialled) -> Result<Started, ConfineError> {
    let folders: Vec<PathBuf> = plan.write.iter().filter_map(|folder| fs::canonicalize(folder).ok()).collect();
    let ((hand_over, listener), (tell, told)) = (oneshot::channel(), oneshot::channel());
    let confined = move || {
        let begun = hold(&plan, dialled, hand_over).and_then(|()| start(&plan));
        let runs = begun.is_ok();
        let _ = tell.send(begun);
        if runs {
            // The program is ended when the thread that started it is no more (PR_SET_PDEATHSIG(2const)).
            loop {
                thread::park();
            }
        }
    };
    let spawned = thread::Builder::new().name("confined".to_owned()).spawn(confined);
    spawned.map_err(ConfineError::system("no thread can be started"))?;
    // Threads of this one's making are free, those of the confined one would not be.
    if let Ok(listener) = listener.await {
        let reachable = Reachable { folders, dialled };
        let answering = thread::Builder::new().name("held-calls".to_owned());
        let answering = answering.spawn(move || connects::answer(listener, reachable));
        answering.map_err(ConfineError::system("no thread can be started"))?;
    }
    let mut child = told
        .await
        .map_err(|_| ConfineError::system("the program cannot be confined")(io::ErrorKind::Other.into()))??;
    let input = child.stdin.take();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
    Ok(Started { pid, input })
}

/// Gives up, in this thread and what it starts, all that the plan does not name.
fn hold(plan: &Plan, dialled: Dialled, hand_over: oneshot::Sender<Listener>) -> Result<(), ConfineError> {
    let rights = || {
        set_no_new_privs(true)?;
        clear_ambient_capability_set()?;
        for capability in CapabilitySet::all().iter() {
            // Whoever may not give one up has none to give; unknown ones this kernel does not have.
            let _ = remove_capability_from_bounding_set(capability);
        }
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
    };
    ruleset::apply(&Files { read: &plan.read, write: &plan.write }, dialled == Dialled::Everything)?;
    rights().map_err(|error| ConfineError::system("rights cannot be given up")(error.into()))?;
    let listener = Listener::install()
        .map_err(ConfineError::system("connections cannot be held (Linux 5.19 or newer is needed)"))?;
    let _ = hand_over.send(listener);
    close_on_start().map_err(ConfineError::system("open files cannot be closed"))?;
    calls::apply(dialled)
}

fn start(plan: &Plan) -> Result<Child, ConfineError> {
    // It ends with this process, however that ends.
    let mut command = Command::new("/usr/bin/setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(&plan.words);
    command.env_clear().envs(plan.environment.iter().map(|(name, value)| (name, value)));
    if let Some(folder) = &plan.folder {
        command.current_dir(folder);
    }
    let failed =
        |source| ConfineError::Start { program: plan.words.first().map(PathBuf::from).unwrap_or_default(), source };
    command.stdin(Stdio::piped()).spawn().map_err(failed)
}

/// Takes the states of all that has ended; the program's code if it is among them.
fn reaped(program: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            code = Some(code_of(status));
        }
    }
    code
}

fn code_of(status: WaitStatus) -> u8 {
    let status = ExitStatus::from_raw(status.as_raw());
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let signal = || status.signal().and_then(|signal| u8::try_from(signal).ok()).unwrap_or(0);
    code.unwrap_or_else(|| BY_SIGNAL.saturating_add(signal()))
}

/// Asks the program to end, and waits a moment.
async fn ask_to_end(started: &mut Started) -> u8 {
    drop(started.input.take());
    let _ = kill_process(started.pid, Signal::TERM);
    let end = Instant::now() + END_WAIT;
    while Instant::now() < end {
        if let Some(code) = reaped(started.pid) {
            return code;
        }
        tokio::time::sleep(CLEAR_PAUSE).await;
    }
    BY_SIGNAL + 9
}

/// Ends all that is left of it: whatever a program leaves behind becomes this process's child.
fn clear() {
    let end = Instant::now() + CLEAR_WAIT;
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let left = children();
        if left.is_empty() || Instant::now() >= end {
            return;
        }
        for child in left {
            let _ = kill_process(child, Signal::KILL);
        }
        thread::sleep(CLEAR_PAUSE);
    }
}

/// This process's children, also those that have ended.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let is_own = |number: &i32| {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // The parent stands behind the name in brackets and the state (proc_pid_stat(5)).
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<i32>().ok());
        parent == Some(own)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(is_own).filter_map(Pid::from_raw).collect()
}
