//! The emulated machine that the guest runs on: its root, its collateral, what it shows of a launch, and what an app then
//! accepts.

use std::sync::Arc;

use freehold_attestation::development_policy;
use freehold_emulator::{DEVELOPMENT_SEED, EvidenceMachine, FMSPC, Platform, SnpCollateralCondition, SnpPlatform};
use freehold_primitives::{
    DcapPolicy, EvidenceKind, EvidencePolicy, Measurement, PlatformFamily, SnpMeasurement, SnpProduct, SnpSigningKey,
    TcbStatus, TdxPolicy, TrustDomain, UnixSeconds,
};

use crate::{config::EmulatedTee, measure::Launch};

/// An emulated machine.
#[derive(Clone)]
pub(crate) enum Machine {
    /// One with Intel TDX.
    Tdx(Arc<Platform>),
    /// A Genoa with AMD SEV-SNP.
    Snp(Arc<SnpPlatform>),
}

impl Machine {
    /// The machine of a kind; that of AMD takes a while, since its keys are RSA.
    pub(crate) fn new(tee: EmulatedTee) -> Self {
        match tee {
            EmulatedTee::Tdx => Self::Tdx(Arc::new(Platform::new(&DEVELOPMENT_SEED))),
            EmulatedTee::Snp => Self::Snp(Arc::new(SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa))),
        }
    }

    /// The root of its certificates, DER.
    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        match self {
            Self::Tdx(platform) => platform.root_certificate(),
            Self::Snp(platform) => platform.root_certificate(),
        }
    }

    /// Kind of its evidence.
    pub(crate) const fn kind(&self) -> EvidenceKind {
        match self {
            Self::Tdx(_) => EvidenceKind::Tdx,
            Self::Snp(_) => EvidenceKind::Snp,
        }
    }

    /// Family that names its collateral.
    pub(crate) const fn family(&self) -> PlatformFamily {
        match self {
            Self::Tdx(_) => FMSPC,
            Self::Snp(_) => PlatformFamily([SnpProduct::Genoa as u8, SnpSigningKey::Vcek as u8, 0, 0, 0, 0]),
        }
    }

    /// What its vendor says of it.
    pub(crate) fn collateral(&self, now_unix_s: UnixSeconds) -> Vec<u8> {
        match self {
            Self::Tdx(platform) => platform.collateral(now_unix_s),
            Self::Snp(platform) => platform.collateral(now_unix_s, SnpSigningKey::Vcek, SnpCollateralCondition::Good),
        }
    }

    /// What its evidence shows of a launch.
    pub(crate) fn measurement(&self, launch: &Launch) -> Measurement {
        match self {
            Self::Tdx(_) => EmulatedTee::Tdx.measurement(launch),
            Self::Snp(_) => EmulatedTee::Snp.measurement(launch),
        }
    }

    /// What an app accepts that runs by this launch alone: emulated, up to date.
    pub(crate) fn policy(&self, launch: &Launch) -> EvidencePolicy {
        match self {
            Self::Tdx(_) => EvidencePolicy {
                trust_domains: vec![TrustDomain::Emulated],
                tdx: Some(tdx_policy(launch)),
                ..EvidencePolicy::default()
            },
            Self::Snp(_) => development_policy(self.measurement(launch)),
        }
    }

    /// What the emulator serves for a launch.
    pub(crate) fn serves(&self, launch: &Launch) -> EvidenceMachine {
        match self {
            Self::Tdx(platform) => EvidenceMachine::Td(Arc::clone(platform), Box::new(launch.report.clone())),
            Self::Snp(platform) => EvidenceMachine::Snp(Arc::clone(platform), Box::new(launch.snp.clone())),
        }
    }
}

impl EmulatedTee {
    /// What evidence of such a machine shows of a launch.
    pub fn measurement(self, launch: &Launch) -> Measurement {
        match self {
            Self::Tdx => launch.report.measurement().into(),
            Self::Snp => {
                let guest = &launch.snp;
                SnpMeasurement { measurement: guest.measurement, host_data: Some(guest.host_data) }.into()
            }
        }
    }
}

fn tdx_policy(launch: &Launch) -> TdxPolicy {
    let report = &launch.report;
    TdxPolicy {
        platform: DcapPolicy {
            tcb_statuses: vec![TcbStatus::UpToDate],
            tcb_grace_s: 0,
            tcb_evaluation_data_number_min: 0,
            advisories_denied: Vec::new(),
            advisories_allowed: None,
            sgx_types_allowed: Vec::new(),
            dynamic_platform_allowed: false,
            cached_keys_allowed: false,
            smt_allowed: false,
        },
        measurements: vec![report.measurement()],
        forms_allowed: Vec::new(),
        attributes_required: report.td_attributes,
        attributes_allowed: report.td_attributes,
        xfam_required: report.xfam,
        xfam_allowed: report.xfam,
        mr_seam_allowed: Vec::new(),
        mr_signer_seam_allowed: Vec::new(),
        mr_config_id: Some(report.mr_config_id),
        mr_owner: Some(report.mr_owner),
        mr_owner_config: Some(report.mr_owner_config),
        service_tds_allowed: Vec::new(),
    }
}
