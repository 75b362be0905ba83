//! Who PID 1 and agent are, whatever app an image is of: two machines whose programs have the same digest make the same images.

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

use crate::{
    cpio::cpio,
    elf::{Program, with_libraries},
    error::ImageError,
    tree::Tree,
};

/// SHA-256 of an archive of programs with their libraries, as they stand in an initramfs (`spec/vm-image.md` §1).
///
/// # Errors
/// Those of [`with_libraries`] and [`cpio`].
pub fn programs_digest(programs: &[Program]) -> Result<Digest, ImageError> {
    let mut tree = Tree::new();
    with_libraries(&mut tree, programs)?;
    Ok(Digest(Sha256::digest(cpio(&tree)?).into()))
}
