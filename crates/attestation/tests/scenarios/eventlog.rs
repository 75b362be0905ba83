//! Event logs of real machines, kept outside the repository, and malformed ones made from them.

use freehold_attestation::{
    AppEvent, AppFact, BootEvents, Cover, DigestRule, DstackAttestation, EVENT_LOG_BYTES_MAX, EVENTS_MAX, EventLine,
    HashAlgorithm, LogKind, LoggedEvent, Phase, Refusal, Rtmr, Rtmrs, RuntimeLog, TcgLog, app_event_digest,
    canonicalise, tdx::UnverifiedTdx,
};
use freehold_primitives::{Register, TdxMeasurement};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::real::vector;

fn registers_of(quote: &[u8]) -> TdxMeasurement {
    UnverifiedTdx::read(&canonicalise(quote).unwrap()).unwrap().measurement().clone()
}

fn json_vector(path: &str) -> Option<Value> {
    Some(serde_json::from_slice(&vector(path)?).unwrap())
}

fn hex_of(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn a_ccel_replays_to_the_registers_of_its_quote() {
    let Some(bytes) = vector("eventlog/gcp-cos113-ccel_data.dat") else { return };
    let Some(quote) = vector("eventlog/gcp-cos113-cos-113-tdx-quote.dat") else { return };
    let log = TcgLog::read(&bytes).unwrap();
    assert_eq!(log.kind(), LogKind::ConfidentialGuest);
    assert_eq!(log.events().len(), 43);
    let (replayed, shown) = (log.rtmrs().unwrap(), registers_of(&quote));
    assert_eq!(replayed.require(&shown, &Rtmr::ALL), Ok(()));
    assert_eq!(replayed.get(Rtmr::Rtmr3), Register::ZERO);
    assert!(replayed.compare(&shown).unwrap().iter().all(|check| check.is_equal()));
    // A policy's measurement may leave registers open: that is nothing to compare with.
    let open = TdxMeasurement { rtmr2: None, ..shown };
    assert_eq!(replayed.require(&open, &[Rtmr::Rtmr0]), Err(Refusal::EventLogMismatch));
}

#[test]
fn a_changed_digest_does_not_replay() {
    let Some(bytes) = vector("eventlog/gcp-cos113-ccel_data.dat") else { return };
    let Some(quote) = vector("eventlog/gcp-cos113-cos-113-tdx-quote.dat") else { return };
    let shown = registers_of(&quote);
    let log = TcgLog::read(&bytes).unwrap();
    let start = bytes.as_ptr() as usize;
    for event in log.events() {
        let at = event.digest(0x000c).unwrap().as_ptr() as usize - start;
        let mut forged = bytes.clone();
        forged[at + 47] ^= 1;
        let replayed = TcgLog::read(&forged).unwrap().rtmrs().unwrap();
        let register = Rtmr::from_number(event.index() - 1).unwrap();
        assert_eq!(replayed.require(&shown, &[register]), Err(Refusal::EventLogMismatch));
    }
}

fn texts(lines: impl Iterator<Item = EventLine>) -> Vec<String> {
    lines.map(|line| format!("{} {} {}", line.register, line.event_type, line.text)).collect()
}

#[test]
fn a_ccel_is_told_in_plain_words() {
    let Some(bytes) = vector("eventlog/gcp-cos113-ccel_data.dat") else { return };
    let log = TcgLog::read(&bytes).unwrap();
    let lines = texts(log.lines());
    for (at, expected) in [
        (0, "RTMR0 EV_EFI_HANDOFF_TABLES2 TdxTable"),
        (1, "RTMR0 EV_EFI_PLATFORM_FIRMWARE_BLOB2 Fv(48DB5E17-707C-472D-91CD-1613E7EF51B0)"),
        (2, "RTMR0 EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot = 00"),
        (7, "RTMR0 EV_SEPARATOR boot begins"),
        (8, "RTMR0 EV_PLATFORM_CONFIG_FLAGS ACPI DATA"),
        (14, "RTMR1 EV_EFI_ACTION Calling EFI Application from Boot Option"),
        (16, "RTMR1 EV_EFI_GPT_EVENT partition table of 12 partitions"),
        (17, r"RTMR1 EV_EFI_BOOT_SERVICES_APPLICATION image of 924688 bytes, \EFI\BOOT\BOOTX64.EFI"),
        (18, "RTMR2 EV_IPL MokList"),
        (20, "RTMR0 EV_EFI_VARIABLE_AUTHORITY SbatLevel = sbat,1,2021030218"),
        (23, r"RTMR1 EV_EFI_BOOT_SERVICES_APPLICATION image of 743168 bytes, \EFI\BOOT\grub-lakitu.efi"),
    ] {
        assert_eq!(lines[at], expected);
    }
    assert!(lines.iter().all(|line| line.chars().all(|c| c.is_ascii_graphic() || c == ' ' || c == '…')));
    // Firmware hashes its variables and actions; GRUB hashes a command without what its log puts before it.
    let cover: Vec<Cover> = log.lines().map(|line| line.cover).collect();
    assert_eq!(cover[2], Cover::Data);
    assert_eq!(cover[14], Cover::Data);
    assert_eq!(cover[1], Cover::Something);
    assert_eq!(cover[25], Cover::Something);
}

#[test]
fn another_ccel_and_its_fill() {
    let Some(bytes) = vector("eventlog/dstack-ccel.bin") else { return };
    let log = TcgLog::read(&bytes).unwrap();
    assert_eq!(log.events().len(), 18);
    assert_eq!(
        log.rtmrs().unwrap().get(Rtmr::Rtmr0).to_string(),
        "274c2344116db7c663470693b5ba62b8621eac28cb41d2f816ddf188f9f423f900a1c44d32386fd3c993dc814e62af9d"
    );
    let end = bytes.iter().rposition(|byte| *byte != 0xff).unwrap() + 1;
    let bare = &bytes[..end];
    assert_eq!(TcgLog::read(bare).unwrap(), log, "fill says nothing");
    for fill in [vec![0; 100], vec![0; 3], vec![0xff; 7]] {
        assert_eq!(TcgLog::read(&[bare, &fill].concat()).unwrap(), log);
    }
    // Neither fill, nor an event.
    for (rest, refusal) in [
        (vec![0xff, 0xff, 0xff, 0], Refusal::EventLogTruncated),
        ([vec![0; 40], vec![1]].concat(), Refusal::EventLogDigests),
        ([vec![0xff; 40], vec![0]].concat(), Refusal::EventLogDigests),
    ] {
        assert_eq!(TcgLog::read(&[bare, &rest].concat()), Err(refusal));
    }
}

#[test]
fn a_tpm_log_replays_to_its_pcrs() {
    let Some(bytes) = vector("eventlog/dstack-tpm_eventlog.bin") else { return };
    let log = TcgLog::read(&bytes).unwrap();
    assert_eq!((log.kind(), log.events().len()), (LogKind::Tpm, 45));
    assert_eq!(log.algorithm_ids().collect::<Vec<_>>(), [4, 11, 12]);
    let bank = log.pcrs(HashAlgorithm::Sha256).unwrap();
    // PCR 0 of every virtual machine on this firmware, as its vendor's users publish it.
    let pcr0 = hex::decode("0cca9ec161b09288802e5a112255d21340ed5b797f5fe29cecccfd8f67b9f802").unwrap();
    assert_eq!(bank.require(&[(0, &pcr0), (10, &[0; 32])]), Ok(()));
    assert_eq!(bank.require(&[(1, &pcr0)]), Err(Refusal::EventLogMismatch));
    assert_eq!(bank.iter().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 9, 11]);
    assert_eq!(log.pcrs(HashAlgorithm::Sha384).unwrap().get(0).map(<[u8]>::len), Some(48));
    assert_eq!(log.pcrs(HashAlgorithm::Sha512), Err(Refusal::EventLogDigests));
    assert_eq!(log.rtmrs(), Err(Refusal::EventLogRegister));
    let lines = texts(log.lines());
    assert!(lines[0].starts_with("- EV_NO_ACTION"), "{}", lines[0]);
    assert_eq!(lines[2], "PCR0 EV_S_CRTM_VERSION GCE Virtual Firmware v2");
    assert!(lines.contains(&"PCR11 EV_IPL .cmdline".to_owned()));
    assert!(lines.contains(&"PCR9 EV_EVENT_TAG 0x8f3b22ec Linux initrd".to_owned()));
}

