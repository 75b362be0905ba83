//! The fuzz chore: builds the fuzz workspaces with the compiler's coverage passes, seeds a corpus, runs libFuzzer over one
//! entry after the other, and says how many executions each got in how many seconds of CPU.
//!
//! Time is counted in CPU seconds of the run itself, so that a busy machine does not shorten it. Linux only: it reads
//! `/proc`. Corpora and findings stay below the target folder; nothing in the tree changes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Coverage as libFuzzer wants it, from the passes that stable compilers have.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
/// Rooms with a fuzz workspace below them, whose entries have names of their own, and an example that writes seeds.
const ROOMS: [&str; 4] = ["attestation", "host", "ledger", "node"];
const SECONDS: u64 = 600;
/// Longest input that is tried: the longest container.
const INPUT_BYTES_MAX: usize = 256 * 1024;
/// The kernel's clock ticks in `/proc`, whatever its own tick is (proc(5), `USER_HZ`).
const TICKS_A_SECOND: u64 = 100;

/// What to run.
pub(crate) struct Plan {
    root: PathBuf,
    name: String,
    seconds: u64,
    target: PathBuf,
}

/// What one entry's run came to.
struct Outcome {
    executions: u64,
    cpu_s: u64,
    wall_s: u64,
}

impl Plan {
    /// Reads arguments; `None` where they are none of ours.
    pub(crate) fn read(root: &Path, arguments: &[String]) -> Option<Self> {
        let (name, mut rest) = arguments.split_first()?;
        let mut plan =
            Self { root: root.to_owned(), name: name.clone(), seconds: SECONDS, target: root.join("target/fuzz") };
        while let [flag, value, further @ ..] = rest {
            match flag.as_str() {
                "--seconds" => plan.seconds = value.parse().ok()?,
                "--target-dir" => plan.target = PathBuf::from(value),
                _ => return None,
            }
            rest = further;
        }
        rest.is_empty().then_some(plan)
    }

    /// Builds, seeds and runs; says a line for each entry.
    pub(crate) fn run(&self, say: fn(&str)) -> Result<()> {
        let mut plan = Vec::new();
        for room in ROOMS {
            let corpora = self.target.join("corpus").join(room);
            fs::create_dir_all(&corpora).with_context(|| format!("making {}", corpora.display()))?;
            self.seed(room, &corpora)?;
            for entry in fs::read_dir(&corpora)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if self.name == "all" || self.name == name {
                    plan.push((room, name));
                }
            }
        }
        plan.sort();
        ensure!(!plan.is_empty(), "there is no entry {}", self.name);
        for (at, (room, name)) in plan.iter().enumerate() {
            if at == 0 || plan[at - 1].0 != *room {
                self.build(room)?;
            }
            let Outcome { executions, cpu_s, wall_s } = self.fuzz(room, name)?;
            say(&format!("{name}: {executions} executions, {cpu_s} s of CPU, {wall_s} s, no finding"));
        }
        Ok(())
    }

    /// Cargo, as it called this chore, without what a gate may have put around the compiler.
    fn cargo() -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.env_remove("RUSTC_WORKSPACE_WRAPPER");
        cargo
    }

    fn seed(&self, room: &str, corpora: &Path) -> Result<()> {
        let mut cargo = Self::cargo();
        cargo.current_dir(&self.root).args([
            "run",
            "--quiet",
            "-p",
            &format!("freehold-{room}"),
            "--example",
            &format!("fuzz_seeds_{room}"),
        ]);
        succeed(cargo.arg("--").arg(corpora), "seeding the corpora")
    }

    /// Each room has a target folder of its own: their programs have one name.
    fn build(&self, room: &str) -> Result<()> {
        let mut cargo = Self::cargo();
        cargo.current_dir(self.root.join("crates").join(room).join("fuzz")).env("RUSTFLAGS", FLAGS);
        cargo.args(["build", "--release", "--locked", "--target", TRIPLE, "--target-dir"]).arg(self.target.join(room));
        succeed(&mut cargo, "building the fuzz entries")
    }

    fn fuzz(&self, room: &str, name: &str) -> Result<Outcome> {
        let corpus = self.target.join("corpus").join(room).join(name);
        let log = self.target.join(format!("{name}.log"));
        let findings = self.target.join("findings").join(name);
        fs::create_dir_all(&findings)?;
        let output = fs::File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let begun = Instant::now();
        let mut child = Command::new(self.target.join(room).join(TRIPLE).join("release/parsers"))
            .env("FREEHOLD_FUZZ", name)
            .arg("-print_final_stats=1")
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg(corpus)
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .context("starting the fuzz entry")?;
        let cpu_s = watch(&mut child, self.seconds)?;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let Some(cpu_s) = cpu_s else {
            bail!("{name}: a finding below {}; see {}", findings.display(), log.display());
        };
        let executions = text
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
            .and_then(|number| number.trim().parse().ok())
            .with_context(|| format!("no count of executions in {}", log.display()))?;
        Ok(Outcome { executions, cpu_s, wall_s: begun.elapsed().as_secs() })
    }
}

/// Waits until the child has used `seconds` of CPU and asks it to end; `None` where it ended by itself.
fn watch(child: &mut Child, seconds: u64) -> Result<Option<u64>> {
    loop {
        thread::sleep(Duration::from_secs(1));
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        let used = cpu_seconds(child.id()).context("reading the run's CPU time")?;
        if used >= seconds {
            let mut kill = Command::new("kill");
            succeed(kill.arg("-INT").arg(child.id().to_string()), "ending the run")?;
            child.wait()?;
            return Ok(Some(used));
        }
    }
}

/// CPU seconds of a process, in user and kernel mode (proc(5): fields 14 and 15 of `stat`).
fn cpu_seconds(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command stands in parentheses and may hold anything; field 3 follows the last of them.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    Some((user + kernel) / TICKS_A_SECOND)
}

fn succeed(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| what.to_owned())?;
    ensure!(status.success(), "{what} failed: {status}");
    Ok(())
}
