//! Registers, reproducibility, and the evidence source as a client sees it.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use freehold_emulator::{
    AppImage, CollateralPlan, DEVELOPMENT_SEED, EnclaveReport, EvidenceMachine, EvidenceServer, Platform, Rtmr, TdBody,
    TdReport, root_certificate,
};
use freehold_primitives::{Canonical as _, Digest, Register};
use sha2::{Digest as _, Sha384};

const NOW: u64 = 1_795_000_000;

fn app() -> AppImage {
    AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None }
}

fn td() -> TdReport {
    TdReport::launch(&Digest([1; 32]), &app())
}

fn sha384(parts: &[&[u8]]) -> Register {
    Register(Sha384::digest(parts.concat()).into())
}

#[test]
fn registers_are_as_specified() {
    let measurement = td().measurement();
    let image = sha384(&[b"freehold app image\n", &app().to_canonical()]);
    assert_eq!(app().digest(), image);
    assert_eq!(measurement.mrtd, sha384(&[b"freehold emulated mrtd\n", &[1; 32]]));
    let extended = |line: &[u8]| Some(sha384(&[&[0; 48], sha384(&[line]).as_ref()]));
    assert_eq!(measurement.rtmr0, extended(b"freehold emulated rtmr0\n"));
    assert_eq!(measurement.rtmr1, extended(b"freehold emulated rtmr1\n"));
    assert_eq!(measurement.rtmr2, extended(b"freehold emulated rtmr2\n"));
    assert_eq!(measurement.rtmr3, Some(sha384(&[&[0; 48], image.as_ref()])));
}

#[test]
fn what_is_started_shows_in_the_registers() {
    let base = td().measurement();
    let other_guest = TdReport::launch(&Digest([9; 32]), &app()).measurement();
    assert_ne!(other_guest.mrtd, base.mrtd);
    assert_eq!(other_guest.rtmr3, base.rtmr3);
    let apps = [
        AppImage { executable: Digest([3; 32]), ..app() },
        AppImage { arguments: vec!["serve".to_owned(), String::new()], ..app() },
        AppImage { arguments: vec!["serv".to_owned(), "e".to_owned()], ..app() },
        AppImage { model: Some(Digest::ZERO), ..app() },
    ];
    for app in apps {
        let other = TdReport::launch(&Digest([1; 32]), &app).measurement();
        assert_eq!(other.mrtd, base.mrtd);
        assert_ne!(other.rtmr3, base.rtmr3, "{app:?}");
    }
    let mut extended = td();
    extended.extend(Rtmr::Rtmr3, &Register::ZERO);
    assert_ne!(extended.measurement().rtmr3, base.rtmr3);
}

#[test]
fn extensions_replay_to_the_registers() {
    let mut td = td();
    td.extend(Rtmr::Rtmr3, &Register([7; 48]));
    td.extend(Rtmr::Rtmr1, &Register([8; 48]));
    let mut registers = [Register::ZERO; 4];
    for event in td.events() {
        let register = &mut registers[event.rtmr as usize];
        *register = sha384(&[register.as_ref(), event.digest.as_ref()]);
    }
    let measurement = td.measurement();
    let shown = [measurement.rtmr0, measurement.rtmr1, measurement.rtmr2, measurement.rtmr3];
    assert_eq!(registers.map(Some), shown);
    assert_eq!(td.events().len(), 6);
}

#[test]
fn an_enclave_is_its_file_and_its_app() {
    let base = EnclaveReport::launch(&Digest([1; 32]), &app());
    assert_eq!(base.config_id[..48], app().digest().0);
    let other_file = EnclaveReport::launch(&Digest([2; 32]), &app());
    assert_ne!(other_file.measurement.mr_enclave, base.measurement.mr_enclave);
    assert_eq!(other_file.measurement.mr_signer, base.measurement.mr_signer);
    let other_app = EnclaveReport::launch(&Digest([1; 32]), &AppImage { model: Some(Digest::ZERO), ..app() });
    assert_eq!(other_app.measurement, base.measurement);
    assert_ne!(other_app.config_id, base.config_id);
}

