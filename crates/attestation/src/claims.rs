//! What verified evidence says. Only the verifiers of this crate make claims; their fields are private.

use freehold_primitives::{
    Digest, EvidenceKind, Measurement, PlatformFamily, TcbStatus, TrustDomain, UnixSeconds,
    entries::{GpuRecord, TcbLevel},
};

use crate::{nitro::NitroClaims, nvidia::NvidiaClaims, sgx::SgxClaims, snp::SnpClaims, tdx::TdxClaims};

/// Declares claims: fields that only this crate writes, and a getter for each (`copy` by value, `whole` by reference).
macro_rules! claims_struct {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$copy_meta:meta])* copy $copy:ident: $copy_type:ty,)*
        --
        $($(#[$whole_meta:meta])* whole $whole:ident: $whole_type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $(pub(crate) $copy: $copy_type,)*
            $(pub(crate) $whole: $whole_type,)*
        }
        impl $name {
            $($(#[$copy_meta])*
            pub const fn $copy(&self) -> $copy_type {
                self.$copy
            })*
            $($(#[$whole_meta])*
            pub const fn $whole(&self) -> &$whole_type {
                &self.$whole
            })*
        }
    };
}
pub(crate) use claims_struct;

/// What only one kind of evidence says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KindClaims {
    /// Intel TDX.
    Tdx(Box<TdxClaims>),
    /// Intel SGX.
    Sgx(Box<SgxClaims>),
    /// AMD SEV-SNP.
    Snp(Box<SnpClaims>),
    /// AWS Nitro.
    Nitro(Box<NitroClaims>),
}

claims_struct! {
    /// What verified evidence says: what every kind has, and the kind's own claims.
    pub struct VerifiedClaims {
        /// Kind of the evidence; of a bundle, that of the primary.
        copy kind: EvidenceKind,
        /// Trust domain of the root under which the evidence verified.
        copy trust_domain: TrustDomain,
        /// TCB status, everything taken together; `None` for vendors without such statuses.
        copy tcb_status: Option<TcbStatus>,
        /// The platform: SHA-256 of its PPID, chip id or module id.
        copy platform: Digest,
        /// Platform family.
        copy family: PlatformFamily,
        /// Unix seconds of the earliest end of validity among everything used: the first second at which the claims no
        /// longer count.
        copy expires_at: UnixSeconds,
        /// SHA-256 of exactly the bytes that were signed: the evidence's single-use identity.
        copy signed_part_digest: Digest,
        --
        /// The 64 bytes that the TEE asked to be signed.
        whole report_data: [u8; 64],
        /// What runs in it.
        whole measurement: Measurement,
        /// What only this kind says.
        whole detail: KindClaims,
        /// GPUs beside the CPU TEE, in the order of the evidence.
        whole gpus: Vec<NvidiaClaims>,
    }
}

impl VerifiedClaims {
    /// How far the platform is patched, as entries record it and denials name it; `None` for vendors without levels.
    pub fn tcb_level(&self) -> Option<TcbLevel> {
        match &self.detail {
            KindClaims::Tdx(claims) => Some(TcbLevel::Dated(claims.platform.tcb_date_unix_s)),
            KindClaims::Sgx(claims) => Some(TcbLevel::Dated(claims.platform.tcb_date_unix_s)),
            KindClaims::Snp(claims) => Some(TcbLevel::Snp(claims.report().reported_tcb(claims.product()))),
            KindClaims::Nitro(_) => None,
        }
    }

    /// The GPUs as entries record them.
    pub fn gpu_records(&self) -> Vec<GpuRecord> {
        let record = |gpu: &NvidiaClaims| GpuRecord { family: PlatformFamily(gpu.family()), platform: gpu.platform() };
        self.gpus.iter().map(record).collect()
    }

    /// The claims of a TD.
    pub fn as_tdx(&self) -> Option<&TdxClaims> {
        if let KindClaims::Tdx(claims) = &self.detail { Some(claims) } else { None }
    }

    /// The claims of an enclave.
    pub fn as_sgx(&self) -> Option<&SgxClaims> {
        if let KindClaims::Sgx(claims) = &self.detail { Some(claims) } else { None }
    }

    /// The claims of an SEV-SNP guest.
    pub fn as_snp(&self) -> Option<&SnpClaims> {
        if let KindClaims::Snp(claims) = &self.detail { Some(claims) } else { None }
    }

    /// The claims of a Nitro enclave.
    pub fn as_nitro(&self) -> Option<&NitroClaims> {
        if let KindClaims::Nitro(claims) = &self.detail { Some(claims) } else { None }
    }
}

impl From<SnpClaims> for VerifiedClaims {
    fn from(claims: SnpClaims) -> Self {
        Self {
            kind: EvidenceKind::Snp,
            trust_domain: claims.trust_domain(),
            tcb_status: None,
            platform: claims.platform(),
            family: PlatformFamily(claims.family()),
            expires_at: claims.expires_at(),
            signed_part_digest: claims.signed_part_digest(),
            report_data: claims.report().report_data(),
            measurement: claims.measurement().into(),
            detail: KindClaims::Snp(Box::new(claims)),
            gpus: Vec::new(),
        }
    }
}

impl From<NitroClaims> for VerifiedClaims {
    fn from(claims: NitroClaims) -> Self {
        Self {
            kind: EvidenceKind::Nitro,
            trust_domain: claims.trust_domain(),
            tcb_status: None,
            platform: claims.platform(),
            family: PlatformFamily(claims.family()),
            expires_at: claims.expires_at(),
            signed_part_digest: claims.signed_part_digest(),
            report_data: *claims.report_data(),
            measurement: claims.document().measurement().into(),
            detail: KindClaims::Nitro(Box::new(claims)),
            gpus: Vec::new(),
        }
    }
}

impl From<TdxClaims> for VerifiedClaims {
    fn from(claims: TdxClaims) -> Self {
        Self {
            kind: EvidenceKind::Tdx,
            trust_domain: claims.platform.trust_domain,
            tcb_status: Some(claims.platform.tcb_status),
            platform: claims.platform.platform,
            family: claims.platform.family,
            expires_at: claims.platform.expires_at,
            signed_part_digest: claims.signed_part_digest,
            report_data: claims.report_data,
            measurement: Measurement::Tdx(claims.measurement.clone()),
            detail: KindClaims::Tdx(Box::new(claims)),
            gpus: Vec::new(),
        }
    }
}

impl From<SgxClaims> for VerifiedClaims {
    fn from(claims: SgxClaims) -> Self {
        Self {
            kind: EvidenceKind::Sgx,
            trust_domain: claims.platform.trust_domain,
            tcb_status: Some(claims.platform.tcb_status),
            platform: claims.platform.platform,
            family: claims.platform.family,
            expires_at: claims.platform.expires_at,
            signed_part_digest: claims.signed_part_digest,
            report_data: claims.report_data,
            measurement: Measurement::Sgx(claims.measurement.clone()),
            detail: KindClaims::Sgx(Box::new(claims)),
            gpus: Vec::new(),
        }
    }
}
