//! From `dcap-qvl`'s errors, which are texts, to our codes.
//!
//! The version is pinned exactly, and the scenarios provoke the lines that evidence can reach. A text that is not in the
//! table is [`Refusal::OtherInvalid`]: whether evidence is accepted never depends on this file, only which code a
//! refusal has.

use crate::refusal::Refusal;

/// Beginnings of `dcap-qvl` 0.7.1's texts, outermost context first; the first match counts.
const TABLE: &[(&str, Refusal)] = &[
    ("TDX module identity check", Refusal::TdxModule),
    ("TDX module TCB level check", Refusal::TdxModule),
    ("No matching TCB level found", Refusal::TcbUnknown),
    ("Fmspc mismatch", Refusal::PlatformFamily),
    ("TDX quote with non-TDX TCB info", Refusal::CollateralKind),
    ("SGX quote with non-SGX TCB info", Refusal::CollateralKind),
    ("Unsupported QE Identity id/version", Refusal::CollateralKind),
    ("TCB status is invalid: Revoked", Refusal::TcbRevoked),
    ("TCBInfo issue date is in the future", Refusal::CollateralNotYetValid),
    ("QE Identity issue date is in the future", Refusal::CollateralNotYetValid),
    ("TCBInfo expired", Refusal::CollateralExpired),
    ("QE Identity expired", Refusal::CollateralExpired),
    ("Signature is invalid for tcb_info", Refusal::CollateralSignature),
    ("Signature is invalid for qe_identity", Refusal::CollateralSignature),
    ("Signature is invalid for qe_report", Refusal::QuotingEnclaveSignature),
    ("QE report hash mismatch", Refusal::QuotingEnclaveBinding),
    ("ISV enclave report signature is invalid", Refusal::QuoteSignature),
    ("QE MRSIGNER mismatch", Refusal::QuotingEnclave),
    ("QE report validation failed", Refusal::QuotingEnclave),
    ("QE ISVPRODID mismatch", Refusal::QuotingEnclave),
    ("QE MISCSELECT mismatch", Refusal::QuotingEnclave),
    ("QE ATTRIBUTES mismatch", Refusal::QuotingEnclave),
    ("QE ISVSVN", Refusal::QuotingEnclave),
    ("Debug mode is enabled", Refusal::PolicyDebug),
    ("TD profiling is enabled", Refusal::PolicyDebug),
    ("Reserved bits in TD attributes are set", Refusal::PolicyTdAttributes),
    ("TD migration is enabled", Refusal::PolicyTdAttributes),
    ("SERVTD_EXT is enabled", Refusal::PolicyTdAttributes),
    ("SEPT_VE_DISABLE is not enabled", Refusal::PolicyTdAttributes),
    ("Failed to decode TcbInfo", Refusal::CollateralJson),
    ("Failed to decode QeIdentity", Refusal::CollateralJson),
    ("Failed to parse TCB Info", Refusal::CollateralJson),
    ("Failed to parse QE Identity", Refusal::CollateralJson),
    ("Failed to parse certs", Refusal::CollateralChain),
    ("Certificate chain is too short", Refusal::CollateralChain),
    ("TCB Info signer must be issued directly", Refusal::CollateralChain),
    ("QE Identity signer must be issued directly", Refusal::CollateralChain),
    ("Failed to load root ca", Refusal::RootMalformed),
    ("Unknown QE vendor ID", Refusal::QuoteFormat),
    ("Failed to decode quote", Refusal::QuoteFormat),
    ("Intel extension not found", Refusal::PlatformCertificate),
    ("Failed to parse PCK certificate", Refusal::PlatformCertificate),
];

/// The code for an error: its texts from the outside in, and the certificate error inside it if there is one.
pub(crate) fn refusal(texts: &[String], certificate: Option<&webpki::Error>) -> Refusal {
    if let Some(error) = certificate {
        if texts.iter().any(|text| text.ends_with(" CRL") && text.starts_with("Failed to parse")) {
            return Refusal::RevocationList;
        }
        return of_certificate(error);
    }
    let of_text = |text: &String| TABLE.iter().find(|(beginning, _)| text.starts_with(beginning));
    texts.iter().find_map(of_text).map_or(Refusal::OtherInvalid, |(_, refusal)| *refusal)
}

/// The code for an error of the certificate verifier.
pub(crate) fn of_certificate(error: &webpki::Error) -> Refusal {
    use webpki::Error;
    match error {
        Error::CertRevoked => Refusal::CertificateRevoked,
        Error::CertExpired { .. } => Refusal::CertificateExpired,
        Error::CertNotValidYet { .. } => Refusal::CertificateNotYetValid,
        Error::CrlExpired { .. } => Refusal::RevocationListExpired,
        Error::UnknownRevocationStatus => Refusal::RevocationUnknown,
        Error::InvalidCrlSignatureForPublicKey | Error::IssuerNotCrlSigner => Refusal::RevocationList,
        _ => Refusal::CertificateChain,
    }
}
