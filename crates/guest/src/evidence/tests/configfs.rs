//! The kernel's source against a file system that behaves as the kernel documents, its faults included.

use freehold_attestation::Refusal;
use freehold_emulator::{SnpCondition, SnpGuest, SnpPlatform};
use freehold_primitives::{EvidenceKind, SnpProduct, SnpSigningKey};
use rustix::io::Errno;

use super::{fuse::Mounted, kernel::Maker, *};

/// Reports as a TD's kernel gives them: quotes, padded with zeros.
fn quotes() -> Maker {
    Box::new(|inblob| {
        let mut quote = quote_over(inblob.try_into().map_err(|_| Errno::INVAL)?);
        quote.resize(8000, 0);
        Ok(quote)
    })
}

/// Whether an error is the one that was expected.
type IsNamed = fn(&ConfigfsError) -> bool;

fn fails(errno: Errno) -> Maker {
    Box::new(move |_| Err(errno))
}

fn gives(bytes: Vec<u8>) -> Maker {
    Box::new(move |_| Ok(bytes.clone()))
}

fn tdx(maker: Maker) -> Option<Mounted> {
    Mounted::new(Some("tdx_guest"), maker)
}

fn open(kernel: &Mounted) -> Result<ConfigfsSource, EvidenceError> {
    ConfigfsSource::open(&kernel.report())
}

fn take(source: &mut ConfigfsSource) -> Result<TakenEvidence, EvidenceError> {
    take_evidence(source, &[9; 64], &emulated())
}

fn configfs_error(error: EvidenceError) -> ConfigfsError {
    match error {
        EvidenceError::Configfs(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_quote_is_taken_and_nothing_is_left() {
    let Some(kernel) = tdx(quotes()) else { return };
    let mut source = open(&kernel).unwrap();
    assert_eq!(source.provider(), "tdx_guest");
    for data in [[9; 64], [9; 64], [7; 64]] {
        let taken = take_evidence(&mut source, &data, &emulated()).unwrap();
        assert_eq!(taken.bytes, quote_over(&data), "padding is gone");
    }
    assert_eq!(kernel.entries().len(), 1);
    // Two sources of one process have entries of their own.
    let mut second = open(&kernel).unwrap();
    assert_eq!(kernel.entries().len(), 2);
    assert!(take(&mut second).is_ok() && take(&mut source).is_ok());
    drop((source, second));
    assert_eq!(kernel.entries(), Vec::<String>::new());
}

#[test]
fn hardware_is_asked_for_and_an_emulator_answers() {
    // Whatever stands behind the kernel's files, the root decides.
    let Some(kernel) = tdx(quotes()) else { return };
    let wanted = Wanted::new(TrustDomain::Intel, &[root(TrustDomain::Emulated)]);
    let error = take_evidence(&mut open(&kernel).unwrap(), &[9; 64], &wanted).unwrap_err();
    assert!(matches!(error, EvidenceError::WrongDomain(TrustDomain::Intel)), "{error}");
    let amd = Wanted::new(TrustDomain::Amd, &[]);
    let error = take_evidence(&mut open(&kernel).unwrap(), &[9; 64], &amd).unwrap_err();
    assert!(matches!(error, EvidenceError::WrongProvider { .. }), "{error}");
}

#[test]
fn nothing_is_mounted_or_loaded() {
    let dir = tempfile::TempDir::new().unwrap();
    let root = dir.path().join("config/tsm/report");
    let error = ConfigfsSource::open(&root).err().map(configfs_error).unwrap();
    assert!(matches!(&error, ConfigfsError::NotMounted(path) if *path == root), "{error}");
    assert!(error.to_string().contains("mount -t configfs"));
    // The mount point is there, and empty.
    std::fs::create_dir(dir.path().join("config")).unwrap();
    let error = ConfigfsSource::open(&root).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::NotMounted(_)), "{error}");
    // Other subsystems are there, this one is not.
    std::fs::create_dir(dir.path().join("config/usb_gadget")).unwrap();
    let error = ConfigfsSource::open(&root).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::NoModule(_)), "{error}");
    assert!(error.to_string().contains("modprobe"));
}

