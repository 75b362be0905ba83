//! What verified evidence says. Only a verifier in this crate makes [`VerifiedClaims`]; its fields are private.

use freehold_primitives::{Digest, Register, TcbStatus, TdxMeasurement, TrustDomain, UnixSeconds};

/// What verified evidence says about a platform and what runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedClaims {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) measurement: TdxMeasurement,
    pub(crate) tcb_status: TcbStatus,
    pub(crate) tcb_date_unix_s: UnixSeconds,
    pub(crate) advisories: Vec<String>,
    pub(crate) platform: Digest,
    pub(crate) fmspc: [u8; 6],
    pub(crate) report_data: [u8; 64],
    pub(crate) td_attributes: u64,
    pub(crate) xfam: u64,
    pub(crate) mr_seam: Register,
    pub(crate) expires_at: UnixSeconds,
    pub(crate) tcb_evaluation_data_number: u32,
    pub(crate) signed_part_digest: Digest,
    pub(crate) multi_package: bool,
}

impl VerifiedClaims {
    /// Trust domain of the root under which the evidence verified.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// The TD's registers; every optional one is present.
    pub const fn measurement(&self) -> &TdxMeasurement {
        &self.measurement
    }

    /// TCB status, platform, TDX module and quoting enclave taken together.
    pub const fn tcb_status(&self) -> TcbStatus {
        self.tcb_status
    }

    /// Unix seconds of the TCB date that the status counts from: the oldest of the matched levels.
    pub const fn tcb_date_unix_s(&self) -> UnixSeconds {
        self.tcb_date_unix_s
    }

    /// Advisories that the platform still carries.
    pub fn advisories(&self) -> &[String] {
        &self.advisories
    }

    /// SHA-256 of the platform's PPID.
    pub const fn platform(&self) -> Digest {
        self.platform
    }

    /// Platform family.
    pub const fn fmspc(&self) -> [u8; 6] {
        self.fmspc
    }

    /// The 64 bytes that the TD asked to be signed.
    pub const fn report_data(&self) -> &[u8; 64] {
        &self.report_data
    }

    /// TD attributes; bit 0 is DEBUG.
    pub const fn td_attributes(&self) -> u64 {
        self.td_attributes
    }

    /// XFAM, the TD's extended features.
    pub const fn xfam(&self) -> u64 {
        self.xfam
    }

    /// MRSEAM, measurement of the TDX module.
    pub const fn mr_seam(&self) -> Register {
        self.mr_seam
    }

    /// Unix seconds of the earliest end of validity among all collateral and certificates used: the first second
    /// at which the claims no longer count.
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// Smaller TCB evaluation data number of TCB info and QE identity.
    pub const fn tcb_evaluation_data_number(&self) -> u32 {
        self.tcb_evaluation_data_number
    }

    /// SHA-256 of header and body, the part that the attestation key signed: the evidence's single-use identity.
    pub const fn signed_part_digest(&self) -> Digest {
        self.signed_part_digest
    }

    /// Whether the platform is dynamic, caches keys, or runs several threads a core.
    pub const fn is_multi_package(&self) -> bool {
        self.multi_package
    }
}
