//! Collateral for emulated machines: TCB info v3, TD_QE identity v2 and both revocation lists, in every condition.

use freehold_primitives::{Blob, Canonical as _, UnixSeconds, VERSION};
use rcgen::{
    Certificate, CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    keys::Key,
    platform::{CPU_SVN, FMSPC, PCE_SVN, Platform, SIGNER_SERIAL, unix},
    quote::{QE_ISV_PROD_ID, QE_ISV_SVN, QE_MR_SIGNER, TEE_TCB_SVN},
};

/// Seconds from issue to the next update, as Intel's: 30 days.
pub const COLLATERAL_VALID_S: u64 = 30 * DAY_S;

pub(crate) const DAY_S: u64 = 86_400;
/// How far the issue date keeps behind the caller's clock.
pub(crate) const SLACK_S: u64 = 3_600;

/// What the collateral says about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Condition {
    /// Nothing to complain about.
    #[default]
    UpToDate,
    /// Software hardening needed, with an advisory.
    SwHardeningNeeded,
    /// A configuration is needed.
    ConfigurationNeeded,
    /// The platform misses a patch, with an advisory.
    OutOfDate,
    /// The platform's TCB is revoked.
    TcbRevoked,
    /// The platform is older than every TCB level.
    TcbUnknown,
    /// The first machine's PCK certificate stands in the revocation list.
    PckRevoked,
    /// Another quoting enclave is named.
    QuotingEnclaveForeign,
    /// A newer quoting enclave is wanted.
    QuotingEnclaveOutOfDate,
    /// A newer TDX module is wanted.
    ModuleOutOfDate,
    /// The TDX module is older than every level.
    ModuleUnknown,
    /// The TCB signer's certificate stands in the root's revocation list.
    SignerRevoked,
}

/// How to make collateral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollateralPlan {
    /// What it says about the machine.
    pub condition: Condition,
    /// TCB evaluation data number.
    pub tcb_evaluation_data_number: u32,
    /// Platform family that it is for.
    pub fmspc: [u8; 6],
}

impl Default for CollateralPlan {
    fn default() -> Self {
        Self { condition: Condition::UpToDate, tcb_evaluation_data_number: 20, fmspc: FMSPC }
    }
}

/// The canonical document: version byte, then nine fields in the order of `spec/collateral.md` §1.
pub(crate) fn document(platform: &Platform, now_unix_s: UnixSeconds, plan: &CollateralPlan) -> Vec<u8> {
    let authority = &platform.authority;
    let issued_at = now_unix_s.saturating_sub(SLACK_S) / DAY_S * DAY_S;
    let tcb_info = tcb_info(issued_at, plan);
    let qe_identity = qe_identity(issued_at, plan);
    let pem = |certificate: &Certificate| unix(&certificate.pem());
    let signer_chain = pem(&authority.signer) + &pem(&authority.root);
    let ca_chain = pem(&authority.ca) + &pem(&authority.root);
    let revoked = |wanted: Condition, serial: Vec<u8>| (plan.condition == wanted).then_some(serial);
    let root_crl = revocation_list(
        (&authority.root, &authority.root_key),
        issued_at,
        revoked(Condition::SignerRevoked, SIGNER_SERIAL.to_vec()),
    );
    let pck_crl = revocation_list(
        (&authority.ca, &authority.ca_key),
        issued_at,
        revoked(Condition::PckRevoked, platform.pck_serial.to_vec()),
    );

    let mut out = vec![VERSION];
    ca_chain.write(&mut out);
    Blob(root_crl).write(&mut out);
    Blob(pck_crl).write(&mut out);
    signer_chain.write(&mut out);
    tcb_info.write(&mut out);
    authority.signer_key.sign(tcb_info.as_bytes()).write(&mut out);
    signer_chain.write(&mut out);
    qe_identity.write(&mut out);
    authority.signer_key.sign(qe_identity.as_bytes()).write(&mut out);
    out
}

pub(crate) fn moment(unix_s: UnixSeconds) -> OffsetDateTime {
    let unix_s = i64::try_from(unix_s).expect("block times are far below 2^63");
    OffsetDateTime::from_unix_timestamp(unix_s).expect("block times are within the years that RFC 3339 can write")
}

fn iso(unix_s: UnixSeconds) -> String {
    moment(unix_s).format(&Rfc3339).expect("block times are within the years that RFC 3339 can write")
}

