//! Which libraries a program needs: what its ELF header names, and what these name in turn. An image holds the program, its
//! loader and these files, at the places where the loader looks.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{error::ImageError, tree::Tree};

/// Where the loader looks, in order, beside the folders of the program itself.
const FOLDERS: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Most libraries of one image.
const LIBRARIES_MAX: usize = 64;
/// Most segments and entries that are read of a file.
const PARTS_MAX: usize = 1024;
/// Kinds of segments: to be loaded, dynamic, loader.
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const LOADER: u32 = 3;
/// Tags of the dynamic segment: needed library, table of names.
const NEEDED: u64 = 1;
const NAMES: u64 = 5;

/// A program of this machine, and where it stands in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file here.
    pub file: PathBuf,
    /// Its path in the image, without a leading `/`.
    pub place: String,
}

/// Puts programs and the libraries that they need into a tree.
///
/// # Errors
/// [`ImageError::Program`], [`ImageError::Library`], [`ImageError::File`], [`ImageError::Path`].
pub fn with_libraries(tree: &mut Tree, programs: &[Program]) -> Result<(), ImageError> {
    let mut placed = BTreeSet::new();
    for program in programs {
        let data = std::fs::read(&program.file).map_err(ImageError::file(&program.file))?;
        let needs = needs(&data).ok_or_else(|| ImageError::Program(program.file.clone()))?;
        tree.file(&program.place, loaded(data), true)?;
        let mut wanted: Vec<String> = needs.libraries;
        if let Some(loader) = needs.loader
            && placed.insert(loader.clone())
        {
            put(tree, Path::new(&loader))?;
        }
        while let Some(name) = wanted.pop() {
            // The loader is named as a library too.
            if placed.iter().any(|place| Path::new(place).file_name() == Some(name.as_ref())) {
                continue;
            }
            let found = FOLDERS.iter().map(|folder| Path::new(folder).join(&name)).find(|path| path.is_file());
            let missing = || ImageError::Library { program: program.file.clone(), library: name.clone() };
            let found = found.filter(|_| placed.len() < LIBRARIES_MAX && !name.contains('/')).ok_or_else(missing)?;
            placed.insert(found.to_string_lossy().into_owned());
            let data = put(tree, &found)?;
            wanted.extend(self::needs(&data).ok_or_else(missing)?.libraries);
        }
    }
    Ok(())
}

/// A program without what no loader reads: symbols and debugging information behind its last segment, which would make most
/// of a development build. What is loaded stays, byte for byte.
pub(crate) fn loaded(mut file: Vec<u8>) -> Vec<u8> {
    let Some(end) = loaded_end(&file).filter(|end| *end < file.len()) else { return file };
    file.truncate(end);
    // No table of sections: its place, and the count of its entries with the index of their names.
    file[40..48].fill(0);
    file[60..64].fill(0);
    file
}

/// Where the last byte of a segment, or of their table, stands.
fn loaded_end(file: &[u8]) -> Option<usize> {
    let table = usize::try_from(number(file, 32, 8)?).ok()?;
    let count = number(file, 56, 2)? as usize;
    let mut end = table.checked_add(count * 56)?;
    for index in 0..count {
        let at = table.checked_add(index * 56)?;
        let last = number(file, at + 8, 8)?.checked_add(number(file, at + 32, 8)?)?;
        end = end.max(usize::try_from(last).ok()?);
    }
    Some(end)
}

/// A little-endian number of some bytes.
fn number(file: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let piece = file.get(at..at.checked_add(bytes)?)?;
    Some(piece.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
}

/// Puts a file of this machine at the same place.
fn put(tree: &mut Tree, path: &Path) -> Result<Vec<u8>, ImageError> {
    let data = std::fs::read(path).map_err(ImageError::file(path))?;
    tree.file(path.to_string_lossy().trim_start_matches('/'), data.clone(), true)?;
    Ok(data)
}

/// What a program or library names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    loader: Option<String>,
    libraries: Vec<String>,
}

/// Reads what an ELF file for x86-64 needs; `None` where it is none.
pub(crate) fn needs(file: &[u8]) -> Option<Needs> {
    let number = |at: usize, bytes: usize| number(file, at, bytes);
    if file.get(..6)? != b"\x7fELF\x02\x01" || number(18, 2)? != 62 {
        return None;
    }
    let (table, count) = (usize::try_from(number(32, 8)?).ok()?, number(56, 2)? as usize);
    let segments: Vec<[u64; 4]> = (0..count.min(PARTS_MAX))
        .map(|index| table.checked_add(index * 56))
        .map(|at| Some([number(at?, 4)?, number(at? + 8, 8)?, number(at? + 16, 8)?, number(at? + 32, 8)?]))
        .collect::<Option<_>>()?;
    let text = |at: usize| {
        let rest = file.get(at..)?;
        let name = &rest[..rest.iter().take(4096).position(|byte| *byte == 0)?];
        String::from_utf8(name.to_vec()).ok()
    };
    let mut needs = Needs::default();
    for [kind, offset, ..] in &segments {
        if *kind == u64::from(LOADER) {
            needs.loader = Some(text(usize::try_from(*offset).ok()?)?);
        }
    }
    let Some([_, offset, _, length]) = segments.iter().find(|[kind, ..]| *kind == u64::from(DYNAMIC)) else {
        return Some(needs);
    };
    let start = usize::try_from(*offset).ok()?;
    let entries: Vec<(u64, u64)> = (0..(*length as usize / 16).min(PARTS_MAX))
        .map(|index| start.checked_add(index * 16))
        .map(|at| Some((number(at?, 8)?, number(at? + 8, 8)?)))
        .collect::<Option<_>>()?;
    let names = entries.iter().find(|(tag, _)| *tag == NAMES)?.1;
    // The table stands where its address is loaded from.
    let [_, offset, address, _] = segments.iter().find(|[kind, _, address, length]| {
        *kind == u64::from(LOAD) && (*address..address.saturating_add(*length)).contains(&names)
    })?;
    let names = usize::try_from(names - address + offset).ok()?;
    for (_, at) in entries.iter().filter(|(tag, _)| *tag == NEEDED) {
        needs.libraries.push(text(names.checked_add(usize::try_from(*at).ok()?)?)?);
    }
    Some(needs)
}
