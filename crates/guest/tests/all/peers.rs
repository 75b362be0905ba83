//! Peers (`spec/peers.md`): guests of one app on hosts of their own, which know each other by the chain alone.

use freehold_guest::{GuestError, StopReason};
use freehold_primitives::Digest;
use freehold_rpc::{Base64Text, HttpError, LocalErrorBody, LocalErrorCode, PEER_MESSAGE_BYTES_MAX};
use tokio::task::JoinHandle;

use crate::support::{FakeHost, Misbehaviour};

/// Three instances of one app that serve, each on a host of its own.
struct Three {
    hosts: [FakeHost; 3],
    guests: [JoinHandle<Result<StopReason, GuestError>>; 3],
    ids: Vec<Digest>,
}

impl Three {
    async fn serving() -> Self {
        let one = FakeHost::new(Misbehaviour::default());
        let (two, three) = (FakeHost::on(one.chain.clone()), FakeHost::on(one.chain.clone()));
        let hosts = [one, two, three];
        let guests = hosts.each_ref().map(FakeHost::guest);
        let mut ids = Vec::new();
        for host in &hosts {
            host.serving().await;
            ids.push(host.local().instance().await.unwrap().instance_id);
        }
        Self { hosts, guests, ids }
    }
}

/// Status and code of a refusal.
fn refused<T>(result: Result<T, HttpError>) -> (u16, LocalErrorCode) {
    match result.err().unwrap() {
        HttpError::Refused { status, body, .. } => {
            (status.as_u16(), serde_json::from_str::<LocalErrorBody>(&body).unwrap().error.code)
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_between_peers_are_read_once_and_by_nobody_else() {
    let Three { hosts: [one, two, three], guests, ids } = Three::serving().await;
    let (a, b, c) = (one.local(), two.local(), three.local());
    // Each sees the others, and their keysets are those that the chain holds.
    let report = a.peers().await.unwrap();
    let mut others = vec![ids[1], ids[2]];
    others.sort_unstable();
    assert_eq!(report.peers.iter().map(|peer| peer.instance_id).collect::<Vec<_>>(), others);
    let info = b.instance().await.unwrap();
    let seen = report.peers.iter().find(|peer| peer.instance_id == ids[1]).unwrap();
    assert_eq!((seen.keyset.as_ref(), seen.keyset_digest), (Some(&info.keyset), info.keyset_digest));
    assert_eq!((seen.account, seen.provider), (info.subject.account, info.subject.provider));
    // There and back, out of order.
    let first = a.seal_for_peer(&ids[1], b"one").await.unwrap();
    let second = a.seal_for_peer(&ids[1], b"two").await.unwrap();
    assert_eq!((first.sequence, second.sequence), (0, 1));
    let opened = b.open_from_peer(&second.envelope).await.unwrap();
    assert_eq!((opened.from, opened.sequence, opened.plaintext.0.as_slice()), (ids[0], 1, b"two".as_slice()));
    assert_eq!(b.open_from_peer(&first.envelope).await.unwrap().plaintext.0, b"one");
    let back = b.seal_for_peer(&ids[0], b"").await.unwrap();
    assert_eq!(a.open_from_peer(&back.envelope).await.unwrap().plaintext.0, b"");
    // Once, and by nobody else.
    assert_eq!(refused(b.open_from_peer(&first.envelope).await), (409, LocalErrorCode::Replayed));
    let third = a.seal_for_peer(&ids[1], b"three").await.unwrap();
    assert_eq!(refused(c.open_from_peer(&third.envelope).await), (422, LocalErrorCode::NotAuthentic));
    // No byte of it can be changed.
    for at in (0..third.envelope.0.len()).step_by(7) {
        let mut changed = third.envelope.clone();
        changed.0[at] ^= 1;
        let (status, code) = refused(b.open_from_peer(&changed).await);
        assert!(matches!(status, 400 | 409 | 422) && code != LocalErrorCode::Replayed, "byte {at}: {code:?}");
    }
    let mut longer = third.envelope.clone();
    longer.0.push(0);
    assert_eq!(refused(b.open_from_peer(&longer).await), (400, LocalErrorCode::InvalidRequest));
    assert_eq!(b.open_from_peer(&third.envelope).await.unwrap().plaintext.0, b"three");
    // Bounds, and strangers.
    let whole = vec![7; PEER_MESSAGE_BYTES_MAX];
    let sealed = a.seal_for_peer(&ids[1], &whole).await.unwrap();
    assert_eq!(b.open_from_peer(&sealed.envelope).await.unwrap().plaintext.0, whole);
    let above = vec![7; PEER_MESSAGE_BYTES_MAX + 1];
    assert_eq!(refused(a.seal_for_peer(&ids[1], &above).await), (400, LocalErrorCode::InvalidRequest));
    assert_eq!(refused(a.seal_for_peer(&Digest([9; 32]), b"x").await), (409, LocalErrorCode::PeerNotLive));
    assert_eq!(refused(a.seal_for_peer(&ids[0], b"x").await), (409, LocalErrorCode::PeerNotLive));
    assert_eq!(refused(a.open_from_peer(&Base64Text(vec![1; 40])).await), (400, LocalErrorCode::InvalidRequest));
    // Who is closed is no peer any more: for nothing new, and for nothing that waited.
    let waiting = a.seal_for_peer(&ids[1], b"late").await.unwrap();
    one.chain.close(|id| *id == ids[0]);
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(15);
    while b.peers().await.unwrap().peers.iter().any(|peer| peer.instance_id == ids[0]) {
        assert!(tokio::time::Instant::now() < end, "the closed instance stays a peer");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(refused(b.open_from_peer(&waiting.envelope).await), (409, LocalErrorCode::PeerNotLive));
    assert_eq!(refused(b.seal_for_peer(&ids[0], b"x").await), (409, LocalErrorCode::PeerNotLive));
    guests.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_instance_is_no_peer() {
    let Three { hosts: [one, _two, _three], guests, ids } = Three::serving().await;
    assert_eq!(one.local().peers().await.unwrap().peers.len(), 2);
    one.chain.deny_instance(&ids[1]);
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let peers = one.local().peers().await.unwrap().peers;
        if peers.iter().map(|peer| peer.instance_id).collect::<Vec<_>>() == [ids[2]] {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "a denied instance stays a peer");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(refused(one.local().seal_for_peer(&ids[1], b"x").await), (409, LocalErrorCode::PeerNotLive));
    guests.iter().for_each(tokio::task::JoinHandle::abort);
}
