//! Which system calls a confined program may make: those of containers, without what reaches beyond the program where nothing
//! but Landlock stands around it. Everything else fails with EPERM, and a call of another architecture ends the program.
//!
//! Landlock does not judge modes, owners, times and attributes of files, nor what one process of a user may set for another
//! (landlock(7)), so those calls are not there. Sockets are those that the program's network needs.

use seccompiler::{BpfProgram, TargetArch, apply_filter, compile_from_json};
use serde_json::{Value, json};

use super::{connects::Dialled, error::ConfineError};
use freehold_containers::{ALLOWED_CALLS, ENOSYS, NAMESPACE_FLAGS};

/// Of the calls of containers those that reach beyond this program, or are looked at below.
const WITHHELD: &str = "chmod chown fchmod fchmodat fchmodat2 fchown fchownat lchown setxattr lsetxattr fsetxattr removexattr \
    lremovexattr fremovexattr utime utimes utimensat futimesat inotify_add_watch inotify_init inotify_init1 chroot process_madvise \
    process_mrelease mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget \
    semop semtimedop shmat shmctl shmdt shmget prlimit64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler setpriority \
    ioprio_set sendto sendmsg sendmmsg socketpair";
/// Calls that may name another process; 0 names the caller. (Call, which argument.)
const OWN_ONLY: [(&str, u8); 7] = [
    ("prlimit64", 0),
    ("sched_setaffinity", 0),
    ("sched_setattr", 0),
    ("sched_setparam", 0),
    ("sched_setscheduler", 0),
    ("setpriority", 1),
    ("ioprio_set", 1),
];
/// Calls that send, and where their flags stand: `MSG_FASTOPEN` would connect unseen (tcp(7)).
const SENDING: [(&str, u8); 3] = [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)];
const FAST_OPEN: u32 = 0x2000_0000;
/// Kind of a socket, without its flags (socket(2)).
const KIND_MASK: u32 = 0xf;
const STREAM: u32 = 1;
const SEQUENCED: u32 = 5;
/// Families of sockets.
const UNIX: u32 = 1;
const IPV4: u32 = 2;
const IPV6: u32 = 10;
const NETLINK: u32 = 16;
/// The protocol that is TCP.
const TCP: u32 = 6;

/// Holds this thread, and all that it starts, to the calls.
pub(super) fn apply(network: Dialled) -> Result<(), ConfineError> {
    for program in programs(network)? {
        apply_filter(&program)?;
    }
    Ok(())
}

/// The filters, as the kernel takes them.
fn programs(network: Dialled) -> Result<Vec<BpfProgram>, ConfineError> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into().map_err(seccompiler::Error::from)?;
    let text = json!({
        "calls": { "mismatch_action": { "errno": libc::EPERM }, "match_action": "allow", "filter": rules(network) },
        // Its flags cannot be looked at; programs then call `clone`.
        "unknown": { "mismatch_action": "allow", "match_action": { "errno": ENOSYS }, "filter": [{ "syscall": "clone3" }] },
    })
    .to_string();
    let mut compiled = compile_from_json(text.as_bytes(), architecture)?;
    Ok(["unknown", "calls"].into_iter().filter_map(|name| compiled.remove(name)).collect())
}

/// A call, with what its arguments must be: (which, mask, value); the upper halves of numbers that the kernel takes as `int` count not.
fn call(name: &str, arguments: &[(u8, u32, u32)]) -> Value {
    let arguments: Vec<Value> = arguments
        .iter()
        .map(|(index, mask, value)| json!({ "index": index, "type": "dword", "op": { "masked_eq": mask }, "val": value }))
        .collect();
    json!({ "syscall": name, "args": arguments })
}

fn rules(network: Dialled) -> Vec<Value> {
    let withheld = |name: &&str| !WITHHELD.split_whitespace().any(|other| other == *name);
    let names = ALLOWED_CALLS.iter().flat_map(|names| names.split_whitespace()).filter(withheld);
    let mut rules: Vec<Value> = names.chain(["clone3"]).map(|name| json!({ "syscall": name })).collect();
    let whole = u32::MAX;
    rules.push(json!({ "syscall": "clone", "args": [
        { "index": 0, "type": "qword", "op": { "masked_eq": NAMESPACE_FLAGS }, "val": 0 }
    ]}));
    rules.extend([0, u32::MAX].map(|persona| call("personality", &[(0, whole, persona)])));
    rules.extend(OWN_ONLY.map(|(name, at)| call(name, &[(at, whole, 0)])));
    rules.extend(SENDING.map(|(name, at)| call(name, &[(at, FAST_OPEN, 0)])));
    for kind in [STREAM, SEQUENCED] {
        for name in ["socket", "socketpair"] {
            rules.push(call(name, &[(0, whole, UNIX), (1, KIND_MASK, kind)]));
        }
    }
    match network {
        Dialled::Nothing => {}
        Dialled::Loopback(_) => rules.extend(
            [0, TCP].map(|protocol| call("socket", &[(0, whole, IPV4), (1, KIND_MASK, STREAM), (2, whole, protocol)])),
        ),
        Dialled::Everything => {
            rules.extend([IPV4, IPV6, NETLINK].map(|family| call("socket", &[(0, whole, family)])));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_known_and_withheld_ones_were_allowed() {
        for network in [Dialled::Nothing, Dialled::Loopback(1), Dialled::Everything] {
            assert_eq!(programs(network).unwrap().len(), 2);
        }
        for name in WITHHELD.split_whitespace() {
            assert!(ALLOWED_CALLS.iter().any(|names| names.split_whitespace().any(|other| other == name)), "{name}");
        }
    }
}
