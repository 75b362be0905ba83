//! The kernel's source against a file system that behaves as the kernel documents, its faults included.

use freehold_attestation::Refusal;
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

/// A report of SEV-SNP but for its signature.
fn snp_report(inblob: &[u8]) -> Vec<u8> {
    let mut report = vec![0; 1184];
    report[0x50..0x90].copy_from_slice(inblob);
    report
}

#[test]
fn a_report_of_sev_snp_is_taken_at_its_level_with_its_certificates() {
    let Some(kernel) = Mounted::new(Some("sev_guest"), Box::new(|inblob| Ok(snp_report(inblob)))) else { return };
    kernel.state().privlevel_floor = 2;
    let wanted = Wanted::new(TrustDomain::Amd, &[]);
    let mut source = open(&kernel).unwrap();
    assert_eq!(kernel.state().entries.values().next().unwrap().privlevel, Some(2));
    // No certificates: the host must provide them.
    let error = take_evidence(&mut source, &[9; 64], &wanted).unwrap_err();
    assert!(matches!(error, EvidenceError::Unavailable(text) if text.contains("VCEK")), "{error}");
    kernel.state().auxblob = vec![0xff; 48];
    let error = take_evidence(&mut source, &[9; 64], &wanted).unwrap_err();
    assert!(matches!(error, EvidenceError::CertTable(_)), "{error}");
    kernel.state().maker = gives(vec![0; 1183]);
    let error = take_evidence(&mut open(&kernel).unwrap(), &[9; 64], &wanted).unwrap_err();
    assert!(matches!(error, EvidenceError::Length(1183)), "{error}");
    kernel.state().maker = gives(snp_report(&[8; 64]));
    let error = take_evidence(&mut open(&kernel).unwrap(), &[9; 64], &wanted).unwrap_err();
    assert!(matches!(error, EvidenceError::ReportData), "{error}");
    // A level that the kernel refuses.
    kernel.state().privlevel_floor = 4;
    let error = open(&kernel).err().map(configfs_error).unwrap();
    assert!(matches!(error, ConfigfsError::Request("privlevel")), "{error}");
}
