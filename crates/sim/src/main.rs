//! The command: one seed, many seeds, or figures of finality.
#![allow(clippy::print_stdout, reason = "a command speaks to whoever runs it")]

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use freehold_sim::{Fault, FinalityOptions, Options, Report, finality, run, smallest};

#[derive(Parser)]
#[command(name = "freehold-sim", about = "A whole network from one seed, with everything that can go wrong")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one seed; a failure is made smaller by leaving out classes of faults.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        shape: Shape,
    },
    /// Runs many seeds, on every processor, and stops at the first that fails.
    Seeds {
        /// The first seed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many.
        #[arg(long, default_value_t = 200)]
        count: u64,
        /// Threads; one for each processor where left out.
        #[arg(long)]
        threads: Option<usize>,
        #[command(flatten)]
        shape: Shape,
    },
    /// Prints finality and blocks per second of networks where nothing is faulty, in simulated time.
    Finality {
        /// Blocks that are counted.
        #[arg(long, default_value_t = 50)]
        blocks: u64,
    },
}

#[derive(Args, Clone)]
struct Shape {
    /// Validators: 1, or 4 and more; by the seed where left out.
    #[arg(long)]
    nodes: Option<u16>,
    /// Classes of faults, joined by commas; `all`, or `none`.
    #[arg(long, default_value = "all")]
    faults: String,
    /// Simulated length of the troubled part, in milliseconds.
    #[arg(long, default_value_t = 6_000)]
    length_ms: u64,
}

impl Shape {
    fn options(&self, seed: u64) -> Result<Options> {
        let faults: BTreeSet<Fault> = match self.faults.as_str() {
            "all" => Fault::ALL.into_iter().collect(),
            "none" => BTreeSet::new(),
            words => words.split(',').map(str::parse).collect::<Result<_, _>>()?,
        };
        let length = Duration::from_millis(self.length_ms);
        Ok(Options { nodes: self.nodes, faults, length, ..Options::new(seed) })
    }
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run { seed, shape } => {
            let report = run(&shape.options(seed)?);
            println!("{report}");
            if report.violation.is_none() {
                return Ok(ExitCode::SUCCESS);
            }
            println!("the least that fails: {}", smallest(report).command());
            Ok(ExitCode::FAILURE)
        }
        Command::Seeds { from, count, threads, shape } => seeds(from..from.saturating_add(count), threads, &shape),
        Command::Finality { blocks } => figures(blocks),
    }
}

fn seeds(range: std::ops::Range<u64>, threads: Option<usize>, shape: &Shape) -> Result<ExitCode> {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    shape.options(0)?;
    let (begun, next) = (Instant::now(), AtomicU64::new(range.start));
    let work = || -> Vec<Report> {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let Ok(options) = shape.options(seed) else { return failed };
            if seed >= range.end {
                return failed;
            }
            let report = run(&options);
            if report.violation.is_some() {
                println!("{report}");
                next.store(range.end, Ordering::Relaxed);
                failed.push(report);
            } else if seed % 100 == 0 {
                println!("{report}");
            }
        }
    };
    let failed: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    if failed.is_empty() {
        println!("{} seeds passed in {seconds:.1} s on {threads} threads", range.end - range.start);
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} seeds failed after {seconds:.1} s", failed.len());
    Ok(ExitCode::FAILURE)
}

fn figures(blocks: u64) -> Result<ExitCode> {
    if blocks == 0 {
        bail!("at least one block must be counted");
    }
    println!("validators  link ms   p50 ms   p99 ms  blocks/s  bytes/block");
    for nodes in [1, 4, 7, 16] {
        for latency_ms in [0, 25, 100] {
            let latency = Duration::from_millis(latency_ms);
            let figures = finality(FinalityOptions { nodes, latency, blocks, seed: 1 })?;
            println!(
                "{nodes:>10}  {latency_ms:>7}  {:>7.1}  {:>7.1}  {:>8.2}  {:>11}",
                figures.p50_ms, figures.p99_ms, figures.blocks_per_s, figures.bytes_per_block
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
