//! Reading a bundle that somebody else made: every length is bounded before it is read, every digest checked, no link
//! followed, and no path leaves the folder.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use freehold_primitives::Digest;
use rustix::fs::OFlags;

use super::{
    BUNDLE_BYTES_MAX, Bundle, BundledFile, FILES_MAX,
    document::{
        APP_TYPE, COMPOSE_TYPE, Descriptor, EXECUTABLE_TYPE, FILE_TYPE, INDEX_BYTES_MAX, INDEX_FILE, Index,
        MANIFEST_TYPE, MARK, MARK_FILE, OCI_MANIFEST_BYTES_MAX, OciManifest, SIGNATURE_TYPE, TITLE, parse,
    },
    error::BundleError,
    image,
    signature::{self, BundleSignature, SIGNATURE_BYTES_MAX},
    write::check_program,
};
use crate::{
    compose::{COMPOSE_BYTES_MAX, Compose},
    digests,
    manifest::{Kind, MANIFEST_BYTES_MAX, Manifest},
};

/// Most manifests of a layout: the bundle, its bill of materials and signatures.
pub(super) const ARTIFACTS_MAX: usize = 32;

/// Opens a bundle and checks all of it.
///
/// # Errors
/// Any [`BundleError`].
pub fn open_bundle(folder: &Path) -> Result<Bundle, BundleError> {
    let index = index(folder)?;
    let mut bundles = index.manifests.iter().filter(|entry| entry.artifact_type.as_deref() == Some(APP_TYPE));
    let (Some(entry), None) = (bundles.next(), bundles.next()) else {
        return Err(wrong(INDEX_FILE, "it names not exactly one bundle"));
    };
    let digest = entry.sha256(INDEX_FILE)?;
    let artifact = artifact(folder, entry)?;
    if artifact.layers.len() > FILES_MAX + 2 {
        return Err(BundleError::TooManyFiles(FILES_MAX));
    }
    let mut parts = Parts::default();
    for layer in &artifact.layers {
        parts.take(folder, layer)?;
    }
    let Parts { manifest, compose, files, .. } = parts;
    let manifest = manifest.ok_or_else(|| wrong("the manifest", "it has no rofl.yaml"))?;
    match (manifest.kind, &compose) {
        (Kind::Container, Some(_)) if files.is_empty() => {}
        (Kind::Process, None) => {}
        _ => return Err(wrong("the manifest", "its parts do not fit the kind of the app")),
    }
    if let Some(process) = &manifest.additions.process {
        check_program(process, &files)?;
    }
    let signatures = signatures(folder, &index, &digest)?;
    let images = compose.as_ref().map_or(Ok(Vec::new()), |compose| image::images(folder, compose))?;
    Ok(Bundle { folder: folder.to_owned(), digest, manifest, compose, files, images, signatures })
}

impl Bundle {
    /// Writes the app's files below a folder that does not exist yet, once more checked on the way.
    ///
    /// # Errors
    /// [`BundleError::System`], [`BundleError::Digest`], [`BundleError::Size`].
    pub fn unpack(&self, into: &Path) -> Result<(), BundleError> {
        fs::create_dir(into).map_err(BundleError::system(into))?;
        for file in &self.files {
            let path = into.join(&file.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(BundleError::system(parent))?;
            }
            let options = OpenOptions::new().write(true).create_new(true).to_owned();
            let mut out = options.open(&path).map_err(BundleError::system(&path))?;
            let descriptor = Descriptor::new(FILE_TYPE, &file.digest, file.bytes);
            checked(&self.folder, &descriptor, BUNDLE_BYTES_MAX, |piece| out.write_all(piece))?;
            let mode = if file.is_executable { 0o555 } else { 0o444 };
            out.set_permissions(fs::Permissions::from_mode(mode)).map_err(BundleError::system(&path))?;
        }
        Ok(())
    }
}

/// What the layers of a bundle are.
#[derive(Default)]
struct Parts {
    manifest: Option<Manifest>,
    compose: Option<Compose>,
    files: Vec<BundledFile>,
    paths: BTreeSet<String>,
    bytes: u64,
}

impl Parts {
    fn take(&mut self, folder: &Path, layer: &Descriptor) -> Result<(), BundleError> {
        match layer.media_type.as_str() {
            MANIFEST_TYPE if self.manifest.is_none() => {
                self.manifest = Some(Manifest::parse(&blob(folder, layer, MANIFEST_BYTES_MAX)?)?);
            }
            COMPOSE_TYPE if self.compose.is_none() => {
                self.compose = Some(Compose::parse(&blob(folder, layer, COMPOSE_BYTES_MAX)?)?);
            }
            FILE_TYPE | EXECUTABLE_TYPE => self.take_file(folder, layer)?,
            _ => return Err(wrong("the manifest", "it has a layer of an unknown type, or one twice")),
        }
        Ok(())
    }

