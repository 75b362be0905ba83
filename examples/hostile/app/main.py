"""A hostile app: it tries to get out, to see the machine, and to get more than it is given; each attempt is told as stopped or ESCAPED.

An attempt counts by its effect: what a sandbox lets a program do to itself alone is no escape. It answers at its API with the table.
"""

import ctypes
import http.client
import http.server
import json
import os
import pathlib
import resource
import signal
import socket
import socketserver
import sys
import tempfile
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
IN_CONTAINER = os.environ.get("KIND") == "container"
TMP = tempfile.gettempdir()
TABLE = []


def attempt(group, name):
    """Notes whether a function succeeds: what it raises stops it."""

    def run(function):
        try:
            why = "ESCAPED" if function() else "stopped"
        except (OSError, MemoryError, ValueError, http.client.HTTPException):
            why = "stopped"
        TABLE.append((group, name, why))
        print(f"{why:8} {group}: {name}", flush=True)

    return run


def call(group, name, number, *arguments):
    """A system call of x86-64, which must fail."""

    @attempt(group, name)
    def _():
        return LIBC.syscall(number, *arguments) >= 0


def reads(path):
    with open(path, "rb") as file:
        return len(file.read(16)) > 0


def writes(path):
    """Whether a file can be opened to be written: nothing is written, so that an escape does no harm."""
    os.close(os.open(path, os.O_WRONLY))
    return True


