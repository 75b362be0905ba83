#![doc = include_str!("../README.md")]

mod convert;
mod digest;
mod engine;
mod gguf;
mod models;
mod pull;
mod server;
mod template;
mod tokenizer;

pub use convert::CONVERTER;
pub use engine::{
    CONTEXT_DEFAULT, ENGINE_BUILD, ENGINE_NAME, Engine, EngineError, Finish, Generation, KernelChoice, KernelTier,
    ModelIdentity, Outcome, PREFILL_CHUNK, PROFILE_GREEDY, SEED_MAX, Step, default_threads, environment,
};
pub use gguf::{Architecture, Dimensions, GgufError, MODEL_BYTES_MAX};
pub use models::{DEFAULT_MODEL, KnownModel, MODELS, Source, find as find_model, kernel_choice};
pub use pull::{Progress, PullError, Stage, default_model_folder, is_present, model_path, pull};
pub use server::{
    BODY_BYTES_MAX, CONNECTIONS_MAX, Config, MESSAGES_MAX, QUEUE_MAX, STOP_BYTES_MAX, STOPS_MAX,
    STREAM_INTERVAL_TOKENS, ServeError, run,
};
pub use template::{Message, PROMPT_BYTES_MAX, Template, TemplateError};
pub use tokenizer::{Tokenizer, TokenizerError};
