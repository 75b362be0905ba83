//! Every kind and status, and what `attest verify` says of it under the default policy.

use freehold_attestation::Refusal;
use freehold_emulator::{
    Condition, GpuCondition, GpuRevocation, NitroCollateralCondition, NitroCondition, SnpCollateralCondition,
    SnpCondition,
};
use freehold_primitives::{GpuArchitecture, SnpProduct, SnpSigningKey};

/// What is wrong with an Intel machine's TD or enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// DEBUG is set.
    Debug,
    /// A TD that may be migrated.
    Migratable,
    /// A TD with a service TD bound to it.
    ServiceTd,
    /// A TD launched before the running module was updated.
    Relaunch,
    /// The collateral has expired.
    Expired,
    /// No collateral.
    CollateralMissing,
    /// A byte behind the end of the quote.
    Trailing,
    /// A byte of the signed part is changed.
    Forged,
}

/// How a case is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Intel(Condition, Fault),
    Snp(SnpProduct, SnpSigningKey, SnpCondition, SnpCollateralCondition),
    Nitro(NitroCondition, Option<NitroCollateralCondition>),
    Gpu(GpuArchitecture, GpuCondition, GpuRevocation),
}

/// One kind and status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) plan: Plan,
    /// The refusal under the default policy; `None` where it is accepted.
    pub(crate) expected: Option<Refusal>,
}

