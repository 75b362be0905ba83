//! What an app accepts as evidence (`spec/policy.md`). Judged by `freehold-attestation`, stored by `freehold-ledger`.
//!
//! One part holds for every kind of TEE, and each kind has a section of its own; a kind without a section is not
//! accepted. No list is longer than [`POLICY_LIST_MAX`].

mod intel;
mod nitro;
mod nvidia;
mod snp;

pub use self::{
    intel::{DcapPolicy, SgxPolicy, SgxRelease, TcbStatus, TdxForm, TdxPolicy},
    nitro::NitroPolicy,
    nvidia::{
        GPU_MEASUREMENTS, GPU_VERSION_BYTES_MAX, GpuArchitecture, GpuMeasurement, GpuMode, GpuReference, NvidiaPolicy,
    },
    snp::{SnpPolicy, SnpProduct, SnpProductPolicy, SnpSigningKey, SnpTcb},
};
use crate::{
    evidence::EvidenceKind,
    ids::{Digest, PlatformFamily, UnixSeconds},
    measurement::Measurement,
    payload::TrustDomain,
};

/// Longest list in a policy.
pub const POLICY_LIST_MAX: usize = 64;

canonical_struct! {
    /// What evidence must show.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct EvidencePolicy {
        /// Accepted trust domains.
        pub trust_domains: Vec<TrustDomain>,
        /// Accepted platform families; empty accepts any.
        pub families_allowed: Vec<PlatformFamily>,
        /// Denied platform families.
        pub families_denied: Vec<PlatformFamily>,
        /// Accepted platforms, as the claims name them; empty accepts any.
        pub platforms_allowed: Vec<Digest>,
        /// Denied platforms.
        pub platforms_denied: Vec<Digest>,
        /// Intel TDX; `None` accepts no TD.
        pub tdx: Option<TdxPolicy>,
        /// Intel SGX; `None` accepts no enclave.
        pub sgx: Option<SgxPolicy>,
        /// AMD SEV-SNP; `None` accepts no guest.
        pub snp: Option<SnpPolicy>,
        /// AWS Nitro; `None` accepts no enclave.
        pub nitro: Option<NitroPolicy>,
        /// NVIDIA GPUs beside the CPU TEE; `None` accepts evidence without GPUs only.
        pub nvidia: Option<NvidiaPolicy>,
    }
}

impl EvidencePolicy {
    /// What is asked of Intel platforms, under TDs and under enclaves.
    pub fn dcap_mut(&mut self) -> impl Iterator<Item = &mut DcapPolicy> {
        let tdx = self.tdx.as_mut().map(|tdx| &mut tdx.platform);
        tdx.into_iter().chain(self.sgx.as_mut().map(|sgx| &mut sgx.platform))
    }

    /// Whether it lists a measurement of this kind, or accepts the kind not at all.
    pub fn lists_measurements(&self, kind: EvidenceKind) -> bool {
        match kind {
            EvidenceKind::Tdx => self.tdx.as_ref().is_none_or(|tdx| !tdx.measurements.is_empty()),
            EvidenceKind::Sgx => self.sgx.as_ref().is_none_or(|sgx| !sgx.releases.is_empty()),
            EvidenceKind::Snp => self.snp.as_ref().is_none_or(|snp| !snp.measurements.is_empty()),
            EvidenceKind::Nitro => self.nitro.as_ref().is_none_or(|nitro| !nitro.measurements.is_empty()),
            EvidenceKind::Nvidia | EvidenceKind::Bundle => true,
        }
    }

