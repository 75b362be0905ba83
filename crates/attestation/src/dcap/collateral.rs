//! DCAP collateral: the canonical document (`spec/collateral.md`), and its verification without a quote.
//!
//! The chain keeps the newest document of each platform family and accepts one only from [`read_collateral`], so that
//! collateral is vouched for before any quote is judged by it. Judging repeats the checks, since time passes between.

use dcap_qvl::{QeIdentity, QuoteCollateralV3, TcbInfo};
use freehold_primitives::{
    Blob, Canonical as _, PlatformFamily, TrustDomain, TrustRoot, UnixSeconds, canonical_struct,
    entries::collateral_key,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::{
    crl::CertificateList,
    der::{Decode as _, asn1::UintRef, oid::ObjectIdentifier},
};

use super::{
    chain::{self, ALGORITHM, Parsed},
    json, root_of,
};
use crate::{claims::claims_struct, collateral::VerifiedCollateral, refusal::Refusal};

/// Longest collateral document, in bytes.
pub const COLLATERAL_BYTES_MAX: usize = 224 * 1024;
/// Longest revocation list, in bytes.
pub const REVOCATION_LIST_BYTES_MAX: usize = 64 * 1024;
/// Longest TCB info or QE identity, in bytes.
pub const COLLATERAL_JSON_BYTES_MAX: usize = 32 * 1024;
/// Longest issuer chain, in bytes.
pub const CERTIFICATE_CHAIN_BYTES_MAX: usize = 8 * 1024;

/// CRL number (RFC 5280 §5.2.3).
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");

canonical_struct! {
    /// Everything that Intel's services say about one platform family, as they signed it.
    ///
    /// Chains are PEM, signer first, root last; lists are DER; signatures are `r ‖ s`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CollateralDocument {
        /// PCK CA and root: issuer of the PCK revocation list.
        pub pck_crl_issuer_chain: String,
        /// Revocation list of the root.
        pub root_ca_crl: Blob,
        /// Revocation list of the PCK CA.
        pub pck_crl: Blob,
        /// TCB signer and root.
        pub tcb_info_issuer_chain: String,
        /// TCB info, the exact text that was signed.
        pub tcb_info: String,
        /// Signature over the TCB info.
        pub tcb_info_signature: [u8; 64],
        /// Signer of the QE identity and root.
        pub qe_identity_issuer_chain: String,
        /// QE identity, the exact text that was signed.
        pub qe_identity: String,
        /// Signature over the QE identity.
        pub qe_identity_signature: [u8; 64],
    }
}

impl CollateralDocument {
    /// Reads a document within its bounds; verifies nothing.
    ///
    /// # Errors
    /// [`Refusal::CollateralTooLong`], [`Refusal::CollateralFormat`], [`Refusal::CollateralMissing`],
    /// [`Refusal::CollateralJson`].
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > COLLATERAL_BYTES_MAX {
            return Err(Refusal::CollateralTooLong);
        }
        let document = Self::from_canonical(bytes).map_err(|_| Refusal::CollateralFormat)?;
        let bounds = [
            (document.pck_crl_issuer_chain.len(), CERTIFICATE_CHAIN_BYTES_MAX),
            (document.root_ca_crl.0.len(), REVOCATION_LIST_BYTES_MAX),
            (document.pck_crl.0.len(), REVOCATION_LIST_BYTES_MAX),
            (document.tcb_info_issuer_chain.len(), CERTIFICATE_CHAIN_BYTES_MAX),
            (document.tcb_info.len(), COLLATERAL_JSON_BYTES_MAX),
            (document.qe_identity_issuer_chain.len(), CERTIFICATE_CHAIN_BYTES_MAX),
            (document.qe_identity.len(), COLLATERAL_JSON_BYTES_MAX),
        ];
        for (length, bound) in bounds {
            if length == 0 {
                return Err(Refusal::CollateralMissing);
            }
            if length > bound {
                return Err(Refusal::CollateralTooLong);
            }
        }
        if !json::is_unambiguous(&document.tcb_info) || !json::is_unambiguous(&document.qe_identity) {
            return Err(Refusal::CollateralJson);
        }
        Ok(document)
    }

    /// The form that `dcap-qvl` takes.
    pub(crate) fn into_dcap(self) -> QuoteCollateralV3 {
        QuoteCollateralV3 {
            pck_crl_issuer_chain: self.pck_crl_issuer_chain,
            root_ca_crl: self.root_ca_crl.0,
            pck_crl: self.pck_crl.0,
            tcb_info_issuer_chain: self.tcb_info_issuer_chain,
            tcb_info: self.tcb_info,
            tcb_info_signature: self.tcb_info_signature.to_vec(),
            qe_identity_issuer_chain: self.qe_identity_issuer_chain,
            qe_identity: self.qe_identity,
            qe_identity_signature: self.qe_identity_signature.to_vec(),
            pck_certificate_chain: None,
        }
    }
}

