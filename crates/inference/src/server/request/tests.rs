//! Reading requests: what is accepted, and what is refused with which parameter.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn with(change: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in change.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn refused(change: &Value) -> (u16, String) {
    let error = read(&with(change)).unwrap_err();
    (error.status.as_u16(), error.param.unwrap_or_default())
}

#[test]
fn defaults_are_openais() {
    let request = read(&with(&json!({}))).unwrap();
    assert_eq!(request.sampling.temperature_milli, 1000);
    assert_eq!(request.sampling.top_p_milli, 1000);
    assert!(!request.stream && !request.include_usage && !request.seed_given);
}

#[test]
fn values_become_integers() {
    let change = json!({"temperature": 0.7004, "top_p": 0.9, "seed": 7, "max_completion_tokens": 5, "stop": "x",
        "stream": true, "stream_options": {"include_usage": true}, "user": "someone", "n": 1, "tools": null});
    let request = read(&with(&change)).unwrap();
    let expected = Sampling { temperature_milli: 700, top_p_milli: 900, top_k: 0, seed: 7, max_tokens: 5 };
    assert_eq!(request.sampling, expected);
    assert_eq!(request.stops, ["x"]);
    assert!(request.stream && request.include_usage && request.seed_given);
}

#[test]
fn text_parts_are_joined_and_roles_mapped() {
    let messages = json!([
        {"role": "developer", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
        {"role": "tool", "content": "d", "tool_call_id": "1"}
    ]);
    let request = read(&with(&json!({ "messages": messages }))).unwrap();
    let found: Vec<(&str, &str)> = request.messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
    assert_eq!(found, [("system", "a"), ("user", "bc"), ("tool", "d")]);
}

#[test]
fn the_unsupported_is_refused_by_name() {
    for (change, param) in [
        (json!({"n": 2}), "n"),
        (json!({"n": "1"}), "n"),
        (json!({"temperature": 2.1}), "temperature"),
        (json!({"temperature": -0.1}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"seed": -1}), "seed"),
        (json!({"seed": 1_u64 << 53}), "seed"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), "max_tokens"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"stop": ""}), "stop"),
        (json!({"tools": [{"type": "function"}]}), "tools"),
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"frequency_penalty": 0.5}), "frequency_penalty"),
        (json!({"unheard_of": 1}), "unheard_of"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options"),
        (json!({"model": ""}), "model"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [{"role": "robot", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), "messages[0].content"),
        (json!({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}), "messages[0].tool_calls"),
        (json!({"provider": {"aci_unknown": 1}}), "provider"),
        (json!({"provider": {"aci_verified": false, "aci_session_ids": ["x"]}}), "provider"),
    ] {
        assert_eq!(refused(&change), (400, param.to_owned()), "{change}");
    }
    assert_eq!(refused(&json!({"provider": {"aci_session_ids": ["x"]}})).0, 412);
    assert!(read(&with(&json!({"provider": {"aci_verified": true}}))).is_ok());
    assert!(read(&json!([])).is_err());
}
