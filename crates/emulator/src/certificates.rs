//! The emulated Intel: root, PCK CA and TCB signer, and the PCK certificate of one machine.
//!
//! Certificates have fixed, long validity (2020 to 2070), because the root is a genesis parameter and quotes must not
//! depend on the time; only collateral is dated.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};

use crate::{
    keys::Key,
    platform::{CPU_SVN, FMSPC, PCE_SVN, PlatformPlan},
};

/// Serial number of the TCB signer's certificate.
pub(crate) const SIGNER_SERIAL: [u8; 4] = [0x12, 0x00, 0x00, 0x01];
/// Serial number of the PCK CA's certificate.
pub(crate) const CA_SERIAL: [u8; 4] = [0x13, 0x00, 0x00, 0x01];
/// Intel's SGX extension of PCK certificates.
const SGX_EXTENSION: &[u64] = &[1, 2, 840, 113_741, 1, 13, 1];

/// Everything above the machine: root, PCK CA and TCB signer.
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) root_key: Key,
    pub(crate) ca: Certificate,
    pub(crate) ca_key: Key,
    pub(crate) signer: Certificate,
    pub(crate) signer_key: Key,
}

impl Authority {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let root_key = Key::derive(seed, "root");
        let ca_key = Key::derive(seed, "pck ca");
        let signer_key = Key::derive(seed, "tcb signer");
        let root = root(&root_key);
        let mut ca_params = params("EMULATED SGX PCK Platform CA", Some(0));
        ca_params.serial_number = Some(SerialNumber::from(CA_SERIAL.to_vec()));
        let ca = ca_params.signed_by(&ca_key.pair, &root, &root_key.pair).expect("fixed parameters make a certificate");
        let mut signer_params = params("EMULATED SGX TCB Signing", None);
        signer_params.serial_number = Some(SerialNumber::from(SIGNER_SERIAL.to_vec()));
        let signer = signer_params
            .signed_by(&signer_key.pair, &root, &root_key.pair)
            .expect("fixed parameters make a certificate");
        Self { root, root_key, ca, ca_key, signer, signer_key }
    }

    /// The PCK certificate of a machine.
    pub(crate) fn pck(&self, key: &Key, identity: &Identity<'_>) -> Certificate {
        let mut params = params("EMULATED SGX PCK Certificate", None);
        params.serial_number = Some(SerialNumber::from(identity.serial.to_vec()));
        let extension = sgx_extension(identity);
        params.custom_extensions.push(CustomExtension::from_oid_content(SGX_EXTENSION, extension));
        params.signed_by(&key.pair, &self.ca, &self.ca_key.pair).expect("fixed parameters make a certificate")
    }
}

/// What a PCK certificate says of its machine.
pub(crate) struct Identity<'a> {
    pub(crate) serial: &'a [u8],
    pub(crate) ppid: &'a [u8],
    pub(crate) instance: &'a [u8],
    pub(crate) plan: &'a PlatformPlan,
}

pub(crate) fn root(key: &Key) -> Certificate {
    params("EMULATED SGX Root CA", Some(1)).self_signed(&key.pair).expect("fixed parameters make a certificate")
}

fn params(common_name: &str, path_length: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "EMULATED - NOT INTEL");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2070, 1, 1);
    params.use_authority_key_identifier_extension = true;
    if let Some(path_length) = path_length {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
    }
    params
}

/// PEM with line feeds alone, whatever rcgen writes on this system.
pub(crate) fn unix(text: &str) -> String {
    text.replace('\r', "")
}

/// Intel's SGX extension of a PCK certificate (Intel 335864, "PCK Certificate and CRL Profile" §1.3.5).
fn sgx_extension(identity: &Identity<'_>) -> Vec<u8> {
    let member = |tail: &[u8], value: Vec<u8>| sequence(&[sgx_oid(tail), value]);
    let integer = |value: u8| tlv(0x02, &[value]);
    let boolean = |value: bool| tlv(0x01, &[if value { 0xff } else { 0 }]);
    let mut tcb: Vec<Vec<u8>> = (1u8..).zip(CPU_SVN).map(|(index, svn)| member(&[2, index], integer(svn))).collect();
    tcb.push(member(&[2, 17], integer(PCE_SVN)));
    tcb.push(member(&[2, 18], tlv(0x04, &CPU_SVN)));
    let mut members = vec![
        member(&[1], tlv(0x04, identity.ppid)),
        member(&[2], sequence(&tcb)),
        member(&[3], tlv(0x04, &[0, 0])),
        member(&[4], tlv(0x04, FMSPC.as_bytes())),
        member(&[5], tlv(0x0a, &[identity.plan.sgx_type])),
    ];
    // Certificates of the Processor CA have neither.
    if let Some(flags) = identity.plan.flags {
        let flags = [flags.dynamic_platform, flags.cached_keys, flags.smt];
        let flags: Vec<Vec<u8>> = (1u8..).zip(flags).map(|(index, flag)| member(&[7, index], boolean(flag))).collect();
        members.push(member(&[6], tlv(0x04, identity.instance)));
        members.push(member(&[7], sequence(&flags)));
    }
    sequence(&members)
}

fn sgx_oid(tail: &[u8]) -> Vec<u8> {
    tlv(0x06, &[&[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01], tail].concat())
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// DER tag, length, value; values here are below 64 KiB.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("the extension is a few hundred bytes").to_be_bytes();
    let mut out = vec![tag];
    match length {
        [0, low] if low < 0x80 => out.push(low),
        [0, low] => out.extend([0x81, low]),
        [high, low] => out.extend([0x82, high, low]),
    }
    out.extend(value);
    out
}
