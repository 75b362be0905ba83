#![doc = include_str!("../README.md")]

mod backend;
mod backoff;
mod config;
mod containers;
mod error;
mod event;
mod ground;
mod health;
mod inside;
mod launcher;
mod logs;
mod mounts;
mod names;
mod plan;
mod proxied;
mod publish;
mod runtime;
mod seccomp;
mod service;
mod system;
mod users;
mod variables;
mod vm;

#[cfg(test)]
mod tests;

pub use backend::{ContainerBackend, Family, OciRuntime};
pub use backoff::Backoff;
pub use config::CAPABILITIES;
pub use containers::{Bounds, Containers, Surroundings};
pub use error::ContainerError;
pub use event::{ContainerEvent, Teller};
pub use ground::VM_USERS_FIRST;
pub use inside::WayOut;
pub use logs::{Heard, LINE_BYTES_MAX, LINES_A_SECOND_MAX, LogStream, read_lines};
pub use names::{
    APP_SOCKET_VARIABLE, CLIENT_SOCKETS, DSTACK_VARIABLES, LOCAL_API_VARIABLE, MODEL_VARIABLE, MODELS_DIR,
    MODELS_VARIABLE, PROGRAM_PATH, PROXY_PORT,
};
pub use plan::{Health, NetworkKind, Plan, Planned, PlannedLimits, PlannedMount, PlannedPort, Sockets};
pub use proxied::ingress;
pub use seccomp::{ALLOWED_CALLS, ENOSYS, NAMESPACE_FLAGS};
pub use variables::Part;
pub use vm::{VmContainerPlaces, VmContainersError, run_in_vm};
