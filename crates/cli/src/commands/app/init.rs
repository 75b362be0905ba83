//! `app init`: a folder that builds and runs as it is.

use std::{ffi::OsStr, fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{COMPOSE_BYTES_MAX, Compose, MANIFEST_FILE, Manifest};
use serde_json::json;

use crate::{
    args::{AppInitArgs, AppKindArg},
    output::Output,
};

/// Manifest of a process app; `NAME` stands for the name.
const PROCESS: &str = include_str!("template/process.yaml");
/// Manifest of a container app.
const CONTAINER: &str = include_str!("template/container.yaml");
/// The example of a compose file.
const COMPOSE: &str = include_str!("template/compose.yaml");
/// The example program.
const PROGRAM: &str = include_str!("template/main.py");
/// What a person reads first.
const README: &str = include_str!("template/README.md");

/// The same for containers.
const CONTAINER_README: &str = include_str!("template/CONTAINER.md");

/// Runs the command.
pub(super) fn run(args: &AppInitArgs, output: Output) -> Result<ExitCode> {
    let template = if args.kind == AppKindArg::Process { PROCESS } else { CONTAINER };
    let name = args.folder.file_name().and_then(OsStr::to_str).context("the folder's name is the app's: give one")?;
    let manifest = template.replace("NAME", name);
    // A name that no manifest may have is refused before anything is written.
    Manifest::parse(manifest.as_bytes())?;
    let readme = if args.kind == AppKindArg::Process { README } else { CONTAINER_README };
    let mut files = vec![(MANIFEST_FILE, manifest), ("README.md", readme.replace("NAME", name))];
    match (&args.from, args.kind) {
        (None, AppKindArg::Process) => files.push(("app/main.py", PROGRAM.to_owned())),
        (Some(from), AppKindArg::Container) => files.push(("compose.yaml", compose(from, output)?)),
        (Some(_), AppKindArg::Process) => bail!("--from names a compose file: add --kind container"),
        (None, AppKindArg::Container) => files.push(("compose.yaml", COMPOSE.to_owned())),
    }
    let folder = args.folder.as_path();
    fs::create_dir(folder)
        .with_context(|| format!("cannot make the folder {}: choose another name, or remove it", folder.display()))?;
    for (name, text) in &files {
        let path = folder.join(name);
        let put = || {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text)
        };
        put().with_context(|| format!("cannot write {}", path.display()))?;
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    output.object(&json!({ "event": "made", "folder": folder, "files": names }));
    output.text(&format!("made {}: {}", folder.display(), names.join(", ")));
    let first = if args.kind == AppKindArg::Container { " put the images into its folder `images`, then" } else { "" };
    output.text(&format!("\nnext, beside a `freehold up`:{first}  freehold app run {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

fn compose(from: &Path, output: Output) -> Result<String> {
    let cannot = || format!("cannot read {}", from.display());
    let length = fs::metadata(from).with_context(cannot)?.len();
    if length > COMPOSE_BYTES_MAX {
        bail!("{} has {length} bytes, the bound is {COMPOSE_BYTES_MAX}", from.display());
    }
    let text = fs::read_to_string(from).with_context(cannot)?;
    for note in Compose::parse(text.as_bytes())?.notes {
        output.note(&format!("note: {note}"));
    }
    Ok(text)
}
