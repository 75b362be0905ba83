//! What an app accepts as evidence (`spec/policy.md`). Judged by `freehold-attestation`, stored by `freehold-ledger`.
//!
//! One part holds for every kind of TEE, and each kind has a section of its own; a kind without a section is not
//! accepted. No list is longer than [`POLICY_LIST_MAX`].

mod intel;
mod nitro;
mod nvidia;
mod snp;

pub use self::{
    intel::{DcapPolicy, SgxPolicy, SgxRelease, TcbStatus, TdxForm, TdxPolicy},
    nitro::NitroPolicy,
    nvidia::{
        GPU_MEASUREMENTS, GPU_VERSION_BYTES_MAX, GpuArchitecture, GpuMeasurement, GpuMode, GpuReference, NvidiaPolicy,
    },
    snp::{SnpPolicy, SnpProduct, SnpProductPolicy, SnpSigningKey, SnpTcb},
};
use crate::{
    ids::{Digest, PlatformFamily, UnixSeconds},
    payload::TrustDomain,
};

/// Longest list in a policy.
pub const POLICY_LIST_MAX: usize = 64;

canonical_struct! {
    /// What evidence must show.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct EvidencePolicy {
        /// Accepted trust domains.
        pub trust_domains: Vec<TrustDomain>,
        /// Accepted platform families; empty accepts any.
        pub families_allowed: Vec<PlatformFamily>,
        /// Denied platform families.
        pub families_denied: Vec<PlatformFamily>,
        /// Accepted platforms, as the claims name them; empty accepts any.
        pub platforms_allowed: Vec<Digest>,
        /// Denied platforms.
        pub platforms_denied: Vec<Digest>,
        /// Intel TDX; `None` accepts no TD.
        pub tdx: Option<TdxPolicy>,
        /// Intel SGX; `None` accepts no enclave.
        pub sgx: Option<SgxPolicy>,
        /// AMD SEV-SNP; `None` accepts no guest.
        pub snp: Option<SnpPolicy>,
        /// AWS Nitro; `None` accepts no enclave.
        pub nitro: Option<NitroPolicy>,
        /// NVIDIA GPUs beside the CPU TEE; `None` accepts evidence without GPUs only.
        pub nvidia: Option<NvidiaPolicy>,
    }
}

impl EvidencePolicy {
    /// Whether every list is within [`POLICY_LIST_MAX`].
    pub fn is_bounded(&self) -> bool {
        let common = [
            self.trust_domains.len(),
            self.families_allowed.len(),
            self.families_denied.len(),
            self.platforms_allowed.len(),
            self.platforms_denied.len(),
        ];
        common.into_iter().all(|length| length <= POLICY_LIST_MAX)
            && self.tdx.as_ref().is_none_or(TdxPolicy::is_bounded)
            && self.sgx.as_ref().is_none_or(SgxPolicy::is_bounded)
            && self.snp.as_ref().is_none_or(SnpPolicy::is_bounded)
            && self.nitro.as_ref().is_none_or(NitroPolicy::is_bounded)
            && self.nvidia.as_ref().is_none_or(NvidiaPolicy::is_bounded)
    }
}

canonical_struct! {
    /// What an app accepts and grants.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AppPolicy {
        /// What an instance's evidence must show.
        pub evidence: EvidencePolicy,
        /// Longest lease, in seconds.
        pub lease_s_max: UnixSeconds,
        /// Key contexts granted to every registered instance at boot, such as `root`.
        pub boot_contexts: Vec<String>,
    }
}