/// Which TEE collateral is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tee {
    Tdx,
    Sgx,
}

claims_struct! {
    /// What verified DCAP collateral says about itself.
    pub struct VerifiedDcapCollateral {
        /// Trust domain of the root that vouches for it.
        copy trust_domain: TrustDomain,
        /// FMSPC.
        copy family: PlatformFamily,
        /// Unix seconds at which the newer of TCB info and QE identity was issued.
        copy issued_at: UnixSeconds,
        /// Unix seconds of the earliest end of validity in the document: the first second at which it no longer counts.
        copy expires_at: UnixSeconds,
        /// Smaller TCB evaluation data number of TCB info and QE identity.
        copy evaluation_data_number: u32,
        /// Number of the root's revocation list.
        copy root_crl_number: u32,
        /// Number of the PCK CA's revocation list.
        copy pck_crl_number: u32,
        --
    }
}

impl From<VerifiedDcapCollateral> for VerifiedCollateral {
    fn from(verified: VerifiedDcapCollateral) -> Self {
        let numbers = [verified.evaluation_data_number, verified.root_crl_number, verified.pck_crl_number];
        Self {
            trust_domain: verified.trust_domain,
            key: collateral_key(verified.trust_domain, &verified.family).to_vec(),
            issued_at: verified.issued_at,
            expires_at: verified.expires_at,
            numbers: numbers.map(u64::from).to_vec(),
        }
    }
}

/// Verifies a collateral document at `now_unix_s`, without a quote: chains, revocation, signatures, dates, kinds.
pub(crate) fn read(
    tee: Tee,
    bytes: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedDcapCollateral, Refusal> {
    let document = CollateralDocument::read(bytes)?;
    let now = UnixTime::since_unix_epoch(core::time::Duration::from_secs(now_unix_s));
    let chains = [&document.tcb_info_issuer_chain, &document.qe_identity_issuer_chain, &document.pck_crl_issuer_chain];
    let [[tcb_signer, root], [qe_signer, qe_root], [pck_ca, pck_root]] = read_chains(chains)?;
    if qe_root != root || pck_root != root {
        return Err(Refusal::CollateralChain);
    }
    let trust = root_of(&root, roots)?;
    let root_der = CertificateDer::from(root.as_slice());
    let lists = RevocationLists::new(&document, &root_der, now)?;

    let mut expires_at = lists.expires_at.min(lists.root.not_after());
    let mut check_signed = |signer: &[u8], text: &str, signature: &[u8; 64]| {
        let der = CertificateDer::from(signer);
        let signer = Parsed::new(&der)?;
        signer.check_signer(&lists.anchor, &lists.root_crl, now)?;
        expires_at = expires_at.min(signer.not_after());
        signer.check_signed(text.as_bytes(), signature)
    };
    check_signed(&tcb_signer, &document.tcb_info, &document.tcb_info_signature)?;
    check_signed(&qe_signer, &document.qe_identity, &document.qe_identity_signature)?;
    let pck_crl = lists.check_pck(&pck_ca, &document.pck_crl.0, now)?;
    let signed = Signed::read(tee, &document, now_unix_s)?;
    let expires_at = expires_at.min(pck_crl.expires_at).min(signed.expires_at);
    if now_unix_s >= expires_at {
        return Err(Refusal::CollateralExpired);
    }

    Ok(VerifiedDcapCollateral {
        trust_domain: trust.domain,
        family: signed.family,
        issued_at: signed.issued_at,
        expires_at,
        evaluation_data_number: signed.evaluation_data_number,
        root_crl_number: lists.root_crl_number,
        pck_crl_number: pck_crl.number,
    })
}

fn read_chains(texts: [&String; 3]) -> Result<[[Vec<u8>; 2]; 3], Refusal> {
    let [a, b, c] = texts.map(|text| chain::read::<2>(text.as_bytes()).ok_or(Refusal::CollateralChain));
    Ok([a?, b?, c?])
}

/// The root and its revocation list, checked.
struct RevocationLists<'a> {
    root: Parsed<'a>,
    anchor: rustls_pki_types::TrustAnchor<'a>,
    root_crl: CertRevocationList<'static>,
    root_crl_number: u32,
    expires_at: UnixSeconds,
}

impl<'a> RevocationLists<'a> {
    fn new(document: &CollateralDocument, root_der: &'a CertificateDer<'a>, now: UnixTime) -> Result<Self, Refusal> {
        let root = Parsed::new(root_der)?;
        root.check_dates(now)?;
        let anchor = webpki::anchor_from_trusted_cert(root_der).map_err(|_| Refusal::RootMalformed)?;
        let root_crl = list_signed_by(&document.root_ca_crl.0, &anchor, &root)?;
        let facts = ListFacts::read(&document.root_ca_crl.0, now)?;
        check_not_revoked(&root_crl, &root)?;
        Ok(Self { root, anchor, root_crl, root_crl_number: facts.number, expires_at: facts.expires_at })
    }

