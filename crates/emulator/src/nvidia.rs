//! Emulated GPUs: a chain from a root of their own to a leaf with a TcbInfo extension, reports in the shapes of Hopper and
//! Blackwell, collateral and RIM files, in every condition (`spec/gpu.md` §6). All from a 32-byte seed.

mod collateral;
mod keys;
mod plan;
mod report;
mod rim;
mod tcb_info;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use freehold_primitives::{Blob, Canonical as _, GpuArchitecture, UnixSeconds, VERSION};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

pub use plan::{GpuCondition, GpuPlan, GpuRevocation};

use crate::keys::derive_bytes;
use keys::Key384;

/// DMTF's kind of alternative name, with vendor, product and serial number (DSP0274 1.1 §10.6.1).
const DEVICE_NAME: &[u64] = &[1, 3, 6, 1, 4, 1, 412, 274, 1];

/// One emulated GPU.
pub struct EmulatedGpu {
    seed: [u8; 32],
    architecture: GpuArchitecture,
    index: u32,
    authority: Authority,
    device: Certificate,
    device_key: Key384,
    device_serial: Vec<u8>,
}

/// Everything above a device: provisioner, model, root.
struct Authority {
    root: Certificate,
    root_key: Key384,
    model: Certificate,
    model_key: Key384,
    provisioner: Certificate,
    provisioner_key: Key384,
}

/// The root certificate of emulated GPUs of a seed, DER.
pub fn gpu_root_certificate(seed: &[u8; 32]) -> Vec<u8> {
    root(&Key384::derive(seed, "gpu root")).der().to_vec()
}

/// The root certificate of the emulated RIM files of a seed, DER.
pub fn gpu_rim_root_certificate(seed: &[u8; 32]) -> Vec<u8> {
    rim::root(&Key384::derive(seed, "gpu rim root")).der().to_vec()
}

impl EmulatedGpu {
    /// GPU `index` of this architecture: all of a seed stand under one root, those of one architecture under one
    /// provisioner.
    pub fn nth(seed: &[u8; 32], architecture: GpuArchitecture, index: u32) -> Self {
        let authority = Authority::new(seed, architecture);
        let label = format!("gpu device {} {index}", model(architecture));
        let device_key = Key384::derive(seed, &label);
        let mut device_serial = derive_bytes(seed, &label, 1)[..9].to_vec();
        device_serial[0] = 0x41;
        let mut params = params(&format!("EMULATED {} A01 GSP BROM", model(architecture)), Some(None));
        params.serial_number = Some(SerialNumber::from(device_serial.clone()));
        let device = sign(params, &device_key, (&authority.provisioner, &authority.provisioner_key));
        Self { seed: *seed, architecture, index, authority, device, device_key, device_serial }
    }

    /// Evidence over a nonce: a canonical document.
    pub fn evidence(&self, nonce: &[u8; 32]) -> Vec<u8> {
        self.evidence_with(nonce, &GpuPlan::new(self.architecture))
    }

    /// Evidence that says something else.
    pub fn evidence_with(&self, nonce: &[u8; 32], plan: &GpuPlan) -> Vec<u8> {
        let (report, chain) = self.parts(nonce, plan);
        let mut out = vec![VERSION];
        Blob(report).write(&mut out);
        chain.map(Blob).to_vec().write(&mut out);
        out
    }

    /// Report, and certificates in PEM with the leaf first, as NVIDIA's management library gives them.
    pub fn raw(&self, nonce: &[u8; 32], plan: &GpuPlan) -> (Vec<u8>, String) {
        let (report, chain) = self.parts(nonce, plan);
        (report, chain.iter().map(|der| pem(der)).collect())
    }

    /// Collateral of its provisioner: certificates, and lists that revoke nothing. Dated as `spec/collateral.md` §3 says.
    pub fn collateral(&self, now_unix_s: UnixSeconds) -> Vec<u8> {
        self.collateral_with(now_unix_s, GpuRevocation::None)
    }

    /// Collateral with something revoked, or without lists.
    pub fn collateral_with(&self, now_unix_s: UnixSeconds, revocation: GpuRevocation) -> Vec<u8> {
        collateral::document(self, now_unix_s, revocation)
    }

    /// RIM file of the driver of a plan, as NVIDIA writes and signs them.
    pub fn driver_rim(&self, plan: &GpuPlan) -> String {
        rim::file(&self.seed, self.architecture, rim::Part::Driver, &plan.driver_version)
    }

