//! Events by subscription (`spec/events.md`), against a chain that withholds and forges them too.

use std::time::Duration;

use alloy_primitives::{Address, B256, Log};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots::{APPS, KEYS};
use freehold_primitives::{Account, Digest, Height};
use freehold_rpc::{EventLine, EventStream, EventsAsk, EventsTold, HttpError, LifeChoice, LifeEvent, LocalErrorCode};
use tokio::time::{sleep, timeout};

use crate::support::{FakeHost, IApps, IKeys, Misbehaviour, app_id, transactions::LogsTold};

const CONTRACT: Account = Account([0xc0; 20]);

fn log(address: Account, topics: &[u8], data: u8) -> Log {
    let topics = topics.iter().map(|topic| B256::repeat_byte(*topic)).collect();
    Log::new_unchecked(Address::from(address.0), topics, vec![data; 3].into())
}

fn of_contract() -> EventsAsk {
    EventsAsk { addresses: vec![CONTRACT], ..EventsAsk::default() }
}

async fn told(stream: &mut EventStream) -> EventsTold {
    match timeout(Duration::from_secs(15), stream.next()).await.unwrap().unwrap().unwrap() {
        EventLine::Told(line) => line,
        EventLine::Ended(body) => panic!("{body:?}"),
    }
}

/// The next line that holds something.
async fn held(stream: &mut EventStream) -> EventsTold {
    loop {
        let line = told(stream).await;
        if !(line.logs.is_empty() && line.life.is_empty()) {
            return line;
        }
    }
}

