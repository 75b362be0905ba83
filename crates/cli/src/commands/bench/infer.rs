//! What privacy and proof cost in tokens: the bare engine in a process of its own, and the whole way (encryption, receipts,
//! durable writes), in turns.
//!
//! Processor time of the whole way is that of the instance (app and guest), read from the system's scheduler; the bare
//! engine tells its own. Both run the same prompt greedily on the same kernels.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    ops::ControlFlow,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use freehold_client::{AskEvent, AskOptions, Asker, Message};
use freehold_inference::{CONTEXT_DEFAULT, Engine, Generation, environment, kernel_choice};
use freehold_primitives::{Event, Sampling};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{cpu_s, descendants_cpu_s, round};
use crate::{
    data_dir::Held,
    model,
    network::Wanted,
    output::Output,
    stack::{AppChoice, Stack, StackConfig},
};

const CHAIN_ID: u64 = 23_292;
const TOKENS: u32 = 64;
const PROMPT: &str = "Write a long story about a house that nobody can take away from the people who live in it.";

/// One run of the bare engine.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bare {
    prompt_tokens: u32,
    tokens: u32,
    prefill_s: f64,
    decode_s: f64,
    cpu_s: f64,
}

/// One run of the whole way.
#[derive(Debug, Clone, Copy)]
struct Whole {
    tokens: u32,
    /// From the sealed request to the first piece of the answer: transport and first token are in it.
    prefill_s: f64,
    decode_s: f64,
    first_s: f64,
    cpu_s: f64,
}

/// Runs the benchmark.
pub(crate) async fn run(count: u32, word: Option<String>, threads: u32, output: Output) -> Result<()> {
    let brought = model::bring(word.as_deref(), output).await?;
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = StackConfig {
        wanted: Wanted::development(CHAIN_ID, 4),
        rpc: any,
        app: Some(AppChoice { api: any, model: word, threads: Some(threads) }),
    };
    let stack = Stack::start(&held, config, output).await?;
    let measured = turns(&stack, &brought, count, threads).await;
    stack.stop().await;
    let (bare, whole) = measured?;
    report(&bare, &whole, output);
    Ok(())
}

async fn turns(stack: &Stack, model: &model::Brought, count: u32, threads: u32) -> Result<(Vec<Bare>, Vec<Whole>)> {
    let mut engine = BareEngine::start(model, threads)?;
    let asker = Asker::new(stack.target()?);
    let (mut bare, mut whole) = (Vec::new(), Vec::new());
    // The first pair warms both up and does not count.
    for turn in 0..=count {
        let one = engine.generate()?;
        let other = ask(&asker).await?;
        if turn > 0 {
            bare.push(one);
            whole.push(other);
        }
    }
    Ok((bare, whole))
}

async fn ask(asker: &Asker) -> Result<Whole> {
    let options = AskOptions {
        max_tokens: Some(TOKENS),
        temperature_milli: Some(0),
        anchor_wait: Duration::ZERO,
        ..AskOptions::default()
    };
    let (begun, cpu) = (Instant::now(), descendants_cpu_s()?);
    let (mut sealed, mut first, mut last) = (0.0, None, 0.0);
    let mut heard = |event: AskEvent<'_>| match event {
        AskEvent::RequestSealed { .. } => sealed = begun.elapsed().as_secs_f64(),
        AskEvent::Text(_) => {
            last = begun.elapsed().as_secs_f64();
            first.get_or_insert(last);
        }
        _ => {}
    };
    let answer = asker.ask(&[Message::user(PROMPT)], &options, &mut heard).await?;
    let tokens = answer.receipt.event_log.iter().find_map(|event| match event {
        Event::Stream { tokens, .. } => Some(*tokens),
        _ => None,
    });
    let first_s = first.context("the answer was empty")?;
    Ok(Whole {
        tokens: tokens.context("the receipt counts no tokens")?,
        prefill_s: first_s - sealed,
        decode_s: last - first_s,
        first_s,
        cpu_s: descendants_cpu_s()? - cpu,
    })
}

