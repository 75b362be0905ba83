//! Reading a chat request: every member is understood, known to be harmless, or refused by name.

use freehold_primitives::Sampling;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::{engine::SEED_MAX, template::Message};

/// Most messages of a conversation.
pub const MESSAGES_MAX: usize = 1024;
/// Most stop strings.
pub const STOPS_MAX: usize = 4;
/// Longest stop string, in bytes.
pub const STOP_BYTES_MAX: usize = 256;
/// Most parts of one message's content.
const PARTS_MAX: usize = 256;
/// Longest model name that is repeated in a receipt, in bytes.
const MODEL_NAME_MAX: usize = 128;

/// Members that change nothing about the answer here.
const IGNORED: [&str; 9] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
    "tool_choice",
];
const READ: [&str; 13] = [
    "model",
    "messages",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stream",
    "stream_options",
    "provider",
];

/// A chat request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChatRequest {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    /// `seed` is 0 where none was given.
    pub(crate) sampling: Sampling,
    pub(crate) seed_given: bool,
    pub(crate) stops: Vec<String>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

/// The model that a body names, for the receipt of a refusal.
pub(crate) fn model_of(body: &Value) -> Option<String> {
    body.get("model").and_then(Value::as_str).filter(|name| name.len() <= MODEL_NAME_MAX).map(str::to_owned)
}

/// Reads a body that is already JSON.
pub(crate) fn read(body: &Value) -> Result<ChatRequest, ApiError> {
    let body = body.as_object().ok_or_else(|| ApiError::malformed("The body is no JSON object."))?;
    refuse_unsupported(body)?;
    let model =
        body.get("model").and_then(Value::as_str).filter(|name| !name.is_empty() && name.len() <= MODEL_NAME_MAX);
    let model = model.ok_or_else(|| ApiError::invalid("model", "`model` must name a model."))?.to_owned();
    let stream = boolean(body, "stream")?.unwrap_or(false);
    Ok(ChatRequest {
        model,
        messages: messages(body)?,
        sampling: sampling(body)?,
        seed_given: body.get("seed").is_some_and(|seed| !seed.is_null()),
        stops: stops(body)?,
        stream,
        include_usage: include_usage(body, stream)?,
    })
}

fn refuse_unsupported(body: &Map<String, Value>) -> Result<(), ApiError> {
    for (name, value) in body {
        let name = name.as_str();
        if value.is_null() || READ.contains(&name) || IGNORED.contains(&name) {
            continue;
        }
        let harmless = match name {
            "tools" | "functions" => value.as_array().is_some_and(Vec::is_empty),
            "logit_bias" => value.as_object().is_some_and(Map::is_empty),
            "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
            "logprobs" => value == &Value::Bool(false),
            "top_logprobs" => value.as_u64() == Some(0),
            "response_format" => value.get("type").and_then(Value::as_str) == Some("text"),
            "modalities" => value == &serde_json::json!(["text"]),
            _ => false,
        };
        if !harmless {
            let shown: String = name.chars().take(64).collect();
            let message = format!("`{shown}` is not supported here in this form.");
            return Err(ApiError::invalid(shown, message).with_code("unsupported_parameter"));
        }
    }
    if integer(body, "n", 1, 1)?.is_some_and(|n| n != 1) {
        return Err(ApiError::invalid("n", "Only one choice (`n` = 1) is made."));
    }
    provider(body)
}

/// ACI's serving constraints: a direct service satisfies `aci_verified` by itself and has no sessions.
fn provider(body: &Map<String, Value>) -> Result<(), ApiError> {
    let Some(provider) = body.get("provider").filter(|value| !value.is_null()) else { return Ok(()) };
    let fault = || ApiError::invalid("provider", "`provider` is malformed.");
    let provider = provider.as_object().ok_or_else(fault)?;
    for (name, value) in provider {
        match name.as_str() {
            "aci_verified" if value.is_boolean() => {}
            "aci_session_ids" if provider.get("aci_verified") == Some(&Value::Bool(false)) => return Err(fault()),
            "aci_session_ids" if value.as_array().is_some_and(|ids| !ids.is_empty()) => {
                return Err(ApiError::sessions());
            }
            name if name.starts_with("aci_") => return Err(fault()),
            _ => {}
        }
    }
    Ok(())
}

fn messages(body: &Map<String, Value>) -> Result<Vec<Message>, ApiError> {
    let list = body.get("messages").and_then(Value::as_array);
    let list = list.ok_or_else(|| ApiError::invalid("messages", "`messages` must be a list."))?;
    if list.is_empty() || list.len() > MESSAGES_MAX {
        return Err(ApiError::invalid("messages", format!("`messages` must have 1 to {MESSAGES_MAX} entries.")));
    }
    list.iter().enumerate().map(|(index, message)| read_message(index, message)).collect()
}

