//! Building a bundle: reading the app's folder, writing an OCI image layout.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use freehold_crypto::AccountKey;
use freehold_primitives::Digest;

use super::{
    BUNDLE_BYTES_MAX, Bundle, BundledFile, FILES_MAX,
    document::{
        APP_TYPE, COMPOSE_TYPE, Descriptor, EMPTY, EXECUTABLE_TYPE, FILE_TYPE, INDEX_FILE, INDEX_TYPE, Index,
        MANIFEST_TYPE, MARK, MARK_FILE, OCI_MANIFEST_TYPE, OciManifest, SBOM_TYPE, SIGNATURE_TYPE, TITLE, VERSION,
        text,
    },
    error::BundleError,
    image::{IMAGES_FOLDER, copy_images},
    read::{blob_path, open_bundle, read_bounded},
    sbom::{self, Materials},
    signature,
};
use crate::{
    compose::{COMPOSE_BYTES_MAX, Compose},
    digests,
    manifest::{Kind, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, ProcessSpec},
};

/// Builds the app of a folder into a bundle at `output`, in place of a bundle that stands there.
///
/// # Errors
/// Any [`BundleError`]; nothing is left at `output` then but what was there.
pub fn build_bundle(folder: &Path, output: &Path) -> Result<Bundle, BundleError> {
    if output.exists() && !output.join(MARK_FILE).is_file() {
        return Err(BundleError::Occupied(output.to_owned()));
    }
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(BundleError::system(parent))?;
    let fresh = tempfile::Builder::new().prefix(".bundle-").tempdir_in(parent).map_err(BundleError::system(parent))?;
    fs::create_dir_all(fresh.path().join("blobs/sha256")).map_err(BundleError::system(fresh.path()))?;
    let path = folder.join(MANIFEST_FILE);
    let manifest_bytes = read_bounded(&path, MANIFEST_BYTES_MAX)?;
    let manifest = Manifest::parse(&manifest_bytes)?;
    let mut layers = vec![titled(put(fresh.path(), MANIFEST_TYPE, &manifest_bytes)?, MANIFEST_FILE)];
    let (mut compose, mut images) = (None, Vec::new());
    let mut files = Vec::new();
    if let (Kind::Container, Some(path)) = (manifest.kind, &manifest.compose) {
        let bytes = read_bounded(&folder.join(path), COMPOSE_BYTES_MAX)?;
        let read = Compose::parse(&bytes)?;
        images = copy_images(&folder.join(IMAGES_FOLDER), &read, fresh.path())?;
        compose = Some(read);
        layers.push(titled(put(fresh.path(), COMPOSE_TYPE, &bytes)?, path));
    }
    if let Some(process) = &manifest.additions.process {
        files = collect(&folder.join(&process.files), fresh.path())?;
        check_program(process, &files)?;
        layers.extend(files.iter().map(layer));
    }
    let mut artifact = OciManifest::new(APP_TYPE, layers);
    artifact.annotations.insert(TITLE.to_owned(), manifest.name.clone());
    artifact.annotations.insert(VERSION.to_owned(), manifest.version.clone());
    let subject = put_artifact(fresh.path(), &artifact)?;
    let digest = subject.sha256("a manifest")?;
    let bill = sbom::text(&Materials {
        digest: &digest,
        manifest: &manifest,
        compose: compose.as_ref(),
        files: &files,
        images: &images,
        layout: fresh.path(),
    })?;
    let bill = put(fresh.path(), SBOM_TYPE, bill.as_bytes())?;
    let bill = put_artifact(
        fresh.path(),
        &OciManifest { subject: Some(plain(&subject)), ..OciManifest::new(SBOM_TYPE, vec![bill]) },
    )?;
    write_index(fresh.path(), vec![subject, bill])?;
    put_file(&fresh.path().join(MARK_FILE), MARK.as_bytes())?;
    fs::set_permissions(fresh.path(), fs::Permissions::from_mode(0o755)).map_err(BundleError::system(fresh.path()))?;
    replace(&fresh.keep(), output)?;
    open_bundle(output)
}

/// Reads the compose file of an app's folder; `None` for an app of one program.
///
/// # Errors
/// [`BundleError::Manifest`], [`BundleError::System`], [`BundleError::NotPlain`], [`BundleError::TooLarge`].
pub fn read_compose(folder: &Path) -> Result<Option<Compose>, BundleError> {
    let manifest = Manifest::parse(&read_bounded(&folder.join(MANIFEST_FILE), MANIFEST_BYTES_MAX)?)?;
    match (manifest.kind, &manifest.compose) {
        (Kind::Container, Some(path)) => {
            Ok(Some(Compose::parse(&read_bounded(&folder.join(path), COMPOSE_BYTES_MAX)?)?))
        }
        _ => Ok(None),
    }
}

