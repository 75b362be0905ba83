//! A log that only its owner reads, and that shows what is missing.

use super::*;

fn secret() -> LogSecret {
    LogSecret::of(&AccountKey::from_bytes(&[3; 32]).unwrap(), &AppId::new([1; 20]))
}

fn sealed(entropy: u8, lines: &[&str]) -> Vec<String> {
    let mut sealer = LogSealer::new(&secret().public(), &Zeroizing::new([entropy; 32]));
    lines.iter().map(|line| sealer.seal(LogSource::Output, line.as_bytes())).collect()
}

#[test]
fn the_owner_reads_what_was_said_and_nobody_else() {
    let mut sealer = LogSealer::new(&secret().public(), &Zeroizing::new([7; 32]));
    let records = [sealer.seal(LogSource::Output, b"canary one"), sealer.seal(LogSource::Error, b"")];
    let opened: Vec<_> = records.iter().map(|record| secret().open(record).unwrap()).collect();
    assert_eq!((opened[0].source, opened[0].line.as_slice()), (LogSource::Output, b"canary one".as_slice()));
    assert_eq!((opened[1].source, opened[1].number, opened[1].previous), (LogSource::Error, 1, opened[0].digest));
    let bytes = records[0].parse::<Base64Text>().unwrap().0;
    assert!(!bytes.windows(6).any(|part| part == b"canary"));
    for other in [
        LogSecret::of(&AccountKey::from_bytes(&[4; 32]).unwrap(), &AppId::new([1; 20])),
        LogSecret::of(&AccountKey::from_bytes(&[3; 32]).unwrap(), &AppId::new([2; 20])),
        LogSecret::of_everybody(&AppId::new([1; 20])),
    ] {
        assert_eq!(other.open(&records[0]), Err(RecordError::Sealed));
    }
}

#[test]
fn no_bit_of_a_record_can_be_changed() {
    let record = sealed(7, &["hello"]).remove(0);
    let bytes = record.parse::<Base64Text>().unwrap().0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(secret().open(&Base64Text(changed).to_string()).is_err(), "byte {at}");
    }
    for length in 0..bytes.len() {
        assert!(secret().open(&Base64Text(bytes[..length].to_vec()).to_string()).is_err(), "{length} bytes");
    }
    assert_eq!(secret().open("no base64!"), Err(RecordError::Malformed));
}

#[test]
fn what_was_removed_or_replaced_shows() {
    let one = sealed(1, &["a", "b", "c", "d"]);
    let two = sealed(2, &["e", "f"]);
    let gaps = |records: &[&String]| {
        let mut chain = LogChain::default();
        records.iter().map(|record| chain.follow(&secret().open(record).unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(gaps(&[&one[0], &one[1], &one[2], &two[0], &two[1]]), vec![None; 5]);
    assert_eq!(gaps(&[&one[0], &one[3]]), vec![None, Some(LogGap::Missing(2))]);
    assert_eq!(gaps(&[&one[2], &two[1]]), vec![Some(LogGap::Beginning(2)), Some(LogGap::Beginning(1))]);
    assert_eq!(gaps(&[&one[0], &one[0]]), vec![None, Some(LogGap::Replaced)]);
    assert_eq!(gaps(&[&one[1], &one[0]]), vec![Some(LogGap::Beginning(1)), Some(LogGap::Replaced)]);
}

#[test]
fn services_have_their_names_inside_and_may_speak_at_once() {
    let sealer =
        |entropy, name: &str| LogSealer::new(&secret().public(), &Zeroizing::new([entropy; 32])).of_service(name);
    let (mut web, mut store) = (sealer(1, "web"), sealer(2, &"s".repeat(90)));
    let records = [
        web.seal(LogSource::Output, b"a"),
        store.seal(LogSource::Error, b"store | b"),
        web.seal(LogSource::Error, b""),
        store.seal(LogSource::Output, b"c"),
    ];
    let mut chain = LogChain::default();
    let opened: Vec<_> = records.iter().map(|record| secret().open(record).unwrap()).collect();
    assert_eq!(opened.iter().map(|record| chain.follow(record)).collect::<Vec<_>>(), vec![None; 4]);
    let said: Vec<_> = opened.iter().map(|record| (record.service.as_deref().unwrap(), record.source)).collect();
    let cut = "s".repeat(64);
    let expect = [
        ("web", LogSource::Output),
        (cut.as_str(), LogSource::Error),
        ("web", LogSource::Error),
        (cut.as_str(), LogSource::Output),
    ];
    assert_eq!(said, expect);
    assert_eq!(opened[1].line, b"store | b");
    assert_eq!(secret().open(&sealed(1, &["a"])[0]).unwrap().service, None);
}

#[test]
fn a_long_line_is_cut_and_stays_one_line_of_a_hosts() {
    let record = sealed(1, &["x".repeat(10_000).as_str()]).remove(0);
    assert!(SEALED_LINE.len() + record.len() < 8 * 1024);
    assert_eq!(secret().open(&record).unwrap().line.len(), LOG_LINE_BYTES_MAX);
}