#[test]
fn dstack_logs_replay_to_the_registers_of_their_quotes() {
    for file in ["tdx/dstack/quote-report.json", "tdx/dstack/tdx-lite-getquote.json"] {
        let Some(document) = json_vector(file) else { return };
        let log = RuntimeLog::read(document["event_log"].as_str().unwrap().as_bytes()).unwrap();
        let shown = registers_of(&hex_of(&document["quote"]));
        assert_eq!(log.rtmrs().require(&shown, &Rtmr::ALL), Ok(()), "{file}");
    }
}

#[test]
fn app_level_events_are_typed() {
    let Some(document) = json_vector("tdx/dstack/quote-report.json") else { return };
    let log = RuntimeLog::read(document["event_log"].as_str().unwrap().as_bytes()).unwrap();
    let boot = BootEvents::read(&log).unwrap();
    let compose: [u8; 32] = boot
        .facts()
        .iter()
        .find_map(|fact| if let AppFact::ComposeHash(hash) = fact { Some(*hash) } else { None })
        .unwrap();
    assert!(boot.facts().contains(&AppFact::AppId(compose[..20].try_into().unwrap())));
    assert!(matches!(&boot.facts()[5], AppFact::KeyProvider(provider) if provider.name == "local-sgx"));
    assert_eq!(boot.facts().last(), Some(&AppFact::SystemReady));
    assert_eq!(boot.require_compose_hash(&[[0; 32], compose]), Ok(()));
    assert_eq!(boot.require_compose_hash(&[[0; 32]]), Err(Refusal::PolicyEventValue));
    // What came later is kept as it is.
    assert_eq!(boot.late().len(), 1);
    assert_eq!(boot.late()[0].name, "LIUM_MINER_HOTKEY");
    let lines: Vec<EventLine> = log.lines().collect();
    assert_eq!(lines[0].phase, Phase::Firmware);
    assert_eq!(lines.last().unwrap().phase, Phase::Late);
    assert_eq!(lines[lines.len() - 2].phase, Phase::Boot);
    assert_eq!(lines[lines.len() - 2].text, "system-ready");
}

