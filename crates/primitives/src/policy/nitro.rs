//! What an app accepts as AWS Nitro Enclaves evidence (`spec/policy.md`). Nothing is judged here.

use super::POLICY_LIST_MAX;
use crate::ids::Register;

canonical_struct! {
    /// A Nitro enclave's registers. In a policy `None` accepts any value; in claims all that the document shows are there.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NitroMeasurement {
        /// PCR0, the whole image.
        pub pcr0: Register,
        /// PCR1, kernel and boot ramdisk.
        pub pcr1: Option<Register>,
        /// PCR2, the application.
        pub pcr2: Option<Register>,
        /// PCR3, SHA-384 of the role of the parent instance.
        pub pcr3: Option<Register>,
        /// PCR4, SHA-384 of the id of the parent instance.
        pub pcr4: Option<Register>,
        /// PCR8, SHA-384 of the certificate that signed the image.
        pub pcr8: Option<Register>,
    }
}

canonical_struct! {
    /// What Nitro evidence must show. An enclave in debug mode is refused whatever stands here.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NitroPolicy {
        /// Accepted images; an empty list accepts none.
        pub measurements: Vec<NitroMeasurement>,
        /// Longest time in seconds between the document's own timestamp and the judgement; 0 sets no limit of its own.
        pub age_s_max: u64,
        /// Refuse evidence whose collateral came without revocation lists.
        pub revocation_required: bool,
    }
}

impl NitroPolicy {
    /// Whether every list is within [`POLICY_LIST_MAX`].
    pub const fn is_bounded(&self) -> bool {
        self.measurements.len() <= POLICY_LIST_MAX
    }
}
