//! `model`: the models that are known, and fetching one.

use std::process::ExitCode;

use anyhow::Result;
use freehold_inference::{DEFAULT_MODEL, MODELS, is_present, model_path};
use serde_json::json;

use crate::{args::ModelCommand, model, output::Output, stack::model_folder};

/// Runs the command.
pub(crate) async fn run(command: ModelCommand, output: Output) -> Result<ExitCode> {
    match command {
        ModelCommand::List => list(output)?,
        ModelCommand::Pull { name } => {
            let brought = model::bring(Some(&name), output).await?;
            output.object(&json!({ "event": "model", "name": brought.name, "path": brought.path, "present": true }));
            output.text(&format!("{} is at {}", brought.name, brought.path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(output: Output) -> Result<()> {
    let folder = model_folder()?;
    for model in &MODELS {
        let present = is_present(model, &folder);
        output.object(&json!({
            "event": "model",
            "name": model.name,
            "summary": model.summary,
            "license": model.license,
            "bytes": model.bytes,
            "sha256": model.sha256,
            "default": model.name == DEFAULT_MODEL,
            "present": present,
            "path": model_path(model, &folder),
        }));
        let mark = if present { "here" } else { "    " };
        let default = if model.name == DEFAULT_MODEL { " (default)" } else { "" };
        output.text(&format!(
            "{mark}  {}{default}\n      {} MB, {}; {}",
            model.name,
            model.bytes / 1_000_000,
            model.license,
            model.summary
        ));
    }
    Ok(())
}