#[test]
fn a_dstack_container_holds_a_quote_and_its_log() {
    let Some(document) = json_vector("tdx/dstack/tdx-lite-attestation.json") else { return };
    let bytes = hex_of(&document["attestation"]);
    let container = DstackAttestation::read(&bytes).unwrap();
    let shown = registers_of(&container.quote);
    // Of the firmware's events it keeps three.
    assert_eq!(container.log.rtmrs().require(&shown, &[Rtmr::Rtmr3]), Ok(()));
    assert_eq!(container.log.rtmrs().require(&shown, &[Rtmr::Rtmr0]), Err(Refusal::EventLogMismatch));
    assert_eq!(container.log.events().len(), 12);
    assert_eq!(&container.quote[568..632], &container.report_data);
    assert!(container.configuration.starts_with('{') && container.configuration.ends_with('}'));
    assert!(BootEvents::read(&container.log).is_ok());
    for cut in (0..bytes.len()).step_by(7) {
        assert!(DstackAttestation::read(&bytes[..cut]).is_err());
    }
    assert_eq!(DstackAttestation::read(&[&bytes[..], &[0]].concat()), Err(Refusal::EventLogContainer));
    // The two lists of app-level events disagree: the second `zfs`, near the end, becomes another word.
    let at = bytes.windows(3).rposition(|three| three == b"zfs").unwrap();
    let mut changed = bytes;
    changed[at] = b'x';
    assert_eq!(DstackAttestation::read(&changed), Err(Refusal::EventLogContainer));
}

fn app(name: &str, payload: &[u8], rule: DigestRule) -> AppEvent {
    AppEvent { name: name.to_owned(), payload: payload.to_vec(), rule }
}

/// A row of a JSON log with the right digest.
fn row(event: &AppEvent) -> Value {
    json!({
        "imr": 3, "event_type": 0x0800_0001, "digest": app_event_digest(event).unwrap().to_string(),
        "event": event.name, "event_payload": hex::encode(&event.payload),
    })
}

fn read(rows: &[Value]) -> Result<RuntimeLog, Refusal> {
    RuntimeLog::read(&serde_json::to_vec(rows).unwrap())
}

fn boot(events: &[(&str, &[u8])]) -> Result<BootEvents, Refusal> {
    let rows: Vec<Value> =
        events.iter().map(|(name, payload)| row(&app(name, payload, DigestRule::Version1))).collect();
    BootEvents::read(&read(&rows).unwrap())
}

