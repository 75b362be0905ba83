//! RIM files: real ones verify, changed ones do not, and a report meets the file that it belongs to and no other.

use freehold_attestation::{Refusal, nvidia, rim::read_rim};
use freehold_emulator::{DEVELOPMENT_SEED, GpuPlan, gpu_rim_root_certificate};
use freehold_primitives::{Blob, GpuArchitecture, Register, TrustDomain, TrustRoot};
use proptest::prelude::*;

use crate::{BLACKWELL, HOPPER, NOW, policy, vector, vector_certificate};

/// Within the validity of all real signers' certificates.
const THEN: u64 = 1_700_000_000;
const FILES: [(&str, &str); 7] = [
    ("1010_0200_882_96005E0001_PROD", "96.00.5E.00.01"),
    ("1010_0200_882_96005E0001_test_no_gpu", "96.00.5E.00.01"),
    ("1010_0200_882_96005E0003_PROD", "96.00.5E.00.03"),
    ("1010_0200_882_960074001A_PROD", "96.00.74.00.1A"),
    ("1010_0200_882_960074001C_PROD", "96.00.74.00.1C"),
    ("1010_0205_862_96005E0002_PROD", "96.00.5E.00.02"),
    ("Driver_RIM_test_no_gpu", "545.00"),
];

fn file(name: &str) -> Option<Vec<u8>> {
    vector(&format!("nvidia/nvtrust/{name}.swidtag"))
}

fn root() -> Option<Vec<u8>> {
    vector_certificate("nvidia/nvtrust/verifier_RIM_root.pem")
}

fn emulated() -> (Vec<u8>, Vec<u8>) {
    let file = HOPPER.driver_rim(&GpuPlan::new(GpuArchitecture::Hopper)).into_bytes();
    (file, gpu_rim_root_certificate(&DEVELOPMENT_SEED))
}

#[test]
fn real_files_verify_at_their_time() {
    let Some(root) = root() else { return };
    for (name, version) in FILES {
        let Some(file) = file(name) else { return };
        let rim = read_rim(&file, &root, THEN).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let reference = rim.reference();
        assert_eq!((reference.model.as_str(), reference.version.as_str()), ("GH100", version), "{name}");
        let indexes: Vec<u8> = reference.measurements.iter().map(|one| one.index).collect();
        if name.starts_with("Driver") {
            assert_eq!(indexes, [&[7][..], &(21..=40).collect::<Vec<u8>>()].concat(), "{name}");
        } else {
            assert_eq!(indexes, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12], "{name}");
            assert_eq!(reference.measurements[11].values.len(), 4, "{name}");
        }
        // Their signers' certificates lasted two years.
        assert!(rim.expires_at() < NOW);
        assert_eq!(read_rim(&file, &root, NOW), Err(Refusal::CertificateExpired), "{name}");
        assert_eq!(read_rim(&file, &root, 1_600_000_000), Err(Refusal::CertificateNotYetValid), "{name}");
        assert_eq!(read_rim(&file, &emulated().1, THEN), Err(Refusal::UnknownRoot), "{name}");
    }
}

#[test]
fn a_changed_real_file_is_refused() {
    let (Some(root), Some(file)) = (root(), file(FILES[0].0)) else { return };
    let text = String::from_utf8(file).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        read_rim(text.replacen(from, to, 1).as_bytes(), &root, THEN).map(|_| ())
    };
    // Content, white space and the order of what is signed count; the spelling of a tag does not.
    assert_eq!(changed("c3f65ef79a19c029", "c3f65ef79a19c02a"), Err(Refusal::RimDigest));
    assert_eq!(changed("active=\"True\"", "active=\"False\""), Err(Refusal::RimDigest));
    assert_eq!(changed("96.00.5E.00.01", "96.00.5E.00.03"), Err(Refusal::RimDigest));
    assert_eq!(changed("</ns0:Payload>\n", "</ns0:Payload>"), Err(Refusal::RimDigest));
    assert_eq!(changed("index=\"0\" active=\"True\"", "active=\"True\"   index=\"0\""), Ok(()));
    assert_eq!(changed("D3Bc48ZT3n3a", "D3Bc48ZT3n3b"), Err(Refusal::RimDigest));
    assert_eq!(changed("s5JY0M09yXBW", "s5JY0M09yXBX"), Err(Refusal::RimSignature));
    assert_eq!(changed("2001/04/xmldsig-more#sha384", "2001/04/xmlenc#sha256"), Err(Refusal::RimFormat));
    assert_eq!(changed("<ds:Signature ", "<!-- --><ds:Signature "), Err(Refusal::RimFormat));
    assert_eq!(changed("URI=\"\"", "URI=\"#x\""), Err(Refusal::RimFormat));
}

