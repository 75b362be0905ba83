//! The program in the containers of tests: a server, what it depends on, a check, a job, and one that tries to get out.
//! Tests compile it with `rustc` alone, statically, so that an image needs nothing else. It is never run outside of a container.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    process::exit,
    thread::sleep,
    time::Duration,
};

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn fork() -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
    match word(0) {
        "serve" => serve(word(1), word(2)),
        "store" => store(word(1)),
        "check" => exit(i32::from(ask(word(1)).is_err())),
        "say" => println!("{}", words[1..].join(" ")),
        "exit" => exit(word(1).parse().unwrap_or(99)),
        "stubborn" => loop {
            sleep(Duration::from_secs(1));
        },
        "hog" => hog(),
        "probe" => probe(),
        "look" => look(),
        "through" => through(&words[1..]),
        _ => exit(98),
    }
}

/// Answers HTTP with a key of the app and what the store says; `/out/HOST:PORT` with what comes of that way out.
fn serve(port: &str, store: &str) {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    println!("serving");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..count]);
        let target = request.strip_prefix("GET /out/").and_then(|rest| rest.split(' ').next());
        let (status, body) = match (key(), ask(store)) {
            _ if target.is_some() => ("200 OK", format!("{{\"out\":{:?}}}", way_out(target.unwrap_or_default()))),
            (Ok(key), Ok(stored)) => ("200 OK", format!("{{\"key\":{key},\"store\":{stored:?},\"token\":{:?},\"greeting\":{:?},\"model\":{:?}}}", variable("TOKEN"), variable("GREETING"), model())),
            other => ("503 Service Unavailable", format!("{{\"error\":{:?}}}", format!("{other:?}"))),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes());
    }
}

/// Tries each target.
fn through(targets: &[String]) {
    for target in targets {
        println!("{}", way_out(target));
    }
}

