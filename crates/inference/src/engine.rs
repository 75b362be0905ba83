//! The engine: a model in memory and answers from it, one sequence per thread.
//!
//! Weights are shared, caches belong to a request. Nothing of a request outlives it: no prompt cache, no batching across
//! requests, so that an answer depends on the model, the prompt and the sampling alone.

mod math;
mod model;
mod sampler;
mod text;
mod tier;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use freehold_primitives::{Digest, Sampling};
use thiserror::Error;

pub use model::PREFILL_CHUNK;
pub use sampler::SEED_MAX;
pub use tier::{KernelChoice, KernelTier, default_threads, environment};

use crate::{
    convert::{self, Imported},
    gguf::{Dimensions, GgufError},
    models,
    template::{Message, Template, TemplateError},
    tokenizer::{Tokenizer, TokenizerError},
};
use model::Model;
use sampler::Sampler;
use text::TextBuilder;

/// Name of the engine in receipts.
pub const ENGINE_NAME: &str = "freehold-candle";
/// Build of the engine in receipts: our version and the kernels' version.
pub const ENGINE_BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+candle-0.11.1");
/// Profile of answers that anyone can compute again bit by bit (`spec/inference-api.md` §6).
pub const PROFILE_GREEDY: &str = "freehold-greedy-1";
/// Longest context that is used by default, in tokens: a cache costs memory for each.
pub const CONTEXT_DEFAULT: usize = 8192;

/// Why the engine cannot answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model file cannot be used.
    #[error(transparent)]
    Model(#[from] GgufError),
    /// Its tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Its chat template cannot be used, or not with these messages.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The file is not the model that it was asked to be.
    #[error("the model file has digest {found}, but {name} is {expected}; remove it and pull the model again")]
    WrongModel {
        /// The model that was asked for.
        name: String,
        /// Its digest.
        expected: Digest,
        /// The file's digest.
        found: Digest,
    },
    /// The vocabulary of the tokenizer and of the weights differ.
    #[error("the tokenizer has {tokenizer} entries, the weights have {weights}")]
    Vocabulary {
        /// Entries of the tokenizer.
        tokenizer: usize,
        /// Rows of the embedding.
        weights: usize,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens; this model runs with a context of {context}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    PromptEmpty,
    /// The kernels failed.
    #[error("the engine failed")]
    Kernel(#[from] candle_core::Error),
}

/// What a receipt says about the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// Name under which it answers.
    pub name: String,
    /// SHA-256 of the file as published.
    pub weights_sha256: Digest,
    /// SHA-256 of the converted file, where one was made.
    pub converted_sha256: Option<Digest>,
    /// Digest of the tokenizer.
    pub tokenizer_sha256: Digest,
    /// SHA-256 of the chat template.
    pub template_sha256: Digest,
    /// Quantisation of most weights as run.
    pub quantisation: String,
}

/// A loaded model.
pub struct Engine {
    model: Arc<Model>,
    tokenizer: Tokenizer,
    template: Template,
    identity: ModelIdentity,
    tier: KernelTier,
    context: usize,
}

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Sampling; `max_tokens` bounds the answer (the context bounds it too).
    pub sampling: Sampling,
    /// Texts that end the answer and do not belong to it.
    pub stops: Vec<String>,
}