#[test]
fn a_seed_gives_the_same_bytes_again() {
    let (first, second) = (Platform::new(&DEVELOPMENT_SEED), Platform::new(&DEVELOPMENT_SEED));
    assert_eq!(first.root_certificate(), second.root_certificate());
    assert_eq!(first.root_certificate(), root_certificate(&DEVELOPMENT_SEED));
    assert_eq!(first.quote_v4(&td(), &[7; 64]), second.quote_v4(&td(), &[7; 64]));
    for body in [TdBody::Td10, TdBody::Td15, TdBody::Td15Ex] {
        assert_eq!(first.quote_v5(&td(), body, &[7; 64]), second.quote_v5(&td(), body, &[7; 64]));
    }
    let enclave = EnclaveReport::launch(&Digest([1; 32]), &app());
    assert_eq!(first.quote_v3(&enclave, &[7; 64]), second.quote_v3(&enclave, &[7; 64]));
    assert_eq!(first.collateral(NOW), second.collateral(NOW));
    let plan = CollateralPlan::default();
    assert_eq!(first.sgx_collateral_with(NOW, &plan), second.sgx_collateral_with(NOW, &plan));
    assert_ne!(first.collateral(NOW), second.sgx_collateral_with(NOW, &plan));
    assert_ne!(first.root_certificate(), root_certificate(&[0; 32]));
    assert_ne!(first.quote_v4(&td(), &[7; 64]), first.quote_v4(&td(), &[8; 64]));
}

#[test]
fn every_certificate_says_what_it_is() {
    let root = root_certificate(&DEVELOPMENT_SEED);
    let mark: &[u8] = b"EMULATED - NOT INTEL";
    assert!(root.windows(mark.len()).any(|window| window == mark));
}

struct Source {
    _directory: tempfile::TempDir,
    path: std::path::PathBuf,
    server: Option<EvidenceServer>,
}

fn source() -> Source {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("evidence.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let machine = EvidenceMachine::Td(Arc::new(Platform::new(&DEVELOPMENT_SEED)), Box::new(td()));
    let server = EvidenceServer::start(listener, machine).unwrap();
    Source { _directory: directory, path, server: Some(server) }
}

fn connect(path: &Path) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut length = [0];
    stream.read_exact(&mut length).unwrap();
    let mut provider = vec![0; length[0].into()];
    stream.read_exact(&mut provider).unwrap();
    (stream, String::from_utf8(provider).unwrap())
}

fn ask(stream: &mut UnixStream, report_data: &[u8; 64]) -> (u64, Vec<u8>) {
    stream.write_all(report_data).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let mut quote = vec![0; u32::from_be_bytes(head[8..].try_into().unwrap()) as usize];
    stream.read_exact(&mut quote).unwrap();
    let mut beside = [0; 4];
    stream.read_exact(&mut beside).unwrap();
    assert_eq!(beside, [0; 4], "a TD's host gives nothing beside the quote");
    (u64::from_be_bytes(head[..8].try_into().unwrap()), quote)
}

#[test]
fn a_source_answers_each_request_with_its_quote() {
    let source = source();
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let (mut stream, provider) = connect(&source.path);
    assert_eq!(provider, "tdx_guest");
    assert_eq!(ask(&mut stream, &[1; 64]), (1, platform.quote_v4(&td(), &[1; 64])));
    assert_eq!(ask(&mut stream, &[2; 64]), (2, platform.quote_v4(&td(), &[2; 64])));
    // Another connection, and one that breaks off in the middle of a request, disturb nobody.
    let (mut broken, _) = connect(&source.path);
    broken.write_all(&[0; 63]).unwrap();
    drop(broken);
    let (mut other, _) = connect(&source.path);
    assert_eq!(ask(&mut other, &[3; 64]).0, 3);
    assert_eq!(ask(&mut stream, &[4; 64]).0, 4);
}

#[test]
fn a_source_that_stops_lets_go_of_its_clients() {
    let mut source = source();
    let (mut stream, _) = connect(&source.path);
    ask(&mut stream, &[1; 64]);
    drop(source.server.take());
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).unwrap_or(0), 0);
    assert!(UnixStream::connect(&source.path).is_err(), "nobody listens any more");
}

#[test]
fn a_source_serves_again_after_many_clients_have_gone() {
    let source = source();
    for _ in 0..40 {
        let (mut stream, _) = connect(&source.path);
        ask(&mut stream, &[1; 64]);
    }
}
