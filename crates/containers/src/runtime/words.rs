//! The words of every call, for each program that runs containers.
//!
//! `runc` and `runsc` have the command line of the OCI runtime specification (runtime.md). `runsc` is told to use the network that the
//! containers share as it stands (`--network=host`: that of the namespace it is put into), to let the local API's sockets through,
//! and to write where the container's root is, which is bounded. `ctr` is containerd's own program.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::backend::{Engine, Family};

/// What `runsc` is told in each call.
const RUNSC: [&str; 3] = ["--network=host", "--host-uds=open", "--overlay2=none"];

/// How a program is called.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    kind: Kind,
    /// The words before each command.
    head: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Runc,
    Runsc,
    Ctr,
}

impl Words {
    pub(crate) fn new(engine: &Engine, state: &Path, space: &str) -> Self {
        let (kind, head) = match engine {
            Engine::Oci { program, family: Family::Runc } => {
                (Kind::Runc, joined(&[program.as_os_str(), "--root".as_ref(), state.as_os_str()]))
            }
            Engine::Oci { program, family: Family::Runsc } => {
                let mut head = joined(&[program.as_os_str(), "--root".as_ref(), state.as_os_str()]);
                head.extend(RUNSC.map(OsString::from));
                (Kind::Runsc, head)
            }
            Engine::Containerd(socket) => {
                let head: [&OsStr; 5] =
                    ["ctr".as_ref(), "--address".as_ref(), socket.as_os_str(), "--namespace".as_ref(), space.as_ref()];
                (Kind::Ctr, joined(&head))
            }
        };
        Self { kind, head }
    }

    fn with(&self, words: &[&OsStr]) -> Vec<OsString> {
        self.head.iter().cloned().chain(joined(words)).collect()
    }

    /// Only with `runc`, which makes containers that hold namespaces and are never started.
    pub(crate) fn create(&self, id: &str, bundle: &Path, pid_file: &Path, log: &Path) -> Vec<OsString> {
        let words: [&OsStr; 8] = [
            "--log".as_ref(),
            log.as_ref(),
            "create".as_ref(),
            "--bundle".as_ref(),
            bundle.as_ref(),
            "--pid-file".as_ref(),
            pid_file.as_ref(),
            id.as_ref(),
        ];
        self.with(&words)
    }

    pub(crate) fn run(&self, id: &str, bundle: &Path) -> Vec<OsString> {
        let config = bundle.join("config.json");
        match self.kind {
            Kind::Runc | Kind::Runsc => self.with(&["run".as_ref(), "--bundle".as_ref(), bundle.as_ref(), id.as_ref()]),
            Kind::Ctr => {
                let words: [&OsStr; 5] =
                    ["run".as_ref(), "--rm".as_ref(), "--config".as_ref(), config.as_ref(), id.as_ref()];
                self.with(&words)
            }
        }
    }

    /// Runs a command in a container. `name` is a containerd's name of it; a runtime tells its process in `pid_file`.
    pub(crate) fn check(&self, id: &str, name: &str, pid_file: &Path, command: &[String]) -> Vec<OsString> {
        let id: &OsStr = id.as_ref();
        let mut words = match self.kind {
            Kind::Runc => self.with(&["exec".as_ref(), "--pid-file".as_ref(), pid_file.as_ref(), id]),
            Kind::Runsc => self.with(&["exec".as_ref(), "--internal-pid-file".as_ref(), pid_file.as_ref(), id]),
            Kind::Ctr => self.with(&["tasks".as_ref(), "exec".as_ref(), "--exec-id".as_ref(), name.as_ref(), id]),
        };
        words.extend(command.iter().map(OsString::from));
        words
    }

    /// Ends a check that takes too long; `None` where its process is one of the machine's, to be killed as such.
    pub(crate) fn end_check(&self, id: &str, name: &str, pid: &str) -> Option<Vec<OsString>> {
        let words: Vec<&str> = match self.kind {
            Kind::Runc => return None,
            Kind::Runsc => vec!["kill", "--pid", pid, id, "KILL"],
            Kind::Ctr => vec!["tasks", "kill", "--exec-id", name, "--signal", "SIGKILL", id],
        };
        let words: Vec<&OsStr> = words.into_iter().map(OsStr::new).collect();
        Some(self.with(&words))
    }

