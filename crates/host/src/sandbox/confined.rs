//! A program under Landlock and a filter of system calls: what of this machine it gets, and the process that confines it.
//!
//! The host starts its own program in the role `confine` with nothing in its environment but one document, in which all
//! stands: what an app's environment holds must not act on the process that confines the app. See [`super::confine`].

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use freehold_rpc::EGRESS_VARIABLE;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{
    APP_SOCKET_VARIABLE, DSTACK_VARIABLES, GATE_SOCKET, LOCAL_API_VARIABLE, NETWORK_FILES, PROGRAM_PATH,
    STORAGE_VARIABLE, SYSTEM_DIRS, SYSTEM_FILES, is_listed, launched, model_variables, words,
};
use crate::config::{AppProgram, Reach};

/// Role of the host's program that confines another one.
const ROLE: &str = "confine";
/// Variable that holds the document.
pub(super) const PLAN_VARIABLE: &str = "FREEHOLD_CONFINE";
/// Certificates of authorities, for programs that reach others.
const CERTIFICATES: [&str; 2] = ["/etc/ssl", "/etc/ca-certificates"];

/// The program that confines others, and its words.
#[derive(Debug, Clone)]
pub(crate) struct Confiner {
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

impl Confiner {
    /// `freehold`, in the role.
    pub(crate) fn of(executable: &Path) -> Self {
        Self { executable: executable.to_owned(), arguments: vec![ROLE.into()] }
    }

    /// The command that runs a plan.
    ///
    /// # Errors
    /// A path or a word is no UTF-8.
    pub(super) fn command(&self, plan: &Plan) -> io::Result<Command> {
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments).env_clear().env(PLAN_VARIABLE, serde_json::to_string(plan)?);
        Ok(command)
    }
}

/// What of the network a program gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Network {
    Nothing,
    /// What the gate at this socket lets through.
    Gate(PathBuf),
    /// The machine's.
    Machine,
}

/// What is started, and what it gets. Its temporary folder is made by the confiner, and is its home where it is a bundle's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) words: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Where it is started; nothing for its temporary folder.
    pub(super) folder: Option<PathBuf>,
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    pub(super) network: Network,
}

impl Plan {
    /// One that runs `true`, to see whether anything can be confined here.
    pub(super) fn of_nothing() -> Self {
        Self {
            words: vec!["true".to_owned()],
            environment: vec![("PATH".to_owned(), PROGRAM_PATH.to_owned())],
            folder: None,
            read: SYSTEM_DIRS.iter().chain(&SYSTEM_FILES).map(PathBuf::from).collect(),
            write: Vec::new(),
            network: Network::Nothing,
        }
    }

    /// What an app's program gets. `app_dir` holds the sockets that it is given.
    ///
    /// # Errors
    /// A path or a word is no UTF-8.
    pub(super) fn new(program: &AppProgram, app_dir: &Path) -> io::Result<Self> {
        let text = |word: OsString| word.into_string().map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename));
        let bundle = program.bundle.as_ref();
        let launcher = bundle.and_then(|bundle| bundle.launcher.as_deref());
        let files = bundle.map(|bundle| bundle.files.as_path());
        let started = launched(launcher, words(program, files, &program.executable));
        let mut plan = Self {
            words: started.into_iter().map(text).collect::<io::Result<_>>()?,
            folder: files.map(Path::to_owned),
            write: vec![app_dir.to_owned()],
            ..Self::of_nothing()
        };
        plan.read.extend(launcher.or(bundle.is_none().then_some(&program.executable)).map(Path::to_owned));
        let models = bundle.into_iter().flat_map(|bundle| bundle.models.iter().map(|(_, model)| model.as_path()));
        plan.read.extend(files.into_iter().chain(program.model.as_deref()).chain(models).map(Path::to_owned));
        if bundle.is_none() {
            plan.environment.clear();
        }
        let mut set = |name: &str, value: PathBuf| {
            text(value.into()).map(|value| plan.environment.push((name.to_owned(), value)))
        };
        for name in [LOCAL_API_VARIABLE].iter().chain(&DSTACK_VARIABLES) {
            set(name, app_dir.join("local.sock"))?;
        }
        set(APP_SOCKET_VARIABLE, app_dir.join("app.sock"))?;
        for (name, path) in model_variables(program) {
            set(name, path.to_owned())?;
        }
        let storage = bundle.and_then(|bundle| bundle.storage.folder());
        if let Some(folder) = storage {
            set(STORAGE_VARIABLE, folder.path.clone())?;
            plan.write.push(folder.path.clone());
        }
        plan.environment.splice(0..0, program.environment.iter().cloned());
        match bundle.map(|bundle| &bundle.reach) {
            Some(Reach::Listed(_)) if is_listed(program) => {
                plan.network = Network::Gate(app_dir.join(GATE_SOCKET));
                plan.read.extend(CERTIFICATES.map(PathBuf::from));
            }
            Some(Reach::Everybody) => {
                plan.network = Network::Machine;
                plan.read.extend(NETWORK_FILES.map(PathBuf::from));
            }
            _ => {}
        }
        // The confiner is the way to the gate, so nobody inside looks for it.
        plan.environment.retain(|(name, _)| name != EGRESS_VARIABLE);
        Ok(plan)
    }
}
