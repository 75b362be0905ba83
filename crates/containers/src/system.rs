//! What containers need of the system beside their runtime: mounts, file systems and control groups. Only a storage that is a file
//! needs the system's own programs, `mkfs.ext4` and `mount`. Only root can use them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::mounts;

/// Where control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";
/// Longest message of a program that is passed on, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// Runs a program of the system to its end; what it says on standard error becomes the error.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S], folder: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, format!("the program `{program}` is not here")),
        _ => error,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr[..output.stderr.len().min(MESSAGE_BYTES_MAX)]).trim().to_owned();
    Err(io::Error::other(format!("`{program}`: {said}")))
}

/// Mounts a file system in memory of a bounded size.
pub(crate) fn mount_memory(at: &Path, bytes: u64, files: u64, mode: &str) -> io::Result<()> {
    fs::create_dir_all(at)?;
    mounts::mount("tmpfs", at, &format!("size={bytes},nr_inodes={files},mode={mode}"))
}

/// Mounts a writable view of `lower`, a name in `folder`; what is written goes to `upper` and `work`.
pub(crate) fn mount_overlay(folder: &Path, lower: &str, upper: &Path, work: &Path, at: &Path) -> io::Result<()> {
    fs::create_dir_all(at)?;
    // By a number, since the folder's own path may hold what separates options.
    let folder = File::open(folder)?;
    let lower = format!("/proc/self/fd/{}/{lower}", folder.as_raw_fd());
    let options = format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
    mounts::mount("overlay", at, &options)
}

/// Mounts a disk that is a file, made and formatted if it is not there. One that is there is never formatted.
pub(crate) fn mount_disk(file: &Path, bytes: u64, at: &Path) -> io::Result<()> {
    fs::create_dir_all(at)?;
    if !file.exists() {
        let fresh = file.with_extension("new");
        let _ = fs::remove_file(&fresh);
        File::create_new(&fresh)?.set_len(bytes)?;
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-F".as_ref(), "-m".as_ref(), "0".as_ref(), fresh.as_os_str()],
            Path::new("/"),
        )?;
        fs::rename(&fresh, file)?;
    }
    let words: [&OsStr; 4] = ["-o".as_ref(), "loop,nosuid,nodev".as_ref(), file.as_ref(), at.as_ref()];
    run("mount", &words, Path::new("/"))
}

/// Unmounts everything below a folder, the last mounted first.
pub(crate) fn unmount_below(folder: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    // proc(5): the fifth field is the mount point; spaces in it are escaped, and there are none in ours.
    let points =
        mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| Path::new(point).starts_with(folder));
    let points: Vec<&str> = points.collect();
    points.iter().rev().try_for_each(|point| mounts::unmount(Path::new(point)))
}

/// Bounds a control group over those of an app's containers: memory in bytes, and processes.
pub(crate) fn bound_group(group: &str, memory_bytes: u64, processes: u64) -> io::Result<()> {
    let group = group.trim_start_matches('/');
    let bound = |controller: &str, names: [&str; 2], value: u64| {
        // Version 1 has a tree for each controller, version 2 one tree.
        let files = [format!("{controller}/{group}/{}", names[0]), format!("{group}/{}", names[1])];
        let found = files.iter().map(|file| Path::new(CGROUPS).join(file)).find(|file| file.exists());
        let file =
            found.ok_or_else(|| io::Error::new(ErrorKind::NotFound, format!("no control group for {controller}")))?;
        fs::write(file, value.to_string())
    };
    bound("memory", ["memory.limit_in_bytes", "memory.max"], memory_bytes)?;
    bound("pids", ["pids.max", "pids.max"], processes)
}

/// Removes a control group and those right below it; those in use stay.
pub(crate) fn remove_group(group: &str) {
    let group = group.trim_start_matches('/');
    let trees = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    for place in trees.chain([PathBuf::from(CGROUPS)]).map(|tree| tree.join(group)).filter(|place| place.is_dir()) {
        for below in fs::read_dir(&place).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(below.path());
        }
        let _ = fs::remove_dir(&place);
    }
}