#[test]
fn nothing_behind_system_ready_passes_for_a_boot_event() {
    let [mine, theirs] = [[1; 32], [2; 32]];
    let facts = boot(&[("compose-hash", &mine), ("system-ready", &[]), ("compose-hash", &theirs)]).unwrap();
    assert_eq!(facts.require_compose_hash(&[mine]), Ok(()));
    assert_eq!(facts.require_compose_hash(&[theirs]), Err(Refusal::PolicyEventValue));
    let facts = boot(&[("app-id", &[3; 20]), ("system-ready", &[]), ("compose-hash", &theirs)]).unwrap();
    assert_eq!(facts.require_compose_hash(&[theirs]), Err(Refusal::PolicyEventLate));
    assert_eq!(facts.require_app_id(&[[3; 20]]), Ok(()));
    let facts = boot(&[("system-ready", &[])]).unwrap();
    assert_eq!(facts.require_compose_hash(&[theirs]), Err(Refusal::PolicyEventMissing));
    // Without the mark nothing says where the boot ended.
    assert_eq!(boot(&[("compose-hash", &mine)]), Err(Refusal::PolicyEventMissing));
    assert_eq!(boot(&[]), Err(Refusal::PolicyEventMissing));
    assert_eq!(boot(&[("system-ready", &[]), ("system-ready", &[])]), Err(Refusal::PolicyEventRepeated));
    let twice = boot(&[("compose-hash", &mine), ("compose-hash", &theirs), ("system-ready", &[])]);
    assert_eq!(twice, Err(Refusal::PolicyEventRepeated));
    // Scripts are several; names that nobody knows are kept.
    let facts = boot(&[
        ("init-script-hash", &[1]),
        ("init-script-hash", &[2]),
        ("mr-kms", &[7; 32]),
        ("something", b"else"),
        ("system-ready", &[]),
    ]);
    assert_eq!(facts.unwrap().facts()[3], AppFact::Other("something".to_owned(), b"else".to_vec()));
}