    /// `signal` is its name without `SIG`.
    pub(crate) fn kill(&self, id: &str, signal: &str) -> Vec<OsString> {
        let long = format!("SIG{signal}");
        match self.kind {
            Kind::Runc | Kind::Runsc => self.with(&["kill".as_ref(), id.as_ref(), signal.as_ref()]),
            Kind::Ctr => {
                let words: [&OsStr; 5] =
                    ["tasks".as_ref(), "kill".as_ref(), "--signal".as_ref(), long.as_ref(), id.as_ref()];
                self.with(&words)
            }
        }
    }

    /// What removes a container, ended or not, one call after the other.
    pub(crate) fn delete(&self, id: &str) -> Vec<Vec<OsString>> {
        let id: &OsStr = id.as_ref();
        match self.kind {
            Kind::Runc | Kind::Runsc => vec![self.with(&["delete".as_ref(), "--force".as_ref(), id])],
            Kind::Ctr => vec![
                self.with(&["tasks".as_ref(), "delete".as_ref(), "--force".as_ref(), id]),
                self.with(&["containers".as_ref(), "delete".as_ref(), id]),
            ],
        }
    }

    /// What tells the containers, an id a line.
    pub(crate) fn list(&self) -> Vec<OsString> {
        match self.kind {
            Kind::Runc | Kind::Runsc => self.with(&["list".as_ref(), "-quiet".as_ref()]),
            Kind::Ctr => self.with(&["containers".as_ref(), "list".as_ref(), "--quiet".as_ref()]),
        }
    }
}

fn joined(words: &[&OsStr]) -> Vec<OsString> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every call of an engine, a line each.
    fn calls(engine: &Engine) -> String {
        let words = Words::new(engine, Path::new("/s"), "freehold-40000000");
        let check = ["sh".to_owned(), "-c".to_owned(), "a b".to_owned()];
        let mut calls = Vec::new();
        if words.kind == Kind::Runc {
            calls.push(words.create("_holder", Path::new("/b"), Path::new("/b/pid"), Path::new("/b/log")));
        }
        calls.push(words.run("web", Path::new("/b")));
        calls.push(words.check("web", "check-0", Path::new("/s/.web.check"), &check));
        calls.extend(words.end_check("web", "check-0", "9"));
        calls.extend([words.kill("web", "TERM"), words.list()]);
        calls.extend(words.delete("web"));
        let line = |words: &Vec<OsString>| words.join(OsStr::new("|")).into_string().unwrap();
        calls.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_words_of_each_engine_are_these() {
        let oci = |program: &str, family| Engine::Oci { program: program.into(), family };
        assert_eq!(
            calls(&oci("/opt/runc", Family::Runc)),
            "/opt/runc|--root|/s|--log|/b/log|create|--bundle|/b|--pid-file|/b/pid|_holder\n\
             /opt/runc|--root|/s|run|--bundle|/b|web\n\
             /opt/runc|--root|/s|exec|--pid-file|/s/.web.check|web|sh|-c|a b\n\
             /opt/runc|--root|/s|kill|web|TERM\n\
             /opt/runc|--root|/s|list|-quiet\n\
             /opt/runc|--root|/s|delete|--force|web"
        );
        let head = "runsc|--root|/s|--network=host|--host-uds=open|--overlay2=none";
        assert_eq!(
            calls(&oci("runsc", Family::Runsc)),
            format!(
                "{head}|run|--bundle|/b|web\n\
                 {head}|exec|--internal-pid-file|/s/.web.check|web|sh|-c|a b\n\
                 {head}|kill|--pid|9|web|KILL\n\
                 {head}|kill|web|TERM\n\
                 {head}|list|-quiet\n\
                 {head}|delete|--force|web"
            )
        );
        let head = "ctr|--address|/run/c.sock|--namespace|freehold-40000000";
        assert_eq!(
            calls(&Engine::Containerd("/run/c.sock".into())),
            format!(
                "{head}|run|--rm|--config|/b/config.json|web\n\
                 {head}|tasks|exec|--exec-id|check-0|web|sh|-c|a b\n\
                 {head}|tasks|kill|--exec-id|check-0|--signal|SIGKILL|web\n\
                 {head}|tasks|kill|--signal|SIGTERM|web\n\
                 {head}|containers|list|--quiet\n\
                 {head}|tasks|delete|--force|web\n\
                 {head}|containers|delete|web"
            )
        );
    }
}
