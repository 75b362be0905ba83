//! Container images inside a bundle (OCI image specification 1.1): found by digest, every document and layer bounded and
//! checked, and copied blob by blob.
//!
//! The compose file names them by digest, so the bundle's identity covers them. Others wrote these documents: members
//! that are not read here are allowed, as the digest is over the bytes. Not here: registries, unpacking of layers
//! (`unpack`), archives of images (`stage`).

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use freehold_primitives::Digest;
use serde::Deserialize;

use super::{
    BUNDLE_BYTES_MAX,
    document::{Descriptor, INDEX_TYPE, MARK_FILE, OCI_MANIFEST_BYTES_MAX, OCI_MANIFEST_TYPE, parse},
    error::BundleError,
    pull::{BlobKind, Needed},
    read::{blob, blob_path, checked, read_bounded},
    stage::stage,
};
use crate::{compose::Compose, digests};

/// The folder beside the manifest with the images: an OCI image layout, or archives and folders of such or of `docker save`.
pub const IMAGES_FOLDER: &str = "images";
/// Most layers of an image.
pub const IMAGE_LAYERS_MAX: usize = 128;

/// Largest config of an image, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// A layer that is a tar archive.
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker's names of an index and a manifest of the same shape.
const DOCKER_INDEX_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerPacking {
    /// A tar archive.
    Tar,
    /// A tar archive under gzip.
    Gzip,
    /// A tar archive under zstd.
    Zstd,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// SHA-256 of its blob.
    pub digest: Digest,
    /// Length of its blob.
    pub bytes: u64,
    /// How it is packed.
    pub packing: LayerPacking,
    /// SHA-256 of the tar archive in it, as the config claims; whoever unpacks it checks it.
    pub unpacked: Digest,
}

/// What an image says of the program in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageProgram {
    /// Variables, `NAME=value`.
    pub env: Option<Vec<String>>,
    /// First words of the command.
    pub entrypoint: Option<Vec<String>>,
    /// Further words, or the whole command.
    pub cmd: Option<Vec<String>>,
    /// User and group, by name or number.
    pub user: Option<String>,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// How its health is checked; Docker's addition.
    pub healthcheck: Option<ImageHealth>,
}

/// An image's own health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageHealth {
    /// `NONE`, or `CMD` with a program, or `CMD-SHELL` with a line.
    pub test: Option<Vec<String>>,
    /// Pause between two runs, ns.
    pub interval: Option<u64>,
    /// Longest run, ns.
    pub timeout: Option<u64>,
    /// How long failures do not count after the start, ns.
    pub start_period: Option<u64>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u64>,
}

/// An image whose every digest was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest by which the compose file names it: of its index, its manifest or its config.
    pub digest: Digest,
    /// What it says of its program.
    pub program: ImageProgram,
    /// Its layers, the lowest first.
    pub layers: Vec<ImageLayer>,
    /// Its documents: index if there is one, manifest, config, with their lengths.
    documents: Vec<(Digest, u64)>,
}

