//! One emulated machine: its certificates, and the public surface of the emulator.
//!
//! Certificates have fixed, long validity (2020 to 2070), because the root is a genesis parameter and quotes must not
//! depend on the time; only collateral is dated.

use freehold_primitives::{PlatformFamily, UnixSeconds};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose, SerialNumber, date_time_ymd,
};

use crate::{
    collateral::{self, CollateralPlan},
    keys::{Key, derive_bytes},
    quote,
    report::TdReport,
};

/// Platform family of emulated machines.
pub const FMSPC: PlatformFamily = PlatformFamily([0xe0, 0xf4, 0xee, 0x00, 0x00, 0x01]);
/// CPUSVN of emulated machines.
pub(crate) const CPU_SVN: [u8; 16] = [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
/// PCESVN of emulated machines.
pub(crate) const PCE_SVN: u8 = 11;
/// Serial number of the TCB signer's certificate.
pub(crate) const SIGNER_SERIAL: [u8; 4] = [0x12, 0x00, 0x00, 0x01];
/// Intel's SGX extension of PCK certificates.
const SGX_EXTENSION: &[u64] = &[1, 2, 840, 113_741, 1, 13, 1];

/// An emulated machine.
pub struct Platform {
    pub(crate) authority: Authority,
    pub(crate) pck_serial: [u8; 20],
    attestation_key: Key,
    certification: Vec<u8>,
}

/// Everything above the machine: root, PCK CA and TCB signer.
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) root_key: Key,
    pub(crate) ca: Certificate,
    pub(crate) ca_key: Key,
    pub(crate) signer: Certificate,
    pub(crate) signer_key: Key,
}

impl Platform {
    /// The first machine of a seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self::nth(seed, 0)
    }

    /// Machine `index` of a seed: its own PPID, PCK and attestation key, under the same root and collateral.
    pub fn nth(seed: &[u8; 32], index: u32) -> Self {
        let authority = Authority::new(seed);
        let own = |what: &str| format!("{what} {index}");
        let pck_key = Key::derive(seed, &own("pck"));
        let attestation_key = Key::derive(seed, &own("attestation key"));
        let mut pck_serial = [0; 20];
        pck_serial.copy_from_slice(&derive_bytes(seed, &own("serial"), 0)[..20]);
        pck_serial[0] = 0x11;

        let mut params = params("EMULATED SGX PCK Certificate", None);
        params.serial_number = Some(SerialNumber::from(pck_serial.to_vec()));
        let ppid = &derive_bytes(seed, &own("ppid"), 0)[..16];
        let instance = &derive_bytes(seed, &own("instance"), 0)[..16];
        let extension = sgx_extension(ppid, instance);
        params.custom_extensions.push(CustomExtension::from_oid_content(SGX_EXTENSION, extension));
        let pck = params
            .signed_by(&pck_key.pair, &authority.ca, &authority.ca_key.pair)
            .expect("fixed parameters make a certificate");

        let chain = [pck.pem(), authority.ca.pem(), authority.root.pem()].map(|text| unix(&text)).concat();
        let certification = quote::certification(&pck_key, &attestation_key, &chain);
        Self { authority, pck_serial, attestation_key, certification }
    }

    /// A version 4 quote over a TD's registers and 64 bytes of its choice, in canonical form.
    pub fn quote_v4(&self, report: &TdReport, report_data: &[u8; 64]) -> Vec<u8> {
        quote::quote_v4(&self.attestation_key, &self.certification, report, report_data)
    }

    /// Collateral under which this machine is up to date at `now_unix_s`: a canonical document (`spec/collateral.md`).
    ///
    /// Valid for 30 days from the last midnight (UTC) at least one hour past: the same bytes for a whole day, and
    /// never dated ahead of a chain whose clock runs a little behind the caller's.
    pub fn collateral(&self, now_unix_s: UnixSeconds) -> Vec<u8> {
        self.collateral_with(now_unix_s, &CollateralPlan::default())
    }

    /// Collateral that says something else about this machine.
    pub fn collateral_with(&self, now_unix_s: UnixSeconds, plan: &CollateralPlan) -> Vec<u8> {
        collateral::document(self, now_unix_s, plan)
    }

    /// The root certificate, DER: the genesis's development root of trust.
    pub fn root_certificate(&self) -> Vec<u8> {
        self.authority.root.der().to_vec()
    }
}

/// The root certificate of a seed, DER: valid from 2020 to 2070, whatever the time.
pub fn root_certificate(seed: &[u8; 32]) -> Vec<u8> {
    root(&Key::derive(seed, "root")).der().to_vec()
}

fn root(key: &Key) -> Certificate {
    params("EMULATED SGX Root CA", Some(1)).self_signed(&key.pair).expect("fixed parameters make a certificate")
}

impl Authority {
    fn new(seed: &[u8; 32]) -> Self {
        let root_key = Key::derive(seed, "root");
        let ca_key = Key::derive(seed, "pck ca");
        let signer_key = Key::derive(seed, "tcb signer");
        let root = root(&root_key);
        let ca = params("EMULATED SGX PCK Platform CA", Some(0))
            .signed_by(&ca_key.pair, &root, &root_key.pair)
            .expect("fixed parameters make a certificate");
        let mut signer_params = params("EMULATED SGX TCB Signing", None);
        signer_params.serial_number = Some(SerialNumber::from(SIGNER_SERIAL.to_vec()));
        let signer = signer_params
            .signed_by(&signer_key.pair, &root, &root_key.pair)
            .expect("fixed parameters make a certificate");
        Self { root, root_key, ca, ca_key, signer, signer_key }
    }
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
fn sgx_extension(ppid: &[u8], instance: &[u8]) -> Vec<u8> {
    let member = |tail: &[u8], value: Vec<u8>| sequence(&[sgx_oid(tail), value]);
    let integer = |value: u8| tlv(0x02, &[value]);
    let no = || tlv(0x01, &[0]);
    let mut tcb: Vec<Vec<u8>> = (1u8..).zip(CPU_SVN).map(|(index, svn)| member(&[2, index], integer(svn))).collect();
    tcb.push(member(&[2, 17], integer(PCE_SVN)));
    tcb.push(member(&[2, 18], tlv(0x04, &CPU_SVN)));
    sequence(&[
        member(&[1], tlv(0x04, ppid)),
        member(&[2], sequence(&tcb)),
        member(&[3], tlv(0x04, &[0, 0])),
        member(&[4], tlv(0x04, FMSPC.as_bytes())),
        member(&[5], tlv(0x0a, &[1])),
        member(&[6], tlv(0x04, instance)),
        member(&[7], sequence(&[member(&[7, 1], no()), member(&[7, 2], no()), member(&[7, 3], no())])),
    ])
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
