//! Which system calls a container may make: those that ordinary programs need, by name. Everything else fails with EPERM: mounts,
//! namespaces, tracing, keys of the kernel, BPF, modules, clocks, io_uring, and what is invented later.
//!
//! `clone3` fails with ENOSYS, since its flags cannot be looked at; programs then call `clone`, whose flags for new
//! namespaces are refused. Sockets are those of UNIX, IPv4, IPv6 and netlink. (Linux man-pages: clone(2), seccomp(2), socket(2).)

use serde_json::{Value, json};

/// Flags of `clone` that make namespaces: time, mount, cgroup, UTS, IPC, user, process and network.
pub const NAMESPACE_FLAGS: u64 =
    0x80 | 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
/// Error of a call that this kernel does not have.
pub const ENOSYS: u32 = 38;
/// Families of sockets: UNIX, IPv4, IPv6, netlink.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];

/// Files and folders.
const FILES: &str = "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 \
    fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr \
    fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init \
    inotify_init1 inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat \
    mkdir mkdirat mknod mknodat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read \
    readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx \
    symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write \
    writev chroot";
/// Memory.
const MEMORY: &str = "brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock \
    munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise process_mrelease remap_file_pages memfd_secret";
/// Processes, threads and signals.
const PROCESSES: &str = "alarm arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait \
    futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getitimer getpgid getpgrp getpid \
    getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill \
    landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall \
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
    rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp \
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid \
    setresgid setresuid setreuid setrlimit setsid setuid sigaltstack signalfd signalfd4 tgkill time times tkill vfork wait4 waitid";
/// Waiting, clocks and timers.
const WAITING: &str = "clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait \
    epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 gettimeofday io_cancel io_destroy io_getevents io_pgetevents io_setup \
    io_submit nanosleep poll ppoll pselect6 select timer_create timer_delete timer_getoverrun timer_gettime timer_settime \
    timerfd_create timerfd_gettime timerfd_settime";
/// Sockets and communication of processes.
const SPEAKING: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open \
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg semctl semget semop semtimedop \
    sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair";
/// What a program asks about its system.
const SYSTEM: &str = "getrandom sysinfo uname";

/// All of them: names, apart by spaces.
pub const ALLOWED_CALLS: [&str; 6] = [FILES, MEMORY, PROCESSES, WAITING, SPEAKING, SYSTEM];

/// The profile, as the runtime's configuration takes it.
pub(crate) fn profile() -> Value {
    let names: Vec<&str> = ALLOWED_CALLS.iter().flat_map(|names| names.split_whitespace()).collect();
    let mut rules = vec![
        json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
        json!({ "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
            { "index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }
        ]}),
        // Other than Linux on this machine's own words (personality(2)): none but the plain one, and the question which it is.
        json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
            { "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }
        ]}),
        json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
            { "index": 0, "value": 0xffff_ffff_u64, "op": "SCMP_CMP_EQ" }
        ]}),
    ];
    rules.extend(FAMILIES.iter().map(|family| {
        json!({ "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
            { "index": 0, "value": family, "op": "SCMP_CMP_EQ" }
        ]})
    }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    })
}
