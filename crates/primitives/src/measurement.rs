//! Measurements: what a TEE says that it runs, as policies name it and as entries record it.

use crate::{
    codec::{Canonical, CodecError, Reader},
    evidence::EvidenceKind,
    ids::{Digest, Register},
};

canonical_struct! {
    /// A TD's registers. In a policy `None` accepts any value; in claims all are present.
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
    /// An SGX enclave, as its report says.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SgxMeasurement {
        /// MRENCLAVE: the enclave's code and data.
        pub mr_enclave: Digest,
        /// MRSIGNER: SHA-256 of the signer's key.
        pub mr_signer: Digest,
        /// ISVPRODID: which of the signer's products.
        pub isv_prod_id: u16,
        /// ISVSVN: its security version.
        pub isv_svn: u16,
    }
}

canonical_struct! {
    /// An SEV-SNP guest. In a policy `None` accepts any value; in claims all are present.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnpMeasurement {
        /// MEASUREMENT: launch digest.
        pub measurement: Register,
        /// `HOST_DATA`: 32 bytes that the host gave at launch, such as the digest of a configuration.
        pub host_data: Option<Digest>,
    }
}

canonical_struct! {
    /// A Nitro enclave's registers. In a policy `None` accepts any value; in claims all are present.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NitroMeasurement {
        /// PCR0: enclave image.
        pub pcr0: Register,
        /// PCR1: kernel and bootstrap.
        pub pcr1: Option<Register>,
        /// PCR2: application.
        pub pcr2: Option<Register>,
        /// PCR3: IAM role of the parent instance.
        pub pcr3: Option<Register>,
        /// PCR4: id of the parent instance.
        pub pcr4: Option<Register>,
        /// PCR8: signer of the enclave image.
        pub pcr8: Option<Register>,
    }
}

/// What a CPU TEE runs. Its canonical form is the kind's byte and the kind's own fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measurement {
    /// Intel TDX.
    Tdx(TdxMeasurement),
    /// Intel SGX.
    Sgx(SgxMeasurement),
    /// AMD SEV-SNP.
    Snp(SnpMeasurement),
    /// AWS Nitro.
    Nitro(NitroMeasurement),
}

impl Measurement {
    /// Kind of TEE.
    pub const fn kind(&self) -> EvidenceKind {
        match self {
            Self::Tdx(_) => EvidenceKind::Tdx,
            Self::Sgx(_) => EvidenceKind::Sgx,
            Self::Snp(_) => EvidenceKind::Snp,
            Self::Nitro(_) => EvidenceKind::Nitro,
        }
    }

    /// The register that stands for what was launched: MRTD, MRENCLAVE, MEASUREMENT or PCR0. It is what a deny entry
    /// names.
    pub fn launched(&self) -> &[u8] {
        match self {
            Self::Tdx(registers) => registers.mrtd.as_bytes(),
            Self::Sgx(enclave) => enclave.mr_enclave.as_bytes(),
            Self::Snp(guest) => guest.measurement.as_bytes(),
            Self::Nitro(registers) => registers.pcr0.as_bytes(),
        }
    }
}

macro_rules! of_kind {
    ($($kind:ident: $registers:ident),*) => {$(
        impl From<$registers> for Measurement {
            fn from(registers: $registers) -> Self {
                Self::$kind(registers)
            }
        }
    )*};
}
of_kind!(Tdx: TdxMeasurement, Sgx: SgxMeasurement, Snp: SnpMeasurement, Nitro: NitroMeasurement);

impl Canonical for Measurement {
    fn write(&self, out: &mut Vec<u8>) {
        self.kind().write(out);
        match self {
            Self::Tdx(fields) => fields.write(out),
            Self::Sgx(fields) => fields.write(out),
            Self::Snp(fields) => fields.write(out),
            Self::Nitro(fields) => fields.write(out),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match EvidenceKind::read(reader)? {
            EvidenceKind::Tdx => Self::Tdx(TdxMeasurement::read(reader)?),
            EvidenceKind::Sgx => Self::Sgx(SgxMeasurement::read(reader)?),
            EvidenceKind::Snp => Self::Snp(SnpMeasurement::read(reader)?),
            EvidenceKind::Nitro => Self::Nitro(NitroMeasurement::read(reader)?),
            other => return Err(CodecError::Tag(other as u8)),
        })
    }
}
