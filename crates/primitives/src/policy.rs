//! What an app accepts as evidence (`spec/policy.md`). Judged by `freehold-attestation`, stored by `freehold-ledger`.

use crate::{
    ids::{Digest, Register, UnixSeconds},
    payload::TrustDomain,
};

mod nvidia;

pub use nvidia::{
    GPU_MEASUREMENTS, GPU_VERSION_BYTES_MAX, GpuArchitecture, GpuMeasurement, GpuMode, GpuReference, NvidiaPolicy,
};

/// Longest list in a policy.
pub const POLICY_LIST_MAX: usize = 64;

canonical_enum! {
    /// TCB status as Intel words it, ordered as in its levels.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum TcbStatus {
        /// Up to date.
        UpToDate = 1,
        /// Software hardening needed.
        SwHardeningNeeded = 2,
        /// Configuration needed.
        ConfigurationNeeded = 3,
        /// Configuration and software hardening needed.
        ConfigurationAndSwHardeningNeeded = 4,
        /// A patch is missing.
        OutOfDate = 5,
        /// A patch and a configuration are missing.
        OutOfDateConfigurationNeeded = 6,
        /// Revoked: never accepted.
        Revoked = 7,
        /// The TD must be launched again to have the current TCB.
        TdRelaunchAdvised = 8,
        /// As above, and a configuration is missing.
        TdRelaunchAdvisedConfigurationNeeded = 9,
    }
}

canonical_struct! {
    /// One accepted release: the registers a TD must show. `None` accepts any value.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TdxMeasurement {
        /// MRTD.
        pub mrtd: Register,
        /// RTMR0, firmware configuration.
        pub rtmr0: Option<Register>,
        /// RTMR1, kernel.
        pub rtmr1: Option<Register>,
        /// RTMR2, command line and initrd.
        pub rtmr2: Option<Register>,
        /// RTMR3, extended by the app digest.
        pub rtmr3: Option<Register>,
    }
}

canonical_struct! {
    /// What evidence must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EvidencePolicy {
        /// Accepted trust domains.
        pub trust_domains: Vec<TrustDomain>,
        /// Accepted releases; an empty list accepts none.
        pub tdx_measurements: Vec<TdxMeasurement>,
        /// Accepted TCB statuses. `Revoked` is refused whatever stands here.
        pub tcb_statuses: Vec<TcbStatus>,
        /// Smallest accepted TCB evaluation data number.
        pub tcb_evaluation_data_number_min: u32,
        /// Seconds after a level's TCB date during which a status outside the list is still accepted.
        pub tcb_grace_s: u64,
        /// Advisories (such as `INTEL-SA-01036`) that are refused where the platform still carries them.
        pub advisories_denied: Vec<String>,
        /// TD attributes: bits that are judged. DEBUG is refused whatever stands here.
        pub td_attributes_mask: u64,
        /// TD attributes: value under the mask.
        pub td_attributes: u64,
        /// XFAM: bits that are judged.
        pub xfam_mask: u64,
        /// XFAM: value under the mask.
        pub xfam: u64,
        /// Accepted MRSEAM; empty accepts any module that the TCB info accepts.
        pub mr_seam_allowed: Vec<Register>,
        /// Accepted platform families; empty accepts any.
        pub fmspc_allowed: Vec<[u8; 6]>,
        /// Denied platform families.
        pub fmspc_denied: Vec<[u8; 6]>,
        /// Denied platforms, by SHA-256 of the PPID.
        pub platforms_denied: Vec<Digest>,
        /// Accept platforms with simultaneous multithreading, dynamic and cached keys (ordinary servers have all three).
        pub multi_package_allowed: bool,
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
