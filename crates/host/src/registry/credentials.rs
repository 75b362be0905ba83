//! Passwords for registries, where `docker login` and its like keep them: `config.json` in `$DOCKER_CONFIG` or `~/.docker`.
//!
//! First the helper that it names for the registry (`credHelpers`), then a password in the file itself (`auths`), then the helper for all others
//! (`credsStore`). Not here: identity tokens; a registry that only they open is told to be refused.

use std::{
    collections::BTreeMap,
    env, fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{
    error::RegistryError,
    helper::{self, Search},
};

/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Docker's own name of its registry in that file.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// A name and a password, as HTTP's Basic scheme sends them. No `Debug`: it is a secret.
pub(super) struct Password(Zeroizing<String>);

/// The file, as far as it counts here. No `Debug`: there are secrets in it.
#[derive(Deserialize)]
pub(super) struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<SecretText>,
}

/// A secret text of a document.
pub(super) struct SecretText(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Password {
    /// Out of name, colon and password in base64.
    pub(super) fn of(pair: Zeroizing<String>) -> Self {
        Self(pair)
    }

    /// The value of the header.
    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Basic {}", *self.0))
    }
}

/// The password for a registry in this user's file, if there is one.
pub(super) fn find(registry: &str) -> Result<Option<Password>, RegistryError> {
    let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".docker")));
    let programs = env::var_os("PATH");
    let search = Search::of(programs.as_deref());
    folder.map_or(Ok(None), |folder| find_in(&folder.join("config.json"), registry, search))
}

pub(super) fn find_in(path: &Path, registry: &str, search: Search<'_>) -> Result<Option<Password>, RegistryError> {
    let Some(mut file) = read(path)? else { return Ok(None) };
    // Docker's own registry has another name there.
    let asked = if registry == "docker.io" { DOCKER_KEY } else { registry };
    if let Some(helper) = [registry, asked].iter().find_map(|key| file.helpers.get(*key)) {
        return helper::ask(helper, asked, search);
    }
    let keys =
        [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/v1/"), asked.to_owned()];
    let entry = keys.into_iter().find_map(|key| file.auths.remove(&key));
    let auth = entry.and_then(|entry| entry.auth).map(|SecretText(auth)| auth).filter(|auth| !auth.is_empty());
    let Some(auth) = auth else {
        return if file.store.is_empty() { Ok(None) } else { helper::ask(&file.store, asked, search) };
    };
    let opened = STANDARD.decode(auth.as_bytes()).map(Zeroizing::new);
    let is_pair = opened.is_ok_and(|pair| pair.contains(&b':'));
    let fault = "holds an `auth` that is no name and password";
    if is_pair { Ok(Some(Password(auth))) } else { Err(RegistryError::Passwords { path: path.to_owned(), fault }) }
}

/// The file; `None` where there is none.
fn read(path: &Path) -> Result<Option<File>, RegistryError> {
    let refuse = |fault| RegistryError::Passwords { path: path.to_owned(), fault };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(_) => return Err(refuse("cannot be read: set DOCKER_CONFIG to another folder, or mend its rights")),
    };
    let mut text = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|_| refuse("cannot be read"))?;
    if u64::try_from(text.len()).map_or(true, |length| length > FILE_BYTES_MAX) {
        return Err(refuse("is larger than 1 MiB"));
    }
    parsed(&text).map(Some).ok_or_else(|| refuse("is no file of `docker login`"))
}

pub(super) fn parsed(text: &[u8]) -> Option<File> {
    serde_json::from_slice(text).ok()
}
