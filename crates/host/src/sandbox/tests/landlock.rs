//! What a program under Landlock may not do, in the places where Landlock alone would let it, and what it may.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Instant, sleep},
};

use super::{Ground, confiner};
use crate::{
    AppProgram, IsolationChoice, Reach,
    sandbox::{ConfineError, Isolation, confine, detect},
    tests::bundled,
};

/// Python that tells which of its attempts succeed.
const PREAMBLE: &str = "
import ctypes, os, resource, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
own = os.path.dirname(os.environ['FREEHOLD_LOCAL_API'])
outside = os.path.dirname(own)
print('begin', flush=True)
def attempt(name, function):
    try:
        if function() is not False: print(name, flush=True)
    except OSError:
        pass
def connects(path, kind=socket.SOCK_STREAM, family=socket.AF_UNIX):
    with socket.socket(family, kind) as stream:
        stream.settimeout(5)
        stream.connect(path)
";

/// What a program tries that Landlock does not judge, or not before later kernels.
const ATTEMPTS: &str = "
host = open('host').read()
attempt('name', lambda: connects(outside + '/other.sock'))
attempt('way up', lambda: connects(own + '/../other.sock'))
os.symlink(outside + '/other.sock', own + '/link.sock')
attempt('link', lambda: connects(own + '/link.sock'))
os.chdir(own)
attempt('relative', lambda: connects('../other.sock'))
attempt('magic link', lambda: connects('/proc/self/cwd/../other.sock'))
attempt('descriptor', lambda: connects('/proc/self/fd/0'))
attempt('abstract', lambda: connects('\\0freehold-' + host))
attempt('datagram', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt('datagram pair', lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_VSOCK, socket.AF_PACKET, 38):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        attempt(f'family {family}', lambda: socket.socket(family, kind))
for path in ('/etc/passwd', '/proc/self/status', '/proc/1/environ', '/sys/kernel/notes', outside + '/secret'):
    attempt(path, lambda: open(path).read())
for folder in ('/', '/proc', '/dev', '/tmp', '/root', outside):
    attempt(folder, lambda: os.listdir(folder))
    attempt(folder, lambda: os.mkdir(folder + '/made'))
attempt('mode', lambda: os.chmod(outside + '/secret', 0o666))
attempt('mode of a file that is read', lambda: os.fchmod(os.open('/usr/bin/env', os.O_RDONLY), 0o777))
attempt('owner', lambda: os.chown(outside + '/secret', os.getuid(), os.getgid()))
attempt('times', lambda: os.utime(outside + '/secret'))
attempt('attributes', lambda: os.setxattr(outside + '/secret', 'user.a', b'a'))
attempt('truncate', lambda: os.truncate(outside + '/secret', 0))
attempt('rename', lambda: os.rename(outside + '/secret', own + '/taken'))
attempt('link it in', lambda: os.link(outside + '/secret', own + '/taken'))
attempt('device', lambda: os.mknod(own + '/disk', 0o060600, os.makedev(8, 0)))
host = int(host)
for name, function in (
    ('signal', lambda: os.kill(host, 0)),
    ('signal the confiner', lambda: os.kill(os.getppid(), 0)),
    ('limit', lambda: resource.prlimit(host, resource.RLIMIT_NOFILE)),
    ('priority', lambda: os.setpriority(os.PRIO_PROCESS, host, 19)),
    ('affinity', lambda: os.sched_setaffinity(host, {0})),
):
    attempt(name, function)
for name, number, arguments in (
    ('ptrace', 101, (16, host, 0, 0)),
    ('read memory', 310, (host, 0, 0, 0, 0, 0)),
    ('pidfd_getfd', 438, (0, 0, 0)),
    ('unshare', 272, (0x10000000,)),
    ('clone into namespaces', 56, (0x10000000 | 17, 0, 0, 0, 0)),
    ('setns', 308, (0, 0)),
    ('bpf', 321, (0, 0, 0)),
    ('keyctl', 250, (0, -3, 0)),
    ('add_key', 248, (b'user', b'a', b'a', 1, -3)),
    ('userfaultfd', 323, (1,)),
    ('io_uring_setup', 425, (1, (ctypes.c_char * 120)())),
    ('kexec_load', 246, (0, 0, 0, 0)),
    ('init_module', 175, (0, 0, 0)),
    ('mount', 165, (b'none', own.encode(), b'tmpfs', 0, 0)),
    ('shared memory', 29, (0x1234, 4096, 0o1600)),
    ('perf_event_open', 298, (0, 0, -1, -1, 0)),
    ('x32', 0x40000000 + 39, ()),
):
    if libc.syscall(number, *arguments) >= 0: print(name, flush=True)
print('end')
";

/// Whether Landlock works here; where not, says so loudly.
async fn works() -> bool {
    match detect(IsolationChoice::Landlock, &confiner()).await {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            false
        }
    }
}

