//! What runs containers on this machine: an OCI runtime, called directly or by a containerd.
//!
//! What a runtime is, it says itself (`--version`): the name of a program decides nothing. Whichever it is, and whether it keeps its
//! word, only this machine's owner knows: evidence does not show it (`SECURITY.md`). Not here: calling it (`runtime`).

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use serde::Deserialize;

use crate::error::ContainerError;

/// Oldest `runc`: it opens what is mounted before it gives up the machine's users.
const RUNC_MIN: (u32, u32) = (1, 1);
/// Oldest `runsc` that was run here, by its date.
const RUNSC_MIN: u32 = 20_240_729;
/// What is asked for, and where it is.
const NEEDS_RUNC: (&str, &str) = ("`runc` 1.1 or newer", "install it (Debian: `apt-get install runc`)");
const NEEDS_RUNSC: (&str, &str) = ("`runsc` of 2024-07-29 or newer", "install it (Debian 13: `apt-get install runsc`)");
const NEEDS_CONTAINERD: (&str, &str) = (
    "a containerd that runs, and its program `ctr`",
    "install and start it (Debian: `apt-get install containerd`), and name its socket",
);

/// What runs containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerBackend {
    /// An OCI runtime, called directly.
    Direct(OciRuntime),
    /// A containerd that runs on this machine, by its socket; it calls `runc`.
    Containerd(PathBuf),
}

impl Default for ContainerBackend {
    fn default() -> Self {
        Self::Direct(OciRuntime::default())
    }
}

/// The program of an OCI runtime.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OciRuntime(PathBuf);

impl Default for OciRuntime {
    fn default() -> Self {
        Self(PathBuf::from("runc"))
    }
}

impl FromStr for OciRuntime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "runc" | "runsc" => Ok(Self(text.into())),
            path if path.starts_with('/') => Ok(Self(path.into())),
            _ => Err("an OCI runtime is `runc`, `runsc` or the absolute path of one"),
        }
    }
}

impl TryFrom<String> for OciRuntime {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Which of the two command lines a runtime has, and so what keeps containers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The kernel's namespaces.
    Runc,
    /// gVisor: a kernel of their own in user space.
    Runsc,
}

/// What calls containers, found on this machine and new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    /// An OCI runtime.
    Oci { program: PathBuf, family: Family },
    /// A containerd, by its socket.
    Containerd(PathBuf),
}

impl Engine {
    pub(crate) fn runc() -> Self {
        Self::Oci { program: "runc".into(), family: Family::Runc }
    }

    /// What makes the namespaces that containers share: `runsc` cannot hold a container that has no program.
    pub(crate) fn holder(&self) -> Self {
        match self {
            Self::Oci { family: Family::Runc, .. } => self.clone(),
            _ => Self::runc(),
        }
    }

    /// Whether its containers enter user namespaces that others made.
    pub(crate) fn joins_users(&self) -> bool {
        !matches!(self, Self::Oci { family: Family::Runsc, .. })
    }

    pub(crate) fn family(&self) -> Family {
        if self.joins_users() { Family::Runc } else { Family::Runsc }
    }

    /// One line, for a successor that has to end what this one began.
    pub(crate) fn to_line(&self) -> String {
        match self {
            Self::Oci { program, family: Family::Runc } => format!("runc {}", program.display()),
            Self::Oci { program, family: Family::Runsc } => format!("runsc {}", program.display()),
            Self::Containerd(socket) => format!("containerd {}", socket.display()),
        }
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (kind, place) = line.split_once(' ')?;
        let place = PathBuf::from(place);
        match kind {
            "runc" => Some(Self::Oci { program: place, family: Family::Runc }),
            "runsc" => Some(Self::Oci { program: place, family: Family::Runsc }),
            "containerd" => Some(Self::Containerd(place)),
            _ => None,
        }
    }
}

impl ContainerBackend {
    /// Whether it is on this machine, and new enough.
    ///
    /// # Errors
    /// [`ContainerError::NoRuntime`].
    pub fn check(&self) -> Result<(), ContainerError> {
        self.find().map(drop)
    }

