//! Files over defaults, there and back, and what is wrong with malformed ones.

use freehold_attestation::default_policy;
use freehold_primitives::{Measurement, Register, TdxMeasurement, TrustDomain};

use super::{PolicyFile, PolicyFileError};

fn read(text: &str) -> Result<PolicyFile, PolicyFileError> {
    PolicyFile::read(text, &default_policy())
}

const FILE: &str = r#"
trust_domains = ["intel"]
platforms_denied = ["0000000000000000000000000000000000000000000000000000000000000001"]

[tdx]
attributes_allowed = 0x10000000
xfam_allowed = "0xffffffffffffffff"
measurements = [{ mrtd = "010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101" }]

[tdx.platform]
tcb_statuses = ["UpToDate", "OutOfDate"]
tcb_grace_s = 604800

[snp]
products = [{ product = "milan", tcb_min = { fmc = 0, bootloader = 3, tee = 0, snp = 8, microcode = 115 } }]
"#;

#[test]
fn a_file_is_laid_over_the_defaults() {
    let file = read(FILE).unwrap();
    let policy = file.policy();
    assert_eq!(policy.trust_domains, [TrustDomain::Intel]);
    assert_eq!(policy.platforms_denied.len(), 1);
    assert!(policy.sgx.is_none() && policy.nitro.is_none() && policy.nvidia.is_none());
    let tdx = policy.tdx.as_ref().unwrap();
    assert_eq!((tdx.attributes_allowed, tdx.xfam_allowed), (1 << 28, u64::MAX));
    assert_eq!((tdx.platform.tcb_statuses.len(), tdx.platform.tcb_grace_s), (2, 604_800));
    assert!(tdx.platform.smt_allowed, "what is not named stays");
    assert_eq!(policy.snp.as_ref().unwrap().products[0].tcb_min.microcode, 115);
}

#[test]
fn any_measurement_or_those_that_are_listed() {
    let shown = TdxMeasurement { mrtd: Register([9; 48]), rtmr0: None, rtmr1: None, rtmr2: None, rtmr3: None };
    let accepted = |text: &str| {
        let policy = read(text).unwrap().policy_for(&Measurement::Tdx(shown.clone()));
        policy.tdx.unwrap().measurements.contains(&shown)
    };
    assert!(accepted("[tdx]"));
    assert!(accepted("[tdx]\nmeasurements = \"any\""));
    assert!(!accepted("[tdx]\nmeasurements = []"));
    assert!(!accepted(FILE));
}

#[test]
fn what_is_written_reads_as_the_same() {
    for file in
        [read(FILE).unwrap(), PolicyFile::read("[tdx]\n[sgx]\n[snp]\n[nitro]\n[nvidia]", &default_policy()).unwrap()]
    {
        assert_eq!(read(&file.write()), Ok(file));
    }
}

#[test]
fn malformed_files_say_where() {
    let value = |at: &str, expected| PolicyFileError::Value { at: at.to_owned(), expected };
    let cases = [
        ("[tdx]\nattribute_mask = 1", PolicyFileError::Unknown("tdx.attribute_mask".to_owned())),
        ("[tdx.platform]\ngrace = 1", PolicyFileError::Unknown("tdx.platform.grace".to_owned())),
        ("[arm]", PolicyFileError::Unknown("arm".to_owned())),
        ("[snp]\nmeasurements = [{}]", PolicyFileError::Missing("snp.measurements[0].measurement".to_owned())),
        ("[snp]\nsigning_keys = [\"vkek\"]", value("snp.signing_keys[0]", "vcek or vlek")),
        ("[snp]\nvmpl_max = -1", value("snp.vmpl_max", "a number in range, or its digits in hex behind 0x")),
        ("[nitro]\nrevocation_required = 1", value("nitro.revocation_required", "true or false")),
        ("[tdx]\nmr_owner = \"00\"", value("tdx.mr_owner", "hex of the right length")),
    ];
    for (text, error) in cases {
        assert_eq!(read(text), Err(error), "{text}");
    }
    assert!(matches!(read("[tdx]\n[tdx]"), Err(PolicyFileError::Toml(_))));
    let long = format!("[nvidia]\ndriver_versions = [{}]", "\"1\",".repeat(65));
    assert_eq!(read(&long), Err(PolicyFileError::Unbounded));
    assert_eq!(read(&" ".repeat(super::POLICY_FILE_BYTES_MAX + 1)), Err(PolicyFileError::TooLong));
}
