//! What apps have to do with registries: images that a build brings, bundles that are pushed or looked at there.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{BUNDLE_BYTES_MAX, Bundle, BundleError, Fault, IMAGES_FOLDER, open_bundle, read_compose};
use freehold_host::{Access, ImageName, Reference, Registry, SOURCE_SCHEME, pull_images};
use serde_json::json;

use crate::{args::AppPushArgs, output::Output};

/// Brings the images of an app's compose file into its folder `images`, each by its digest.
pub(super) async fn images(folder: &Path, output: Output) -> Result<()> {
    let compose = match read_compose(folder) {
        Ok(Some(compose)) => compose,
        Ok(None) => bail!("the app is one program and has no images: build it without --pull"),
        Err(BundleError::Manifest(error)) => {
            let Fault::Unpinned(image) = &error.fault else { return Err(error.into()) };
            let pinned = pinned_now(image).await;
            let pinned = pinned.with_context(|| format!("{error}; which one its tag has now could not be asked"))?;
            bail!("{error}; its tag leads there now, which you may check and write: image: {pinned}");
        }
        Err(error) => return Err(error.into()),
    };
    let place = folder.join(IMAGES_FOLDER);
    if place.exists() && !place.join("blobs/sha256").is_dir() {
        bail!(
            "{} holds archives, and images of a registry need an OCI layout: put the missing images there as archives, or move \
             the folder away",
            place.display()
        );
    }
    for image in compose.images() {
        output.step("image", &image.name);
    }
    pull_images(&compose, &place).await?;
    Ok(())
}

/// An image without a digest, with the one that its tag has now.
async fn pinned_now(image: &str) -> Result<String> {
    let name = ImageName::parse(image)?;
    let digest = Registry::open(&name, Access::Read)?.digest_of_tag(name.tag()).await?;
    Ok(name.pinned(&digest))
}

/// Brings a bundle from a registry into a folder.
pub(super) async fn brought(reference: &str, into: &Path) -> Result<Bundle> {
    let Reference { name, digest } = reference.parse()?;
    let registry = Registry::open(&name, Access::Read)?;
    let digest = match digest {
        Some(digest) => digest,
        None => registry.digest_of_tag(name.tag()).await?,
    };
    Ok(registry.pull_bundle(digest, into, BUNDLE_BYTES_MAX).await?)
}

/// Runs `app push`.
pub(super) async fn push(args: AppPushArgs, output: Output) -> Result<ExitCode> {
    let Reference { name, digest } = args.reference;
    if digest.is_some() {
        bail!("the digest is the bundle's own: name HOST/NAME or HOST/NAME:TAG");
    }
    let bundle = open_bundle(&args.bundle)?;
    let contents = bundle.contents()?;
    let bytes: u64 = contents.blobs.values().sum();
    output.step("push", &format!("{} blobs, {bytes} bytes, to {name}, as {}", contents.blobs.len(), name.tag()));
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let registry = Registry::open(&name, Access::Write)?;
    let pushed = registry.push_bundle(&bundle, &args.bundle, name.tag()).await?;
    let source = name.without_tag();
    output.object(&json!({
        "event": "pushed", "digest": bundle.digest(), "reference": source.pinned(&bundle.digest()), "tag": name.tag(),
        "source": format!("{SOURCE_SCHEME}{source}"), "blobs": pushed.blobs, "sent_blobs": pushed.sent.0,
        "sent_bytes": pushed.sent.1, "beside": pushed.beside,
    }));
    output.text(&format!(
        "pushed    {}\n  tag     {}\n  sent    {} of {} blobs, {} bytes\n  deploy  freehold app deploy --source \
         {SOURCE_SCHEME}{source}",
        source.pinned(&bundle.digest()),
        name.tag(),
        pushed.sent.0,
        pushed.blobs,
        pushed.sent.1,
    ));
    Ok(ExitCode::SUCCESS)
}
