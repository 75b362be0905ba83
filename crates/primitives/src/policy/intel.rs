//! Policies for Intel's TEEs: what TDX and SGX have in common (DCAP), then each.

use super::POLICY_LIST_MAX;
use crate::{
    ids::{Digest, Register},
    measurement::TdxMeasurement,
};

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

impl TcbStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::UpToDate,
        Self::SwHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSwHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::Revoked,
        Self::TdRelaunchAdvised,
        Self::TdRelaunchAdvisedConfigurationNeeded,
    ];

    /// The word that Intel uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::Revoked => "Revoked",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
        }
    }
}

canonical_struct! {
    /// What is asked of an Intel platform, whatever runs on it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DcapPolicy {
        /// Accepted TCB statuses. `Revoked` is refused whatever stands here.
        pub tcb_statuses: Vec<TcbStatus>,
        /// Seconds after a level's TCB date during which a status outside the list is still accepted.
        pub tcb_grace_s: u64,
        /// Smallest accepted TCB evaluation data number.
        pub tcb_evaluation_data_number_min: u32,
        /// Advisories (such as `INTEL-SA-01036`) that are refused where the platform still carries them.
        pub advisories_denied: Vec<String>,
        /// The only advisories that the platform may carry; `None` accepts any that is not denied.
        pub advisories_allowed: Option<Vec<String>>,
        /// Accepted SGX types of the PCK certificate: 0 standard, 1 scalable, 2 scalable with integrity. Empty accepts any.
        pub sgx_types_allowed: Vec<u8>,
        /// Accept platforms to which packages may be added later.
        pub dynamic_platform_allowed: bool,
        /// Accept platforms whose root keys Intel's registration service caches.
        pub cached_keys_allowed: bool,
        /// Accept platforms that run several threads a core.
        pub smt_allowed: bool,
    }
}

impl DcapPolicy {
    /// Whether every list is within its bound.
    pub fn is_bounded(&self) -> bool {
        let lengths = [
            self.tcb_statuses.len(),
            self.advisories_denied.len(),
            self.advisories_allowed.as_ref().map_or(0, Vec::len),
            self.sgx_types_allowed.len(),
        ];
        lengths.into_iter().all(|length| length <= POLICY_LIST_MAX)
    }
}

canonical_enum! {
    /// Version of a TDX quote and the report body in it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum TdxForm {
        /// Version 4, TD 1.0 body.
        V4Td10 = 1,
        /// Version 5, TD 1.0 body.
        V5Td10 = 2,
        /// Version 5, TD 1.5 body.
        V5Td15 = 3,
        /// Version 5, TD 1.5ex body.
        V5Td15Ex = 4,
    }
}

canonical_struct! {
    /// What a TD must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TdxPolicy {
        /// What is asked of the platform.
        pub platform: DcapPolicy,
        /// Accepted releases; an empty list accepts none.
        pub measurements: Vec<TdxMeasurement>,
        /// Accepted forms of the quote; empty accepts any.
        pub forms_allowed: Vec<TdxForm>,
        /// TD attributes that must be set.
        pub attributes_required: u64,
        /// TD attributes that may be set: every other one (PKS, KL, PERFMON, TPA, …) is refused. DEBUG, profiling and
        /// MIGRATABLE are refused whatever stands here.
        pub attributes_allowed: u64,
        /// Extended features (XFAM) that must be enabled.
        pub xfam_required: u64,
        /// Extended features that may be enabled: every other one is refused.
        pub xfam_allowed: u64,
        /// Accepted MRSEAM; empty accepts any module that the TCB info accepts.
        pub mr_seam_allowed: Vec<Register>,
        /// Accepted MRSIGNERSEAM; empty accepts any signer that the TCB info accepts. Zero is Intel.
        pub mr_signer_seam_allowed: Vec<Register>,
        /// MRCONFIGID; `None` accepts any value.
        pub mr_config_id: Option<Register>,
        /// MROWNER; `None` accepts any value.
        pub mr_owner: Option<Register>,
        /// MROWNERCONFIG; `None` accepts any value.
        pub mr_owner_config: Option<Register>,
        /// Service TDs that may be bound, by hash; an empty list accepts none.
        pub service_tds_allowed: Vec<Register>,
    }
}

impl TdxPolicy {
    /// Whether every list is within its bound.
    pub fn is_bounded(&self) -> bool {
        let lengths = [
            self.measurements.len(),
            self.forms_allowed.len(),
            self.mr_seam_allowed.len(),
            self.mr_signer_seam_allowed.len(),
            self.service_tds_allowed.len(),
        ];
        self.platform.is_bounded() && lengths.into_iter().all(|length| length <= POLICY_LIST_MAX)
    }
}

canonical_struct! {
    /// An accepted enclave. One that names neither MRENCLAVE nor MRSIGNER accepts nothing.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SgxRelease {
        /// MRENCLAVE; `None` accepts any enclave of the signer.
        pub mr_enclave: Option<Digest>,
        /// MRSIGNER; `None` accepts any signer of the enclave.
        pub mr_signer: Option<Digest>,
        /// ISVPRODID; `None` accepts any.
        pub isv_prod_id: Option<u16>,
        /// Smallest accepted ISVSVN.
        pub isv_svn_min: u16,
    }
}

canonical_struct! {
    /// What an enclave must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SgxPolicy {
        /// What is asked of the platform.
        pub platform: DcapPolicy,
        /// Accepted enclaves; an empty list accepts none.
        pub releases: Vec<SgxRelease>,
        /// Attribute flags that must be set: 1 INIT, 4 MODE64BIT, 16 PROVISIONKEY, 32 EINITTOKENKEY, 128 KSS, ….
        pub attributes_required: u64,
        /// Attribute flags that may be set: every other one is refused. DEBUG (2) is refused whatever stands here.
        pub attributes_allowed: u64,
        /// Extended features (XFRM) that must be enabled.
        pub xfrm_required: u64,
        /// Extended features that may be enabled: every other one is refused.
        pub xfrm_allowed: u64,
        /// MISCSELECT bits that may be set: 1 EXINFO, 2 CPINFO.
        pub misc_select_allowed: u32,
        /// CONFIGID (KSS); `None` accepts any value.
        pub config_id: Option<[u8; 64]>,
        /// Smallest accepted CONFIGSVN (KSS).
        pub config_svn_min: u16,
        /// ISVEXTPRODID (KSS); `None` accepts any value.
        pub isv_ext_prod_id: Option<[u8; 16]>,
        /// ISVFAMILYID (KSS); `None` accepts any value.
        pub isv_family_id: Option<[u8; 16]>,
    }
}

impl SgxPolicy {
    /// Whether every list is within its bound.
    pub fn is_bounded(&self) -> bool {
        self.platform.is_bounded() && self.releases.len() <= POLICY_LIST_MAX
    }
}
