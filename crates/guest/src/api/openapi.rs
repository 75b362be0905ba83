//! The local API as an OpenAPI 3.1 document, made of the table that the routes are made of.

use axum::{http::StatusCode, response::Response};
use serde_json::{Map, Value, json};

use super::{
    json as answer,
    schemas::{SCHEMAS, Schema},
    table::{Body, Operation, Unready, operations},
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
        "components": { "schemas": SCHEMAS.iter().map(|of| (of.name.to_owned(), schema(of))).collect::<Map<_, _>>() },
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = path_parameters(operation.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(operation.query.iter().map(|query| {
        let (name, kind) = member(query);
        let parameter = json!({ "name": name, "in": "query", "required": false, "schema": typed(kind) });
        // Values of a list stand in one text, with commas between.
        if kind.starts_with('[') { with(with(parameter, "style", "form"), "explode", false) } else { parameter }
    }));
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": { "200": response(operation.gives), "default": refusal(operation.path) },
    });
    if operation.unready == Unready::Answers {
        described["responses"]["503"] =
            with(response(operation.gives), "description", "The same, while it does not serve.");
    }
    if let Some(content) = content(operation.asks) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    described
}

fn with(mut value: Value, name: &str, what: impl Into<Value>) -> Value {
    value[name] = what.into();
    value
}

/// An operation's name, or its method and path where that is its name.
fn operation_id(operation: &Operation) -> String {
    match operation.name.strip_prefix('/') {
        Some(path) => format!("{}_{}", operation.method.as_str(), path.replace(['/', '.'], "_")),
        None => operation.name.to_owned(),
    }
}

/// How a refusal looks below a path.
fn refusal(path: &str) -> Value {
    match path.split('/').nth(1) {
        Some("rofl") => json!({
            "description": "A sentence as plain text.",
            "content": { "text/plain": { "schema": { "type": "string" } } },
        }),
        Some("freehold") => json!({
            "description": "A stable code and a sentence.",
            "content": { "application/json": { "schema": typed("Refusal") } },
        }),
        _ => json!({ "description": "An object with the member `error`, a sentence." }),
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
        Body::Json(of) => Some(json!({ "application/json": { "schema": typed(of) } })),
        Body::Lines(of) => Some(json!({ "application/x-ndjson": { "schema": typed(of) } })),
    }
}

fn schema(of: &Schema) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for text in of.members {
        let (name, kind) = member(text);
        let optional = name.strip_suffix('?');
        properties.insert(optional.unwrap_or(name).to_owned(), typed(kind));
        if optional.is_none() {
            required.push(name);
        }
    }
    json!({ "description": of.about, "type": "object", "properties": properties, "required": required })
}

fn member(text: &str) -> (&str, &str) {
    text.split_once(':').expect("a member of the table is `name:type`")
}

/// A type as JSON Schema.
fn typed(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix("|null") {
        let schema = typed(kind);
        return match schema["type"].as_str() {
            Some(word) => with(schema.clone(), "type", json!([word, "null"])),
            None => json!({ "oneOf": [schema, { "type": "null" }] }),
        };
    }
    let inside = |open: char, close: char| kind.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(of) = inside('[', ']') {
        return json!({ "type": "array", "items": typed(of) });
    }
    if let Some(of) = inside('{', '}') {
        return json!({ "type": "object", "additionalProperties": typed(of) });
    }
    if let Some(texts) = kind.strip_prefix('=') {
        return json!({ "type": "string", "enum": texts.split(',').collect::<Vec<_>>() });
    }
    match kind {
        "any" => json!({}),
        "hex" => json!({ "type": "string", "format": "hex", "pattern": "^(0x)?([0-9a-fA-F]{2})*$" }),
        "base64" => json!({ "type": "string", "contentEncoding": "base64" }),
        "string" | "integer" | "boolean" => json!({ "type": kind }),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

/// Names in braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
