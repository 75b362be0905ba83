//! Four validators in a process that is killed with SIGKILL mid-run and started again on the same directory.
//!
//! The test binary starts itself: `child` is the process that is killed. It appends what becomes final to a file,
//! which is what a durable application does before it acknowledges.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::Net;
use commonware_runtime::{Clock as _, Runner as _, tokio};

const DIRECTORY: &str = "FREEHOLD_KILL_DIRECTORY";
const COUNT: usize = 4;

/// The process that is killed; it does nothing unless the test starts it.
#[test]
#[ignore = "the killed half of `killed_process_resumes`"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let net = Net::loopback(COUNT, 10);
    let settings = tokio::Config::new().with_worker_threads(2).with_storage_directory(directory.join("storage"));
    tokio::Runner::new(settings).start(async |context| {
        let mut handles = Vec::new();
        for index in 0..COUNT {
            handles.push(net.start(&context, index).await);
        }
        let open = |index| OpenOptions::new().create(true).append(true).open(directory.join(format!("log-{index}")));
        let mut logs: Vec<_> = (0..COUNT).map(|index| open(index).unwrap()).collect();
        let mut written = [0; COUNT];
        loop {
            for (index, log) in logs.iter_mut().enumerate() {
                let seen = net.seen[index].lock().unwrap();
                for height in &seen.deliveries[written[index]..] {
                    writeln!(log, "{height} {}", seen.finals[height].digest).unwrap();
                }
                written[index] = seen.deliveries.len();
            }
            context.sleep(Duration::from_millis(1)).await;
        }
    });
}

fn spawn(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lines `height digest` of a log; a last line cut short is left out.
fn lines(directory: &Path, index: usize) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(directory.join(format!("log-{index}"))).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| line.split_once(' ').map(|(height, digest)| (height.parse().unwrap(), digest.to_owned()));
    whole.lines().filter_map(line).filter(|(_, digest)| digest.len() == 64).collect()
}

#[test]
fn killed_process_resumes() {
    let directory = tempfile::tempdir().unwrap();
    let mut height = 0;
    for round in 0_u64..4 {
        let mut child = spawn(directory.path());
        let deadline = Instant::now() + Duration::from_secs(60);
        let goal = height + 10 + round;
        while height < goal {
            assert!(Instant::now() < deadline, "round {round}: stuck at height {height}");
            assert!(child.try_wait().unwrap().is_none(), "round {round}: the process ended by itself");
            std::thread::sleep(Duration::from_millis(7));
            height = (0..COUNT)
                .filter_map(|index| lines(directory.path(), index).last().map(|last| last.0))
                .min()
                .unwrap_or(0);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut order: BTreeMap<u64, String> = BTreeMap::new();
    for index in 0..COUNT {
        let lines = lines(directory.path(), index);
        for (height, digest) in &lines {
            let known = order.entry(*height).or_insert_with(|| digest.clone());
            assert_eq!(known, digest, "two payloads at height {height}");
        }
        let redelivered = lines.windows(2).filter(|pair| pair[1].0 <= pair[0].0).count();
        println!("validator {index}: {} deliveries, {redelivered} steps back", lines.len());
    }
    assert!(order.keys().copied().eq(1..=order.len() as u64), "a height is missing everywhere");
}