#[test]
fn a_payload_is_what_its_name_demands() {
    for (name, payload) in [
        ("compose-hash", [0; 31].as_slice()),
        ("app-id", &[0; 32]),
        ("instance-id", &[0; 19]),
        ("mr-kms", &[]),
        ("system-preparing", &[1]),
        ("key-provider", br#"{"name":"kms","name":"none","id":""}"#),
        ("key-provider", b"kms"),
        ("storage-fs", &[0xff]),
    ] {
        assert_eq!(boot(&[(name, payload), ("system-ready", &[])]), Err(Refusal::EventLogEvent), "{name}");
    }
    assert!(boot(&[("instance-id", &[]), ("system-ready", &[])]).is_ok());
}

#[test]
fn digests_are_computed_and_not_believed() {
    // SHA-384 of `01000008 3a "app-id" 3a deadbeef`, and of the JSON of version 2.
    for (rule, expected) in [
        (
            DigestRule::Version1,
            "67b4be4efed0893cfa2bb1d35dca209ad8348b4c97f980807bcde8b9a0f26398dd0923d6eccb5aa2096d98046da8740f",
        ),
        (
            DigestRule::Version2,
            "baf3bcd15a9ffbd5d96a054080db0d029d44a88cdb7ea9f9ca5953bf7a1d8d91f9a16c6de05de1034f41295e8cec53dc",
        ),
    ] {
        let event = app("app-id", &[0xde, 0xad, 0xbe, 0xef], rule);
        assert_eq!(app_event_digest(&event).unwrap().to_string(), expected);
        let log = read(&[row(&event)]).unwrap();
        assert_eq!(log.app_events().collect::<Vec<_>>(), [&event], "the digest says which rule");
        let mut forged = row(&event);
        forged["event_payload"] = json!("deadbeee");
        assert_eq!(read(&[forged]), Err(Refusal::EventLogDigestMismatch));
        let mut versioned = row(&event);
        versioned["version"] = json!(if rule == DigestRule::Version1 { 2 } else { 1 });
        assert_eq!(read(&[versioned.clone()]), Err(Refusal::EventLogDigestMismatch));
        versioned["version"] = json!(3);
        assert_eq!(read(&[versioned]), Err(Refusal::EventLogJson));
    }
    // A digest that was left out is computed: of version 1 unless the row says 2.
    let mut bare = row(&app("a", b"b", DigestRule::Version2));
    bare["digest"] = json!("");
    let Ok(log) = read(&[bare.clone()]) else { panic!("a bare row is read") };
    assert_eq!(log.app_events().next().unwrap().rule, DigestRule::Version1);
    bare["version"] = json!(2);
    bare["preimage"] = json!(r#"{"name":"a","payload":"62","type":134217729}"#);
    assert_eq!(read(&[bare.clone()]).unwrap().app_events().next().unwrap().rule, DigestRule::Version2);
    bare["preimage"] = json!("{}");
    assert_eq!(read(&[bare]), Err(Refusal::EventLogDigestMismatch));
    // Ours.
    let ours = app("freehold-app", b"document", DigestRule::FreeholdApp);
    assert_eq!(read(&[row(&ours)]).unwrap().app_events().collect::<Vec<_>>(), [&ours]);
    assert_eq!(app_event_digest(&app("other", b"", DigestRule::FreeholdApp)), Err(Refusal::EventLogEvent));
}

#[test]
fn one_digest_has_one_reading() {
    // `compose-hash` with a payload that begins `x:` and `compose-hash:x` would have one digest of version 1.
    let colon = app("compose-hash:x", b"rest", DigestRule::Version1);
    assert_eq!(app_event_digest(&colon), Err(Refusal::EventLogEvent));
    let mut row = row(&app("compose-hash", b"x:rest", DigestRule::Version1));
    row["event"] = json!("compose-hash:x");
    row["event_payload"] = json!(hex::encode("rest"));
    assert_eq!(read(&[row]), Err(Refusal::EventLogEvent));
    // Version 2 has no such trap: it carries the colon.
    let colon = app("compose-hash:x", b"rest", DigestRule::Version2);
    assert_eq!(read(&[self::row(&colon)]).unwrap().app_events().collect::<Vec<_>>(), [&colon]);
    assert_eq!(app_event_digest(&app("", b"", DigestRule::Version2)), Err(Refusal::EventLogEvent));
    assert_eq!(app_event_digest(&app(&"n".repeat(257), b"", DigestRule::Version1)), Err(Refusal::EventLogEvent));
}

#[test]
fn json_log_malformed() {
    let good = row(&app("a", b"b", DigestRule::Version1));
    let with = |name: &str, value: Value| {
        let mut row = good.clone();
        row[name] = value;
        vec![row]
    };
    assert!(read(std::slice::from_ref(&good)).is_ok());
    assert_eq!(read(&with("imr", json!(0))), Err(Refusal::EventLogRegister));
    assert_eq!(read(&with("imr", json!(4))), Err(Refusal::EventLogRegister));
    assert_eq!(read(&with("imr", json!(-1))), Err(Refusal::EventLogJson));
    assert_eq!(read(&with("unknown", json!(0))), Err(Refusal::EventLogJson));
    assert_eq!(read(&with("event_payload", json!("0"))), Err(Refusal::EventLogJson));
    assert_eq!(read(&with("digest", json!("00"))), Err(Refusal::EventLogDigestMismatch));
    // A firmware event without its digest.
    let firmware = json!({"imr": 0, "event_type": 4, "digest": "00", "event": "", "event_payload": ""});
    assert_eq!(read(&[firmware]), Err(Refusal::EventLogDigests));
    let repeated = br#"[{"imr":3,"imr":3,"event_type":134217729,"event":"a","event_payload":""}]"#;
    assert_eq!(RuntimeLog::read(repeated), Err(Refusal::EventLogJson));
    assert_eq!(RuntimeLog::read(b"[] []"), Err(Refusal::EventLogJson));
    assert_eq!(RuntimeLog::read(&vec![b' '; EVENT_LOG_BYTES_MAX + 1]), Err(Refusal::EventLogTooLong));
    let short = r#"{"imr":3,"event_type":134217729,"event":"a"}"#;
    let many = |count| format!("[{}]", vec![short; count].join(","));
    assert_eq!(RuntimeLog::read(many(EVENTS_MAX).as_bytes()).unwrap().events().len(), EVENTS_MAX);
    assert_eq!(RuntimeLog::read(many(EVENTS_MAX + 1).as_bytes()), Err(Refusal::EventLogTooLong));
    assert_eq!(read(&[]).unwrap().rtmrs(), Rtmrs::default());
    // A label is not data, and an event without action extends nothing.
    let labelled = json!({"imr": 0, "event_type": 3, "digest": "00".repeat(48), "event": "x", "event_payload": ""});
    let log = read(&[labelled]).unwrap();
    assert!(matches!(&log.events()[0], LoggedEvent::Firmware { label, .. } if label == "x"));
    assert_eq!(log.rtmrs(), Rtmrs::default());
}

/// A header that declares these algorithms and digest lengths, and an index.
fn header(index: u32, algorithms: &[(u16, u16)]) -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02".to_vec();
    spec.extend(u32::try_from(algorithms.len()).unwrap().to_le_bytes());
    for (id, bytes) in algorithms {
        spec.extend([id.to_le_bytes(), bytes.to_le_bytes()].concat());
    }
    spec.push(0);
    let mut log = [index.to_le_bytes(), 3u32.to_le_bytes()].concat();
    log.extend([0; 20]);
    log.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    log.extend(spec);
    log
}

fn event(index: u32, event_type: u32, digests: &[(u16, &[u8])], data: &[u8]) -> Vec<u8> {
    let mut bytes = [index, event_type, u32::try_from(digests.len()).unwrap()].map(u32::to_le_bytes).concat();
    for (id, digest) in digests {
        bytes.extend(id.to_le_bytes());
        bytes.extend_from_slice(digest);
    }
    bytes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}

const SHA384: (u16, u16) = (12, 48);

#[test]
fn tcg_log_header_malformed() {
    assert_eq!(TcgLog::read(&header(1, &[SHA384])).unwrap().events().len(), 0);
    for log in [
        header(2, &[SHA384]),
        header(1, &[]),
        header(1, &[SHA384, SHA384]),
        header(1, &[(12, 32)]),
        header(1, &[(99, 0)]),
        header(1, &[(99, 65)]),
        header(1, &(0..9).map(|id| (100 + id, 1)).collect::<Vec<_>>()),
    ] {
        assert_eq!(TcgLog::read(&log), Err(Refusal::EventLogHeader));
    }
    let good = header(1, &[SHA384]);
    // Type, digest, signature, major version, number of algorithms, vendor information.
    for at in [4, 8, 32, 32 + 21, 32 + 24, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert_eq!(TcgLog::read(&bad), Err(Refusal::EventLogHeader), "{at}");
    }
    for cut in 0..good.len() {
        assert_eq!(TcgLog::read(&good[..cut]), Err(Refusal::EventLogTruncated), "{cut}");
    }
    assert_eq!(TcgLog::read(&vec![0; EVENT_LOG_BYTES_MAX + 1]), Err(Refusal::EventLogTooLong));
}

#[test]
fn tcg_log_event_malformed() {
    let digest: (u16, &[u8]) = (12, &[7; 48]);
    let with = |kind, bytes: Vec<u8>| [header(kind, &[SHA384]), bytes].concat();
    let refused = |kind, bytes| TcgLog::read(&with(kind, bytes)).unwrap_err();
    assert_eq!(refused(1, event(1, 4, &[], b"")), Refusal::EventLogDigests);
    assert_eq!(refused(1, event(1, 4, &[digest, digest], b"")), Refusal::EventLogDigests);
    assert_eq!(refused(1, event(1, 4, &[(11, &[0; 48])], b"")), Refusal::EventLogDigests);
    assert_eq!(refused(1, event(5, 4, &[digest], b"")), Refusal::EventLogRegister);
    // MRTD is complete before anything of the guest runs.
    assert_eq!(refused(1, event(0, 4, &[digest], b"")), Refusal::EventLogRegister);
    assert_eq!(refused(0, event(17, 4, &[digest], b"")), Refusal::EventLogRegister);
    assert!(TcgLog::read(&with(1, event(0, 3, &[digest], b""))).is_ok(), "an event without action names any register");
    let whole = with(1, event(1, 4, &[digest], b"data"));
    let begin = header(1, &[SHA384]).len();
    for cut in begin + 1..whole.len() {
        assert_eq!(TcgLog::read(&whole[..cut]).err(), (cut > begin).then_some(Refusal::EventLogTruncated), "{cut}");
    }
    let mut long = whole.clone();
    long[begin + 62..begin + 66].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(TcgLog::read(&long), Err(Refusal::EventLogTruncated));
    let many = |count: usize| [header(1, &[SHA384]), event(1, 4, &[digest], b"").repeat(count)].concat();
    assert_eq!(TcgLog::read(&many(EVENTS_MAX)).unwrap().events().len(), EVENTS_MAX);
    assert_eq!(TcgLog::read(&many(EVENTS_MAX + 1)), Err(Refusal::EventLogTooLong));
    let other = [header(1, &[(11, 32)]), event(1, 4, &[(11, &[0; 32])], b"")].concat();
    assert_eq!(TcgLog::read(&other).unwrap().rtmrs(), Err(Refusal::EventLogDigests));
}

#[test]
fn a_tpm_starts_from_its_locality() {
    let digest: (u16, &[u8]) = (12, &[7; 48]);
    let locality = |value: &[u8]| event(0, 3, &[digest], &[b"StartupLocality\0", value].concat());
    let pcrs = |events: &[Vec<u8>]| {
        let log = [header(0, &[SHA384]), events.concat()].concat();
        TcgLog::read(&log).unwrap().pcrs(HashAlgorithm::Sha384)
    };
    let plain = pcrs(&[event(0, 4, &[digest], b"")]).unwrap();
    let from_3 = pcrs(&[locality(&[3]), event(0, 4, &[digest], b"")]).unwrap();
    assert_eq!(pcrs(&[locality(&[0]), event(0, 4, &[digest], b"")]).unwrap(), plain);
    assert_ne!(from_3, plain);
    for wrong in [vec![locality(&[1])], vec![locality(&[])], vec![locality(&[3]), locality(&[3])]] {
        assert_eq!(pcrs(&wrong), Err(Refusal::EventLogEvent));
    }
    assert_eq!(pcrs(&[event(0, 4, &[digest], b""), locality(&[3])]), Err(Refusal::EventLogEvent));
}

#[test]
fn a_log_writes_nothing_to_a_terminal() {
    let digest: (u16, &[u8]) = (12, &[7; 48]);
    let escape = b"\x1b[2J\x07red";
    let log = [header(1, &[SHA384]), event(2, 0xd, &[digest], escape), event(2, 0xd, &[digest], &[b'a'; 900])].concat();
    let lines: Vec<EventLine> = TcgLog::read(&log).unwrap().lines().collect();
    assert_eq!(lines[0].text, hex::encode(escape));
    assert_eq!(lines[1].text.chars().count(), 121);
    let named = app("a\u{1b}[31m\u{202e}b", b"", DigestRule::Version1);
    let log = read(&[row(&named)]).unwrap();
    assert!(log.lines().all(|line| line.text.bytes().all(|byte| byte.is_ascii_hexdigit())));
    assert_eq!(log.lines().next().unwrap().phase, Phase::Late, "no mark, no boot");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_logs_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0u32..2) {
        let _ = RuntimeLog::read(&bytes);
        let _ = DstackAttestation::read(&bytes);
        let _ = DstackAttestation::read(&[&[0, 0], &bytes[..]].concat());
        for log in [bytes.clone(), [header(kind, &[SHA384]), bytes].concat()] {
            if let Ok(log) = TcgLog::read(&log) {
                log.lines().for_each(drop);
                let _ = (log.rtmrs(), log.pcrs(HashAlgorithm::Sha384));
            }
        }
    }

    #[test]
    fn arbitrary_event_data_is_described(
        event_type in prop_oneof![0u32..0x14, 0x8000_0000u32..0x8000_00e5],
        data in proptest::collection::vec(any::<u8>(), 0..200),
        lengths in proptest::collection::vec(0u8..4, 0..5),
    ) {
        // Small lengths where lengths stand, so that more than the first check is reached.
        let mut data = data;
        for (at, length) in [(16, 0), (24, 1), (92, 2), (4, 3), (0, 4)].map(|(at, of)| (at, lengths.get(of))) {
            if let (Some(length), true) = (length, data.len() >= at + 8) {
                data[at..at + 8].copy_from_slice(&u64::from(*length).to_le_bytes());
            }
        }
        let digest: (u16, &[u8]) = (12, &[7; 48]);
        let log = [header(0, &[SHA384]), event(0, event_type, &[digest], &data)].concat();
        for line in TcgLog::read(&log).unwrap().lines() {
            prop_assert!(line.text.chars().all(|c| c.is_ascii_graphic() || matches!(c, ' ' | '…')));
            prop_assert!(line.text.len() < 400);
        }
    }
}
