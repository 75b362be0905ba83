//! The agent over a socket in place of the VM's port: what it makes of hosts that break rules.
#![allow(clippy::unwrap_used)]

use std::{os::unix::net::UnixStream as Pipe, time::Duration};

use freehold_rpc::VM_LINK_PREFACE;
use tokio::{io::AsyncWriteExt as _, net::UnixStream, task::JoinHandle, time::timeout};

use super::*;

const WAIT: Duration = Duration::from_secs(20);

fn agent(folder: &Path) -> (UnixStream, JoinHandle<Result<StopReason, VmError>>) {
    let (host, pipe) = Pipe::pair().unwrap();
    host.set_nonblocking(true).unwrap();
    let state =
        VmState { device: folder.join("disk"), asked: folder.join("disk.sock"), folder: folder.join("state"), mib: 16 };
    let places = VmPlaces {
        own: folder.join("own"),
        local_api: folder.join("local.sock"),
        app_socket: folder.join("app.sock"),
        state,
        services: None,
        ingress: VmIngress::default(),
        scopes: Vec::new(),
    };
    (UnixStream::from_std(host).unwrap(), tokio::spawn(run_in_vm(pipe.into(), places)))
}

#[tokio::test]
async fn a_host_that_sends_garbage_ends_the_agent_before_anything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    for (sent, code) in [(vec![0xff; 4096], 40), ([VM_LINK_PREFACE.to_vec(), vec![7; 4096]].concat(), 41)] {
        let (mut host, agent) = agent(folder.path());
        host.write_all(&sent).await.unwrap();
        match timeout(WAIT, agent).await.unwrap().unwrap() {
            Err(VmError::Link(error)) => assert_eq!(error.code(), Some(code)),
            other => panic!("{other:?}"),
        }
        assert!(!folder.path().join("own").exists());
    }
}

/// What the agent says of a configuration.
async fn told_by(text: &str) -> VmError {
    let folder = tempfile::tempdir().unwrap();
    let (host, agent) = agent(folder.path());
    let (reader, writer) = host.into_split();
    let StartedLink { mut asked, carrier, .. } = VmLink::start(LinkEnd::Host, reader, writer);
    let carrier = tokio::spawn(carrier);
    let stream = timeout(WAIT, asked.recv()).await.unwrap().unwrap();
    assert_eq!(stream.service(), LinkService::Config);
    let mut stream = stream.accept().unwrap();
    stream.writer.send(text.as_bytes()).await.unwrap();
    let _ = stream.writer.end().await;
    let error = timeout(WAIT, agent).await.unwrap().unwrap().unwrap_err();
    carrier.abort();
    error
}

#[tokio::test]
async fn a_host_cannot_say_where_things_stand_or_send_without_end() {
    let paths = r#"{"trust": {}, "event_log": [], "paths": {"state_dir": "/"}}"#;
    assert!(matches!(told_by(paths).await, VmError::Config(_)));
    assert!(matches!(told_by("[").await, VmError::Config(_)));
    let endless = " ".repeat(CONFIG_BYTES_MAX as usize + 1);
    assert!(matches!(told_by(&endless).await, VmError::System { .. }));
}
