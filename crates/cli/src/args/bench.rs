//! Arguments of `bench`.

use std::path::PathBuf;

use clap::Subcommand;
use freehold_primitives::NetworkKey;
use freehold_rpc::Endpoint;

/// A part of `bench network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum NetworkPart {
    /// Submit to receipt, and blocks a second.
    Finality,
    /// Finality of 1, 4, 7 and 16 validators over links of 0, 25 and 100 ms, in simulated time: computing costs nothing there.
    Simulated,
    /// Time to go on after kills.
    Recovery,
    /// What a change of terms costs.
    Turns,
    /// Size, memory and time to open as accounts grow.
    Growth,
    /// Key release: from the question for shares to the open key, processor time of a share, releases a second.
    Keys,
    /// Increments of chain-anchored counters a second, and the time until a value is proven.
    Counters,
}

/// A part of `bench apps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AppsPart {
    /// From an empty folder to an answer.
    First,
    /// Cold starts, and recovery after a kill, of a process and of containers.
    Starts,
    /// Calls of the local API a second.
    LocalApi,
    /// A request to an app and a loop of the processor, by what keeps the app apart: nothing, bubblewrap, Landlock, a container.
    Overhead,
    /// Bytes of bundles and images.
    Sizes,
    /// Cold start of a VM, where QEMU and FREEHOLD_KERNEL_PACKAGE are there.
    Vm,
    /// Instances that renew their leases at once.
    Renewals,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Submit to receipt, with 1 and 4 validators.
    Finality {
        /// Transactions for each figure.
        #[arg(long, value_name = "N", default_value_t = 40)]
        count: u32,
    },
    /// Time to check a proof offline, by link.
    Verify {
        /// Proof file; without it a fresh one is made with a network of its own.
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
        /// Network key of the proof.
        #[arg(long, value_name = "HEX", requires = "proof")]
        network_key: Option<NetworkKey>,
        /// Repetitions.
        #[arg(long, value_name = "N", default_value_t = 200)]
        count: u32,
    },
    /// State sync, and a follower that catches up from the genesis, against a running node that keeps everything.
    Sync {
        /// JSON-RPC of the node, such as http://127.0.0.1:8545.
        #[arg(long, value_name = "URL")]
        rpc: Endpoint,
        /// Its network key, 96 bytes in hex.
        #[arg(long, value_name = "HEX")]
        network_key: NetworkKey,
    },
    /// Time to verify evidence, by kind, and what a registration costs.
    Attest {
        /// Repetitions.
        #[arg(long, value_name = "N", default_value_t = 100)]
        count: u32,
    },
    /// Transactions a second through JSON-RPC, in the open and confidential, beside anvil.
    Evm {
        /// Transactions of a round.
        #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(20..=5_000))]
        count: u32,
        /// Rounds of each figure; the median counts.
        #[arg(long, value_name = "N", default_value_t = 3)]
        rounds: u32,
        /// Foundry's anvil; sought on the path without this.
        #[arg(long, value_name = "FILE")]
        anvil: Option<PathBuf>,
        /// Measure size, memory and time of blocks as accounts grow tenfold up to this many instead.
        #[arg(long, value_name = "N")]
        accounts: Option<u64>,
    },
    /// Tokens a second: bare engine, and with encryption, receipts and durable writes.
    Infer {
        /// Pairs of runs.
        #[arg(long, value_name = "N", default_value_t = 10)]
        count: u32,
        /// Model: a name or a GGUF file.
        #[arg(long, value_name = "NAME|FILE.gguf")]
        model: Option<String>,
        /// Threads of the model.
        #[arg(long, value_name = "N", default_value_t = 1)]
        threads: u32,
    },
    /// A network of processes: finality, recovery after kills, changes of terms, and growth of state.
    Network {
        /// Validators, each a process.
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(4..=16))]
        validators: u32,
        /// Transactions for each figure.
        #[arg(long, value_name = "N", default_value_t = 40)]
        count: u32,
        /// Kills for each figure.
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// Payloads of a term, where terms are watched.
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(32..=10_000))]
        term_blocks: u64,
        /// Accounts up to which state grows.
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        accounts: u64,
        /// Only these parts.
        #[arg(long = "part", value_name = "PART")]
        parts: Vec<NetworkPart>,
    },
    /// Apps: from an empty folder to an answer, cold starts, the local API, isolation, renewals, recovery after a kill.
    Apps {
        /// Starts for each figure.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        count: u32,
        /// Folder of an app of containers with its images, whose sizes and starts are measured.
        #[arg(long, value_name = "DIR")]
        container: Option<PathBuf>,
        /// Folder of an app that is a process, whose sizes and starts are measured; without this, the app that `app init` makes.
        #[arg(long, value_name = "DIR")]
        process: Option<PathBuf>,
        /// Only these parts.
        #[arg(long = "part", value_name = "PART")]
        parts: Vec<AppsPart>,
        /// Instances that renew their leases, of as many apps as that takes: one has 64 live ones at most.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=200))]
        instances: u8,
    },
    /// Seconds from cold to ready and to the first token.
    Start {
        /// Repetitions.
        #[arg(long, value_name = "N", default_value_t = 3)]
        count: u32,
    },
}
