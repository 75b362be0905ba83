//! The local API as an OpenAPI 3.1 document, made of the table that the routes are made of.

use axum::{http::StatusCode, response::Response};
use serde_json::{Map, Value, json};

use super::{
    json as answer,
    table::{Body, Operation, operations},
};

/// Answers with the document, in every stage: nothing in it is the instance's.
pub(super) async fn document() -> Response {
    answer(StatusCode::OK, &openapi())
}

/// The document.
pub(super) fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str()] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Freehold local API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What an app may ask of the guest agent of its instance, over a UNIX socket (spec/local-api.md).",
        },
        "paths": paths,
        "components": { "schemas": { "Refusal": schema(&["error:object"]) } },
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = path_parameters(operation.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(operation.query.map(|query| {
        let (name, kind) = member(query);
        json!({ "name": name, "in": "query", "required": false, "schema": typed(kind) })
    }));
    let mut described = json!({
        "summary": operation.summary,
        "parameters": parameters,
        "responses": { "200": response(operation.gives), "default": { "description": refusal(operation.path) } },
    });
    if let Some(content) = content(operation.asks) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

/// How a refusal looks below a path.
fn refusal(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("rofl") => "A sentence as plain text.",
        Some("freehold") => "An object of the schema Refusal, with a stable code.",
        _ => "An object with the member `error`, a sentence.",
    }
}

fn response(gives: Body) -> Value {
    let mut response = json!({ "description": "Done." });
    if let Some(content) = content(gives) {
        response["content"] = content;
    }
    response
}

fn content(body: Body) -> Option<Value> {
    match body {
        Body::Empty => None,
        Body::Text => Some(json!({ "text/plain": { "schema": { "type": "string" } } })),
        Body::Any => Some(json!({ "application/json": { "schema": {} } })),
        Body::Object(members) => Some(json!({ "application/json": { "schema": schema(members) } })),
    }
}

fn schema(members: &[&str]) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for text in members {
        let (name, kind) = member(text);
        let optional = name.strip_suffix('?');
        properties.insert(optional.unwrap_or(name).to_owned(), typed(kind));
        if optional.is_none() {
            required.push(name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn member(text: &str) -> (&str, &str) {
    text.split_once(':').expect("a member of the table is `name:type`")
}

/// A word of the table as JSON Schema.
fn typed(kind: &str) -> Value {
    let (kind, is_nullable) = kind.strip_suffix("|null").map_or((kind, false), |kind| (kind, true));
    let (kind, more) = match kind {
        "hex" => ("string", Some(("pattern", "^(0x)?([0-9a-fA-F]{2})*$"))),
        "base64" => ("string", Some(("contentEncoding", "base64"))),
        kind => (kind, None),
    };
    let mut schema = if is_nullable { json!({ "type": [kind, "null"] }) } else { json!({ "type": kind }) };
    if let Some((name, value)) = more {
        schema[name] = json!(value);
    }
    schema
}

/// Names in braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
