//! The machine that the guest runs on: who vouches for it, what it shows of a launch, and what an app then accepts. Of an
//! emulated one its root and collateral too; those of hardware are its vendor's alone.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use freehold_attestation::{default_policy, development_policy, snp::snp_default_policy};
use freehold_emulator::{
    DEVELOPMENT_SEED, EvidenceMachine, FMSPC, Platform, SnpCollateralCondition, SnpPlatform, TdReport,
};
use freehold_primitives::{
    DcapPolicy, EvidenceKind, EvidencePolicy, Measurement, PlatformFamily, Register, SnpMeasurement, SnpProduct,
    SnpSigningKey, TcbStatus, TdxPolicy, TrustDomain, TrustRoot, UnixSeconds,
};

use crate::{
    config::{EmulatedTee, HardwareTee},
    error::HostError,
    measure::{EmulatedShown, Launch, Shown},
};

/// `SEPT_VE_DISABLE` of a TD's attributes: without it the host may make memory vanish under the guest.
const TD_SEPT_VE_DISABLE: u64 = 1 << 28;
/// `PKS`, which KVM turns on where the processor has it: supervisor protection keys, of the guest's own use.
const TD_PKS: u64 = 1 << 30;

/// A machine.
#[derive(Clone)]
pub(crate) enum Machine {
    /// An emulated one.
    Emulated(Emulated),
    /// One with a TEE of hardware, which speaks for itself.
    Hardware(HardwareTee),
}

/// An emulated machine.
#[derive(Clone)]
pub(crate) enum Emulated {
    /// One with Intel TDX.
    Tdx(Arc<Platform>),
    /// A Genoa with AMD SEV-SNP.
    Snp(Arc<SnpPlatform>),
}

impl Machine {
    /// The machine that a launch shows; where it is emulated, of a kind.
    pub(crate) fn of(launch: &Launch, tee: EmulatedTee) -> Self {
        match &launch.shown {
            Shown::Emulated(_) => Self::Emulated(Emulated::new(tee)),
            Shown::Hardware(hardware, _) => Self::Hardware(*hardware),
        }
    }

    /// The emulated one.
    pub(crate) const fn emulated(&self) -> Option<&Emulated> {
        match self {
            Self::Emulated(machine) => Some(machine),
            Self::Hardware(_) => None,
        }
    }

    /// Who vouches for it.
    pub(crate) const fn domain(&self) -> TrustDomain {
        match self {
            Self::Emulated(_) => TrustDomain::Emulated,
            Self::Hardware(tee) => tee.domain(),
        }
    }

    /// Whether a launch's event log is what a runtime register holds: only a TD has one that an app extends.
    pub(crate) const fn has_runtime_register(&self) -> bool {
        matches!(self, Self::Emulated(Emulated::Tdx(_)) | Self::Hardware(HardwareTee::Tdx))
    }

    /// What its evidence shows of a launch.
    pub(crate) fn measurement(&self, launch: &Launch) -> Measurement {
        let tee = if matches!(self, Self::Emulated(Emulated::Snp(_))) { EmulatedTee::Snp } else { EmulatedTee::Tdx };
        tee.measurement(launch)
    }

    /// What an app accepts that runs by this launch alone.
    pub(crate) fn policy(&self, launch: &Launch) -> EvidencePolicy {
        match self {
            Self::Emulated(machine) => machine.policy(launch),
            Self::Hardware(tee) => hardware_policy(*tee, self.measurement(launch)),
        }
    }

    /// Whether a genesis admits its evidence.
    ///
    /// # Errors
    /// [`HostError::NoEmulatedRoot`], [`HostError::NoVendorRoot`].
    pub(crate) fn check_roots(&self, roots: &[TrustRoot]) -> Result<(), HostError> {
        let mut roots = roots.iter().filter(|root| root.domain == self.domain());
        let (is_admitted, refusal) = match self {
            Self::Emulated(machine) => {
                let own = machine.root_certificate();
                (roots.any(|root| root.certificate.0 == own), HostError::NoEmulatedRoot)
            }
            Self::Hardware(tee) => (roots.next().is_some(), HostError::NoVendorRoot(tee.domain())),
        };
        if is_admitted { Ok(()) } else { Err(refusal) }
    }
}

impl Emulated {
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

    /// What an app accepts that runs by this launch alone: emulated, up to date.
    fn policy(&self, launch: &Launch) -> EvidencePolicy {
        match (self, launch.emulated()) {
            (Self::Tdx(_), Some(shown)) => EvidencePolicy {
                trust_domains: vec![TrustDomain::Emulated],
                tdx: Some(tdx_policy(&shown.report)),
                ..EvidencePolicy::default()
            },
            (Self::Snp(_), _) => development_policy(EmulatedTee::Snp.measurement(launch)),
            // Of hardware: nothing of it is for an emulated machine to show.
            (Self::Tdx(_), None) => EvidencePolicy::default(),
        }
    }

    /// What the emulator serves for a launch.
    pub(crate) fn serves(&self, shown: &EmulatedShown) -> EvidenceMachine {
        match self {
            Self::Tdx(platform) => EvidenceMachine::Td(Arc::clone(platform), Box::new(shown.report.clone())),
            Self::Snp(platform) => EvidenceMachine::Snp(Arc::clone(platform), Box::new(shown.snp.clone())),
        }
    }
}

impl EmulatedTee {
    /// What evidence of such a machine shows of a launch; of a launch on hardware what that shows, whatever the emulator plays.
    pub fn measurement(self, launch: &Launch) -> Measurement {
        match (&launch.shown, self) {
            (Shown::Hardware(_, measurement), _) => (**measurement).clone(),
            (Shown::Emulated(shown), Self::Tdx) => shown.report.measurement().into(),
            (Shown::Emulated(shown), Self::Snp) => {
                let guest = &shown.snp;
                SnpMeasurement { measurement: guest.measurement, host_data: Some(guest.host_data) }.into()
            }
        }
    }
}

/// What an app accepts of hardware that shows this: vouched for by its vendor and nobody else, not debuggable, nothing that the
/// host may add (attributes, configuration ids), and patches as the policy of tools asks for them (`default_policy`).
pub(crate) fn hardware_policy(tee: HardwareTee, shown: Measurement) -> EvidencePolicy {
    let mut policy = EvidencePolicy { trust_domains: vec![tee.domain()], ..EvidencePolicy::default() };
    match shown {
        Measurement::Tdx(registers) => {
            policy.tdx = default_policy().tdx.map(|tdx| TdxPolicy {
                measurements: vec![registers],
                attributes_required: TD_SEPT_VE_DISABLE,
                attributes_allowed: TD_SEPT_VE_DISABLE | TD_PKS,
                mr_config_id: Some(Register::ZERO),
                mr_owner: Some(Register::ZERO),
                mr_owner_config: Some(Register::ZERO),
                ..tdx
            });
        }
        Measurement::Snp(guest) => policy.snp = Some(snp_default_policy(vec![guest])),
        // No launcher of this program makes these: a policy without them accepts nothing.
        Measurement::Sgx(_) | Measurement::Nitro(_) => {}
    }
    policy
}

fn tdx_policy(report: &TdReport) -> TdxPolicy {
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
