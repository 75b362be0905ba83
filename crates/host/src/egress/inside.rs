//! The gate's port in the containers' own network.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    os::fd::AsFd as _,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Port of the gate in the network of containers.
pub const PROXY_PORT: u16 = 3128;

/// Binds a loopback port in the network of another process. The listener stays in that network, whoever accepts.
pub(crate) fn bind_inside(process: u32, port: u16) -> io::Result<TcpListener> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    // A thread of its own enters, and ends there.
    let bind = move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let bound = thread::Builder::new().name("egress-port".to_owned()).spawn(bind)?.join();
    bound.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
