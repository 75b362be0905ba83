//! A document of a real enclave, kept outside the repository (`FREEHOLD_VECTORS`), at a fixed time.

use std::{fs, path::PathBuf};

use freehold_attestation::{
    Refusal, Revocation, check_roots,
    nitro::{self, NitroCollateralDocument, UnverifiedNitro, judge, nitro_default_policy},
};
use freehold_emulator::{NitroCollateralCondition, NitroCondition};
use freehold_primitives::{Blob, Canonical as _, Genesis, KeyCeremony, Membership, Register, TrustDomain, TrustRoot};

use crate::{NOW, collateral, emulated_roots, evidence};

/// 2025-12-25T16:20Z: within the leaf's three hours.
const THEN: u64 = 1_766_679_600;
/// 2025-12-25T19:04:19Z: the leaf's end.
const END: u64 = 1_766_689_459;
/// Length of the COSE_Sign1 behind four bytes of a container of dstack's.
const ENVELOPE_BYTES: usize = 4526;

/// The envelope as the device gave it. Absent vectors are said loudly; the test then counts as skipped.
fn document() -> Option<Vec<u8>> {
    let root = std::env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    let file = root.join("nitro/dstack-nitro_attestation.bin");
    let Ok(bytes) = fs::read(&file) else {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: no real evidence at {}; set FREEHOLD_VECTORS\n", file.display()).as_bytes(),
        );
        return None;
    };
    Some(bytes[4..4 + ENVELOPE_BYTES].to_vec())
}

/// AWS's root, which the bundle begins with; known by its digest.
fn aws_roots(evidence: &[u8]) -> Vec<TrustRoot> {
    use sha2::Digest as _;
    let certificate = UnverifiedNitro::read(evidence).unwrap().root_certificate().to_vec();
    let digest = hex::encode(sha2::Sha256::digest(&certificate));
    assert_eq!(digest, "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
    vec![TrustRoot { domain: TrustDomain::Aws, certificate: Blob(certificate) }]
}

#[test]
fn a_real_document_verifies_under_awss_root() {
    let Some(raw) = document() else { return };
    let bytes = nitro::canonicalise(&raw).unwrap();
    // The device's own signature is in the upper half.
    assert_eq!(bytes[..ENVELOPE_BYTES - 48], raw[..ENVELOPE_BYTES - 48]);
    let roots = aws_roots(&bytes);
    assert_eq!(nitro::claims(&raw, &[], &roots, THEN), Err(Refusal::SignatureNotCanonical));
    let claims = nitro::claims(&bytes, &[], &roots, THEN).unwrap();
    assert_eq!(claims.trust_domain(), TrustDomain::Aws);
    assert_eq!(claims.document().module_id(), "i-0827e799ec9232d44-enc019b5640fdf630d6");
    assert_eq!(claims.document().timestamp_ms(), 1_766_678_659_346);
    assert!(!claims.document().is_debug());
    assert_eq!(claims.document().pcr(15), Some(Register::ZERO));
    assert_eq!(claims.document().pcr(16), None);
    assert_eq!(claims.report_data()[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(claims.expires_at(), END);
    let policy = nitro_default_policy(vec![claims.document().measurement()]);
    assert_eq!(judge(&claims, &policy, THEN), Ok(()));
    assert_eq!(judge(&claims, &policy, END), Err(Refusal::CollateralExpired));
    assert_eq!(nitro::claims(&bytes, &[], &roots, END - 1).map(|_| ()), Ok(()));
    assert_eq!(nitro::claims(&bytes, &[], &roots, END), Err(Refusal::CertificateExpired));
    assert_eq!(nitro::claims(&bytes, &[], &roots, 1_766_678_655), Err(Refusal::CertificateNotYetValid));
    assert_eq!(check_roots(&genesis(roots)), Ok(()));
}

#[test]
fn real_intermediates_make_collateral() {
    let Some(raw) = document() else { return };
    let bytes = nitro::canonicalise(&raw).unwrap();
    let unverified = UnverifiedNitro::read(&bytes).unwrap();
    let certificates = unverified.document().intermediates()[..2].iter().cloned().map(Blob).collect();
    let known = NitroCollateralDocument { certificates, revocation_lists: Vec::new() }.to_canonical();
    let roots = aws_roots(&bytes);
    let whole = nitro::claims(&bytes, &[], &roots, THEN).unwrap();
    let claims = nitro::claims(&bytes, &known, &roots, THEN).unwrap();
    assert_eq!(claims, whole);
    assert_eq!(claims.revocation(), Revocation::Unknown);
    let verified = nitro::VerifiedNitroCollateral::verify(&known, &roots, THEN).unwrap();
    // The zonal certificate ends on 2025-12-31T02:54:25Z.
    assert_eq!(verified.expires_at(), 1_767_149_665);
}

#[test]
fn worlds_do_not_mix() {
    let Some(raw) = document() else { return };
    let bytes = nitro::canonicalise(&raw).unwrap();
    let aws = aws_roots(&bytes);
    assert_eq!(nitro::claims(&bytes, &[], &emulated_roots(), THEN), Err(Refusal::UnknownRoot));
    let ours = evidence(NitroCondition::Good);
    assert_eq!(nitro::claims(&ours, &[], &aws, NOW), Err(Refusal::UnknownRoot));
    let both = [aws, emulated_roots()].concat();
    assert_eq!(nitro::claims(&ours, &[], &both, NOW).unwrap().trust_domain(), TrustDomain::Emulated);
    // Emulated collateral does not touch a real document.
    let foreign = crate::HOST.collateral(THEN, NitroCollateralCondition::Good);
    let claims = nitro::claims(&bytes, &foreign, &both, THEN).unwrap();
    assert_eq!((claims.trust_domain(), claims.revocation()), (TrustDomain::Aws, Revocation::Unknown));
    assert!(collateral(NitroCollateralCondition::Good) != foreign);
}

fn genesis(trust_roots: Vec<TrustRoot>) -> Genesis {
    Genesis {
        chain_id: 1,
        purpose: freehold_primitives::Purpose::Production,
        timestamp_ms: 0,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob(Vec::new()),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::Distributed,
        trust_roots,
        allocations: Vec::new(),
        membership: Membership::default(),
    }
}