/// A step of a generation, as its caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A chunk of the prompt is about to be read.
    Reading,
    /// A token was made; the text it released, perhaps none. The token that ends an answer is not among these.
    Token(&'a str),
    /// Text that was held back and leaves at the end.
    Rest(&'a str),
}

impl<'a> Step<'a> {
    /// Text that leaves with this step.
    pub fn text(self) -> &'a str {
        match self {
            Self::Reading => "",
            Self::Token(text) | Self::Rest(text) => text,
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop string did.
    Stop,
    /// The bound on tokens was reached.
    Length,
    /// The caller ended it.
    Cancelled,
}

/// Figures of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer; a token that ended it counts.
    pub completion_tokens: u32,
    /// Time until the prompt was read.
    pub prefill: Duration,
    /// Time for the answer's tokens.
    pub decode: Duration,
}

impl Engine {
    /// Loads a model file under a name. A name of [`models::MODELS`] binds the file to that model's digest.
    ///
    /// # Errors
    /// Every variant of [`EngineError`] that concerns a file.
    pub fn load(path: &Path, name: &str, context: usize) -> Result<Self, EngineError> {
        let Imported { model, source_sha256, converted_sha256 } = convert::import(path)?;
        if let Some(known) = models::find(name)
            && known.sha256 != source_sha256
        {
            return Err(EngineError::WrongModel {
                name: name.to_owned(),
                expected: known.sha256,
                found: source_sha256,
            });
        }
        let tokenizer = Tokenizer::new(&model)?;
        let template =
            Template::new(model.text("tokenizer.chat_template"), tokenizer.begin_text(), tokenizer.end_text())?;
        let weights = Model::load(&model)?;
        if weights.dimensions.vocabulary < tokenizer.vocabulary() {
            return Err(EngineError::Vocabulary {
                tokenizer: tokenizer.vocabulary(),
                weights: weights.dimensions.vocabulary,
            });
        }
        let identity = ModelIdentity {
            name: name.to_owned(),
            weights_sha256: source_sha256,
            converted_sha256,
            tokenizer_sha256: tokenizer.digest(),
            template_sha256: template.digest(),
            quantisation: model.quantisation(),
        };
        let context = context.clamp(1, weights.dimensions.context_max);
        Ok(Self { model: Arc::new(weights), tokenizer, template, identity, tier: KernelTier::detect(), context })
    }

    /// What receipts say about the model.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// Sizes of the model.
    pub fn dimensions(&self) -> &Dimensions {
        &self.model.dimensions
    }

    /// Kernels in use.
    pub fn tier(&self) -> KernelTier {
        self.tier
    }

    /// Threads of the kernels.
    pub fn threads(&self) -> u32 {
        tier::kernel_threads()
    }

    /// Longest prompt and answer together, in tokens.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Token ids of a conversation, ready for the assistant's turn.
    ///
    /// # Errors
    /// [`EngineError::Template`] or [`EngineError::Tokenizer`].
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, EngineError> {
        Ok(self.tokenizer.encode(&self.template.render(messages)?)?)
    }

    /// The profile under which an answer with this sampling can be computed again bit by bit, if any is claimed.
    pub fn profile(&self, sampling: &Sampling) -> Option<&'static str> {
        let golden = models::find(&self.identity.name).is_some_and(|model| {
            model.sha256 == self.identity.weights_sha256
                && model.golden.is_some_and(|golden| self.identity.converted_sha256 == golden)
        });
        (golden && sampling.temperature_milli == 0 && self.tier == KernelTier::Avx2Forced).then_some(PROFILE_GREEDY)
    }

    /// Generates an answer; `sink` sees every step and may end it.
    ///
    /// # Errors
    /// [`EngineError::PromptEmpty`], [`EngineError::PromptTooLong`] or [`EngineError::Kernel`].
    pub fn generate(
        &self,
        generation: Generation,
        mut sink: impl FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> Result<Outcome, EngineError> {
        let started = Instant::now();
        let prompt_tokens = generation.prompt.len();
        if prompt_tokens == 0 {
            return Err(EngineError::PromptEmpty);
        }
        if prompt_tokens >= self.context {
            return Err(EngineError::PromptTooLong { tokens: prompt_tokens, context: self.context });
        }
        let most = (generation.sampling.max_tokens as usize).min(self.context - prompt_tokens);
        let mut cache = self.model.cache();
        let mut logits = Vec::new();
        let mut outcome = Outcome {
            finish: Finish::Length,
            prompt_tokens: count(prompt_tokens),
            completion_tokens: 0,
            prefill: Duration::ZERO,
            decode: Duration::ZERO,
        };
        for chunk in generation.prompt.chunks(PREFILL_CHUNK) {
            if sink(Step::Reading).is_break() {
                outcome.finish = Finish::Cancelled;
                return Ok(outcome);
            }
            logits = self.model.forward(chunk, &mut cache)?;
        }
        outcome.prefill = started.elapsed();
        let started = Instant::now();
        let mut sampler = Sampler::new(generation.sampling);
        let mut text = TextBuilder::new(generation.stops);
        while (outcome.completion_tokens as usize) < most {
            let token = sampler.next(&logits[..self.tokenizer.vocabulary()]);
            outcome.completion_tokens += 1;
            if self.tokenizer.is_end(token) {
                outcome.finish = Finish::Stop;
                break;
            }
            let released = text.push(self.tokenizer.bytes(token));
            if sink(Step::Token(&released)).is_break() {
                outcome.finish = Finish::Cancelled;
                break;
            }
            if text.is_stopped() {
                outcome.finish = Finish::Stop;
                break;
            }
            if (outcome.completion_tokens as usize) < most {
                logits = self.model.forward(&[token], &mut cache)?;
            }
        }
        outcome.decode = started.elapsed();
        let rest = text.finish();
        if outcome.finish != Finish::Cancelled && !rest.is_empty() && sink(Step::Rest(&rest)).is_break() {
            outcome.finish = Finish::Cancelled;
        }
        Ok(outcome)
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
