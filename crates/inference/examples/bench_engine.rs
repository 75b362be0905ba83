//! Tokens a second of the bare engine: `bench_engine FILE NAME [PROMPT_TOKENS] [NEW_TOKENS]`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{ops::ControlFlow, path::Path, time::Instant};

use freehold_inference::{CONTEXT_DEFAULT, Engine, Generation, Message};
use freehold_primitives::Sampling;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |index: usize, default: usize| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let started = Instant::now();
    let engine = Engine::load(Path::new(&arguments[1]), &arguments[2], CONTEXT_DEFAULT).unwrap();
    println!("load {:?} tier {} threads {}", started.elapsed(), engine.tier().name(), engine.threads());
    println!("{:?}", engine.identity());
    let (prompt_tokens, new_tokens) = (number(3, 64), number(4, 64));
    let message = Message { role: "user".to_owned(), content: "What is the capital of France?".to_owned() };
    let mut prompt = engine.prompt(&[message]).unwrap();
    while prompt.len() < prompt_tokens {
        prompt.insert(1, 260);
    }
    for _ in 0..3 {
        let sampling =
            Sampling { temperature_milli: 0, top_p_milli: 1000, top_k: 0, seed: 0, max_tokens: new_tokens as u32 };
        let mut text = String::new();
        let outcome = engine
            .generate(Generation { prompt: prompt.clone(), sampling, stops: vec![] }, |step| {
                text.push_str(step.text());
                ControlFlow::Continue(())
            })
            .unwrap();
        println!(
            "prefill {:.1} t/s, decode {:.1} t/s, {outcome:?} {text:?}",
            f64::from(outcome.prompt_tokens) / outcome.prefill.as_secs_f64(),
            f64::from(outcome.completion_tokens) / outcome.decode.as_secs_f64()
        );
    }
}
