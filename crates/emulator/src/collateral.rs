//! DCAP collateral for emulated machines: TCB info v3, QE identity v2 and both revocation lists, in every condition.

mod texts;

use freehold_primitives::{Blob, Canonical as _, PlatformFamily, UnixSeconds, VERSION};
use rcgen::{
    Certificate, CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use crate::{
    certificates::{CA_SERIAL, SIGNER_SERIAL, unix},
    keys::Key,
    platform::{FMSPC, Platform},
};

/// Seconds from issue to the next update, as Intel's: 30 days.
pub const COLLATERAL_VALID_S: u64 = 30 * DAY_S;

pub(crate) const DAY_S: u64 = 86_400;
/// How far the issue date keeps behind the caller's clock.
pub(crate) const SLACK_S: u64 = 3_600;

/// Which TEE collateral is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tee {
    Tdx,
    Sgx,
}

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
    /// Both of the above, with an advisory.
    ConfigurationAndSwHardeningNeeded,
    /// The platform misses a patch, with an advisory.
    OutOfDate,
    /// The platform misses a patch and a configuration, with an advisory.
    OutOfDateConfigurationNeeded,
    /// The platform's TCB is revoked.
    TcbRevoked,
    /// The platform is older than every TCB level.
    TcbUnknown,
    /// The machine's PCK certificate stands in the revocation list.
    PckRevoked,
    /// The PCK CA's certificate stands in the root's revocation list.
    CaRevoked,
    /// The TCB signer's certificate stands in the root's revocation list.
    SignerRevoked,
    /// Another quoting enclave is named.
    QuotingEnclaveForeign,
    /// A newer quoting enclave is wanted.
    QuotingEnclaveOutOfDate,
    /// The quoting enclave is older than every level.
    QuotingEnclaveUnknown,
    /// The quoting enclave is revoked.
    QuotingEnclaveRevoked,
    /// A newer TDX module is wanted (TDX).
    ModuleOutOfDate,
    /// The TDX module is older than every level (TDX).
    ModuleUnknown,
    /// The TDX module is revoked (TDX).
    ModuleRevoked,
    /// A TDX module of another signer is named (TDX).
    ModuleForeign,
    /// The revocation lists ended before TCB info and QE identity do.
    ListsExpired,
}

/// How to make collateral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollateralPlan {
    /// What it says about the machine.
    pub condition: Condition,
    /// TCB evaluation data number.
    pub tcb_evaluation_data_number: u32,
    /// Platform family that it is for.
    pub family: PlatformFamily,
}

impl Default for CollateralPlan {
    fn default() -> Self {
        Self { condition: Condition::UpToDate, tcb_evaluation_data_number: 20, family: FMSPC }
    }
}

/// The canonical document: version byte, then nine fields in the order of `spec/collateral.md` §1.
pub(crate) fn document(platform: &Platform, tee: Tee, now_unix_s: UnixSeconds, plan: &CollateralPlan) -> Vec<u8> {
    let authority = &platform.authority;
    let issued_at = now_unix_s.saturating_sub(SLACK_S) / DAY_S * DAY_S;
    let tcb_info = texts::tcb_info(tee, issued_at, plan);
    let qe_identity = texts::qe_identity(tee, issued_at, plan);
    let pem = |certificate: &Certificate| unix(&certificate.pem());
    let signer_chain = pem(&authority.signer) + &pem(&authority.root);
    let ca_chain = pem(&authority.ca) + &pem(&authority.root);
    let listed_at = if plan.condition == Condition::ListsExpired {
        issued_at.saturating_sub(COLLATERAL_VALID_S)
    } else {
        issued_at
    };
    let root_revokes = match plan.condition {
        Condition::SignerRevoked => Some(SIGNER_SERIAL.to_vec()),
        Condition::CaRevoked => Some(CA_SERIAL.to_vec()),
        _ => None,
    };
    let ca_revokes = (plan.condition == Condition::PckRevoked).then(|| platform.pck_serial.to_vec());

    let mut out = vec![VERSION];
    ca_chain.write(&mut out);
    Blob(revocation_list(&authority.root, &authority.root_key, listed_at, root_revokes)).write(&mut out);
    Blob(revocation_list(&authority.ca, &authority.ca_key, listed_at, ca_revokes)).write(&mut out);
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

/// A list numbered by the day of its issue.
fn revocation_list(issuer: &Certificate, key: &Key, issued_at: UnixSeconds, revoked: Option<Vec<u8>>) -> Vec<u8> {
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
    params.signed_by(issuer, &key.pair).expect("fixed parameters make a revocation list").der().to_vec()
}
