//! Prints golden answers of the default model as JSON: `record_golden FILE`, on the forced tier.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{ops::ControlFlow, path::Path};

use freehold_inference::{CONTEXT_DEFAULT, DEFAULT_MODEL, Engine, Generation, Message};
use freehold_primitives::Sampling;

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let engine = Engine::load(Path::new(&path), DEFAULT_MODEL, CONTEXT_DEFAULT).unwrap();
    assert_eq!(engine.tier().name(), "avx2-forced");
    let long = "Count the words of this text. ".repeat(40);
    let questions =
        [("What is the capital of France?", 16), ("Write a short poem about the sea.", 48), (long.as_str(), 24)];
    let cases: Vec<serde_json::Value> = questions
        .iter()
        .map(|(question, max_tokens)| {
            let message = Message { role: "user".to_owned(), content: (*question).to_owned() };
            let prompt = engine.prompt(&[message]).unwrap();
            let sampling =
                Sampling { temperature_milli: 0, top_p_milli: 1000, top_k: 0, seed: 0, max_tokens: *max_tokens };
            let mut text = String::new();
            engine
                .generate(Generation { prompt, sampling, stops: vec![] }, |step| {
                    text.push_str(step.text());
                    ControlFlow::Continue(())
                })
                .unwrap();
            serde_json::json!({"question": question, "max_tokens": max_tokens, "answer": text})
        })
        .collect();
    let identity = engine.identity();
    let document = serde_json::json!({
        "model": identity.name,
        "weights_sha256": identity.weights_sha256,
        "converted_sha256": identity.converted_sha256,
        "cases": cases,
    });
    println!("{}", serde_json::to_string_pretty(&document).unwrap());
}