    /// Looks for it on this machine.
    ///
    /// # Errors
    /// [`ContainerError::NoRuntime`].
    pub(crate) fn find(&self) -> Result<Engine, ContainerError> {
        match self {
            Self::Direct(OciRuntime(program)) => {
                let family = family(program)?;
                if family == Family::Runsc {
                    self::family(Path::new("runc"))?;
                }
                Ok(Engine::Oci { program: program.clone(), family })
            }
            Self::Containerd(socket) => {
                family(Path::new("runc"))?;
                let mut command = Command::new("ctr");
                command.arg("--address").arg(socket).args(["--timeout", "5s", "--connect-timeout", "5s", "version"]);
                said(&mut command).map_err(|fault| missing(NEEDS_CONTAINERD, fault))?;
                Ok(Engine::Containerd(socket.clone()))
            }
        }
    }
}

/// What a program says that it is.
fn family(program: &Path) -> Result<Family, ContainerError> {
    let needs = if program.ends_with("runsc") { NEEDS_RUNSC } else { NEEDS_RUNC };
    let said = said(Command::new(program).arg("--version")).map_err(|fault| missing(needs, fault))?;
    let first = said.lines().next().unwrap_or_default();
    match (runc_version(first), runsc_date(first)) {
        (Some(found), _) if found >= RUNC_MIN => Ok(Family::Runc),
        (_, Some(found)) if found >= RUNSC_MIN => Ok(Family::Runsc),
        (_, Some(_)) => Err(missing(NEEDS_RUNSC, format!("it says {first:?}"))),
        _ => Err(missing(needs, format!("it says {first:?}"))),
    }
}

fn missing((needs, hint): (&'static str, &'static str), fault: String) -> ContainerError {
    ContainerError::NoRuntime { needs, fault, hint }
}

/// What a short call says.
fn said(command: &mut Command) -> Result<String, String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(_) => Err("it does not answer".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it is not here".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn runc_version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.strip_prefix("runc version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The date in `runsc version release-20240729.0`, or in Debian's `runsc version 0.0~20240729.0`.
fn runsc_date(said: &str) -> Option<u32> {
    let version = said.strip_prefix("runsc version ")?;
    version.split(|letter: char| !letter.is_ascii_digit()).find(|digits| digits.len() == 8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(runc_version("runc version 1.1.5+ds1"), Some((1, 1)));
        assert_eq!(runc_version("runc version 1.0.0~rc93"), Some((1, 0)));
        assert_eq!(runc_version("crun version 1.8"), None);
        assert_eq!(runsc_date("runsc version 0.0~20240729.0"), Some(20_240_729));
        assert_eq!(runsc_date("runsc version release-20250101.0"), Some(20_250_101));
        assert_eq!(runsc_date("runsc version VERSION_MISSING"), None);
    }

    #[test]
    fn a_runtime_is_what_it_says_and_not_what_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, says: &str, expect: Option<Family>| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let found = family(&path);
            assert_eq!(found.as_ref().ok(), expect.as_ref(), "{name} {says}");
            found.err().map(|error| error.to_string()).unwrap_or_default()
        };
        check("runsc", "runc version 1.2.0", Some(Family::Runc));
        check("mine", "runsc version release-20250101.0", Some(Family::Runsc));
        assert!(check("old", "runsc version 0.0~20221219.0", None).contains("2024-07-29"));
        assert!(check("older", "runc version 1.0.3", None).contains("1.1 or newer"));
        check("crun", "crun version 1.8", None);
        for text in ["", "crun", "./runc", "runc --debug"] {
            assert!(text.parse::<OciRuntime>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_engine_is_found_again_by_its_line() {
        let socket = Engine::Containerd("/run/c d.sock".into());
        let gvisor = Engine::Oci { program: "/opt/runsc".into(), family: Family::Runsc };
        for engine in [Engine::runc(), socket, gvisor] {
            assert_eq!(Engine::from_line(&engine.to_line()), Some(engine));
        }
        assert_eq!(Engine::from_line("podman x"), None);
    }
}