/// A bundle's program in Python.
fn python(ground: &Ground, text: &str, additions: &str) -> AppProgram {
    let app = bundled(ground.dir.path(), "exec python3 -B main.py", additions).unwrap();
    std::fs::write(app.bundle.as_ref().unwrap().files.join("main.py"), format!("{PREAMBLE}{text}")).unwrap();
    app
}

#[tokio::test]
async fn what_landlock_leaves_open_is_closed_beside_it() {
    if !works().await {
        return;
    }
    let ground = Ground::new(Isolation::Landlock);
    // Sockets of others: they lie beside the program's folder, and one is abstract.
    let _other = UnixListener::bind(ground.dir.path().join("other.sock")).unwrap();
    let name = format!("freehold-{}", std::process::id());
    let abstracted = SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&abstracted).unwrap();
    let app = python(&ground, ATTEMPTS, "");
    std::fs::write(ground.dir.path().join("secret"), "secret").unwrap();
    std::fs::write(app.bundle.as_ref().unwrap().files.join("host"), std::process::id().to_string()).unwrap();
    assert_eq!(ground.said(&app).await, "end\n");
    assert_eq!(std::fs::read_to_string(ground.dir.path().join("secret")).unwrap(), "secret");
}

/// A call of the 32-bit architecture has other numbers: the filter ends whoever makes one.
#[tokio::test]
async fn a_call_of_another_architecture_ends_the_program() {
    if !works().await {
        return;
    }
    let ground = Ground::new(Isolation::Landlock);
    // mov eax, 20 (getpid there); int 0x80; ret
    let text = "
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
call()
print('went on')
";
    assert_eq!(ground.said(&python(&ground, text, "")).await, "");
}

#[tokio::test]
async fn its_own_sockets_files_and_processes_work() {
    if !works().await {
        return;
    }
    let ground = Ground::new(Isolation::Landlock);
    let local = tokio::net::UnixListener::bind(ground.sockets().join("local.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            local.accept().await.unwrap().0.write_all(b"the guest").await.unwrap();
        }
    });
    let text = "
import multiprocessing.connection, subprocess, tempfile, threading
with socket.socket(socket.AF_UNIX) as stream:
    stream.connect(os.environ['FREEHOLD_LOCAL_API'])
    print(stream.recv(100).decode())
def serves(path, connect):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path); server.listen()
    threading.Thread(target=lambda: server.accept()[0].sendall(b'own'), daemon=True).start()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(connect)
        print(stream.recv(100).decode())
serves(os.environ['FREEHOLD_APP_SOCKET'], os.environ['FREEHOLD_APP_SOCKET'])
os.chdir(tempfile.gettempdir())
serves('relative.sock', './relative.sock')
with tempfile.NamedTemporaryFile('w', suffix='.sh', delete=False) as file: file.write('echo ran $0')
print(subprocess.run(['sh', os.path.basename(file.name)], capture_output=True, text=True).stdout.startswith('ran'))
os.rename(file.name, 'renamed'); os.truncate('renamed', 1); os.remove('renamed')
child = os.fork()
if child == 0: signal.pause()
os.kill(child, signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
a, b = socket.socketpair(); a.sendall(b'pair'); print(b.recv(10).decode())
open('/dev/null', 'w').write('x'); print(len(os.urandom(4)))
sys.exit(3)
";
    let app = python(&ground, text, "");
    let said = ground.said(&app).await;
    assert_eq!(said, "the guest\nown\nown\nTrue\n-9\npair\n4\n");
    std::fs::remove_file(ground.sockets().join("app.sock")).unwrap();
    let mut child = ground.spawn(&app);
    let _input = child.stdin.take();
    assert_eq!(child.wait().await.unwrap().code(), Some(3), "the exit code is the program's");
}

