//! One emulated machine with Intel's TEEs: its certificates, quotes and collateral.

use freehold_primitives::{PlatformFamily, UnixSeconds};

use crate::{
    certificates::{Authority, Identity, root, unix},
    collateral::{self, CollateralPlan, Tee},
    enclave::EnclaveReport,
    keys::{Key, derive_bytes},
    quote::{self, QuotingEnclave, TdBody},
    report::TdReport,
};

/// Platform family of emulated machines.
pub const FMSPC: PlatformFamily = PlatformFamily([0xe0, 0xf4, 0xee, 0x00, 0x00, 0x01]);
/// CPUSVN of emulated machines.
pub(crate) const CPU_SVN: [u8; 16] = [3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
/// PCESVN of emulated machines.
pub(crate) const PCE_SVN: u8 = 11;

/// Configuration flags of a PCK certificate, as the Platform CA writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlatformFlags {
    /// Packages may be added.
    pub dynamic_platform: bool,
    /// Root keys are cached by the registration service.
    pub cached_keys: bool,
    /// Several threads run a core.
    pub smt: bool,
}

/// What a machine's PCK certificate says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPlan {
    /// Which machine of the seed: its own PPID, PCK and attestation key, under the same root and collateral.
    pub index: u32,
    /// Flags; `None` as in certificates of the Processor CA, which have none.
    pub flags: Option<PlatformFlags>,
    /// SGX type: 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
}

impl Default for PlatformPlan {
    fn default() -> Self {
        Self { index: 0, flags: Some(PlatformFlags::default()), sgx_type: 1 }
    }
}

/// An emulated machine.
pub struct Platform {
    pub(crate) authority: Authority,
    pub(crate) pck_serial: [u8; 20],
    attestation_key: Key,
    td_certification: Vec<u8>,
    enclave_certification: Vec<u8>,
}

impl Platform {
    /// The first machine of a seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self::with(seed, &PlatformPlan::default())
    }

    /// Machine `index` of a seed: its own PPID, PCK and attestation key, under the same root and collateral.
    pub fn nth(seed: &[u8; 32], index: u32) -> Self {
        Self::with(seed, &PlatformPlan { index, ..PlatformPlan::default() })
    }

    /// A machine of a seed by plan.
    pub fn with(seed: &[u8; 32], plan: &PlatformPlan) -> Self {
        let authority = Authority::new(seed);
        let own = |what: &str| format!("{what} {}", plan.index);
        let pck_key = Key::derive(seed, &own("pck"));
        let attestation_key = Key::derive(seed, &own("attestation key"));
        let mut pck_serial = [0; 20];
        pck_serial.copy_from_slice(&derive_bytes(seed, &own("serial"), 0)[..20]);
        pck_serial[0] = 0x11;

        let ppid = &derive_bytes(seed, &own("ppid"), 0)[..16];
        let instance = &derive_bytes(seed, &own("instance"), 0)[..16];
        let pck = authority.pck(&pck_key, &Identity { serial: &pck_serial, ppid, instance, plan });
        let chain = [pck.pem(), authority.ca.pem(), authority.root.pem()].map(|text| unix(&text)).concat();
        let certification = |enclave| quote::certification(&pck_key, &attestation_key, enclave, &chain);
        let td_certification = certification(QuotingEnclave::Td);
        let enclave_certification = certification(QuotingEnclave::Sgx);
        Self { authority, pck_serial, attestation_key, td_certification, enclave_certification }
    }

    /// A version 4 quote over a TD's registers and 64 bytes of its choice, in canonical form.
    pub fn quote_v4(&self, report: &TdReport, report_data: &[u8; 64]) -> Vec<u8> {
        quote::td_v4(&self.attestation_key, &self.td_certification, &report.body(TdBody::Td10, report_data))
    }

    /// A version 5 quote over a TD's registers and 64 bytes of its choice, in canonical form.
    pub fn quote_v5(&self, report: &TdReport, body: TdBody, report_data: &[u8; 64]) -> Vec<u8> {
        quote::td_v5(&self.attestation_key, &self.td_certification, body, &report.body(body, report_data))
    }

    /// A version 3 quote over an SGX enclave's report and 64 bytes of its choice, in canonical form.
    pub fn quote_v3(&self, report: &EnclaveReport, report_data: &[u8; 64]) -> Vec<u8> {
        quote::sgx_v3(&self.attestation_key, &self.enclave_certification, &report.body(report_data))
    }

    /// Collateral for TDX under which this machine is up to date at `now_unix_s`: a canonical document
    /// (`spec/collateral.md`).
    ///
    /// Valid for 30 days from the last midnight (UTC) at least one hour past: the same bytes for a whole day, and
    /// never dated ahead of a chain whose clock runs a little behind the caller's.
    pub fn collateral(&self, now_unix_s: UnixSeconds) -> Vec<u8> {
        self.collateral_with(now_unix_s, &CollateralPlan::default())
    }

    /// Collateral for TDX that says something else about this machine.
    pub fn collateral_with(&self, now_unix_s: UnixSeconds, plan: &CollateralPlan) -> Vec<u8> {
        collateral::document(self, Tee::Tdx, now_unix_s, plan)
    }

    /// Collateral for SGX, by plan.
    pub fn sgx_collateral_with(&self, now_unix_s: UnixSeconds, plan: &CollateralPlan) -> Vec<u8> {
        collateral::document(self, Tee::Sgx, now_unix_s, plan)
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