fn read_message(index: usize, message: &Value) -> Result<Message, ApiError> {
    let param = |tail: &str| format!("messages[{index}]{tail}");
    let fields = message.as_object().ok_or_else(|| ApiError::invalid(param(""), "A message must be an object."))?;
    let role = match fields.get("role").and_then(Value::as_str) {
        Some("developer") => "system",
        Some(role @ ("system" | "user" | "assistant" | "tool")) => role,
        _ => {
            let message = "The role must be system, developer, user, assistant or tool.";
            return Err(ApiError::invalid(param(".role"), message));
        }
    };
    for member in ["tool_calls", "function_call", "audio"] {
        if fields
            .get(member)
            .is_some_and(|value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
        {
            let message = format!("`{member}` is not supported here.");
            return Err(ApiError::invalid(param(&format!(".{member}")), message).with_code("unsupported_parameter"));
        }
    }
    let content = content(fields.get("content"))
        .ok_or_else(|| ApiError::invalid(param(".content"), "The content must be text, or a list of text parts."))?;
    Ok(Message { role: role.to_owned(), content })
}

fn content(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) if !parts.is_empty() && parts.len() <= PARTS_MAX => parts
            .iter()
            .map(|part| match part.get("type").and_then(Value::as_str) {
                Some("text") => part.get("text").and_then(Value::as_str),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn sampling(body: &Map<String, Value>) -> Result<Sampling, ApiError> {
    let limit = integer(body, "max_tokens", 1, u64::from(u32::MAX))?;
    let newer = integer(body, "max_completion_tokens", 1, u64::from(u32::MAX))?;
    if let (Some(one), Some(two)) = (limit, newer)
        && one != two
    {
        let message = "`max_tokens` and `max_completion_tokens` differ; give one of them.";
        return Err(ApiError::invalid("max_tokens", message));
    }
    let max_tokens = newer.or(limit).unwrap_or(u64::from(u32::MAX));
    Ok(Sampling {
        temperature_milli: thousandths(body, "temperature", 2000)?.unwrap_or(1000),
        top_p_milli: thousandths(body, "top_p", 1000)?.unwrap_or(1000),
        top_k: narrow(integer(body, "top_k", 0, u64::from(u32::MAX))?.unwrap_or(0)),
        seed: integer(body, "seed", 0, SEED_MAX)?.unwrap_or(0),
        max_tokens: narrow(max_tokens),
    })
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn stops(body: &Map<String, Value>) -> Result<Vec<String>, ApiError> {
    let fault = || {
        let message = format!("`stop` must be 1 to {STOPS_MAX} texts of at most {STOP_BYTES_MAX} bytes.");
        ApiError::invalid("stop", message)
    };
    let texts: Vec<String> = match body.get("stop") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) if list.len() <= STOPS_MAX => {
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(fault)?
        }
        Some(_) => return Err(fault()),
    };
    if texts.iter().any(|text| text.is_empty() || text.len() > STOP_BYTES_MAX) {
        return Err(fault());
    }
    Ok(texts)
}

fn include_usage(body: &Map<String, Value>, stream: bool) -> Result<bool, ApiError> {
    let Some(options) = body.get("stream_options").filter(|value| !value.is_null()) else { return Ok(false) };
    let fault = |message| ApiError::invalid("stream_options", message);
    let options = options.as_object().ok_or_else(|| fault("`stream_options` must be an object."))?;
    if !stream {
        return Err(fault("`stream_options` is for streamed answers only."));
    }
    if options.keys().any(|name| !matches!(name.as_str(), "include_usage" | "include_obfuscation")) {
        return Err(fault("Only `include_usage` is supported in `stream_options`."));
    }
    Ok(boolean(options, "include_usage")?.unwrap_or(false))
}

fn boolean(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(ApiError::invalid(name, format!("`{name}` must be true or false."))),
    }
}

fn integer(body: &Map<String, Value>, name: &str, least: u64, most: u64) -> Result<Option<u64>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(name, format!("`{name}` must be an integer from {least} to {most}."))),
        },
    }
}

/// A number from 0 to `most` thousandths, rounded to thousandths: what the engine runs and the receipt says.
fn thousandths(body: &Map<String, Value>, name: &str, most: u32) -> Result<Option<u32>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) if (0.0..=f64::from(most) / 1000.0).contains(&number) => {
                Ok(Some((number * 1000.0).round() as u32))
            }
            _ => Err(ApiError::invalid(
                name,
                format!("`{name}` must be a number from 0 to {}.", f64::from(most) / 1000.0),
            )),
        },
    }
}

#[cfg(test)]
mod tests;
