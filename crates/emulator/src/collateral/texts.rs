//! The two signed texts of DCAP collateral, as Intel's services write them: TCB info (version 3) and the identity of the
//! quoting enclave (version 2).

use freehold_primitives::UnixSeconds;
use time::format_description::well_known::Rfc3339;

use super::{COLLATERAL_VALID_S, CollateralPlan, Condition, Tee, moment};
use crate::{
    platform::{CPU_SVN, PCE_SVN},
    quote::{QE_ISV_SVN, QE_MR_SIGNER, QuotingEnclave},
    report::TEE_TCB_SVN,
};

/// Date of levels that are up to date.
const NEW: &str = "2025-08-13";
/// Date of levels that are not.
const OLD: &str = "2023-08-09";

fn iso(unix_s: UnixSeconds) -> String {
    moment(unix_s).format(&Rfc3339).expect("block times are within the years that RFC 3339 can write")
}

/// One level by an ISVSVN, of a TDX module or a quoting enclave.
fn level(svn: u16, date: &str, status: &str) -> String {
    format!("{{\"tcb\":{{\"isvsvn\":{svn}}},\"tcbDate\":\"{date}T00:00:00Z\",\"tcbStatus\":\"{status}\"}}")
}

/// Status of the platform's level, and its advisories as a member.
const fn status(condition: Condition) -> (&'static str, &'static str) {
    const PATCH: &str = r#","advisoryIDs":["EMULATED-SA-00001"]"#;
    const HARDENING: &str = r#","advisoryIDs":["EMULATED-SA-00002"]"#;
    match condition {
        Condition::OutOfDate => ("OutOfDate", PATCH),
        Condition::OutOfDateConfigurationNeeded => ("OutOfDateConfigurationNeeded", PATCH),
        Condition::SwHardeningNeeded => ("SWHardeningNeeded", HARDENING),
        Condition::ConfigurationAndSwHardeningNeeded => ("ConfigurationAndSWHardeningNeeded", HARDENING),
        Condition::ConfigurationNeeded => ("ConfigurationNeeded", ""),
        Condition::TcbRevoked => ("Revoked", ""),
        _ => ("UpToDate", ""),
    }
}

pub(super) fn tcb_info(tee: Tee, issued_at: UnixSeconds, plan: &CollateralPlan) -> String {
    let (status, advisories) = status(plan.condition);
    let pce_svn = if plan.condition == Condition::TcbUnknown { PCE_SVN + 1 } else { PCE_SVN };
    let components =
        |svns: &[u8; 16]| svns.iter().map(|svn| format!("{{\"svn\":{svn}}}")).collect::<Vec<_>>().join(",");
    let (id, module, tdx_components) = match tee {
        Tee::Sgx => ("SGX", String::new(), String::new()),
        Tee::Tdx => {
            let mut svns = TEE_TCB_SVN;
            svns[1] = 0; // the major version names a module identity and is no component
            ("TDX", tdx_module(plan.condition), format!(",\"tdxtcbcomponents\":[{}]", components(&svns)))
        }
    };
    format!(
        "{{\"id\":\"{id}\",\"version\":3,\"issueDate\":\"{}\",\"nextUpdate\":\"{}\",\"fmspc\":\"{}\",\
         \"pceId\":\"0000\",\"tcbType\":0,\"tcbEvaluationDataNumber\":{},{module}\
         \"tcbLevels\":[{{\"tcb\":{{\"sgxtcbcomponents\":[{}],\"pcesvn\":{pce_svn}{tdx_components}}},\
         \"tcbDate\":\"{NEW}T00:00:00Z\",\"tcbStatus\":\"{status}\"{advisories}}}]}}",
        iso(issued_at),
        iso(issued_at + COLLATERAL_VALID_S),
        hex::encode_upper(plan.family),
        plan.tcb_evaluation_data_number,
        components(&CPU_SVN),
    )
}

/// Members about the TDX module; a TD launched under the version before it finds its level too.
fn tdx_module(condition: Condition) -> String {
    let digit = if condition == Condition::ModuleForeign { "1" } else { "0" };
    let module = format!(
        "\"mrsigner\":\"{}\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"",
        digit.repeat(96)
    );
    let own = u16::from(TEE_TCB_SVN[0]);
    let levels = match condition {
        Condition::ModuleUnknown => level(own + 1, NEW, "UpToDate"),
        Condition::ModuleOutOfDate => level(own + 1, NEW, "UpToDate") + "," + &level(own, OLD, "OutOfDate"),
        Condition::ModuleRevoked => level(own + 1, NEW, "UpToDate") + "," + &level(own, OLD, "Revoked"),
        _ => level(own, NEW, "UpToDate") + "," + &level(own - 1, OLD, "OutOfDate"),
    };
    format!(
        "\"tdxModule\":{{{module}}},\"tdxModuleIdentities\":[{{\"id\":\"TDX_01\",{module},\"tcbLevels\":[{levels}]}}],"
    )
}

pub(super) fn qe_identity(tee: Tee, issued_at: UnixSeconds, plan: &CollateralPlan) -> String {
    let (id, enclave) = match tee {
        Tee::Sgx => ("QE", QuotingEnclave::Sgx),
        Tee::Tdx => ("TD_QE", QuotingEnclave::Td),
    };
    let mr_signer = if plan.condition == Condition::QuotingEnclaveForeign { [0xe9; 32] } else { QE_MR_SIGNER };
    let newer = level(QE_ISV_SVN + 1, NEW, "UpToDate");
    let levels = match plan.condition {
        Condition::QuotingEnclaveOutOfDate => newer + "," + &level(QE_ISV_SVN, OLD, "OutOfDate"),
        Condition::QuotingEnclaveRevoked => newer + "," + &level(QE_ISV_SVN, OLD, "Revoked"),
        Condition::QuotingEnclaveUnknown => newer,
        _ => level(QE_ISV_SVN, NEW, "UpToDate"),
    };
    format!(
        "{{\"id\":\"{id}\",\"version\":2,\"issueDate\":\"{}\",\"nextUpdate\":\"{}\",\"tcbEvaluationDataNumber\":{},\
         \"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\",\
         \"attributes\":\"11000000000000000000000000000000\",\
         \"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\
         \"mrsigner\":\"{}\",\"isvprodid\":{},\"tcbLevels\":[{levels}]}}",
        iso(issued_at),
        iso(issued_at + COLLATERAL_VALID_S),
        plan.tcb_evaluation_data_number,
        hex::encode_upper(mr_signer),
        enclave.product(),
    )
}