/// Signs a bundle by an account and puts the signature beside it.
///
/// # Errors
/// Any [`BundleError`].
pub fn add_signature(folder: &Path, key: &AccountKey) -> Result<Bundle, BundleError> {
    let bundle = open_bundle(folder)?;
    if bundle.signatures.iter().any(|signature| signature.account == key.account()) {
        return Ok(bundle);
    }
    let mut index = super::read::index(folder)?;
    let subject = index.manifests.iter().find(|entry| entry.artifact_type.as_deref() == Some(APP_TYPE)).map(plain);
    let layer = put(folder, SIGNATURE_TYPE, signature::sign(&bundle.digest, key)?.as_bytes())?;
    index
        .manifests
        .push(put_artifact(folder, &OciManifest { subject, ..OciManifest::new(SIGNATURE_TYPE, vec![layer]) })?);
    write_index(folder, index.manifests)?;
    open_bundle(folder)
}

/// Every plain file below a folder, by path, each put among the blobs.
fn collect(root: &Path, layout: &Path) -> Result<Vec<BundledFile>, BundleError> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        for entry in fs::read_dir(&here).map_err(BundleError::system(&here))? {
            let entry = entry.map_err(BundleError::system(&here))?;
            let below = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(BundleError::system(entry.path()))?;
            if kind.is_dir() {
                folders.push(below);
            } else if kind.is_file() {
                let path = below.to_str().filter(|path| crate::paths::is_plain_relative(path));
                found.insert(path.ok_or_else(|| BundleError::Path(below.display().to_string()))?.to_owned());
            } else {
                return Err(BundleError::NotPlain(entry.path()));
            }
            if found.len() > FILES_MAX || folders.len() > FILES_MAX {
                return Err(BundleError::TooManyFiles(FILES_MAX));
            }
        }
    }
    let mut left = BUNDLE_BYTES_MAX;
    let mut files = Vec::new();
    for path in found {
        let file = put_app_file(&root.join(&path), path, layout, left)?;
        left -= file.bytes;
        files.push(file);
    }
    Ok(files)
}

fn put_app_file(from: &Path, path: String, layout: &Path, bytes_max: u64) -> Result<BundledFile, BundleError> {
    let failed = |source| BundleError::System { path: from.to_owned(), source };
    let mut source = super::read::open_plain(from)?;
    let is_executable = source.metadata().map_err(failed)?.permissions().mode() & 0o111 != 0;
    let mut fresh = tempfile::NamedTempFile::new_in(layout).map_err(BundleError::system(layout))?;
    let (digest, bytes) = digests::copy(&mut source, bytes_max, |piece| fresh.write_all(piece)).map_err(failed)?;
    if bytes > bytes_max {
        return Err(BundleError::TooLarge { what: path, bytes, bound: BUNDLE_BYTES_MAX });
    }
    fresh.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    let blob = blob_path(layout, &digest);
    fresh.persist(&blob).map_err(|error| BundleError::System { path: blob, source: error.error })?;
    Ok(BundledFile { path, digest, bytes, is_executable })
}

/// A program that is named with a path stands among the files and can be run.
pub(super) fn check_program(process: &ProcessSpec, files: &[BundledFile]) -> Result<(), BundleError> {
    let Some(program) = process.command.first().filter(|program| program.contains('/')) else { return Ok(()) };
    let path = program.strip_prefix("./").unwrap_or(program);
    match files.iter().find(|file| file.path == path) {
        Some(file) if file.is_executable => Ok(()),
        _ => Err(BundleError::Program(program.clone())),
    }
}

fn layer(file: &BundledFile) -> Descriptor {
    let kind = if file.is_executable { EXECUTABLE_TYPE } else { FILE_TYPE };
    titled(Descriptor::new(kind, &file.digest, file.bytes), &file.path)
}

fn titled(mut descriptor: Descriptor, title: &str) -> Descriptor {
    descriptor.annotations.insert(TITLE.to_owned(), title.to_owned());
    descriptor
}

/// A descriptor without what only the index says.
fn plain(descriptor: &Descriptor) -> Descriptor {
    Descriptor { artifact_type: None, annotations: std::collections::BTreeMap::new(), ..descriptor.clone() }
}

fn put(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Descriptor, BundleError> {
    let digest: Digest = digests::of(bytes);
    put_file(&blob_path(layout, &digest), bytes)?;
    Ok(Descriptor::new(media_type, &digest, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}

fn put_artifact(layout: &Path, manifest: &OciManifest) -> Result<Descriptor, BundleError> {
    put(layout, super::document::EMPTY_TYPE, EMPTY)?;
    let mut descriptor = put(layout, OCI_MANIFEST_TYPE, text(manifest)?.as_bytes())?;
    descriptor.artifact_type = Some(manifest.artifact_type.clone());
    Ok(descriptor)
}

pub(super) fn write_index(layout: &Path, manifests: Vec<Descriptor>) -> Result<(), BundleError> {
    let index = Index { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests };
    put_file(&layout.join(INDEX_FILE), text(&index)?.as_bytes())
}

pub(super) fn put_file(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    let fresh = path.with_extension("new");
    let put = || {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    put().map_err(BundleError::system(path))
}

fn replace(fresh: &Path, output: &Path) -> Result<(), BundleError> {
    if output.exists() {
        fs::remove_dir_all(output).map_err(BundleError::system(output))?;
    }
    fs::rename(fresh, output).map_err(BundleError::system(output))
}
