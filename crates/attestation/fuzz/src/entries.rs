//! One entry for every parser of this crate: bytes in, and neither a panic nor a broken promise may come out.
//!
//! Shared by the coverage-guided targets and by the short smoke of the ordinary tests. The promises checked here: what
//! `canonicalise` makes is canonical and stays itself, and keeps what was signed.

use std::sync::LazyLock;

use freehold_attestation::{
    BootEvents, CollateralDocument, DstackAttestation, HashAlgorithm, RuntimeLog, TcgLog, UnverifiedEvidence,
    canonicalise,
    container::{Container, Endorsements, Format},
    nitro, nvidia, rim, sgx, snp, tdx, vendor_roots,
};
use freehold_primitives::{EvidenceKind, TrustRoot};

/// A parser under test.
pub type Entry = fn(&[u8]);

/// Every entry by name.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("quote", quote),
    ("collateral", collateral),
    ("snp", snp_report),
    ("nitro", nitro_document),
    ("nvidia", gpu),
    ("rim", rim_file),
    ("eventlog_tcg", eventlog_tcg),
    ("eventlog_dstack", eventlog_dstack),
    ("container", container),
];

static ROOTS: LazyLock<Vec<TrustRoot>> = LazyLock::new(vendor_roots);
/// 2025-07-02: the real collateral is valid then.
const NOW: u64 = 1_751_500_000;
/// 2023-11-14: the real RIM files' signers are valid then.
const RIM_NOW: u64 = 1_700_000_000;

fn quote(bytes: &[u8]) {
    if let Ok(canonical) = canonicalise(bytes) {
        assert_eq!(canonicalise(&canonical).as_ref(), Ok(&canonical), "the canonical form is its own");
        let tdx = UnverifiedEvidence::read(EvidenceKind::Tdx, &canonical);
        let sgx = UnverifiedEvidence::read(EvidenceKind::Sgx, &canonical);
        assert!(!(tdx.is_ok() && sgx.is_ok()), "a quote is of one kind");
    }
    for kind in [EvidenceKind::Tdx, EvidenceKind::Sgx, EvidenceKind::Bundle] {
        if UnverifiedEvidence::read(kind, bytes).is_ok() && kind != EvidenceKind::Bundle {
            assert_eq!(canonicalise(bytes).as_deref(), Ok(bytes), "what is read is canonical");
        }
    }
    let _ = tdx::claims(bytes, &[], &ROOTS, NOW);
    let _ = sgx::claims(bytes, &[], &ROOTS, NOW);
}

fn collateral(bytes: &[u8]) {
    let _ = CollateralDocument::read(bytes);
    let _ = tdx::read_collateral(bytes, &ROOTS, NOW);
    let _ = sgx::read_collateral(bytes, &ROOTS, NOW);
    let _ = snp::VerifiedSnpCollateral::verify(bytes, &ROOTS, NOW);
    let _ = nitro::VerifiedNitroCollateral::verify(bytes, &ROOTS, NOW);
    let _ = nvidia::read_collateral(bytes, &ROOTS, NOW);
}

fn snp_report(bytes: &[u8]) {
    let _ = snp::SnpCertificateTable::read(bytes);
    if let Some((report, certificate)) = bytes.split_first_chunk::<{ snp::SNP_REPORT_BYTES }>()
        && let Ok(canonical) = snp::canonicalise(report, certificate)
    {
        assert_eq!(canonical[..0x2a0], report[..0x2a0], "what was signed stays");
        let (again, certificate) = canonical.split_at(snp::SNP_REPORT_BYTES);
        assert_eq!(snp::canonicalise(again, certificate).as_ref(), Ok(&canonical), "the canonical form is its own");
    }
    let _ = snp::UnverifiedSnp::read(bytes);
    let _ = snp::claims(bytes, &[], &ROOTS, NOW);
}

fn nitro_document(bytes: &[u8]) {
    if let Ok(canonical) = nitro::canonicalise(bytes) {
        assert_eq!(nitro::canonicalise(&canonical).as_ref(), Ok(&canonical), "the canonical form is its own");
    }
    if nitro::UnverifiedNitro::read(bytes).is_ok() {
        assert_eq!(nitro::canonicalise(bytes).as_deref(), Ok(bytes), "what is read is canonical");
    }
    let _ = nitro::claims(bytes, &[], &ROOTS, NOW);
}

/// A report and its chain, as NVML gives them, with a line of zeros between; or the canonical document.
fn gpu(bytes: &[u8]) {
    if let Some(at) = bytes.windows(11).position(|window| window == b"-----BEGIN ") {
        let (report, chain) = bytes.split_at(at);
        if let Ok(canonical) = nvidia::canonicalise(report, chain) {
            assert!(nvidia::UnverifiedNvidia::read(&canonical).is_ok() || !canonical.is_empty());
            let _ = nvidia::claims(&canonical, &[], &ROOTS, NOW);
        }
        let _ = nvidia::canonicalise_collateral(chain, &[report.to_vec()]);
    }
    let _ = nvidia::UnverifiedNvidia::read(bytes);
    let _ = nvidia::claims(bytes, &[], &ROOTS, NOW);
}

fn rim_file(bytes: &[u8]) {
    let _ = rim::read_rim(bytes, rim::vendor_root(), RIM_NOW);
}

fn eventlog_tcg(bytes: &[u8]) {
    let Ok(log) = TcgLog::read(bytes) else { return };
    assert_eq!(log.lines().count(), log.events().len(), "every event has a line");
    let _ = log.rtmrs();
    let _ = log.pcrs(HashAlgorithm::Sha256);
    let _ = log.pcrs(HashAlgorithm::Sha384);
}

fn eventlog_dstack(bytes: &[u8]) {
    let log = match DstackAttestation::read(bytes) {
        Ok(attestation) => attestation.log,
        Err(_) => match RuntimeLog::read(bytes) {
            Ok(log) => log,
            Err(_) => return,
        },
    };
    assert_eq!(log.lines().count(), log.events().len(), "every event has a line");
    let _ = log.rtmrs();
    let _ = BootEvents::read(&log);
}

/// What tools read: of whatever kind the bytes say, and forced to be of each.
fn container(bytes: &[u8]) {
    let mut endorsements = Endorsements::default();
    let _ = endorsements.add(bytes);
    for stated in [None].into_iter().chain(Format::ALL.iter().copied().map(Some)) {
        let Ok(container) = Container::read(bytes, stated) else { continue };
        assert!(stated.is_none_or(|stated| stated == container.format()), "a container is what it was stated to be");
        let Ok(prepared) = container.prepare(&endorsements, &ROOTS, NOW) else { continue };
        for one in prepared {
            match one.kind {
                EvidenceKind::Tdx | EvidenceKind::Sgx => assert_eq!(canonicalise(&one.bytes), Ok(one.bytes)),
                EvidenceKind::Snp => assert!(snp::UnverifiedSnp::read(&one.bytes).is_ok(), "a prepared report is read"),
                EvidenceKind::Nitro => assert_eq!(nitro::canonicalise(&one.bytes), Ok(one.bytes)),
                // These pass as they are: their own verifier says what is wrong with them.
                EvidenceKind::Nvidia | EvidenceKind::Bundle => {}
            }
        }
    }
}
