//! Chat templates: the model's own Jinja text, rendered over the messages of a request.
//!
//! The template comes out of the model file and is as untrusted as the file: it runs without a loader, without files,
//! and with bounded recursion, work and output.

use freehold_primitives::Digest;
use minijinja::{Environment, ErrorKind, Value, context, syntax::SyntaxConfig};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;
use thiserror::Error;

use crate::digest::sha256;

/// Largest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 256 * 1024;
/// Largest prompt that a template may make, in bytes.
pub const PROMPT_BYTES_MAX: usize = 8 << 20;
/// Nesting of calls inside a template.
const RECURSION_MAX: usize = 100;
/// Instructions that one rendering may take.
const FUEL: u64 = 20_000_000;
const NAME: &str = "chat";

/// Why a prompt cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The model file has no chat template.
    #[error("the model file has no chat template (`tokenizer.chat_template`); choose an instruction-tuned model")]
    Missing,
    /// The template is larger than is read.
    #[error("the chat template has {bytes} bytes; at most {TEMPLATE_BYTES_MAX} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The template does not parse.
    #[error("the model's chat template does not parse")]
    Syntax(#[source] minijinja::Error),
    /// The template refused these messages itself.
    #[error("the model's chat template refuses these messages: {reason}")]
    Refused {
        /// What the template said.
        reason: String,
    },
    /// The template failed on these messages.
    #[error("the model's chat template failed on these messages")]
    Failed(#[source] minijinja::Error),
    /// The rendered prompt is too large.
    #[error("the prompt has more than {PROMPT_BYTES_MAX} bytes")]
    PromptTooLarge,
}

/// A message as templates see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Text.
    pub content: String,
}

/// A compiled chat template.
pub struct Template {
    environment: Environment<'static>,
    begin: String,
    end: String,
    digest: Digest,
}

impl Template {
    /// Compiles a template; `begin` and `end` are the texts of the model's first and last token.
    ///
    /// # Errors
    /// All variants of [`TemplateError`] but those of rendering.
    pub fn new(source: Option<&str>, begin: &str, end: &str) -> Result<Self, TemplateError> {
        let source = source.ok_or(TemplateError::Missing)?;
        if source.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLarge { bytes: source.len() });
        }
        let mut environment = Environment::new();
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(TemplateError::Syntax)?);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |reason: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{reason}")))
        });
        environment.add_template_owned(NAME, source.to_owned()).map_err(TemplateError::Syntax)?;
        Ok(Self { environment, begin: begin.to_owned(), end: end.to_owned(), digest: sha256(source.as_bytes()) })
    }

    /// SHA-256 of the template's text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Renders messages, ready for the assistant's turn.
    ///
    /// # Errors
    /// [`TemplateError::Refused`], [`TemplateError::Failed`] or [`TemplateError::PromptTooLarge`].
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        let template = self.environment.get_template(NAME).map_err(TemplateError::Failed)?;
        let turns: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => message.role.as_str(), content => message.content.as_str() })
            .collect();
        let prompt = template
            .render(context! {
                messages => turns,
                add_generation_prompt => true,
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            })
            .map_err(|error| match error.detail().and_then(|detail| detail.strip_prefix(RAISED)) {
                Some(reason) => TemplateError::Refused { reason: reason.chars().take(200).collect() },
                None => TemplateError::Failed(error),
            })?;
        if prompt.len() > PROMPT_BYTES_MAX {
            return Err(TemplateError::PromptTooLarge);
        }
        Ok(prompt)
    }
}

/// Marks errors that the template raised on purpose.
const RAISED: &str = "raised: ";

#[cfg(test)]
mod tests;
