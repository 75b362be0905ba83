//! A conversation: messages are kept, and each turn is an ask with a proof of its own.

use serde::{Deserialize, Serialize};

use crate::{
    ask::{Answer, AskEvent, AskOptions, Asker},
    error::AskError,
};

/// Most messages kept; the oldest turn is forgotten first, the system message never.
pub const MESSAGES_MAX: usize = 64;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of the person's.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// Instructions.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }
}

/// A conversation with one app.
#[derive(Debug, Clone)]
pub struct Chat {
    asker: Asker,
    options: AskOptions,
    messages: Vec<Message>,
}

impl Chat {
    /// An empty conversation.
    pub const fn new(asker: Asker, options: AskOptions) -> Self {
        Self { asker, options, messages: Vec::new() }
    }

    /// What was said so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Sets the instructions, in place of any before.
    pub fn instruct(&mut self, content: impl Into<String>) {
        self.messages.retain(|message| message.role != Role::System);
        self.messages.insert(0, Message::system(content));
    }

    /// Forgets everything but the instructions.
    pub fn clear(&mut self) {
        self.messages.retain(|message| message.role == Role::System);
    }

    /// One turn. A turn that fails leaves the conversation as it was.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub async fn say(
        &mut self,
        content: &str,
        heard: &mut (dyn FnMut(AskEvent<'_>) + Send),
    ) -> Result<Answer, AskError> {
        let mut messages = self.messages.clone();
        messages.push(Message::user(content));
        let answer = self.asker.ask(&messages, &self.options, heard).await?;
        messages.push(Message { role: Role::Assistant, content: answer.text.clone() });
        forget(&mut messages);
        self.messages = messages;
        Ok(answer)
    }
}

/// Drops the oldest turns above the bound.
pub(crate) fn forget(messages: &mut Vec<Message>) {
    while messages.len() > MESSAGES_MAX {
        let oldest = messages.iter().position(|message| message.role != Role::System).unwrap_or(0);
        messages.remove(oldest);
    }
}
