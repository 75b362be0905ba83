//! Credential helpers: programs that keep passwords for registries, as Docker's client calls them (`docker-credential-NAME get`,
//! docker/docker-credential-helpers). One is given a registry's name and says a name and a password for it.
//!
//! Bounded in time and in what is read; the program is searched in absolute folders of `PATH` alone, under a name that is no path.

use std::{
    ffi::OsStr,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    credentials::{Password, SecretText},
    error::RegistryError,
};

/// Beginning of every helper's name.
const PREFIX: &str = "docker-credential-";
/// Longest name behind it, in characters.
const NAME_MAX: usize = 64;
/// Longest wait for an answer: a person may have to unlock a key ring.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// What a helper says of a registry that it does not know.
const UNKNOWN: &str = "credentials not found in native keychain";
/// The name under which helpers give identity tokens, which are no passwords.
const IDENTITY_TOKEN: &str = "<token>";
/// Pause between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Where helpers are searched, and how long they have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    /// Folders, as in `PATH`.
    pub(super) folders: Option<&'a OsStr>,
    pub(super) wait: Duration,
}

impl<'a> Search<'a> {
    pub(super) const fn of(folders: Option<&'a OsStr>) -> Self {
        Self { folders, wait: ANSWER_WAIT }
    }
}

/// What a helper answers. No `Debug`: there is a secret in it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: SecretText,
}

/// Asks a helper for the password of a registry; `None` where it keeps none.
pub(super) fn ask(helper: &str, registry: &str, search: Search<'_>) -> Result<Option<Password>, RegistryError> {
    let refuse = |fault| RegistryError::Helper { helper: helper.chars().take(NAME_MAX).collect(), fault };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if helper.is_empty() || helper.len() > NAME_MAX || !helper.bytes().all(good) {
        return Err(refuse("is no name of a credential helper"));
    }
    let program =
        found(helper, search).ok_or_else(|| refuse("is not installed: install it, or remove it from the file"))?;
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|_| refuse("cannot be started"))?;
    let answer = answer(&mut child, registry, search.wait);
    // One that was cut off in the middle is ended; for others this does nothing.
    let _ = child.kill();
    let is_good = child.wait().is_ok_and(|status| status.success());
    let text = answer.ok_or_else(|| refuse("gave no answer in time: is its key ring locked?"))?;
    if u64::try_from(text.len()).map_or(true, |length| length > ANSWER_BYTES_MAX) {
        return Err(refuse("answered more than 64 KiB"));
    }
    if !is_good {
        let is_unknown = text.trim_ascii() == UNKNOWN.as_bytes();
        return if is_unknown { Ok(None) } else { Err(refuse("failed: ask it by hand, with `get`")) };
    }
    told(&text).map_err(refuse)
}

/// The password in an answer; `None` where it says that there is none. Else what is wrong.
pub(super) fn told(text: &Zeroizing<Vec<u8>>) -> Result<Option<Password>, &'static str> {
    let Answer { username, secret } = serde_json::from_slice(text).map_err(|_| "answered without sense")?;
    if username == IDENTITY_TOKEN {
        return Err("gave an identity token, which is not understood here: log in with a password");
    }
    if username.contains(':') {
        return Err("gave a name with a colon");
    }
    if username.is_empty() && secret.0.is_empty() {
        return Ok(None);
    }
    let pair = Zeroizing::new(format!("{username}:{}", *secret.0));
    Ok(Some(Password::of(Zeroizing::new(STANDARD.encode(pair.as_bytes())))))
}

/// The program of a helper.
fn found(helper: &str, search: Search<'_>) -> Option<PathBuf> {
    let folders = std::env::split_paths(search.folders?).filter(|folder| folder.is_absolute());
    let mut programs = folders.map(|folder| folder.join(format!("{PREFIX}{helper}")));
    programs.find(|program| {
        program.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    })
}

/// Gives a helper its question, and reads what it says; `None` where it does not end in time. One byte above the bound shows that
/// there was more.
fn answer(child: &mut Child, registry: &str, wait: Duration) -> Option<Zeroizing<Vec<u8>>> {
    let end = Instant::now() + wait;
    let (mut input, output) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, answers) = mpsc::channel();
    let asked = registry.to_owned();
    thread::spawn(move || {
        // A helper may end without reading.
        let _ = input.write_all(asked.as_bytes());
        drop(input);
        let mut text = Zeroizing::new(Vec::new());
        let read = output.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let text = answers.recv_timeout(wait).ok()?.ok()?;
    while text.len() as u64 <= ANSWER_BYTES_MAX && matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(LOOK);
    }
    Some(text)
}
