//! Evidence of NVIDIA GPUs from the driver's library (NVML), behind the feature `nvml`.
//!
//! The library is loaded at run time, so that a build with this feature runs on machines without it. Has not run on
//! hardware (`docs/attestation.md`). [`NvmlSource::bundle`] puts what the GPUs give beside the CPU's evidence.

use freehold_attestation::{
    Refusal,
    nvidia::{self, gpu_nonce},
};
use freehold_primitives::{Blob, Canonical as _, EvidenceBundle, EvidenceKind};
use nvml_wrapper::{Nvml, error::NvmlError};
use thiserror::Error;

use super::TakenEvidence;

/// Most GPUs that are asked: those of one bundle.
const GPUS_MAX: u32 = 8;

/// Why GPUs gave no evidence, and what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GpuEvidenceError {
    /// The library is not there, or the driver is not loaded.
    #[error("NVML cannot be used: install NVIDIA's driver in the VM and load it ({0})")]
    Library(#[source] NvmlError),
    /// More GPUs than a bundle holds.
    #[error("{0} GPUs are attached, where at most {GPUS_MAX} are supported")]
    Count(u32),
    /// A GPU is not in confidential mode.
    #[error("GPU {0} is not in confidential mode: switch it on on the host and start the VM again")]
    NotConfidential(u32),
    /// A GPU gave something that is no evidence.
    #[error("GPU {index} gave no well-formed evidence (code {code}): {refusal}", code = .refusal.code())]
    Form {
        /// Which.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// A GPU gave nothing.
    #[error("GPU {index} gave no evidence: {source}")]
    Gpu {
        /// Which.
        index: u32,
        /// What the driver said.
        source: NvmlError,
    },
}

/// What one GPU gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuEvidence {
    /// Request and response of SPDM, signed.
    pub report: Vec<u8>,
    /// Certificates, PEM, leaf first.
    pub certificate_chain: Vec<u8>,
}

/// The GPUs of this VM.
pub struct NvmlSource(Nvml);

impl NvmlSource {
    /// Loads the library.
    ///
    /// # Errors
    /// [`GpuEvidenceError::Library`].
    pub fn open() -> Result<Self, GpuEvidenceError> {
        Nvml::init().map(Self).map_err(GpuEvidenceError::Library)
    }

    /// Takes evidence of every GPU over one nonce.
    ///
    /// # Errors
    /// Every [`GpuEvidenceError`].
    pub fn take(&self, nonce: &[u8; 32]) -> Result<Vec<GpuEvidence>, GpuEvidenceError> {
        let count = self.0.device_count().map_err(GpuEvidenceError::Library)?;
        if count > GPUS_MAX {
            return Err(GpuEvidenceError::Count(count));
        }
        (0..count).map(|index| self.take_one(index, nonce)).collect()
    }

    /// Puts evidence of every GPU, over the nonce that follows from `report_data`, beside the CPU's evidence over it; the
    /// CPU's alone where there is no GPU.
    ///
    /// # Errors
    /// Every [`GpuEvidenceError`].
    pub fn bundle(&self, cpu: TakenEvidence, report_data: &[u8; 64]) -> Result<TakenEvidence, GpuEvidenceError> {
        let raw = self.take(&gpu_nonce(report_data))?;
        if raw.is_empty() {
            return Ok(cpu);
        }
        let canonical = |(index, gpu): (usize, &GpuEvidence)| {
            let evidence = nvidia::canonicalise(&gpu.report, &gpu.certificate_chain);
            evidence.map(Blob).map_err(|refusal| GpuEvidenceError::Form { index, refusal })
        };
        let gpus = raw.iter().enumerate().map(canonical).collect::<Result<_, _>>()?;
        let bundle = EvidenceBundle { primary_kind: cpu.kind, primary: Blob(cpu.bytes), gpus };
        Ok(TakenEvidence { kind: EvidenceKind::Bundle, family: cpu.family, bytes: bundle.to_canonical() })
    }

    fn take_one(&self, index: u32, nonce: &[u8; 32]) -> Result<GpuEvidence, GpuEvidenceError> {
        let failed = |source| GpuEvidenceError::Gpu { index, source };
        let gpu = self.0.device_by_index(index).map_err(failed)?;
        if !gpu.check_confidential_compute_status().map_err(failed)? {
            return Err(GpuEvidenceError::NotConfidential(index));
        }
        let report = gpu.confidential_compute_gpu_attestation_report(*nonce).map_err(failed)?;
        let certificates = gpu.confidential_compute_gpu_certificate().map_err(failed)?;
        Ok(GpuEvidence { report: report.attestation_report, certificate_chain: certificates.attestation_cert_chain })
    }
}
