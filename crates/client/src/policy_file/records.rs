//! Which names each part of a policy has in TOML: those of its fields; and the words of its enumerations.

use freehold_primitives::{
    DcapPolicy, EvidencePolicy, GpuArchitecture, GpuMeasurement, GpuMode, GpuReference, NitroMeasurement, NitroPolicy,
    NvidiaPolicy, SgxPolicy, SgxRelease, SnpMeasurement, SnpPolicy, SnpProduct, SnpProductPolicy, SnpSigningKey,
    SnpTcb, TcbStatus, TdxForm, TdxMeasurement, TdxPolicy, TrustDomain,
};
use toml::{Table, Value};

use super::{
    PolicyFileError,
    fields::{Field, Section, below, wrong},
};

/// A table over defaults.
macro_rules! section {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl Section for $type {
            fn overlay(&mut self, value: &Value, at: &str) -> Result<(), PolicyFileError> {
                let Value::Table(table) = value else { return wrong(at, "a table") };
                for (name, value) in table {
                    let at = below(at, name);
                    match name.as_str() {
                        $(stringify!($field) => Field::overlay(&mut self.$field, value, &at)?,)*
                        _ => return Err(PolicyFileError::Unknown(at)),
                    }
                }
                Ok(())
            }
            fn table(&self) -> Table {
                [$((stringify!($field).to_owned(), self.$field.write())),*].into_iter().collect()
            }
        }
    };
}

/// A table that stands for itself: names with one meaning when they are not given may be left out.
macro_rules! record {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl Field for $type {
            fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
                let Value::Table(table) = value else { return wrong(at, "a table") };
                if let Some(name) = table.keys().find(|name| ![$(stringify!($field)),*].contains(&name.as_str())) {
                    return Err(PolicyFileError::Unknown(below(at, name)));
                }
                Ok(Self {
                    $($field: match table.get(stringify!($field)) {
                        Some(value) => Field::read(value, &below(at, stringify!($field)))?,
                        None => {
                            let missing = || PolicyFileError::Missing(below(at, stringify!($field)));
                            Field::absent().ok_or_else(missing)?
                        }
                    },)*
                })
            }
            fn write(&self) -> Value {
                Value::Table([$((stringify!($field).to_owned(), self.$field.write())),*].into_iter().collect())
            }
        }
    };
}

macro_rules! words {
    ($type:ident: $expected:literal { $($name:ident = $word:literal),* $(,)? }) => {
        impl Field for $type {
            fn read(value: &Value, at: &str) -> Result<Self, PolicyFileError> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$name),)*
                    _ => wrong(at, $expected),
                }
            }
            fn write(&self) -> Value {
                Value::String(match self { $(Self::$name => $word),* }.to_owned())
            }
        }
    };
}

section!(EvidencePolicy { trust_domains, families_allowed, families_denied, platforms_allowed, platforms_denied });
section!(TdxPolicy {
    platform,
    measurements,
    forms_allowed,
    attributes_required,
    attributes_allowed,
    xfam_required,
    xfam_allowed,
    mr_seam_allowed,
    mr_signer_seam_allowed,
    mr_config_id,
    mr_owner,
    mr_owner_config,
    service_tds_allowed,
});
section!(SgxPolicy {
    platform,
    releases,
    attributes_required,
    attributes_allowed,
    xfrm_required,
    xfrm_allowed,
    misc_select_allowed,
    config_id,
    config_svn_min,
    isv_ext_prod_id,
    isv_family_id,
});
section!(DcapPolicy {
    tcb_statuses,
    tcb_grace_s,
    tcb_evaluation_data_number_min,
    advisories_denied,
    advisories_allowed,
    sgx_types_allowed,
    dynamic_platform_allowed,
    cached_keys_allowed,
    smt_allowed,
});
section!(SnpPolicy {
    measurements,
    products,
    signing_keys,
    report_version_min,
    vmpl_max,
    guest_abi_min,
    guest_policy_mask,
    guest_policy,
    platform_info_mask,
    platform_info,
    mitigations,
    guest_svn_min,
    family_ids,
    image_ids,
    id_key_digests,
    author_key_digests,
    revocation_required,
});
section!(NitroPolicy { measurements, age_s_max, revocation_required });
section!(NvidiaPolicy {
    gpus_min,
    architectures,
    modes,
    driver_versions,
    vbios_versions,
    driver_references,
    firmware_references,
    revocation_age_s_max,
    platforms_denied,
});

/// The platform's part of a section, laid over its defaults as well.
impl Field for DcapPolicy {
    fn read(_: &Value, at: &str) -> Result<Self, PolicyFileError> {
        wrong(at, "a table over defaults")
    }
    fn write(&self) -> Value {
        Value::Table(self.table())
    }
    fn overlay(&mut self, value: &Value, at: &str) -> Result<(), PolicyFileError> {
        Section::overlay(self, value, at)
    }
}

record!(TdxMeasurement { mrtd, rtmr0, rtmr1, rtmr2, rtmr3 });
record!(SgxRelease { mr_enclave, mr_signer, isv_prod_id, isv_svn_min });
record!(SnpMeasurement { measurement, host_data });
record!(NitroMeasurement { pcr0, pcr1, pcr2, pcr3, pcr4, pcr8 });
record!(SnpProductPolicy { product, tcb_min });
record!(SnpTcb { fmc, bootloader, tee, snp, microcode });
record!(GpuReference { model, version, measurements });
record!(GpuMeasurement { index, values });

words!(TrustDomain: "emulated, intel, amd, aws or nvidia" {
    Emulated = "emulated", Intel = "intel", Amd = "amd", Aws = "aws", Nvidia = "nvidia",
});
words!(TcbStatus: "a TCB status in Intel's words" {
    UpToDate = "UpToDate", SwHardeningNeeded = "SWHardeningNeeded", ConfigurationNeeded = "ConfigurationNeeded",
    ConfigurationAndSwHardeningNeeded = "ConfigurationAndSWHardeningNeeded", OutOfDate = "OutOfDate",
    OutOfDateConfigurationNeeded = "OutOfDateConfigurationNeeded", Revoked = "Revoked",
    TdRelaunchAdvised = "TDRelaunchAdvised",
    TdRelaunchAdvisedConfigurationNeeded = "TDRelaunchAdvisedConfigurationNeeded",
});
words!(TdxForm: "v4-td1.0, v5-td1.0, v5-td1.5 or v5-td1.5ex" {
    V4Td10 = "v4-td1.0", V5Td10 = "v5-td1.0", V5Td15 = "v5-td1.5", V5Td15Ex = "v5-td1.5ex",
});
words!(SnpProduct: "milan, genoa or turin" { Milan = "milan", Genoa = "genoa", Turin = "turin" });
words!(SnpSigningKey: "vcek or vlek" { Vcek = "vcek", Vlek = "vlek" });
words!(GpuArchitecture: "hopper or blackwell" { Hopper = "hopper", Blackwell = "blackwell" });
words!(GpuMode: "single-passthrough, multi-passthrough or protected-pcie" {
    SinglePassthrough = "single-passthrough", MultiPassthrough = "multi-passthrough", ProtectedPcie = "protected-pcie",
});