fn revocation_list(issuer: (&Certificate, &Key), issued_at: UnixSeconds, revoked: Option<Vec<u8>>) -> Vec<u8> {
    let revoked_certs = revoked.into_iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: moment(issued_at),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    });
    let number = u32::try_from(issued_at / DAY_S).expect("days since 1970 fit 32 bits for eleven million years");
    let number = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
    let params = CertificateRevocationListParams {
        this_update: moment(issued_at),
        next_update: moment(issued_at + COLLATERAL_VALID_S),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(issuer.0, &issuer.1.pair).expect("fixed parameters make a revocation list");
    list.der().to_vec()
}

fn tcb_info(issued_at: UnixSeconds, plan: &CollateralPlan) -> String {
    let (status, advisories) = match plan.condition {
        Condition::OutOfDate => ("OutOfDate", r#","advisoryIDs":["EMULATED-SA-00001"]"#),
        Condition::SwHardeningNeeded => ("SWHardeningNeeded", r#","advisoryIDs":["EMULATED-SA-00002"]"#),
        Condition::ConfigurationNeeded => ("ConfigurationNeeded", ""),
        Condition::TcbRevoked => ("Revoked", ""),
        _ => ("UpToDate", ""),
    };
    let pce_svn = if plan.condition == Condition::TcbUnknown { PCE_SVN + 1 } else { PCE_SVN };
    let mut tdx_svn = TEE_TCB_SVN;
    tdx_svn[1] = 0; // the major version names a module identity and is no component
    let components =
        |svns: &[u8; 16]| svns.iter().map(|svn| format!("{{\"svn\":{svn}}}")).collect::<Vec<_>>().join(",");
    let module = format!(
        "\"mrsigner\":\"{}\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"",
        "0".repeat(96)
    );
    format!(
        "{{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"{}\",\"nextUpdate\":\"{}\",\"fmspc\":\"{}\",\
         \"pceId\":\"0000\",\"tcbType\":0,\"tcbEvaluationDataNumber\":{},\"tdxModule\":{{{module}}},\
         \"tdxModuleIdentities\":[{{\"id\":\"TDX_01\",{module},\"tcbLevels\":[{}]}}],\
         \"tcbLevels\":[{{\"tcb\":{{\"sgxtcbcomponents\":[{}],\"pcesvn\":{pce_svn},\"tdxtcbcomponents\":[{}]}},\
         \"tcbDate\":\"2025-08-13T00:00:00Z\",\"tcbStatus\":\"{status}\"{advisories}}}]}}",
        iso(issued_at),
        iso(issued_at + COLLATERAL_VALID_S),
        hex::encode_upper(plan.fmspc),
        plan.tcb_evaluation_data_number,
        module_levels(plan.condition),
        components(&CPU_SVN),
        components(&tdx_svn),
    )
}

fn module_levels(condition: Condition) -> String {
    let level = |svn: u8, date: &str, status: &str| {
        format!("{{\"tcb\":{{\"isvsvn\":{svn}}},\"tcbDate\":\"{date}T00:00:00Z\",\"tcbStatus\":\"{status}\"}}")
    };
    let own = TEE_TCB_SVN[0];
    match condition {
        Condition::ModuleUnknown => level(own + 1, "2025-08-13", "UpToDate"),
        Condition::ModuleOutOfDate => {
            level(own + 1, "2025-08-13", "UpToDate") + "," + &level(own, "2023-08-09", "OutOfDate")
        }
        _ => level(own, "2025-08-13", "UpToDate"),
    }
}

fn qe_identity(issued_at: UnixSeconds, plan: &CollateralPlan) -> String {
    let mr_signer = if plan.condition == Condition::QuotingEnclaveForeign { [0xe9; 32] } else { QE_MR_SIGNER };
    let level = |svn: u16, date: &str, status: &str| {
        format!("{{\"tcb\":{{\"isvsvn\":{svn}}},\"tcbDate\":\"{date}T00:00:00Z\",\"tcbStatus\":\"{status}\"}}")
    };
    let levels = if plan.condition == Condition::QuotingEnclaveOutOfDate {
        level(QE_ISV_SVN + 1, "2025-08-13", "UpToDate") + "," + &level(QE_ISV_SVN, "2023-08-09", "OutOfDate")
    } else {
        level(QE_ISV_SVN, "2025-08-13", "UpToDate")
    };
    format!(
        "{{\"id\":\"TD_QE\",\"version\":2,\"issueDate\":\"{}\",\"nextUpdate\":\"{}\",\"tcbEvaluationDataNumber\":{},\
         \"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\",\
         \"attributes\":\"11000000000000000000000000000000\",\
         \"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\
         \"mrsigner\":\"{}\",\"isvprodid\":{QE_ISV_PROD_ID},\"tcbLevels\":[{levels}]}}",
        iso(issued_at),
        iso(issued_at + COLLATERAL_VALID_S),
        plan.tcb_evaluation_data_number,
        hex::encode_upper(mr_signer),
    )
}