/// What comes of a target directly, and through the proxy that the environment names.
fn way_out(target: &str) -> String {
    let proxy = env::var("HTTPS_PROXY").unwrap_or_default();
    let proxy = proxy.trim_start_matches("http://");
    let direct = ask(target).is_ok();
    let answer = TcpStream::connect(proxy).and_then(|mut stream| {
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = answer.unwrap_or_default();
    let refusal = answer.lines().find_map(|line| line.strip_prefix("freehold-refusal: "));
    let last = refusal.or(answer.lines().last()).unwrap_or_default();
    format!("{} {} {last}", if direct { "direct" } else { "stopped" }, answer.get(9..12).unwrap_or("-"))
}

/// Asks the guest for a key, on the socket where ROFL's clients look.
fn key() -> io::Result<String> {
    let body = r#"{"key_id":"container","kind":"secp256k1"}"#;
    let mut stream = UnixStream::connect("/run/rofl-appd.sock")?;
    let request = format!(
        "POST /rofl/v1/keys/generate HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(io::Error::other(answer)) }
}

/// Counts its starts in its volume and tells the count to whoever connects; slow to begin.
fn store(port: &str) {
    let count: u64 = fs::read_to_string("/data/count").ok().and_then(|text| text.parse().ok()).unwrap_or(0) + 1;
    fs::write("/data/count", count.to_string()).unwrap();
    sleep(Duration::from_millis(400));
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    println!("stored {count}");
    for stream in listener.incoming() {
        let _ = stream.unwrap().write_all(format!("{count}{}", variable("TOKEN")).as_bytes());
    }
}

/// What the app's only model file says; nothing where there is none.
fn model() -> String {
    fs::read_to_string(variable("FREEHOLD_MODEL")).unwrap_or_default()
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn ask(address: &str) -> io::Result<String> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut said = String::new();
    TcpStream::connect_timeout(&address, Duration::from_secs(1))?.read_to_string(&mut said)?;
    Ok(said)
}

/// Tells what it sees of itself.
fn look() {
    println!("args {:?}", env::args().skip(2).collect::<Vec<_>>());
    println!("cwd {}", env::current_dir().unwrap().display());
    for name in ["WORD", "FROM_IMAGE", "HOME", "FREEHOLD_LOCAL_API"] {
        println!("{name}={}", env::var(name).unwrap_or_default());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| ["Uid:", "Gid:", "NoNewPrivs:", "Seccomp:", "CapEff:"].iter().any(|name| line.starts_with(name))) {
        println!("{}", line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    }
    for path in ["/run/rofl-appd.sock", "/run/freehold"] {
        println!("{path} {}", fs::metadata(path).is_ok());
    }
    println!("root {}", if fs::write("/written", "").is_ok() { "writable" } else { "read-only" });
    let model = variable("FREEHOLD_MODEL");
    if !model.is_empty() {
        let content = fs::read_to_string(&model).unwrap_or_else(|error| error.to_string());
        let rights = if File::options().write(true).open(&model).is_ok() { "writable" } else { "read-only" };
        println!("{model} in {}: {content}, {rights}", variable("FREEHOLD_MODELS"));
    }
    println!("tmp {}", if fs::write("/tmp/written", "").is_ok() { "writable" } else { "read-only" });
}

/// Takes memory until it is stopped.
fn hog() {
    let mut taken = Vec::new();
    for _ in 0..4096 {
        taken.push(vec![1u8; 1 << 20]);
    }
    println!("ESCAPED memory {}", taken.len());
}

/// Tells of one attempt; whatever succeeded is an escape.
fn attempt(name: &str, succeeded: bool) {
    println!("{} {name}", if succeeded { "ESCAPED" } else { "stopped" });
}

fn call(name: &str, number: i64, arguments: [i64; 5]) {
    let [a, b, c, d, e] = arguments;
    // SAFETY: pointers among the arguments are null or of C strings that live as long as the program.
    let result = unsafe { syscall(number, a, b, c, d, e) };
    attempt(name, result >= 0);
}

fn probe() {
    calls();
    let proc_files = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"];
    for path in &proc_files[..3] {
        attempt(path, fs::write(path, "x").is_ok());
    }
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        let mut seen = [0; 16];
        attempt(path, File::open(path).and_then(|mut file| file.read(&mut seen)).is_ok_and(|count| count > 0));
    }
    // The machine's files, by every way that a path can have.
    let secret = env::var("SECRET").unwrap_or_default();
    for prefix in ["", "/..", "/proc/1/root", "/proc/1/cwd", "/proc/self/root/../.."] {
        attempt("secret of the machine", fs::read(format!("{prefix}{secret}")).is_ok());
    }
    std::os::unix::fs::symlink(&secret, "/tmp/link").unwrap();
    attempt("secret by a link", fs::read("/tmp/link").is_ok());
    attempt("write /etc/hosts", fs::write("/etc/hosts", "1.2.3.4 store").is_ok());
    attempt("remove the local API", fs::remove_file("/run/rofl-appd.sock").is_ok());
    attempt("a disk of the machine", fs::read_dir("/dev").unwrap().flatten().any(|entry| {
        let name = entry.file_name().into_string().unwrap();
        ["sd", "vd", "nvme", "loop", "mem", "kvm"].iter().any(|start| name.starts_with(start))
    }));
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|entry| entry.file_name().to_str().unwrap().parse::<u32>().is_ok());
    attempt("processes of others", processes.count() > 1);
    let devices = fs::read_to_string("/proc/net/dev").unwrap();
    attempt("a network", devices.lines().skip(2).any(|line| !line.trim().starts_with("lo:")));
    for address in ["1.1.1.1:53", &env::var("LISTENER").unwrap_or_default()] {
        attempt("a connection", ask(address).is_ok());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    attempt("no seccomp", !status.contains("Seccomp:\t2") || !status.contains("NoNewPrivs:\t1"));
    fill("/", 40);
    fill("/tmp", 40);
    fill("/dev/shm", 80);
    fill("/data", 20);
    fill("/run/freehold", 1);
    let _ = std::os::unix::fs::symlink(env::var("HOST_SOCKET").unwrap_or_default(), "/run/freehold/app.sock");
    bomb();
    println!("done");
}

fn calls() {
    let root = c"/".as_ptr() as i64;
    let tmpfs = c"tmpfs".as_ptr() as i64;
    // x86-64, by the kernel's table of system calls.
    call("mount", 165, [tmpfs, root, tmpfs, 0, 0]);
    call("umount", 166, [c"/proc".as_ptr() as i64, 0, 0, 0, 0]);
    call("pivot_root", 155, [root, root, 0, 0, 0]);
    call("chroot", 161, [root, 0, 0, 0, 0]);
    call("unshare user", 272, [0x1000_0000, 0, 0, 0, 0]);
    call("unshare mount", 272, [0x0002_0000, 0, 0, 0, 0]);
    call("clone user", 56, [0x1000_0000 | 17, 0, 0, 0, 0]);
    call("clone3", 435, [0, 0, 0, 0, 0]);
    call("ptrace", 101, [0, 0, 0, 0, 0]);
    call("process_vm_readv", 310, [1, 0, 0, 0, 0]);
    call("init_module", 175, [0, 0, root, 0, 0]);
    call("kexec_load", 246, [0, 0, 0, 0, 0]);
    call("bpf", 321, [0, 0, 0, 0, 0]);
    call("perf_event_open", 298, [0, 0, -1, -1, 0]);
    call("add_key", 248, [c"user".as_ptr() as i64, root, root, 1, -4]);
    call("keyctl", 250, [0, -4, 1, 0, 0]);
    call("io_uring_setup", 425, [1, 0, 0, 0, 0]);
    call("userfaultfd", 323, [0, 0, 0, 0, 0]);
    call("open_by_handle_at", 304, [-100, 0, 0, 0, 0]);
    call("fsopen", 430, [tmpfs, 0, 0, 0, 0]);
    call("mknod", 133, [c"/disk".as_ptr() as i64, 0o060_666, 0x0700, 0, 0]);
    call("settimeofday", 164, [0, 0, 0, 0, 0]);
    call("reboot", 169, [0, 0, 0, 0, 0]);
    call("sethostname", 170, [root, 1, 0, 0, 0]);
    call("iopl", 172, [3, 0, 0, 0, 0]);
    call("swapoff", 168, [root, 0, 0, 0, 0]);
    for (name, family) in [("AF_ALG", 38), ("AF_VSOCK", 40), ("AF_PACKET", 17), ("AF_XDP", 44)] {
        call(name, 41, [family, 3, 0, 0, 0]);
    }
    let namespace = File::open("/proc/1/ns/user").map(|file| std::os::fd::IntoRawFd::into_raw_fd(file)).unwrap_or(-1);
    call("setns", 308, [i64::from(namespace), 0, 0, 0, 0]);
}

/// Writes files until that fails: more than so many MiB are an escape.
fn fill(folder: &str, mib_max: usize) {
    let piece = vec![7; 1 << 20];
    let mut written = 0;
    'files: for number in 0..1000 {
        let Ok(mut file) = File::create(format!("{folder}/fill{number}")) else { break };
        for _ in 0..8 {
            if file.write_all(&piece).is_err() {
                break 'files;
            }
            written += 1;
            if written > mib_max {
                break 'files;
            }
        }
    }
    for number in 0..1000 {
        let _ = fs::remove_file(format!("{folder}/fill{number}"));
    }
    attempt(&format!("fill {folder}"), written > mib_max);
}

/// Processes until that fails; those that were made are ended.
fn bomb() {
    let mut made = Vec::new();
    while made.len() < 2000 {
        // SAFETY: this program has one thread.
        match unsafe { fork() } {
            0 => loop {
                sleep(Duration::from_secs(100));
            },
            pid if pid > 0 => made.push(pid),
            _ => break,
        }
    }
    attempt("fork bomb", made.len() >= 64);
    for pid in made {
        // SAFETY: a child of this program.
        unsafe { kill(pid, 9) };
    }
}
