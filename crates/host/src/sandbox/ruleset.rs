//! Which files a confined program sees (landlock(7)): what is not named is neither read, nor written, nor started. Signals and
//! abstract sockets end at what it started itself, and no TCP port is bound or dialled by it.
//!
//! All of it or nothing: a kernel that would hold a part of it is refused.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

use super::error::ConfineError;

/// The least that the kernel must have: scopes of signals and abstract sockets.
const LEAST: ABI = ABI::V6;
/// Devices that hold nothing of anybody.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What a program may do with files.
#[derive(Debug)]
pub(super) struct Files<'a> {
    /// Read, and start what is a program.
    pub(super) read: &'a [PathBuf],
    /// Read, write, make and remove too.
    pub(super) write: &'a [PathBuf],
}

/// Holds this thread, and all that it starts, to the files. `whole_network` leaves TCP as it is.
pub(super) fn apply(files: &Files<'_>, whole_network: bool) -> Result<(), ConfineError> {
    let all = AccessFs::from_all(LEAST);
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(all)?;
    if !whole_network {
        rules = rules.handle_access(AccessNet::from_all(LEAST))?;
    }
    let mut rules = rules.scope(Scope::from_all(LEAST))?.create()?;
    let written = all & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let devices = DEVICES.map(PathBuf::from);
    let sets = [
        (files.read, AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir),
        (files.write, written),
        (&devices[..], AccessFs::ReadFile | AccessFs::WriteFile),
    ];
    for (paths, access) in sets {
        for path in paths {
            // What is not on this machine is nobody's to see.
            let Ok(place) = PathFd::new(path) else { continue };
            rules = rules.add_rule(PathBeneath::new(place, fitting(path, access)))?;
        }
    }
    let status = rules.restrict_self()?;
    if status.ruleset == RulesetStatus::FullyEnforced && status.no_new_privs {
        Ok(())
    } else {
        Err(ConfineError::Partial)
    }
}

/// Of rights those that a file can have, if it is one and no folder.
fn fitting(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(LEAST) }
}
