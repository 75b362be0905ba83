//! What the disk of a VM holds of an app of containers: their plan, the sockets that the agent makes for them, their images
//! unpacked, and the programs that run them. All of it is under the disk's root hash, and so measured.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{Bundle, UnpackedFile, UnpackedKind};
use freehold_containers::{ContainerBackend, NetworkKind, Plan, VM_USERS_FIRST};
use freehold_image::{Node, NodeKind, Program, Tree};
use freehold_primitives::Digest;
use serde_json::json;

/// What runs containers.
const RUNTIME: &str = "runc";
/// Where the plan, the sockets and the images stand on the disk.
const PLAN: &str = "containers/plan.json";
const SOCKETS: &str = "containers/sockets.json";
const IMAGES: &str = "images";
/// Folder of the sockets, as the agent sees it, and as what runs the containers does.
const AGENTS_SOCKETS: &str = "/root/run/freehold/app";
const OWN_SOCKETS: &str = "/run/freehold/app";
/// Where storage, models, the way to the gate and what is mounted are for what runs the containers.
const STORAGE: &str = "/storage";
const MODELS: &str = "/models";
const GATE: &str = "/run/freehold/egress.sock";
const RUN: &str = "/run/containers";
/// Where its programs stand.
const RUNNER: &str = "bin/freehold-containers";
const LAUNCHER: &str = "bin/freehold-guest";

/// What runs containers. `runner` and `agent` are the files of those programs.
pub(super) fn programs(runner: PathBuf, agent: PathBuf) -> Result<Vec<Program>> {
    let program = |file, place: &str| Program { file, place: place.to_owned() };
    Ok(vec![program(runner, RUNNER), program(runtime()?, &format!("bin/{RUNTIME}")), program(agent, LAUNCHER)])
}

/// What a bundle brings to the disk: plan, sockets and images; and the command that PID 1 starts.
pub(super) fn parts(bundle: &Bundle) -> Result<(Tree, Vec<String>)> {
    let name = &bundle.manifest().name;
    let mut plan = Plan::of(bundle)?;
    if plan.network == NetworkKind::Open {
        // Every public address, through the same gate: there is no network device.
        plan.network = NetworkKind::Gated;
    }
    if let [_, further, ..] = plan.ports.as_slice() {
        bail!(
            "{name} publishes the port {} beside its first: a VM's host reaches one port alone, the app's API",
            further.published
        );
    }
    // Where the owner set a key for it, what they say leaves the VM sealed.
    plan.is_sealed = true;
    let mut beside = Tree::new();
    let written = serde_json::to_vec(&plan).context("the plan has no JSON form")?;
    beside.file(PLAN, written, false)?;
    let (services, environments) = plan.sockets_told(Path::new(AGENTS_SOCKETS));
    let told = json!({ "services": services, "environments": environments });
    beside.file(SOCKETS, told.to_string().into_bytes(), false)?;
    let mut images: Vec<Digest> = plan.services.values().map(|service| service.image).collect();
    images.sort_unstable();
    images.dedup();
    for image in images {
        unpack(bundle, image, &mut beside)?;
    }
    let inside = |path: &str| format!("/{path}");
    let command = vec![
        inside(RUNNER),
        inside(PLAN),
        inside(IMAGES),
        OWN_SOCKETS.to_owned(),
        STORAGE.to_owned(),
        MODELS.to_owned(),
        GATE.to_owned(),
        inside(LAUNCHER),
        RUN.to_owned(),
    ];
    Ok((beside, command))
}

/// The runtime on this machine, new enough.
fn runtime() -> Result<PathBuf> {
    ContainerBackend::default().check()?;
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(RUNTIME)).find(|file| file.is_file());
    found.with_context(|| format!("`{RUNTIME}` is not here: install it (Debian: `apt-get install runc`)"))
}

/// Puts an image's files below its digest, its users as they are in the VM.
fn unpack(bundle: &Bundle, digest: Digest, tree: &mut Tree) -> Result<()> {
    let image = bundle.images().iter().find(|image| image.digest == digest);
    let image = image.with_context(|| format!("the image {digest} is not in the bundle"))?;
    let folder = tempfile::tempdir().context("no place to unpack an image")?;
    for UnpackedFile { path, kind, mode, uid, gid } in bundle.image_files(image, folder.path())? {
        let kind = match kind {
            UnpackedKind::Folder => NodeKind::Folder,
            UnpackedKind::Symlink(target) => NodeKind::Symlink(target),
            UnpackedKind::File(file) => {
                NodeKind::File(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?)
            }
        };
        let place = if path.is_empty() { format!("{IMAGES}/{digest}") } else { format!("{IMAGES}/{digest}/{path}") };
        let mode = u16::try_from(mode).context("an image's file has no such rights")?;
        tree.add(&place, Node { kind, mode, uid: VM_USERS_FIRST + uid, gid: VM_USERS_FIRST + gid })?;
    }
    Ok(())
}
