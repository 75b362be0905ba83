//! The disk of an app's model files: one folder of files under a hash tree, written piece by piece, since models are larger than
//! memory. Its root stands on the measured command line beside the app's own (`spec/vm-image.md` §13).
//!
//! Invariant: what is written is what the digests name, or nothing that counts: a root is given only for the very bytes.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Write},
    path::PathBuf,
};

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

use crate::{
    erofs::erofs_head,
    error::ImageError,
    verity::{Sealing, VERITY_BLOCK, VerityRoot},
};

/// Bytes that are read at once: whole blocks.
const PIECE: usize = 256 * VERITY_BLOCK;

/// A model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSource {
    /// Its name in the folder.
    pub name: String,
    /// Where it lies here.
    pub file: PathBuf,
    /// What it must be.
    pub sha256: Digest,
}

/// Writes the disk of these files; the same files give the same bytes.
///
/// # Errors
/// [`ImageError::OtherModel`]: a file is not what its digest says; [`ImageError::File`], [`ImageError::Path`],
/// [`ImageError::TooLarge`].
pub fn write_models(models: &[ModelSource], out: &mut impl Write) -> Result<VerityRoot, ImageError> {
    let mut lengths = BTreeMap::new();
    for ModelSource { name, file, .. } in models {
        let is_plain = !name.is_empty() && name.len() <= 255 && !name.contains('/') && name != "." && name != "..";
        let about = std::fs::metadata(file).map_err(ImageError::file(file))?;
        if !is_plain || lengths.insert(name.clone(), about.len()).is_some() {
            return Err(ImageError::Path(name.clone()));
        }
    }
    let mut disk = Sealing::new(out);
    disk.put(&erofs_head(&lengths)?)?;
    let by_name: BTreeMap<&str, &ModelSource> = models.iter().map(|model| (model.name.as_str(), model)).collect();
    for (name, model) in by_name {
        copied(model, lengths[name], &mut disk)?;
    }
    disk.finish()
}

/// Puts one file into the disk, its digest and length looked at on the way.
fn copied(model: &ModelSource, length: u64, disk: &mut Sealing<'_, impl Write>) -> Result<(), ImageError> {
    let ModelSource { file, sha256, .. } = model;
    let mut source = File::open(file).map_err(ImageError::file(file))?;
    let (mut hasher, mut read, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let count = filled(&mut source, &mut piece).map_err(ImageError::file(file))?;
        hasher.update(&piece[..count]);
        read += count as u64;
        disk.put(&piece[..count])?;
        if count < PIECE {
            break;
        }
    }
    let found = Digest(hasher.finalize().into());
    if found == *sha256 && read == length {
        Ok(())
    } else {
        Err(ImageError::OtherModel { file: file.clone(), found, wanted: *sha256 })
    }
}

/// Reads until the piece is full or the file at its end.
fn filled(source: &mut File, piece: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < piece.len() {
        match source.read(&mut piece[at..])? {
            0 => break,
            count => at += count,
        }
    }
    Ok(at)
}
