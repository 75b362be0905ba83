//! Two ends over a pipe, and one end whose peer breaks each rule.
#![allow(clippy::unwrap_used)]

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::{
    frame::{Kind, frame, open_frame},
    *,
};

/// Far longer than anything here takes.
const WAIT: Duration = Duration::from_secs(20);

struct End {
    link: VmLink,
    asked: mpsc::Receiver<AskedStream>,
    carrier: JoinHandle<LinkError>,
}

fn end(kind: LinkEnd, pipe: DuplexStream) -> End {
    let (reader, writer) = split(pipe);
    let started = VmLink::start(kind, reader, writer);
    End { link: started.link, asked: started.asked, carrier: tokio::spawn(started.carrier) }
}

fn pair() -> (End, End) {
    let (one, other) = duplex(1024);
    (end(LinkEnd::Host, one), end(LinkEnd::Guest, other))
}

/// Answers every stream with what came, until the link is over.
fn echo(mut asked: mpsc::Receiver<AskedStream>) {
    tokio::spawn(async move {
        while let Some(stream) = asked.recv().await {
            tokio::spawn(async move {
                let LinkStream { mut reader, mut writer } = stream.accept()?;
                while let Some(piece) = reader.next().await? {
                    writer.send(&piece).await?;
                }
                writer.end().await
            });
        }
    });
}

fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 7 + seed) as u8).collect()
}