def makes(path):
    """Whether a new file can be made."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    os.unlink(path)
    return True


def connects(family, address):
    with socket.socket(family) as stream:
        stream.settimeout(2)
        stream.connect(address)
    return True


def machine_files():
    for prefix in ("", "/..", "/proc/1/root", "/proc/1/cwd/../../..", "/proc/self/root/../.."):
        attempt("files", f"read {prefix}/etc/shadow")(lambda: reads(f"{prefix}/etc/shadow"))
    for folder in ("/root/.ssh", "/root/.local", "/home", "/var/lib", "/boot", "/run/systemd", "/run/user"):
        attempt("files", f"list {folder}")(lambda: not IN_CONTAINER and len(os.listdir(folder)) > 0)

    @attempt("files", "read by a link")
    def _():
        os.symlink("/proc/1/root/etc/shadow", f"{TMP}/link")
        return reads(f"{TMP}/link")

    for path in ("/app/main.py", "/usr/bin/python3", "/etc/hosts", "/etc/passwd"):
        attempt("files", f"change {path}")(lambda: writes(path))
    for path in ("/app/added", "/usr/bin/added", f"{pathlib.Path(__file__).resolve().parent}/added"):
        attempt("files", f"make {path}")(lambda: makes(path))
    for path in ("/usr/bin/python3", __file__):
        # To what they are, so that an escape does no harm.
        attempt("files", f"set the mode of {path}")(lambda: os.chmod(path, os.stat(path).st_mode & 0o7777) is None)
        attempt("files", f"set the times of {path}")(lambda: os.utime(path, (os.stat(path).st_atime, os.stat(path).st_mtime)) is None)

    @attempt("files", "make the system writable in a namespace of its own")
    def _():
        child = os.fork()
        if child == 0:
            user, mount, remount, bind = 0x1000_0000, 0x0002_0000, 32, 4096
            done = LIBC.unshare(user | mount) == 0 and LIBC.mount(None, b"/usr", None, remount | bind, None) == 0
            os._exit(0 if done and makes("/usr/bin/added") else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    @attempt("files", "mount the kernel's files anew in namespaces of its own")
    def _():
        child = os.fork()
        if child == 0:
            # User, mount and process namespaces; the last one takes a child more.
            if LIBC.unshare(0x1000_0000 | 0x0002_0000 | 0x2000_0000) != 0:
                os._exit(1)
            inner = os.fork()
            if inner == 0:
                done = LIBC.mount(b"proc", b"/tmp", b"proc", 0, None) == 0
                os._exit(0 if done and writes("/tmp/sys/kernel/core_pattern") else 1)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def devices():
    for path in ("/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/sda", "/dev/vda", "/dev/loop-control", "/dev/fuse", "/dev/net/tun"):
        attempt("devices", f"open {path}")(lambda: os.open(path, os.O_RDWR) >= 0)

    @attempt("devices", "make one and open it")
    def _():
        os.mknod(f"{TMP}/disk", 0o060_600, os.makedev(8, 0))
        return reads(f"{TMP}/disk")


def kernel():
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/power/state"):
        attempt("kernel", f"write {path}")(lambda: writes(path))
    for path in ("/proc/kcore", "/proc/kmsg", "/sys/firmware/dmi/tables/DMI"):
        attempt("kernel", f"read {path}")(lambda: reads(path))
    name = ctypes.c_char_p(socket.gethostname().encode())
    now = (ctypes.c_long * 2)(int(time.time()), 0)
    root = ctypes.c_char_p(b"/")
    for what, number, arguments in (
        ("mount", 165, (name, root, ctypes.c_char_p(b"tmpfs"), 0, None)),
        ("unmount", 166, (ctypes.c_char_p(b"/proc"), 0)),
        ("pivot_root", 155, (root, root)),
        ("init_module", 175, (None, 0, root)),
        ("kexec_load", 246, (0, 0, None, 0)),
        ("bpf", 321, (0, None, 0)),
        ("perf_event_open of the machine", 298, (None, -1, 0, -1, 0)),
        ("open_by_handle_at", 304, (-100, None, 0)),
        ("settimeofday", 164, (now, None)),
        ("reboot", 169, (0, 0, 0, None)),
        ("sethostname", 170, (name, len(name.value))),
        ("iopl", 172, (3,)),
        ("swapoff", 168, (root,)),
        ("acct", 163, (None,)),
    ):
        call("kernel", what, number, *arguments)


def processes():
    @attempt("processes", "see those of others")
    def _():
        strange = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes()
                if not any(own in words for own in (b"main.py", b"bwrap", b"freehold-launch")) and words:
                    strange.append(words)
        return len(strange) > 0

    attempt("processes", "read the host's environment")(lambda: b"FREEHOLD_HOST" in pathlib.Path("/proc/1/environ").read_bytes())

    @attempt("processes", "find a variable of the host's")
    def _():
        return any(name in os.environ for name in ("USER", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "CARGO_HOME"))


def network():
    @attempt("network", "have an interface")
    def _():
        lines = pathlib.Path("/proc/net/dev").read_text().splitlines()[2:]
        return any(not line.strip().startswith("lo:") for line in lines)

    attempt("network", "reach the internet")(lambda: connects(socket.AF_INET, ("1.1.1.1", 53)))
    for port in (22, 8545, 8081):
        attempt("network", f"reach the machine's port {port}")(lambda: connects(socket.AF_INET, ("127.0.0.1", port)))
    attempt("network", "reach the host by VSOCK")(lambda: connects(socket.AF_VSOCK, (2, 1024)))
    attempt("network", "look up a name")(lambda: bool(socket.getaddrinfo("example.org", 80)))
    attempt("network", "read packets")(lambda: socket.socket(17, socket.SOCK_RAW, 3).fileno() >= 0)


class Guest(http.client.HTTPConnection):
    """The local API: HTTP over a UNIX socket."""

    def __init__(self):
        super().__init__("guest", timeout=30)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["FREEHOLD_LOCAL_API"])


def granted(method, path, body):
    guest = Guest()
    guest.request(method, path, body if isinstance(body, str) else json.dumps(body), {"content-type": "application/json"})
    return guest.getresponse().status == 200


def local_api():
    path = "/rofl/v1/keys/generate"
    for key_id in ("freehold/settings", "oasis-runtime-sdk/x", "rofl-proxy/x", "x" * 2000):
        attempt("local API", f"take the platform's key {key_id[:24]}")(lambda: granted("POST", path, {"key_id": key_id, "kind": "raw-256"}))
    modules = {"Apps": "01", "Keys": "02", "Log": "03", "Validators": "05"}
    for name, last in modules.items():
        data = {"gas_limit": 100_000, "to": f"0x{'0' * 34}f4ee{last}", "value": 0, "data": "00"}
        tx = {"tx": {"kind": "eth", "data": data}, "encrypt": False}
        attempt("local API", f"speak for the instance to {name}")(lambda: granted("POST", "/rofl/v1/tx/sign-submit", tx))
    whole = {"gas_limit": 21_000, "to": "0x" + "11" * 20, "value": str(10**30), "data": ""}
    attempt("local API", "spend more than there is")(
        lambda: granted("POST", "/rofl/v1/tx/sign-submit", {"tx": {"kind": "eth", "data": whole}, "encrypt": False})
    )
    attempt("local API", "have 64 MiB read")(lambda: granted("POST", path, "x" * (64 << 20)))
    attempt("local API", "leave it by its path")(lambda: granted("GET", "/freehold/v1/../../../../etc/passwd", ""))
    beside = os.path.dirname(os.environ["FREEHOLD_LOCAL_API"]) + "/.."
    for name in ("control", "evidence", "chain"):
        attempt("local API", f"reach the host's {name} socket")(lambda: connects(socket.AF_UNIX, f"{beside}/{name}.sock"))
    for path in ("/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/containerd/containerd.sock"):
        attempt("local API", f"reach the machine's {path}")(lambda: connects(socket.AF_UNIX, path))
    attempt("local API", "be a service that it is not")(
        lambda: granted("POST", "/freehold/v1/keys/generate", {"key_id": "x", "kind": "raw-256", "scope": "service"}) and not IN_CONTAINER
    )


def bounds():
    @attempt("bounds", "open 1,000 files" if not IN_CONTAINER else "open 10,000 files")
    def _():
        held = []
        try:
            while len(held) < (10_000 if IN_CONTAINER else 1_000):
                held.append(os.open("/dev/null", os.O_RDONLY))
        finally:
            for file in held:
                os.close(file)
        return True

    attempt("bounds", "lift a limit")(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)) is None)
    if not IN_CONTAINER:
        attempt("bounds", "write a file of 64 MiB")(lambda: fills(TMP, 64))
        attempt("bounds", "take 2 GiB of memory")(lambda: len(bytearray(2 << 30)) > 0)
        return
    for folder, mib in (("/tmp", 100), ("/dev/shm", 100), ("/data", 20)):
        attempt("bounds", f"fill {folder}")(lambda: fills(folder, mib))

    @attempt("bounds", "fork without end")
    def _():
        made = []
        try:
            while len(made) < 2_000:
                child = os.fork()
                if child == 0:
                    time.sleep(100)
                    os._exit(0)
                made.append(child)
        finally:
            for child in made:
                os.kill(child, 9)
                os.waitpid(child, 0)
        return True


def fills(folder, mib):
    path = pathlib.Path(folder) / "fill"
    try:
        with path.open("wb") as file:
            for _ in range(mib):
                file.write(bytes(1 << 20))
        return True
    finally:
        path.unlink(missing_ok=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        lines = [f"{why:8} {group:10} {name}" for group, name, why in TABLE]
        escaped = sum(why == "ESCAPED" for _, _, why in TABLE)
        body = ("\n".join(lines) + f"\n\n{len(TABLE)} attempts, {escaped} escaped\n").encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def when_ready():
    while True:
        try:
            if granted("GET", "/freehold/v1/health", ""):
                return
        except OSError:
            pass
        time.sleep(0.1)


if __name__ == "__main__":
    if not IN_CONTAINER:
        # The host closes standard input when the app is to end.
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    when_ready()
    # A file that grows above its bound would end the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for group in (machine_files, devices, kernel, processes, network, local_api, bounds):
        group()
    if IN_CONTAINER:
        http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
    Server(os.environ["FREEHOLD_APP_SOCKET"], Handler).serve_forever()
