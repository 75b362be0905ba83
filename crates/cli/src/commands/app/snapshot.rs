//! `app snapshot` and `app restore`: the state disk of an app's VM in a file, as it lies there (`spec/vm-image.md` §11).
//!
//! Nothing is opened here, and nobody here could: what is kept is what the VM sealed. A disk is put in place whole, after its digest
//! was compared, and never over another.

mod file;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest};
use freehold_host::known_app;
use serde_json::json;

use self::file::{About, read, write};
use super::run::app_folder;
use crate::{
    args::{AppRestoreArgs, AppSnapshotArgs, NetworkArgs},
    data_dir::{self, Held},
    output::Output,
};

/// Name of the state disk in an app's folder.
pub(super) const STATE_DISK: &str = "state.disk";
/// Most disks that are kept beside it.
const ASIDE_MAX: u32 = 1000;

/// Runs `app snapshot`.
pub(super) fn keep(args: &AppSnapshotArgs, output: Output) -> Result<ExitCode> {
    let (name, held) = held(&args.app, &args.network)?;
    let path = held.path().join(STATE_DISK);
    let disk = File::open(&path).with_context(|| format!("{name} has no state disk: {}", path.display()))?;
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.file);
    let target = target.with_context(|| format!("cannot make {}", args.file.display()))?;
    let about = About::of(&disk, name, known_app(held.path())?).context("the state disk cannot be read")?;
    let written = write(&about, &disk, BufWriter::new(target));
    if let Err(error) = written {
        let _ = fs::remove_file(&args.file);
        return Err(error).with_context(|| format!("cannot write {}", args.file.display()));
    }
    tell("snapshot", &about, &args.file, output);
    Ok(ExitCode::SUCCESS)
}

/// Runs `app restore`.
pub(super) fn restore(args: &AppRestoreArgs, output: Output) -> Result<ExitCode> {
    let (name, held) = held(&args.app, &args.network)?;
    let source = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let fresh = tempfile::Builder::new().prefix(".state-").tempfile_in(held.path()).context("no place for the disk")?;
    let about = read(BufReader::new(source), fresh.as_file())
        .with_context(|| format!("{} is no snapshot that is whole", args.file.display()))?;
    if let (Some(known), Some(of)) = (known_app(held.path())?, about.app_id)
        && known != of
    {
        bail!("the snapshot is of {of}, and {name} is {known} here: its disk opens under the keys of that app alone");
    }
    fresh.as_file().sync_all().context("the disk cannot be written")?;
    let path = held.path().join(STATE_DISK);
    let old = aside(&path)?;
    fresh.persist_noclobber(&path).context("the disk cannot be put in its place")?;
    if let Some(old) = &old {
        output.text(&format!("the disk that was there is kept as {}", old.display()));
    }
    tell("restored", &about, &path, output);
    Ok(ExitCode::SUCCESS)
}

fn tell(event: &str, about: &About, path: &Path, output: Output) {
    output.object(&json!({
        "event": event,
        "path": path,
        "app": about.app,
        "app_id": about.app_id,
        "bytes": about.bytes,
        "sha256": about.sha256,
    }));
    let app = about.app_id.map_or_else(|| "not on a chain yet".to_owned(), |id| id.to_string());
    output.text(&format!(
        "{event}  {}\n  app     {} ({app})\n  disk    {} bytes, sha256:{}",
        path.display(),
        about.app,
        about.bytes,
        about.sha256
    ));
}

/// The app that is named, and its folder, in which nothing of it runs.
fn held(app: &str, network: &NetworkArgs) -> Result<(String, Held)> {
    let manifest = Path::new(app).join(MANIFEST_FILE);
    let name = if manifest.is_file() {
        let length = fs::metadata(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?.len();
        if length > MANIFEST_BYTES_MAX {
            bail!("{} is no manifest: it is larger than {MANIFEST_BYTES_MAX} bytes", manifest.display());
        }
        let text = fs::read(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        Manifest::parse(&text)?.name
    } else if app.contains('/') || app.starts_with('.') {
        bail!("{app} is no folder of an app: there is no {MANIFEST_FILE} in it");
    } else {
        app.to_owned()
    };
    let folder = data_dir::of(network.data_dir.as_deref(), network.chain_id)?;
    let held = Held::take(&app_folder(&folder, &name)).context("stop the app first: its disk is in use")?;
    Ok((name, held))
}

/// Moves a state disk to a name of its own beside it, if there is one: the new name.
pub(super) fn aside(disk: &Path) -> Result<Option<PathBuf>> {
    if !disk.try_exists().context("the state disk cannot be looked at")? {
        return Ok(None);
    }
    for number in 1..=ASIDE_MAX {
        let path = disk.with_extension(format!("disk.{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.and_then(|_| fs::rename(disk, &path)).context("the state disk cannot be set aside")?;
                return Ok(Some(path));
            }
        }
    }
    bail!("{ASIDE_MAX} old disks lie beside {}: remove some", disk.display())
}
