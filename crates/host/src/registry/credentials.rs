//! Passwords for registries, where `docker login` and its like keep them: `auths` of `config.json` in `$DOCKER_CONFIG` or `~/.docker`.
//!
//! Not here: credential helpers and identity tokens; a registry that only they open is told to be refused.

use std::{
    collections::BTreeMap,
    env, fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::error::RegistryError;

/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Docker's own name of its registry in that file.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// A name and a password, as HTTP's Basic scheme sends them. No `Debug`: it is a secret.
pub(super) struct Password(Zeroizing<String>);

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
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
    /// The value of the header.
    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Basic {}", *self.0))
    }
}

/// The password for a registry in this user's file, if there is one.
pub(super) fn find(registry: &str) -> Result<Option<Password>, RegistryError> {
    let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".docker")));
    folder.map_or(Ok(None), |folder| find_in(&folder.join("config.json"), registry))
}

pub(super) fn find_in(path: &Path, registry: &str) -> Result<Option<Password>, RegistryError> {
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
    let mut file: File = serde_json::from_slice(&text).map_err(|_| refuse("is no file of `docker login`"))?;
    let keys = [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/v1/")];
    let own = (registry == "docker.io").then(|| DOCKER_KEY.to_owned());
    let entry = keys.into_iter().chain(own).find_map(|key| file.auths.remove(&key));
    let auth = entry.and_then(|entry| entry.auth).map(|SecretText(auth)| auth).filter(|auth| !auth.is_empty());
    let Some(auth) = auth else { return Ok(None) };
    let opened = STANDARD.decode(auth.as_bytes()).map(Zeroizing::new);
    let is_pair = opened.is_ok_and(|pair| pair.contains(&b':'));
    if is_pair { Ok(Some(Password(auth))) } else { Err(refuse("holds an `auth` that is no name and password")) }
}
