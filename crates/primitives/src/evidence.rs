//! Kinds of evidence, and a CPU TEE together with its GPUs as one document (`spec/evidence.md` §1).

use crate::codec::Blob;

/// Most GPUs in one bundle: a full baseboard of today's servers.
pub const BUNDLE_GPUS_MAX: usize = 8;

canonical_enum! {
    /// Kind of evidence.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum EvidenceKind {
        /// Intel TDX quote; its bytes say whether version 4 or 5.
        Tdx = 1,
        /// Intel SGX quote, version 3.
        Sgx = 2,
        /// AMD SEV-SNP report with its certificates.
        Snp = 3,
        /// AWS Nitro attestation document.
        Nitro = 4,
        /// NVIDIA GPU measurement report with its certificates. Never registers alone: a GPU holds no keyset.
        Nvidia = 5,
        /// [`EvidenceBundle`]: a CPU TEE and its GPUs.
        Bundle = 6,
    }
}

impl EvidenceKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Tdx, Self::Sgx, Self::Snp, Self::Nitro, Self::Nvidia, Self::Bundle];

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tdx => "tdx",
            Self::Sgx => "sgx",
            Self::Snp => "snp",
            Self::Nitro => "nitro",
            Self::Nvidia => "nvidia",
            Self::Bundle => "bundle",
        }
    }

    /// The kind of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

canonical_struct! {
    /// A CPU TEE and its GPUs. Each GPU's nonce is SHA-256 of `freehold gpu nonce\n` and the primary's `report_data`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EvidenceBundle {
        /// Kind of the primary: any but `Nvidia` and `Bundle`.
        pub primary_kind: EvidenceKind,
        /// Evidence of the CPU TEE.
        pub primary: Blob,
        /// Evidence of each GPU, at most [`BUNDLE_GPUS_MAX`].
        pub gpus: Vec<Blob>,
    }
}
