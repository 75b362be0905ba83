//! Small files that only instances of the app can read: sealed under the app's root key, written whole or not at all.
//!
//! A file opens under any root key that is held, and is written under the newest. Sealed: Deoxys-II with a key from root
//! key and salt, a random nonce before the ciphertext. That a file is the newest one, it does not tell.

use std::{fs, io, path::PathBuf, sync::Arc};

use freehold_crypto::{DEOXYS_NONCE_BYTES, Deoxys, hkdf_sha256};
use rand::{
    SeedableRng as _, TryRng as _,
    rngs::{StdRng, SysRng},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    roots::{HeldRoots, Root},
    seen::replace,
};

/// Why a file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SealedError {
    /// Disk or randomness.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// It does not open under the app's root key.
    #[error(
        "{0} does not open: it was changed, or is another app's, or its root key was retired; remove it to start as a new disk"
    )]
    Sealed(PathBuf),
}

/// One file.
#[derive(Clone)]
pub(crate) struct SealedFile {
    pub(crate) path: PathBuf,
    /// Tells files of one domain apart.
    pub(crate) salt: String,
    /// Bound to the ciphertext.
    pub(crate) domain: &'static [u8],
    /// Largest file.
    pub(crate) bytes_max: usize,
    pub(crate) roots: Arc<HeldRoots>,
}

impl SealedFile {
    fn key(&self, root: &Root) -> Deoxys {
        let mut key = Zeroizing::new([0; 32]);
        hkdf_sha256(self.salt.as_bytes(), &root.secret[..], &[self.domain], &mut *key);
        Deoxys::new(&key)
    }

    /// What the file holds; `None` where there is none.
    pub(crate) fn load(&self) -> Result<Option<Vec<u8>>, SealedError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SealedError::Io { path: self.path.clone(), source }),
        };
        let opened = bytes.split_first_chunk::<DEOXYS_NONCE_BYTES>().filter(|_| bytes.len() <= self.bytes_max);
        let roots = self.roots.held();
        let opened = opened.and_then(|(nonce, sealed)| {
            roots.all().find_map(|root| self.key(root).open(nonce, sealed, self.domain).ok())
        });
        opened.map(|text| Some(text.to_vec())).ok_or_else(|| SealedError::Sealed(self.path.clone()))
    }

    /// Writes the file, durably.
    pub(crate) fn store(&self, text: &[u8]) -> Result<(), SealedError> {
        let failed = |source| SealedError::Io { path: self.path.clone(), source };
        let mut nonce = [0; DEOXYS_NONCE_BYTES];
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|error| failed(io::Error::other(error)))?;
        let _ = rng.try_fill_bytes(&mut nonce);
        let sealed = self.key(&self.roots.held().newest).seal(&nonce, text, self.domain);
        replace(&self.path, &[&nonce[..], &sealed].concat()).map_err(failed)
    }
}