#[test]
fn no_tee_and_an_unknown_one() {
    let Some(kernel) = Mounted::new(None, quotes()) else { return };
    let error = open(&kernel).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::NoProvider), "{error}");
    assert!(error.to_string().contains("modprobe tdx_guest"));
    kernel.state().provider = Some("arm_cca_guest");
    let error = open(&kernel).err().map(configfs_error).unwrap();
    assert!(matches!(&error, ConfigfsError::UnknownProvider(name) if name == "arm_cca_guest"), "{error}");
    kernel.state().provider = Some("tdx guest");
    let error = open(&kernel).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::Malformed("provider")), "{error}");
    assert_eq!(kernel.entries(), Vec::<String>::new(), "failed starts leave nothing");
}

#[test]
fn the_provider_changes() {
    let Some(kernel) = tdx(quotes()) else { return };
    let mut source = open(&kernel).unwrap();
    kernel.state().provider_next = Some("sev_guest");
    let error = configfs_error(take(&mut source).unwrap_err());
    assert!(matches!(&error, ConfigfsError::ProviderChanged { after, .. } if after == "sev_guest"), "{error}");
    // It stays refused, also by the entry that is made next.
    let error = configfs_error(take(&mut source).unwrap_err());
    assert!(matches!(error, ConfigfsError::ProviderChanged { .. }), "{error}");
    kernel.state().provider = Some("tdx_guest");
    assert!(take(&mut source).is_ok());
    // The driver is unloaded.
    kernel.state().provider = None;
    let error = configfs_error(take(&mut source).unwrap_err());
    assert!(matches!(error, ConfigfsError::NoProvider), "{error}");
}

#[test]
fn others_interfere() {
    let Some(kernel) = tdx(quotes()) else { return };
    let mut source = open(&kernel).unwrap();
    // Somebody else's report is never returned, though the kernel gives it without an error.
    kernel.state().interfere = 2;
    assert_eq!(take(&mut source).unwrap().bytes, quote_over(&[9; 64]));
    kernel.state().interfere = ATTEMPTS_MAX;
    let error = take(&mut source).unwrap_err();
    assert!(matches!(error, EvidenceError::Generation { before: 0, after: 2 }), "{error}");
    assert!(take(&mut source).is_ok());
    assert_eq!(kernel.entries().len(), 1);
    // The kernel refuses a write after the file was closed, and tells nobody.
    kernel.state().lose_writes = 1;
    let first = take(&mut source);
    assert_eq!(first.unwrap().bytes, quote_over(&[9; 64]));
    // The entry is removed under our hands.
    kernel.state().remove = 2;
    assert!(take(&mut source).is_ok());
    // An attribute is in use for a while.
    for errno in [Errno::BUSY, Errno::AGAIN] {
        kernel.state().fail = vec![("outblob", errno), ("inblob", errno), ("generation", errno), ("mkdir", errno)];
        assert!(take(&mut source).is_ok());
        kernel.state().fail = vec![("outblob", errno); ATTEMPTS_MAX as usize];
        let error = configfs_error(take(&mut source).unwrap_err());
        assert!(matches!(error, ConfigfsError::Busy("outblob")), "{error}");
        assert!(kernel.state().fail.is_empty());
    }
}

#[test]
fn the_tee_fails() {
    let Some(kernel) = tdx(quotes()) else { return };
    let cases: [(Errno, IsNamed); 7] = [
        (Errno::IO, |e| matches!(e, ConfigfsError::Firmware(Errno::IO))),
        (Errno::TIMEDOUT, |e| matches!(e, ConfigfsError::Firmware(Errno::TIMEDOUT))),
        (Errno::INVAL, |e| matches!(e, ConfigfsError::Request("outblob"))),
        (Errno::NXIO, |e| matches!(e, ConfigfsError::NoProvider)),
        (Errno::FBIG, |e| matches!(e, ConfigfsError::TooLong("outblob", _))),
        (Errno::ACCESS, |e| matches!(e, ConfigfsError::Permission(path) if path.ends_with("outblob"))),
        (Errno::NOMEM, |e| matches!(e, ConfigfsError::System { what: "outblob", .. })),
    ];
    for (errno, is_named) in cases {
        kernel.state().maker = fails(errno);
        let error = configfs_error(take(&mut open(&kernel).unwrap()).unwrap_err());
        assert!(is_named(&error), "{errno:?}: {error}");
    }
    for errno in [Errno::ACCESS, Errno::PERM] {
        kernel.state().fail = vec![("mkdir", errno)];
        let error = open(&kernel).err().map(configfs_error).unwrap();
        assert!(matches!(error, ConfigfsError::Permission(_)), "{error}");
        assert!(error.to_string().contains("as root"));
    }
    kernel.state().fail = vec![("mkdir", Errno::EXIST); 15];
    assert!(open(&kernel).is_ok(), "names that are taken are left alone");
    kernel.state().fail = vec![("mkdir", Errno::EXIST); 16];
    let error = open(&kernel).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::NoName(_)), "{error}");
}