    /// The same policy for this very measurement and no other of its kind.
    #[must_use]
    pub fn accepting(mut self, shown: &Measurement) -> Self {
        match (shown, &mut self) {
            (Measurement::Tdx(shown), Self { tdx: Some(tdx), .. }) => tdx.measurements = vec![shown.clone()],
            (Measurement::Sgx(shown), Self { sgx: Some(sgx), .. }) => {
                sgx.releases = vec![SgxRelease {
                    mr_enclave: Some(shown.mr_enclave),
                    mr_signer: None,
                    isv_prod_id: None,
                    isv_svn_min: 0,
                }];
            }
            (Measurement::Snp(shown), Self { snp: Some(snp), .. }) => snp.measurements = vec![shown.clone()],
            (Measurement::Nitro(shown), Self { nitro: Some(nitro), .. }) => nitro.measurements = vec![shown.clone()],
            _ => {}
        }
        self
    }

    /// Whether it accepts nothing that the other one does not: the same but for measurements and kinds that are gone.
    pub fn only_drops_from(&self, other: &Self) -> bool {
        let mut kept = other.clone();
        let of_the_others = dropped(&self.tdx, &mut kept.tdx, |tdx| &mut tdx.measurements)
            && dropped(&self.sgx, &mut kept.sgx, |sgx| &mut sgx.releases)
            && dropped(&self.snp, &mut kept.snp, |snp| &mut snp.measurements)
            && dropped(&self.nitro, &mut kept.nitro, |nitro| &mut nitro.measurements);
        of_the_others && *self == kept
    }

    /// Whether every list is within [`POLICY_LIST_MAX`].
    pub fn is_bounded(&self) -> bool {
        let common = [
            self.trust_domains.len(),
            self.families_allowed.len(),
            self.families_denied.len(),
            self.platforms_allowed.len(),
            self.platforms_denied.len(),
        ];
        common.into_iter().all(|length| length <= POLICY_LIST_MAX)
            && self.tdx.as_ref().is_none_or(TdxPolicy::is_bounded)
            && self.sgx.as_ref().is_none_or(SgxPolicy::is_bounded)
            && self.snp.as_ref().is_none_or(SnpPolicy::is_bounded)
            && self.nitro.as_ref().is_none_or(NitroPolicy::is_bounded)
            && self.nvidia.as_ref().is_none_or(NvidiaPolicy::is_bounded)
    }
}

/// Drops from a kind's section what another one's list lacks, and the section where it has none; whether nothing stands in
/// that list which was not there.
fn dropped<K: Clone, T: Clone + PartialEq>(
    next: &Option<K>,
    kept: &mut Option<K>,
    list: fn(&mut K) -> &mut Vec<T>,
) -> bool {
    let Some(next) = next else {
        *kept = None;
        return true;
    };
    let Some(kept) = kept else { return false };
    let wanted = list(&mut next.clone()).clone();
    let is_part = wanted.iter().all(|item| list(kept).contains(item));
    *list(kept) = wanted;
    is_part
}

canonical_struct! {
    /// Which model a release runs, by the word of the app's owner. Whoever has the files can compute the measurement again.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ReleaseModel {
        /// Digest of the release's whole measurement (`spec/policy.md` §5).
        pub measurement: Digest,
        /// SHA-256 of the model's weights.
        pub model: Digest,
    }
}

canonical_struct! {
    /// What an app accepts and grants.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct AppPolicy {
        /// What an instance's evidence must show.
        pub evidence: EvidencePolicy,
        /// Longest lease, in seconds.
        pub lease_s_max: UnixSeconds,
        /// Key contexts granted to every registered instance at boot, such as `root`.
        pub boot_contexts: Vec<String>,
        /// Most live instances on one platform; 0 sets no limit.
        pub instances_per_platform_max: u32,
        /// Models of the releases; at most [`POLICY_LIST_MAX`].
        pub models: Vec<ReleaseModel>,
    }
}

impl AppPolicy {
    /// Whether it admits nothing that the other one does not, and grants the same: the same but for measurements, kinds of
    /// evidence and models that are gone.
    pub fn only_drops_from(&self, other: &Self) -> bool {
        let kept = Self { evidence: self.evidence.clone(), models: self.models.clone(), ..other.clone() };
        *self == kept
            && self.evidence.only_drops_from(&other.evidence)
            && self.models.iter().all(|model| other.models.contains(model))
    }
}
