//! A disk that fills up under a running network: it ends with one sentence that helps, and goes on once there is room.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::{
    damage::check,
    support::{BINARY, Running, said, turn},
};

/// A file system of its own, in a mount namespace of its own; gone when dropped.
struct SmallDisk {
    holder: Child,
}

impl SmallDisk {
    /// `None`, said loudly, where a user may not mount.
    fn mount(folder: &Path) -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .args(["mount -t tmpfs -o size=24m none \"$0\" && echo mounted && exec cat"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let read = BufReader::new(holder.stdout.take()?).read_line(&mut line);
        if read.is_ok() && line.trim() == "mounted" {
            return Some(Self { holder });
        }
        let _reaped = holder.wait();
        eprintln!("SKIPPED: a file system in memory cannot be mounted here without rights (user namespaces are off)");
        None
    }

    /// Arguments of `nsenter` that bring a program to where the disk is seen.
    fn inside<'a>(pid: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        let enter = ["--target", pid, "--user", "--mount", "--preserve-credentials"];
        enter.iter().chain(arguments).copied().collect()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("nsenter").args(Self::inside(&self.holder.id().to_string(), arguments)).output().unwrap()
    }

    /// The network, which stands on this disk.
    fn up(&self, data: &Path) -> Result<Running, Output> {
        let up = [BINARY, "up", "--no-app", "--validators", "4", "--rpc", "127.0.0.1:0", "--data-dir"];
        let arguments = [&up[..], &[data.to_str().unwrap()]].concat();
        Running::try_start_of(Path::new("nsenter"), &Self::inside(&self.holder.id().to_string(), &arguments))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ended = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

#[test]
fn a_disk_that_fills_up_stops_the_network_cleanly_and_loses_nothing() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else { return };
    let data = folder.path().join("net");
    let filler = folder.path().join("filler");
    let filler = filler.to_str().unwrap();
    let network = disk.up(&data).unwrap_or_else(|output| panic!("{}", said(&output)));
    network.reach(5);
    let hash = network.block_hash(5);
    let full = disk.run(&["dd", "if=/dev/zero", &format!("of={filler}"), "bs=4096"]);
    assert!(said(&full).contains("No space left"), "{}", said(&full));
    helps(&network.ended(), "as the disk fills up");
    let still = disk.up(&data).err().expect("it does not start on a full disk");
    helps(&still, "on a full disk");
    assert!(disk.run(&["rm", filler]).status.success());
    let network = disk.up(&data).unwrap_or_else(|output| panic!("with room again: {}", said(&output)));
    network.reach(15);
    assert_eq!(network.block_hash(5), hash);
    network.interrupt();
}

fn helps(output: &Output, when: &str) {
    check(output, when);
    assert!(said(output).contains("free space"), "{when}: {}", said(output));
}
