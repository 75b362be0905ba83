//! The document as the generators see it: shapes and operations, with nothing of JSON Schema left.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Text,
    Hex,
    Base64,
    Integer,
    Boolean,
    /// One of these texts.
    Words(Vec<String>),
    List(Box<Type>),
    ByName(Box<Type>),
    Named(String),
    Nullable(Box<Type>),
}

/// A member of a shape, or a parameter.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) of: Type,
    pub(super) is_required: bool,
}

/// A shape with a name.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) members: Vec<Member>,
}

/// What an operation answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Text,
    Json(Type),
    Lines(Type),
}

/// An operation.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) about: String,
    /// As HTTP writes it.
    pub(super) method: String,
    pub(super) path: String,
    /// Names in braces, in order.
    pub(super) places: Vec<String>,
    pub(super) query: Vec<Member>,
    pub(super) asks: Option<Type>,
    pub(super) gives: Answer,
    /// Whether 503 comes with the same answer.
    pub(super) answers_unready: bool,
}

/// All of it that is ours or Oasis's; dstack's paths have clients of their own.
pub(super) struct Api {
    pub(super) version: String,
    pub(super) shapes: Vec<Shape>,
    pub(super) operations: Vec<Operation>,
}

impl Api {
    pub(super) fn read(document: &Value) -> Result<Self> {
        let version = document["info"]["version"].as_str().context("no version")?.to_owned();
        let schemas = sorted(&document["components"]["schemas"]).context("no schemas")?;
        let shapes = schemas.into_iter().map(|(name, schema)| shape(name, schema)).collect::<Result<_>>()?;
        let mut operations = Vec::new();
        for (path, methods) in sorted(&document["paths"]).context("no paths")? {
            if !path.starts_with("/freehold/") && !path.starts_with("/rofl/") {
                continue;
            }
            for (method, described) in sorted(methods).context("a path without methods")? {
                operations.push(operation(path, method, described).with_context(|| format!("{method} {path}"))?);
            }
        }
        Ok(Self { version, shapes, operations })
    }
}

/// Members by name, so that what is made does not hang on how the document was read.
fn sorted(value: &Value) -> Option<BTreeMap<&String, &Value>> {
    Some(value.as_object()?.iter().collect())
}

fn shape(name: &str, schema: &Value) -> Result<Shape> {
    let properties = sorted(&schema["properties"]).with_context(|| format!("{name} has no members"))?;
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let member = |(member, schema): (&String, &Value)| {
        let of = type_of(schema).with_context(|| format!("{name}.{member}"))?;
        Ok(Member { name: member.clone(), of, is_required: required.contains(&member.as_str()) })
    };
    let members = properties.into_iter().map(member).collect::<Result<_>>()?;
    Ok(Shape { name: name.to_owned(), about: text(schema, "description")?, members })
}

fn operation(path: &str, method: &str, described: &Value) -> Result<Operation> {
    let (mut places, mut query) = (Vec::new(), Vec::new());
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let name = text(parameter, "name")?;
        match parameter["in"].as_str() {
            Some("path") => places.push(name),
            Some("query") => query.push(Member { name, of: type_of(&parameter["schema"])?, is_required: false }),
            other => bail!("parameters in {other:?} are unknown"),
        }
    }
    let asks = described["requestBody"]["content"]["application/json"].as_object();
    Ok(Operation {
        name: text(described, "operationId")?,
        about: text(described, "summary")?,
        method: method.to_uppercase(),
        path: path.to_owned(),
        places,
        query,
        asks: asks.map(|content| type_of(&content["schema"])).transpose()?,
        gives: answer(&described["responses"]["200"])?,
        answers_unready: described["responses"]["503"].is_object(),
    })
}

fn answer(response: &Value) -> Result<Answer> {
    let Some(content) = response["content"].as_object() else { return Ok(Answer::Nothing) };
    let (kind, content) = content.iter().next().context("an answer without a media type")?;
    match kind.as_str() {
        "text/plain" => Ok(Answer::Text),
        "application/json" => Ok(Answer::Json(type_of(&content["schema"])?)),
        "application/x-ndjson" => Ok(Answer::Lines(type_of(&content["schema"])?)),
        other => bail!("answers of media type {other} are unknown"),
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name].as_str().with_context(|| format!("no {name}"))?.to_owned())
}

fn type_of(schema: &Value) -> Result<Type> {
    let Some(members) = schema.as_object() else { bail!("no schema") };
    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
        return Ok(Type::Named(target.rsplit('/').next().unwrap_or_default().to_owned()));
    }
    if let Some([of, null]) = members.get("oneOf").and_then(Value::as_array).map(Vec::as_slice)
        && null["type"] == "null"
    {
        return Ok(Type::Nullable(Box::new(type_of(of)?)));
    }
    match members.get("type") {
        None if members.is_empty() => Ok(Type::Any),
        Some(Value::Array(words)) if words.len() == 2 && words[1] == "null" => {
            let mut of = members.clone();
            of.insert("type".to_owned(), words[0].clone());
            Ok(Type::Nullable(Box::new(type_of(&Value::Object(of))?)))
        }
        Some(Value::String(word)) => plain(word, members),
        _ => bail!("schema {schema} is unknown"),
    }
}

fn plain(word: &str, members: &Map<String, Value>) -> Result<Type> {
    let of = |name: &str| type_of(members.get(name).unwrap_or(&Value::Null)).map(Box::new);
    Ok(match word {
        "integer" => Type::Integer,
        "boolean" => Type::Boolean,
        "array" => Type::List(of("items")?),
        "object" => Type::ByName(of("additionalProperties")?),
        "string" if members.get("format").is_some_and(|format| format == "hex") => Type::Hex,
        "string" if members.contains_key("contentEncoding") => Type::Base64,
        "string" => match members.get("enum").and_then(Value::as_array) {
            Some(words) => Type::Words(words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()),
            None => Type::Text,
        },
        other => bail!("type {other} is unknown"),
    })
}
