//! From a bundle to a program that a host can start.
//!
//! What a bundle asks for and this host cannot give is refused: it is never run otherwise than its manifest says.

use std::path::{Path, PathBuf};

use freehold_bundle::{Bundle, KeyScope as ManifestScope, Kind, ModelFile, ProcessSpec, StorageKind};
use freehold_containers::ContainerBackend;
use freehold_rpc::KeyScope;

use crate::{
    config::{App, AppFiles, AppFolder, AppProgram, BundledProgram, IsolationChoice},
    container::ContainerApp,
    egress,
    error::HostError,
    measure::{bundle_model, file_digest},
};

/// What a host runs of a bundle: its program, unpacked below `folder` under its digest, or its containers, which keep images and
/// storage there, on `backend`. Model files that it names lie in `models`.
///
/// # Errors
/// [`HostError::Bundle`], [`HostError::CannotRun`], [`HostError::Measure`], [`HostError::NoRuntime`], [`HostError::System`].
pub fn bundled_app(
    bundle: &Bundle,
    folder: &Path,
    isolation: IsolationChoice,
    backend: &ContainerBackend,
    models: Option<&Path>,
) -> Result<App, HostError> {
    match bundle.manifest().kind {
        Kind::Process => Ok(bundled_program(bundle, folder, isolation, models)?.into()),
        Kind::Container => {
            let models = model_files(bundle, models)?;
            Ok(App::Containers(Box::new(ContainerApp::new(bundle, folder, models, isolation, backend)?)))
        }
    }
}

/// Unpacks a bundle below `folder`, under its digest, makes its storage there, and says how its program is started.
pub(crate) fn bundled_program(
    bundle: &Bundle,
    folder: &Path,
    isolation: IsolationChoice,
    models: Option<&Path>,
) -> Result<AppProgram, HostError> {
    let process = process(bundle)?;
    let storage = storage(bundle, folder, isolation)?;
    let additions = &bundle.manifest().additions;
    if additions.gpu.is_some() {
        return Err(HostError::cannot("it asks for GPUs", "the `direct` launcher under the emulator has none to give"));
    }
    let models = model_files(bundle, models)?;
    let files = unpacked(bundle, &folder.join("unpacked"))?;
    let (program, arguments) =
        process.command.split_first().ok_or_else(|| HostError::cannot("it has no command", "name one"))?;
    Ok(AppProgram {
        executable: PathBuf::from(program),
        arguments: arguments.to_vec(),
        environment: process.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        model: None,
        isolation,
        bundle: Some(BundledProgram {
            digest: bundle.digest(),
            files,
            model: bundle_model(bundle),
            models,
            limits: process.limits,
            restart: process.restart,
            reach: egress::reach(&additions.egress),
            ingress: additions.ingress.clone(),
            scopes: key_scopes(bundle),
            storage,
            launcher: None,
        }),
    })
}

/// Scopes of the keys that the app of a bundle may ask for, in the local API's words; all where empty.
pub fn key_scopes(bundle: &Bundle) -> Vec<KeyScope> {
    let word = |scope: &ManifestScope| match scope {
        ManifestScope::App => KeyScope::App,
        ManifestScope::Instance => KeyScope::Instance,
        ManifestScope::Provider => KeyScope::Provider,
        ManifestScope::Container => KeyScope::Service,
    };
    bundle.manifest().additions.scopes.iter().map(word).collect()
}

/// Where the program keeps files: a folder beside the bundle's, which is watched for what the manifest says of its size.
fn storage(bundle: &Bundle, folder: &Path, isolation: IsolationChoice) -> Result<AppFiles, HostError> {
    let (kind, mib) = bundle.manifest().resources.storage;
    let name = match kind {
        StorageKind::None => return Ok(AppFiles::Nowhere),
        StorageKind::Ram if isolation == IsolationChoice::None => {
            return Err(HostError::cannot(
                "it keeps files in memory",
                "that needs the sandbox: run it without --no-sandbox",
            ));
        }
        StorageKind::Ram => return Ok(AppFiles::Memory(mib << 20)),
        StorageKind::DiskPersistent => "storage",
        StorageKind::DiskEphemeral => "passing",
    };
    let folder = folder.join(name);
    let make = || {
        if kind == StorageKind::DiskEphemeral && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        folder.canonicalize()
    };
    let folder_of = |path| AppFiles::Folder(AppFolder { path, bytes_max: mib.saturating_mul(1 << 20) });
    make().map(folder_of).map_err(HostError::system("the app's storage cannot be made", &folder))
}

/// The model files that a bundle names, found in a folder by their names and checked.
pub(crate) fn model_files(bundle: &Bundle, folder: Option<&Path>) -> Result<Vec<(String, PathBuf)>, HostError> {
    let named = &bundle.manifest().additions.models;
    let hint = "name the folder that has them: --models, or `models` of host.toml";
    let folder = match folder {
        _ if named.is_empty() => return Ok(Vec::new()),
        None => return Err(HostError::cannot("it names model files", hint)),
        Some(folder) => {
            folder.canonicalize().map_err(HostError::system("the folder of models cannot be found", folder))?
        }
    };
    let found = |model: &ModelFile| {
        let path = folder.join(&model.name);
        if file_digest(&path)? == model.sha256 {
            Ok((model.name.clone(), path))
        } else {
            Err(HostError::cannot(
                &format!("{} is another file than its manifest names", path.display()),
                "bring the right one",
            ))
        }
    };
    named.iter().map(found).collect()
}

fn process(bundle: &Bundle) -> Result<&ProcessSpec, HostError> {
    match (bundle.manifest().kind, &bundle.manifest().additions.process) {
        (Kind::Process, Some(process)) => Ok(process),
        _ => Err(HostError::cannot("it is made of containers", "run them as such")),
    }
}

/// The folder with a bundle's files. It is made whole under another name first, so that what has the digest's is complete.
fn unpacked(bundle: &Bundle, folder: &Path) -> Result<PathBuf, HostError> {
    let failed = |source| HostError::System { what: "the bundle cannot be unpacked", path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let files = folder.join(bundle.digest().to_string());
    let fresh = tempfile::Builder::new().prefix(".unpack-").tempdir_in(folder).map_err(failed)?;
    let inner = fresh.path().join("files");
    bundle.unpack(&inner)?;
    // What stands there may have been changed since.
    if files.exists() {
        std::fs::remove_dir_all(&files).map_err(failed)?;
    }
    std::fs::rename(&inner, &files).map_err(failed)?;
    files.canonicalize().map_err(failed)
}
