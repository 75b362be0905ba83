//! What starts a container's program with the settings of the app's owner: the guest's own program in its role `launch`
//! (`spec/settings.md` §6), mounted into the container beside the socket that answers with this service's variables.
//!
//! An image may hold any C library, another one, or none. So the program brings its own: its loader and its libraries, as they lie on
//! the machine, are mounted with it. The program that it becomes is loaded by the image's. Not here: the values; they pass from
//! the guest to the container alone.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::ContainerError;

/// Folder of all that belongs to it, inside.
const FOLDER: &str = "/run/freehold-launch";
/// The socket with this service's variables, inside.
pub(crate) const SOCKET: &str = "/run/freehold-launch/environment.sock";
/// Most headers of a program that are looked at, and longest name of a loader, in bytes.
const HEADERS_MAX: u16 = 128;
const NAME_BYTES_MAX: u64 = 4_096;
/// Mark of the header that names the loader (System V ABI, program header: `PT_INTERP`).
const INTERPRETER: u32 = 3;

/// The program that starts others, ready to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launcher {
    /// (On the machine, in the container.)
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Words before those of what is started.
    head: Vec<String>,
}

impl Launcher {
    /// Finds what a program needs to run in any root.
    ///
    /// # Errors
    /// [`ContainerError::CannotRun`] for a program that is none, or whose libraries its loader does not find.
    pub(crate) fn of(program: &Path) -> Result<Self, ContainerError> {
        let failed = |error: io::Error| {
            ContainerError::cannot(
                &format!("{} cannot start programs inside: {error}", program.display()),
                "install freehold anew",
            )
        };
        let inside = format!("{FOLDER}/program");
        let mut files = vec![(program.to_owned(), inside.clone())];
        let mut head = Vec::new();
        if let Some(loader) = loader(program).map_err(failed)? {
            for library in libraries(&loader, program).map_err(failed)? {
                let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.push((library, format!("{FOLDER}/lib/{name}")));
            }
            let place = format!("{FOLDER}/loader");
            head = [&place, "--inhibit-cache", "--library-path", &format!("{FOLDER}/lib")].map(str::to_owned).to_vec();
            files.push((loader, place));
        }
        head.extend([&inside, "launch", "--socket", SOCKET, "--"].map(str::to_owned));
        Ok(Self { files, head })
    }

    /// The words that start a command with the owner's settings.
    pub(crate) fn words(&self, command: &[String]) -> Vec<String> {
        self.head.iter().chain(command).cloned().collect()
    }
}

/// The loader that a program names; `None` for a static one.
fn loader(program: &Path) -> io::Result<Option<PathBuf>> {
    let mut file = File::open(program)?;
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    // ELF of 64 bits, little endian.
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(io::Error::other("it is no program of this kind of machine"));
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    let (at, count) = (number(&header[32..40]), number(&header[56..58]).min(HEADERS_MAX.into()));
    for index in 0..count {
        let mut entry = [0; 56];
        file.seek(SeekFrom::Start(at.saturating_add(index * 56)))?;
        file.read_exact(&mut entry)?;
        if number(&entry[..4]) != u64::from(INTERPRETER) {
            continue;
        }
        let mut name = Vec::new();
        file.seek(SeekFrom::Start(number(&entry[8..16])))?;
        file.take(number(&entry[32..40]).min(NAME_BYTES_MAX)).read_to_end(&mut name)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        return Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(name))));
    }
    Ok(None)
}

/// The libraries that a program's loader would load, in the loader's own words.
fn libraries(loader: &Path, program: &Path) -> io::Result<Vec<PathBuf>> {
    let mut command = Command::new(loader);
    command.arg("--list").arg(program).env_remove("LD_PRELOAD").stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other("its loader does not tell its libraries"));
    }
    listed(&String::from_utf8_lossy(&output.stdout))
}

/// Reads lines like `libc.so.6 => /lib/libc.so.6 (0x7f…)`.
fn listed(text: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (name, place) in text.lines().filter_map(|line| line.split_once(" => ")) {
        match place.split(" (").next().map(str::trim).filter(|place| place.starts_with('/')) {
            Some(place) => found.push(PathBuf::from(place)),
            None => return Err(io::Error::other(format!("its library {} is not here", name.trim()))),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_and_missing_ones_are_named() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n";
        assert_eq!(listed(text).unwrap(), [PathBuf::from("/lib/x/libm.so.6")]);
        assert!(listed("\tlibq.so => not found\n").unwrap_err().to_string().contains("libq.so"));
    }

    #[test]
    fn a_program_brings_its_loader_and_what_is_no_program_is_refused() {
        let launcher = Launcher::of(&std::env::current_exe().unwrap()).unwrap();
        let inside: Vec<&str> = launcher.files.iter().map(|(_, inside)| inside.as_str()).collect();
        assert!(inside.contains(&"/run/freehold-launch/loader"), "{inside:?}");
        assert!(inside.iter().any(|file| file.starts_with("/run/freehold-launch/lib/libc")), "{inside:?}");
        let words = launcher.words(&["say".to_owned(), "a b".to_owned()]);
        assert!(
            words[0].ends_with("loader") && words.ends_with(&["--".to_owned(), "say".to_owned(), "a b".to_owned()])
        );
        assert!(matches!(Launcher::of(Path::new("/etc/passwd")), Err(ContainerError::CannotRun { .. })));
    }
}