#[test]
fn a_real_report_meets_no_other_firmwares_file() {
    let (Some(rim_root), Some(file)) = (root(), file(FILES[0].0)) else { return };
    let Some(device_root) = vector_certificate("nvidia/nvtrust/verifier_device_root.pem") else { return };
    let (Some(report), Some(chain)) =
        (vector("nvidia/nvtrust/hopperAttestationReport.txt"), vector("nvidia/nvtrust/hopperCertChain.txt"))
    else {
        return;
    };
    let report = hex::decode(String::from_utf8(report).unwrap().trim()).unwrap();
    let roots = [TrustRoot { domain: TrustDomain::Nvidia, certificate: Blob(device_root) }];
    let claims = nvidia::claims(&nvidia::canonicalise(&report, &chain).unwrap(), &[], &roots, NOW).unwrap();
    let mut reference = read_rim(&file, &rim_root, THEN).unwrap().reference().clone();
    let mut policy = policy(&HOPPER, &GpuPlan::new(GpuArchitecture::Hopper));
    policy.driver_references = None;

    // The version tells already; under another name the values do: some are the same in both, four are not.
    policy.firmware_references = Some(vec![reference.clone()]);
    assert_eq!(nvidia::judge(&claims, &policy, NOW), Err(Refusal::PolicyGpuReference));
    reference.version = claims.vbios_version().to_owned();
    policy.firmware_references = Some(vec![reference.clone()]);
    assert_eq!(nvidia::judge(&claims, &policy, NOW), Err(Refusal::PolicyGpuMeasurement));
    let value = |index: u8| claims.measurements()[usize::from(index)];
    let different: Vec<u8> = (reference.measurements.iter())
        .filter(|one| !one.values.contains(&value(one.index)))
        .map(|one| one.index)
        .collect();
    assert_eq!(different, [1, 2, 9, 11]);
    reference.measurements.retain(|one| !different.contains(&one.index));
    policy.firmware_references = Some(vec![reference]);
    assert_eq!(nvidia::judge(&claims, &policy, NOW), Ok(()));
}

#[test]
fn emulated_files_verify_and_have_a_digest() {
    let root = gpu_rim_root_certificate(&DEVELOPMENT_SEED);
    let hopper = GpuPlan::new(GpuArchitecture::Hopper);
    let blackwell = GpuPlan::new(GpuArchitecture::Blackwell);
    let files = [
        HOPPER.driver_rim(&hopper),
        HOPPER.firmware_rim(&hopper),
        BLACKWELL.driver_rim(&blackwell),
        BLACKWELL.firmware_rim(&blackwell),
    ];
    let mut digests: Vec<_> = files
        .iter()
        .map(|file| nvidia::reference_digest(read_rim(file.as_bytes(), &root, NOW).unwrap().reference()))
        .collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 4);
    assert_eq!(HOPPER.driver_rim(&hopper), files[0], "not reproducible");
}

#[test]
fn malformed_measurements_are_refused_even_when_signed() {
    // The digest is checked first, so these are reached through the parser's own rules only by a signer who errs.
    let (file, root) = emulated();
    let text = String::from_utf8(file).unwrap();
    let refusal = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        read_rim(text.replacen(from, to, 1).as_bytes(), &root, NOW).unwrap_err()
    };
    assert_eq!(refusal("size=\"48\"", "size=\"32\""), Refusal::RimDigest);
    assert_eq!(refusal("</SoftwareIdentity>", ""), Refusal::RimFormat);
    assert_eq!(refusal("<ds:KeyInfo>", "<ds:KeyInfo/><ds:KeyInfo>"), Refusal::RimFormat);
    assert_eq!(refusal("<ds:X509Certificate>MII", "<ds:X509Certificate>AII"), Refusal::GpuCertificate);
    let twice = text.replacen(
        "<ns0:Payload>",
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/><ns0:Payload>",
        1,
    );
    assert_eq!(read_rim(twice.as_bytes(), &root, NOW), Err(Refusal::RimFormat));
    let moved = format!(
        "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\">{text}</SoftwareIdentity>"
    );
    assert_eq!(read_rim(moved.as_bytes(), &root, NOW), Err(Refusal::RimFormat));
    assert_eq!(read_rim(&vec![b' '; 256 * 1024 + 1], &root, NOW), Err(Refusal::EvidenceTooLong));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// A flipped bit is refused, or changed only how a tag, or base64, is spelled: what is read stays the same.
    #[test]
    fn any_flipped_bit_is_refused_or_changes_nothing(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut file, root) = emulated();
        let sound = read_rim(&file, &root, NOW).unwrap();
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        if let Ok(read) = read_rim(&file, &root, NOW) {
            prop_assert_eq!(read, sound);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[ -~\n]{0,400}", tags in "(<[a-c]( [a-c]='[a-c]')?/?>|</[a-c]>|[a-c ]){0,40}") {
        let _ = read_rim(text.as_bytes(), &[], NOW);
        let _ = read_rim(format!("<a xmlns='u'>{tags}</a>").as_bytes(), &[], NOW);
    }
}

#[test]
fn registers_are_compared_whole() {
    let (file, root) = emulated();
    let rim = read_rim(&file, &root, NOW).unwrap();
    let values: Vec<Register> = rim.reference().measurements.iter().flat_map(|one| one.values.clone()).collect();
    assert_eq!(values.len(), 21);
    assert!(values.iter().all(|value| value.0 != [0; 48]));
}
