//! The emulator's own server behind the socket: a TD and an SEV-SNP guest.

use std::os::unix::net::UnixListener;

use freehold_attestation::{Evidence, Refusal, development_policy, verify};
use freehold_emulator::{EvidenceMachine, EvidenceServer, SnpCollateralCondition, SnpGuest, SnpPlatform};
use freehold_primitives::{EvidenceKind, Measurement, SnpMeasurement, SnpProduct, SnpSigningKey};

use super::*;

const NOW: u64 = 1_795_000_000;

fn app() -> AppImage {
    AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None }
}

/// Evidence that a server of this machine gives to a guest of the emulator's trust domain.
fn taken(machine: EvidenceMachine, root: TrustRoot) -> TakenEvidence {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.sock");
    let _server = EvidenceServer::start(UnixListener::bind(&path).unwrap(), machine).unwrap();
    let mut source = SocketSource::connect(&path).unwrap();
    let wanted = Wanted::new(TrustDomain::Emulated, &[root]);
    let first = take_evidence(&mut source, &[5; 64], &wanted).unwrap();
    let hardware =
        Wanted::new(if first.kind == EvidenceKind::Snp { TrustDomain::Amd } else { TrustDomain::Intel }, &[]);
    let error = take_evidence(&mut source, &[6; 64], &hardware).unwrap_err();
    assert!(matches!(error, EvidenceError::WrongDomain(_)), "{error}");
    first
}

#[test]
fn a_td_behind_the_socket() {
    let td = TdReport::launch(&Digest([1; 32]), &app());
    let machine = EvidenceMachine::Td(Arc::new(Platform::new(&DEVELOPMENT_SEED)), Box::new(td));
    let evidence = taken(machine, root(TrustDomain::Emulated));
    assert_eq!((evidence.kind, evidence.bytes), (EvidenceKind::Tdx, quote_over(&[5; 64])));
}

#[test]
fn an_snp_guest_behind_the_socket_verifies_under_its_policy() {
    let platform = Arc::new(SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa));
    let guest = SnpGuest::launch(&Digest([1; 32]), &app());
    let shown = SnpMeasurement { measurement: guest.measurement, host_data: Some(guest.host_data) };
    let root = TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(platform.root_certificate()) };
    let evidence = taken(EvidenceMachine::Snp(Arc::clone(&platform), Box::new(guest)), root.clone());
    assert_eq!(evidence.kind, EvidenceKind::Snp);
    let collateral = platform.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::Good);
    let given = Evidence { kind: evidence.kind, bytes: &evidence.bytes, collateral: &[&collateral] };
    let judged = |shown: SnpMeasurement| {
        verify(&given, std::slice::from_ref(&root), &development_policy(Measurement::Snp(shown)), NOW)
            .map(|claims| *claims.report_data())
    };
    assert_eq!(judged(shown.clone()), Ok([5; 64]));
    let other = SnpMeasurement { host_data: Some(Digest([9; 32])), ..shown };
    assert_eq!(judged(other), Err(Refusal::PolicyMeasurement));
}