/// First bytes of the data of all logs up to a height.
async fn all(host: &FakeHost, ask: &EventsAsk, until: Height) -> Vec<(Height, u8)> {
    let mut stream = host.local().events(ask).await.unwrap();
    let mut found = Vec::new();
    loop {
        let line = told(&mut stream).await;
        found.extend(line.logs.iter().map(|log| (line.header.height, log.data.0[0])));
        if line.header.height >= until {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_and_a_listener_goes_on_where_it_was_cut_off() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let mut stream = host.local().events(&of_contract()).await.unwrap();
    // Two in one block, of which one is another's; then one at a time.
    host.chain.emit(vec![log(CONTRACT, &[1, 2], 1), log(Account([0xc1; 20]), &[1], 99)]);
    let first = held(&mut stream).await;
    assert_eq!((first.logs.len(), first.logs[0].data.0.as_slice(), first.logs[0].log_index), (1, &[1; 3][..], 0));
    assert_eq!(first.logs[0].topics, [Digest([1; 32]), Digest([2; 32])]);
    assert_eq!(first.logs[0].address, CONTRACT);
    drop(stream);
    for number in 2..=4 {
        host.chain.emit(vec![log(CONTRACT, &[number], number)]);
        sleep(Duration::from_millis(150)).await;
    }
    // It goes on behind what it has: nothing twice, nothing left out.
    let resumed = EventsAsk { from: Some(first.header.height + 1), ..of_contract() };
    let mut stream = host.local().events(&resumed).await.unwrap();
    let mut last = first.header.height;
    for number in 2..=4 {
        let line = held(&mut stream).await;
        assert_eq!(line.logs.iter().map(|log| log.data.0[0]).collect::<Vec<_>>(), [number]);
        assert!(line.header.height > last);
        last = line.header.height;
    }
    // The same from the beginning on, and by topics.
    let from = |topics| EventsAsk { from: Some(0), topics, ..EventsAsk::default() };
    let seen = all(&host, &EventsAsk { from: Some(0), ..of_contract() }, last).await;
    assert_eq!(seen.iter().map(|(_, data)| *data).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let second = from([vec![Digest([1; 32]), Digest([3; 32])], vec![], vec![], vec![]]);
    let seen = all(&host, &second, last).await;
    assert_eq!(seen.iter().map(|(_, data)| *data).collect::<Vec<_>>(), [1, 99, 3]);
    let seen = all(&host, &from([vec![], vec![Digest([2; 32])], vec![], vec![]]), last).await;
    assert_eq!(seen.iter().map(|(_, data)| *data).collect::<Vec<_>>(), [1]);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_own_life_is_told() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let ask = EventsAsk { life: LifeChoice::Told, ..EventsAsk::default() };
    let mut stream = host.local().events(&ask).await.unwrap();
    let app = alloy_primitives::FixedBytes::<21>::from(*app_id().as_bytes());
    let of = |module: Account, data| Log { address: Address::from(module.0), data };
    let registered = IApps::InstanceRegistered {
        app,
        instance: B256::repeat_byte(7),
        account: Address::repeat_byte(8),
        expiresAt: 9,
        entry: B256::ZERO,
    };
    let other = IApps::AppUpdated { app: [1; 21].into(), version: 3, entry: B256::ZERO };
    let updated = IApps::AppUpdated { app, version: 4, entry: B256::ZERO };
    let rotated = IKeys::ContextRotated { app, context: "root".to_owned(), generation: 2, previousUntil: 100 };
    host.chain.emit(vec![
        of(APPS, registered.encode_log_data()),
        of(APPS, other.encode_log_data()),
        of(APPS, updated.encode_log_data()),
        // A contract that says the same is no module.
        of(CONTRACT, updated.encode_log_data()),
        of(KEYS, rotated.encode_log_data()),
    ]);
    let expected = vec![
        LifeEvent::InstanceRegistered { instance_id: Digest([7; 32]), account: Account([8; 20]), expires_at: 9 },
        LifeEvent::Upgraded { version: 4 },
        LifeEvent::KeyRotated { context: "root".to_owned(), generation: 2, previous_until: 100 },
    ];
    let line = held(&mut stream).await;
    assert_eq!((line.life, line.logs), (expected, Vec::new()));
    guest.abort();
}

async fn ends_for(logs: LogsTold, empty_blocks: bool) {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let mut stream = host.local().events(&of_contract()).await.unwrap();
    host.chain.set(|misbehaviour| (misbehaviour.logs, misbehaviour.empty_blocks) = (logs, empty_blocks));
    host.chain.emit(vec![log(CONTRACT, &[1], 1)]);
    let mut newest = 0;
    let ended = loop {
        match timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap() {
            EventLine::Told(line) => {
                assert!(line.logs.is_empty(), "{line:?}");
                newest = line.header.height;
            }
            EventLine::Ended(body) => break body.error,
        }
    };
    assert_eq!(ended.code, LocalErrorCode::Unavailable, "{}", ended.message);
    assert!(ended.message.contains("not the certified one"), "{}", ended.message);
    assert_eq!(stream.next().await.unwrap(), None);
    // The listener was not told that the block below held nothing, and gets the log from a better relay.
    host.chain.set(|misbehaviour| (misbehaviour.logs, misbehaviour.empty_blocks) = (LogsTold::All, false));
    let mut stream = host.local().events(&EventsAsk { from: Some(newest + 1), ..of_contract() }).await.unwrap();
    assert_eq!(held(&mut stream).await.logs[0].data.0, [1; 3]);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_and_forged_logs_are_noticed() {
    tokio::join!(ends_for(LogsTold::Withheld, false), ends_for(LogsTold::Forged, false), ends_for(LogsTold::All, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_bounded_and_questions_are_read_strictly() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let refused = |result: Result<EventStream, HttpError>| match result.err().unwrap() {
        HttpError::Refused { status, body, .. } => (status.as_u16(), body),
        other => panic!("{other}"),
    };
    let (status, body) = refused(host.local().events(&EventsAsk::default()).await);
    assert!(status == 400 && body.contains("name an address"), "{body}");
    let many = EventsAsk { addresses: vec![CONTRACT; 17], ..EventsAsk::default() };
    let (status, body) = refused(host.local().events(&many).await);
    assert!(status == 400 && body.contains("more than 16"), "{body}");
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(host.local().events(&of_contract()).await.unwrap());
    }
    assert_eq!(refused(host.local().events(&of_contract()).await).0, 429);
    // One that leaves makes room.
    streams.pop();
    let mut again = host.local().events(&of_contract()).await;
    for _ in 0..50 {
        if again.is_ok() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
        again = host.local().events(&of_contract()).await;
    }
    assert!(again.is_ok());
    guest.abort();
}
