//! Arguments of `ask` and `chat`.

use std::path::PathBuf;

use clap::Args;

use super::{FindArgs, app::DemandArgs};

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The question.
    pub(crate) question: String,
    /// Write the proof to this file (readable by you only).
    #[arg(long, value_name = "FILE")]
    pub(crate) save_proof: Option<PathBuf>,
    /// Keep hashes instead of the texts in the proof.
    #[arg(long)]
    pub(crate) redact: bool,
    /// Most tokens of the answer.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) max_tokens: u32,
    #[command(flatten)]
    pub(crate) demand: DemandArgs,
    #[command(flatten)]
    pub(crate) find: FindArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) max_tokens: u32,
    #[command(flatten)]
    pub(crate) demand: DemandArgs,
    #[command(flatten)]
    pub(crate) find: FindArgs,
}