/// Conditions of a platform, for TDX and SGX alike.
const PLATFORM: &[(&str, Condition, Option<Refusal>)] = &[
    ("up-to-date", Condition::UpToDate, None),
    ("sw-hardening-needed", Condition::SwHardeningNeeded, None),
    ("configuration-needed", Condition::ConfigurationNeeded, Some(Refusal::PolicyTcbStatus)),
    (
        "configuration-and-sw-hardening-needed",
        Condition::ConfigurationAndSwHardeningNeeded,
        Some(Refusal::PolicyTcbStatus),
    ),
    ("out-of-date", Condition::OutOfDate, Some(Refusal::PolicyTcbStatus)),
    ("out-of-date-configuration-needed", Condition::OutOfDateConfigurationNeeded, Some(Refusal::PolicyTcbStatus)),
    ("revoked", Condition::TcbRevoked, Some(Refusal::TcbRevoked)),
    ("tcb-unknown", Condition::TcbUnknown, Some(Refusal::TcbUnknown)),
    ("pck-revoked", Condition::PckRevoked, Some(Refusal::CertificateRevoked)),
    ("ca-revoked", Condition::CaRevoked, Some(Refusal::CertificateRevoked)),
    ("signer-revoked", Condition::SignerRevoked, Some(Refusal::CertificateRevoked)),
    ("qe-foreign", Condition::QuotingEnclaveForeign, Some(Refusal::QuotingEnclave)),
    ("qe-unknown", Condition::QuotingEnclaveUnknown, Some(Refusal::QuotingEnclave)),
    ("qe-out-of-date", Condition::QuotingEnclaveOutOfDate, Some(Refusal::PolicyTcbStatus)),
    ("qe-revoked", Condition::QuotingEnclaveRevoked, Some(Refusal::TcbRevoked)),
    ("lists-expired", Condition::ListsExpired, Some(Refusal::RevocationListExpired)),
];
/// Conditions of a TDX module.
const MODULE: &[(&str, Condition, Option<Refusal>)] = &[
    ("module-out-of-date", Condition::ModuleOutOfDate, Some(Refusal::PolicyTcbStatus)),
    ("module-unknown", Condition::ModuleUnknown, Some(Refusal::TdxModule)),
    ("module-revoked", Condition::ModuleRevoked, Some(Refusal::TcbRevoked)),
    ("module-foreign", Condition::ModuleForeign, Some(Refusal::TdxModule)),
];
const FAULTS: &[(&str, Fault, Option<Refusal>)] = &[
    ("debug", Fault::Debug, Some(Refusal::PolicyDebug)),
    ("collateral-expired", Fault::Expired, Some(Refusal::RevocationListExpired)),
    ("collateral-missing", Fault::CollateralMissing, Some(Refusal::CollateralMissing)),
    ("trailing", Fault::Trailing, Some(Refusal::EvidenceTrailing)),
    ("forged", Fault::Forged, Some(Refusal::QuoteSignature)),
];
const SNP: &[(&str, SnpCondition, Option<Refusal>)] = &[
    ("good", SnpCondition::Good, None),
    ("debug", SnpCondition::Debug, Some(Refusal::PolicyDebug)),
    ("migratable", SnpCondition::Migratable, Some(Refusal::SnpPolicyGuestPolicy)),
    ("vmpl", SnpCondition::LowerPrivilege, Some(Refusal::SnpPolicyVmpl)),
    ("tcb-old", SnpCondition::TcbOld, Some(Refusal::SnpPolicyTcb)),
    ("launch-tcb-old", SnpCondition::LaunchTcbOld, Some(Refusal::SnpPolicyLaunchTcb)),
    ("tcb-out-of-order", SnpCondition::TcbOutOfOrder, Some(Refusal::SnpPolicyTcbOrder)),
    ("alias-unchecked", SnpCondition::AliasUnchecked, Some(Refusal::SnpPolicyPlatformInfo)),
    ("chip-foreign", SnpCondition::ChipForeign, Some(Refusal::SnpChipMismatch)),
    ("tcb-foreign", SnpCondition::TcbForeign, Some(Refusal::SnpTcbMismatch)),
    ("cpu-foreign", SnpCondition::CpuForeign, Some(Refusal::SnpProductMismatch)),
    ("endorsement-expired", SnpCondition::EndorsementExpired, Some(Refusal::CertificateExpired)),
    ("unsigned", SnpCondition::Unsigned, Some(Refusal::SnpUnsigned)),
];
const SNP_COLLATERAL: &[(&str, SnpCollateralCondition, Option<Refusal>)] = &[
    ("intermediate-revoked", SnpCollateralCondition::IntermediateRevoked, Some(Refusal::CertificateRevoked)),
    ("list-expired", SnpCollateralCondition::ListExpired, Some(Refusal::RevocationListExpired)),
    ("list-missing", SnpCollateralCondition::ListMissing, None),
];
const NITRO: &[(&str, NitroCondition, Option<Refusal>)] = &[
    ("good", NitroCondition::Good, None),
    ("debug", NitroCondition::Debug, Some(Refusal::PolicyDebug)),
    ("leaf-expired", NitroCondition::LeafExpired, Some(Refusal::CertificateExpired)),
    ("module-foreign", NitroCondition::ModuleForeign, Some(Refusal::NitroModule)),
    ("timestamp-ahead", NitroCondition::TimestampAhead, Some(Refusal::NitroTimestamp)),
    ("user-data-short", NitroCondition::UserDataShort, Some(Refusal::NitroReportData)),
    ("issuer-foreign", NitroCondition::IssuerForeign, Some(Refusal::CertificateChain)),
];
const NITRO_COLLATERAL: &[(&str, NitroCollateralCondition, Option<Refusal>)] = &[
    ("regional-revoked", NitroCollateralCondition::RegionalRevoked, Some(Refusal::CertificateRevoked)),
    ("lists-expired", NitroCollateralCondition::ListsExpired, Some(Refusal::RevocationListExpired)),
    ("lists-missing", NitroCollateralCondition::ListsMissing, None),
];
const GPU: &[(&str, GpuArchitecture, GpuCondition, Option<Refusal>)] = &[
    ("good", GpuArchitecture::Hopper, GpuCondition::Sound, None),
    ("blackwell", GpuArchitecture::Blackwell, GpuCondition::Sound, None),
    ("debug", GpuArchitecture::Blackwell, GpuCondition::Debug, Some(Refusal::PolicyDebug)),
    (
        "firmware-foreign",
        GpuArchitecture::Hopper,
        GpuCondition::FirmwareIdentityForeign,
        Some(Refusal::GpuFirmwareIdentity),
    ),
    ("model-foreign", GpuArchitecture::Hopper, GpuCondition::ModelForeign, Some(Refusal::GpuModel)),
    ("chip-foreign", GpuArchitecture::Blackwell, GpuCondition::ChipForeign, Some(Refusal::GpuModel)),
    ("nonce-foreign", GpuArchitecture::Hopper, GpuCondition::NonceForeign, Some(Refusal::GpuNonce)),
    ("forged", GpuArchitecture::Hopper, GpuCondition::SignatureForeign, Some(Refusal::GpuReportSignature)),
];
const GPU_COLLATERAL: &[(&str, GpuRevocation, Option<Refusal>)] = &[
    ("device-revoked", GpuRevocation::Device, Some(Refusal::CertificateRevoked)),
    ("provisioner-revoked", GpuRevocation::Provisioner, Some(Refusal::CertificateRevoked)),
    ("model-revoked", GpuRevocation::Model, Some(Refusal::CertificateRevoked)),
    ("lists-missing", GpuRevocation::NoLists, None),
];

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in ["tdx-v4", "tdx-v5", "sgx"] {
        intel(&mut all, kind);
    }
    let mut add = |kind, status, plan, expected| all.push(Case { kind, status, plan, expected });
    let (genoa, vcek) = (SnpProduct::Genoa, SnpSigningKey::Vcek);
    for (status, condition, expected) in SNP {
        add("snp", status, Plan::Snp(genoa, vcek, *condition, SnpCollateralCondition::Good), *expected);
    }
    for (status, condition, expected) in SNP_COLLATERAL {
        add("snp", status, Plan::Snp(genoa, vcek, SnpCondition::Good, *condition), *expected);
    }
    for (status, product, key, expected) in [
        ("milan", SnpProduct::Milan, vcek, Some(Refusal::SnpPolicyProduct)),
        ("turin", SnpProduct::Turin, vcek, None),
        ("vlek", genoa, SnpSigningKey::Vlek, None),
    ] {
        add("snp", status, Plan::Snp(product, key, SnpCondition::Good, SnpCollateralCondition::Good), expected);
    }
    for (status, condition, expected) in NITRO {
        add("nitro", status, Plan::Nitro(*condition, None), *expected);
    }
    for (status, condition, expected) in NITRO_COLLATERAL {
        add("nitro", status, Plan::Nitro(NitroCondition::Good, Some(*condition)), *expected);
    }
    for (status, architecture, condition, expected) in GPU {
        add("nvidia", status, Plan::Gpu(*architecture, *condition, GpuRevocation::None), *expected);
    }
    for (status, revocation, expected) in GPU_COLLATERAL {
        let plan = Plan::Gpu(GpuArchitecture::Hopper, GpuCondition::Sound, *revocation);
        add("nvidia", status, plan, *expected);
    }
    all
}

fn intel(all: &mut Vec<Case>, kind: &'static str) {
    let mut add = |status, condition, fault, expected| {
        all.push(Case { kind, status, plan: Plan::Intel(condition, fault), expected });
    };
    let is_td = kind != "sgx";
    for (status, condition, expected) in PLATFORM.iter().chain(if is_td { MODULE } else { &[] }) {
        add(status, *condition, Fault::None, *expected);
    }
    for (status, fault, expected) in FAULTS {
        add(status, Condition::UpToDate, *fault, *expected);
    }
    if is_td {
        add("migratable", Condition::UpToDate, Fault::Migratable, Some(Refusal::PolicyTdAttributes));
    }
    if kind == "tdx-v5" {
        add("service-td", Condition::UpToDate, Fault::ServiceTd, Some(Refusal::PolicyServiceTd));
        add("relaunch-advised", Condition::UpToDate, Fault::Relaunch, Some(Refusal::PolicyTcbStatus));
    }
}