    /// RIM file of the firmware of a plan.
    pub fn firmware_rim(&self, plan: &GpuPlan) -> String {
        rim::file(&self.seed, self.architecture, rim::Part::Firmware, &plan.vbios_version)
    }

    fn parts(&self, nonce: &[u8; 32], plan: &GpuPlan) -> (Vec<u8>, [Vec<u8>; 5]) {
        let label = format!("gpu leaf {} {}", model(self.architecture), self.index);
        let leaf_key = Key384::derive(&self.seed, &label);
        let name = if plan.condition == GpuCondition::ModelForeign { "GV100" } else { model(self.architecture) };
        let mut params = params(&format!("EMULATED {} A01 GSP FMC LF", model(self.architecture)), None);
        let mut serial = derive_bytes(&self.seed, &label, 1)[..20].to_vec();
        serial[0] = 0x53;
        params.serial_number = Some(SerialNumber::from(serial));
        let device_name = format!("EMULATED:{name}:{:016X}", self.index);
        params.subject_alt_names = vec![SanType::OtherName((DEVICE_NAME.to_vec(), device_name.into()))];
        params.custom_extensions.push(self.tcb_info(plan));
        let leaf = sign(params, &leaf_key, (&self.device, &self.device_key));
        let report = report::report(&leaf_key, nonce, self.architecture, plan);
        let authority = &self.authority;
        (
            report,
            [&leaf, &self.device, &authority.provisioner, &authority.model, &authority.root]
                .map(|one| one.der().to_vec()),
        )
    }

    fn tcb_info(&self, plan: &GpuPlan) -> CustomExtension {
        let mut fwid = report::fwid(self.architecture, plan);
        if plan.condition == GpuCondition::FirmwareIdentityForeign {
            fwid[0] ^= 1;
        }
        match self.architecture {
            GpuArchitecture::Hopper => tcb_info::hopper(&self.device_key.key_info(), &fwid),
            GpuArchitecture::Blackwell => tcb_info::blackwell(&fwid, plan.condition),
        }
    }
}

impl Authority {
    fn new(seed: &[u8; 32], architecture: GpuArchitecture) -> Self {
        let name = model(architecture);
        let root_key = Key384::derive(seed, "gpu root");
        let root = root(&root_key);
        let authority = |common_name: &str, serial: u8| {
            let mut params = params(common_name, Some(None));
            params.serial_number = Some(SerialNumber::from(vec![0x40, architecture as u8, serial]));
            params
        };
        let model_key = Key384::derive(seed, &format!("gpu model {name}"));
        let model = sign(authority(&format!("EMULATED {name} Identity"), 1), &model_key, (&root, &root_key));
        let provisioner_key = Key384::derive(seed, &format!("gpu provisioner {name}"));
        let provisioner_name = format!("EMULATED {name} Provisioner ICA 1");
        let provisioner = sign(authority(&provisioner_name, 2), &provisioner_key, (&model, &model_key));
        Self { root, root_key, model, model_key, provisioner, provisioner_key }
    }
}

/// PEM of one certificate: lines of 64, line feeds alone.
fn pem(der: &[u8]) -> String {
    let digits = BASE64_STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for at in (0..digits.len()).step_by(64) {
        text += &digits[at..digits.len().min(at + 64)];
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// Model that certificates name.
fn model(architecture: GpuArchitecture) -> &'static str {
    match architecture {
        GpuArchitecture::Hopper => "GH100",
        GpuArchitecture::Blackwell => "GB20X",
    }
}

fn root(key: &Key384) -> Certificate {
    params("EMULATED Device Identity CA", Some(None))
        .self_signed(&key.pair)
        .expect("fixed parameters make a certificate")
}

fn sign(params: CertificateParams, key: &Key384, issuer: (&Certificate, &Key384)) -> Certificate {
    params.signed_by(&key.pair, issuer.0, &issuer.1.pair).expect("fixed parameters make a certificate")
}

/// Parameters of a certificate; `authority` is its path length where it is an authority.
fn params(common_name: &str, authority: Option<Option<u8>>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "EMULATED - NOT NVIDIA");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2070, 1, 1);
    params.use_authority_key_identifier_extension = true;
    if let Some(path_length) = authority {
        params.is_ca = IsCa::Ca(path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    params
}
