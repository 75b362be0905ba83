//! `app build` and `app show`: a bundle, its identity, and the measurements that follow from it.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{Bundle, Image, Kind, add_signature, build_bundle, open_bundle};
use freehold_crypto::AccountKey;
use freehold_host::{KubernetesOptions, SOURCE_SCHEME, kubernetes_manifests, measure_bundle, measure_image};
use freehold_image::VmShape;
use freehold_primitives::{Digest, Measurement};
use serde_json::{Value, json};

use super::registry;
use crate::{
    args::{AppBuildArgs, AppManifestArgs, AppShowArgs, ImagePartArgs},
    commands::image,
    output::Output,
};

/// Name of the bundle in an app's folder.
const BUNDLE_FOLDER: &str = "bundle";

/// Runs `app build`.
pub(super) fn run(args: &AppBuildArgs, output: Output) -> Result<ExitCode> {
    if args.pull {
        crate::commands::block_on(registry::images(&args.folder, output))?;
    }
    let place = args.output.clone().unwrap_or_else(|| args.folder.join(BUNDLE_FOLDER));
    let parts = args.kernel.clone().map(|kernel| ImagePartArgs {
        kernel: Some(kernel),
        models: args.models.clone(),
        ..ImagePartArgs::default()
    });
    if args.verify {
        let bundle = verify(&args.folder, &place)?;
        tell("verified", &place, &bundle, parts.as_ref(), output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut bundle = build_bundle(&args.folder, &place)?;
    if let Some(path) = &args.sign {
        let secret = crate::commands::collateral::secret(path)?;
        let key = AccountKey::from_bytes(&secret).context("the secret is none of an account")?;
        bundle = add_signature(&place, &key)?;
    }
    tell("built", &place, &bundle, parts.as_ref(), output)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `app show`.
pub(super) fn show(args: &AppShowArgs, output: Output) -> Result<ExitCode> {
    if args.bundle.starts_with(SOURCE_SCHEME) {
        let place = tempfile::tempdir().context("no place for the bundle")?;
        let bundle = crate::commands::block_on(registry::brought(&args.bundle, place.path()))?;
        return tell("bundle", Path::new(&args.bundle), &bundle, None, output).map(|()| ExitCode::SUCCESS);
    }
    let place = Path::new(&args.bundle);
    tell("bundle", place, &open_bundle(place)?, None, output)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `app manifest`.
pub(super) fn manifest(args: &AppManifestArgs, output: Output) -> Result<ExitCode> {
    if !args.kubernetes {
        bail!("say --kubernetes: there are manifests of no other kind");
    }
    let bundle = open_bundle(&args.bundle)?;
    let options = KubernetesOptions {
        agent_image: args.agent_image.clone(),
        runtime_class: args.runtime_class.clone(),
        namespace: args.namespace.clone(),
        app_id: args.app,
        node: args.rpc.clone(),
        network_key: args.network_key,
        trust_domain: args.trust_domain,
    };
    let manifests = kubernetes_manifests(&bundle, &options)?;
    output.object(&json!({ "event": "manifest", "kind": "kubernetes", "digest": bundle.digest(), "yaml": manifests }));
    output.text(manifests.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn verify(folder: &Path, place: &Path) -> Result<Bundle> {
    let there = open_bundle(place).with_context(|| format!("the bundle {} cannot be compared", place.display()))?;
    let fresh = tempfile::tempdir().context("no place to build beside")?;
    let built = build_bundle(folder, &fresh.path().join(BUNDLE_FOLDER))?;
    if built.digest() != there.digest() {
        let changed = changed(&there, &built);
        bail!(
            "{} is not what {} builds now: {} instead of {}; it differs in {changed}",
            place.display(),
            folder.display(),
            there.digest(),
            built.digest(),
        );
    }
    Ok(there)
}

/// The first thing that differs, for a person.
fn changed(one: &Bundle, other: &Bundle) -> String {
    if one.manifest() != other.manifest() {
        return "rofl.yaml".to_owned();
    }
    let differs = |file: &&freehold_bundle::BundledFile| !other.files().contains(file);
    let missing = |file: &&freehold_bundle::BundledFile| !one.files().contains(file);
    let file = one.files().iter().find(differs).or_else(|| other.files().iter().find(missing));
    file.map_or_else(|| "the text of rofl.yaml or the compose file".to_owned(), |file| file.path.clone())
}

/// What a launch of a bundle shows: launcher and machine, and the measurement.
type Shown = (&'static str, &'static str, Measurement);

/// What instances show under each launcher: under `qemu` of the image that these parts make, if any are named.
fn shown(bundle: &Bundle, parts: Option<&ImagePartArgs>) -> Result<(Digest, Vec<Shown>)> {
    let guest = std::env::current_exe().context("this program's own file cannot be found")?;
    let launch = measure_bundle(&guest, bundle)?;
    let direct = image::emulated(&launch).map(|(machine, measurement)| ("direct", machine, measurement));
    let mut shown = direct.to_vec();
    if let Some(parts) = parts {
        let image = image::assembled(bundle, parts, None)?;
        let in_vm = measure_image(&image, VmShape::DEFAULT, bundle)?;
        shown.extend(image::emulated(&in_vm).map(|(machine, measurement)| ("qemu", machine, measurement)));
    }
    Ok((launch.guest, shown))
}

fn tell(event: &str, place: &Path, bundle: &Bundle, parts: Option<&ImagePartArgs>, output: Output) -> Result<()> {
    let (guest, shown) = shown(bundle, parts)?;
    let executor = image::executor(bundle);
    let backends: Vec<Value> = shown
        .iter()
        .map(|(launcher, machine, measurement)| {
            let registers = registers(measurement);
            json!({ "launcher": launcher, "executor": executor, "machine": machine, "measurement": registers })
        })
        .collect();
    let manifest = bundle.manifest();
    output.object(&json!({
        "event": event,
        "bundle": place,
        "digest": bundle.digest(),
        "name": manifest.name,
        "version": manifest.version,
        "files": bundle.files().len(),
        "bytes": bundle.bytes(),
        "images": bundle.images().iter().map(outline).collect::<Vec<_>>(),
        "signed_by": bundle.signatures().iter().map(|signature| signature.account).collect::<Vec<_>>(),
        "guest": guest,
        "backends": backends,
    }));
    let notes = manifest.notes.iter().chain(bundle.compose().into_iter().flat_map(|compose| &compose.notes));
    for note in notes {
        output.note(&format!("note: {note}"));
    }
    output.text(&format!(
        "{event}  {} {}\n  bundle  {}\n  digest  sha256:{}\n  files   {}, {} bytes\n  guest   {}",
        manifest.name,
        manifest.version,
        place.display(),
        bundle.digest(),
        bundle.files().len(),
        bundle.bytes(),
        guest,
    ));
    for image in bundle.images() {
        let bytes: u64 = image.layers.iter().map(|layer| layer.bytes).sum();
        output.text(&format!("  image   sha256:{}, {} layers, {bytes} bytes", image.digest, image.layers.len()));
    }
    if manifest.kind == Kind::Container && bundle.images().is_empty() {
        output.note("note: the bundle holds no images, so it cannot be run: put them into the folder `images`, or build with --pull (docs/containers.md)");
    }
    for signature in bundle.signatures() {
        output.text(&format!("  signed  by {}", signature.account));
    }
    for (launcher, machine, measurement) in &shown {
        output.text(&format!("\n  {launcher}, {executor}, {machine}"));
        if let Value::Object(registers) = registers(measurement) {
            for (name, value) in registers {
                output.text(&format!("    {name:<12} {}", value.as_str().unwrap_or("any")));
            }
        }
    }
    Ok(())
}

fn outline(image: &Image) -> Value {
    let bytes: u64 = image.layers.iter().map(|layer| layer.bytes).sum();
    json!({ "digest": image.digest, "layers": image.layers.len(), "bytes": bytes })
}

/// A measurement's registers, by name.
pub(crate) fn registers(measurement: &Measurement) -> Value {
    match measurement {
        Measurement::Tdx(shown) => json!({
            "mrtd": shown.mrtd,
            "rtmr0": shown.rtmr0,
            "rtmr1": shown.rtmr1,
            "rtmr2": shown.rtmr2,
            "rtmr3": shown.rtmr3,
        }),
        Measurement::Snp(shown) => json!({ "measurement": shown.measurement, "host_data": shown.host_data }),
        other => json!({ "launch": hex::encode(other.launched()) }),
    }
}
