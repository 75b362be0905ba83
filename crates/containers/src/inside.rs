//! The way out of the containers' own network: one port of its loopback, and what stands behind it.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener as StdListener},
    os::fd::AsFd as _,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpListener, task::JoinSet};

use crate::names::PROXY_PORT;

/// What stands behind the port: the gate of a host, or the way to it.
pub trait WayOut: Sync {
    /// Serves a listener at the port until the tasks are dropped.
    fn serve(&self, listener: TcpListener) -> JoinSet<()>;
}

/// The port in the network of a process; it stays in that network, whoever accepts.
pub(crate) fn listen(process: u32) -> io::Result<TcpListener> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    // A thread of its own enters, and ends there.
    let bind = move || -> io::Result<StdListener> {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let bound = thread::Builder::new().name("egress-port".to_owned()).spawn(bind)?.join();
    let listener = bound.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
    TcpListener::from_std(listener)
}