#[test]
fn what_comes_is_no_quote() {
    let Some(kernel) = tdx(quotes()) else { return };
    let mut source = open(&kernel).unwrap();
    let refusal = |source: &mut ConfigfsSource, bytes: Vec<u8>| {
        kernel.state().maker = gives(bytes);
        take(source).unwrap_err()
    };
    // The host's quoting service gave nothing, part of a quote, a quote of a version that nobody knows.
    assert!(matches!(refusal(&mut source, Vec::new()), EvidenceError::Length(0)));
    let quote = quote_over(&[9; 64]);
    let error = refusal(&mut source, quote[..1000].to_vec());
    assert!(matches!(error, EvidenceError::Form(Refusal::EvidenceTruncated)), "{error}");
    let mut future = quote.clone();
    future[0] = 9;
    let error = refusal(&mut source, future);
    assert!(matches!(error, EvidenceError::Form(Refusal::QuoteFormat)), "{error}");
    let error = refusal(&mut source, [quote, vec![1]].concat());
    assert!(matches!(error, EvidenceError::Form(Refusal::EvidenceTrailing)), "{error}");
    // Of other report data; too long.
    assert!(matches!(refusal(&mut source, quote_over(&[8; 64])), EvidenceError::ReportData));
    let error = configfs_error(refusal(&mut source, vec![0; OUTBLOB_BYTES_MAX + 1]));
    assert!(matches!(error, ConfigfsError::TooLong("outblob", OUTBLOB_BYTES_MAX)), "{error}");
}

#[test]
fn leftovers_of_a_killed_guest_are_removed() {
    let Some(kernel) = tdx(quotes()) else { return };
    let root = kernel.report();
    let own = std::process::id();
    // No process has this number: it is above the kernel's largest.
    for name in ["freehold-4194305-0123456789abcdef-0".to_owned(), format!("freehold-{own}-0123456789abcdef-3")] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    let others = ["com.intel.dcap", "freehold-1-0123456789abcdef-0", "freehold-4194305-x", "freehold-x-y-z"];
    for name in others {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    let source = open(&kernel).unwrap();
    let left = kernel.entries();
    assert!(others.iter().all(|name| left.iter().any(|left| left == name)), "{left:?}");
    assert_eq!(left.len(), others.len() + 1);
    drop(source);
    assert_eq!(kernel.entries().len(), others.len());
}

static GENOA: LazyLock<SnpPlatform> = LazyLock::new(|| SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa));

/// Canonical evidence of an emulated Genoa: a report and the certificate of its key.
fn snp_evidence(report_data: &[u8; 64], key: SnpSigningKey) -> Vec<u8> {
    let app = AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None };
    GENOA.evidence(&SnpGuest::launch(&Digest([1; 32]), &app), report_data, key, SnpCondition::Good)
}

/// A host's table with one certificate.
fn table(guid: [u8; 16], certificate: &[u8]) -> Vec<u8> {
    let length = u32::try_from(certificate.len()).unwrap();
    let row = [&guid[..], &48u32.to_le_bytes(), &length.to_le_bytes()].concat();
    [row, vec![0; 24], certificate.to_vec(), vec![0; 500]].concat()
}

/// The names that AMD gave the certificates.
const VCEK: [u8; 16] = 0x63da_758d_e664_4564_adc5_f4b9_3be8_accd_u128.to_be_bytes();
const VLEK: [u8; 16] = 0xa807_4bc2_a25a_483e_aae6_39c0_45a0_b8a1_u128.to_be_bytes();

