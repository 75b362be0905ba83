//! Wires: bytes arrive in order, late by the latency, held up by cuts, and not at all after a reset.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use commonware_runtime::{
    Clock as _, Listener as _, Runner as _, Sink as _, Spawner as _, Stream as _, Supervisor as _,
    deterministic::{Context, Runner},
};

use super::{Link, Sink, Stream, Wires};

const LATENCY: Duration = Duration::from_millis(40);

/// Both ends of a connection from machine 0 to machine 1.
struct Ends {
    near: (Sink, Stream),
    far: (Sink, Stream),
}

fn with_wires(link: Link, test: impl AsyncFnOnce(Context, Wires, Ends)) {
    Runner::seeded(1).start(async |context: Context| {
        let (wires, address) = (Wires::new(1, link), SocketAddr::from(([10, 0, 0, 2], 9_000)));
        let mut listener = wires.bind(1, address).unwrap();
        assert!(wires.bind(1, address).is_err(), "an address is bound once");
        let accepting = context.child("accept").spawn(|_| async move { listener.accept().await.unwrap() });
        let near = wires.dial(&context, 0, address).await.unwrap();
        let (_, sink, stream) = accepting.await.unwrap();
        wires.bind(1, address).unwrap();
        test(context, wires, Ends { near, far: (sink, stream) }).await;
    });
}

fn link() -> Link {
    Link { latency: LATENCY, jitter: Duration::from_millis(30), loss_per_mille: 100 }
}

#[test]
fn bytes_arrive_in_order_and_late() {
    with_wires(link(), async |context, wires, mut ends| {
        let sent = context.current();
        for byte in 0..100_u8 {
            ends.near.0.send(vec![byte; 3]).await.unwrap();
        }
        for byte in 0..100_u8 {
            let got = ends.far.1.recv(3).await.unwrap();
            assert_eq!(got.coalesce().as_ref(), [byte; 3]);
        }
        let taken = context.current().duration_since(sent).unwrap();
        assert!(taken >= LATENCY + Duration::from_millis(200), "nothing of a hundred was lost: {taken:?}");
        assert_eq!(wires.bytes(), 300);
        ends.far.0.send(vec![1]).await.unwrap();
        assert_eq!(ends.near.1.recv(1).await.unwrap().len(), 1);
    });
}

#[test]
fn cut_holds_bytes_up_until_it_is_healed() {
    with_wires(Link { latency: LATENCY, ..Link::default() }, async |context, wires, mut ends| {
        wires.cut(2, |machine| machine == 0);
        ends.near.0.send(vec![7; 4]).await.unwrap();
        assert!(wires.dial(&context, 0, "10.0.0.2:9000".parse().unwrap()).await.is_err());
        let mut stream = ends.far.1;
        let reading = context.child("read").spawn(|context| async move {
            stream.recv(4).await.unwrap();
            context.current()
        });
        context.sleep(Duration::from_secs(3)).await;
        let healed = context.current();
        wires.heal(healed);
        assert!(reading.await.unwrap() >= healed);
    });
}

#[test]
fn reset_and_end_are_seen() {
    with_wires(Link::default(), async |_, wires, mut ends| {
        wires.cut(2, |machine| machine == 0);
        wires.reset_cut();
        assert!(ends.near.0.send(vec![1]).await.is_err());
        assert!(ends.far.1.recv(1).await.is_err());
    });
    with_wires(Link::default(), async |_, _, mut ends| {
        ends.near.0.send(vec![1, 2]).await.unwrap();
        drop(ends.near);
        assert_eq!(ends.far.1.recv(2).await.unwrap().len(), 2, "what was sent before the end arrives");
        assert!(ends.far.1.recv(1).await.is_err());
        assert!(ends.far.0.send(vec![1]).await.is_err());
    });
}