impl Image {
    /// Digest and length of every blob of it.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        let layers = self.layers.iter().map(|layer| (layer.digest, layer.bytes));
        self.documents.iter().copied().chain(layers)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestOrIndex {
    media_type: Option<String>,
    config: Option<Named>,
    layers: Option<Vec<Named>>,
    manifests: Option<Vec<Named>>,
}

/// What only a config has.
#[derive(Deserialize)]
struct OfConfig {
    rootfs: Option<Rootfs>,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    config: Option<ImageProgram>,
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Vec<String>,
}

/// The images of a compose file in a layout, each once, by digest; none if the layout holds none of them.
pub(super) fn images(layout: &Path, compose: &Compose) -> Result<Vec<Image>, BundleError> {
    let named: BTreeSet<Digest> = compose.services.values().map(|service| service.image.digest).collect();
    let is_there = |digest: &Digest| fs::symlink_metadata(blob_path(layout, digest)).is_ok();
    if !named.iter().any(is_there) {
        return Ok(Vec::new());
    }
    let mut left = BUNDLE_BYTES_MAX;
    let mut found = Vec::new();
    for digest in named {
        if !is_there(&digest) {
            return Err(BundleError::ImageMissing(digest));
        }
        found.push(image(layout, digest, &mut left)?);
    }
    Ok(found)
}

/// Copies the images that a compose file names out of a layout or folder of images, if it is there, into a bundle's layout.
pub(super) fn copy_images(given: &Path, compose: &Compose, into: &Path) -> Result<Vec<Image>, BundleError> {
    if fs::symlink_metadata(given).is_err() {
        return Ok(Vec::new());
    }
    // An OCI layout is read where it stands; whatever else is there is sorted by digest first.
    let staged = tempfile::tempdir_in(into).map_err(BundleError::system(into))?;
    let is_layout = given.join(MARK_FILE).is_file() || given.join("blobs/sha256").is_dir();
    let from = if is_layout { given.to_owned() } else { stage(given, staged.path())? };
    let found = images(&from, compose)?;
    if let (true, Some(service)) = (found.is_empty(), compose.services.values().next()) {
        return Err(BundleError::ImageMissing(service.image.digest));
    }
    for image in &found {
        for (digest, bytes) in image.blobs() {
            let path = blob_path(into, &digest);
            let mut out = File::create(&path).map_err(BundleError::system(&path))?;
            let descriptor = Descriptor::new("", &digest, bytes);
            checked(&from, &descriptor, BUNDLE_BYTES_MAX, |piece| out.write_all(piece))?;
            out.set_permissions(fs::Permissions::from_mode(0o644)).map_err(BundleError::system(&path))?;
        }
    }
    Ok(found)
}

/// Every blob that images need, as far as the layout tells by now, with the most bytes of each.
pub(super) fn needed(layout: &Path, images: Vec<Digest>, needed: &mut Needed) -> Result<(), BundleError> {
    let mut waiting = images;
    while let Some(digest) = waiting.pop() {
        needed.insert(digest, (OCI_MANIFEST_BYTES_MAX, BlobKind::Document));
        let path = blob_path(layout, &digest);
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        let bytes = read_bounded(&path, OCI_MANIFEST_BYTES_MAX)?;
        let mut need = |named: &Named, bound: u64, kind: BlobKind| {
            let descriptor = descriptor(named)?;
            let digest = descriptor.sha256("an image")?;
            needed.insert(digest, (descriptor.size.min(bound), kind));
            Ok::<Digest, BundleError>(digest)
        };
        if let Some(rootfs) = parse::<OfConfig>("an image", &bytes)?.rootfs {
            few(rootfs.diff_ids.len())?;
            for digest in rootfs.diff_ids {
                let layer = Named { media_type: None, digest, size: BUNDLE_BYTES_MAX, platform: None };
                need(&layer, BUNDLE_BYTES_MAX, BlobKind::Content)?;
            }
            continue;
        }
        let document: ManifestOrIndex = parse("an image", &bytes)?;
        let fits = |entry: &&Named| entry.platform.as_ref().is_some_and(is_ours);
        if let Some(entry) = document.manifests.iter().flatten().find(fits) {
            // An index leads to manifests alone, so that this ends.
            waiting.push(need(entry, OCI_MANIFEST_BYTES_MAX, BlobKind::Document)?);
        }
        if let Some(config) = &document.config {
            need(config, CONFIG_BYTES_MAX, BlobKind::Content)?;
        }
        few(document.layers.as_ref().map_or(0, Vec::len))?;
        for layer in document.layers.iter().flatten() {
            need(layer, BUNDLE_BYTES_MAX, BlobKind::Content)?;
        }
    }
    Ok(())
}

fn few(layers: usize) -> Result<(), BundleError> {
    if layers > IMAGE_LAYERS_MAX { Err(BundleError::Image("it has more than 128 layers")) } else { Ok(()) }
}

fn image(layout: &Path, digest: Digest, left: &mut u64) -> Result<Image, BundleError> {
    let bytes = read_bounded(&blob_path(layout, &digest), OCI_MANIFEST_BYTES_MAX)?;
    let found = digests::of(&bytes);
    if found != digest {
        return Err(BundleError::Digest { expected: digest, found });
    }
    if let Some(rootfs) = parse::<OfConfig>("an image", &bytes)?.rootfs {
        return by_config(layout, digest, &bytes, &rootfs.diff_ids, left);
    }
    let mut documents = vec![(digest, u64::try_from(bytes.len()).unwrap_or(u64::MAX))];
    let mut manifest: ManifestOrIndex = parse("an image", &bytes)?;
    if let Some(entries) = manifest.manifests.take() {
        expect_type(manifest.media_type.as_deref(), &[INDEX_TYPE, DOCKER_INDEX_TYPE])?;
        let fits = |entry: &&Named| entry.platform.as_ref().is_some_and(is_ours);
        let entry = entries.iter().find(fits).ok_or(BundleError::Image("it has none for linux on amd64"))?;
        let descriptor = descriptor(entry)?;
        documents.push((descriptor.sha256("an image")?, descriptor.size));
        manifest = parse("an image", &blob(layout, &descriptor, OCI_MANIFEST_BYTES_MAX)?)?;
    }
    expect_type(manifest.media_type.as_deref(), &[OCI_MANIFEST_TYPE, DOCKER_MANIFEST_TYPE])?;
    let (Some(config), Some(named)) = (manifest.config, manifest.layers) else {
        return Err(BundleError::Image("its manifest names no config or no layers"));
    };
    let descriptor = descriptor(&config)?;
    documents.push((descriptor.sha256("an image")?, descriptor.size));
    let config = config_of(&blob(layout, &descriptor, CONFIG_BYTES_MAX)?)?;
    let layers = layers(layout, &named, &config.rootfs.diff_ids, left)?;
    Ok(Image { digest, program: config.config.unwrap_or_default(), layers, documents })
}

/// An image that is named by its config, as `docker save` keeps it: its layers are the archives that the config names.
fn by_config(
    layout: &Path,
    digest: Digest,
    bytes: &[u8],
    unpacked: &[String],
    left: &mut u64,
) -> Result<Image, BundleError> {
    let named = |digest: &String| {
        let descriptor = Descriptor { digest: digest.clone(), ..Descriptor::new("", &Digest::default(), 0) };
        let path = blob_path(layout, &descriptor.sha256("an image's config")?);
        let about = fs::symlink_metadata(&path)
            .map_err(|_| BundleError::Image("a layer that its config names is not beside it"))?;
        Ok(Named { media_type: Some(LAYER_TYPE.to_owned()), digest: digest.clone(), size: about.len(), platform: None })
    };
    if unpacked.len() > IMAGE_LAYERS_MAX {
        return Err(BundleError::Image("it has more than 128 layers, or its config names another number"));
    }
    let named = unpacked.iter().map(named).collect::<Result<Vec<_>, BundleError>>()?;
    let config = config_of(bytes)?;
    let layers = layers(layout, &named, unpacked, left)?;
    let documents = vec![(digest, u64::try_from(bytes.len()).unwrap_or(u64::MAX))];
    Ok(Image { digest, program: config.config.unwrap_or_default(), layers, documents })
}

fn config_of(bytes: &[u8]) -> Result<Config, BundleError> {
    let config: Config = parse("an image's config", bytes)?;
    let platform = Platform { architecture: config.architecture.clone(), os: config.os.clone() };
    if is_ours(&platform) { Ok(config) } else { Err(BundleError::Image("it is not for linux on amd64")) }
}

fn layers(layout: &Path, named: &[Named], unpacked: &[String], left: &mut u64) -> Result<Vec<ImageLayer>, BundleError> {
    if named.len() != unpacked.len() || named.len() > IMAGE_LAYERS_MAX {
        return Err(BundleError::Image("it has more than 128 layers, or its config names another number"));
    }
    let mut layers = Vec::new();
    for (entry, unpacked) in named.iter().zip(unpacked) {
        let packing = packing(entry.media_type.as_deref())?;
        let descriptor = descriptor(entry)?;
        checked(layout, &descriptor, *left, |_| Ok(()))?;
        *left -= descriptor.size;
        let unpacked = Descriptor { digest: unpacked.clone(), ..Descriptor::new("", &Digest::default(), 0) };
        layers.push(ImageLayer {
            digest: descriptor.sha256("an image")?,
            bytes: descriptor.size,
            packing,
            unpacked: unpacked.sha256("an image's config")?,
        });
    }
    Ok(layers)
}

fn packing(media_type: Option<&str>) -> Result<LayerPacking, BundleError> {
    match media_type {
        Some(LAYER_TYPE) => Ok(LayerPacking::Tar),
        Some("application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip") => {
            Ok(LayerPacking::Gzip)
        }
        Some("application/vnd.oci.image.layer.v1.tar+zstd") => Ok(LayerPacking::Zstd),
        _ => Err(BundleError::Image("a layer is neither tar nor tar under gzip or zstd")),
    }
}

fn descriptor(named: &Named) -> Result<Descriptor, BundleError> {
    let descriptor = Descriptor { digest: named.digest.clone(), ..Descriptor::new("", &Digest::default(), named.size) };
    descriptor.sha256("an image").map(|_| descriptor)
}

fn expect_type(found: Option<&str>, known: &[&str]) -> Result<(), BundleError> {
    // OCI lets a document leave its type out; one that is there must be right.
    if found.is_none_or(|found| known.contains(&found)) {
        Ok(())
    } else {
        Err(BundleError::Image("a document has the type of another"))
    }
}

fn is_ours(platform: &Platform) -> bool {
    (platform.os.as_str(), platform.architecture.as_str()) == ("linux", "amd64")
}