    /// Checks the PCK CA under the root, and its list under it. The CA's own end counts into `expires_at`.
    fn check_pck(&self, pck_ca: &[u8], pck_crl: &[u8], now: UnixTime) -> Result<ListFacts, Refusal> {
        let der = CertificateDer::from(pck_ca);
        let ca = Parsed::new(&der)?;
        ca.check_issued_by(&self.root)?;
        ca.check_dates(now)?;
        check_not_revoked(&self.root_crl, &ca)?;
        let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| Refusal::CollateralChain)?;
        list_signed_by(pck_crl, &anchor, &ca)?;
        let mut facts = ListFacts::read(pck_crl, now)?;
        facts.expires_at = facts.expires_at.min(ca.not_after());
        Ok(facts)
    }
}

/// Reads a revocation list and checks its issuer's name and signature.
fn list_signed_by(
    der: &[u8],
    issuer: &rustls_pki_types::TrustAnchor<'_>,
    certificate: &Parsed<'_>,
) -> Result<CertRevocationList<'static>, Refusal> {
    let list: CertRevocationList<'static> =
        OwnedCertRevocationList::from_der_verified(der, &issuer.subject_public_key_info, &[ALGORITHM])
            .map_err(|_| Refusal::RevocationList)?
            .into();
    if list.issuer() == certificate.webpki.subject() { Ok(list) } else { Err(Refusal::RevocationList) }
}

fn check_not_revoked(list: &CertRevocationList<'_>, certificate: &Parsed<'_>) -> Result<(), Refusal> {
    match list.find_serial(certificate.webpki.serial()) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Refusal::CertificateRevoked),
        Err(_) => Err(Refusal::RevocationList),
    }
}

/// Dates and number of a revocation list.
struct ListFacts {
    expires_at: UnixSeconds,
    number: u32,
}

impl ListFacts {
    fn read(der: &[u8], now: UnixTime) -> Result<Self, Refusal> {
        let list: CertificateList = CertificateList::from_der(der).map_err(|_| Refusal::RevocationList)?;
        let list = list.tbs_cert_list;
        if now.as_secs() < list.this_update.to_unix_duration().as_secs() {
            return Err(Refusal::CollateralNotYetValid);
        }
        let expires_at = list.next_update.ok_or(Refusal::RevocationList)?.to_unix_duration().as_secs();
        if now.as_secs() >= expires_at {
            return Err(Refusal::RevocationListExpired);
        }
        let extension = list.crl_extensions.iter().flatten().find(|extension| extension.extn_id == CRL_NUMBER);
        let extension = extension.ok_or(Refusal::RevocationList)?;
        let number = UintRef::from_der(extension.extn_value.as_bytes()).map_err(|_| Refusal::RevocationList)?;
        if number.as_bytes().len() > 4 {
            return Err(Refusal::RevocationList);
        }
        let number = number.as_bytes().iter().fold(0, |value: u32, byte| value << 8 | u32::from(*byte));
        Ok(Self { expires_at, number })
    }
}

/// What TCB info and QE identity say about themselves.
struct Signed {
    family: PlatformFamily,
    issued_at: UnixSeconds,
    expires_at: UnixSeconds,
    evaluation_data_number: u32,
}

impl Signed {
    fn read(tee: Tee, document: &CollateralDocument, now_unix_s: UnixSeconds) -> Result<Self, Refusal> {
        let tcb: TcbInfo = serde_json::from_str(&document.tcb_info).map_err(|_| Refusal::CollateralJson)?;
        let qe: QeIdentity = serde_json::from_str(&document.qe_identity).map_err(|_| Refusal::CollateralJson)?;
        let (tcb_id, qe_id) = match tee {
            Tee::Tdx => ("TDX", "TD_QE"),
            Tee::Sgx => ("SGX", "QE"),
        };
        if tcb.id != tcb_id || tcb.version != 3 || qe.id != qe_id || qe.version != 2 {
            return Err(Refusal::CollateralKind);
        }
        let date = |text: &str| json::unix_seconds(text).ok_or(Refusal::CollateralJson);
        let issued_at = date(&tcb.issue_date)?;
        let expires_at = date(&tcb.next_update)?.min(date(&qe.next_update)?);
        if now_unix_s < issued_at || now_unix_s < date(&qe.issue_date)? {
            return Err(Refusal::CollateralNotYetValid);
        }
        if now_unix_s >= expires_at {
            return Err(Refusal::CollateralExpired);
        }
        Ok(Self {
            family: PlatformFamily(hex6(&tcb.fmspc).ok_or(Refusal::CollateralJson)?),
            issued_at,
            expires_at,
            evaluation_data_number: tcb.tcb_evaluation_data_number.min(qe.tcb_evaluation_data_number),
        })
    }
}

/// Six bytes from twelve hex digits; Intel has written them in either case.
fn hex6(text: &str) -> Option<[u8; 6]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 12] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 6];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