#[test]
fn a_report_of_sev_snp_is_taken_at_its_level_with_its_certificates() {
    let reports: Maker = Box::new(|inblob| {
        let report_data = inblob.try_into().map_err(|_| Errno::INVAL)?;
        Ok(snp_evidence(report_data, SnpSigningKey::Vcek)[..1184].to_vec())
    });
    let Some(kernel) = Mounted::new(Some("sev_guest"), reports) else { return };
    kernel.state().privlevel_floor = 2;
    let mut source = open(&kernel).unwrap();
    assert_eq!(kernel.state().entries.values().next().unwrap().privlevel, Some(2));
    let mut take = |auxblob: Vec<u8>, wanted: &Wanted| {
        kernel.state().auxblob = auxblob;
        take_evidence(&mut source, &[9; 64], wanted)
    };
    let expected = snp_evidence(&[9; 64], SnpSigningKey::Vcek);
    let certificate = &expected[1184..];
    let taken = take(table(VCEK, certificate), &emulated()).unwrap();
    assert_eq!((taken.kind, &taken.bytes), (EvidenceKind::Snp, &expected));
    // An emulated machine is none of AMD's.
    let error = take(table(VCEK, certificate), &Wanted::new(TrustDomain::Amd, &[])).unwrap_err();
    assert!(matches!(error, EvidenceError::WrongDomain(TrustDomain::Amd)), "{error}");
    // No certificates: the host must provide them. Of the other kind, or a table that is none.
    let error = take(Vec::new(), &emulated()).unwrap_err();
    assert!(matches!(error, EvidenceError::Unavailable(text) if text.contains("VCEK")), "{error}");
    let vlek = snp_evidence(&[9; 64], SnpSigningKey::Vlek)[1184..].to_vec();
    let error = take(table(VLEK, &vlek), &emulated()).unwrap_err();
    assert!(matches!(error, EvidenceError::Form(Refusal::SnpEndorsement)), "{error}");
    let error = take(vec![0xff; 48], &emulated()).unwrap_err();
    assert!(matches!(error, EvidenceError::Form(Refusal::EvidenceTruncated)), "{error}");
}

#[test]
fn what_comes_is_no_report_of_sev_snp() {
    let Some(kernel) = Mounted::new(Some("sev_guest"), gives(vec![0; 1183])) else { return };
    let evidence = snp_evidence(&[8; 64], SnpSigningKey::Vcek);
    kernel.state().auxblob = table(VCEK, &evidence[1184..]);
    let error = take(&mut open(&kernel).unwrap()).unwrap_err();
    assert!(matches!(error, EvidenceError::Form(Refusal::EvidenceTruncated)), "{error}");
    kernel.state().maker = gives(evidence[..1184].to_vec());
    let error = take(&mut open(&kernel).unwrap()).unwrap_err();
    assert!(matches!(error, EvidenceError::ReportData), "{error}");
    // A level that the kernel refuses.
    kernel.state().privlevel_floor = 4;
    let error = open(&kernel).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::Request("privlevel")), "{error}");
}

#[test]
fn a_real_report_with_its_real_certificate_becomes_evidence() {
    let root = std::env::var_os("FREEHOLD_VECTORS").map_or_else(
        || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        std::path::PathBuf::from,
    );
    let file = |name: &str| std::fs::read(root.join("snp/trustee").join(name));
    for (report, certificate, guid) in
        [("test-report.bin", "test-vcek.der", VCEK), ("test-vlek-report.bin", "test-vlek.der", VLEK)]
    {
        let (Ok(report), Ok(certificate)) = (file(report), file(certificate)) else {
            let text = format!("SKIPPED: no real report below {}; set FREEHOLD_VECTORS\n", root.display());
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            return;
        };
        let Some(kernel) = Mounted::new(Some("sev_guest"), gives(report.clone())) else { return };
        kernel.state().auxblob = table(guid, &certificate);
        let report_data: [u8; 64] = report[0x50..0x90].try_into().unwrap();
        let amd = Wanted::new(TrustDomain::Amd, &[]);
        let taken = take_evidence(&mut open(&kernel).unwrap(), &report_data, &amd).unwrap();
        assert_eq!(taken.bytes[1184..], certificate);
        let error = take_evidence(&mut open(&kernel).unwrap(), &report_data, &emulated()).unwrap_err();
        assert!(matches!(error, EvidenceError::WrongDomain(TrustDomain::Emulated)), "{error}");
    }
}
