//! Real models: token ids against llama.cpp's, greedy answers against recorded ones.
//!
//! The model files are looked for where `freehold model pull` puts them, or in `FREEHOLD_MODELS`. Without them these
//! tests say loudly that they skip.

use std::{ops::ControlFlow, path::PathBuf, process::Command};

use freehold_inference::{
    Engine, Generation, KernelChoice, KernelTier, Message, PROFILE_GREEDY, default_model_folder, environment,
    find_model, is_present, model_path,
};
use freehold_primitives::Sampling;
use serde_json::Value;

fn engine(name: &str) -> Option<Engine> {
    let model = find_model(name).unwrap();
    let folder = std::env::var_os("FREEHOLD_MODELS").map(PathBuf::from).or_else(default_model_folder).unwrap();
    if !is_present(model, &folder) {
        eprintln!("SKIPPED: {name} is not in {}: run `freehold model pull {name}`", folder.display());
        return None;
    }
    Some(Engine::load(&model_path(model, &folder), name, 2048).unwrap())
}

fn vector(file: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/inference").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn check_tokens(name: &str, file: &str) {
    let Some(engine) = engine(name) else { return };
    let vector = vector(file);
    assert_eq!(vector["weights_sha256"], engine.identity().weights_sha256.to_string());
    let mut wrong = Vec::new();
    for case in vector["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let found = engine.tokenizer().encode(text).unwrap();
        if found != ids(case) {
            wrong.push(format!("{text:?}: {found:?}, llama.cpp {:?}", ids(case)));
        }
    }
    for case in vector["chats"].as_array().unwrap() {
        let text = |message: &Value, key: &str| message[key].as_str().unwrap().to_owned();
        let messages: Vec<Message> = case["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| Message { role: text(message, "role"), content: text(message, "content") })
            .collect();
        assert_eq!(engine.template().render(&messages).unwrap(), case["prompt"].as_str().unwrap());
        assert_eq!(engine.prompt(&messages).unwrap(), ids(case));
    }
    assert!(wrong.is_empty(), "{} texts differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn default_model_token_ids_are_llama_cpps() {
    check_tokens("SmolLM2-135M-Instruct", "tokens-smollm2.json");
}

#[test]
fn better_model_token_ids_are_llama_cpps() {
    check_tokens("Qwen2.5-Coder-1.5B-Instruct", "tokens-qwen2.5-coder.json");
}

fn answer(engine: &Engine, question: &str, sampling: Sampling) -> String {
    let message = Message { role: "user".to_owned(), content: question.to_owned() };
    let prompt = engine.prompt(&[message]).unwrap();
    let mut text = String::new();
    engine
        .generate(Generation { prompt, sampling, stops: vec![] }, |step| {
            text.push_str(step.text());
            ControlFlow::Continue(())
        })
        .unwrap();
    text
}

fn greedy(max_tokens: u32) -> Sampling {
    Sampling { temperature_milli: 0, top_p_milli: 1000, top_k: 0, seed: 0, max_tokens }
}

/// Runs in a process of its own, whose environment forces the kernels.
#[test]
fn forced_tier_child() {
    if std::env::var_os("FREEHOLD_GOLDEN_CHILD").is_none() {
        return;
    }
    let Some(engine) = engine("SmolLM2-135M-Instruct") else { return };
    assert_eq!(engine.tier(), KernelTier::Avx2Forced);
    assert_eq!(engine.profile(&greedy(16)), Some(PROFILE_GREEDY));
    let golden = vector("golden-smollm2.json");
    for case in golden["cases"].as_array().unwrap() {
        let max_tokens = case["max_tokens"].as_u64().unwrap() as u32;
        let found = answer(&engine, case["question"].as_str().unwrap(), greedy(max_tokens));
        assert_eq!(found, case["answer"].as_str().unwrap());
    }
}

#[test]
fn greedy_answers_of_the_default_model_come_again() {
    if !cfg!(target_arch = "x86_64") {
        eprintln!("SKIPPED: the golden answers are for x86-64");
        return;
    }
    for threads in [1, 2] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "golden::forced_tier_child", "--nocapture"]).env("FREEHOLD_GOLDEN_CHILD", "1");
        for (name, value) in environment(threads, KernelChoice::Reproducible) {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        let output = child.output().unwrap();
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "the golden answers differ with {threads} threads: {errors}");
        assert!(said.contains("1 passed"), "the child ran nothing: {said}");
    }
}

#[test]
fn seeded_answers_come_again_and_seeds_matter() {
    let Some(engine) = engine("SmolLM2-135M-Instruct") else { return };
    let sampling = |seed| Sampling { temperature_milli: 1200, top_p_milli: 950, top_k: 0, seed, max_tokens: 12 };
    let one = answer(&engine, "Tell me a story.", sampling(1));
    assert_eq!(one, answer(&engine, "Tell me a story.", sampling(1)));
    assert_ne!(one, answer(&engine, "Tell me a story.", sampling(2)));
    assert_eq!(engine.profile(&sampling(1)), None);
}