/// Whether a process lives.
fn lives(number: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits for what a program writes.
async fn written(path: &Path) -> String {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => assert!(Instant::now() < end, "nothing was written"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn nothing_of_a_program_outlives_it_or_its_host() {
    if !works().await {
        return;
    }
    // A daemon that left its session, and hears no signal that can be ignored.
    let daemon = "trap '' TERM HUP; (trap '' TERM HUP; setsid sh -c 'trap \"\" TERM HUP; echo $$ > $0/daemon; sleep 1000; sleep 1000' \
                  ${FREEHOLD_LOCAL_API%/*} &) ; while [ ! -s ${FREEHOLD_LOCAL_API%/*}/daemon ]; do sleep 0.05; done; ";
    for (ending, waits) in [("exit 0", false), ("sleep 1000; sleep 1000", true)] {
        let ground = Ground::new(Isolation::Landlock);
        let mut child = ground.spawn(&ground.script(&format!("{daemon}{ending}")));
        let input = child.stdin.take();
        let number = written(&ground.sockets().join("daemon")).await;
        assert!(!waits || lives(&number));
        if waits {
            // As when the host is killed.
            drop(input);
        }
        tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
        assert!(!lives(&number), "{ending}");
    }
}

#[tokio::test]
async fn a_list_of_hosts_leads_to_the_gate_alone() {
    if !works().await {
        return;
    }
    let ground = Ground::new(Isolation::Landlock);
    let gate = tokio::net::UnixListener::bind(ground.sockets().join("egress.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            gate.accept().await.unwrap().0.write_all(b"the gate").await.unwrap();
        }
    });
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "
port = int(os.environ['HTTPS_PROXY'].rsplit(':', 1)[1])
print('FREEHOLD_EGRESS' in os.environ)
with socket.create_connection(('127.0.0.1', port)) as stream: print(stream.recv(100).decode())
for address in (('127.0.0.1', {}), ('127.0.0.2', port), ('1.1.1.1', 443)):
    attempt(f'dial {{address}}', lambda: connects(address, family=socket.AF_INET))
attempt('UDP', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt('IPv6', lambda: socket.socket(socket.AF_INET6))
attempt('MPTCP', lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
attempt('bind', lambda: socket.socket(socket.AF_INET).bind(('127.0.0.1', 0)))
attempt('listen', lambda: socket.socket(socket.AF_INET).listen())
attempt('fast open', lambda: socket.socket(socket.AF_INET).sendto(b'x', 0x20000000, ('127.0.0.1', {})))
print('end')
",
        other.local_addr().unwrap().port(),
        other.local_addr().unwrap().port()
    );
    let app = python(&ground, &text, "  egress: [example.org:443]\n");
    assert!(matches!(app.bundle.as_ref().unwrap().reach, Reach::Listed(_)));
    assert_eq!(ground.said(&app).await, "False\nthe gate\nend\n");
}

#[tokio::test]
async fn an_open_network_is_the_machines() {
    if !works().await {
        return;
    }
    let ground = Ground::new(Isolation::Landlock);
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "
with socket.create_connection(('localhost', {})) as stream: stream.sendall(b'hello')
with socket.socket() as server:
    server.bind(('127.0.0.1', 0)); server.listen()
    stream = socket.socket(); stream.setblocking(False)
    print(stream.connect_ex(server.getsockname()) in (0, 115))
    server.accept()
attempt('name', lambda: connects(outside + '/other.sock'))
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
print('end')
",
        other.local_addr().unwrap().port()
    );
    let _other = UnixListener::bind(ground.dir.path().join("other.sock")).unwrap();
    let app = python(&ground, &text, "  egress: open\n");
    assert_eq!(ground.said(&app).await, "True\nend\n");
    let mut said = String::new();
    other.accept().await.unwrap().0.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hello");
}

#[test]
fn the_role_confines_nothing_that_no_host_named() {
    assert!(matches!(confine(), Err(ConfineError::Plan)));
}