fn report(bare: &[Bare], whole: &[Whole], output: Output) {
    let sum = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
    let prompt = sum(&mut bare.iter().map(|run| f64::from(run.prompt_tokens)));
    let tokens = sum(&mut bare.iter().map(|run| f64::from(run.tokens)));
    let prefill = prompt / sum(&mut bare.iter().map(|run| run.prefill_s));
    let decode = tokens / sum(&mut bare.iter().map(|run| run.decode_s));
    let bare_cpu = sum(&mut bare.iter().map(|run| run.cpu_s)) / tokens;
    let whole_tokens = sum(&mut whole.iter().map(|run| f64::from(run.tokens)));
    let whole_decode = whole_tokens / sum(&mut whole.iter().map(|run| run.decode_s));
    let whole_prefill = prompt / sum(&mut whole.iter().map(|run| run.prefill_s));
    let whole_cpu = sum(&mut whole.iter().map(|run| run.cpu_s)) / whole_tokens;
    let first = sum(&mut whole.iter().map(|run| run.first_s)) / whole.len() as f64;
    let cost = (whole_cpu / bare_cpu - 1.0) * 100.0;
    let n = bare.len();
    output.text(&format!(
        "bare engine: prefill {prefill:.1}, decode {decode:.1} tokens/s, {:.2} ms CPU per token (n={n})",
        bare_cpu * 1e3
    ));
    output.text(&format!(
        "whole way:   prefill {whole_prefill:.1}, decode {whole_decode:.1} tokens/s, {:.2} ms CPU per token: {cost:+.1} %; \
         first token after {first:.2} s",
        whole_cpu * 1e3
    ));
    output.object(&json!({
        "event": "bench",
        "bench": "infer",
        "n": n,
        "bare": { "prefill_tokens_s": round(prefill), "decode_tokens_s": round(decode), "cpu_ms_token": round(bare_cpu * 1e3) },
        "whole": { "prefill_tokens_s": round(whole_prefill), "decode_tokens_s": round(whole_decode), "first_token_s": round(first), "cpu_ms_token": round(whole_cpu * 1e3) },
        "cpu_cost_percent": round(cost),
    }));
}

/// The bare engine in a process of its own: one line in, one run out.
struct BareEngine {
    child: Child,
    input: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl BareEngine {
    fn start(model: &model::Brought, threads: u32) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench-engine").arg(&model.path).arg(&model.name).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, value) in environment(threads as usize, kernel_choice(&model.name)) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn().context("the bare engine did not start")?;
        let (Some(input), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the bare engine has no pipes")
        };
        Ok(Self { child, input, answers: BufReader::new(answers) })
    }

    fn generate(&mut self) -> Result<Bare> {
        writeln!(self.input, "{TOKENS}").context("the bare engine ended")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("the bare engine ended")?;
        serde_json::from_str(&line).context("the bare engine failed")
    }
}

impl Drop for BareEngine {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The child's side: a run for each line.
pub(crate) fn engine(path: &Path, name: &str) -> Result<ExitCode> {
    let engine = Engine::load(path, name, CONTEXT_DEFAULT)?;
    let prompt =
        engine.prompt(&[freehold_inference::Message { role: "user".to_owned(), content: PROMPT.to_owned() }])?;
    for line in std::io::stdin().lock().lines() {
        let max_tokens = line?.trim().parse().context("a number of tokens")?;
        let cpu = cpu_s();
        let sampling = Sampling { temperature_milli: 0, top_p_milli: 1_000, top_k: 0, seed: 0, max_tokens };
        let generation = Generation { prompt: prompt.clone(), sampling, stops: Vec::new() };
        let outcome = engine.generate(generation, |_| ControlFlow::Continue(()))?;
        let run = Bare {
            prompt_tokens: outcome.prompt_tokens,
            tokens: outcome.completion_tokens,
            prefill_s: outcome.prefill.as_secs_f64(),
            decode_s: outcome.decode.as_secs_f64(),
            cpu_s: cpu_s() - cpu,
        };
        Output::new(true).line(&serde_json::to_string(&run)?);
    }
    Ok(ExitCode::SUCCESS)
}