#[tokio::test]
async fn many_streams_at_once_carry_their_own_bytes_both_ways() {
    let (host, guest) = pair();
    echo(guest.asked);
    let run = (0..40).map(|seed| {
        let link = host.link.clone();
        tokio::spawn(async move {
            let LinkStream { mut reader, mut writer } = link.open(LinkService::App).await.unwrap();
            // Far beyond the window: credit must come back.
            let sent = bytes(300_000 + seed, seed);
            let send = async {
                writer.send(&sent).await.unwrap();
                writer.end().await.unwrap();
            };
            let ((), got) = tokio::join!(send, reader.to_end(1 << 20));
            assert_eq!(got.unwrap(), sent);
        })
    });
    for task in run.collect::<Vec<_>>() {
        timeout(WAIT, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_socket_behind_a_stream_sees_every_byte_and_each_end() {
    let (host, mut guest) = pair();
    let (near, far) = duplex(64);
    tokio::spawn(async move { relay(guest.asked.recv().await.unwrap().accept()?, far).await });
    let stream = host.link.open(LinkService::App).await.unwrap();
    let (mut user, socket) = duplex(64);
    tokio::spawn(relay(stream, socket));
    let (mut near, sent) = (near, bytes(200_000, 3));
    let app = async {
        let mut got = Vec::new();
        near.read_to_end(&mut got).await.unwrap();
        near.write_all(b"answer").await.unwrap();
        near.shutdown().await.unwrap();
        got
    };
    let client = async {
        user.write_all(&sent).await.unwrap();
        user.shutdown().await.unwrap();
        let mut answer = Vec::new();
        user.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let (got, answer) = timeout(WAIT, async { tokio::join!(app, client) }).await.unwrap();
    assert_eq!((got, answer.as_slice()), (sent, &b"answer"[..]));
}

#[tokio::test]
async fn what_is_not_accepted_is_refused_and_what_is_dropped_is_reset() {
    let (host, mut guest) = pair();
    let refuse = tokio::spawn(async move {
        drop(guest.asked.recv().await.unwrap());
        let mut accepted = guest.asked.recv().await.unwrap().accept().unwrap();
        // Once something came, the stream is open at the other end.
        accepted.reader.next().await.unwrap();
        drop(accepted);
        guest.asked
    });
    let refused = host.link.open(LinkService::Health).await.err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let mut stream = host.link.open(LinkService::Health).await.unwrap();
    stream.writer.send(b"here").await.unwrap();
    let broken = timeout(WAIT, stream.reader.next()).await.unwrap().unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
    // The link itself lives on.
    let asked = refuse.await.unwrap();
    echo(asked);
    let mut stream = host.link.open(LinkService::App).await.unwrap();
    stream.writer.send(b"still").await.unwrap();
    assert_eq!(&timeout(WAIT, stream.reader.next()).await.unwrap().unwrap().unwrap()[..], b"still");
}

#[tokio::test]
async fn no_more_streams_than_may_be_are_open_at_once() {
    let (host, guest) = pair();
    echo(guest.asked);
    let mut open = Vec::new();
    for _ in 0..VM_STREAMS_MAX {
        open.push(host.link.open(LinkService::App).await.unwrap());
    }
    let full = host.link.open(LinkService::App).await.err().unwrap();
    assert_eq!(full.kind(), io::ErrorKind::ResourceBusy);
    open.pop();
    host.link.open(LinkService::App).await.unwrap();
}

#[tokio::test]
async fn an_end_that_goes_away_ends_every_stream() {
    let (host, guest) = pair();
    echo(guest.asked);
    let mut stream = host.link.open(LinkService::App).await.unwrap();
    guest.carrier.abort();
    assert!(matches!(timeout(WAIT, host.carrier).await.unwrap().unwrap(), LinkError::Closed | LinkError::Io(_)));
    assert!(stream.reader.next().await.is_err() && stream.writer.send(b"x").await.is_err());
    assert!(host.link.is_over() && host.link.open(LinkService::App).await.is_err());
}

/// What an agent's end says of a host that sends these bytes; nothing of them reaches a stream that was open before.
async fn refused(sent: &[u8]) -> LinkError {
    let (mut host, pipe) = duplex(1 << 20);
    let mut guest = end(LinkEnd::Guest, pipe);
    host.write_all(sent).await.unwrap();
    let error = timeout(WAIT, &mut guest.carrier).await.expect("the link goes on").unwrap();
    assert!(guest.link.is_over());
    error
}

fn with_preface(frames: &[Vec<u8>]) -> Vec<u8> {
    [VM_LINK_PREFACE.to_vec(), frames.concat()].concat()
}

#[tokio::test]
async fn a_host_that_breaks_a_rule_is_refused_by_its_code() {
    let (app, window) = (LinkService::App, VM_STREAM_WINDOW);
    let credit = |stream, credit: u32| frame(Kind::Credit, stream, &credit.to_be_bytes());
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("garbage", bytes(4096, 1), 40),
        ("another_version", b"freehold vm 2\n\0\0".to_vec(), 40),
        ("kind_unknown", with_preface(&[vec![9, 0, 0, 0, 2, 0, 0]]), 41),
        ("kind_zero", with_preface(&[vec![0; 7]]), 41),
        ("data_too_long", with_preface(&[vec![2, 0, 0, 0, 2, 0x40, 1]]), 41),
        ("data_empty", with_preface(&[vec![2, 0, 0, 0, 2, 0, 0]]), 41),
        ("open_without_service", with_preface(&[vec![1, 0, 0, 0, 2, 0, 0]]), 41),
        ("end_with_payload", with_preface(&[vec![3, 0, 0, 0, 2, 0, 1]]), 41),
        ("credit_zero", with_preface(&[open_frame(2, app), credit(2, 0)]), 41),
        ("credit_huge", with_preface(&[open_frame(2, app), credit(2, u32::MAX)]), 41),
        ("stream_zero", with_preface(&[frame(Kind::End, 0, &[])]), 42),
        ("stream_of_the_guest", with_preface(&[open_frame(3, app)]), 42),
        ("stream_twice", with_preface(&[open_frame(2, app), open_frame(2, app)]), 42),
        ("stream_backwards", with_preface(&[open_frame(4, app), open_frame(2, app)]), 42),
        ("data_of_no_stream", with_preface(&[frame(Kind::Data, 8, b"x")]), 42),
        ("end_of_no_stream", with_preface(&[frame(Kind::End, 1, &[])]), 42),
        ("end_twice", with_preface(&[open_frame(2, app), frame(Kind::End, 2, &[]), frame(Kind::End, 2, &[])]), 42),
        (
            "data_behind_the_end",
            with_preface(&[open_frame(2, app), frame(Kind::End, 2, &[]), frame(Kind::Data, 2, b"x")]),
            42,
        ),
        ("service_unknown", with_preface(&[frame(Kind::Open, 2, &[99])]), 43),
        ("service_of_the_guest", with_preface(&[open_frame(2, LinkService::Config)]), 43),
        // Nobody accepted the stream.
        ("data_without_credit", with_preface(&[open_frame(2, app), frame(Kind::Data, 2, b"x")]), 44),
        ("credit_above_the_window", with_preface(&[open_frame(2, app), credit(2, window)]), 44),
    ];
    for (name, sent, code) in cases {
        let error = refused(&sent).await;
        assert_eq!(error.code(), Some(code), "{name}: {error}");
    }
}

/// Streams without end, that nobody takes: bounded, then cut off.
#[tokio::test]
async fn a_host_that_floods_is_cut_off() {
    let frames: Vec<Vec<u8>> = (1..=3 * VM_STREAMS_MAX as u32).map(|at| open_frame(2 * at, LinkService::App)).collect();
    assert_eq!(refused(&with_preface(&frames)).await.code(), Some(45));
}

/// Credit runs out at the window, whatever the reader does.
#[tokio::test]
async fn no_more_is_kept_than_credit_was_given() {
    let (mut host, pipe) = duplex(1 << 20);
    let mut guest = end(LinkEnd::Guest, pipe);
    host.write_all(&with_preface(&[open_frame(2, LinkService::App)])).await.unwrap();
    let _unread = guest.asked.recv().await.unwrap().accept().unwrap();
    let piece = frame(Kind::Data, 2, &[0; VM_FRAME_BYTES_MAX]);
    for _ in 0..VM_STREAM_WINDOW as usize / VM_FRAME_BYTES_MAX {
        host.write_all(&piece).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!guest.carrier.is_finished());
    host.write_all(&frame(Kind::Data, 2, b"x")).await.unwrap();
    assert_eq!(timeout(WAIT, guest.carrier).await.unwrap().unwrap().code(), Some(44));
}

/// Bytes of every kind from a fixed seed, behind a preface: each ends the link or waits for more, and nothing panics.
#[tokio::test]
async fn no_bytes_break_an_end() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..400 {
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut sent = VM_LINK_PREFACE.to_vec();
        for _ in 0..8 {
            let (kind, stream) = (random() % 7, random() % 6);
            let length = random() % 5;
            sent.extend([kind as u8, 0, 0, 0, stream as u8, 0, length as u8]);
            sent.extend((0..length).map(|_| (random() % 9) as u8));
        }
        let (mut host, pipe) = duplex(1 << 16);
        let guest = end(LinkEnd::Guest, pipe);
        echo(guest.asked);
        host.write_all(&sent).await.unwrap();
        host.shutdown().await.unwrap();
        timeout(WAIT, guest.carrier).await.unwrap().unwrap();
    }
}