    fn take_file(&mut self, folder: &Path, layer: &Descriptor) -> Result<(), BundleError> {
        let path = layer.annotations.get(TITLE).cloned().unwrap_or_default();
        if !crate::paths::is_plain_relative(&path) {
            return Err(BundleError::Path(path));
        }
        // By the order of their paths each file stands once, and a folder's files follow a file of its name.
        let is_below = |file: &BundledFile| path.strip_prefix(&file.path).is_some_and(|rest| rest.starts_with('/'));
        let ascends = self.files.last().is_none_or(|last| last.path < path);
        if !ascends || self.files.iter().any(is_below) || !self.paths.insert(path.clone()) {
            return Err(BundleError::Clash(path));
        }
        self.bytes = self.bytes.saturating_add(layer.size);
        if self.bytes > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge { what: path, bytes: self.bytes, bound: BUNDLE_BYTES_MAX });
        }
        let digest = layer.sha256("the manifest")?;
        checked(folder, layer, BUNDLE_BYTES_MAX, |_| Ok(()))?;
        let is_executable = layer.media_type == EXECUTABLE_TYPE;
        self.files.push(BundledFile { path, digest, bytes: layer.size, is_executable });
        Ok(())
    }
}

/// Reads mark and index of a layout.
pub(super) fn index(folder: &Path) -> Result<Index, BundleError> {
    let mark = read_bounded(&folder.join(MARK_FILE), INDEX_BYTES_MAX)?;
    if mark != MARK.as_bytes() {
        return Err(wrong(MARK_FILE, "it is not of layout version 1.0.0"));
    }
    let index: Index = parse(INDEX_FILE, &read_bounded(&folder.join(INDEX_FILE), INDEX_BYTES_MAX)?)?;
    if index.manifests.len() > ARTIFACTS_MAX {
        return Err(wrong(INDEX_FILE, "it names more than 32 manifests"));
    }
    Ok(index)
}

pub(super) fn artifact(folder: &Path, entry: &Descriptor) -> Result<OciManifest, BundleError> {
    let artifact: OciManifest = parse("the manifest", &blob(folder, entry, OCI_MANIFEST_BYTES_MAX)?)?;
    let expected = OciManifest::new(&artifact.artifact_type, Vec::new());
    if (artifact.schema_version, &artifact.media_type, &artifact.config)
        != (expected.schema_version, &expected.media_type, &expected.config)
        || entry.artifact_type.as_ref() != Some(&artifact.artifact_type)
    {
        return Err(wrong("the manifest", "it is no artifact of OCI 1.1 with an empty config, or of another type"));
    }
    Ok(artifact)
}

fn signatures(folder: &Path, index: &Index, bundle: &Digest) -> Result<Vec<BundleSignature>, BundleError> {
    let mut found = Vec::new();
    for entry in index.manifests.iter().filter(|entry| entry.artifact_type.as_deref() == Some(SIGNATURE_TYPE)) {
        let artifact = artifact(folder, entry)?;
        let subject = artifact.subject.as_ref().map(|subject| subject.sha256("a signature")).transpose()?;
        let [layer] = artifact.layers.as_slice() else {
            return Err(wrong("a signature", "it has not exactly one layer"));
        };
        if subject != Some(*bundle) || layer.media_type != SIGNATURE_TYPE {
            return Err(BundleError::Signature("it speaks of another bundle"));
        }
        found.push(signature::check(bundle, &blob(folder, layer, SIGNATURE_BYTES_MAX)?)?);
    }
    Ok(found)
}

/// Where a blob stands.
pub(super) fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.to_string())
}

/// A blob of a bounded length.
pub(super) fn blob(folder: &Path, descriptor: &Descriptor, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    checked(folder, descriptor, bytes_max, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// Reads a blob to its end and holds it to its descriptor.
pub(super) fn checked(
    folder: &Path,
    descriptor: &Descriptor,
    bytes_max: u64,
    to: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), BundleError> {
    let expected = descriptor.sha256("the manifest")?;
    if descriptor.size > bytes_max {
        let what = format!("blob {expected}");
        return Err(BundleError::TooLarge { what, bytes: descriptor.size, bound: bytes_max });
    }
    let path = blob_path(folder, &expected);
    let mut file = open_plain(&path)?;
    let (found, bytes) = digests::copy(&mut file, descriptor.size, to).map_err(BundleError::system(&path))?;
    if bytes != descriptor.size {
        return Err(BundleError::Size { digest: expected, expected: descriptor.size, found: bytes });
    }
    if found == expected { Ok(()) } else { Err(BundleError::Digest { expected, found }) }
}

/// Opens a plain file; no link, no pipe that would hang, no device.
pub(super) fn open_plain(path: &Path) -> Result<File, BundleError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let linked = |error: std::io::Error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => BundleError::NotPlain(path.to_owned()),
        _ => BundleError::System { path: path.to_owned(), source: error },
    };
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(linked)?;
    let plain = file.metadata().map_err(BundleError::system(path))?.is_file();
    if plain { Ok(file) } else { Err(BundleError::NotPlain(path.to_owned())) }
}

/// Reads a plain file of a bounded length.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let mut file = open_plain(path)?.take(bytes_max + 1);
    file.read_to_end(&mut bytes).map_err(BundleError::system(path))?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > bytes_max {
        return Err(BundleError::TooLarge { what: path.display().to_string(), bytes: length, bound: bytes_max });
    }
    Ok(bytes)
}

fn wrong(document: &'static str, fault: &str) -> BundleError {
    BundleError::Document { document, fault: fault.to_owned() }
}
