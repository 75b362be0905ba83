//! Reports whose hypervisor gave no certificate beside them.

use std::sync::Mutex;

use freehold_emulator::{EvidenceMachine, EvidenceServer, SnpGuest, SnpPlatform};
use freehold_primitives::{EvidenceKind, SnpProduct};

use super::*;

/// A source that keeps to itself what stands beside a report.
struct Bare(SocketSource);

impl EvidenceSource for Bare {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        self.0.write_inblob(report_data)
    }
    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        self.0.read_outblob()
    }
    fn generation(&mut self) -> Result<u64, EvidenceError> {
        self.0.generation()
    }
    fn provider(&self) -> &str {
        self.0.provider()
    }
}

#[test]
fn the_host_is_asked_once_for_the_certificate_of_a_chip() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.sock");
    let platform = Arc::new(SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa));
    let app = AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None };
    let machine = EvidenceMachine::Snp(Arc::clone(&platform), Box::new(SnpGuest::launch(&Digest([1; 32]), &app)));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let _server = EvidenceServer::start(listener, machine).unwrap();
    let root = TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(platform.root_certificate()) };
    let wanted = Wanted::new(TrustDomain::Emulated, &[root]);
    // With what the hypervisor gives.
    let mut whole = SocketSource::connect(&path).unwrap();
    let given = take_evidence(&mut whole, &[5; 64], &wanted).unwrap();
    let certificate = given.bytes[freehold_attestation::snp::SNP_REPORT_BYTES..].to_vec();
    // Without it, the evidence has nobody who vouches for it.
    let bare = || Box::new(Bare(SocketSource::connect(&path).unwrap()));
    let refused = take_evidence(&mut *bare(), &[5; 64], &wanted).unwrap_err();
    assert!(matches!(refused, EvidenceError::Unavailable(_)), "{refused}");
    // With what the host brings: the same, and it is asked once.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let mut source = EndorsedSource::new(bare(), move |report| {
        heard.lock().unwrap().push(report.to_vec());
        Some(certificate.clone())
    });
    for byte in [5, 6, 7] {
        let taken = take_evidence(&mut source, &[byte; 64], &wanted).unwrap();
        assert_eq!((taken.kind, taken.family), (EvidenceKind::Snp, given.family));
        assert_eq!(
            taken.bytes[freehold_attestation::snp::SNP_REPORT_BYTES..],
            given.bytes[freehold_attestation::snp::SNP_REPORT_BYTES..]
        );
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
    // A host that brings nothing is asked again.
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let mut source = EndorsedSource::new(bare(), move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        None
    });
    for _ in 0..2 {
        assert!(take_evidence(&mut source, &[5; 64], &wanted).is_err());
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
