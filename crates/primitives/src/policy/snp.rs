//! What an app accepts as AMD SEV-SNP evidence (`spec/policy.md`).
//!
//! Bits and fields are those of AMD 56860 (SEV-SNP firmware ABI), tables 4, 10 and 23. Nothing is judged here.

use super::POLICY_LIST_MAX;
use crate::{ids::Register, measurement::SnpMeasurement};

canonical_enum! {
    /// An AMD product: it decides the root, the layout of a TCB version and the length of a chip id.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum SnpProduct {
        /// EPYC 7003 (Zen 3).
        Milan = 1,
        /// EPYC 9004 and 8004 (Zen 4); Bergamo and Siena share its root.
        Genoa = 2,
        /// EPYC 9005 (Zen 5).
        Turin = 3,
    }
}

canonical_enum! {
    /// The key that signs a report.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum SnpSigningKey {
        /// Versioned chip endorsement key: derived from the chip's secrets and a TCB version.
        Vcek = 0,
        /// Versioned loaded endorsement key: given to a cloud by AMD, the same on many chips.
        Vlek = 1,
    }
}

canonical_struct! {
    /// Security versions of the parts of a platform; each is compared by itself.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct SnpTcb {
        /// Firmware of the first bootloader; 0 before Turin.
        pub fmc: u8,
        /// Bootloader of the security processor.
        pub bootloader: u8,
        /// Operating system of the security processor.
        pub tee: u8,
        /// SNP firmware.
        pub snp: u8,
        /// Microcode, the lowest of all cores.
        pub microcode: u8,
    }
}

impl SnpTcb {
    /// Whether no part is older than in `other`.
    pub const fn is_at_least(&self, other: &Self) -> bool {
        self.fmc >= other.fmc
            && self.bootloader >= other.bootloader
            && self.tee >= other.tee
            && self.snp >= other.snp
            && self.microcode >= other.microcode
    }
}

canonical_struct! {
    /// An accepted product and the oldest TCB that is accepted of it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnpProductPolicy {
        /// The product.
        pub product: SnpProduct,
        /// Its minimum, for the reported TCB and for the TCB at launch.
        pub tcb_min: SnpTcb,
    }
}

canonical_struct! {
    /// What SEV-SNP evidence must show. A guest that can be debugged is refused whatever stands here.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnpPolicy {
        /// Accepted launches; an empty list accepts none.
        pub measurements: Vec<SnpMeasurement>,
        /// Accepted products; a product that is not listed is refused as a whole generation.
        pub products: Vec<SnpProductPolicy>,
        /// Accepted signing keys.
        pub signing_keys: Vec<SnpSigningKey>,
        /// Smallest accepted report version (2 to 5).
        pub report_version_min: u32,
        /// Largest accepted VMPL; 0 accepts the most privileged level alone.
        pub vmpl_max: u32,
        /// Smallest firmware ABI that the guest's own policy may demand: major × 256 + minor.
        pub guest_abi_min: u16,
        /// Guest policy: bits that are judged (bits 0 to 15, the ABI, belong to `guest_abi_min`).
        pub guest_policy_mask: u64,
        /// Guest policy: value under the mask.
        pub guest_policy: u64,
        /// Platform information: bits that are judged.
        pub platform_info_mask: u64,
        /// Platform information: value under the mask.
        pub platform_info: u64,
        /// Mitigations that must have been verified at launch and now (report version 5); 0 demands none.
        pub mitigations: u64,
        /// Smallest accepted GUEST_SVN.
        pub guest_svn_min: u32,
        /// Accepted FAMILY_ID; empty accepts any.
        pub family_ids: Vec<[u8; 16]>,
        /// Accepted IMAGE_ID; empty accepts any.
        pub image_ids: Vec<[u8; 16]>,
        /// Accepted SHA-384 of the key that signed the ID block; empty accepts any, and none.
        pub id_key_digests: Vec<Register>,
        /// Accepted SHA-384 of the author's key, which must then have certified the ID key; empty accepts any, and none.
        pub author_key_digests: Vec<Register>,
        /// Refuse evidence whose collateral came without a revocation list of the root.
        pub revocation_required: bool,
    }
}

impl SnpPolicy {
    /// Whether every list is within [`POLICY_LIST_MAX`].
    pub const fn is_bounded(&self) -> bool {
        self.measurements.len() <= POLICY_LIST_MAX
            && self.products.len() <= POLICY_LIST_MAX
            && self.signing_keys.len() <= POLICY_LIST_MAX
            && self.family_ids.len() <= POLICY_LIST_MAX
            && self.image_ids.len() <= POLICY_LIST_MAX
            && self.id_key_digests.len() <= POLICY_LIST_MAX
            && self.author_key_digests.len() <= POLICY_LIST_MAX
    }
}
